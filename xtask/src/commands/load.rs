//! `cargo xtask load`: 64 streams on a server over the bundled model, some of them left by their clients, for as long as is asked for.
//!
//! The short form runs with the tests; this is for the figures in the server's README.

use super::Task;
use crate::cargo;

/// Hold load on a server, check every answer, and report memory, threads and tasks
#[derive(clap::Parser)]
#[command(name = "load")]
pub(crate) struct Load {
    /// For how long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Streams at the same time
    #[arg(long, default_value_t = 64)]
    streams: usize,
}

impl Task for Load {
    fn run(self) -> anyhow::Result<()> {
        let mut command =
            cargo::cargo(["run", "--release", "--package", "llama-remote", "--example", "load", "--"]);
        command.args(["--seconds", &self.seconds.to_string(), "--streams", &self.streams.to_string()]);
        cargo::run(command)
    }
}
