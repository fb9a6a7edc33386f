//! MCP servers that nobody here wrote: the official one that shows everything, in TypeScript and of the older generation, and
//! Grafana's, in Go and of both.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::{Era, Node, Python, Way, inspector_tools};
use crate::process::{Running, tool, top};
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

fn everything(port: u16) -> Running {
    let script = "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let mut command = Command::new(tool("bin/node"));
    command.arg(tool(script)).arg("streamableHttp").env("PORT", port.to_string());
    Running::start(&mut command, |line| line.contains("listening on port").then_some(())).0
}

#[test]
fn the_server_that_shows_everything_is_an_integration() {
    let port = port();
    let _server = everything(port);
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
    // What it wants of a model in the middle of a call it does not even offer to whoever has none.
    let tools = product.json(&["tools", "--json"]).to_string();
    let is_offered = |name: &str| tools.contains(&format!("\"everything_{name}\""));
    assert!(is_offered("echo") && is_offered("simulate-research-query"));
    assert!(is_offered("trigger-elicitation-request") && !is_offered("trigger-sampling-request"));
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
fn what_the_server_that_shows_everything_asks_reaches_the_person_of_each_client() {
    const ASK: &str = "everything_trigger-elicitation-request";
    const LEAD: &str = "everything_trigger-url-elicitation";
    let port = port();
    let _server = everything(port);
    let product = Product::at("http://127.0.0.1:9");
    product.configure(&entry(
        "everything",
        port,
        "auth = \"key\"\nkey_url = \"https://example.com/keys\"\n\
         risks = { trigger-elicitation-request = \"read\", trigger-url-elicitation = \"read\" }\n\
         [integrations.everything.limits]\nrequests = 100000",
    ));
    product.must(&["connect", "everything", "--key-stdin"], "a-key-that-it-does-not-look-at");
    let server = product.serve();
    let page = json!({"url": "https://example.com/consent?x=1", "message": "Sign in."});
    let first = json!({"url": "https://example.com/x", "message": "Sign in.", "errorPath": true});
    for mut agent in [
        Node::by("sdk", Way::Http(&server), true),
        Node::by("client", Way::Http(&server), true),
        Python::with_person(Era::Legacy, Way::Http(&server)),
        Python::with_person(Era::Modern, Way::Http(&server)),
        Python::with_person(Era::Legacy, Way::Stdio(&product)),
    ] {
        let asked = agent.begin(ASK, &json!({}));
        let message = "Theirs asks: Please provide inputs for the following fields:";
        assert_eq!(asked["message"], message, "{asked}");
        let fields = asked["requestedSchema"]["properties"].as_object().unwrap();
        assert_eq!(fields.len(), 13, "{asked}");
        let given = json!({"name": "Ada", "integer": 7, "check": true, "titledMultipleSelectEnum": ["fish-2"]});
        let done = agent.act_with("accept", &given);
        let told = done.output()["text"].to_string();
        for words in ["- Name: Ada", "- Favorite Integer: 7", "fish-2"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        agent.begin(ASK, &json!({}));
        assert!(agent.act("decline").output()["text"].to_string().contains("User declined"));
        let asked = agent.begin(LEAD, &page);
        assert_eq!(asked["url"], page["url"], "{asked}");
        let words = "Theirs asks you to open a page of example.com: https://example.com/consent?x=1 It says: Sign in.";
        assert_eq!(asked["message"], words, "{asked}");
        assert!(agent.act("accept").output()["text"].to_string().contains("accept"));
        agent.begin(LEAD, &first);
        let opened = agent.act("accept");
        assert!(opened.error().contains("make the very same call again"), "{opened:?}");
    }
    let mut silent = Node::connect("client", &server.url, &server.token);
    let unasked = silent.call(ASK, &json!({}));
    for words in ["Please provide inputs", "has no form", "done at Theirs itself"] {
        assert!(unasked.error().contains(words), "{words}: {unasked:?}");
    }
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(!trail.contains("Please provide") && !trail.contains("Ada"), "{trail}");
}

#[test]
fn what_the_official_sdk_asks_beside_an_answer_is_heard() {
    let mut command = Command::new(tool("bin/node"));
    command.arg(top().join("tests/standins/beside.mjs"));
    let (_server, url) = Running::start(&mut command, |line| {
        line.strip_prefix("RESTO_STANDIN_BESIDE_URL=").map(str::to_owned)
    });
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let product = Product::at("http://127.0.0.1:9");
    product.configure(&entry(
        "beside",
        port,
        "auth = \"key\"\nkey_url = \"https://example.com/keys\"\nrisks = { greet = \"read\" }",
    ));
    product.must(&["connect", "beside", "--key-stdin"], "a-key-that-it-does-not-look-at");
    let server = product.serve();
    for client in ["sdk", "client"] {
        let mut agent = Node::by(client, Way::Http(&server), true);
        assert_eq!(agent.begin("beside_greet", &json!({}))["message"], "Theirs asks: Whom?");
        let done = agent.act_with("accept", &json!({"name": "Ada"}));
        assert_eq!(done.output()["text"][0], "accept Ada", "{done:?}");
    }
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
