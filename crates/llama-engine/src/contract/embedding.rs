//! Clauses on embeddings.

use super::answer::accepted;
use crate::{EmbedRequest, EngineError, LlamaEngine, Normalization, Pooling};

const TEXTS: [&str; 5] = ["the king", "a horse, a horse", "my kingdom for a horse", "O", "the king"];

/// Each text's vector is the one it has alone, bit for bit and in its place; no texts, no vectors.
///
/// # Panics
/// If the engine breaks this.
pub async fn embeddings_are_as_alone<E: LlamaEngine>(engine: &E) {
    for pooling in [Pooling::Mean, Pooling::Last, Pooling::First, Pooling::WeightedMean] {
        let together = vectors(engine, EmbedRequest { pooling, ..EmbedRequest::new(TEXTS) }).await;
        assert_eq!(together.len(), TEXTS.len(), "{pooling:?}");
        for (text, vector) in TEXTS.iter().zip(&together) {
            let alone = vectors(engine, EmbedRequest { pooling, ..EmbedRequest::new([*text]) }).await;
            assert_eq!(
                alone,
                std::slice::from_ref(vector),
                "{text:?} with {pooling:?}, alone and beside others"
            );
        }
        // Texts may begin alike, with the model's begin token.
        let differ = pooling == Pooling::First || together[1] != together[3];
        assert!(differ, "two texts, one vector, with {pooling:?}");
    }
    let none = accepted(engine.embed(EmbedRequest::new(Vec::<String>::new())).await);
    assert!(none.vectors.is_empty() && none.usage.prompt_tokens == 0, "{none:?}");
    let embedded = accepted(engine.embed(EmbedRequest::new(TEXTS)).await);
    assert!(embedded.usage.prompt_tokens >= TEXTS.len(), "{:?}", embedded.usage);
}

/// Dimensions cut, normalisation scales, an instruction goes in front; dimensions that do not exist are refused.
///
/// # Panics
/// If the engine breaks this.
pub async fn embedding_options_apply<E: LlamaEngine>(engine: &E) {
    let full_len = engine.info().embedding_len;
    let plain = EmbedRequest { normalization: Normalization::None, ..EmbedRequest::new(TEXTS) };
    let raw = vectors(engine, plain).await;
    for dimensions in [1, full_len / 2, full_len] {
        let request = EmbedRequest { dimensions: Some(dimensions), ..EmbedRequest::new(TEXTS) };
        for (vector, raw) in vectors(engine, request).await.iter().zip(&raw) {
            assert_eq!(vector.len(), dimensions);
            assert!((length(vector) - 1.0).abs() < 1e-5, "length {} of {dimensions}", length(vector));
            let scale = length(&raw[..dimensions]);
            let cut = vector.iter().zip(raw).all(|(x, raw)| (x - raw / scale).abs() < 1e-5);
            assert!(cut, "not the leading {dimensions} components, scaled");
        }
    }
    assert!(raw.iter().all(|raw| raw.len() == full_len), "all dimensions by default");
    let instructed = EmbedRequest { instruction: Some("the ".to_owned()), ..EmbedRequest::new(["king"]) };
    let whole = vectors(engine, EmbedRequest::new(["the king"])).await;
    assert_eq!(vectors(engine, instructed).await, whole, "an instruction goes in front of the text");
    for dimensions in [0, full_len + 1] {
        let request = EmbedRequest { dimensions: Some(dimensions), ..EmbedRequest::new(TEXTS) };
        match engine.embed(request).await {
            Err(EngineError::InvalidRequest { field: "dimensions", reason }) => {
                assert!(reason.contains(&dimensions.to_string()), "{dimensions} is not in {reason:?}");
            }
            other => panic!("{other:?} instead of InvalidRequest for {dimensions} dimensions"),
        }
    }
}

async fn vectors<E: LlamaEngine>(engine: &E, request: EmbedRequest) -> Vec<Vec<f32>> {
    accepted(engine.embed(request).await).vectors
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}
