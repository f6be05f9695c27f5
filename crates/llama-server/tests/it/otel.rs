//! What a collector gets, and that nobody waits for one.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use llama_engine::LlamaEngine as _;
use llama_runtime::EngineOptions;
use llama_server::{Limits, ServerConfig, otel::Telemetry};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Any},
    metrics::v1::{Metric, metric::Data},
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::{Value, json};

use super::support::{Running, request};

const CLIENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

/// Takes what is sent to it, as a collector would.
struct Collector {
    address: SocketAddr,
    /// Path and body of each request.
    taken: Shelf,
}

type Shelf = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, taken) = (listener.local_addr().expect("an address"), Shelf::default());
        let shelf = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shelf = shelf.clone();
                thread::spawn(move || while take(stream.as_ref().expect("a client"), &shelf).is_some() {});
            }
        });
        Self { address, taken }
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let taken = self.taken.lock().expect("no panic");
        taken.iter().filter(|(other, _)| other == path).map(|(_, body)| body.clone()).collect()
    }

    fn spans(&self) -> (Vec<Span>, Resource) {
        let mut spans = Vec::new();
        let mut sender = Resource::default();
        for body in self.bodies("/v1/traces") {
            for of in ExportTraceServiceRequest::decode(&*body).expect("spans").resource_spans {
                sender = of.resource.expect("who sends");
                spans.extend(of.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        (spans, sender)
    }

    /// As they were last.
    fn metrics(&self) -> Vec<Metric> {
        let body = self.bodies("/v1/metrics").pop().expect("sent once");
        let all = ExportMetricsServiceRequest::decode(&*body).expect("metrics").resource_metrics;
        let scopes = all.into_iter().flat_map(|of| of.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }
}

/// One request of a connection; `None` at its end.
fn take(stream: &TcpStream, shelf: &Shelf) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut path, mut len) = (String::new(), 0);
    for line in reader.by_ref().lines() {
        let line = line.ok()?.to_ascii_lowercase();
        if let Some(post) = line.strip_prefix("post ") {
            path = post.split(' ').next()?.to_owned();
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            len = value.parse().ok()?;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    shelf.lock().expect("no panic").push((path, body));
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn served(endpoint: &str) -> (Running, Telemetry) {
    let telemetry = Telemetry::start(Some(endpoint)).expect("a good endpoint").expect("not disabled");
    let config = ServerConfig { limits: Limits::default(), ..ServerConfig::default() };
    let observe = |metrics: &llama_server::metrics::Metrics| metrics.export(&telemetry);
    let running = Running::observed(config, EngineOptions::default(), |engine| engine, observe);
    (running, telemetry)
}

fn post(running: &Running, path: &str, headers: &str, body: &Value) -> super::support::Answer {
    let plain = request("POST", path, &body.to_string());
    let (first, rest) = plain.split_once("\r\n").expect("a line");
    running.send(&format!("{first}\r\n{headers}{rest}"))
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    match value(attributes, name) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::ArrayValue(array)) => {
            let texts = array.values.into_iter().map(|value| match value.value {
                Some(Any::StringValue(text)) => text,
                other => panic!("{name} has {other:?}"),
            });
            texts.collect::<Vec<_>>().join(",")
        }
        other => panic!("{name} is {other:?} in {attributes:?}"),
    }
}

fn value(attributes: &[KeyValue], name: &str) -> Option<Any> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value
}

/// Asks in each way that there is. All prompts and answers to come contain one of these words.
fn ask_all(running: &Running) {
    let chat = json!({"messages": [{"role": "user", "content": "Speak of Denmark."}], "max_tokens": 5,
        "temperature": 0.7, "seed": 9, "grammar": {"type": "regex", "regex": "Elsinore.*"}, "stop": ["Fortinbras"]});
    assert_eq!(post(running, "/v1/chat/completions", CLIENT, &chat).status, 200);
    let complete =
        json!({"prompt": "Of Denmark:", "n": 2, "max_tokens": 6, "ignore_eos": true, "stream": true});
    assert_eq!(post(running, "/v1/completions", "", &complete).status, 200);
    let embed = json!({"input": ["Denmark is a prison.", "Denmark"]});
    assert_eq!(post(running, "/v1/embeddings", "", &embed).status, 200);
    let refused = json!({"prompt": "Denmark", "max_tokens": 1_000_000});
    assert_eq!(post(running, "/v1/completions", "", &refused).status, 400);
    // A client that sampled nothing of its own trace wants nothing of it here.
    let unsampled = CLIENT.replace("-01\r\n", "-00\r\n");
    assert_eq!(post(running, "/v1/embeddings", &unsampled, &embed).status, 200);
    // One that leaves after the first token of a long answer.
    let long = json!({"prompt": "Denmark", "max_tokens": 400, "ignore_eos": true, "stream": true});
    let mut stream = running.connect();
    stream.write_all(request("POST", "/v1/completions", &long.to_string()).as_bytes()).expect("sent");
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("data: ")));
    drop(lines);
    running.check_idle(0);
}

#[test]
fn a_collector_is_told_of_every_request_and_of_no_text() {
    let collector = Collector::start();
    let (mut running, telemetry) = served(&format!("http://{}", collector.address));
    let model = running.engine.info().model.clone();
    ask_all(&running);
    running.stop().join().unwrap();
    running.runtime.block_on(telemetry.shutdown(Duration::from_secs(20)));
    let (spans, sender) = collector.spans();
    assert_eq!(text(&sender.attributes, "service.name"), "llama-server");
    check_spans(&spans, &model);
    check_metrics(&collector.metrics(), &model);
    for (path, body) in collector.taken.lock().unwrap().iter() {
        let sent = String::from_utf8_lossy(body);
        for word in ["Denmark", "Elsinore", "Fortinbras"] {
            assert!(!sent.contains(word), "{word} went to {path}");
        }
    }
}

fn check_spans(spans: &[Span], model: &str) {
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let asked = |operation: &str| named(&format!("{operation} {model}"));
    let [chat] = asked("chat")[..] else { panic!("one chat") };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&chat.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&chat.parent_span_id), "b7ad6b7169203331");
    assert_eq!(chat.kind, SpanKind::Server as i32);
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", model),
        ("gen_ai.request.max_tokens", "5"),
        ("gen_ai.request.temperature", "0.7"),
        ("gen_ai.request.seed", "9"),
        ("gen_ai.response.finish_reasons", "length"),
        ("gen_ai.usage.output_tokens", "5"),
        ("http.route", "/v1/chat/completions"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(text(&chat.attributes, name), expected, "{name}");
    }
    assert_ne!(text(&chat.attributes, "gen_ai.usage.input_tokens"), "0");
    assert!(value(&chat.attributes, "error.type").is_none());
    for name in ["llama.queue_seconds", "llama.time_to_first_token_seconds"] {
        assert!(text(&chat.attributes, name).parse::<f64>().expect("seconds") > 0.0, "{name}");
    }
    let parts = ["queue", "prefill", "decode"].map(|name| {
        let mut parts = named(name).into_iter().filter(|span| span.parent_span_id == chat.span_id);
        parts.next().unwrap_or_else(|| panic!("no {name}"))
    });
    assert_eq!(parts[0].start_time_unix_nano, chat.start_time_unix_nano);
    for (part, next) in parts.iter().zip(&parts[1..]) {
        assert_eq!(part.end_time_unix_nano, next.start_time_unix_nano);
    }
    assert!(parts[2].end_time_unix_nano <= chat.end_time_unix_nano);
    let [two, refused, left] = asked("text_completion")[..] else { panic!("three completions") };
    assert_eq!(text(&two.attributes, "gen_ai.response.finish_reasons"), "length,length");
    assert_eq!(text(&two.attributes, "gen_ai.request.choice.count"), "2");
    assert_eq!(text(&two.attributes, "gen_ai.usage.output_tokens"), "12");
    assert_eq!(text(&refused.attributes, "error.type"), "context_length_exceeded");
    assert_eq!(text(&refused.attributes, "http.response.status_code"), "400");
    assert_eq!(text(&left.attributes, "error.type"), "client_left");
    assert_eq!(text(&left.attributes, "gen_ai.response.finish_reasons"), "abort");
    let [embed] = asked("embeddings")[..] else { panic!("one was sampled") };
    assert_ne!(text(&embed.attributes, "gen_ai.usage.input_tokens"), "0");
    assert!(
        spans
            .iter()
            .all(|span| span.status.as_ref().is_none_or(|status| status.code == StatusCode::Unset as i32))
    );
}

fn check_metrics(metrics: &[Metric], model: &str) {
    let histogram = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        histogram.data_points.clone()
    };
    let count = |name: &str, label: &str, wanted: &str| {
        let points = histogram(name).into_iter();
        let of = points
            .filter(|point| value(&point.attributes, label) == Some(Any::StringValue(wanted.to_owned())));
        of.map(|point| point.count).sum::<u64>()
    };
    let duration = "gen_ai.server.request.duration";
    for (operation, expected) in [("chat", 1), ("text_completion", 3), ("embeddings", 2)] {
        assert_eq!(count(duration, "gen_ai.operation.name", operation), expected, "{operation}");
    }
    assert_eq!(count(duration, "error.type", "context_length_exceeded"), 1);
    assert_eq!(count(duration, "error.type", "client_left"), 1);
    let of_model = |name| count(name, "gen_ai.request.model", model);
    assert_eq!(of_model("gen_ai.server.time_to_first_token"), 3);
    assert_eq!(of_model("gen_ai.server.time_per_output_token"), 3, "one of the chat, two of the completion");
    assert_eq!(count("gen_ai.client.token.usage", "gen_ai.token.type", "output"), 2);
    let tokens = histogram("gen_ai.client.token.usage");
    assert_eq!(tokens[0].explicit_bounds[..4], [1.0, 4.0, 16.0, 64.0]);
    let bounds = histogram(duration)[0].explicit_bounds.clone();
    assert_eq!((bounds[0], bounds.len()), (0.01, 14));
    let ended =
        metrics.iter().find(|metric| metric.name == "vllm.request_success").expect("our counters too");
    let Some(Data::Sum(ended)) = &ended.data else { panic!("{ended:?}") };
    assert!(ended.is_monotonic && ended.data_points.len() == 4, "{ended:?}");
}

#[test]
fn nobody_waits_for_a_collector() {
    // One takes connections and never answers, the other is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), gone] {
        let (mut running, telemetry) = served(&format!("http://{address}"));
        let started = Instant::now();
        // More than the queue of spans holds.
        let mut stream = running.connect();
        let one = "GET /v1/models HTTP/1.1\r\nHost: test\r\n\r\n";
        let (mut reader, mut answer) = (BufReader::new(stream.try_clone().unwrap()), String::new());
        for _ in 0..3000 {
            stream.write_all(one.as_bytes()).unwrap();
            answer.clear();
            while !answer.ends_with("\r\n\r\n") {
                reader.read_line(&mut answer).unwrap();
            }
            let head = answer.to_ascii_lowercase();
            let len = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
            reader.read_exact(&mut vec![0; len.parse().unwrap()]).unwrap();
            assert!(head.starts_with("http/1.1 200"), "{head}");
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        running.stop().join().unwrap();
        let stopped = Instant::now();
        running.runtime.block_on(telemetry.shutdown(Duration::from_millis(500)));
        assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    }
}
