//! The adapters on a real engine.

mod graphrag;
mod rig;

use std::{fs, path::Path, sync::Arc};

use llama_runtime::{CandleEngine, EngineOptions};

async fn bard() -> Arc<CandleEngine> {
    let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
    Arc::new(CandleEngine::load(bard, EngineOptions::default()).await.unwrap())
}

/// bard with a chat template, which the model has never seen: what it says means nothing, but a grammar holds it.
async fn chatting_bard() -> Arc<CandleEngine> {
    let folder = tempfile::tempdir().unwrap();
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(bard.join(file), folder.path().join(file)).unwrap();
    }
    let config = fs::read_to_string(bard.join("tokenizer_config.json")).unwrap();
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}";
    let config = config.replacen('{', &format!("{{\"chat_template\": \"{template}\", "), 1);
    fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    Arc::new(CandleEngine::load(folder.path(), EngineOptions::default()).await.unwrap())
}
