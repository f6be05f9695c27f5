//! Embeddings over the standard's route.

use base64::{Engine, prelude::BASE64_STANDARD};
use llama_engine::{Dimensions, EmbedRequest, EmbeddingInfo, EngineError, Usage};
use llama_openai::Vector;
use serde_json::json;

use crate::reply::EmbeddingList;

/// Texts of one HTTP request.
pub(crate) const BATCH_LEN: usize = 256;

/// The embeddings of some of the texts.
pub(crate) struct Batch {
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) usage: Usage,
    /// Which of them were not read to their end.
    pub(crate) cut_texts: Vec<usize>,
}

/// What is asked for some of the texts. Vectors come whole and are cut here: how a server cuts is its own business.
pub(crate) fn request(texts: &[String], instruction: Option<&str>, model: &str) -> Vec<u8> {
    let texts: Vec<String> =
        texts.iter().map(|text| format!("{}{text}", instruction.unwrap_or_default())).collect();
    json!({"model": model, "input": texts, "encoding_format": "base64"}).to_string().into_bytes()
}

/// The vectors of one answer, in the order of the texts.
///
/// # Errors
/// What is wrong with the answer.
pub(crate) fn read(body: &[u8], num_texts: usize) -> Result<Batch, String> {
    let list: EmbeddingList =
        serde_json::from_slice(body).map_err(|error| format!("no list of embeddings: {error}"))?;
    let mut vectors = vec![Vec::new(); num_texts];
    for entry in list.data {
        let place = vectors.get_mut(entry.index);
        let place = place.ok_or_else(|| format!("embedding {} of {num_texts}", entry.index))?;
        *place = numbers(entry.embedding)?;
    }
    match vectors.iter().position(Vec::is_empty) {
        Some(missing) => Err(format!("no embedding {missing} of {num_texts}")),
        None => {
            Ok(Batch { vectors, usage: list.usage.into(), cut_texts: list.cut_texts.unwrap_or_default() })
        }
    }
}

fn numbers(vector: Vector) -> Result<Vec<f32>, String> {
    let text = match vector {
        Vector::Float(numbers) => return Ok(numbers),
        Vector::Base64(text) => text,
    };
    let bytes =
        BASE64_STANDARD.decode(text).map_err(|error| format!("an embedding is no base64: {error}"))?;
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(format!("an embedding of {} bytes is no list of f32", bytes.len()));
    }
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Cuts and normalises, in this order.
pub(crate) fn shape(vectors: &mut [Vec<f32>], dimensions: Dimensions) {
    for vector in vectors {
        vector.truncate(dimensions.len());
        let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if norm > 0.0 {
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
    }
}

/// The size of the vectors, if the texts are fit to be embedded at all.
pub(crate) fn check(request: &EmbedRequest, info: &EmbeddingInfo) -> Result<Dimensions, EngineError> {
    if let Some(i) = request.texts.iter().position(String::is_empty)
        && request.instruction.as_ref().is_none_or(String::is_empty)
    {
        return Err(EngineError::InvalidRequest { field: "texts", reason: format!("text {i} is empty") });
    }
    info.dimensions(request.dimensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_in_any_order() {
        let packed = BASE64_STANDARD.encode([3.0f32, 4.0].map(f32::to_le_bytes).concat());
        let body = json!({"data": [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [0.5, 1]}],
            "usage": {"prompt_tokens": 7}});
        let Batch { mut vectors, usage, .. } = read(body.to_string().as_bytes(), 2).unwrap();
        assert_eq!(vectors, [[0.5, 1.0], [3.0, 4.0]]);
        assert_eq!(usage.prompt_tokens, 7);
        shape(&mut vectors[1..], Dimensions::Trained(2));
        assert_eq!(vectors[1], [0.6, 0.8]);
        shape(&mut vectors, Dimensions::Untrained(1));
        assert_eq!(vectors, [[1.0], [1.0]]);
    }

    #[test]
    fn answers_that_lack_something_are_refused() {
        let check = |body: serde_json::Value, expected: &str| {
            let Err(error) = read(body.to_string().as_bytes(), 2) else { panic!("{body} was read") };
            assert!(error.contains(expected), "{error}");
        };
        check(json!({"data": [{"index": 0, "embedding": [1]}]}), "no embedding 1 of 2");
        check(json!({"data": [{"index": 2, "embedding": [1]}]}), "embedding 2 of 2");
        check(json!({"data": [{"index": 0, "embedding": "AAA="}]}), "2 bytes");
        check(json!({"data": [{"index": 0, "embedding": "?"}]}), "base64");
        check(json!({}), "no list");
    }
}
