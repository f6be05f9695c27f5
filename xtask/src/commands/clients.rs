//! `cargo xtask clients`: the official OpenAI clients for Python and Node, and `async-openai`, against a live server.
//!
//! Owns the server's process and where the clients are installed (below the target folder, never in the checkout). What they check is
//! in `tests/clients/`; each prints its own counts, and the last line here is their sum.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, bail, ensure};
use llama_hub::{TerminalProgress, resolve};

use super::Task;
use crate::cargo;

/// The model that is served: the clients' suites chat, so it has a chat template.
const MODEL: &str = "smollm2";
/// What the server asks for, and the clients show.
const KEY: &str = "xtask-clients";

/// Run the official OpenAI clients against a server started for them
#[derive(clap::Parser)]
#[command(name = "clients")]
pub(crate) struct Clients {
    /// Run only these: python, node, rust
    #[arg(value_name = "CLIENT", default_values_t = ["python", "node", "rust"].map(str::to_owned))]
    clients: Vec<String>,
}

impl Task for Clients {
    fn run(self) -> anyhow::Result<()> {
        let root = cargo::workspace_root();
        let folder = cargo::target_folder(&root)?.join("clients");
        let model = resolve(MODEL, &TerminalProgress::new())?;
        let suites = self.clients.iter().map(|name| suite(name, &root, &folder));
        let suites = suites.collect::<anyhow::Result<Vec<_>>>()?;
        // As its own tests need it, so that nothing is built twice: with the features that tests turn on.
        cargo::run(cargo::cargo(["test", "--workspace", cargo::ADAPTERS, "--no-run", "--test", "it"]))?;
        let server = Server::start(&root, &model)?;
        let (mut passed, mut failed, mut broken) = (0, 0, false);
        for mut suite in suites {
            suite.args([&server.url, KEY]);
            let (status, printed) = cargo::run_captured(suite)?;
            let counts = printed.lines().rev().find_map(counts).unwrap_or_default();
            (passed, failed) = (passed + counts.0, failed + counts.1);
            broken |= !status.success() || counts.0 == 0;
        }
        println!("clients: {passed} passed, {failed} failed");
        if broken {
            bail!("a client is not served as it should be");
        }
        Ok(())
    }
}

/// The command that runs a client's suite, after what it needs has been installed.
fn suite(name: &str, root: &Path, folder: &Path) -> anyhow::Result<Command> {
    match name {
        "python" => python(root, folder),
        "node" => node(root, folder),
        "rust" => {
            let mut command = cargo::cargo(["run", "--quiet", "--locked", "--"]);
            // A workspace of its own: what it depends on changes no build of ours.
            command.current_dir(root.join("tests/clients/rust"));
            command.env("CARGO_TARGET_DIR", folder.join("rust"));
            Ok(command)
        }
        other => bail!("there is no client {other:?}: python, node, rust"),
    }
}

fn python(root: &Path, folder: &Path) -> anyhow::Result<Command> {
    let suite = root.join("tests/clients/python");
    let environment = folder.join("python");
    if !environment.join("bin/pip").exists() {
        let mut venv = Command::new("python3");
        let help = "the Python client needs python3 with venv (Debian: python3 and python3-venv)";
        install(venv.args(["-m", "venv"]).arg(&environment), help)?;
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    install(pip.arg(suite.join("requirements.txt")), "the Python client could not be installed from PyPI")?;
    let mut command = Command::new(environment.join("bin/python"));
    command.arg(suite.join("suite.py"));
    Ok(command)
}

fn node(root: &Path, folder: &Path) -> anyhow::Result<Command> {
    let environment = folder.join("node");
    std::fs::create_dir_all(&environment)?;
    // Node finds packages beside the script, so all of it goes where they are installed.
    for name in ["package.json", "package-lock.json", "suite.mjs"] {
        std::fs::copy(root.join("tests/clients/node").join(name), environment.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(&environment);
    install(&mut npm, "the Node client needs node 20 or later with npm (Debian: nodejs and npm)")?;
    let mut command = Command::new("node");
    command.arg(environment.join("suite.mjs"));
    Ok(command)
}

fn install(command: &mut Command, help: &str) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| help.to_owned())?;
    ensure!(status.success(), "{help} ({status})");
    Ok(())
}

/// A server in a process of its own, which ends with this.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(root: &Path, model: &Path) -> anyhow::Result<Self> {
        let program: PathBuf = cargo::target_folder(root)?.join("debug/llama-server");
        let mut command = Command::new(&program);
        command.arg("--model").arg(model).args(["--address", "127.0.0.1:0", "--api-keys", KEY]);
        // So few places that work for clients that have left would soon be noticed.
        command.args(["--max-running", "8", "--max-waiting", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut lines = BufReader::new(process.stderr.take().expect("piped above")).lines();
        let url = loop {
            match lines.next() {
                Some(line) => {
                    let line = line?;
                    eprintln!("server: {line}");
                    if let Some((_, url)) = line.split_once("listening at ") {
                        break url.trim().to_owned();
                    }
                }
                None => bail!("the server ended before it listened: {}", process.wait()?),
            }
        };
        // What it says later is read, so that it never waits for a reader.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("server: {line}")));
        Ok(Self { process, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which its clients have noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The numbers of a closing line: `NAME: 3 passed, 0 failed`.
fn counts(line: &str) -> Option<(usize, usize)> {
    let (_, counts) = line.rsplit_once(": ")?;
    let (passed, failed) = counts.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_read() {
        assert_eq!(counts("openai 3.57.0 (Python): 19 passed, 1 failed"), Some((19, 1)));
        assert_eq!(counts("ok a_check (0.1 s)"), None);
        assert_eq!(counts("clients: many passed, 0 failed"), None);
    }
}
