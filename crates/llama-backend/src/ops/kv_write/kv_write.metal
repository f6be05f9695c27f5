// New keys or values into their slots of the cache: one thread per value.

constant ushort rows_format [[function_constant(0)]];

struct KvWriteArgs {
    uint num_values;
    uint num_heads;
    uint head_dim;
    uint row_stride;
    uint head_stride;
    uint padding;
};

template <typename T>
[[kernel]] void kv_write(
    device const uchar *rows [[buffer(0)]],
    device const uint *slots [[buffer(1)]],
    device T *cache [[buffer(2)]],
    constant KvWriteArgs &args [[buffer(3)]],
    uint idx [[thread_position_in_grid]]) {
    if (idx >= args.num_values) {
        return;
    }
    const uint component = idx % args.head_dim;
    const uint head = idx / args.head_dim % args.num_heads;
    const uint row = idx / args.head_dim / args.num_heads;
    const ulong from = ulong(row) * args.row_stride + ulong(head) * args.head_stride + component;
    const ulong to = (ulong(slots[row]) * args.num_heads + head) * args.head_dim + component;
    cache[to] = T(stored_dense(rows_format, rows, from));
}

template [[host_name("kv_write_f32")]] [[kernel]] decltype(kv_write<float>) kv_write<float>;
template [[host_name("kv_write_f16")]] [[kernel]] decltype(kv_write<half>) kv_write<half>;
template [[host_name("kv_write_bf16")]] [[kernel]] decltype(kv_write<bfloat>) kv_write<bfloat>;
