// The gated activation: one thread per output.

struct SwiGluArgs {
    uint num_values;
    uint width;
    uint row_stride;
    uint padding;
};

template <typename T>
[[kernel]] void swiglu(
    device const T *gate_up [[buffer(0)]],
    device T *out [[buffer(1)]],
    constant SwiGluArgs &args [[buffer(2)]],
    uint idx [[thread_position_in_grid]]) {
    if (idx >= args.num_values) {
        return;
    }
    device const T *row = gate_up + ulong(idx / args.width) * args.row_stride + idx % args.width;
    const float gate = float(row[0]);
    const float up = float(row[args.width]);
    out[idx] = T(gate / (1.0f + exp(-gate)) * up);
}

template [[host_name("swiglu_f32")]] [[kernel]] decltype(swiglu<float>) swiglu<float>;
template [[host_name("swiglu_f16")]] [[kernel]] decltype(swiglu<half>) swiglu<half>;
template [[host_name("swiglu_bf16")]] [[kernel]] decltype(swiglu<bfloat>) swiglu<bfloat>;
