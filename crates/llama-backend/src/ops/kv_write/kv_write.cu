// One block per row: copies its heads to the row's slot.

extern "C" __global__ void
kv_write(elem *cache, const elem *rows, const u32 *slots, int num_heads, int head_len, int row_stride, int head_stride) {
    release_next();
    await_previous();
    const int row = blockIdx.x;
    elem *to = cache + (u64)slots[row] * num_heads * head_len;
    for (int i = threadIdx.x; i < num_heads * head_len; i += blockDim.x) {
        to[i] = rows[(u64)row * row_stride + (u64)(i / head_len) * head_stride + i % head_len];
    }
}
