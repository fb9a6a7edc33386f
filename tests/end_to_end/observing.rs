//! What those who run the server see of it: health, counts, spans, and logs that programs read. None tells what was said.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, send};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

/// An installation with this telemetry, and GitHub connected.
fn observed(provider: &Provider, telemetry: &str) -> Product {
    let product = Product::at(&provider.url);
    product.configure(&format!(
        "[telemetry]\n{telemetry}\n[integrations.github]\nbase_url = \"{}\"\n",
        provider.url
    ));
    product.must(&["connect", "github", "--key-stdin"], KEY);
    product
}

/// Where the server says that it serves metrics.
fn metrics_address(server: &Server<'_>) -> String {
    let said = server.process.said();
    let (_, rest) = said.split_once("address=").unwrap_or_else(|| panic!("{said}"));
    format!("http://{}", rest.split_whitespace().next().unwrap())
}

#[test]
fn a9_health_and_counts_are_served_apart_from_agents() {
    let provider = Provider::github(|request| match request.what() {
        "GET /repos/octocat/gone" => Reply::json(404, &json!({"message": "Not Found"})),
        _ => repository(request),
    });
    let product = observed(&provider, "metrics = \"127.0.0.1:0\"");
    let server = product.serve();
    server.call(&[], READ, &hello());
    server.call(&[], READ, &hello());
    server.call(&[], READ, &json!({"owner": "octocat", "repo": "gone"}));
    server.call(&[], "list_integrations", &json!({}));
    server.call(&[], "no_such_tool", &json!({}));
    let apart = metrics_address(&server);
    let page = send("GET", &format!("{apart}/metrics"), &[], "");
    let counted = |tool: &str, integration: &str, status: &str, count: u32| {
        let line = page.body.lines().find(|line| {
            line.starts_with("resto_calls_total{")
                && [("tool", tool), ("integration", integration), ("status", status)]
                    .iter()
                    .all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
        });
        assert!(line.is_some_and(|line| line.ends_with(&format!(" {count}"))), "{}", page.body);
    };
    counted(READ, "github", "success", 2);
    counted(READ, "github", "not_found", 1);
    counted("list_integrations", "resto", "success", 1);
    counted("unknown", "unknown", "unknown_tool", 1);
    assert!(page.body.contains("resto_calls_under_way 0"), "{}", page.body);
    assert!(page.body.contains("resto_call_duration_seconds_bucket{"), "{}", page.body);
    assert!(!page.body.contains("hello-world") && !page.body.contains("octocat"));
    let agents = server.url.trim_end_matches("/mcp");
    assert_eq!(send("GET", &format!("{agents}/metrics"), &[], "").status(), 404);
    for address in [apart.as_str(), agents] {
        for path in ["healthz", "readyz"] {
            // Whoever looks after processes asks under whatever name.
            let answer = send("GET", &format!("{address}/{path}"), &[("host", "10.0.0.7")], "");
            assert_eq!((answer.status(), answer.body.as_str()), (200, "ok\n"), "{path}");
        }
    }
}

#[test]
fn each_call_is_a_span_of_its_callers_trace() {
    let provider = Provider::github(repository);
    let (sent, spans) = mpsc::channel::<Message>();
    let collector = Provider::start(move |request| {
        sent.send(request.clone()).unwrap();
        Reply::json(200, &json!({}))
    });
    let product = observed(&provider, &format!("otlp = \"{}\"", collector.url));
    let mut server = product.serve();
    let caller = format!("00-{TRACE}-{PARENT}-01");
    let params =
        json!({"name": READ, "arguments": hello(), "traceparent": caller, "tracestate": "a=b"});
    let answer = server.call_with(&[], &json!({}), params);
    assert_ne!(answer.json()["result"]["isError"], true);
    // What is not sent yet is sent before it ends.
    assert!(server.process.terminate().success());
    // The connecting, by a process of its own, sent the first ones.
    let mut told = std::iter::from_fn(|| spans.recv_timeout(Duration::from_secs(30)).ok());
    let request = told.find(|told| told.body.contains(TRACE)).expect("spans");
    assert_eq!(request.what(), "POST /v1/traces");
    let body = request.json();
    let all = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    let span = all.iter().find(|span| span["name"] == "call").expect("the span of the call");
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    let attribute = |span: &Value, name: &str| {
        let all = span["attributes"].as_array().unwrap();
        let found = all.iter().find(|one| one["key"] == name);
        found.map(|one| one["value"].clone()).unwrap_or_default()
    };
    for (name, value) in [("tool", READ), ("integration", "github"), ("status", "success")] {
        assert_eq!(attribute(span, name), json!({"stringValue": value}), "{name}");
    }
    let below = all.iter().find(|below| below["parentSpanId"] == span["spanId"]);
    let below = below.expect("the span of the request to the provider");
    assert_eq!((&below["name"], &below["kind"]), (&json!("GET /repos/{}/{}"), &json!(3)));
    assert_eq!(attribute(below, "url.template"), json!({"stringValue": "/repos/{}/{}"}));
    assert_eq!(attribute(below, "http.request.method"), json!({"stringValue": "GET"}));
    assert_eq!(attribute(below, "server.address"), json!({"stringValue": "127.0.0.1"}));
    assert_eq!(attribute(below, "http.response.status_code"), json!({"intValue": "200"}));
    for word in ["hello-world", "octocat", KEY] {
        assert!(!request.body.contains(word), "{word}");
    }
}

#[test]
fn logs_are_json_lines_where_programs_read_them() {
    let provider = Provider::github(repository);
    let product = observed(&provider, "json_logs = true\nmetrics = \"127.0.0.1:0\"");
    let server = product.serve();
    let said = server.process.said();
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["level"], "INFO");
    assert_eq!(event["fields"]["message"], "metrics are served");
}
