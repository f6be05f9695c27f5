//! Models that are committed under `assets/` of the workspace: no network, no cache.
//!
//! The folder is found through the path that this crate was compiled at, so it works wherever the
//! checkout stays where it was built (tests, examples, `cargo install --path`), and gives a clear
//! error elsewhere. Only lengths are checked: the files are under version control.

use std::path::{Path, PathBuf};

use crate::{HubError, KnownModel};

/// `assets/` of the workspace that this crate was compiled in.
const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets");

/// The folder of a bundled model.
///
/// # Errors
///
/// [`HubError::BundledModelMissing`] when a file is missing or has the wrong length.
pub(crate) fn find(model: &'static KnownModel) -> Result<PathBuf, HubError> {
    find_under(Path::new(ASSETS), model)
}

fn find_under(assets: &Path, model: &'static KnownModel) -> Result<PathBuf, HubError> {
    let folder = assets.join(model.name);
    // Without the `..` where possible, because users see this path.
    let folder = folder.canonicalize().unwrap_or(folder);
    for file in model.files {
        let path = folder.join(file.name);
        let complete = path.metadata().is_ok_and(|found| found.len() == file.bytes);
        if !complete {
            return Err(HubError::BundledModelMissing { model: model.name, path });
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KNOWN_MODELS, Origin, digest};

    #[test]
    fn the_assets_are_those_of_the_list() {
        let bundled = KNOWN_MODELS.iter().filter(|model| matches!(model.origin, Origin::Bundled));
        let mut num_checked = 0;
        for model in bundled {
            let folder = find(model).expect("tests run in a checkout");
            for file in model.files {
                digest::verify(&folder.join(file.name), file).expect("as committed");
                num_checked += 1;
            }
        }
        assert!(num_checked >= 10, "bard and bard-draft have five files each");
    }

    #[test]
    fn elsewhere_the_error_names_the_missing_file() {
        let elsewhere = tempfile::tempdir().expect("makes a folder");
        let bard = KnownModel::find("bard").expect("listed");
        let error = find_under(elsewhere.path(), bard).expect_err("nothing there");
        assert!(error.to_string().contains("config.json"), "{error}");
    }
}
