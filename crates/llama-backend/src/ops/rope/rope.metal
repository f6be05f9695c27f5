// Rotary position embedding: one thread per pair of components.

struct RopeArgs {
    uint num_pairs;
    uint num_heads;
    uint half_dim;
    uint row_stride;
    uint head_stride;
    uint adjacent;
};

template <typename T>
[[kernel]] void rope(
    device const T *x [[buffer(0)]],
    device const T *cosines [[buffer(1)]],
    device const T *sines [[buffer(2)]],
    device T *out [[buffer(3)]],
    constant RopeArgs &args [[buffer(4)]],
    uint idx [[thread_position_in_grid]]) {
    if (idx >= args.num_pairs) {
        return;
    }
    const uint pair = idx % args.half_dim;
    const uint head = idx / args.half_dim % args.num_heads;
    const uint row = idx / args.half_dim / args.num_heads;
    const uint first = args.adjacent != 0 ? 2 * pair : pair;
    const uint second = args.adjacent != 0 ? 2 * pair + 1 : pair + args.half_dim;
    device const T *from = x + ulong(row) * args.row_stride + ulong(head) * args.head_stride;
    device T *to = out + (ulong(row) * args.num_heads + head) * args.half_dim * 2;
    const float c = float(cosines[ulong(row) * args.half_dim + pair]);
    const float s = float(sines[ulong(row) * args.half_dim + pair]);
    const float a = float(from[first]);
    const float b = float(from[second]);
    to[first] = T(a * c - b * s);
    to[second] = T(a * s + b * c);
}

template [[host_name("rope_f32")]] [[kernel]] decltype(rope<float>) rope<float>;
template [[host_name("rope_f16")]] [[kernel]] decltype(rope<half>) rope<half>;
template [[host_name("rope_bf16")]] [[kernel]] decltype(rope<bfloat>) rope<bfloat>;
