//! What networks and servers do to an answer: it is whole, or a typed error follows what has arrived of it. No token comes twice.

use std::time::{Duration, Instant};

use llama_engine::{EngineError, Event, FinishReason, GenerateRequest, LlamaEngine};
use llama_remote::{HealthPolicy, RemoteEngine, RemoteEngineBuilder, RemoteError, RetryPolicy, Timeouts};

use crate::{
    script::{ScriptedServer, Step, events_head, json, json_with, part},
    standard::{MODELS, request, server, whole_answer},
};

const MS: Duration = Duration::from_millis(1);

/// A builder that loses no time.
fn hasty(server: &ScriptedServer) -> RemoteEngineBuilder {
    RemoteEngine::builder()
        .endpoint(&server.url)
        .retry(RetryPolicy { max_rounds: 3, first_pause: 5 * MS, max_pause: 1500 * MS })
        .timeouts(Timeouts { connect: 1000 * MS, first_byte: 200 * MS, idle: 200 * MS, total: None })
}

/// What came before the end, and the end.
async fn listen(
    engine: &impl LlamaEngine,
    request: GenerateRequest,
) -> (String, Result<FinishReason, EngineError>) {
    let mut stream = match engine.generate(request).await {
        Ok(stream) => stream,
        Err(error) => return (String::new(), Err(error)),
    };
    let mut text = String::new();
    loop {
        match stream.next_event().await {
            Ok(Some(Event::Token(token))) => text.push_str(&token.text),
            Ok(Some(Event::Finished(finished))) => return (text + &finished.text, Ok(finished.reason)),
            Ok(other) => panic!("{other:?} in {text:?}"),
            Err(error) => {
                let after = stream.next_event().await;
                assert!(matches!(after, Ok(None)), "after the error comes {after:?}");
                return (text, Err(error));
            }
        }
    }
}

/// The failure on the way, of an error that is one.
fn on_the_way(error: EngineError) -> RemoteError {
    match error {
        EngineError::Connection(source) => *source.downcast().expect("ours"),
        other => panic!("{other:?}"),
    }
}

/// Checks that this plan for the stream gives this beginning of the answer, and then such an error; and that it was asked for once.
async fn check_broken(steps: Vec<Step>, expected: &str, is_expected: impl Fn(&RemoteError) -> bool) {
    let server = server(move |_, _| steps.clone()).await;
    let engine = hasty(&server).connect().await.unwrap();
    let (text, outcome) = listen(&engine, request()).await;
    let error = on_the_way(outcome.expect_err("it broke off"));
    assert!(text == expected && is_expected(&error), "{text:?}, then {error:?}");
    assert_eq!(server.num_asked("/v1/completions"), 1, "an answer that has begun is not asked for again");
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_after_what_has_arrived() {
    let whole = whole_answer();
    let broken = |error: &RemoteError| matches!(error, RemoteError::Broken { .. });
    let late = |error: &RemoteError| matches!(error, RemoteError::TimedOut { .. });
    for (num_parts, expected) in [(1, ""), (2, "To"), (3, "To be")] {
        let beginning = || whole[..num_parts].to_vec();
        check_broken([beginning(), vec![Step::Reset]].concat(), expected, broken).await;
        check_broken([beginning(), vec![crate::script::end()]].concat(), expected, broken).await;
        check_broken([beginning(), vec![Step::Hang]].concat(), expected, late).await;
        let half = vec![part("data: {\"choices\": [{\"te"), Step::Reset];
        check_broken([beginning(), half].concat(), expected, broken).await;
    }
    check_broken(vec![Step::Hang], "", late).await;
    check_broken(vec![Step::Reset], "", broken).await;
}

#[tokio::test]
async fn garbage_is_an_error_and_never_an_answer() {
    let protocol = |error: &RemoteError| matches!(error, RemoteError::Protocol { .. });
    let begun = || whole_answer()[..2].to_vec();
    for garbage in ["data: {\"choices\": 3}\n\n", "data: To be\n\n", "data: {\n\n"] {
        check_broken([begun(), vec![part(garbage)]].concat(), "To", protocol).await;
    }
    let unknown = part("data: {\"choices\": [{\"finish_reason\": \"content_filter\"}]}\n\n");
    check_broken([begun(), vec![unknown]].concat(), "To", protocol).await;
    let failed = part("data: {\"error\": {\"message\": \"out of memory\", \"code\": 500}}\n\n");
    let failure = |error: &RemoteError| error.to_string().contains("out of memory");
    check_broken([begun(), vec![failed]].concat(), "To", failure).await;
    let page = Step::Send("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>".to_owned());
    check_broken(vec![page], "", |error| matches!(error, RemoteError::Broken { .. })).await;
    let no_http = Step::Send("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned());
    check_broken(vec![no_http, Step::Reset], "", |error| matches!(error, RemoteError::Broken { .. })).await;
}

#[tokio::test]
async fn an_answer_is_whole_once_its_reason_has_come() {
    let server = server(|_, _| [whole_answer()[..4].to_vec(), vec![Step::Reset]].concat()).await;
    let engine = hasty(&server).connect().await.unwrap();
    let (text, reason) = listen(&engine, request()).await;
    assert_eq!((text.as_str(), reason.unwrap()), ("To be", FinishReason::MaxTokens));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_wants_to_be() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let server = ScriptedServer::start(move |asked, number| match (asked.line.as_str(), number) {
            ("GET /v1/models", _) => json("200 OK", MODELS),
            (_, 1) => json_with(status, "retry-after: 1\r\n", "{}"),
            (_, 2) => json(status, "{}"),
            _ => whole_answer(),
        })
        .await;
        let health = HealthPolicy { probe_interval: None, ..HealthPolicy::default() };
        let engine = hasty(&server).health(health).connect().await.unwrap();
        let start = Instant::now();
        assert_eq!(listen(&engine, request()).await.0, "To be");
        assert!(start.elapsed() >= 1000 * MS, "it was asked again after {:?}", start.elapsed());
        assert_eq!(server.num_asked("/v1/completions"), 3);
    }
}

#[tokio::test]
async fn attempts_end_and_other_errors_are_not_repeated() {
    for (status, headers, expected) in [
        ("429 Too Many Requests", "", 3),
        ("429 Too Many Requests", "retry-after: 60\r\n", 1),
        ("500 Internal Server Error", "", 1),
        ("400 Bad Request", "", 1),
    ] {
        let server = server(move |_, _| json_with(status, headers, "{}")).await;
        let engine = hasty(&server).connect().await.unwrap();
        let (_, outcome) = listen(&engine, request()).await;
        assert!(outcome.is_err());
        assert_eq!(server.num_asked("/v1/completions"), expected, "{status}");
    }
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again_when_the_connection_breaks() {
    let server =
        server(|_, number| if number < 3 { vec![Step::Reset] } else { json("200 OK", r#"{"tokens": [1]}"#) })
            .await;
    let engine = hasty(&server).connect().await.unwrap();
    assert_eq!(engine.tokenize("x").await.unwrap(), [1]);
    assert_eq!(server.num_asked("/tokenize"), 3);
}

#[tokio::test]
async fn a_dropped_stream_hangs_up() {
    let server = server(|_, _| [whole_answer()[..2].to_vec(), vec![Step::Hang]].concat()).await;
    let engine = RemoteEngine::connect(&server.url).await.unwrap();
    let mut stream = engine.generate(request()).await.unwrap();
    assert!(matches!(stream.next_event().await, Ok(Some(Event::Token(_)))));
    drop(stream);
    server.has_been_hung_up_on(1).await;
    drop(engine.generate(request()).await.unwrap());
    server.has_been_hung_up_on(2).await;
}

#[tokio::test]
async fn a_stopped_answer_ends_with_what_has_arrived() {
    let server = server(|_, _| [whole_answer()[..2].to_vec(), vec![Step::Hang]].concat()).await;
    let engine = RemoteEngine::connect(&server.url).await.unwrap();
    let mut stream = engine.generate(request()).await.unwrap();
    assert!(matches!(stream.next_event().await, Ok(Some(Event::Token(_)))));
    stream.stop();
    let Ok(Some(Event::Finished(finished))) = stream.next_event().await else { panic!("no end") };
    assert_eq!((finished.reason, finished.usage.completion_tokens), (FinishReason::Interrupted, 1));
    server.has_been_hung_up_on(1).await;
}

#[tokio::test]
async fn the_whole_time_is_limited_if_asked_for() {
    let server = server(|_, _| {
        let slow = (0..100).flat_map(|_| [part(": still there\n\n"), Step::Wait(20 * MS)]);
        [events_head()].into_iter().chain(slow).collect()
    })
    .await;
    let limits = Timeouts { total: Some(300 * MS), ..Timeouts::default() };
    let engine = RemoteEngine::builder().endpoint(&server.url).timeouts(limits).connect().await.unwrap();
    let start = Instant::now();
    let error = on_the_way(listen(&engine, request()).await.1.expect_err("it takes too long"));
    assert!(error.to_string().contains("no end of the answer within 0.3 s"), "{error}");
    assert!((300 * MS..1500 * MS).contains(&start.elapsed()), "after {:?}", start.elapsed());
}

#[tokio::test]
async fn endpoints_take_turns_and_one_that_is_gone_comes_back() {
    let first = server(|_, _| whole_answer()).await;
    let second = server(|_, _| whole_answer()).await;
    let health = HealthPolicy { first_outage: 50 * MS, probe_interval: None, ..HealthPolicy::default() };
    let engine = hasty(&first).endpoint(&second.url).health(health).connect().await.unwrap();
    for _ in 0..6 {
        assert_eq!(listen(&engine, request()).await.0, "To be");
    }
    assert_eq!((first.num_asked("/v1/completions"), second.num_asked("/v1/completions")), (3, 3));
    let address = second.url.trim_start_matches("http://").to_owned();
    second.stop().await;
    for _ in 0..6 {
        assert_eq!(listen(&engine, request()).await.0, "To be", "one endpoint is enough");
    }
    assert_eq!(first.num_asked("/v1/completions"), 9);
    assert!(!engine.endpoints()[1].1, "it is out");
    let second = ScriptedServer::start_at(&address, |asked, _| match asked.line.as_str() {
        "GET /health" => json("404 Not Found", "{}"),
        "GET /v1/models" => json("200 OK", MODELS),
        _ => whole_answer(),
    })
    .await;
    let back = async {
        while !engine.endpoints()[1].1 {
            tokio::time::sleep(10 * MS).await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("a probe brings it back");
    for _ in 0..4 {
        listen(&engine, request()).await.1.unwrap();
    }
    assert!(second.num_asked("/v1/completions") >= 2);
}

#[tokio::test]
async fn the_key_is_sent_and_never_shown() {
    let server = server(|_, _| whole_answer()).await;
    let engine = hasty(&server).api_key("very-secret").connect().await.unwrap();
    listen(&engine, request()).await.1.unwrap();
    assert!(server.asked().iter().all(|asked| asked.headers.contains("authorization: Bearer very-secret")));
    assert!(!format!("{engine:?}").contains("secret"));
    let builder = RemoteEngine::builder().api_key("very-secret");
    assert!(!format!("{builder:?}").contains("very-secret"));
}
