//! [`Mutant`]: one way to break a kernel, and the list of them.

/// One way to break a kernel.
pub(crate) struct Mutant {
    /// What is broken.
    pub(crate) name: &'static str,
    /// The property that must notice.
    pub(crate) property: &'static str,
    /// The kernel's file, below the operations.
    pub(crate) file: &'static str,
    /// Text that stands in it once.
    pub(crate) from: &'static str,
    /// What takes its place.
    pub(crate) to: &'static str,
}

const fn mutant(
    name: &'static str,
    property: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mutant {
    Mutant { name, property, file, from, to }
}

const RMS_NORM: &str = "rms_norm/rms_norm.metal";
const LINEAR: &str = "linear/linear.metal";
const ATTENTION: &str = "paged_attention/paged_attention.metal";

/// Every mutant.
pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "norm-without-barrier",
        "rms_norm",
        RMS_NORM,
        "    threadgroup_barrier(mem_flags::mem_threadgroup);\n",
        "",
    ),
    mutant(
        "norm-drops-a-simdgroup",
        "rms_norm",
        RMS_NORM,
        "i < args.num_simdgroups",
        "i + 1 < args.num_simdgroups",
    ),
    mutant(
        "norm-fields-swapped",
        "rms_norm",
        RMS_NORM,
        "    uint width;\n    uint inner_rows;",
        "    uint inner_rows;\n    uint width;",
    ),
    mutant("norm-writes-beyond", "rms_norm", RMS_NORM, "to[i] = T(scaled", "to[i + 4 * width] = T(scaled"),
    mutant("rope-sign", "rope", "rope/rope.metal", "a * c - b * s", "a * c + b * s"),
    mutant("slots-ignored", "kv_write", "kv_write/kv_write.metal", "ulong(slots[row])", "ulong(row)"),
    mutant(
        "write-fields-swapped",
        "kv_write",
        "kv_write/kv_write.metal",
        "    uint num_heads;\n    uint head_dim;",
        "    uint head_dim;\n    uint num_heads;",
    ),
    mutant("embed-beyond-the-row", "embed", "embed/embed.metal", "i < 8 && first + i < args.width", "i < 8"),
    mutant("gate-for-up", "swiglu", "swiglu/swiglu.metal", "float(row[args.width])", "float(row[0])"),
    mutant(
        "stride-of-the-other",
        "residual",
        "residual/residual.metal",
        "row * args.y_stride",
        "row * (args.y_stride + 1)",
    ),
    mutant("dot-counts-twice", "linear", LINEAR, "at += 32 * 8", "at += 31 * 8"),
    mutant(
        "tile-without-barrier",
        "linear",
        LINEAR,
        "        threadgroup_barrier(mem_flags::mem_threadgroup);\n        for (uint step = 0;",
        "        for (uint step = 0;",
    ),
    mutant(
        "tile-threads-leave-early",
        "linear",
        LINEAR,
        "    const uint row = min(first_row + own_row, args.num_rows - 1);",
        "    if (first_row + own_row >= args.num_rows) return;\n    const uint row = first_row + own_row;",
    ),
    mutant("gate-activation", "gated_linear", LINEAR, "(1.0f + exp(-value))", "(1.0f + exp(value))"),
    mutant(
        "attention-without-barrier",
        "paged_attention",
        ATTENTION,
        "    threadgroup_barrier(mem_flags::mem_threadgroup);\n    if (simd_idx != 0) {",
        "    if (simd_idx != 0) {",
    ),
    mutant("window-off-by-one", "paged_attention", ATTENTION, "position + 1 - window", "position - window"),
    mutant(
        "collective-in-a-branch",
        "paged_attention",
        ATTENTION,
        "const float score = simd_sum(product);",
        "const float score = lane == 31 ? 0.0f : simd_sum(product);",
    ),
    mutant(
        "threadgroup-memory-beyond",
        "paged_attention",
        ATTENTION,
        "shared + simd_idx * (dim + 2)",
        "shared + (simd_idx + 2) * (dim + 2)",
    ),
    mutant(
        "tile-reads-keys-as-values",
        "paged_attention",
        ATTENTION,
        "        threadgroup_barrier(mem_flags::mem_threadgroup); // the keys are done with\n",
        "",
    ),
];
