//! A directory in Hugging Face form, written as a GGUF file and loaded from it: the same tokens and the same answers.

mod support;

use std::io::BufWriter;

use futures::executor::block_on;
use llama_backend::weight::WeightDtype;
use llama_engine::LlamaEngine;
use llama_models::Checkpoint;
use llama_runtime::{CandleEngine, EngineOptions, gguf_vocabulary};
use support::{ask, bard, bard_dir, exactly};

#[test]
fn a_written_file_answers_as_its_source() {
    let checkpoint = Checkpoint::open(&bard_dir()).expect("bard is in the repository");
    let vocabulary = gguf_vocabulary(&checkpoint).expect("GGUF has words for it");
    let checkpoint = checkpoint.with_gguf_vocabulary(vocabulary);
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().expect("a temporary file");
    checkpoint.write_dense(WeightDtype::F32, BufWriter::new(file.as_file())).expect("written");

    let (source, written) =
        (bard(EngineOptions::default()), CandleEngine::load(file.path(), EngineOptions::default()));
    let written = block_on(written).expect("a whole file");
    for text in ["HAMLET.\nTo be, or not to be: ", "ROMEO.\n", "O Ünïcödé\t42  🙂"] {
        let tokens = |engine: &CandleEngine| block_on(engine.tokenize(text)).expect("text has tokens");
        assert_eq!(tokens(&written), tokens(&source), "{text:?}");
        let answer = |engine: &CandleEngine| ask(engine, exactly(16, text)).expect("it fits").text;
        assert_eq!(answer(&written), answer(&source), "{text:?}");
    }
}
