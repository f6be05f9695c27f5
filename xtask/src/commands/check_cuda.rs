//! `cargo xtask check-cuda`: clippy over the feature `cuda`, on a machine that has neither CUDA nor a GPU.
//!
//! Candle's kernels are compiled by `nvcc` in a build script; where only types are checked, a script that writes empty
//! files stands in for it. What is checked so cannot be run, so it has a target folder of its own. Our own kernels are
//! compiled at run time, and not here.

use std::{env, fs, path::Path};

use anyhow::Context;

use super::Task;
use crate::cargo;

/// The crates that have code for CUDA or pass the feature on.
const PACKAGES: [&str; 4] = ["llama-backend", "llama-kv", "llama-models", "llama-runtime"];

/// Writes what it is asked for, empty, as far as Candle's build scripts ask.
const STAND_IN: &str = r#"#!/bin/sh
for argument; do source=$argument; done
while [ $# -gt 0 ]; do
    case $1 in
        -o) : > "$2" ;;
        --output-directory) name=${source##*/}; : > "$2/${name%.cu}.ptx" ;;
        --version) echo "Cuda compilation tools, release 13.0, V13.0.88" ;;
    esac
    shift
done
"#;

/// Check the types of everything behind the feature `cuda`, without CUDA
#[derive(clap::Parser)]
#[command(name = "check-cuda")]
pub(crate) struct CheckCuda {}

impl Task for CheckCuda {
    fn run(self) -> anyhow::Result<()> {
        let target = cargo::workspace_root().join("target/check-cuda");
        let tools = target.join("stand-in");
        write_stand_in(&tools).with_context(|| format!("cannot write {}", tools.display()))?;
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([tools].into_iter().chain(env::split_paths(&inherited)))?;
        let mut command = cargo::cargo(["clippy", "--all-targets", "--no-deps"]);
        for package in PACKAGES {
            command.args(["--package", package]);
        }
        command.args(["--features", "llama-runtime/cuda", "--", "-D", "warnings"]);
        command.env("PATH", path).env("CARGO_TARGET_DIR", target);
        // What the build scripts would ask the GPU and its driver.
        command.env("CUDA_COMPUTE_CAP", "90").env("CUDARC_CUDA_VERSION", "13000");
        cargo::run(command)
    }
}

#[cfg(unix)]
fn write_stand_in(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::create_dir_all(folder)?;
    let script = folder.join("nvcc");
    fs::write(&script, STAND_IN)?;
    Ok(fs::set_permissions(script, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn write_stand_in(_folder: &Path) -> anyhow::Result<()> {
    anyhow::bail!("the stand-in for nvcc is a shell script")
}
