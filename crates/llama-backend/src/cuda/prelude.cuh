// What every kernel here builds on. NVRTC brings no headers, so half types are bits that are converted by hand.
// ELEM_F32, ELEM_F16 or ELEM_BF16 says what tensors hold; sums are always f32.

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EVERY_LANE 0xffffffffu
#define INFINITY __int_as_float(0x7f800000)

#if defined(ELEM_F32)

typedef float elem;

__device__ __forceinline__ float wide(elem x) { return x; }

__device__ __forceinline__ elem narrow(float x) { return x; }

#else

typedef u16 elem;

#if defined(ELEM_F16)

__device__ __forceinline__ float wide(elem x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}

__device__ __forceinline__ elem narrow(float x) {
    elem y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

// Two values in one register, the first in the lower half.
__device__ __forceinline__ u32 narrow_pair(float first, float second) {
    u32 y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(second), "f"(first));
    return y;
}

#else

__device__ __forceinline__ float wide(elem x) { return __uint_as_float((u32)x << 16); }

__device__ __forceinline__ elem narrow(float x) {
    elem y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

// Two values in one register, the first in the lower half.
__device__ __forceinline__ u32 narrow_pair(float first, float second) {
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(second), "f"(first));
    return y;
}

#endif
#endif

// Where the GPU can (Hopper and later), a kernel starts while the one before it still runs. Each says at its start that the
// next may start, and waits for the one before it, and so for all before that, before it touches what another kernel
// writes. Weights are written by none.
__device__ __forceinline__ void release_next() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ __forceinline__ void await_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// What one thread moves at once: N values, as one access of up to 16 bytes.
template <int N>
struct __align__(N * sizeof(elem)) Vec {
    elem values[N];
};

template <int N>
__device__ __forceinline__ Vec<N> load(const elem *from) {
    return *reinterpret_cast<const Vec<N> *>(from);
}

template <int N>
__device__ __forceinline__ void store(elem *to, const Vec<N> &values) {
    *reinterpret_cast<Vec<N> *>(to) = values;
}

// Values of 16 bytes.
#define PACK ((int)(16 / sizeof(elem)))

__device__ __forceinline__ void widen(uint4 pack, float (&values)[PACK]) {
    const u32 words[4] = {pack.x, pack.y, pack.z, pack.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
#if defined(ELEM_F32)
        values[i] = __uint_as_float(words[i]);
#else
        values[2 * i] = wide((elem)(words[i] & 0xffff));
        values[2 * i + 1] = wide((elem)(words[i] >> 16));
#endif
    }
}

// Sum over the lanes of a warp, in every lane.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        x += __shfl_xor_sync(EVERY_LANE, x, distance);
    }
    return x;
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + __expf(-x)); }
