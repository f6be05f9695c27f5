//! Faults between the remote engine and our own server: whoever is affected hears of it, typed; the others do not.

use std::{
    process::{Child, Command, Stdio},
    sync::Once,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all};
use llama_engine::{
    Completion, EmbedRequest, EndOfText, EngineError, Event, FinishReason, GenerateRequest, LlamaEngine,
    Prompt, Sampling,
};
use llama_remote::{HealthPolicy, RemoteEngine, RemoteError, RetryPolicy, Timeouts};
use llama_runtime::{CandleEngine, EngineOptions};
use llama_server::{Limits, Server, ServerConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::serving::{Serving, bard, with_key};

const MS: Duration = Duration::from_millis(1);
/// Where the child process serves.
const SERVE_AT: &str = "LLAMA_REMOTE_TEST_SERVE_AT";

fn exactly(len: usize, prompt: &str) -> GenerateRequest {
    GenerateRequest::new(prompt).with_max_tokens(len).with_end(EndOfText::Ignored)
}

async fn ask(engine: &impl LlamaEngine, request: GenerateRequest) -> Result<Completion, EngineError> {
    engine.generate(request).await?.collect().await
}

/// Whether the error says that the way there failed, and not the engine.
fn is_on_the_way(error: &EngineError) -> bool {
    matches!(error, EngineError::Connection(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_a_typed_error_or_waited_for() {
    let engine = bard(EngineOptions::default()).await;
    let limits = Limits { max_running: 2, max_waiting: 0, ..Limits::default() };
    let server =
        Serving::start_with(engine.clone(), ServerConfig { limits, ..ServerConfig::default() }).await;
    let hasty =
        RemoteEngine::builder().endpoint(&server.url).retry(RetryPolicy::never()).connect().await.unwrap();
    let patient = RemoteEngine::connect(&server.url).await.unwrap();
    let long = || exactly(engine.info().context_len / 2, "The king");
    let mut running = vec![hasty.generate(long()).await.unwrap(), hasty.generate(long()).await.unwrap()];
    let refused = hasty.generate(exactly(1, "O")).await;
    assert!(matches!(refused, Err(EngineError::Overloaded { limit: 0 })), "{refused:?}");
    assert_eq!(hasty.endpoints(), [(server.url.clone(), true)], "a busy endpoint is not out");
    let waits = tokio::spawn(async move { ask(&patient, exactly(3, "O")).await });
    tokio::time::sleep(50 * MS).await;
    running.clear();
    assert_eq!(waits.await.unwrap().unwrap().tokens.len(), 3, "asked again after `Retry-After`");
    server.is_idle(&engine).await;
}

/// The process that is killed: this test again, told by its environment where to serve.
#[test]
fn serves_when_it_is_the_child() {
    let Ok(address) = std::env::var(SERVE_AT) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = ServerConfig { address: address.parse().unwrap(), ..ServerConfig::default() };
        let server = Server::bind(bard(EngineOptions::default()).await, config).await.unwrap();
        server.run(std::future::pending()).await;
    });
}

fn child_at(address: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "live::serves_when_it_is_the_child"])
        .env(SERVE_AT, address)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn is_listening(address: &str) {
    let start = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody listens at {address}");
        tokio::time::sleep(20 * MS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_a_typed_error_and_answers_again_after_its_restart() {
    let local = bard(EngineOptions::default()).await;
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mut child = child_at(&address);
    is_listening(&address).await;
    let health = HealthPolicy { first_outage: 50 * MS, ..HealthPolicy::default() };
    let engine = RemoteEngine::builder()
        .endpoint(format!("http://{address}"))
        .health(health)
        .retry(RetryPolicy::never());
    let engine = engine.connect().await.unwrap();
    for _ in 0..2 {
        let len = local.info().context_len / 2;
        let whole = ask(&local, exactly(len, "The king")).await.unwrap();
        let pin = engine.pin(Prompt::from("HAMLET.")).await.unwrap();
        let streams = join_all((0..4).map(|_| engine.generate(exactly(len, "The king")))).await;
        let heard = streams.into_iter().map(async |stream| {
            let (mut stream, mut tokens) = (stream.unwrap(), Vec::new());
            loop {
                match stream.next_event().await {
                    Ok(Some(Event::Token(token))) => tokens.push(token.id),
                    Err(error) => return (tokens, error),
                    other => panic!("{other:?} after {} tokens", tokens.len()),
                }
            }
        });
        let killed = async {
            tokio::time::sleep(150 * MS).await;
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let (heard, ()) = tokio::join!(join_all(heard), killed);
        for (tokens, error) in heard {
            assert!(is_on_the_way(&error), "{error:?}");
            assert!(whole.tokens.starts_with(&tokens), "{} tokens, one of them twice or lost", tokens.len());
        }
        for _ in 0..3 {
            let down = ask(&engine, exactly(2, "O")).await.expect_err("it is down");
            assert!(is_on_the_way(&down), "{down:?}");
        }
        child = child_at(&address);
        is_listening(&address).await;
        assert_eq!(ask(&engine, exactly(9, "The king")).await.unwrap().tokens, whole.tokens[..9]);
        let lost = engine.generate(exactly(2, "x").with_context(pin)).await;
        assert!(matches!(lost, Err(EngineError::ForeignContext)), "its contexts are gone: {lost:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_lets_answers_end() {
    let engine = bard(EngineOptions::default()).await;
    let server = Serving::start(engine.clone()).await;
    let remote =
        RemoteEngine::builder().endpoint(&server.url).retry(RetryPolicy::never()).connect().await.unwrap();
    let streams = join_all((0..8).map(|i| remote.generate(exactly(40 + i, "The king")))).await;
    let heard = join_all(streams.into_iter().map(async |stream| stream.unwrap().collect().await.unwrap()));
    let (heard, ()) = tokio::join!(heard, server.stop());
    for (i, answer) in heard.iter().enumerate() {
        assert_eq!((answer.tokens.len(), &answer.finished.reason), (40 + i, &FinishReason::MaxTokens));
    }
    let after = ask(&remote, exactly(1, "O")).await.expect_err("it has stopped");
    assert!(is_on_the_way(&after), "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_delays_nobody_and_is_let_go() {
    let engine = bard(EngineOptions::default()).await;
    let limits = Limits { client_timeout: 400 * MS, ..Limits::default() };
    let server =
        Serving::start_with(engine.clone(), ServerConfig { limits, ..ServerConfig::default() }).await;
    let remote = RemoteEngine::connect(&server.url).await.unwrap();
    // Nobody reads these; their log-probabilities are more than the sockets' buffers hold.
    let len = engine.info().context_len - 16;
    let deaf = join_all((0..6).map(|_| remote.generate(exactly(len, "O").with_logprobs(100)))).await;
    let start = Instant::now();
    assert_eq!(ask(&remote, exactly(20, "The king")).await.unwrap().tokens.len(), 20);
    assert!(start.elapsed() < Duration::from_secs(20), "after {:?}", start.elapsed());
    server.is_idle(&engine).await;
    let mut num_cut = 0;
    for stream in deaf {
        num_cut += usize::from(stream.unwrap().collect().await.is_err());
    }
    assert!(num_cut > 0, "nobody was let go");
}

/// Passes bytes on, until so many of the answer have passed; then it does what it was told.
async fn proxy(to: String, num_bytes: usize, then: Then) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let to = to.trim_start_matches("http://").to_owned();
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = TcpStream::connect(to).await.unwrap().into_split();
                let upwards =
                    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let (mut chunk, mut left) = ([0; 4096], num_bytes);
                while let Ok(length @ 1..) = from_server.read(&mut chunk).await {
                    let passed = length.min(left);
                    if to_client.write_all(&chunk[..passed]).await.is_err() {
                        break;
                    }
                    left -= passed;
                    match then {
                        _ if left > 0 => {}
                        Then::HangUp => break,
                        Then::SayNothing => tokio::time::sleep(Duration::from_secs(60)).await,
                        Then::Garble => {
                            if to_client
                                .write_all(&chunk.map(|byte| byte ^ 0x2a)[passed..length])
                                .await
                                .is_err()
                            {
                                break;
                            }
                        }
                    }
                }
                upwards.abort();
            });
        }
    });
    url
}

#[derive(Clone, Copy, Debug)]
enum Then {
    HangUp,
    SayNothing,
    Garble,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_through_a_bad_line_are_whole_or_their_beginning() {
    let engine = bard(EngineOptions::default()).await;
    let server = Serving::start(engine.clone()).await;
    let (mut num_whole, mut num_cut) = (0, 0);
    for then in [Then::HangUp, Then::SayNothing, Then::Garble] {
        for num_bytes in [900, 1100, 1500, 2500, 4000, 1 << 20] {
            let url = proxy(server.url.clone(), num_bytes, then).await;
            let timeouts = Timeouts { idle: 150 * MS, first_byte: 2000 * MS, ..Timeouts::default() };
            let remote = RemoteEngine::builder().endpoint(url).timeouts(timeouts).retry(RetryPolicy::never());
            // The list of models may already be too much for the line.
            let Ok(remote) = remote.connect().await else { continue };
            let request = exactly(12, "The king").with_sampling(Sampling {
                temperature: 1.0,
                seed: Some(3),
                ..Sampling::default()
            });
            let whole = ask(&engine, request.clone()).await.unwrap().tokens;
            let mut stream = match remote.generate(request).await {
                Ok(stream) => stream,
                Err(error) => {
                    assert!(is_on_the_way(&error), "{then:?} after {num_bytes}: {error:?}");
                    continue;
                }
            };
            let mut tokens = Vec::new();
            while let Some(event) = stream.next().await {
                match event {
                    Ok(Event::Token(token)) => tokens.push(token.id),
                    Ok(Event::Finished(_)) => {
                        assert_eq!(tokens, whole, "{then:?} after {num_bytes}");
                        num_whole += 1;
                    }
                    Err(error) => {
                        assert!(is_on_the_way(&error), "{then:?} after {num_bytes}: {error:?}");
                        num_cut += 1;
                    }
                    Ok(other) => panic!("{other:?}"),
                }
            }
            assert!(whole.starts_with(&tokens), "{then:?} after {num_bytes}: {tokens:?} of {whole:?}");
        }
    }
    assert!(num_whole >= 3 && num_cut >= 6, "{num_whole} whole, {num_cut} cut");
    server.is_idle(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_asked_for() {
    let server = Serving::start_with(bard(EngineOptions::default()).await, with_key("right")).await;
    let connect =
        async |key: &str| RemoteEngine::builder().endpoint(&server.url).api_key(key).connect().await;
    assert_eq!(ask(&connect("right").await.unwrap(), exactly(2, "O")).await.unwrap().tokens.len(), 2);
    let refused = connect("wrong").await.expect_err("it is wrong");
    let source = std::error::Error::source(&refused).and_then(|source| source.downcast_ref::<RemoteError>());
    assert!(matches!(source, Some(RemoteError::Unauthorized { .. })), "{refused:?}");
}

/// Panics in the engine's step in which an answer of 613 tokens ends, and in all steps of an engine with 79 blocks.
struct Saboteur;

#[derive(Default)]
struct Numbers(Vec<(&'static str, u64)>);

impl tracing::field::Visit for Numbers {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.0.push((field.name(), value));
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

impl tracing::Subscriber for Saboteur {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("llama_runtime")
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut numbers = Numbers::default();
        event.record(&mut numbers);
        let is = |name, number| event.metadata().name() == name && numbers.0.contains(&number);
        assert!(!is("request.finished", ("completion_tokens", 613)), "sabotage of a request");
        assert!(!is("kv.usage", ("total_blocks", 79)), "sabotage of the worker");
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

async fn sabotaged(options: EngineOptions) -> (CandleEngine, Serving, RemoteEngine) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Saboteur).expect("no other subscriber is set"));
    let engine = bard(options).await;
    let server = Serving::start(engine.clone()).await;
    let remote =
        RemoteEngine::builder().endpoint(&server.url).retry(RetryPolicy::never()).connect().await.unwrap();
    (engine, server, remote)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_step_ends_its_own_request_alone() {
    let (engine, server, remote) = sabotaged(EngineOptions::default()).await;
    let lengths = [20, 613, 40, 613, 60];
    let answers = join_all(lengths.map(|len| ask(&remote, exactly(len, "To be")))).await;
    for (len, answer) in lengths.into_iter().zip(answers) {
        match answer {
            Ok(answer) => assert!(answer.tokens.len() == len && len != 613, "{len}"),
            Err(error) => assert!(len == 613 && is_on_the_way(&error), "{len}: {error:?}"),
        }
    }
    server.is_idle(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_engine_is_reported_by_every_call() {
    let options = EngineOptions { cache_tokens: Some(79 * 16), ..EngineOptions::default() };
    let (_engine, _server, remote) = sabotaged(options).await;
    assert!(ask(&remote, exactly(4, "To be")).await.is_err());
    for _ in 0..3 {
        let dead = ask(&remote, exactly(4, "To be")).await.expect_err("its engine is dead");
        assert!(matches!(dead, EngineError::Connection(_) | EngineError::Stopped), "{dead:?}");
        assert!(remote.embed(EmbedRequest::new(["x"])).await.is_err());
        assert!(remote.pin(Prompt::from("x")).await.is_err());
    }
    assert!(remote.tokenize("x").await.is_ok(), "text needs no worker");
}
