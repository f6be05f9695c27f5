// Attention of single rows, for decoding and short spans: positions are shared out among blocks and, inside a block, among
// groups of lanes, each of which keeps a running softmax of its own (Milakov and Gimelshein, arXiv:1805.02867; split over
// blocks as in Dao et al., Flash-Decoding). The parts are merged in a fixed order.
// HEAD: components of a head. STEP: components that a lane takes at once. LANES: lanes of a group, a power of two.
// STEPS: how often a lane takes STEP. QUERIES: query heads of a block, all of one KV head. THREADS: threads of a block.

#define GROUPS (THREADS / LANES)
#define PART (STEPS * STEP)

// A row of the batch: its span, and its position in the sequence.
struct Row {
    u32 span, position;
};

struct Span {
    u32 first_row, num_rows, first_position, first_block;
};

// The softmax of some positions, not yet divided: the largest score, the sum of exponentials, and the weighted values.
struct Running {
    float largest, sum;
    float mixed[PART];
};

__device__ __forceinline__ void scale(Running &running, float factor) {
    running.sum *= factor;
#pragma unroll
    for (int i = 0; i < PART; i++) {
        running.mixed[i] *= factor;
    }
}

// Scores of nothing have no largest: everything stays zero then.
__device__ __forceinline__ float factor_of(float largest, float new_largest) {
    return largest == -INFINITY ? 0.0f : __expf(largest - new_largest);
}

__device__ __forceinline__ void read(const elem *from, int lane, float (&values)[PART]) {
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        const int at = (step * LANES + lane) * STEP;
        const Vec<STEP> pack = at < HEAD ? load<STEP>(from + at) : Vec<STEP>{};
#pragma unroll
        for (int i = 0; i < STEP; i++) {
            values[step * STEP + i] = wide(pack.values[i]);
        }
    }
}

// One block: one row, QUERIES heads, one part of the row's positions. Writes the result if there is one part only, else what
// `merge` needs. Spans of `min_tiled` rows or more are another kernel's.
extern "C" __global__ void __launch_bounds__(THREADS)
attend_rows(elem *y, float *parts, const elem *q, const elem *keys, const elem *values,
    const Row *rows, const Span *spans, const u32 *tables,
    int num_heads, int num_kv_heads, int block_len, int window, int part_len, int min_tiled, float score_scale) {
    release_next();
    await_previous();
    __shared__ float shared[THREADS / 32][LANES * PART];
    __shared__ float shared_largest[THREADS / 32], shared_sum[THREADS / 32];
    const int part = blockIdx.z, num_parts = gridDim.z;
    const Row row = rows[blockIdx.x];
    const Span span = spans[row.span];
    if ((int)span.num_rows >= min_tiled) {
        return;
    }
    const int head = blockIdx.y * QUERIES, kv_head = head / (num_heads / num_kv_heads);
    const int group = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const u32 *table = tables + span.first_block;
    const int first_visible = window > 0 ? max((int)row.position + 1 - window, 0) : 0;
    const int first = first_visible + part * part_len, end = min(first + part_len, (int)row.position + 1);

    float query[QUERIES][PART];
    Running running[QUERIES];
#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
        read(q + ((u64)blockIdx.x * num_heads + head + i) * HEAD, lane, query[i]);
        running[i] = {-INFINITY, 0.0f, {}};
    }
    // Whole warps stay in the loop, because lanes exchange values.
#pragma unroll 2
    for (int base = first; base < end; base += GROUPS) {
        const int position = base + group;
        const bool is_visible = position < end;
        const int at = is_visible ? position : end - 1;
        const u64 slot = (u64)table[at / block_len] * block_len + at % block_len;
        const u64 offset = (slot * num_kv_heads + kv_head) * HEAD;
        float key[PART], value[PART];
        read(keys + offset, lane, key);
        read(values + offset, lane, value);
#pragma unroll
        for (int i = 0; i < QUERIES; i++) {
            float score = 0.0f;
#pragma unroll
            for (int j = 0; j < PART; j++) {
                score += query[i][j] * key[j];
            }
#pragma unroll
            for (int distance = LANES / 2; distance > 0; distance /= 2) {
                score += __shfl_xor_sync(EVERY_LANE, score, distance);
            }
            if (is_visible) {
                score *= score_scale;
                const float largest = fmaxf(running[i].largest, score);
                scale(running[i], factor_of(running[i].largest, largest));
                const float weight = __expf(score - largest);
                running[i].largest = largest;
                running[i].sum += weight;
#pragma unroll
                for (int j = 0; j < PART; j++) {
                    running[i].mixed[j] += weight * value[j];
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
        // The groups of a warp,
        float largest = running[i].largest;
#pragma unroll
        for (int distance = 16; distance >= LANES; distance /= 2) {
            largest = fmaxf(largest, __shfl_xor_sync(EVERY_LANE, largest, distance));
        }
        scale(running[i], factor_of(running[i].largest, largest));
#pragma unroll
        for (int distance = 16; distance >= LANES; distance /= 2) {
            running[i].sum += __shfl_xor_sync(EVERY_LANE, running[i].sum, distance);
#pragma unroll
            for (int j = 0; j < PART; j++) {
                running[i].mixed[j] += __shfl_xor_sync(EVERY_LANE, running[i].mixed[j], distance);
            }
        }
        // then the warps of the block.
        const int warp = threadIdx.x / 32;
        if (threadIdx.x % 32 < LANES) {
#pragma unroll
            for (int j = 0; j < PART; j++) {
                shared[warp][(j / STEP * LANES + lane) * STEP + j % STEP] = running[i].mixed[j];
            }
            shared_largest[warp] = largest;
            shared_sum[warp] = running[i].sum;
        }
        __syncthreads();
        float block_largest = -INFINITY, block_sum = 0.0f;
#pragma unroll
        for (int w = 0; w < THREADS / 32; w++) {
            block_largest = fmaxf(block_largest, shared_largest[w]);
        }
#pragma unroll
        for (int w = 0; w < THREADS / 32; w++) {
            block_sum += shared_sum[w] * factor_of(shared_largest[w], block_largest);
        }
        const u64 result = (u64)blockIdx.x * num_heads + head + i;
        for (int at = threadIdx.x; at < HEAD; at += THREADS) {
            float mixed = 0.0f;
#pragma unroll
            for (int w = 0; w < THREADS / 32; w++) {
                mixed += shared[w][at] * factor_of(shared_largest[w], block_largest);
            }
            if (num_parts == 1) {
                y[result * HEAD + at] = narrow(mixed / block_sum);
            } else {
                parts[(result * num_parts + part) * (HEAD + 2) + 2 + at] = mixed;
            }
        }
        if (num_parts > 1 && threadIdx.x == 0) {
            parts[(result * num_parts + part) * (HEAD + 2)] = block_largest;
            parts[(result * num_parts + part) * (HEAD + 2) + 1] = block_sum;
        }
        __syncthreads();
    }
}

// One block per row and head: joins the parts.
extern "C" __global__ void
merge(elem *y, const float *parts, const Row *rows, const Span *spans, int num_parts, int min_tiled) {
    release_next();
    await_previous();
    const Row row = rows[blockIdx.x];
    if ((int)spans[row.span].num_rows >= min_tiled) {
        return;
    }
    const u64 result = (u64)blockIdx.x * gridDim.y + blockIdx.y;
    const float *part = parts + result * num_parts * (HEAD + 2);
    float largest = -INFINITY, sum = 0.0f;
    for (int i = 0; i < num_parts; i++) {
        largest = fmaxf(largest, part[i * (HEAD + 2)]);
    }
    for (int i = 0; i < num_parts; i++) {
        sum += part[i * (HEAD + 2) + 1] * factor_of(part[i * (HEAD + 2)], largest);
    }
    for (int at = threadIdx.x; at < HEAD; at += blockDim.x) {
        float mixed = 0.0f;
        for (int i = 0; i < num_parts; i++) {
            mixed += part[i * (HEAD + 2) + 2 + at] * factor_of(part[i * (HEAD + 2)], largest);
        }
        y[result * HEAD + at] = narrow(mixed / sum);
    }
}
