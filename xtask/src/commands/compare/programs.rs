//! Our own programs: built, and found where cargo put them.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::cargo;

/// The examples that measure.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) bench: PathBuf,
    pub(super) roofline: PathBuf,
}

impl Programs {
    pub(super) fn build() -> anyhow::Result<Self> {
        let arguments = [
            "build",
            "--release",
            "--example=bench",
            "--example=roofline",
            "--message-format=json-render-diagnostics",
        ];
        let mut command = cargo::cargo(arguments);
        let ended = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        ensure!(ended.status.success(), "the benchmark cannot be built ({})", ended.status);
        let messages = String::from_utf8_lossy(&ended.stdout);
        let find = |name| executable(&messages, name).with_context(|| format!("cargo built no {name}"));
        Ok(Self { bench: find("bench")?, roofline: find("roofline")? })
    }
}

/// Where cargo's messages say that the program of this name is.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == name).then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"bench"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"roofline"},"executable":"x/roofline"}
{"reason":"compiler-artifact","target":{"name":"bench"},"executable":"x/bench"}
"#;
        assert_eq!(executable(messages, "bench"), Some("x/bench".into()));
        assert_eq!(executable(messages, "roofline"), Some("x/roofline".into()));
        assert_eq!(executable(messages, "other"), None);
    }
}
