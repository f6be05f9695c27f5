//! `cargo xtask parity`: compares a device with the reference, case by random case.
//!
//! Builds and runs `llama-parity` (in `xtask/parity`) for the device. The emulated one has a workspace of its own,
//! because it replaces the crates that talk to Metal.

use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use super::Task;
use crate::cargo::{self, workspace_root};

/// Compare every operation, and whole decoders, with the reference on random cases
#[derive(clap::Parser)]
#[command(name = "parity")]
pub(crate) struct Parity {
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Subject::Cpu)]
    device: Subject,
    /// Arguments for llama-parity after `--`, such as `--cases 1000 --only linear --seed 7 --replay JSON`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// A device that can be compared.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Subject {
    /// The CPU's fast paths
    Cpu,
    /// An Apple GPU
    Metal,
    /// An NVIDIA GPU
    Cuda,
    /// Metal kernels executed on the CPU, anywhere that clang runs
    MetalEmulated,
}

impl Task for Parity {
    fn run(self) -> anyhow::Result<()> {
        let mut command = self.device.command()?;
        command.args(["--report", &self.device.report().to_string_lossy()]).args(self.arguments);
        cargo::run(command)?;
        println!("report: {}", self.device.report().join("report.html").display());
        Ok(())
    }
}

impl Subject {
    /// Builds the program, and says how to start it.
    fn command(self) -> anyhow::Result<Command> {
        let mut command = match self {
            // As a member of the whole workspace it shares what the tests have built.
            Self::Cpu => {
                cargo::run(cargo::cargo(["build", "--workspace", "--bin", "llama-parity"]))?;
                Command::new(cargo::target_folder(&workspace_root())?.join("debug").join("llama-parity"))
            }
            Self::Metal => {
                cargo::cargo(["run", "--release", "-p", "llama-parity", "--features", "metal", "--"])
            }
            Self::Cuda => {
                cargo::cargo(["run", "--release", "-p", "llama-parity", "--features", "cuda", "--"])
            }
            Self::MetalEmulated => {
                let mut command = cargo::cargo(["run", "--package", "emulated-parity", "--"]);
                command.current_dir(emulator_folder());
                command
            }
        };
        let device = match self {
            Self::Cpu => "cpu",
            Self::Metal | Self::MetalEmulated => "metal",
            Self::Cuda => "cuda",
        };
        command.args(["--device", device]);
        Ok(command)
    }

    fn report(self) -> PathBuf {
        let name = self.to_possible_value().expect("no variant is skipped").get_name().to_owned();
        workspace_root().join("target").join("parity").join(name)
    }
}

/// The workspace of the emulated device.
pub(crate) fn emulator_folder() -> PathBuf {
    workspace_root().join("xtask/metal-emulator")
}
