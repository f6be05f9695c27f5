//! `cargo xtask check-apple`: type-checks and lints the Metal build for Apple silicon, on any system.
//!
//! Takes the installed target, or the component `rust-src`, or else the standard library's sources in `xtask/apple`.
//! Nothing is linked and nothing runs; the kernels themselves are checked where they are executed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use super::Task;
use crate::cargo;

/// Type-check and lint the Metal build for Apple silicon; needs no Mac
#[derive(clap::Parser)]
#[command(name = "check-apple")]
pub(crate) struct CheckApple {}

const TARGET: &str = "aarch64-apple-darwin";
/// The release whose sources are at hand.
const ARCHIVED_RELEASE: &str = "1.95.0";
const ARCHIVE: &str = "xtask/apple/rust-std-src-1.95.0-min.tar.xz";

/// Where the standard library for the target comes from.
#[derive(Debug, PartialEq, Eq)]
enum Library {
    /// Compiled, as rustup installs it.
    Installed,
    /// The component `rust-src` of this toolchain.
    Component,
    /// Sources in this folder.
    Sources(PathBuf),
}

impl Task for CheckApple {
    fn run(self) -> anyhow::Result<()> {
        let library = library()?;
        println!("standard library: {library:?}");
        for arguments in [&["--package=llama-rs"][..], &["--package=llama-backend", "--tests"]] {
            cargo::run(clippy(&library, arguments))?;
        }
        Ok(())
    }
}

/// Clippy, which includes what `cargo check` checks, on the packages that `arguments` name and on those of ours below.
fn clippy(library: &Library, arguments: &[&str]) -> Command {
    let mut command = cargo::cargo(["clippy", "--target", TARGET, "--features=metal"]);
    command.args(arguments);
    let compiler = cargo::workspace_root().join("xtask/apple/compiler.sh");
    for tool in ["CC", "CXX", "AR"] {
        command.env(format!("{tool}_{}", TARGET.replace('-', "_")), &compiler);
    }
    command.env("SDKROOT", "/");
    if *library != Library::Installed {
        command.arg("-Zbuild-std=std,panic_abort,test").env("RUSTC_BOOTSTRAP", "1");
    }
    if let Library::Sources(folder) = library {
        command.env("__CARGO_TESTS_ONLY_SRC_ROOT", folder);
    }
    command.args(["--", "-D", "warnings"]);
    command
}

fn library() -> anyhow::Result<Library> {
    let installed = PathBuf::from(rustc(&["--print=target-libdir", "--target", TARGET])?);
    let is_filled = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if is_filled(&installed) {
        return Ok(Library::Installed);
    }
    let component = Path::new(&rustc(&["--print=sysroot"])?).join("lib/rustlib/src/rust/library");
    if is_filled(&component) {
        return Ok(Library::Component);
    }
    let version = rustc(&["--version"])?;
    ensure!(
        version.split(' ').nth(1) == Some(ARCHIVED_RELEASE),
        "{version} is not {ARCHIVED_RELEASE}, whose sources are at hand: run `rustup target add {TARGET}`"
    );
    unpack().map(Library::Sources)
}

/// Unpacks the archive, unless it was before.
fn unpack() -> anyhow::Result<PathBuf> {
    let root = cargo::workspace_root();
    let folder = root.join("target/apple").join(ARCHIVED_RELEASE);
    let library = folder.join("library");
    if !folder.join("unpacked").exists() {
        fs::create_dir_all(&folder)?;
        let mut tar = Command::new("tar");
        tar.arg("-xJf").arg(root.join(ARCHIVE)).arg("-C").arg(&folder);
        cargo::run(tar).context("tar with xz is needed to unpack the standard library's sources")?;
        fs::write(folder.join("unpacked"), "")?;
    }
    Ok(library)
}

/// What the toolchain's compiler prints.
fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(cargo::workspace_root()).output();
    let output = output.context("cannot start rustc")?;
    ensure!(output.status.success(), "rustc {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(library: &Library) -> (Vec<String>, Vec<String>) {
        let command = clippy(library, &["--package=a"]);
        let texts = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let variables = command.get_envs().map(|(name, _)| texts(name)).collect();
        (command.get_args().map(texts).collect(), variables)
    }

    #[test]
    fn an_installed_target_needs_no_other_library() {
        let (arguments, variables) = environment(&Library::Installed);
        assert!(!arguments.iter().any(|argument| argument.starts_with("-Z")), "{arguments:?}");
        assert!(!variables.contains(&"RUSTC_BOOTSTRAP".to_owned()), "{variables:?}");
    }

    #[test]
    fn sources_are_compiled_with_everything_else() {
        let (arguments, variables) = environment(&Library::Sources("a".into()));
        assert!(arguments.iter().any(|argument| argument.starts_with("-Zbuild-std")), "{arguments:?}");
        assert!(variables.contains(&"__CARGO_TESTS_ONLY_SRC_ROOT".to_owned()), "{variables:?}");
    }

    #[test]
    fn the_archive_is_there_and_of_the_release_that_is_named() {
        assert!(ARCHIVE.contains(ARCHIVED_RELEASE));
        assert!(cargo::workspace_root().join(ARCHIVE).is_file());
    }
}
