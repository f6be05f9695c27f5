//! `cargo xtask quantize`: writes a dense model as a quantised GGUF file.
//!
//! The work is the example `convert`'s, because this crate does not link Candle. Tensors get the formats that
//! llama.cpp's own tool gives them (`Quantization` in llama-models says which).

use std::path::PathBuf;

use super::Task;
use crate::cargo;

/// Write a dense model as a quantised GGUF file, for use here and in llama.cpp
#[derive(clap::Parser)]
#[command(name = "quantize")]
pub(crate) struct Quantize {
    /// Name of a known model, a GGUF file or a directory in Hugging Face form; in f32, f16 or bf16
    model: String,
    /// The file to write; it must not exist
    out: PathBuf,
    /// Format of the matrices
    #[arg(long, value_parser = FORMATS)]
    to: String,
}

/// As `Quantization` writes them.
const FORMATS: [&str; 3] = ["q8_0", "q4_0", "q4_k"];

impl Task for Quantize {
    fn run(self) -> anyhow::Result<()> {
        // The example runs in the workspace's root, and paths are relative to where we were called.
        let here = std::env::current_dir()?;
        let model = here.join(&self.model);
        let model = if model.exists() { model } else { PathBuf::from(self.model) };
        let mut command = cargo::cargo(["run", "--release", "--quiet", "--example", "convert", "--"]);
        command.arg(model).arg(here.join(self.out)).args(["--dtype", &self.to]);
        cargo::run(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn check(arguments: &[&str], expected: Option<&str>) {
        let parsed = Quantize::try_parse_from([&["quantize"], arguments].concat());
        assert_eq!(parsed.ok().map(|quantize| quantize.to), expected.map(str::to_owned), "{arguments:?}");
    }

    #[test]
    fn the_format_is_checked_before_anything_is_built() {
        check(&["a.gguf", "b.gguf", "--to", "q4_k"], Some("q4_k"));
        check(&["a.gguf", "b.gguf", "--to", "q3_k"], None);
        check(&["a.gguf", "b.gguf"], None);
        check(&["a.gguf", "--to", "q4_k"], None);
    }
}
