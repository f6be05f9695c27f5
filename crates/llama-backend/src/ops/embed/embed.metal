// Rows of the embedding table, decoded where it lies: one thread per eight values.

constant ushort table_format [[function_constant(0)]];

struct EmbedArgs {
    ulong table_offset;
    ulong row_bytes;
    uint num_rows;
    uint width;
};

template <typename T>
[[kernel]] void embed(
    device const uint *tokens [[buffer(0)]],
    device const uchar *table [[buffer(1)]],
    device T *out [[buffer(2)]],
    constant EmbedArgs &args [[buffer(3)]],
    uint2 idx [[thread_position_in_grid]]) {
    const uint first = idx.x * 8;
    if (first >= args.width || idx.y >= args.num_rows) {
        return;
    }
    device const uchar *row = table + args.table_offset + tokens[idx.y] * args.row_bytes;
    float values[8];
    stored_eight_or_zeros(table_format, row, first, args.width, values);
    device T *to = out + ulong(idx.y) * args.width + first;
    for (uint i = 0; i < 8 && first + i < args.width; i++) {
        to[i] = T(values[i]);
    }
}

template [[host_name("embed_f32")]] [[kernel]] decltype(embed<float>) embed<float>;
template [[host_name("embed_f16")]] [[kernel]] decltype(embed<half>) embed<half>;
template [[host_name("embed_bf16")]] [[kernel]] decltype(embed<bfloat>) embed<bfloat>;
