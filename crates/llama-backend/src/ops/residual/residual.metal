// The sum of two matrices: one thread per output.

struct ResidualArgs {
    uint num_values;
    uint width;
    uint x_stride;
    uint y_stride;
};

template <typename T>
[[kernel]] void residual(
    device const T *x [[buffer(0)]],
    device const T *y [[buffer(1)]],
    device T *out [[buffer(2)]],
    constant ResidualArgs &args [[buffer(3)]],
    uint idx [[thread_position_in_grid]]) {
    if (idx >= args.num_values) {
        return;
    }
    const ulong row = idx / args.width;
    const uint column = idx % args.width;
    out[idx] = T(float(x[row * args.x_stride + column]) + float(y[row * args.y_stride + column]));
}

template [[host_name("residual_f32")]] [[kernel]] decltype(residual<float>) residual<float>;
template [[host_name("residual_f16")]] [[kernel]] decltype(residual<half>) residual<half>;
template [[host_name("residual_bf16")]] [[kernel]] decltype(residual<bfloat>) residual<bfloat>;
