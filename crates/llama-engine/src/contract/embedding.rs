//! Clauses on embeddings.

use super::answer::accepted;
use crate::{
    Dimensions, EmbedInput, EmbedRequest, EngineError, LlamaEngine, Normalization, Overlong, Pooling,
};

const TEXTS: [&str; 5] = ["the king", "a horse, a horse", "my kingdom for a horse", "O", "the king"];

/// Each text's vector is the one it has alone, bit for bit and in its place; no texts, no vectors.
///
/// # Panics
/// If the engine breaks this.
pub async fn embeddings_are_as_alone<E: LlamaEngine>(engine: &E) {
    for pooling in [Pooling::Mean, Pooling::Last, Pooling::First, Pooling::WeightedMean].map(Some) {
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
        let differ = pooling == Some(Pooling::First) || together[1] != together[3];
        assert!(differ, "two texts, one vector, with {pooling:?}");
    }
    let none = accepted(engine.embed(EmbedRequest::new(Vec::<String>::new())).await);
    assert!(none.vectors.is_empty() && none.usage.prompt_tokens == 0, "{none:?}");
    let embedded = accepted(engine.embed(EmbedRequest::new(TEXTS)).await);
    assert!(embedded.usage.prompt_tokens >= TEXTS.len(), "{:?}", embedded.usage);
}

/// Dimensions cut and are reported, normalisation scales, a prefix goes in front; dimensions that do not exist are
/// refused, and those that the model was not trained for unless they are asked for as such.
///
/// # Panics
/// If the engine breaks this.
pub async fn embedding_options_apply<E: LlamaEngine>(engine: &E) {
    let info = engine.info().embedding.clone();
    let full_len = info.len;
    let plain = EmbedRequest { normalization: Normalization::None, ..EmbedRequest::new(TEXTS) };
    let raw = vectors(engine, plain).await;
    for dimensions in [1, full_len / 2, full_len] {
        let asked = Some(Dimensions::Untrained(dimensions));
        let embedded =
            accepted(engine.embed(EmbedRequest { dimensions: asked, ..EmbedRequest::new(TEXTS) }).await);
        assert_eq!(embedded.dimensions, accepted(info.dimensions(asked)), "what was cut is reported");
        for (vector, raw) in embedded.vectors.iter().zip(&raw) {
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
    for (input, prefix) in
        [(EmbedInput::Query, &info.query_prefix), (EmbedInput::Document, &info.document_prefix)]
    {
        let request = EmbedRequest { input, ..EmbedRequest::new(["king"]) };
        let whole = vectors(engine, EmbedRequest::new([format!("{prefix}king")])).await;
        assert_eq!(vectors(engine, request).await, whole, "{prefix:?} goes in front of a text as {input:?}");
    }
    let untrained = (1..full_len).find(|len| !info.trained_dimensions.contains(len));
    let refused = [Dimensions::Untrained(0), Dimensions::Untrained(full_len + 1)];
    for dimensions in refused.into_iter().chain(untrained.map(Dimensions::Trained)) {
        let request = EmbedRequest { dimensions: Some(dimensions), ..EmbedRequest::new(TEXTS) };
        match engine.embed(request).await {
            Err(EngineError::InvalidRequest { field: "dimensions", reason }) => {
                assert!(
                    reason.contains(&dimensions.len().to_string()),
                    "{dimensions:?} is not in {reason:?}"
                );
            }
            other => panic!("{other:?} instead of InvalidRequest for {dimensions:?}"),
        }
    }
}

/// A text that is too long is refused, or read up to the limit and named, as was asked; others are not touched by it.
///
/// # Panics
/// If the engine breaks this.
pub async fn overlong_texts_are_cut_if_asked<E: LlamaEngine>(engine: &E) {
    let max_tokens = engine.info().embedding.max_tokens;
    let long = "a ".repeat(2 * max_tokens);
    let texts = ["the king", &long, "O"];
    match engine.embed(EmbedRequest::new(texts)).await {
        Err(EngineError::ContextTooLong { needed, context_len }) => {
            assert!(
                needed > max_tokens && context_len == max_tokens,
                "{needed} tokens, {context_len} possible"
            );
        }
        other => panic!("{other:?} instead of ContextTooLong"),
    }
    let cut =
        accepted(engine.embed(EmbedRequest { overlong: Overlong::Cut, ..EmbedRequest::new(texts) }).await);
    assert_eq!(cut.cut_texts, [1]);
    let short = accepted(engine.embed(EmbedRequest::new([texts[0], texts[2]])).await);
    assert_eq!([&cut.vectors[0], &cut.vectors[2]], [&short.vectors[0], &short.vectors[1]]);
    assert_eq!(
        cut.usage.prompt_tokens,
        short.usage.prompt_tokens + max_tokens,
        "as much is read as possible"
    );
    assert!(short.cut_texts.is_empty(), "{:?}", short.cut_texts);
    // Longer still, but alike up to the limit.
    let longer = EmbedRequest { overlong: Overlong::Cut, ..EmbedRequest::new(["a ".repeat(3 * max_tokens)]) };
    assert_eq!(
        accepted(engine.embed(longer).await).vectors[0],
        cut.vectors[1],
        "what is cut off leaves no trace"
    );
}

/// An empty text has a vector of its own, that of the tokens around every text; where there are none, it is refused by its number. Nothing else
/// about it is special, and no other text is touched by it.
///
/// # Panics
/// If the engine breaks this.
pub async fn empty_texts_are_the_tokens_around_them<E: LlamaEngine>(engine: &E) {
    let texts = ["the king", "", "O"];
    match engine.embed(EmbedRequest::new(texts)).await {
        Ok(embedded) => {
            let [king, empty, o] = &embedded.vectors[..] else {
                panic!("{} vectors", embedded.vectors.len())
            };
            assert!((length(empty) - 1.0).abs() < 1e-5, "length {} of an empty text", length(empty));
            assert!(empty != king && empty != o, "an empty text has the vector of another");
            assert_eq!(
                vectors(engine, EmbedRequest::new(["O", "the king"])).await,
                [o.clone(), king.clone()]
            );
            let alone = accepted(engine.embed(EmbedRequest::new([""])).await);
            assert_eq!(alone.vectors[0], *empty, "an empty text, alone and beside others");
            assert!(alone.usage.prompt_tokens > 0, "a vector of no tokens");
        }
        Err(EngineError::InvalidRequest { field: "texts", reason }) => {
            assert!(reason.contains("text 1"), "which text is empty is not in {reason:?}");
        }
        other => panic!("{other:?} for an empty text"),
    }
}

async fn vectors<E: LlamaEngine>(engine: &E, request: EmbedRequest) -> Vec<Vec<f32>> {
    accepted(engine.embed(request).await).vectors
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}
