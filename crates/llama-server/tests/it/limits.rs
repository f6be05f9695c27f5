//! What one client may take, clients that leave or dawdle, and the end of the server.

use std::{
    io::{Read, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use llama_runtime::EngineOptions;
use llama_server::{Limits, ServerConfig};
use serde_json::{Value, json};

use crate::support::{Running, parse, request};

/// A request for an answer that takes long.
fn long(server: &Running, stream: bool) -> Value {
    json!({"prompt": "HAMLET.\n", "max_tokens": server.context_len() - 16, "ignore_eos": true, "stream": stream})
}

/// Sends a request for a long answer and leaves it running.
fn begin(server: &Running, stream: bool) -> std::net::TcpStream {
    let mut connection = server.connect();
    let body = long(server, stream).to_string();
    connection.write_all(request("POST", "/v1/completions", &body).as_bytes()).expect("sent");
    connection
}

fn wait_for_work(server: &Running) {
    let started = Instant::now();
    while server.stats().num_running == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing runs");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn clients_that_leave_cancel_their_work() {
    let server = Running::with(Limits::default());
    for stream in [true, false] {
        let connection = begin(&server, stream);
        wait_for_work(&server);
        let before = server.stats();
        connection.shutdown(Shutdown::Both).expect("left");
        drop(connection);
        let left = Instant::now();
        server.check_idle(0);
        assert!(before.num_running == 1 && left.elapsed() < Duration::from_secs(5), "{before:?}");
    }
}

#[test]
fn who_comes_to_a_full_server_is_told_to_come_back() {
    let limits = Limits { max_running: 1, max_waiting: 1, ..Limits::default() };
    let server = Running::with(limits);
    let running = begin(&server, true);
    wait_for_work(&server);
    let mut waiting = server.connect();
    let short = request("POST", "/v1/completions", &json!({"prompt": "a", "max_tokens": 2}).to_string());
    waiting.write_all(short.as_bytes()).expect("sent");
    // Nothing shows from outside that it waits now.
    thread::sleep(Duration::from_millis(200));
    let refused = loop {
        // The one that waits has taken its place once the next is refused; until then the next waits, and leaves.
        let mut next = server.connect();
        next.set_read_timeout(Some(Duration::from_millis(200))).expect("a time limit");
        next.write_all(short.as_bytes()).expect("sent");
        let mut answer = String::new();
        if next.read_to_string(&mut answer).is_ok() {
            break parse(&answer);
        }
    };
    refused.check_error(429, "overloaded");
    assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
    drop(running);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("answered");
    assert_eq!(parse(&answer).status, 200);
    server.check_idle(0);
}

#[test]
fn waiting_counts_towards_the_time_limit() {
    let limits = Limits { max_running: 1, max_time: Duration::from_millis(1500), ..Limits::default() };
    let server = Running::with(limits);
    let mut first =
        json!({"prompt": "HAMLET.\n", "n": 64, "max_tokens": server.context_len() - 16, "ignore_eos": true});
    first["stream"] = true.into();
    let mut connection = server.connect();
    connection.write_all(request("POST", "/v1/completions", &first.to_string()).as_bytes()).expect("sent");
    wait_for_work(&server);
    let started = Instant::now();
    let second = server.post("/v1/completions", &long(&server, false));
    assert!(started.elapsed() < Duration::from_millis(2600), "{:?}", started.elapsed());
    assert!(second.status == 503 || second.json()["choices"][0]["finish_reason"] == "length", "{second:?}");
}

#[test]
fn a_full_engine_is_said_in_the_same_way() {
    let options = EngineOptions { max_waiting: 2, ..EngineOptions::default() };
    let server = Running::start(ServerConfig::default(), options);
    let three = server.post("/v1/completions", &json!({"prompt": "a", "n": 3, "max_tokens": 2}));
    three.check_error(429, "overloaded");
}

#[test]
fn prompts_tokens_and_time_are_limited() {
    let limits = Limits {
        max_prompt_tokens: 4,
        max_tokens: 6,
        max_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::with(limits);
    let error = server.post("/v1/completions", &json!({"prompt": "To be, or not to be, that"}));
    error.check_error(400, "prompt_too_long");
    server.post("/v1/completions", &json!({"prompt": [1, 2, 3, 4, 5]})).check_error(400, "prompt_too_long");
    let messages = json!([{"role": "user", "content": "To be, or not to be, that"}]);
    server.post("/v1/chat/completions", &json!({ "messages": messages })).check_error(400, "prompt_too_long");
    server
        .post("/v1/completions", &json!({"prompt": "To", "max_tokens": 7}))
        .check_error(400, "invalid_value");
    let most = server.ok("/v1/completions", &json!({"prompt": "To", "ignore_eos": true}));
    assert_eq!(
        (&most["usage"]["completion_tokens"], &most["choices"][0]["finish_reason"]),
        (&json!(6), &json!("length"))
    );
    let hurried = Running::with(Limits { max_time: Duration::from_millis(30), ..Limits::default() });
    let mut body = long(&hurried, false);
    body["details"] = true.into();
    let cut = hurried.ok("/v1/completions", &body);
    assert_eq!(cut["choices"][0]["finish_details"]["reason"]["type"], "deadline");
}

#[test]
fn clients_that_dawdle_are_let_go() {
    let limits = Limits { client_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = Running::with(limits);
    let mut half_a_head = server.connect();
    half_a_head.write_all(b"POST /v1/completions HTTP/1.1\r\nHost: t").expect("sent");
    let mut answer = String::new();
    half_a_head.read_to_string(&mut answer).expect("the server closes");
    assert_eq!(answer, "");
    let half_a_body = server.send(
        "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"pr",
    );
    half_a_body.check_error(408, "timeout");
}

#[test]
fn streams_that_nobody_reads_are_cut_off() {
    let limits = Limits { client_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = Running::with(limits);
    // Large pieces, so that the buffers of the sockets are full soon.
    let body = json!({"prompt": "HAMLET.\n", "n": 8, "max_tokens": server.context_len() - 16, "ignore_eos": true,
        "logprobs": 100, "stream": true});
    let mut connection = server.connect();
    connection.write_all(request("POST", "/v1/completions", &body.to_string()).as_bytes()).expect("sent");
    wait_for_work(&server);
    server.check_idle(0);
    let mut answer = Vec::new();
    // It may end with an error: what matters is that it ends early.
    let _ = connection.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("[DONE]"), "it was not cut off");
}

#[test]
fn a_server_that_stops_drains_and_lets_nobody_in() {
    let mut server = Running::with(Limits::default());
    let mut connection = begin(&server, true);
    wait_for_work(&server);
    let address = server.address;
    let ended = server.stop();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it may end");
    let events = parse(&answer).events();
    assert_eq!(events.last().expect("events")["choices"][0]["finish_reason"], "length");
    ended.join().expect("it ends");
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn draining_has_a_limit() {
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let mut server = Running::with(limits);
    let body =
        json!({"prompt": "HAMLET.\n", "n": 48, "max_tokens": server.context_len() - 16, "ignore_eos": true});
    let mut connection = server.connect();
    connection.write_all(request("POST", "/v1/completions", &body.to_string()).as_bytes()).expect("sent");
    wait_for_work(&server);
    let stopped = Instant::now();
    server.stop().join().expect("it ends");
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    server.check_idle(0);
}
