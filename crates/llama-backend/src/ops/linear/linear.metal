// Products with stored weights. Few rows: simdgroups read each weight once and keep the sums of several rows.
// Many rows: tiles of 32 rows by 64 outputs as simdgroup matrices. Sums are in float, each in one fixed order.

// Up to three parts side by side: one dispatch, since the device would order several that write one output.
constant ushort weight_format_0 [[function_constant(0)]];
constant ushort weight_format_1 [[function_constant(1)]];
constant ushort weight_format_2 [[function_constant(2)]];
constant ushort bias_format_0 [[function_constant(3)]];
constant ushort bias_format_1 [[function_constant(4)]];
constant ushort bias_format_2 [[function_constant(5)]];

struct LinearArgs {
    ulong weight_offset[3];
    ulong row_bytes[3];
    ulong bias_offset[3];
    uint out_features[3];
    uint num_rows;
    uint in_features;
    uint x_stride;
    uint out_stride;
    uint first_column;
};

struct GatedLinearArgs {
    ulong gate_offset;
    ulong gate_row_bytes;
    ulong up_offset;
    ulong up_row_bytes;
    uint num_rows;
    uint in_features;
    uint out_features;
    uint x_stride;
};

// The part that a threadgroup works on.
struct Part {
    device const uchar *weight;
    device const uchar *bias;
    ulong row_bytes;
    uint out_features;
    uint first_column;
    uint group;
    ushort format;
    ushort bias_format;
};

// The part of threadgroup `group` if each has `outputs` outputs. Parts that are not there have no outputs.
inline Part part_at(
    uint group,
    uint outputs,
    constant LinearArgs &args,
    device const uchar *weight_0,
    device const uchar *weight_1,
    device const uchar *weight_2,
    device const uchar *bias_0,
    device const uchar *bias_1,
    device const uchar *bias_2) {
    Part part;
    uint idx = 0;
    part.group = group;
    part.first_column = args.first_column;
    while (idx < 2 && part.group >= (args.out_features[idx] + outputs - 1) / outputs) {
        part.group -= (args.out_features[idx] + outputs - 1) / outputs;
        part.first_column += args.out_features[idx];
        idx += 1;
    }
    part.weight = (idx == 0 ? weight_0 : idx == 1 ? weight_1 : weight_2) + args.weight_offset[idx];
    part.bias = (idx == 0 ? bias_0 : idx == 1 ? bias_1 : bias_2) + args.bias_offset[idx];
    part.row_bytes = args.row_bytes[idx];
    part.out_features = args.out_features[idx];
    part.format = idx == 0 ? weight_format_0 : idx == 1 ? weight_format_1 : weight_format_2;
    part.bias_format = idx == 0 ? bias_format_0 : idx == 1 ? bias_format_1 : bias_format_2;
    return part;
}

// What a part adds to output `output`.
inline float bias_at(thread const Part &part, uint output) {
    return part.bias_format == STORED_NOTHING ? 0.0f : stored_value(part.bias_format, part.bias, output);
}

// Outputs of a simdgroup.
#define OUTPUTS 4

struct WeightRows {
    device const uchar *at[OUTPUTS];
};

template <typename T, int Rows>
struct InputRows {
    device const T *at[Rows];
};

template <int Rows>
struct Sums {
    float of[Rows][OUTPUTS];
};

// Rows from `first`; beyond the end, the last again.
template <typename T, int Rows>
inline InputRows<T, Rows> input_rows(device const T *x, uint first, uint num_rows, uint stride) {
    InputRows<T, Rows> rows;
    for (uint m = 0; m < Rows; m++) {
        rows.at[m] = x + ulong(min(first + m, num_rows - 1)) * stride;
    }
    return rows;
}

// Rows of a weight from `first`; beyond the end, the last again.
inline WeightRows weight_rows(device const uchar *weight, uint first, uint num_outputs, ulong row_bytes) {
    WeightRows rows;
    for (uint n = 0; n < OUTPUTS; n++) {
        rows.at[n] = weight + ulong(min(first + n, num_outputs - 1)) * row_bytes;
    }
    return rows;
}

// Products of `Rows` rows of x with `OUTPUTS` rows of a weight; lanes take eight values each in turn.
template <typename T, int Rows>
inline Sums<Rows> products(
    ushort format, thread const WeightRows &weights, thread const InputRows<T, Rows> &x, uint len, uint lane) {
    Sums<Rows> sums;
    for (uint m = 0; m < Rows; m++) {
        for (uint n = 0; n < OUTPUTS; n++) {
            sums.of[m][n] = 0.0f;
        }
    }
    for (uint at = lane * 8; at < len; at += 32 * 8) {
        float values[OUTPUTS][8];
        for (uint n = 0; n < OUTPUTS; n++) {
            stored_eight_or_zeros(format, weights.at[n], at, len, values[n]);
        }
        const uint num_values = min(8u, len - at);
        for (uint m = 0; m < Rows; m++) {
            for (uint i = 0; i < num_values; i++) {
                const float factor = float(x.at[m][at + i]);
                for (uint n = 0; n < OUTPUTS; n++) {
                    sums.of[m][n] = fma(factor, values[n][i], sums.of[m][n]);
                }
            }
        }
    }
    for (uint m = 0; m < Rows; m++) {
        for (uint n = 0; n < OUTPUTS; n++) {
            sums.of[m][n] = simd_sum(sums.of[m][n]);
        }
    }
    return sums;
}

// One threadgroup: two simdgroups of `OUTPUTS` outputs, `Rows` rows. Rows and outputs beyond the end repeat the last.
template <typename T, int Rows>
[[kernel]] void linear_few(
    device const T *x [[buffer(0)]],
    device const uchar *weight_0 [[buffer(1)]],
    device const uchar *weight_1 [[buffer(2)]],
    device const uchar *weight_2 [[buffer(3)]],
    device const uchar *bias_0 [[buffer(4)]],
    device const uchar *bias_1 [[buffer(5)]],
    device const uchar *bias_2 [[buffer(6)]],
    device T *out [[buffer(7)]],
    constant LinearArgs &args [[buffer(8)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]],
    uint simd_idx [[simdgroup_index_in_threadgroup]]) {
    const Part part =
        part_at(group.x, 2 * OUTPUTS, args, weight_0, weight_1, weight_2, bias_0, bias_1, bias_2);
    const uint first_output = (part.group * 2 + simd_idx) * OUTPUTS;
    const uint first_row = group.y * Rows;
    if (first_output >= part.out_features) {
        return;
    }
    const InputRows<T, Rows> rows = input_rows<T, Rows>(x, first_row, args.num_rows, args.x_stride);
    const WeightRows weights = weight_rows(part.weight, first_output, part.out_features, part.row_bytes);
    const Sums<Rows> sums = products<T, Rows>(part.format, weights, rows, args.in_features, lane);
    if (lane != 0) {
        return;
    }
    for (uint n = 0; n < OUTPUTS && first_output + n < part.out_features; n++) {
        const uint output = first_output + n;
        const float added = bias_at(part, output);
        for (uint m = 0; m < Rows && first_row + m < args.num_rows; m++) {
            out[ulong(first_row + m) * args.out_stride + part.first_column + output] = T(sums.of[m][n] + added);
        }
    }
}

// As above, for gate and up and their activation.
template <typename T, int Rows>
[[kernel]] void gated_few(
    device const T *x [[buffer(0)]],
    device const uchar *gate [[buffer(1)]],
    device const uchar *up [[buffer(2)]],
    device T *out [[buffer(3)]],
    constant GatedLinearArgs &args [[buffer(4)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]],
    uint simd_idx [[simdgroup_index_in_threadgroup]]) {
    const ushort gate_format = weight_format_0;
    const ushort up_format = weight_format_1;
    const uint first_output = (group.x * 2 + simd_idx) * OUTPUTS;
    const uint first_row = group.y * Rows;
    if (first_output >= args.out_features) {
        return;
    }
    const InputRows<T, Rows> rows = input_rows<T, Rows>(x, first_row, args.num_rows, args.x_stride);
    const WeightRows gates =
        weight_rows(gate + args.gate_offset, first_output, args.out_features, args.gate_row_bytes);
    const WeightRows ups = weight_rows(up + args.up_offset, first_output, args.out_features, args.up_row_bytes);
    const Sums<Rows> gate_sums = products<T, Rows>(gate_format, gates, rows, args.in_features, lane);
    const Sums<Rows> up_sums = products<T, Rows>(up_format, ups, rows, args.in_features, lane);
    if (lane != 0) {
        return;
    }
    for (uint n = 0; n < OUTPUTS && first_output + n < args.out_features; n++) {
        for (uint m = 0; m < Rows && first_row + m < args.num_rows; m++) {
            const float value = gate_sums.of[m][n];
            const ulong at = ulong(first_row + m) * args.out_features + first_output + n;
            out[at] = T(value / (1.0f + exp(-value)) * up_sums.of[m][n]);
        }
    }
}

#define TILE_ROWS 32
#define TILE_OUTPUTS 64
#define TILE_DEPTH 32

// One threadgroup: four simdgroups, a tile of 32 rows and 64 outputs; each simdgroup has 16 rows and 32 outputs.
// `Tile` is what both factors are held in: half for half, float for the others, both exact for x.
template <typename T, typename Tile>
[[kernel]] void linear_tile(
    device const T *x [[buffer(0)]],
    device const uchar *weight_0 [[buffer(1)]],
    device const uchar *weight_1 [[buffer(2)]],
    device const uchar *weight_2 [[buffer(3)]],
    device const uchar *bias_0 [[buffer(4)]],
    device const uchar *bias_1 [[buffer(5)]],
    device const uchar *bias_2 [[buffer(6)]],
    device T *out [[buffer(7)]],
    constant LinearArgs &args [[buffer(8)]],
    threadgroup float *shared [[threadgroup(0)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_idx [[thread_index_in_threadgroup]],
    uint simd_idx [[simdgroup_index_in_threadgroup]]) {
    const Part part =
        part_at(group.x, TILE_OUTPUTS, args, weight_0, weight_1, weight_2, bias_0, bias_1, bias_2);
    const uint first_output = part.group * TILE_OUTPUTS;
    const uint first_row = group.y * TILE_ROWS;
    threadgroup Tile *x_tile = (threadgroup Tile *)shared;       // [32 rows, 32]
    threadgroup Tile *w_tile = x_tile + TILE_ROWS * TILE_DEPTH;  // [64 outputs, 32]
    const uint simd_row = simd_idx / 2 * 16;
    const uint simd_output = simd_idx % 2 * 32;

    simdgroup_matrix<float, 8, 8> sums[2][4];
    for (uint i = 0; i < 2; i++) {
        for (uint j = 0; j < 4; j++) {
            sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        }
    }
    // Each thread fills eight values of the tile of x and sixteen of the weights'.
    const uint own_depth = thread_idx % 4 * 8;
    const uint own_row = thread_idx / 4;
    const uint row = min(first_row + own_row, args.num_rows - 1);
    device const T *from = x + ulong(row) * args.x_stride;
    for (uint depth = 0; depth < args.in_features; depth += TILE_DEPTH) {
        const uint at = depth + own_depth;
        for (uint i = 0; i < 8; i++) {
            x_tile[own_row * TILE_DEPTH + own_depth + i] = Tile(at + i < args.in_features ? float(from[at + i]) : 0.0f);
        }
        for (uint half_idx = 0; half_idx < 2; half_idx++) {
            const uint own_output = own_row + half_idx * 32;
            const uint output = min(first_output + own_output, part.out_features - 1);
            float values[8];
            device const uchar *row_of_output = part.weight + ulong(output) * part.row_bytes;
            stored_eight_or_zeros(part.format, row_of_output, at, args.in_features, values);
            for (uint i = 0; i < 8; i++) {
                w_tile[own_output * TILE_DEPTH + own_depth + i] = Tile(values[i]);
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint step = 0; step < TILE_DEPTH; step += 8) {
            simdgroup_matrix<Tile, 8, 8> a[2];
            simdgroup_matrix<Tile, 8, 8> b[4];
            for (uint i = 0; i < 2; i++) {
                simdgroup_load(a[i], x_tile + (simd_row + i * 8) * TILE_DEPTH + step, TILE_DEPTH);
            }
            for (uint j = 0; j < 4; j++) {
                simdgroup_load(
                    b[j], w_tile + (simd_output + j * 8) * TILE_DEPTH + step, TILE_DEPTH, ulong2(0, 0), true);
            }
            for (uint i = 0; i < 2; i++) {
                for (uint j = 0; j < 4; j++) {
                    simdgroup_multiply_accumulate(sums[i][j], a[i], b[j], sums[i][j]);
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    // The tiles are done with: their memory takes the sums, [32 rows, 64 outputs].
    for (uint i = 0; i < 2; i++) {
        for (uint j = 0; j < 4; j++) {
            simdgroup_store(sums[i][j], shared + (simd_row + i * 8) * TILE_OUTPUTS + simd_output + j * 8, TILE_OUTPUTS);
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_idx; i < TILE_ROWS * TILE_OUTPUTS; i += 128) {
        const uint output = first_output + i % TILE_OUTPUTS;
        const uint to_row = first_row + i / TILE_OUTPUTS;
        if (output < part.out_features && to_row < args.num_rows) {
            const ulong to = ulong(to_row) * args.out_stride + part.first_column + output;
            out[to] = T(shared[i] + bias_at(part, output));
        }
    }
}

template [[host_name("linear_few_1_f32")]] [[kernel]] decltype(linear_few<float, 1>) linear_few<float, 1>;
template [[host_name("linear_few_1_f16")]] [[kernel]] decltype(linear_few<half, 1>) linear_few<half, 1>;
template [[host_name("linear_few_1_bf16")]] [[kernel]] decltype(linear_few<bfloat, 1>) linear_few<bfloat, 1>;
template [[host_name("linear_few_4_f32")]] [[kernel]] decltype(linear_few<float, 4>) linear_few<float, 4>;
template [[host_name("linear_few_4_f16")]] [[kernel]] decltype(linear_few<half, 4>) linear_few<half, 4>;
template [[host_name("linear_few_4_bf16")]] [[kernel]] decltype(linear_few<bfloat, 4>) linear_few<bfloat, 4>;
template [[host_name("gated_few_1_f32")]] [[kernel]] decltype(gated_few<float, 1>) gated_few<float, 1>;
template [[host_name("gated_few_1_f16")]] [[kernel]] decltype(gated_few<half, 1>) gated_few<half, 1>;
template [[host_name("gated_few_1_bf16")]] [[kernel]] decltype(gated_few<bfloat, 1>) gated_few<bfloat, 1>;
template [[host_name("gated_few_4_f32")]] [[kernel]] decltype(gated_few<float, 4>) gated_few<float, 4>;
template [[host_name("gated_few_4_f16")]] [[kernel]] decltype(gated_few<half, 4>) gated_few<half, 4>;
template [[host_name("gated_few_4_bf16")]] [[kernel]] decltype(gated_few<bfloat, 4>) gated_few<bfloat, 4>;
template [[host_name("linear_tile_f32")]] [[kernel]] decltype(linear_tile<float, float>) linear_tile<float, float>;
template [[host_name("linear_tile_f16")]] [[kernel]] decltype(linear_tile<half, half>) linear_tile<half, half>;
template [[host_name("linear_tile_bf16")]] [[kernel]] decltype(linear_tile<bfloat, float>) linear_tile<bfloat, float>;
