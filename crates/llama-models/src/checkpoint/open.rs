//! An opened checkpoint: configuration, tensors by canonical name, vocabulary.
//!
//! Invariant: headers were read and checked, weights were not touched. It does not know which tensors a decoder
//! needs; the decoder asks for each by name and shape.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use llama_backend::weight::{MappedTensor, WeightDtype};

use super::{
    CheckpointFile, MemoryPlan, TensorSummary, TensorTable, Vocabulary,
    files::{self, Layout, open_json},
    gguf::{Gguf, GgufMetadata, GgufValue},
    mapped_file::MappedFile,
    names,
    safetensors::{self, ShardIndex},
};
use crate::{
    ModelError,
    config::{DecoderConfig, EncoderConfig, ModelConfig},
};

const MAX_CONFIG_BYTES: u64 = 1 << 20; // real ones have some kilobytes
const MAX_INDEX_BYTES: u64 = 64 << 20; // the largest known has 9 MB
const ROPE_FREQS: &str = "rope_freqs.weight";

/// The two forms of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFormat {
    /// config.json and safetensors.
    HuggingFace,
    /// One GGUF file.
    Gguf,
}

/// An opened checkpoint of a decoder, or of what else `C` describes. Opening reads headers only; cloning a tensor out of
/// it copies no weights.
#[derive(Debug)]
pub struct Checkpoint<C = DecoderConfig> {
    pub(super) path: PathBuf,
    config: C,
    files: Vec<CheckpointFile>,
    pub(super) tensors: TensorTable,
    source: Source,
}

/// What is particular to either form.
#[derive(Debug)]
enum Source {
    HuggingFace { dir: PathBuf, gguf_vocabulary: Vec<(String, GgufValue)> },
    Gguf(GgufMetadata),
}

/// A checkpoint of either kind.
#[derive(Debug)]
pub enum AnyCheckpoint {
    /// Of a model that continues texts.
    Decoder(Checkpoint),
    /// Of a model that only embeds them.
    Encoder(Checkpoint<EncoderConfig>),
}

impl AnyCheckpoint {
    /// As [`Checkpoint::open`], for encoders too.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let layout = Layout::locate(path)?;
        let (Layout::Single(dir) | Layout::Sharded(dir)) = &layout else {
            return Checkpoint::open_layout(layout).map(Self::Decoder);
        };
        let config = open_json(&dir.join(files::CONFIG), files::CONFIG, MAX_CONFIG_BYTES)?;
        match EncoderConfig::from_json(&config.path, (*config.bytes).as_ref())? {
            Some(config) => Checkpoint::open_hugging_face(layout, |_| Ok(config)).map(Self::Encoder),
            None => Checkpoint::open_layout(layout).map(Self::Decoder),
        }
    }
}

impl Checkpoint {
    /// Opens a directory in Hugging Face form, a GGUF file, or a directory with one GGUF file.
    ///
    /// # Errors
    /// No checkpoint there, damaged headers, unsupported families and features: see [`ModelError`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::open_layout(Layout::locate(path)?)
    }

    fn open_layout(layout: Layout) -> Result<Self, ModelError> {
        match layout {
            Layout::Gguf(file) => Self::open_gguf(&file),
            Layout::Single(_) | Layout::Sharded(_) => Self::open_hugging_face(layout, open_config),
        }
    }

    fn open_gguf(path: &Path) -> Result<Self, ModelError> {
        let file = MappedFile::open(path)?;
        let gguf = Gguf::parse(path, file.bytes.clone())?;
        Ok(Self {
            path: path.to_owned(),
            config: DecoderConfig::from_gguf(&gguf)?,
            files: vec![file.describe()],
            tensors: gguf.tensors,
            source: Source::Gguf(gguf.metadata),
        })
    }
}

impl<C> Checkpoint<C> {
    fn open_hugging_face(
        layout: Layout,
        config: impl FnOnce(&Path) -> Result<C, ModelError>,
    ) -> Result<Self, ModelError> {
        let (dir, (tensors, files)) = match layout {
            Layout::Gguf(path) => return Err(ModelError::NoCheckpoint { path }),
            Layout::Single(dir) => {
                let file = MappedFile::open(&dir.join(files::SINGLE))?;
                let tensors = safetensors::parse(&file.path, file.bytes.clone())?;
                (dir, (tensors, vec![file.describe()]))
            }
            Layout::Sharded(dir) => {
                let opened = open_shards(&dir)?;
                (dir, opened)
            }
        };
        let config = config(&dir)?;
        let source = Source::HuggingFace { dir: dir.clone(), gguf_vocabulary: Vec::new() };
        Ok(Self { path: dir, config, files, tensors, source })
    }

    /// What the model looks like.
    pub fn config(&self) -> &C {
        &self.config
    }

    /// Which of the forms it has.
    pub fn format(&self) -> CheckpointFormat {
        match self.source {
            Source::HuggingFace { .. } => CheckpointFormat::HuggingFace,
            Source::Gguf(_) => CheckpointFormat::Gguf,
        }
    }

    /// The directory, or the GGUF file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of weights.
    pub fn files(&self) -> &[CheckpointFile] {
        &self.files
    }

    /// What a tokenizer is built from.
    pub fn vocabulary(&self) -> Vocabulary<'_> {
        match &self.source {
            Source::HuggingFace { dir, .. } => Vocabulary::HuggingFace { dir },
            Source::Gguf(metadata) => Vocabulary::Gguf(metadata),
        }
    }

    /// Gives a checkpoint in Hugging Face form the keys `tokenizer.*` that a GGUF file of it needs; llama-runtime's
    /// `gguf_vocabulary` makes them. A GGUF file keeps its own.
    #[must_use]
    pub fn with_gguf_vocabulary(mut self, entries: Vec<(String, GgufValue)>) -> Self {
        if let Source::HuggingFace { gguf_vocabulary, .. } = &mut self.source {
            *gguf_vocabulary = entries;
        }
        self
    }

    /// What [`Self::with_gguf_vocabulary`] was given.
    pub(super) fn gguf_vocabulary(&self) -> &[(String, GgufValue)] {
        match &self.source {
            Source::HuggingFace { gguf_vocabulary, .. } => gguf_vocabulary,
            Source::Gguf(_) => &[],
        }
    }

    /// Every tensor in file order, under its name in the file, used by the decoder or not.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &TensorSummary> {
        self.tensors.summaries()
    }

    /// Every tensor of a format that is known.
    pub(super) fn mapped_tensors(&self) -> impl Iterator<Item = &MappedTensor> {
        self.tensors.all_mapped()
    }

    /// The tensor with this canonical name, such as `model.layers.0.self_attn.q_proj.weight`.
    ///
    /// # Errors
    /// [`ModelError::MissingTensor`], [`ModelError::ShapeMismatch`], [`ModelError::UnsupportedDtype`].
    pub fn tensor(&self, name: &str, expected_shape: &[usize]) -> Result<MappedTensor, ModelError> {
        self.optional_tensor(name, expected_shape)?.ok_or_else(|| ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: self.both_names(name),
        })
    }

    /// As [`Self::tensor`], for tensors that may be absent.
    ///
    /// # Errors
    /// [`ModelError::ShapeMismatch`], [`ModelError::UnsupportedDtype`].
    pub fn optional_tensor(
        &self,
        name: &str,
        expected_shape: &[usize],
    ) -> Result<Option<MappedTensor>, ModelError> {
        let Some(tensor) = self.tensors.mapped(&self.path, &self.stored_name(name))? else {
            return Ok(None);
        };
        if tensor.shape() != expected_shape {
            return Err(ModelError::ShapeMismatch {
                path: self.path.clone(),
                tensor: self.both_names(name),
                expected: expected_shape.to_vec(),
                found: tensor.shape().to_vec(),
            });
        }
        Ok(Some(tensor.clone()))
    }

    fn stored_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.source {
            Source::HuggingFace { .. } => Cow::Borrowed(name),
            Source::Gguf(_) => names::gguf_name(name),
        }
    }

    /// The canonical name, and the file's if that is another.
    fn both_names(&self, name: &str) -> String {
        match self.stored_name(name) {
            stored if stored == name => name.to_owned(),
            stored => format!("{name} = {stored}"),
        }
    }
}

impl<C: ModelConfig> Checkpoint<C> {
    /// Bytes by format and by layer.
    pub fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan::new(&self.tensors, self.config.num_layers())
    }
}

impl Checkpoint {
    /// Angle per position of each rotary pair: [`crate::config::RopeConfig::inverse_frequencies`], divided by the factors
    /// that GGUF files of Llama 3 carry as tensor `rope_freqs.weight` instead of scaling parameters.
    ///
    /// # Shapes
    /// `[d / 2]`
    ///
    /// # Errors
    /// The factors have another shape or format, or are not finite and positive.
    pub fn inverse_frequencies(&self) -> Result<Vec<f32>, ModelError> {
        let head_dim = self.config.attention.head_dim;
        let mut frequencies = self.config.rope.inverse_frequencies(head_dim);
        let Some(factors) = self.optional_tensor(ROPE_FREQS, &[head_dim / 2])? else {
            return Ok(frequencies);
        };
        if factors.dtype() != WeightDtype::F32 {
            return Err(ModelError::UnsupportedDtype {
                path: self.path.clone(),
                tensor: ROPE_FREQS.to_owned(),
                found: factors.dtype().to_string(),
                supported: WeightDtype::F32.to_string(),
            });
        }
        let (factors, _) = factors.bytes().as_chunks();
        for (frequency, factor) in frequencies.iter_mut().zip(factors) {
            let factor = f32::from_le_bytes(*factor);
            if !(factor.is_finite() && factor > 0.0) {
                return Err(ModelError::Field {
                    path: self.path.clone(),
                    field: ROPE_FREQS.to_owned(),
                    expected: "finite positive factors".to_owned(),
                    found: factor.to_string(),
                });
            }
            *frequency /= factor;
        }
        Ok(frequencies)
    }
}

impl MappedFile {
    fn describe(&self) -> CheckpointFile {
        CheckpointFile { path: self.path.clone(), num_bytes: self.num_bytes() }
    }
}

fn open_config(dir: &Path) -> Result<DecoderConfig, ModelError> {
    let config = open_json(&dir.join(files::CONFIG), files::CONFIG, MAX_CONFIG_BYTES)?;
    let generation_path = dir.join(files::GENERATION_CONFIG);
    let generation = generation_path
        .exists()
        .then(|| open_json(&generation_path, files::GENERATION_CONFIG, MAX_CONFIG_BYTES))
        .transpose()?;
    let generation = generation.as_ref().map(|file| (*file.bytes).as_ref());
    DecoderConfig::from_json(&config.path, (*config.bytes).as_ref(), generation)
}

/// The tensors of all shards, and the shards, in the order of their names.
fn open_shards(dir: &Path) -> Result<(TensorTable, Vec<CheckpointFile>), ModelError> {
    let index_file = open_json(&dir.join(files::INDEX), files::INDEX, MAX_INDEX_BYTES)?;
    let index = ShardIndex::parse(&index_file.path, (*index_file.bytes).as_ref())?;
    let mut tensors = TensorTable::default();
    let mut files = Vec::new();
    for shard in index.shards() {
        let path = dir.join(shard);
        if !path.exists() {
            return Err(ModelError::MissingShard { path: index_file.path.clone(), shard: shard.to_owned() });
        }
        let file = MappedFile::open(&path)?;
        let table = safetensors::parse(&file.path, file.bytes.clone())?;
        index.check_shard(&index_file.path, shard, &table)?;
        tensors.append(&file.path, table)?;
        files.push(file.describe());
    }
    Ok((tensors, files))
}
