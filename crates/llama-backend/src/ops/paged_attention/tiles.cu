// Attention of long spans on the tensor cores, for half types: a block takes TILE rows of one query head, reads the cache in
// tiles of as many positions, two of them in flight, and keeps scores and sums in registers (Dao, arXiv:2307.08691). Weights
// are rounded to the half type before they meet the values; sums are f32.
// HEAD: components of a head, a multiple of 16.

#define TILE 64
#define THREADS 128
// Shared lines are padded so that eight of them start in different banks.
#define LINE (HEAD + 8)
#define PER_LINE (HEAD / 8)
#define DIM_STEPS (HEAD / 16)
#define DIM_BLOCKS (HEAD / 8)
#define TILE_STEPS (TILE / 16)
#define TILE_BLOCKS (TILE / 8)

struct Span {
    u32 first_row, num_rows, first_position, first_block;
};

// Which positions of one sequence are where, and which of them rows see.
struct Sequence {
    const u32 *table;
    int block_len, len, window;
};

__device__ __forceinline__ u32 shared_address(const void *at) { return (u32)__cvta_generic_to_shared(at); }

// Starts to copy 16 bytes, or to clear them.
__device__ __forceinline__ void copy_async(elem *to, const elem *from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
        :: "r"(shared_address(to)), "l"(from), "r"(is_there ? 16 : 0) : "memory");
}

__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int PENDING>
__device__ __forceinline__ void await_all_but() {
    asm volatile("cp.async.wait_group %0;" :: "n"(PENDING) : "memory");
}

__device__ __forceinline__ void load_matrices(u32 (&words)[4], const elem *line) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3]) : "r"(shared_address(line)) : "memory");
}

__device__ __forceinline__ void load_transposed(u32 (&words)[4], const elem *line) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3]) : "r"(shared_address(line)) : "memory");
}

#if defined(ELEM_F16)
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
#else
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#endif

// sums += a b, with a of 16 x 16 and b of 16 x 8.
__device__ __forceinline__ void multiply_add(float (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile(MMA " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts to copy the heads of TILE positions.
__device__ __forceinline__ void copy_tile(elem *to, const elem *cache, const Sequence &sequence, int first,
    int kv_head, int num_kv_heads) {
#pragma unroll
    for (int i = threadIdx.x; i < TILE * PER_LINE; i += THREADS) {
        const int line = i / PER_LINE, at = i % PER_LINE * 8, position = first + line;
        const bool is_there = position < sequence.len;
        const int known = is_there ? position : 0;
        const u64 slot = (u64)sequence.table[known / sequence.block_len] * sequence.block_len + known % sequence.block_len;
        copy_async(to + line * LINE + at, cache + (slot * num_kv_heads + kv_head) * HEAD + at, is_there);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
attend_tiles(elem *y, const elem *q, const elem *keys, const elem *values, const Span *spans, const u32 *tables,
    int num_heads, int num_kv_heads, int block_len, int window, int min_tiled, float score_scale) {
    release_next();
    await_previous();
    extern __shared__ __align__(16) elem shared[];
    elem *const shared_q = shared, *const shared_k = shared + TILE * LINE, *const shared_v = shared + 3 * TILE * LINE;
    const Span span = spans[blockIdx.z];
    // The last rows see most, so they start first.
    const int tile_row = (int)(gridDim.x - 1 - blockIdx.x) * TILE, num_rows = span.num_rows;
    if (num_rows < min_tiled || tile_row >= num_rows) {
        return;
    }
    const int head = blockIdx.y, kv_head = head / (num_heads / num_kv_heads);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first_position = (int)span.first_position + tile_row;
    const int len = min(first_position + TILE, (int)span.first_position + num_rows);
    const Sequence sequence = {tables + span.first_block, block_len, len, window};
    const int first_seen = window > 0 ? max(first_position + 1 - window, 0) : 0;
    const int first_tile = first_seen / TILE, end_tile = (len + TILE - 1) / TILE;

    for (int i = threadIdx.x; i < TILE * PER_LINE; i += THREADS) {
        const int line = i / PER_LINE, at = i % PER_LINE * 8, row = min(tile_row + line, num_rows - 1);
        copy_async(shared_q + line * LINE + at, q + ((u64)(span.first_row + row) * num_heads + head) * HEAD + at, true);
    }
    copy_tile(shared_k, keys, sequence, first_tile * TILE, kv_head, num_kv_heads);
    copy_tile(shared_v, values, sequence, first_tile * TILE, kv_head, num_kv_heads);
    commit();

    u32 queries[DIM_STEPS][4];
    float mixed[DIM_BLOCKS][4] = {};
    // A lane holds two rows' values: those of row lane / 4, and of the row eight further.
    float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
    const int position[2] = {first_position + warp * 16 + lane / 4, first_position + warp * 16 + lane / 4 + 8};
    const int matrix = lane / 8, matrix_line = lane % 8;
    const float scale = score_scale * 1.44269504f; // exponentials are powers of two

    for (int tile = first_tile; tile < end_tile; tile++) {
        const int stage = (tile - first_tile) % 2;
        const elem *tile_k = shared_k + stage * TILE * LINE, *tile_v = shared_v + stage * TILE * LINE;
        if (tile + 1 < end_tile) {
            copy_tile(shared_k + (stage ^ 1) * TILE * LINE, keys, sequence, (tile + 1) * TILE, kv_head, num_kv_heads);
            copy_tile(shared_v + (stage ^ 1) * TILE * LINE, values, sequence, (tile + 1) * TILE, kv_head, num_kv_heads);
            commit();
            await_all_but<1>();
        } else {
            await_all_but<0>();
        }
        __syncthreads();
        if (tile == first_tile) {
#pragma unroll
            for (int step = 0; step < DIM_STEPS; step++) {
                const int line = warp * 16 + matrix % 2 * 8 + matrix_line;
                load_matrices(queries[step], shared_q + line * LINE + step * 16 + matrix / 2 * 8);
            }
        }
        float scores[TILE_BLOCKS][4] = {};
#pragma unroll
        for (int step = 0; step < DIM_STEPS; step++) {
#pragma unroll
            for (int pair = 0; pair < TILE_BLOCKS / 2; pair++) {
                u32 k[4];
                load_matrices(k, tile_k + (pair * 16 + matrix / 2 * 8 + matrix_line) * LINE + step * 16 + matrix % 2 * 8);
                multiply_add(scores[2 * pair], queries[step], k[0], k[1]);
                multiply_add(scores[2 * pair + 1], queries[step], k[2], k[3]);
            }
        }
        const bool is_whole = (tile + 1) * TILE - 1 <= first_position
            && (window == 0 || tile * TILE > first_position + TILE - 1 - window);
        float tile_largest[2] = {largest[0], largest[1]};
#pragma unroll
        for (int block = 0; block < TILE_BLOCKS; block++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int other = tile * TILE + block * 8 + lane % 4 * 2 + i % 2, own = position[i / 2];
                if (!is_whole && (other > own || (window > 0 && other <= own - window))) {
                    scores[block][i] = -INFINITY;
                }
                tile_largest[i / 2] = fmaxf(tile_largest[i / 2], scores[block][i]);
            }
        }
        float factor[2], shift[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            tile_largest[i] = fmaxf(tile_largest[i], __shfl_xor_sync(EVERY_LANE, tile_largest[i], 1));
            tile_largest[i] = fmaxf(tile_largest[i], __shfl_xor_sync(EVERY_LANE, tile_largest[i], 2));
            // A row that has seen nothing yet has no largest score.
            shift[i] = tile_largest[i] == -INFINITY ? 0.0f : tile_largest[i] * scale;
            factor[i] = exp2f(largest[i] * scale - shift[i]);
            largest[i] = tile_largest[i];
            sum[i] *= factor[i];
        }
#pragma unroll
        for (int block = 0; block < DIM_BLOCKS; block++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                mixed[block][i] *= factor[i / 2];
            }
        }
#pragma unroll
        for (int block = 0; block < TILE_BLOCKS; block++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scores[block][i] = exp2f(scores[block][i] * scale - shift[i / 2]);
                sum[i / 2] += scores[block][i];
            }
        }
#pragma unroll
        for (int step = 0; step < TILE_STEPS; step++) {
            const float(&left)[4] = scores[2 * step], (&right)[4] = scores[2 * step + 1];
            const u32 weights[4] = {narrow_pair(left[0], left[1]), narrow_pair(left[2], left[3]),
                narrow_pair(right[0], right[1]), narrow_pair(right[2], right[3])};
#pragma unroll
            for (int pair = 0; pair < DIM_BLOCKS / 2; pair++) {
                u32 v[4];
                load_transposed(v, tile_v + (step * 16 + matrix % 2 * 8 + matrix_line) * LINE + pair * 16 + matrix / 2 * 8);
                multiply_add(mixed[2 * pair], weights, v[0], v[1]);
                multiply_add(mixed[2 * pair + 1], weights, v[2], v[3]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        sum[i] += __shfl_xor_sync(EVERY_LANE, sum[i], 1);
        sum[i] += __shfl_xor_sync(EVERY_LANE, sum[i], 2);
        const int row = tile_row + warp * 16 + lane / 4 + i * 8;
        if (row < num_rows) {
            elem *to = y + ((u64)(span.first_row + row) * num_heads + head) * HEAD + lane % 4 * 2;
#pragma unroll
            for (int block = 0; block < DIM_BLOCKS; block++) {
                const u32 pair = narrow_pair(mixed[block][2 * i] / sum[i], mixed[block][2 * i + 1] / sum[i]);
                *reinterpret_cast<u32 *>(to + block * 8) = pair;
            }
        }
    }
}
