//! The file of a session: written whole or not at all, and read with suspicion.

use std::{collections::HashMap, fs, io, iter, path::Path};

use candle_core::{Device, Tensor, safetensors::Load};
use llama_engine::EngineError;
use safetensors::{SafeTensorError, SafeTensors, View};
use sha2::{Digest, Sha256};

use super::{Shape, Snapshot};
use crate::SessionError;

/// Changes whenever an older reader would misunderstand the file.
const VERSION: &str = "1";
const FORMAT: &str = "llama-rs session";

fn name(layer_idx: usize, part: &str) -> String {
    format!("layers.{layer_idx}.{part}")
}

/// Every tensor of a session under its name in the file, in the order of the checksum.
fn named<'a>(tokens: &'a Tensor, layers: &'a [(Tensor, Tensor)]) -> Vec<(String, &'a Tensor)> {
    let layers = layers.iter().enumerate();
    let layers =
        layers.flat_map(|(i, (keys, values))| [(name(i, "keys"), keys), (name(i, "values"), values)]);
    iter::once(("tokens".to_owned(), tokens)).chain(layers).collect()
}

pub(super) fn write(path: &Path, snapshot: &Snapshot, fingerprint: &str) -> Result<(), SessionError> {
    let failed = |source| SessionError::Io { path: path.to_owned(), source };
    let tokens = Tensor::new(snapshot.tokens.as_slice(), &Device::Cpu).map_err(model)?; // [n]
    let tensors = named(&tokens, &snapshot.layers);
    let checksum = checksum(&tensors, fingerprint);
    let metadata = HashMap::from(
        [("format", FORMAT), ("version", VERSION), ("model", fingerprint), ("sha256", &checksum)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    safetensors::serialize_to_file(tensors, Some(metadata), file.path()).map_err(|error| match error {
        SafeTensorError::IoError(source) => failed(source),
        other => failed(io::Error::other(other)),
    })?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

pub(super) fn read(path: &Path, fingerprint: &str, shape: Shape) -> Result<Snapshot, SessionError> {
    let failed = |source| SessionError::Io { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a file")));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let damaged = |reason: String| SessionError::Damaged { path: path.to_owned(), reason };
    let unreadable = |error: SafeTensorError| damaged(error.to_string());
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let field = |key: &str| metadata.get(key).map(String::as_str).unwrap_or_default();
    if field("format") != FORMAT {
        return Err(damaged("no session".to_owned()));
    }
    if field("version") != VERSION {
        let (found, expected) = (field("version").to_owned(), VERSION);
        return Err(SessionError::Version { path: path.to_owned(), found, expected });
    }
    if field("model") != fingerprint {
        let (found, expected) = (field("model").to_owned(), fingerprint.to_owned());
        return Err(SessionError::Foreign { path: path.to_owned(), found, expected });
    }
    let views = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
    let mut views: HashMap<String, _> = views.tensors().into_iter().collect();
    let mut take = |name: &str| -> Result<Tensor, SessionError> {
        let view = views.remove(name).ok_or_else(|| damaged(format!("{name} is missing")))?;
        view.load(&Device::Cpu).map_err(|error| damaged(format!("{name}: {error}")))
    };
    let tokens = take("tokens")?;
    let layers = (0..shape.num_layers).map(|i| Ok((take(&name(i, "keys"))?, take(&name(i, "values"))?)));
    let layers: Vec<(Tensor, Tensor)> = layers.collect::<Result<_, SessionError>>()?;
    if checksum(&named(&tokens, &layers), fingerprint) != field("sha256") {
        return Err(damaged("the checksum does not match".to_owned()));
    }
    let tokens = tokens.to_vec1().map_err(|_| damaged(format!("tokens of {:?}", tokens.shape())))?;
    let snapshot = Snapshot { tokens, layers };
    shape.check(&snapshot).map_err(damaged)?;
    Ok(snapshot)
}

/// SHA-256 over version, model and every tensor, in hexadecimal.
fn checksum(tensors: &[(String, &Tensor)], fingerprint: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{VERSION} {fingerprint}"));
    for (name, tensor) in tensors {
        hash.update(format!("\n{name} {:?} {:?}\n", tensor.dtype(), tensor.dims()));
        hash.update(View::data(*tensor));
    }
    format!("{:x}", hash.finalize())
}

fn model(source: candle_core::Error) -> SessionError {
    SessionError::Engine(EngineError::Model(Box::new(source)))
}
