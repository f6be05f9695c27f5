//! `cargo xtask eval`: measures what models are good for.
//!
//! Builds and runs `llama-eval` (in `xtask/eval`), because this crate does not link Candle.

use super::Task;
use crate::cargo;

/// Measure what models are good for: `eval retrieval --help` says more
#[derive(clap::Parser)]
#[command(name = "eval", disable_help_flag = true)]
pub(crate) struct Eval {
    /// What to measure, and its arguments, such as `retrieval --embedders bm25,minilm --data FOLDER --dimensions 384,128`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Task for Eval {
    fn run(self) -> anyhow::Result<()> {
        let mut command = cargo::cargo(["run", "--release", "--quiet", "-p", "llama-eval", "--"]);
        // Paths are relative to where we were called.
        command.args(self.arguments).current_dir(std::env::current_dir()?);
        cargo::run(command)
    }
}
