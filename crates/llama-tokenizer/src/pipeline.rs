//! Text to ids: the tokenizer library, run over our own view of the model.
//!
//! Owns [`Pipeline`]: added tokens are split off, the rest is normalised, pre-tokenised and given to the model. There are two over one
//! shared model, because the library keeps "special tokens are text" as a setting and we want it as an argument. Invariant: a special
//! token comes out only where [`ParseSpecial::Yes`] found its text, even if the model's own vocabulary could spell it. It deliberately
//! does not decode.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{AddedVocabulary, Model, Token, TokenizerBuilder, TokenizerImpl};
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use crate::spm::SpmModel;
use crate::{AddSpecial, ParseSpecial, TokenizerError};

type Stages =
    TokenizerImpl<PieceModel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Both ways to encode over one model.
#[derive(Debug)]
pub(crate) struct Pipeline {
    parsing: Stages,
    literal: Stages,
}

impl Pipeline {
    /// Runs a tokenizer of the library, without its truncation and padding; ids in `fenced` never come out of text.
    pub(crate) fn from_library(
        library: tokenizers::Tokenizer,
        fenced: HashSet<u32>,
    ) -> Result<Self, TokenizerError> {
        let library = Arc::new(library);
        let model =
            PieceModel { source: ModelSource::Library(Arc::clone(&library)), fenced: Arc::new(fenced) };
        let stages = || {
            TokenizerBuilder::new()
                .with_model(model.clone())
                .with_normalizer(library.get_normalizer().cloned())
                .with_pre_tokenizer(library.get_pre_tokenizer().cloned())
                .with_post_processor(library.get_post_processor().cloned())
                .with_decoder(library.get_decoder().cloned())
                .with_added_vocabulary(library.get_added_vocabulary().clone())
        };
        Self::new(stages, |_| Ok(()))
    }

    /// Runs our own SPM model.
    pub(crate) fn from_spm(spm: SpmModel, added: &[tokenizers::AddedToken]) -> Result<Self, TokenizerError> {
        let model = PieceModel { source: ModelSource::Spm(Arc::new(spm)), fenced: Arc::default() };
        let stages = || {
            TokenizerBuilder::new().with_model(model.clone()).with_added_vocabulary(AddedVocabulary::new())
        };
        Self::new(stages, |stages| stages.add_tokens(added.iter().cloned()).map(drop))
    }

    fn new(
        builder: impl Fn() -> TokenizerBuilder<
            PieceModel,
            NormalizerWrapper,
            PreTokenizerWrapper,
            PostProcessorWrapper,
            DecoderWrapper,
        >,
        add_tokens: impl Fn(&mut Stages) -> tokenizers::Result<()>,
    ) -> Result<Self, TokenizerError> {
        let build = || {
            let mut stages = builder().build()?;
            add_tokens(&mut stages)?;
            Ok(stages)
        };
        let parsing = build().map_err(|source| TokenizerError::Assemble { source })?;
        let mut literal = build().map_err(|source| TokenizerError::Assemble { source })?;
        literal.set_encode_special_tokens(true);
        Ok(Self { parsing, literal })
    }

    pub(crate) fn encode(
        &self,
        text: &str,
        add: AddSpecial,
        parse: ParseSpecial,
    ) -> Result<Vec<u32>, TokenizerError> {
        let stages = match parse {
            ParseSpecial::Yes => &self.parsing,
            ParseSpecial::No => &self.literal,
        };
        let encoding = stages.encode_fast(text, add == AddSpecial::Yes);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|source| TokenizerError::Encode { source })
    }

    pub(crate) fn token_id(&self, text: &str) -> Option<u32> {
        self.parsing.token_to_id(text)
    }

    pub(crate) fn token_text(&self, id: u32) -> Option<String> {
        self.parsing.id_to_token(id)
    }
}

/// A model that two pipelines share.
#[derive(Clone, Debug)]
struct PieceModel {
    source: ModelSource,
    fenced: Arc<HashSet<u32>>,
}

#[derive(Clone, Debug)]
enum ModelSource {
    Library(Arc<tokenizers::Tokenizer>),
    Spm(Arc<SpmModel>),
}

impl PieceModel {
    /// Replaces a special token that ordinary text happened to spell by the tokens of its characters.
    fn unfence(&self, library: &tokenizers::Tokenizer, tokens: Vec<Token>) -> tokenizers::Result<Vec<Token>> {
        if !tokens.iter().any(|token| self.fenced.contains(&token.id)) {
            return Ok(tokens);
        }
        let mut spelled = Vec::with_capacity(tokens.len());
        for token in tokens {
            if !self.fenced.contains(&token.id) {
                spelled.push(token);
                continue;
            }
            for character in token.value.chars() {
                let single = library.get_model().tokenize(character.encode_utf8(&mut [0; 4]))?;
                spelled.extend(single.into_iter().filter(|token| !self.fenced.contains(&token.id)));
            }
        }
        Ok(spelled)
    }
}

impl Model for PieceModel {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        match &self.source {
            ModelSource::Library(library) => self.unfence(library, library.get_model().tokenize(sequence)?),
            // Ids are all that is read afterwards: neither text nor offsets are worth their allocations.
            ModelSource::Spm(spm) => {
                Ok(spm.encode(sequence).into_iter().map(|id| Token::new(id, String::new(), (0, 0))).collect())
            }
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match &self.source {
            ModelSource::Library(library) => library.get_model().token_to_id(token),
            ModelSource::Spm(spm) => spm.ids.get(token).copied(),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match &self.source {
            ModelSource::Library(library) => library.get_model().id_to_token(id),
            ModelSource::Spm(spm) => spm.texts.get(usize::try_from(id).ok()?).cloned(),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match &self.source {
            ModelSource::Library(library) => library.get_model().get_vocab(),
            ModelSource::Spm(spm) => spm.ids.clone(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match &self.source {
            ModelSource::Library(library) => library.get_model().get_vocab_size(),
            ModelSource::Spm(spm) => spm.texts.len(),
        }
    }

    fn save(&self, _folder: &Path, _prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        Err("this model is read-only".into())
    }

    fn get_trainer(&self) -> TrainerWrapper {
        BpeTrainer::default().into()
    }
}
