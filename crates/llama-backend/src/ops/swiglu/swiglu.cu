// The first half of a row gates the second.
// STEP: values that a thread takes at once; a divisor of `width`.

extern "C" __global__ void swiglu(elem *y, const elem *gate_up, int width) {
    release_next();
    await_previous();
    const int at = (blockIdx.y * blockDim.x + threadIdx.x) * STEP;
    if (at < width) {
        const elem *row = gate_up + (u64)blockIdx.x * 2 * width;
        const Vec<STEP> gate = load<STEP>(row + at), up = load<STEP>(row + width + at);
        Vec<STEP> result;
#pragma unroll
        for (int i = 0; i < STEP; i++) {
            result.values[i] = narrow(silu(wide(gate.values[i])) * wide(up.values[i]));
        }
        store(y + (u64)blockIdx.x * width + at, result);
    }
}
