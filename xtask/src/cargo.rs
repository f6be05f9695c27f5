//! Running cargo, and asking it about the workspace.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Turns on what is off by default only for what it pulls in: other crates' traits over our engines, an index in C++. All that is linted, documented
/// and tested is built with it, so that it is built once.
pub(crate) const ADAPTERS: &str =
    "--features=llama-rag/approximate,llama-rag/graphrag,llama-rag/rig,llama-server/otel,llama-remote/tls";

/// The root of the checkout that we were started in.
pub(crate) fn workspace_root() -> PathBuf {
    // `cargo run` says where it runs us; what was compiled in may be another checkout that shares
    // this one's target folder.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.filter(|folder| folder.ends_with("xtask"));
    let folder = here.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let root = folder.parent();
    root.expect("xtask is a folder of the workspace").to_owned()
}

/// The cargo that runs us, in the workspace root, without standard input.
pub(crate) fn cargo<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace_root()).stdin(Stdio::null());
    command
}

/// Runs to the end, printing as it goes.
pub(crate) fn run(mut command: Command) -> anyhow::Result<()> {
    let shown = show(&command);
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    ensure!(status.success(), "{shown} failed ({status})");
    Ok(())
}

/// Runs to the end, printing as it goes, and returns what was printed as well.
pub(crate) fn run_captured(mut command: Command) -> anyhow::Result<(ExitStatus, String)> {
    let shown = show(&command);
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.with_context(|| format!("cannot start {shown}"))?;
    let output = child.stdout.take().expect("piped above");
    let errors = child.stderr.take().expect("piped above");
    let printed = thread::scope(|scope| {
        let errors = scope.spawn(|| forward(errors, io::stderr()));
        let output = forward(output, io::stdout());
        (output, errors.join())
    });
    let status = child.wait().with_context(|| format!("lost {shown}"))?;
    let (output, errors) = printed;
    let errors = errors.expect("forwarding does not panic");
    let mut bytes = output.with_context(|| format!("cannot read what {shown} prints"))?;
    bytes.extend(errors.with_context(|| format!("cannot read what {shown} prints"))?);
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether `cargo NAME` exists.
pub(crate) fn has_subcommand(name: &str) -> bool {
    let mut command = cargo([name, "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// `cargo metadata` of the workspace's own packages.
pub(crate) fn packages(root: &Path) -> anyhow::Result<Vec<Value>> {
    let metadata = metadata(root)?;
    let packages = metadata["packages"].as_array();
    Ok(packages.context("cargo metadata lists no packages")?.clone())
}

/// Where cargo puts what it builds of the workspace.
pub(crate) fn target_folder(root: &Path) -> anyhow::Result<PathBuf> {
    let metadata = metadata(root)?;
    Ok(PathBuf::from(metadata["target_directory"].as_str().context("cargo metadata names no target folder")?))
}

fn metadata(root: &Path) -> anyhow::Result<Value> {
    let mut command = cargo(["metadata", "--no-deps", "--format-version", "1"]);
    let ended = command.current_dir(root).stderr(Stdio::inherit()).output()?;
    ensure!(ended.status.success(), "cargo metadata failed ({})", ended.status);
    Ok(serde_json::from_slice(&ended.stdout)?)
}

fn forward(mut from: impl Read, mut to: impl Write) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut chunk = [0; 1 << 12];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(all),
            length => {
                to.write_all(&chunk[..length])?;
                to.flush()?;
                all.extend_from_slice(&chunk[..length]);
            }
        }
    }
}

fn show(command: &Command) -> String {
    let words = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    format!("`cargo {}`", words.join(" "))
}
