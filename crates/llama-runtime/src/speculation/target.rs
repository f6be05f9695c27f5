//! What a drafter has to fit to, and how one is made that does.

use std::path::Path;

use llama_backend::Backend;
use llama_kv::{CacheConfig, PagedCache};
use llama_models::{Checkpoint, Decoder, DecoderOptions};
use llama_tokenizer::Tokenizer;

use super::{Drafter, DrafterChoice, ModelDrafter, model::ModelParts, quantized};
use crate::{LoadError, vocabulary::TextSide};

/// The model that verifies.
pub(crate) struct Target<'a> {
    /// Where its checkpoint is.
    pub(crate) path: &'a Path,
    pub(crate) backend: &'a dyn Backend,
    pub(crate) decoder: DecoderOptions,
    pub(crate) cache: CacheConfig,
    pub(crate) tokenizer: &'a Tokenizer,
}

/// Makes what the options ask for. This is the list of drafters.
pub(crate) fn open_drafter(
    choice: &DrafterChoice,
    target: &Target<'_>,
) -> Result<Box<dyn Drafter>, LoadError> {
    Ok(match choice {
        DrafterChoice::PromptLookup(lookup) => Box::new(*lookup),
        DrafterChoice::Model(path) => Box::new(open_model(path, target)?),
        DrafterChoice::Quantized(quantization) => Box::new(quantized::open(target, *quantization)?),
        DrafterChoice::Own(own) => own.make(),
    })
}

fn open_model(path: &Path, target: &Target<'_>) -> Result<ModelDrafter, LoadError> {
    let checkpoint = Checkpoint::open(path)?;
    let text = TextSide::open(&checkpoint)?;
    check_vocabulary(target.tokenizer, &text.tokenizer)
        .map_err(|reason| LoadError::Vocabulary { path: path.to_owned(), reason })?;
    drafting_model("draft model", &checkpoint, target)
}

/// A drafter with a cache for as many tokens as the target's.
pub(super) fn drafting_model(
    name: &'static str,
    checkpoint: &Checkpoint,
    target: &Target<'_>,
) -> Result<ModelDrafter, LoadError> {
    let decoder = Decoder::new(checkpoint, target.backend, target.decoder)?;
    let CacheConfig { num_blocks, block_len, .. } = target.cache;
    let cache = PagedCache::new(decoder.cache_config(num_blocks, block_len), target.backend)?;
    let context_len = decoder.config().max_position_embeddings;
    Ok(ModelDrafter::new(ModelParts { name, decoder: Box::new(decoder), cache, context_len }))
}

/// Says in which way the draft's tokens differ from the target's.
fn check_vocabulary(target: &Tokenizer, draft: &Tokenizer) -> Result<(), String> {
    let sizes = [draft, target].map(Tokenizer::vocab_size);
    if sizes[0] != sizes[1] {
        return Err(format!("its vocabulary has {} tokens, the model's {}", sizes[0], sizes[1]));
    }
    let bytes = |tokenizer: &Tokenizer, id| tokenizer.token_bytes(id).map(<[u8]>::to_vec);
    let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let differs = |&id: &u32| bytes(draft, id) != bytes(target, id);
    match (0..sizes[0] as u32).find(differs) {
        Some(id) => {
            let [found, expected] = [draft, target].map(|tokenizer| text(bytes(tokenizer, id)));
            Err(format!("its token {id} is {found:?}, the model's {expected:?}"))
        }
        None => Ok(()),
    }
}
