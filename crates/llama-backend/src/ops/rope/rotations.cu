// Cosines and sines of one step's positions. The angle is a product in f32, as the reference implementations have it;
// its cosine and sine are computed in f64 and rounded once.

extern "C" __global__ void
rotations(elem *cosines, elem *sines, const u32 *positions, const float *frequencies, int num_frequencies, int len) {
    release_next();
    await_previous();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < len) {
        const float angle = (float)positions[i / num_frequencies] * frequencies[i % num_frequencies];
        double s, c;
        sincos((double)angle, &s, &c);
        cosines[i] = narrow((float)c);
        sines[i] = narrow((float)s);
    }
}
