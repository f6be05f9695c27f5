// Products of few rows with weights as they lie: each block reads LINES lines of a weight once, for all rows.
// Sums run over the same lanes in the same order whatever TOKENS is.
// WIDTH: input features, a multiple of PACK. TOKENS: rows that one pass takes. `few` joins up to three weights, side by side
// in the output; `few_gated` multiplies the activated product of one with that of another.

#define THREADS 128
#define WARPS (THREADS / 32)
#define LINES 4
#define STEP (THREADS * PACK)


// What a thread reads of each line at once.
struct Packs {
    uint4 of[LINES];
};

__device__ __forceinline__ Packs read(const elem *const (&lines)[LINES], int at) {
    Packs packs = {};
    if (at < WIDTH) {
#pragma unroll
        for (int line = 0; line < LINES; line++) {
            packs.of[line] = __ldcs(reinterpret_cast<const uint4 *>(lines[line] + at));
        }
    }
    return packs;
}

// The products of all rows with these lines of a weight, complete in the threads whose index is below TOKENS * LINES.
__device__ __forceinline__ float products(const elem *const (&lines)[LINES], const elem *x, int num_rows) {
    __shared__ float partial[WARPS][TOKENS * LINES];
    float sums[TOKENS][LINES] = {};
    // Two reads ahead; the first do not wait for the kernel that writes `x`.
    const int first = threadIdx.x * PACK;
    Packs next = read(lines, first), after_next = read(lines, first + STEP);
    release_next();
    await_previous();
#pragma unroll 4
    for (int at = first; at < WIDTH; at += STEP) {
        float weights[LINES][PACK];
#pragma unroll
        for (int line = 0; line < LINES; line++) {
            widen(next.of[line], weights[line]);
        }
        next = after_next;
        after_next = read(lines, at + 2 * STEP);
#pragma unroll
        for (int row = 0; row < TOKENS; row++) {
            if (row < num_rows) {
                float input[PACK];
                widen(*reinterpret_cast<const uint4 *>(x + row * WIDTH + at), input);
#pragma unroll
                for (int line = 0; line < LINES; line++) {
#pragma unroll
                    for (int i = 0; i < PACK; i++) {
                        sums[row][line] += weights[line][i] * input[i];
                    }
                }
            }
        }
    }
#pragma unroll
    for (int row = 0; row < TOKENS; row++) {
#pragma unroll
        for (int line = 0; line < LINES; line++) {
            const float sum = warp_sum(sums[row][line]);
            if (threadIdx.x % 32 == 0) {
                partial[threadIdx.x / 32][row * LINES + line] = sum;
            }
        }
    }
    __syncthreads();
    float total = 0.0f;
    if (threadIdx.x < TOKENS * LINES) {
#pragma unroll
        for (int warp = 0; warp < WARPS; warp++) {
            total += partial[warp][threadIdx.x];
        }
    }
    return total;
}

// Of up to three weights [num_lines, WIDTH], which the blocks share out in order. A bias may be null.
extern "C" __global__ void __launch_bounds__(THREADS)
few(elem *y, const elem *x, int num_rows,
    const elem *weight0, const elem *bias0, int num_lines0,
    const elem *weight1, const elem *bias1, int num_lines1,
    const elem *weight2, const elem *bias2, int num_lines2) {
    const int num_blocks0 = (num_lines0 + LINES - 1) / LINES, num_blocks1 = (num_lines1 + LINES - 1) / LINES;
    int block = blockIdx.x, column = 0, num_lines = num_lines0;
    const elem *weight = weight0, *bias = bias0;
    if (block >= num_blocks0 + num_blocks1) {
        block -= num_blocks0 + num_blocks1;
        column = num_lines0 + num_lines1;
        weight = weight2;
        bias = bias2;
        num_lines = num_lines2;
    } else if (block >= num_blocks0) {
        block -= num_blocks0;
        column = num_lines0;
        weight = weight1;
        bias = bias1;
        num_lines = num_lines1;
    }
    const elem *lines[LINES];
#pragma unroll
    for (int line = 0; line < LINES; line++) {
        lines[line] = weight + (u64)min(block * LINES + line, num_lines - 1) * WIDTH;
    }
    const float product = products(lines, x, num_rows);
    const int row = threadIdx.x / LINES, line = block * LINES + threadIdx.x % LINES;
    if (row < min(num_rows, TOKENS) && line < num_lines) {
        const u64 at = (u64)row * (num_lines0 + num_lines1 + num_lines2) + column + line;
        y[at] = narrow(product + (bias != nullptr ? wide(bias[line]) : 0.0f));
    }
}

// Half of the lines of a block are the gate's, the others those that they gate.
extern "C" __global__ void __launch_bounds__(THREADS)
few_gated(elem *y, const elem *x, int num_rows,
    const elem *gate, const elem *gate_bias, const elem *up, const elem *up_bias, int num_lines) {
    __shared__ float results[TOKENS * LINES];
    constexpr int PAIRS = LINES / 2;
    const int first = blockIdx.x * PAIRS;
    const elem *lines[LINES];
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) {
        const u64 line = min(first + pair, num_lines - 1);
        lines[pair] = gate + line * WIDTH;
        lines[PAIRS + pair] = up + line * WIDTH;
    }
    const float product = products(lines, x, num_rows);
    if (threadIdx.x < TOKENS * LINES) {
        results[threadIdx.x] = product;
    }
    __syncthreads();
    const int row = threadIdx.x / PAIRS, pair = threadIdx.x % PAIRS, line = first + pair;
    if (row < min(num_rows, TOKENS) && line < num_lines) {
        const float gated = results[row * LINES + pair] + (gate_bias != nullptr ? wide(gate_bias[line]) : 0.0f);
        const float passed = results[row * LINES + PAIRS + pair] + (up_bias != nullptr ? wide(up_bias[line]) : 0.0f);
        y[(u64)row * num_lines + line] = narrow(silu(gated) * passed);
    }
}
