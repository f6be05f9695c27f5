//! Every kernel of every Metal source that Candle has compiles.

use candle_metal_kernels::source;

fn check(name: &str, text: &str) {
    let library = msl::Library::from_source(msl::Compiler::from_environment(), text);
    let library = library.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(library.kernel_names().count() > 0, "{name} has kernels");
    library.compile_all().unwrap_or_else(|error| panic!("{name}: {error}"));
}

macro_rules! sources {
    ($($test:ident: $source:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                check(stringify!($source), source::$source);
            }
        )*
    };
}

sources! {
    affine: AFFINE,
    binary: BINARY,
    cast: CAST,
    conv: CONV,
    fill: FILL,
    gemv: GEMV,
    indexing: INDEXING,
    mlx_gemm: MLX_GEMM,
    mlx_sort: MLX_SORT,
    quantized: QUANTIZED,
    random: RANDOM,
    reduce: REDUCE,
    sdpa: SDPA,
    sort: SORT,
    ternary: TERNARY,
    unary: UNARY,
}
