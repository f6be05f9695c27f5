//! A checkpoint's identity: what tells it apart from every other that computes something else.

use sha2::{Digest, Sha256};

use super::Checkpoint;

impl Checkpoint {
    /// SHA-256 over the decoder's configuration and every tensor's name, format, shape and bytes, in hexadecimal.
    /// Equal for two files exactly if their decoders compute the same. Reads the whole checkpoint: a second or so per
    /// gigabyte.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", self.config()));
        let mut tensors: Vec<_> = self.mapped_tensors().collect();
        tensors.sort_unstable_by_key(|tensor| tensor.name());
        for tensor in tensors {
            hash.update(format!("\n{tensor:?}\n"));
            hash.update(tensor.bytes());
        }
        format!("{:x}", hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn one_bit_makes_another_model() {
        let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
        let dir = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(bard.join(name), dir.path().join(name)).unwrap();
        }
        let fingerprint = || Checkpoint::open(dir.path()).unwrap().fingerprint();
        let original = fingerprint();
        assert_eq!(original, Checkpoint::open(&bard).unwrap().fingerprint());
        assert_eq!(original.len(), 64);
        let file = dir.path().join("model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_ne!(original, fingerprint());
    }
}
