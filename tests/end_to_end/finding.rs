//! An agent finds the action for what its person says, connected or not, and runs it by name; its address says which tools
//! it has.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::{Era, Python, Way};
use crate::process::Conversation;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, answer, open};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
const DELETE: &str = "github_delete_repository";
const OWN: [&str; 10] = [
    "check_connection",
    "connect_integration",
    "detect_integrations",
    "disconnect_integration",
    "find_actions",
    "list_alerts",
    "list_integrations",
    "plan_integrations",
    "preview_action",
    "run_action",
];

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

/// A GitHub that deletes what it is told to.
fn github() -> Provider {
    Provider::github(|request| match request.first.split(' ').next().unwrap() {
        "DELETE" => Reply(204, Vec::new(), String::new()),
        _ => repository(request),
    })
}

fn deletions(provider: &Provider) -> usize {
    provider.requests().iter().filter(|request| request.first.starts_with("DELETE")).count()
}

fn names(tools: &[Value]) -> BTreeSet<&str> {
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

/// The address of a server with a query.
fn at(server: &Server<'_>, query: &str) -> String {
    format!("{}?{query}", server.url)
}

/// Sends a request of generation 2026-07-28 other than a call.
fn send(
    server: &Server<'_>,
    query: &str,
    headers: &[(&str, &str)],
    method: &str,
    more: &Value,
) -> std::net::TcpStream {
    let mut params = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let authorization = format!("Bearer {}", server.token);
    let standard = [
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
        ("authorization", &authorization),
    ];
    open("POST", &at(server, query), &[&standard[..], headers].concat(), &body.to_string())
}

fn list(server: &Server<'_>, query: &str, headers: &[(&str, &str)]) -> Message {
    answer(send(server, query, headers, "tools/list", &json!({})))
}

fn tools(listed: &Message) -> Vec<Value> {
    listed.json()["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed:?}")).clone()
}

/// Of which services tools are listed, without those of the server itself.
fn services(listed: &[Value]) -> BTreeSet<&str> {
    let names = names(listed).into_iter().filter(|name| !OWN.contains(name));
    names.map(|name| name.split('_').next().unwrap()).collect()
}

#[test]
fn an_agent_of_a_fresh_server_finds_all_that_it_could_do() {
    let provider = github();
    let product = Product::at(&provider.url);
    let server = product.serve();
    let mut agent = Python::connect(Era::Modern, Way::Http(&server));
    assert_eq!(names(&agent.tools()), BTreeSet::from(OWN));
    for (said, action, service) in [
        ("throw our old repo away for ever", DELETE, "github"),
        ("Wieviel Umsatz hatten wir letzten Monat?", "stripe_get_revenue", "stripe"),
        ("depoly my site", "vercel_deploy_project", "vercel"),
    ] {
        let found = agent.call("find_actions", &json!({ "query": said }));
        let actions = found.output()["actions"].as_array().unwrap();
        assert!((1..=5).contains(&actions.len()), "{found:?}");
        let found = actions.iter().find(|one| one["action"] == action);
        let found = found.unwrap_or_else(|| panic!("no {action} in {actions:?}"));
        assert_eq!(found["connected"], false, "{found}");
        assert!(found["first"].as_str().unwrap().contains("connect_integration"), "{found}");
        assert!(found["first"].as_str().unwrap().contains(service), "{found}");
        assert_eq!(found["input_schema"]["type"], "object", "{found}");
    }
    let run = json!({"action": READ, "arguments": hello()});
    assert!(agent.call("run_action", &run).error().contains("not_connected"));
    assert_eq!(provider.count(), 0);
    // One service alone, and more of it.
    let only = json!({"query": "create something", "integration": "stripe", "limit": 12});
    let only = agent.call("find_actions", &only);
    let only = only.output()["actions"].as_array().unwrap();
    assert_eq!(only.len(), 12);
    assert!(only.iter().all(|one| one["action"].as_str().unwrap().starts_with("stripe_")));
    let nothing = agent.call("find_actions", &json!({"query": "日本語"}));
    assert!(nothing.output()["message"].as_str().unwrap().contains("No action fits"));
    let unknown = agent.call("find_actions", &json!({"query": "x", "integration": "gitlab"}));
    assert!(unknown.error().contains("There is no integration `gitlab`"), "{unknown:?}");
}

/// An agent that is shown a handful of tools finds one and runs it.
fn finds_and_runs(era: Era, way: Way<'_>) {
    let mut agent = Python::connect(era, way);
    let said = json!({"query": "details about one of our repositories"});
    let found = agent.call("find_actions", &said);
    let actions = found.output()["actions"].as_array().unwrap();
    let fitting = actions.iter().find(|one| one["action"] == READ).expect("the action");
    assert_eq!(fitting["connected"], true, "{fitting}");
    assert!(fitting.get("first").is_none(), "{fitting}");
    let run = json!({"action": fitting["action"], "arguments": hello()});
    let ran = agent.call("run_action", &run);
    assert_eq!(ran.output()["full_name"], "octocat/hello-world");
    assert_eq!(ran.output(), agent.call(READ, &hello()).output());
    let wrong = json!({"action": READ, "arguments": {"owner": "octocat", "name": "x"}});
    assert!(agent.call("run_action", &wrong).error().contains("unknown field `name`"));
    for (action, words) in [
        ("github_get_repositry", "Did you mean github_get_repository?"),
        ("connect_integration", "call it directly"),
        ("run_action", "call it directly"),
    ] {
        let refused = agent.call("run_action", &json!({ "action": action }));
        assert!(refused.error().contains(words), "{refused:?}");
    }
}

#[test]
fn the_python_client_finds_and_runs_over_http() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    finds_and_runs(Era::Modern, Way::Http(&server));
    let run = server.call(&[], "run_action", &json!({"action": READ, "arguments": hello()})).json();
    let direct = server.call(&[], READ, &hello()).json();
    assert_eq!(run["result"]["_meta"], direct["result"]["_meta"]);
    assert_eq!(run["result"]["_meta"]["dev.resto/untrusted_content_from"], "github", "{run}");
    // The trail names the action alone.
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(!trail.contains("run_action") && trail.contains("find_actions"), "{trail}");
}

#[test]
fn the_python_client_of_the_older_generation_finds_and_runs_over_stdio() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    finds_and_runs(Era::Legacy, Way::Flagged(&product, &["--mode", "search"]));
}

#[test]
fn what_run_action_runs_is_approved_and_repeated_as_if_it_was_called_itself() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let run = json!({"name": "run_action", "arguments": {"action": DELETE, "arguments": hello()}});
    let can = json!({"elicitation": {}});
    let asked = server.call_with(&[], &can, run.clone()).json();
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let page = |answer: &Value| {
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        serde_json::from_str::<Value>(text).unwrap()["url"].clone()
    };
    let by_run = server.call(&[], "run_action", &run["arguments"]).json();
    let direct = server.call(&[], DELETE, &hello()).json();
    assert!(page(&by_run).as_str().unwrap().contains("/approve/"), "{by_run}");
    assert_eq!(page(&by_run), page(&direct));
    assert_eq!(deletions(&provider), 0);
    let mut approved = run.clone();
    approved["requestState"] = asked["result"]["requestState"].clone();
    approved["inputResponses"] = json!({
        "approval": {"action": "accept", "content": {"name": "octocat/hello-world"}},
    });
    let done = server.call_with(&[], &can, approved.clone()).json();
    assert_eq!(done["result"]["isError"], false, "{done}");
    assert_eq!(deletions(&provider), 1);
    assert_eq!(server.call_with(&[], &can, approved).json()["error"]["code"], -32602);
    // The same call, whichever way it is made.
    for again in [server.call(&[], DELETE, &hello()), server.call_with(&[], &can, run)] {
        let again = again.json();
        assert_eq!(again["result"]["_meta"]["dev.resto/repeated"], true, "{again}");
    }
    assert_eq!(deletions(&provider), 1);
}

#[test]
fn the_older_generation_approves_what_run_action_runs_in_a_form() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let mut agent = Python::with_person(Era::Legacy, Way::Stdio(&product));
    let run = json!({"action": DELETE, "arguments": hello()});
    let asked = agent.begin("run_action", &run);
    assert!(asked["message"].as_str().unwrap().contains("octocat/hello-world"), "{asked}");
    assert_eq!(deletions(&provider), 0);
    agent.act_with("accept", &json!({"name": "octocat/hello-world"})).output();
    assert_eq!(deletions(&provider), 1);
}

#[test]
fn an_address_says_which_tools_its_agent_has() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let all = tools(&list(&server, "", &[]));
    assert_eq!(services(&all), BTreeSet::from(["github"]));
    assert!(BTreeSet::from(OWN).is_subset(&names(&all)));
    let chosen = tools(&list(&server, "toolsets=stripe,vercel", &[]));
    assert_eq!(services(&chosen), BTreeSet::from(["stripe", "vercel"]));
    let header = [("x-mcp-toolsets", "vercel, gmail")];
    let narrowed = tools(&list(&server, "toolsets=stripe,vercel", &header));
    assert_eq!(services(&narrowed), BTreeSet::from(["vercel"]));
    let reading = tools(&list(&server, "readonly=1", &[]));
    assert!(reading.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true), "{reading:?}");
    assert!(names(&reading).contains(READ) && names(&reading).contains("run_action"));
    for (query, words) in [
        ("toolsets=gitlab", "There is no integration `gitlab`"),
        ("readonly=maybe", "`readonly` is 1 or 0"),
        ("mode=code", "`mode` is all or search"),
    ] {
        let refused = list(&server, query, &[]).json();
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(words), "{refused}");
    }
    // A handful, always the same, which costs an agent little before it has asked for anything.
    let few = list(&server, "mode=search", &[]);
    assert_eq!(names(&tools(&few)), BTreeSet::from(OWN));
    let seen: usize = tools(&few).iter().map(tokens).sum();
    assert!(seen < 2000, "{seen}");
}

/// What a model sees of a tool, about four bytes a token.
fn tokens(tool: &Value) -> usize {
    let text = |field: &str| tool[field].as_str().unwrap().len();
    (text("name") + text("description") + tool["inputSchema"].to_string().len()).div_ceil(4)
}

#[test]
fn what_is_left_out_is_refused_by_every_way() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let called = provider.count();
    let run = |action: &str| json!({"action": action, "arguments": hello()});
    let ask = |query: &str, name: &str, arguments: &Value| {
        let narrow = Narrow { server: &server, query };
        narrow.call(name, arguments)
    };
    for (query, word) in [("readonly=1&mode=search", "readonly"), ("toolsets=stripe", "toolsets")] {
        for (name, arguments) in
            [(DELETE, hello()), ("run_action", run(DELETE)), ("preview_action", run(DELETE))]
        {
            let refused = ask(query, name, &arguments);
            assert_eq!(refused["result"]["isError"], true, "{query} {name}: {refused}");
            let text = refused["result"]["content"][0]["text"].as_str().unwrap();
            assert!(text.contains("denied") && text.contains(word), "{query} {name}: {text}");
        }
        let found = ask(query, "find_actions", &json!({"query": "delete the repository"}));
        assert!(!found.to_string().contains(DELETE), "{found}");
    }
    let connect = json!({"integration": "github"});
    let refused = ask("readonly=1", "connect_integration", &connect);
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert_eq!(provider.count(), called);
    let read = ask("readonly=1&mode=search", "run_action", &run(READ));
    assert_eq!(read["result"]["isError"], false, "{read}");
    let trail = product.trail("local");
    let denied = trail.iter().filter(|(_, action, result)| action == DELETE && result == "denied");
    assert_eq!(denied.count(), 4, "{trail:?}");
}

/// A server as an agent reaches it whose address has a query.
struct Narrow<'a> {
    server: &'a Server<'a>,
    query: &'a str,
}

impl Narrow<'_> {
    fn call(&self, name: &str, arguments: &Value) -> Value {
        let params = json!({"name": name, "arguments": arguments});
        answer(send(self.server, self.query, &[("mcp-name", name)], "tools/call", &params)).json()
    }
}

#[test]
fn the_command_line_says_which_tools_an_agent_has() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let flags = ["--toolsets", "stripe,github", "--readonly"];
    let mut agent = Python::connect(Era::Modern, Way::Flagged(&product, &flags));
    let listed = agent.tools();
    assert_eq!(services(&listed), BTreeSet::from(["stripe", "github"]));
    assert!(!names(&listed).contains(DELETE));
    assert!(agent.call(DELETE, &hello()).error().contains("readonly"));
    let mut agent = Python::connect(Era::Legacy, Way::Flagged(&product, &["--mode", "search"]));
    assert_eq!(names(&agent.tools()), BTreeSet::from(OWN));
    let shown = product.json(&["tools", "--json", "--toolsets", "stripe,github", "--readonly"]);
    assert_eq!(names(shown.as_array().unwrap()), names(&listed));
    let wrong = product.run(&["stdio", "--toolsets", "gitlab"], "");
    assert!(!wrong.status.success() && wrong.stderr.contains("gitlab"), "{wrong:?}");
}

#[test]
fn the_tools_cost_an_agent_little() {
    let product = Product::at("http://127.0.0.1:1");
    let printed = product.must(&["tools"], "");
    let told = printed.stderr.lines().last().unwrap_or_default();
    let listed = product.json(&["tools", "--json"]);
    let listed = listed.as_array().unwrap();
    let all: usize = listed.iter().map(tokens).sum();
    assert!(told.contains(&format!("{} tools cost an agent about {all} tokens", listed.len())));
    assert!(all / listed.len() < 120, "{told}");
}

#[test]
fn an_agent_is_told_when_an_account_is_connected_or_disconnected() {
    let provider = github();
    let product = Product::at(&provider.url);
    let mut older = Conversation::start(&mut product.command(&["stdio"]));
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"},
    }});
    let answered = older.ask(&hello.to_string());
    assert!(answered.contains("\"listChanged\":true"), "{answered}");
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let tools = |agent: &mut Conversation, before: &str| {
        let listed: Value = serde_json::from_str(&agent.ask(&format!("{before}{list}"))).unwrap();
        listed["result"]["tools"].as_array().unwrap().len()
    };
    assert_eq!(tools(&mut older, &format!("{initialized}\n")), OWN.len());
    let server = product.serve();
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let newer = send(&server, "", &[], "subscriptions/listen", &filter);
    newer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut newer = BufReader::new(newer).lines();
    let mut next = |words: &str| {
        newer.find(|line| line.as_ref().is_ok_and(|line| line.contains(words))).is_some()
    };
    assert!(next("acknowledged"));
    product.must(&["connect", "github", "--key-stdin"], KEY);
    assert!(older.hear().contains("notifications/tools/list_changed"));
    assert!(next("notifications/tools/list_changed"));
    assert!(tools(&mut older, "") > OWN.len() + 40);
    product.must(&["disconnect", "github"], "");
    assert!(older.hear().contains("notifications/tools/list_changed"));
    assert!(next("notifications/tools/list_changed"));
    assert_eq!(tools(&mut older, ""), OWN.len());
}
