//! Answers from pinned chunks, with citations.

use futures::executor::block_on;
use llama_engine::{FinishReason, LlamaEngine, RequiredCitations, Sampling, TokenRules};
use llama_rag::{
    AnswerEnd, AnswerEvent, Chunk, CitedAnswer, Document, RagError, Reader, ReaderSettings, Reading, Style,
};
use llama_runtime::CandleEngine;

use crate::support::{bard, chunks, in_memory};

fn read_chunks() -> Vec<Chunk> {
    let mut collection = in_memory();
    let lines = ["To be, or not to be, that is the question.", "Alas, poor Yorick! I knew him, Horatio."];
    let documents =
        (0..4).map(|i| Document::new(format!("play {i}"), format!("{i}. {}", lines[i % 2]))).collect();
    block_on(collection.add(documents)).unwrap();
    chunks(&collection)
}

fn settings(max_answer_tokens: usize) -> ReaderSettings {
    ReaderSettings {
        style: Style::Plain,
        max_source_tokens: 600,
        max_answer_tokens,
        required: RequiredCitations::PerSentence,
        ..ReaderSettings::default()
    }
}

fn reader(max_answer_tokens: usize) -> Reader<CandleEngine> {
    Reader::new(bard(), settings(max_answer_tokens))
}

/// bard never cites by itself, so it is given a taste for brackets.
fn citing(max_answer_tokens: usize) -> Reader<CandleEngine> {
    let engine = bard();
    let bracket = block_on(engine.tokenize("[")).unwrap()[0];
    let sampling = Sampling { temperature: 1.0, seed: Some(5), ..Sampling::default() };
    let rules = TokenRules { bias: vec![(bracket, 9.0)], ..TokenRules::default() };
    Reader::new(engine, ReaderSettings { sampling, rules, ..settings(max_answer_tokens) })
}

fn answer(reader: &Reader<CandleEngine>, question: &str) -> AnswerEnd {
    block_on(async { reader.ask(question).await?.collect().await }).unwrap()
}

/// Checks that what was cited is what stands in the text.
fn check_citations(end: &AnswerEnd, chunks: &[Chunk]) {
    let num_brackets = end.text.matches('[').count();
    assert_eq!(end.citations.len(), num_brackets, "{:?}", end.text);
    for citation in &end.citations {
        assert_eq!(end.text[citation.marker.clone()], format!("[{}]", citation.number));
        let chunk = &chunks[citation.number as usize - 1];
        assert_eq!(
            (citation.chunk, &citation.source, &citation.range),
            (chunk.id, &chunk.source, &chunk.range)
        );
    }
}

#[test]
fn an_answer_streams_its_text_and_its_citations() {
    let mut reader = citing(120);
    block_on(reader.read(read_chunks())).unwrap();
    let mut stream = block_on(reader.ask("Who is there?")).unwrap();
    let (mut text, mut citations) = (String::new(), Vec::new());
    let end = loop {
        match block_on(stream.next_event()).unwrap().expect("an end comes first") {
            AnswerEvent::Text(piece) => text.push_str(&piece),
            AnswerEvent::Citation(citation) => {
                assert_eq!(
                    text[citation.marker.clone()],
                    format!("[{}]", citation.number),
                    "after its marker"
                );
                citations.push(citation);
            }
            AnswerEvent::End(end) => break end,
        }
    };
    assert!(block_on(stream.next_event()).unwrap().is_none());
    assert_eq!((&end.text, &end.citations), (&text, &citations));
    assert!(!citations.is_empty(), "{text:?}");
    check_citations(&end, reader.sources().chunks());
}

#[test]
fn follow_ups_read_their_question_only() {
    let mut reader = reader(12);
    let block_len = 16;
    let chunks = read_chunks();
    assert_eq!(block_on(reader.read(chunks[2..].to_vec())).unwrap(), appended(2));
    let pinned = reader.sources().num_pinned_tokens();
    for question in ["Who is there?", "What is the question?"] {
        let end = answer(&reader, question);
        let usage = end.finished.usage;
        assert!(usage.cached_tokens + 2 * block_len > pinned, "{usage:?} of {pinned} pinned");
        assert!(end.cache_hit_rate() > 0.5, "{usage:?}");
    }
    // What was read keeps its place, and what comes goes behind it, by document.
    let better_first = [chunks[1].clone(), chunks[3].clone(), chunks[0].clone()];
    assert_eq!(block_on(reader.read(better_first)).unwrap(), appended(2));
    let order: Vec<&Chunk> = reader.sources().chunks().iter().collect();
    assert_eq!(order, [&chunks[2], &chunks[3], &chunks[0], &chunks[1]]);
    let first = answer(&reader, "Who is there?");
    assert!(first.finished.usage.cached_tokens + 2 * block_len > reader.sources().num_pinned_tokens());
    reader.remember("Who is there?", &first);
    let second = answer(&reader, "And who else?");
    assert!(second.cache_hit_rate() > 0.5, "{:?}", second.finished.usage);
    assert_eq!(block_on(reader.read(chunks.clone())).unwrap(), appended(0));
}

#[test]
fn chunks_that_do_not_fit_are_left_out_or_make_room() {
    let mut reader = Reader::new(bard(), ReaderSettings { max_source_tokens: 80, ..settings(8) });
    let chunks = read_chunks();
    let num_read = block_on(reader.read(chunks.clone())).unwrap().appended;
    assert!(num_read > 0 && num_read < chunks.len(), "{num_read} of {}", chunks.len());
    assert_eq!(reader.sources().chunks()[..], chunks[..num_read], "the best come first");
    let end = answer(&reader, "Who is there?");
    reader.remember("Who is there?", &end);
    let last = chunks[chunks.len() - 1..].to_vec();
    assert_eq!(block_on(reader.read(last.clone())).unwrap(), Reading { appended: 1, restarted: true });
    assert_eq!((&reader.sources().chunks()[..], reader.history()), (&last[..], &[][..]));
}

fn appended(appended: usize) -> Reading {
    Reading { appended, restarted: false }
}

#[test]
fn a_stopped_answer_goes_on_without_reading_again() {
    let (mut num_stopped, mut num_citations) = (0, 0);
    for mut reader in [reader(80), citing(80)] {
        block_on(reader.read(read_chunks())).unwrap();
        for num_pieces in [1, 5, 12, 20] {
            let mut stream = block_on(reader.ask("Who is there?")).unwrap();
            for _ in 0..num_pieces {
                block_on(stream.next_event()).unwrap();
            }
            stream.stop();
            let stopped = block_on(stream.collect()).unwrap();
            num_stopped += usize::from(stopped.finished.reason == FinishReason::Interrupted);
            let resumed = block_on(async { reader.resume(&stopped).await?.collect().await }).unwrap();
            let usage = resumed.finished.usage;
            assert!(usage.prompt_tokens - usage.cached_tokens <= 4, "{usage:?}");
            assert!(
                resumed.text.starts_with(stopped.text.trim_end()),
                "{:?}\n{:?}",
                stopped.text,
                resumed.text
            );
            check_citations(&resumed, reader.sources().chunks());
            num_citations += resumed.citations.len();
        }
    }
    assert!(num_stopped > 0 && num_citations > 0, "{num_stopped} stopped, {num_citations} citations");
}

#[test]
fn alternatives_share_their_prompt() {
    let mut reader = citing(40);
    block_on(reader.read(read_chunks())).unwrap();
    let answers = block_on(reader.ask_n("Who is there?", 3)).unwrap();
    let ends: Vec<AnswerEnd> =
        answers.into_iter().map(|answer: CitedAnswer| block_on(answer.collect()).unwrap()).collect();
    assert!(ends.windows(2).all(|pair| pair[0].text != pair[1].text), "{ends:?}");
    for end in &ends {
        check_citations(end, reader.sources().chunks());
        assert!(end.cache_hit_rate() > 0.5, "{:?}", end.finished.usage);
    }
}

#[test]
fn a_dropped_answer_is_cancelled() {
    let mut reader = reader(200);
    block_on(reader.read(read_chunks())).unwrap();
    let mut stream = block_on(reader.ask("Who is there?")).unwrap();
    block_on(stream.next_event()).unwrap();
    drop(stream);
    // The next one would wait behind it if it still ran alone; that nothing runs any more is what the engine says.
    answer(&reader, "Who is there?");
    let stats = block_on(reader.sources().engine().stats()).unwrap();
    assert_eq!((stats.num_running, stats.num_waiting, stats.num_queued), (0, 0, 0), "{stats:?}");
}

#[test]
fn nothing_read_means_nothing_cited_and_nothing_asked_is_refused() {
    let reader = reader(16);
    let end = answer(&reader, "Who is there?");
    assert!(end.citations.is_empty() && !end.text.contains('['), "{:?}", end.text);
    for question in ["", "\n "] {
        assert!(matches!(block_on(reader.ask(question)).err(), Some(RagError::EmptyQuestion)));
    }
}
