// Causal attention over the paged cache. Rows of short spans: one threadgroup per row, head and chunk of positions,
// chunks merged by a second kernel. Rows of long spans: tiles of query rows as simdgroup matrices.
// Scores, weights and sums are in float. Slots outside of what a row sees are never read.

constant ushort cache_format [[function_constant(0)]];

struct AttentionArgs {
    uint num_heads;
    uint num_kv_heads;
    uint head_dim;
    uint block_len;
    uint q_row_stride;
    uint q_head_stride;
    uint window;
    uint num_chunks;
    uint chunk_len;
    uint min_tile_rows;
    float scale;
    uint padding;
};

// A span as the host lays it out.
struct Span {
    uint first_row;
    uint num_rows;
    uint first_position;
    uint first_block;
};

inline Span span_at(device const uint *spans, uint idx) {
    Span span;
    span.first_row = spans[idx * 4];
    span.num_rows = spans[idx * 4 + 1];
    span.first_position = spans[idx * 4 + 2];
    span.first_block = spans[idx * 4 + 3];
    return span;
}

// First element of a head in the cache, of the token at `position`.
inline ulong cached_at(device const uint *table, uint position, uint kv_head, constant AttentionArgs &args) {
    const ulong slot = ulong(table[position / args.block_len]) * args.block_len + position % args.block_len;
    return (slot * args.num_kv_heads + kv_head) * args.head_dim;
}

// First position that the row at `position` sees.
inline uint first_visible(uint position, uint window) {
    return window != 0 && position + 1 > window ? position + 1 - window : 0;
}

#define ROW_SIMDGROUPS 4

// Positions are dealt to four simdgroups; a lane has the components `lane`, `lane + 32` and so on, at most `Parts`.
// A partial result is the largest score, the sum of weights, and the weighted sum of values.
template <typename T, int Parts>
[[kernel]] void attend_rows(
    device const T *q [[buffer(0)]],
    device const uchar *keys [[buffer(1)]],
    device const uchar *values [[buffer(2)]],
    device const uint *rows [[buffer(3)]],
    device const uint *spans [[buffer(4)]],
    device const uint *blocks [[buffer(5)]],
    device T *out [[buffer(6)]],
    device float *partials [[buffer(7)]],
    constant AttentionArgs &args [[buffer(8)]],
    threadgroup float *shared [[threadgroup(0)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]],
    uint simd_idx [[simdgroup_index_in_threadgroup]]) {
    const ushort format = cache_format;
    const uint dim = args.head_dim;
    const uint head = group.x;
    const uint row = group.y;
    const Span span = span_at(spans, rows[row * 2]);
    if (span.num_rows >= args.min_tile_rows) {
        return; // the tiles' work
    }
    const uint position = rows[row * 2 + 1];
    const uint begin = max(first_visible(position, args.window), group.z * args.chunk_len);
    const uint end = min(position + 1, (group.z + 1) * args.chunk_len);
    const uint kv_head = head / (args.num_heads / args.num_kv_heads);
    device const uint *table = blocks + span.first_block;

    float query[Parts];
    float mixed[Parts];
    device const T *from = q + ulong(row) * args.q_row_stride + ulong(head) * args.q_head_stride;
    for (uint i = 0; i < Parts; i++) {
        query[i] = lane + i * 32 < dim ? float(from[lane + i * 32]) * args.scale : 0.0f;
        mixed[i] = 0.0f;
    }
    float largest = -INFINITY;
    float sum = 0.0f;
    for (uint at = begin + simd_idx; at < end; at += ROW_SIMDGROUPS) {
        const ulong first = cached_at(table, at, kv_head, args);
        float product = 0.0f;
        for (uint i = 0; i < Parts; i++) {
            if (lane + i * 32 < dim) {
                product = fma(query[i], stored_dense(format, keys, first + lane + i * 32), product);
            }
        }
        const float score = simd_sum(product);
        const float larger = max(largest, score);
        const float kept = exp(largest - larger);
        const float weight = exp(score - larger);
        sum = fma(sum, kept, weight);
        for (uint i = 0; i < Parts; i++) {
            if (lane + i * 32 < dim) {
                const float value = stored_dense(format, values, first + lane + i * 32);
                mixed[i] = fma(mixed[i], kept, weight * value);
            }
        }
        largest = larger;
    }

    // The simdgroups' results, in their order.
    threadgroup float *own = shared + simd_idx * (dim + 2);
    if (lane == 0) {
        own[0] = largest;
        own[1] = sum;
    }
    for (uint i = 0; i < Parts; i++) {
        if (lane + i * 32 < dim) {
            own[2 + lane + i * 32] = mixed[i];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simd_idx != 0) {
        return;
    }
    float top = -INFINITY;
    for (uint s = 0; s < ROW_SIMDGROUPS; s++) {
        top = max(top, shared[s * (dim + 2)]);
    }
    float total = 0.0f;
    for (uint i = 0; i < Parts; i++) {
        mixed[i] = 0.0f;
    }
    for (uint s = 0; s < ROW_SIMDGROUPS; s++) {
        threadgroup const float *other = shared + s * (dim + 2);
        if (other[1] > 0.0f) {
            const float kept = exp(other[0] - top);
            total = fma(other[1], kept, total);
            for (uint i = 0; i < Parts; i++) {
                if (lane + i * 32 < dim) {
                    mixed[i] = fma(other[2 + lane + i * 32], kept, mixed[i]);
                }
            }
        }
    }
    const ulong result = ulong(row) * args.num_heads + head;
    if (args.num_chunks == 1) {
        for (uint i = 0; i < Parts; i++) {
            if (lane + i * 32 < dim) {
                out[result * dim + lane + i * 32] = T(mixed[i] / total);
            }
        }
        return;
    }
    device float *partial = partials + (result * args.num_chunks + group.z) * (dim + 2);
    if (lane == 0) {
        partial[0] = top;
        partial[1] = total;
    }
    for (uint i = 0; i < Parts; i++) {
        if (lane + i * 32 < dim) {
            partial[2 + lane + i * 32] = mixed[i];
        }
    }
}

// Merges the chunks of a row and head, in their order.
template <typename T>
[[kernel]] void merge_chunks(
    device const float *partials [[buffer(0)]],
    device const uint *rows [[buffer(1)]],
    device const uint *spans [[buffer(2)]],
    device T *out [[buffer(3)]],
    constant AttentionArgs &args [[buffer(4)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_threadgroup]]) {
    const uint dim = args.head_dim;
    if (span_at(spans, rows[group.y * 2]).num_rows >= args.min_tile_rows) {
        return;
    }
    const ulong result = ulong(group.y) * args.num_heads + group.x;
    device const float *own = partials + result * args.num_chunks * (dim + 2);
    float top = -INFINITY;
    for (uint chunk = 0; chunk < args.num_chunks; chunk++) {
        top = max(top, own[chunk * (dim + 2)]);
    }
    for (uint i = lane; i < dim; i += 32) {
        float total = 0.0f;
        float mixed = 0.0f;
        for (uint chunk = 0; chunk < args.num_chunks; chunk++) {
            device const float *partial = own + chunk * (dim + 2);
            if (partial[1] > 0.0f) {
                const float kept = exp(partial[0] - top);
                total = fma(partial[1], kept, total);
                mixed = fma(partial[2 + i], kept, mixed);
            }
        }
        out[result * dim + i] = T(mixed / total);
    }
}

// Copies keys or values of positions from `begin` to `tile`; zeros where no row of the tile may look.
template <int Dim, int Keys>
inline void load_cached(
    ushort format,
    device const uchar *cache,
    device const uint *table,
    uint3 begin_first_last,
    uint kv_head,
    constant AttentionArgs &args,
    threadgroup float *tile,
    uint2 thread_of) {
    for (uint i = thread_of.x; i < Keys * Dim; i += thread_of.y) {
        const uint position = begin_first_last.x + i / Dim;
        const bool is_seen = position >= begin_first_last.y && position <= begin_first_last.z;
        tile[i] = is_seen ? stored_dense(format, cache, cached_at(table, position, kv_head, args) + i % Dim) : 0.0f;
    }
}

// Query rows in tiles of eight for each simdgroup, keys in tiles of `Keys`, softmax as the keys pass
// (Dao et al., arXiv:2205.14135).
template <typename T, int Dim, int Simdgroups, int Keys>
[[kernel]] void attend_tile(
    device const T *q [[buffer(0)]],
    device const uchar *keys [[buffer(1)]],
    device const uchar *values [[buffer(2)]],
    device const uint *spans [[buffer(3)]],
    device const uint *blocks [[buffer(4)]],
    device T *out [[buffer(5)]],
    constant AttentionArgs &args [[buffer(6)]],
    threadgroup float *shared [[threadgroup(0)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_idx [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simd_idx [[simdgroup_index_in_threadgroup]]) {
    const ushort format = cache_format;
    const uint head = group.y;
    const Span span = span_at(spans, group.z);
    const uint tile_row = group.x * Simdgroups * 8;
    if (span.num_rows < args.min_tile_rows || tile_row >= span.num_rows) {
        return;
    }
    const uint2 thread_of = uint2(thread_idx, Simdgroups * 32);
    const uint kv_head = head / (args.num_heads / args.num_kv_heads);
    device const uint *table = blocks + span.first_block;
    threadgroup float *queries = shared;                           // [rows, Dim]
    threadgroup float *cached = queries + Simdgroups * 8 * Dim;    // [Keys, Dim]
    threadgroup float *scores = cached + Keys * Dim + simd_idx * 8 * Keys;                       // [8, Keys]
    threadgroup float *diagonal = cached + Keys * Dim + Simdgroups * 8 * Keys + simd_idx * 64;   // [8, 8]
    threadgroup float *own = queries + simd_idx * 8 * Dim;         // this simdgroup's rows

    for (uint i = thread_idx; i < Simdgroups * 8 * Dim; i += Simdgroups * 32) {
        const uint row = tile_row + i / Dim;
        queries[i] = 0.0f;
        if (row < span.num_rows) {
            const ulong at = ulong(span.first_row + row) * args.q_row_stride + ulong(head) * args.q_head_stride;
            queries[i] = float(q[at + i % Dim]) * args.scale;
        }
    }
    for (uint i = lane; i < 64; i += 32) {
        diagonal[i] = 0.0f;
    }
    simdgroup_matrix<float, 8, 8> mixed[Dim / 8];
    for (uint i = 0; i < Dim / 8; i++) {
        mixed[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    }

    // Four lanes share a row of scores.
    const uint lane_row = lane / 4;
    const uint lane_key = lane % 4 * (Keys / 4);
    const uint position = span.first_position + tile_row + simd_idx * 8 + lane_row;
    const uint row_begin = first_visible(position, args.window);
    const uint first = first_visible(span.first_position + tile_row, args.window);
    const uint last = span.first_position + min(tile_row + Simdgroups * 8, span.num_rows) - 1;
    float largest = -INFINITY;
    float sum = 0.0f;
    for (uint begin = first / Keys * Keys; begin <= last; begin += Keys) {
        const uint3 begin_first_last = uint3(begin, first, last);
        threadgroup_barrier(mem_flags::mem_threadgroup); // queries are there; the last values are done with
        load_cached<Dim, Keys>(format, keys, table, begin_first_last, kv_head, args, cached, thread_of);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint j = 0; j < Keys / 8; j++) {
            simdgroup_matrix<float, 8, 8> products = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            for (uint i = 0; i < Dim; i += 8) {
                simdgroup_matrix<float, 8, 8> a;
                simdgroup_matrix<float, 8, 8> b;
                simdgroup_load(a, own + i, Dim);
                simdgroup_load(b, cached + j * 8 * Dim + i, Dim, ulong2(0, 0), true);
                simdgroup_multiply_accumulate(products, a, b, products);
            }
            simdgroup_store(products, scores + j * 8, Keys);
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);

        float larger = largest;
        for (uint i = 0; i < Keys / 4; i++) {
            const uint at = begin + lane_key + i;
            if (at >= row_begin && at <= position) {
                larger = max(larger, scores[lane_row * Keys + lane_key + i]);
            }
        }
        larger = max(larger, simd_shuffle_xor(larger, 1));
        larger = max(larger, simd_shuffle_xor(larger, 2));
        const float kept = largest == -INFINITY ? 0.0f : exp(largest - larger);
        float added = 0.0f;
        for (uint i = 0; i < Keys / 4; i++) {
            const uint at = begin + lane_key + i;
            const bool is_seen = at >= row_begin && at <= position;
            const float weight = is_seen ? exp(scores[lane_row * Keys + lane_key + i] - larger) : 0.0f;
            scores[lane_row * Keys + lane_key + i] = weight;
            added += weight;
        }
        added += simd_shuffle_xor(added, 1);
        added += simd_shuffle_xor(added, 2);
        sum = fma(sum, kept, added);
        largest = larger;
        if (lane % 4 == 0) {
            diagonal[lane_row * 9] = kept;
        }

        threadgroup_barrier(mem_flags::mem_threadgroup); // the keys are done with
        load_cached<Dim, Keys>(format, values, table, begin_first_last, kv_head, args, cached, thread_of);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_matrix<float, 8, 8> factors;
        simdgroup_load(factors, diagonal, 8);
        for (uint i = 0; i < Dim / 8; i++) {
            simdgroup_multiply(mixed[i], factors, mixed[i]);
            for (uint j = 0; j < Keys / 8; j++) {
                simdgroup_matrix<float, 8, 8> a;
                simdgroup_matrix<float, 8, 8> b;
                simdgroup_load(a, scores + j * 8, Keys);
                simdgroup_load(b, cached + j * 8 * Dim + i * 8, Dim);
                simdgroup_multiply_accumulate(mixed[i], a, b, mixed[i]);
            }
        }
    }

    simdgroup_barrier(mem_flags::mem_threadgroup);
    if (lane % 4 == 0) {
        diagonal[lane_row * 9] = sum > 0.0f ? 1.0f / sum : 0.0f; // rows behind the span's end
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_matrix<float, 8, 8> inverse;
    simdgroup_load(inverse, diagonal, 8);
    for (uint i = 0; i < Dim / 8; i++) {
        simdgroup_multiply(mixed[i], inverse, mixed[i]);
        simdgroup_store(mixed[i], own + i * 8, Dim);
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = lane; i < 8 * Dim; i += 32) {
        const uint row = tile_row + simd_idx * 8 + i / Dim;
        if (row < span.num_rows) {
            out[(ulong(span.first_row + row) * args.num_heads + head) * Dim + i % Dim] = T(own[i]);
        }
    }
}

template [[host_name("attend_rows_1_f32")]] [[kernel]] decltype(attend_rows<float, 1>) attend_rows<float, 1>;
template [[host_name("attend_rows_1_f16")]] [[kernel]] decltype(attend_rows<half, 1>) attend_rows<half, 1>;
template [[host_name("attend_rows_1_bf16")]] [[kernel]] decltype(attend_rows<bfloat, 1>) attend_rows<bfloat, 1>;
template [[host_name("attend_rows_2_f32")]] [[kernel]] decltype(attend_rows<float, 2>) attend_rows<float, 2>;
template [[host_name("attend_rows_2_f16")]] [[kernel]] decltype(attend_rows<half, 2>) attend_rows<half, 2>;
template [[host_name("attend_rows_2_bf16")]] [[kernel]] decltype(attend_rows<bfloat, 2>) attend_rows<bfloat, 2>;
template [[host_name("attend_rows_4_f32")]] [[kernel]] decltype(attend_rows<float, 4>) attend_rows<float, 4>;
template [[host_name("attend_rows_4_f16")]] [[kernel]] decltype(attend_rows<half, 4>) attend_rows<half, 4>;
template [[host_name("attend_rows_4_bf16")]] [[kernel]] decltype(attend_rows<bfloat, 4>) attend_rows<bfloat, 4>;
template [[host_name("attend_rows_8_f32")]] [[kernel]] decltype(attend_rows<float, 8>) attend_rows<float, 8>;
template [[host_name("attend_rows_8_f16")]] [[kernel]] decltype(attend_rows<half, 8>) attend_rows<half, 8>;
template [[host_name("attend_rows_8_bf16")]] [[kernel]] decltype(attend_rows<bfloat, 8>) attend_rows<bfloat, 8>;
template [[host_name("merge_chunks_f32")]] [[kernel]] decltype(merge_chunks<float>) merge_chunks<float>;
template [[host_name("merge_chunks_f16")]] [[kernel]] decltype(merge_chunks<half>) merge_chunks<half>;
template [[host_name("merge_chunks_bf16")]] [[kernel]] decltype(merge_chunks<bfloat>) merge_chunks<bfloat>;

#define TILES(dim, simdgroups, keys) \
    template [[host_name("attend_tile_" #dim "_f32")]] [[kernel]] \
    decltype(attend_tile<float, dim, simdgroups, keys>) attend_tile<float, dim, simdgroups, keys>; \
    template [[host_name("attend_tile_" #dim "_f16")]] [[kernel]] \
    decltype(attend_tile<half, dim, simdgroups, keys>) attend_tile<half, dim, simdgroups, keys>; \
    template [[host_name("attend_tile_" #dim "_bf16")]] [[kernel]] \
    decltype(attend_tile<bfloat, dim, simdgroups, keys>) attend_tile<bfloat, dim, simdgroups, keys>;
TILES(32, 4, 16)
TILES(64, 4, 16)
TILES(80, 4, 16)
TILES(96, 4, 16)
TILES(128, 4, 16)
TILES(256, 2, 8)
