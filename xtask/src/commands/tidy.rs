//! `cargo xtask tidy`: the rules of style that a machine can check.

use anyhow::bail;

use super::Task;
use crate::{cargo, tidy};

/// Check the rules of style that a machine can check
#[derive(clap::Parser)]
#[command(name = "tidy")]
pub(crate) struct Tidy {}

impl Task for Tidy {
    fn run(self) -> anyhow::Result<()> {
        let findings = tidy::check(&cargo::workspace_root())?;
        for finding in &findings {
            println!("{finding}");
        }
        if !findings.is_empty() {
            bail!("{} findings", findings.len());
        }
        println!("tidy: no findings");
        Ok(())
    }
}
