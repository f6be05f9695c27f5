//! The adapters on a real engine.

mod graphrag;
mod rig;

use std::{fs, path::Path, sync::Arc};

use llama_runtime::{CandleEngine, EngineOptions};

async fn bard() -> Arc<CandleEngine> {
    let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
    Arc::new(CandleEngine::load(bard, EngineOptions::default()).await.expect("bard loads"))
}

/// bard with a chat template, which the model has never seen: what it says means nothing, but a grammar holds it.
async fn chatting_bard() -> Arc<CandleEngine> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(bard.join(file), folder.path().join(file)).expect("bard can be copied");
    }
    let config = fs::read_to_string(bard.join("tokenizer_config.json")).expect("bard has one");
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}";
    let config = config.replacen('{', &format!("{{\"chat_template\": \"{template}\", "), 1);
    fs::write(folder.path().join("tokenizer_config.json"), config).expect("the copy can be written");
    Arc::new(CandleEngine::load(folder.path(), EngineOptions::default()).await.expect("the copy loads"))
}
