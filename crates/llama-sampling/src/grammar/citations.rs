//! Free text in which every square bracket is a citation of one of the given chunks.
//!
//! What is promised: each `[n]` in the answer is one of the ids, and no other square bracket appears. What is not: that the chunk supports the
//! sentence it stands in. That is for a reader, or another model, to judge.

use llama_engine::{CitationGrammar, RequiredCitations};

use super::GrammarError;

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
