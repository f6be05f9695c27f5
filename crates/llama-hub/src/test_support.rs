//! What several test modules need: tiny models that live as long as the process.

use crate::{HubRepo, KnownModel, ModelFile, Origin, PypiRelease, Wheel, digest};

/// A file of the given content.
pub(crate) fn leaked_file(name: &'static str, content: &[u8]) -> &'static ModelFile {
    Box::leak(Box::new(file(name, content)))
}

/// A model of the given files, offered by a one-part release `tiny` 1.0.
pub(crate) fn leaked_model(name: &'static str, files: &[(&'static str, &[u8])]) -> &'static KnownModel {
    let pypi = PypiRelease { package: "tiny", version: "1.0", parts: 1, wheel: Wheel::Any };
    leaked(name, files, Origin::Download { hub: None, pypi: Some(pypi) })
}

/// A model of the given files, offered by the repository `owner/name` at revision `abc`.
pub(crate) fn leaked_hub_model(name: &'static str, files: &[(&'static str, &[u8])]) -> &'static KnownModel {
    let hub = HubRepo { id: "owner/name", revision: "abc" };
    leaked(name, files, Origin::Download { hub: Some(hub), pypi: None })
}

fn leaked(name: &'static str, files: &[(&'static str, &[u8])], origin: Origin) -> &'static KnownModel {
    let files: Vec<ModelFile> = files.iter().map(|(name, content)| file(name, content)).collect();
    let files = files.leak();
    Box::leak(Box::new(KnownModel { name, about: "a test", licence: "MIT", files, origin }))
}

fn file(name: &'static str, content: &[u8]) -> ModelFile {
    ModelFile {
        name,
        bytes: content.len() as u64,
        sha256: digest::sha256(content).expect("reads memory").leak(),
        hub_path: name,
        pypi_member: String::leak(format!("tiny/{name}")),
    }
}
