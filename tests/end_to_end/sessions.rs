//! Sessions of older clients: on both transports that have them they are one caller's, and not too many.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::clients::{Era, Way, inspector_call, inspector_tools};
use crate::product::{Product, Server};
use crate::provider::{Provider, repository};
use crate::tasks::Slow;
use crate::wire::{Message, open, send};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

fn call(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

fn initialize() -> String {
    let client = json!({"name": "tests", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    call("initialize", &params)
}

/// Sends a message of an older client as the bearer of this token.
pub fn say(method: &str, url: &str, token: &str, more: &[(&str, &str)], body: &str) -> Message {
    let authorization = format!("Bearer {token}");
    let standard = [
        ("authorization", authorization.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    send(method, url, &[&standard[..], more].concat(), body)
}

/// Opens a session at `/mcp` as the bearer of this token; its id.
pub fn begin(server: &Server<'_>, token: &str) -> String {
    let begun = say("POST", &server.url, token, &[], &initialize());
    assert_eq!(begun.status(), 200, "{begun:?}");
    begun.header("mcp-session-id").expect("a session").to_owned()
}

/// Lists the tools in a session; the answer's status.
fn list(server: &Server<'_>, token: &str, session: &str) -> u16 {
    let more = [("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25")];
    say("POST", &server.url, token, &more, &call("tools/list", &json!({}))).status()
}

#[test]
fn e5_the_session_of_another_is_none() {
    let product = Product::at("http://127.0.0.1:1");
    product.must(&["tenant", "create", "acme"], "");
    let (other, foreign) = (product.token("local", "other"), product.token("acme", "agent"));
    let server = product.serve();
    let session = begin(&server, &server.token);
    let named = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let told = say("POST", &server.url, &server.token, &named, &initialized);
    assert_eq!(told.status(), 202, "{told:?}");
    for stranger in [&other, &foreign] {
        for (method, body) in [
            ("POST", call("tools/list", &json!({}))),
            ("POST", json!({"jsonrpc": "2.0", "id": 0, "result": {}}).to_string()),
            ("GET", String::new()),
            ("DELETE", String::new()),
        ] {
            let answered = say(method, &server.url, stranger, &named, &body);
            assert_eq!(answered.status(), 404, "{method}: {answered:?}");
        }
    }
    assert_eq!(list(&server, &server.token, &session), 200);
    let ended = say("DELETE", &server.url, &server.token, &named, "");
    assert_eq!(ended.status(), 202, "{ended:?}");
    assert_eq!(list(&server, &server.token, &session), 404);
}

#[test]
fn e5_one_session_too_many_ends_the_one_unused_for_longest() {
    let product = Product::at("http://127.0.0.1:1");
    let server = product.serve();
    let sessions: Vec<String> = (0..64).map(|_| begin(&server, &server.token)).collect();
    assert_eq!(list(&server, &server.token, &sessions[0]), 200);
    let newest = begin(&server, &server.token);
    assert_eq!(list(&server, &server.token, &sessions[1]), 404);
    for open in [&sessions[0], &sessions[2], &newest] {
        assert_eq!(list(&server, &server.token, open), 200);
    }
}

/// Opens a stream at `/sse` as the bearer of this token; where its messages go.
pub fn stream(server: &Server<'_>, token: &str) -> (BufReader<TcpStream>, String) {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("accept", "text/event-stream")];
    let mut events = BufReader::new(open("GET", &server.at("/sse"), &headers, ""));
    let path = event(&mut events);
    (events, server.at(&path))
}

/// The rest of the next line that begins so.
fn line(events: &mut impl BufRead, start: &str) -> String {
    let mut line = String::new();
    while !line.starts_with(start) {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
    line[start.len()..].trim_end().to_owned()
}

/// The data of the next event.
pub fn event(events: &mut impl BufRead) -> String {
    line(events, "data: ")
}

#[test]
fn e5_a_stream_of_events_takes_messages_of_its_own_caller_only() {
    let product = Product::at("http://127.0.0.1:1");
    product.must(&["tenant", "create", "acme"], "");
    let (other, foreign) = (product.token("local", "other"), product.token("acme", "agent"));
    let server = product.serve();
    let (mut events, messages) = stream(&server, &server.token);
    for stranger in [&other, &foreign] {
        let answered = say("POST", &messages, stranger, &[], &initialize());
        assert_eq!(answered.status(), 404, "{answered:?}");
    }
    let elsewhere = messages.replace("sessionId=", "sessionId=0");
    assert_eq!(say("POST", &elsewhere, &server.token, &[], &initialize()).status(), 404);
    let taken = say("POST", &messages, &server.token, &[], &initialize());
    assert_eq!(taken.status(), 202, "{taken:?}");
    let begun: Value = serde_json::from_str(&event(&mut events)).unwrap();
    assert_eq!(begun["result"]["serverInfo"]["name"], "resto", "{begun}");
    let large = " ".repeat(1 << 20) + &initialize();
    assert_eq!(say("POST", &messages, &server.token, &[], &large).status(), 413);
    assert_eq!(say("POST", &messages, &server.token, &[], "{").status(), 400);
}

#[test]
fn e1_the_transport_of_older_clients_asks_who_comes_and_from_where() {
    let product = Product::at("http://127.0.0.1:1");
    let server = product.serve();
    let (_events, messages) = stream(&server, &server.token);
    for (method, url) in [("GET", server.at("/sse")), ("POST", messages)] {
        let nobody = send(method, &url, &[("content-type", "application/json")], "{}");
        assert_eq!(nobody.status(), 401, "{nobody:?}");
        for (name, value) in
            [("origin", "https://evil.example"), ("origin", "null"), ("host", "evil.example")]
        {
            let strange = say(method, &url, &server.token, &[(name, value)], &initialize());
            assert_eq!(strange.status(), 403, "{name}: {strange:?}");
        }
    }
}

#[test]
fn the_transport_of_older_clients_can_be_turned_off() {
    let product = Product::at("http://127.0.0.1:1");
    product.configure("sse = false\n");
    let server = product.serve();
    assert_eq!(say("GET", &server.at("/sse"), &server.token, &[], "").status(), 404);
    begin(&server, &server.token);
}

#[test]
fn a_call_whose_stream_broke_is_answered_when_its_client_comes_back() {
    let slow = Slow::start();
    let product = Product::connected(&slow.provider.url, KEY);
    let server = product.serve();
    let session = begin(&server, &server.token);
    let authorization = format!("Bearer {}", server.token);
    let headers = [
        ("authorization", authorization.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("mcp-session-id", &session),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    slow.hold();
    let read = call("tools/call", &json!({"name": READ, "arguments": hello()}));
    let mut events = BufReader::new(open("POST", &server.url, &headers, &read));
    let last = line(&mut events, "id: ");
    drop(events);
    slow.let_go();
    let back = [&headers[..], &[("last-event-id", last.as_str())]].concat();
    let mut events = BufReader::new(open("GET", &server.url, &back, ""));
    let answer = format!("{{{}", line(&mut events, "data: {"));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["result"]["structuredContent"]["full_name"], "octocat/hello-world");
}

#[test]
fn the_inspector_comes_in_by_the_transport_of_older_clients() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    for era in [Era::Legacy, Era::Modern] {
        let tools = inspector_tools(era, Way::Sse(&server));
        assert!(tools.iter().any(|tool| tool["name"] == READ), "{era:?}");
        let read = inspector_call(era, Way::Sse(&server), READ, &hello());
        assert_eq!(read.output()["full_name"], "octocat/hello-world");
    }
}
