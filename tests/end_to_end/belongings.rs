//! Nobody gets, or does anything with, what is another's: its accounts, its answers, what was allowed to it.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::net::TcpStream;
use std::thread;

use serde_json::{Map, Value, json};

use crate::clients::Answer;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::sessions::{begin, event, say, stream};
use crate::wire::{Message, answer};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
const DELETE: &str = "github_delete_repository";

/// The services of one business, which tell whose account each key is.
fn services() -> Provider {
    Provider::start(|request| match request.what() {
        "GET /user" => Reply::json(
            200,
            &json!({"id": 1, "login": "local-only", "type": "User", "html_url": "u"}),
        ),
        "GET /v2/user" => Reply::json(200, &json!({"user": {"id": "u", "username": "local-only"}})),
        "GET /v5/user/tokens/current" => {
            Reply::json(200, &json!({"token": {"scopes": [{"type": "user"}]}}))
        }
        "GET /v1/account" => {
            Reply::json(200, &json!({"id": "acct_local-only", "object": "account"}))
        }
        "GET /v1/balance" => Reply::json(200, &json!({"livemode": false, "available": []})),
        _ if request.first.starts_with("DELETE") => Reply(204, Vec::new(), String::new()),
        _ => repository(request),
    })
}

/// Something that a schema allows, as short as can be.
fn fitting(schema: &Value, whole: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        return fitting(whole.pointer(path.trim_start_matches('#')).expect("a definition"), whole);
    }
    if let Some(value) = schema.get("const").or(schema["enum"].get(0)) {
        return value.clone();
    }
    let some = ["anyOf", "oneOf", "allOf"].iter().find_map(|name| schema[*name].get(0));
    if let Some(some) = some {
        return fitting(some, whole);
    }
    let kind = schema["type"].as_str().or(schema["type"][0].as_str());
    let count = |name: &str| schema[name].as_u64().unwrap_or(0);
    match kind {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some("array") => (0..count("minItems")).map(|_| fitting(&schema["items"], whole)).collect(),
        Some("string") => match schema["format"].as_str() {
            Some("date") => json!("2026-01-01"),
            Some("date-time") => json!("2026-01-01T00:00:00Z"),
            Some("email") => json!("ada@example.com"),
            Some("uri") => json!("https://example.com"),
            _ => "x".repeat(usize::try_from(count("minLength").max(1)).unwrap()).into(),
        },
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.map(|name| {
                let name = name.as_str().unwrap();
                (name.to_owned(), fitting(&schema["properties"][name], whole))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

#[test]
fn a1_no_tool_works_on_the_account_of_another_tenant() {
    let services = services();
    let product = Product::at(&services.url);
    let section = |name: &str| format!("[integrations.{name}]\nbase_url = \"{}\"\n", services.url);
    let sections = ["github", "vercel", "stripe"].map(section).concat();
    product.configure(&format!("dns_servers = [\"127.0.0.1:1\"]\n{sections}"));
    for (name, key) in
        [("github", KEY), ("vercel", "token_of_a_test"), ("stripe", "rk_test_of_a_test")]
    {
        product.must(&["connect", name, "--key-stdin"], key);
    }
    product.must(&["tenant", "create", "acme"], "");
    let mut server = product.serve();
    server.token = product.token("acme", "agent");
    let tools = product.json(&["tools", "--json"]);
    let before = services.count();
    // What an attacker would try: the tenant is told by the token alone.
    let headers = [("x-tenant", "local"), ("x-tenant-id", "local"), ("cookie", "tenant=local")];
    let mut refused = BTreeSet::new();
    for tool in tools.as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        let arguments = fitting(&tool["inputSchema"], &tool["inputSchema"]);
        let told = server.call(&headers, name, &arguments);
        assert!(!told.body.contains("local-only"), "{name}: {told:?}");
        let error = &told.json()["result"]["_meta"]["dev.resto/error"]["code"];
        let of_service = ["github_", "vercel_", "stripe_", "gmail_", "analytics_", "registrar_"];
        if of_service.iter().any(|prefix| name.starts_with(prefix)) {
            assert_eq!(error, "not_connected", "{name} with {arguments}: {told:?}");
            refused.insert(name);
        }
    }
    assert!(refused.len() > 150, "{refused:?}");
    assert_eq!(services.count(), before);
    let trail = product.json(&["--tenant", "acme", "audit", "--json"]);
    let denied: BTreeSet<&str> = trail
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["result_status"] == "denied")
        .filter_map(|event| event["action"].as_str())
        .collect();
    assert_eq!(refused.difference(&denied).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// How a client of a tenant comes in.
enum Door<'a> {
    Newest(&'a str),
    Session(&'a str, String),
    Stream(&'a str, BufReader<TcpStream>, String),
}

impl<'a> Door<'a> {
    fn open(number: usize, server: &'a Server<'_>, token: &'a str) -> Self {
        let initialized =
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        match number % 3 {
            0 => Self::Newest(token),
            1 => Self::Session(token, begin(server, token)),
            _ => {
                let (mut events, messages) = stream(server, token);
                let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                    "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"},
                }});
                assert_eq!(say("POST", &messages, token, &[], &hello.to_string()).status(), 202);
                assert!(event(&mut events).contains("serverInfo"));
                assert_eq!(say("POST", &messages, token, &[], &initialized).status(), 202);
                Self::Stream(token, events, messages)
            }
        }
    }

    /// Reads a repository, always with the same id of the request; the whole answer.
    fn read(&mut self, server: &Server<'_>, repo: &str) -> String {
        let arguments = json!({"owner": "octocat", "repo": repo});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": READ, "arguments": arguments}});
        match self {
            Self::Newest(token) => {
                let authorization = format!("Bearer {token}");
                answer(server.open(&[("authorization", &authorization)], READ, &arguments)).body
            }
            Self::Session(token, session) => {
                let more =
                    [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
                say("POST", &server.url, token, &more, &call.to_string()).body
            }
            Self::Stream(token, events, messages) => {
                let taken = say("POST", messages, token, &[], &call.to_string());
                if taken.status() != 202 {
                    return taken.body;
                }
                event(events)
            }
        }
    }
}

#[test]
fn a3_of_many_clients_with_the_same_request_id_each_gets_its_own_answers() {
    let full = std::env::var_os("RESTO_TEST_FULL").is_some();
    let (tenants, clients, calls) = if full { (8, 200, 100) } else { (2, 24, 5) };
    // Whose key it was comes back with the answer.
    let provider = Provider::github(|request| {
        let Reply(status, headers, body) = repository(request);
        let key = request.header("authorization").unwrap().rsplit('-').next().unwrap();
        Reply(status, headers, body.replace("main", &format!("of-tenant-{key}-")))
    });
    let product = Product::at(&provider.url);
    product.configure(&format!(
        "[integrations.github]\nbase_url = \"{}\"\n[integrations.github.limits]\nrequests = 1000000\nburst = 1000000\n",
        provider.url
    ));
    let tokens: Vec<String> = (0..tenants)
        .map(|tenant| {
            let name = format!("business-{tenant}");
            product.must(&["tenant", "create", &name], "");
            let key = format!("github_pat_of_tenant-{tenant}");
            product.must(&["--tenant", &name, "connect", "github", "--key-stdin"], &key);
            product.token(&name, "agent")
        })
        .collect();
    let server = product.serve();
    let own: usize = thread::scope(|scope| {
        let client = |number: usize| {
            let (tenant, server) = (number % tenants, &server);
            let mut door = Door::open(number / tenants, server, &tokens[tenant]);
            scope.spawn(move || {
                let mine = |call: usize| {
                    let canary = format!("canary-{number}-{call}-");
                    // A server with more to do than it can refuses some, and says so.
                    let is_mine = (0..100).any(|_| {
                        let told = door.read(server, &canary);
                        let rest = told.replace(&canary, "");
                        let rest = rest.replace(&format!("of-tenant-{tenant}-"), "");
                        let is_foreign = rest.contains("canary") || rest.contains("of-tenant");
                        assert!(!is_foreign, "foreign: {told}");
                        let is_mine = told.contains(&canary);
                        assert!(is_mine || told.contains("Try again"), "{told}");
                        is_mine
                    });
                    assert!(is_mine, "never its own");
                };
                (0..calls).map(mine).count()
            })
        };
        let all: Vec<_> = (0..clients).map(client).collect();
        all.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(own, clients * calls);
}

#[test]
fn a7_an_approval_that_is_brought_twice_at_once_counts_once() {
    let services = services();
    let product = Product::connected(&services.url, KEY);
    let server = product.serve();
    let call = json!({"name": DELETE, "arguments": {"owner": "octocat", "repo": "hello-world"}});
    let by_form = |params: Value| server.call_with(&[], &json!({"elicitation": {}}), params);
    let mut brought = call.clone();
    brought["requestState"] = by_form(call).json()["result"]["requestState"].clone();
    let typed = json!({"action": "accept", "content": {"name": "octocat/hello-world"}});
    brought["inputResponses"] = json!({ "approval": typed });
    let answers: Vec<Message> = thread::scope(|scope| {
        let send = |_| scope.spawn(|| by_form(brought.clone()));
        let all: Vec<_> = (0..8).map(send).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) =
        answers.iter().map(Message::json).partition(|answer| answer.get("result").is_some());
    assert_eq!(done.len(), 1, "{answers:?}");
    Answer::from(done[0]["result"].clone()).output();
    assert!(refused.iter().all(|answer| answer["error"]["code"] == -32602), "{refused:?}");
    let deleted =
        services.requests().iter().filter(|request| request.first.starts_with("DELETE")).count();
    assert_eq!(deleted, 1);
}
