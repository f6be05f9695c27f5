// One thread per rotated pair, with any strides of rows and heads.
// HEAD: components of a head. LAYOUT_PAIRS: components 2i and 2i + 1 make a pair, instead of i and i + HEAD / 2.

extern "C" __global__ void
rope(elem *y, const elem *x, const elem *cosines, const elem *sines, int num_heads, int row_stride, int head_stride) {
    release_next();
    await_previous();
    const int row = blockIdx.x;
    for (int i = threadIdx.x; i < num_heads * (HEAD / 2); i += blockDim.x) {
        const int head = i / (HEAD / 2), pair = i % (HEAD / 2);
#if LAYOUT_PAIRS
        const int first = 2 * pair, second = 2 * pair + 1;
#else
        const int first = pair, second = pair + HEAD / 2;
#endif
        const elem *from = x + (u64)row * row_stride + (u64)head * head_stride;
        elem *to = y + ((u64)row * num_heads + head) * HEAD;
        const float c = wide(cosines[(u64)row * (HEAD / 2) + pair]);
        const float s = wide(sines[(u64)row * (HEAD / 2) + pair]);
        const float a = wide(from[first]), b = wide(from[second]);
        to[first] = narrow(a * c - b * s);
        to[second] = narrow(a * s + b * c);
    }
}
