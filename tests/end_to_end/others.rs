//! MCP servers that nobody here wrote: the official one that shows everything, in TypeScript and of the older generation, and
//! Grafana's, in Go and of both.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::{Era, Python, Way, inspector_tools};
use crate::process::{Running, tool};
use crate::product::Product;
use crate::provider::{Provider, Reply};

/// A port that was free just now.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn entry(id: &str, port: u16, more: &str) -> String {
    format!(
        "[remote.{id}]\nname = \"Theirs\"\ncategory = \"code\"\npurpose = \"Shows things.\"\n\
         url = \"http://127.0.0.1:{port}/mcp\"\n{more}\n"
    )
}

#[test]
fn the_server_that_shows_everything_is_an_integration() {
    let port = port();
    let script = "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let mut command = Command::new(tool("bin/node"));
    command.arg(tool(script)).arg("streamableHttp").env("PORT", port.to_string());
    let (_server, ()) =
        Running::start(&mut command, |line| line.contains("listening on port").then_some(()));
    let product = Product::at("http://127.0.0.1:9");
    product.configure(&entry(
        "everything",
        port,
        "auth = \"key\"\nkey_url = \"https://example.com/keys\"\n\
         risks = { echo = \"read\", get-structured-content = \"read\", get-tiny-image = \"read\", \
         trigger-long-running-operation = \"read\", simulate-research-query = \"read\" }",
    ));
    product.must(&["connect", "everything", "--key-stdin"], "a-key-that-it-does-not-look-at");
    let server = product.serve();
    for era in [Era::Legacy, Era::Modern] {
        let mut python = Python::connect(era, Way::Http(&server));
        let named = |tool: &Value| {
            tool["name"].as_str().is_some_and(|name| name.starts_with("everything_"))
        };
        assert!(python.tools().iter().filter(|tool| named(tool)).count() > 10);
        let said = python.call("everything_echo", &json!({"message": "hello"}));
        assert_eq!(said.output()["text"][0], "Echo: hello");
        let image = python.call("everything_get-tiny-image", &json!({}));
        assert_eq!(image.output()["files"][0]["mime_type"], "image/png");
        let data =
            python.call("everything_get-structured-content", &json!({"location": "Chicago"}));
        assert!(data.output()["structured"]["temperature"].is_number(), "{data:?}");
        let refused = python.call("everything_get-env", &json!({}));
        assert!(refused.error().contains("action_required"), "{refused:?}");
    }
    // What it wants of a person or a model in the middle of a call it does not even offer to whoever has neither.
    let tools = product.json(&["tools", "--json"]).to_string();
    let is_offered = |name: &str| tools.contains(&format!("\"everything_{name}\""));
    assert!(is_offered("echo") && is_offered("simulate-research-query"));
    assert!(!is_offered("trigger-sampling-request") && !is_offered("trigger-elicitation-request"));
    let task = json!({"topic": "tea"}).to_string();
    let task = product.run(&["call", "everything_simulate-research-query", &task], "");
    assert!(task.stderr.contains("Theirs refused the call"), "{task:?}");
    let long = json!({"duration": 1, "steps": 2}).to_string();
    let told = product.must(&["call", "everything_trigger-long-running-operation", &long], "");
    assert!(told.stdout.contains("Long running operation completed"), "{told:?}");
    assert!(told.stderr.contains("1 of 2"), "its progress is passed on: {told:?}");
    // Nobody waits for the end of a read that was cancelled.
    let long = json!({"duration": 50, "steps": 500}).to_string();
    let mut command =
        product.command(&["call", "everything_trigger-long-running-operation", &long]);
    let start = Instant::now();
    let (mut calling, ()) =
        Running::start(&mut command, |line| line.contains("2 of 500").then_some(()));
    calling.interrupt();
    assert_eq!(calling.wait().code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
}

#[test]
fn grafanas_own_server_in_go_is_an_integration() {
    const KEY: &str = "key_of_the_tenant_at_grafana";
    let grafana = Provider::start(|request| match request.what() {
        "GET /api/search" => Reply::json(
            200,
            &json!([{"uid": "d1", "title": "Orders", "url": "/d/d1", "type": "dash-db"}]),
        ),
        _ => Reply::json(200, &json!({})),
    });
    let port = port();
    let mut command = Command::new(tool("python/bin/mcp-grafana"));
    command.args(["-t", "streamable-http", "-usage-stats", "disabled", "-address"]);
    command.arg(format!("127.0.0.1:{port}")).args(["-server-auth-token", KEY]);
    command.env("GRAFANA_URL", &grafana.url).env("GRAFANA_SERVICE_ACCOUNT_TOKEN", "plainly-fake");
    let (_server, ()) =
        Running::start(&mut command, |line| line.contains("Starting Grafana").then_some(()));
    // It says so before it listens.
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::yield_now();
    }
    let product = Product::at("http://127.0.0.1:9");
    product.configure(&entry(
        "grafana",
        port,
        "auth = \"key\"\nkey_url = \"https://example.com/keys\"\nrisks = { search_dashboards = \"read\" }",
    ));
    let refused = product.run(&["connect", "grafana", "--key-stdin"], "another_key_of_somebody");
    assert!(refused.stderr.contains("refused the credential"), "{refused:?}");
    product.must(&["connect", "grafana", "--key-stdin"], KEY);
    let server = product.serve();
    for era in [Era::Legacy, Era::Modern] {
        // A client that looks at each schema has nothing against any.
        let listed = inspector_tools(era, Way::Http(&server));
        let theirs =
            listed.iter().filter_map(|tool| tool["name"].as_str()?.strip_prefix("grafana_"));
        assert!(theirs.count() > 70);
        let mut python = Python::connect(era, Way::Http(&server));
        let found = python.call("find_actions", &json!({"query": "search the dashboards"}));
        assert_eq!(
            found.output()["actions"][0]["action"],
            "grafana_search_dashboards",
            "{found:?}"
        );
        let searched = python.call("grafana_search_dashboards", &json!({"query": "orders"}));
        let text = searched.output()["text"][0].as_str().unwrap();
        assert!(text.contains("\"title\":\"Orders\""), "{text}");
        // Its own word for it, which is not relied on, is that this one reads.
        let gated = python.call("grafana_list_datasources", &json!({}));
        assert!(gated.error().contains("action_required"), "{gated:?}");
    }
    let asked = grafana.requests();
    assert!(
        asked.iter().all(|request| request.header("authorization") == Some("Bearer plainly-fake"))
    );
    assert_eq!(asked.iter().filter(|request| request.what() == "GET /api/search").count(), 2);
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(trail.contains("grafana_search_dashboards") && !trail.contains(KEY), "{trail}");
}
