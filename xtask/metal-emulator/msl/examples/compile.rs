//! Compiles every kernel of the Metal sources named, and says how long it took.

use std::time::Instant;

fn main() {
    for path in std::env::args().skip(1) {
        let source = std::fs::read_to_string(&path).expect("the file can be read");
        let start = Instant::now();
        let result = msl::Library::from_source(msl::Compiler::from_environment(), &source);
        let checked = start.elapsed();
        let all = result
            .as_ref()
            .map_err(|e| e.to_string())
            .and_then(|l| l.compile_all().map_err(|e| e.to_string()));
        let kernels = result.map_or(0, |library| library.kernel_names().count());
        let name = path.rsplit('/').next().unwrap_or(&path);
        match all {
            Ok(()) => println!("{name}: {kernels} kernels, check {checked:.2?}, all {:.2?}", start.elapsed()),
            Err(error) => println!("{name}: {}", error.chars().take(1500).collect::<String>()),
        }
    }
}
