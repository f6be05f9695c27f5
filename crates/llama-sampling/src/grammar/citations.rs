//! Free text in which every square bracket is a citation of one of the given chunks.
//!
//! What is promised: each `[n]` in the answer is one of the ids, and no other square bracket appears. What is not: that the chunk supports the
//! sentence it stands in. That is for a reader, or another model, to judge.

use llama_engine::{CitationGrammar, RequiredCitations};
use llguidance::toktrie::SimpleVob;

use super::{GrammarError, GrammarVocabulary, VocabularyPiece, mask::Detour};

/// Text that takes no part in citations: neither brackets nor what ends a sentence.
pub(super) const SLICE: &str = r#"[^"\\\[\].!?\x00-\x1F\x7F]+"#;

/// The Lark source of the rules: one regular expression.
pub(super) fn to_lark(rules: &CitationGrammar) -> Result<String, GrammarError> {
    let mut ids = rules.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return match rules.required {
            RequiredCitations::None => Ok("start: /[^\\[\\]]*/".to_owned()),
            _ => Err(GrammarError::Refused {
                reason: "citations are required, but nothing can be cited".to_owned(),
            }),
        };
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    let marker = format!(r"\[(?:{})\]", ids.join("|"));
    let text = r"[^\[\]]";
    let pattern = match rules.required {
        RequiredCitations::None => format!("(?:{text}|{marker})*"),
        RequiredCitations::PerAnswer => format!("{text}*{marker}(?:{text}|{marker})*"),
        RequiredCitations::PerSentence => {
            // Inside a sentence, what could end it is followed by something other than white space.
            let plain = r"(?:[^\[\].!?]|[.!?]+[^\[\].!?\s])";
            let cited = format!(r"[.!?]*{marker}");
            let sentence = format!("{plain}*{cited}(?:{plain}|{cited})*");
            format!(r"{sentence}(?:[.!?]+\s{sentence})*(?:[.!?]+\s*)?")
        }
    };
    Ok(format!("start: /(?s:{pattern})/"))
}

/// The tokens that a lacking citation rules out, and those that begin one.
///
/// A model that wants to end, and may not before it has cited, would go on to the limit: to cite is rarely the likeliest of what is left. So what the
/// lack rules out hands its logit on to the citation.
#[derive(Clone, Debug)]
pub(super) struct Lack {
    /// Text without brackets, and ends: outside of markers, nothing but a lack rules them out.
    plain: SimpleVob,
    /// White space and an opening bracket.
    openings: SimpleVob,
}

impl Lack {
    pub(super) fn new(vocabulary: &GrammarVocabulary) -> Self {
        let num_tokens = vocabulary.pieces.len();
        let (mut plain, mut openings) = (SimpleVob::alloc(num_tokens), SimpleVob::alloc(num_tokens));
        for (id, piece) in (0..).zip(&vocabulary.pieces) {
            if vocabulary.end_tokens.contains(&id) {
                plain.allow_token(id);
            } else if let VocabularyPiece::Text(bytes) = piece {
                plain.set(id as usize, str::from_utf8(bytes).is_ok_and(|text| !text.contains(['[', ']'])));
                openings.set(id as usize, bytes.trim_ascii_start().starts_with(b"["));
            }
        }
        Self { plain, openings }
    }

    /// The way through a citation, where one can begin and something lacks it.
    pub(super) fn detour(&self, allowed: &SimpleVob) -> Option<Detour> {
        let (mut postponed, mut through) = (self.plain.clone(), self.openings.clone());
        through.and(allowed);
        postponed.sub(allowed);
        (!through.is_zero() && !postponed.is_zero()).then_some(Detour { postponed, through })
    }
}
