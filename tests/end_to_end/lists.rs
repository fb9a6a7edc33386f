//! Lists of tools that are put together from what was made once say what the other doors say.

use serde_json::{Value, json};

use crate::process::Conversation;
use crate::product::Product;
use crate::provider::{Provider, repository};
use crate::sessions::{event, say, stream};

const KEY: &str = "github_pat_of_a_test";
const NEWEST: [(&str, &str); 2] =
    [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];

/// A list of the newest generation, of a client that can do this. Its id is what the tools of an answer begin with.
fn newest(capabilities: &Value) -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let id = "\",\"tools\":[";
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {"_meta": meta}})
        .to_string()
}

fn tools(mut answer: Value) -> Vec<Value> {
    match answer["result"]["tools"].take() {
        Value::Array(tools) => tools,
        _ => panic!("no list: {answer}"),
    }
}

/// What a client of the generation before is told over stdio.
fn told_over_stdio(product: &Product, flags: &[&str], capabilities: &Value) -> Vec<Value> {
    let mut agent = Conversation::start(product.command(&["stdio"]).args(flags));
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": capabilities,
        "clientInfo": {"name": "tests", "version": "1"},
    }});
    agent.ask(&hello.to_string());
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    tools(serde_json::from_str(&agent.ask(&format!("{initialized}\n{list}"))).unwrap())
}

#[test]
fn a_list_says_the_same_at_each_door() {
    const ALL: &str = "github,vercel,stripe,gmail,analytics,registrar";
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let types = json!(["text/html;profile=mcp-app"]);
    let shows = json!({"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": types}}});
    let everything = format!("toolsets={ALL}");
    for (query, flags) in [
        ("", &[][..]),
        ("readonly=1", &["--readonly"]),
        ("mode=search", &["--mode", "search"]),
        (&everything, &["--toolsets", ALL]),
    ] {
        for capabilities in [&json!({}), &shows] {
            let url = format!("{}?{query}", server.url);
            let body = newest(capabilities);
            let ready = tools(say("POST", &url, &server.token, &NEWEST, &body).json());
            assert_eq!(ready, told_over_stdio(&product, flags, capabilities), "{query}");
            let pages = ready.iter().filter(|tool| tool["_meta"]["ui"].is_object()).count();
            assert_eq!(pages > 0, capabilities == &shows, "{query}");
        }
    }
    // The answer goes another way there than the request came.
    let (mut events, messages) = stream(&server, &server.token);
    let body = newest(&json!({}));
    assert_eq!(say("POST", &messages, &server.token, &NEWEST, &body).status(), 202);
    let streamed = tools(serde_json::from_str(&event(&mut events)).unwrap());
    assert_eq!(streamed, told_over_stdio(&product, &[], &json!({})));
}
