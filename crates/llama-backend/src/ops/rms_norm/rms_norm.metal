// Root mean square normalisation: one threadgroup per row, sums in float and in a fixed order.

constant ushort weight_format [[function_constant(0)]];

struct RmsNormArgs {
    ulong weight_offset;
    uint width;
    uint inner_rows;
    uint outer_stride;
    uint inner_stride;
    float eps;
    uint num_simdgroups;
};

template <typename T>
[[kernel]] void rms_norm(
    device const T *x [[buffer(0)]],
    device const uchar *weight [[buffer(1)]],
    device T *out [[buffer(2)]],
    constant RmsNormArgs &args [[buffer(3)]],
    threadgroup float *partial [[threadgroup(0)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_idx [[thread_position_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simd_idx [[simdgroup_index_in_threadgroup]]) {
    const uint width = args.width;
    const uint num_threads = args.num_simdgroups * 32;
    device const T *from = x + ulong(row / args.inner_rows) * args.outer_stride
        + ulong(row % args.inner_rows) * args.inner_stride;
    device T *to = out + ulong(row) * width;

    float sum = 0.0f;
    for (uint i = thread_idx; i < width; i += num_threads) {
        const float value = float(from[i]);
        sum = fma(value, value, sum);
    }
    sum = simd_sum(sum);
    if (lane == 0) {
        partial[simd_idx] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0.0f;
    for (uint i = 0; i < args.num_simdgroups; i++) {
        total += partial[i];
    }
    const float root = sqrt(total / float(width) + args.eps);
    for (uint i = thread_idx; i < width; i += num_threads) {
        // Both factors are rounded as the definition rounds them.
        const float scaled = float(T(float(from[i]) / root));
        to[i] = T(scaled * float(T(stored_value(weight_format, weight + args.weight_offset, i))));
    }
}

template [[host_name("rms_norm_f32")]] [[kernel]] decltype(rms_norm<float>) rms_norm<float>;
template [[host_name("rms_norm_f16")]] [[kernel]] decltype(rms_norm<half>) rms_norm<half>;
template [[host_name("rms_norm_bf16")]] [[kernel]] decltype(rms_norm<bfloat>) rms_norm<bfloat>;
