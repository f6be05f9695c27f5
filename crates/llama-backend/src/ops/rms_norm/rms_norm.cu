// One block per row: the sum of squares in f32, then the row scaled. The scaled value is rounded before it meets the
// weight, as the definition does.
// WIDTH: components of a row. THREADS: threads of a block.

extern "C" __global__ void __launch_bounds__(THREADS)
rms_norm(elem *y, const elem *x, const elem *weight, float eps, int num_inner, int outer_stride, int inner_stride) {
    release_next();
    await_previous();
    __shared__ float sums[THREADS / 32];
    const int row = blockIdx.x;
    x += (u64)(row / num_inner) * outer_stride + (u64)(row % num_inner) * inner_stride;
    y += (u64)row * WIDTH;
    constexpr int PER_THREAD = (WIDTH + THREADS - 1) / THREADS;
    float values[PER_THREAD];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
        const int at = i * THREADS + threadIdx.x;
        values[i] = at < WIDTH ? wide(x[at]) : 0.0f;
        sum += values[i] * values[i];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
        sums[threadIdx.x / 32] = sum;
    }
    __syncthreads();
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < THREADS / 32; i++) {
        total += sums[i];
    }
    const float scale = 1.0f / sqrtf(total / WIDTH + eps);
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
        const int at = i * THREADS + threadIdx.x;
        if (at < WIDTH) {
            y[at] = narrow(wide(narrow(values[i] * scale)) * wide(weight[at]));
        }
    }
}
