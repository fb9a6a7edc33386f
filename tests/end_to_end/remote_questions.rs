//! What remote servers ask in the middle of a call: passed on to the caller's person as theirs, answered to them alone, and
//! never for what no form may ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::remote::{call, connect, error, hostile, is_call, modern, product, said, told, tool};

pub const RISKS: &str = "risks = { read_it = \"read\", change_it = \"write\" }\n";
pub const READ: &str = "other_read_it";
/// What the person answers, and the server's own state: nobody else's to see.
pub const ANSWER: &str = "the answer of the person";
const STATE: &str = "the state of the server";

/// One with two tools, of the newest generation.
pub fn server(answer: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Provider {
    modern(move |method, asked| match method {
        "tools/list" => told(
            asked,
            &json!({
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "tools": [tool("read_it", "Reads."), tool("change_it", "Changes.")],
            }),
        ),
        method => answer(method, asked),
    })
}

pub fn form(message: &str, fields: &Value) -> Value {
    json!({
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": {"type": "object", "properties": fields}},
    })
}

fn wants(asked: &Value, request: &Value) -> Reply {
    let wanted = json!({"resultType": "input_required", "requestState": STATE, "inputRequests": {"one": request}});
    told(asked, &wanted)
}

/// One that asks for a name, and says what it was told.
fn asking() -> Provider {
    server(|_, asked| {
        let answer = &asked["params"]["inputResponses"]["one"];
        match answer["action"].as_str() {
            None => wants(asked, &form("Who\u{202e} is it?", &json!({"name": {"type": "string"}}))),
            Some("accept") => said(asked, "thank you"),
            Some(action) => said(asked, &format!("so you {action}")),
        }
    })
}

/// A client of the newest generation that shows forms.
pub fn by_form(server: &Server<'_>, params: &Value) -> Value {
    server.call_with(&[], &json!({"elicitation": {"form": {}}}), params.clone()).json()
}

pub fn read_it() -> Value {
    json!({"name": READ, "arguments": {"what": "x"}})
}

/// The call again, with what a person did about what was asked.
pub fn answer(asked: &Value, result: &Value) -> Value {
    let requests =
        asked["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{asked}"));
    let responses: serde_json::Map<String, Value> =
        requests.keys().map(|key| (key.clone(), result.clone())).collect();
    let mut call = read_it();
    call["inputResponses"] = responses.into();
    call["requestState"] = asked["result"]["requestState"].clone();
    call
}

pub fn the_form(asked: &Value) -> &Value {
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    &asked["result"]["inputRequests"].as_object().unwrap().values().next().unwrap()["params"]
}

fn calls(provider: &Provider) -> Vec<Value> {
    let requests = provider.requests();
    requests.iter().filter(|one| is_call(one)).map(|one| one.json()["params"].clone()).collect()
}

/// What the trail knows of calls of the tool.
pub fn audited(product: &Product) -> Vec<Value> {
    let trail = product.json(&["audit", "--json"]);
    let trail = trail.as_array().unwrap().iter();
    trail
        .filter(|event| event["action"] == READ)
        .map(|event| event["result_status"].clone())
        .collect()
}

#[test]
fn b4_a_question_waits_for_its_answer_which_only_the_server_gets() {
    let provider = asking();
    let product = product(&provider.url, RISKS);
    connect(&product);
    let other = product.token("local", "other");
    let mut server = product.serve();
    let asked = by_form(&server, &read_it());
    let form = the_form(&asked);
    assert_eq!(form["message"], "Other asks: Who is it?");
    assert_eq!(form["requestedSchema"]["properties"]["name"]["type"], "string");
    assert!(!asked.to_string().contains(STATE), "{asked}");
    let given = json!({"action": "accept", "content": {"name": ANSWER, "more": "y"}});
    // Another process on the same database does as well.
    let mut beside = product.serve();
    beside.token.clone_from(&server.token);
    let done = by_form(&beside, &answer(&asked, &given));
    assert_eq!(done["result"]["structuredContent"]["text"][0], "thank you", "{done}");
    let sent = calls(&provider);
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(
        sent[1]["inputResponses"]["one"],
        json!({"action": "accept", "content": {"name": ANSWER}})
    );
    assert_eq!(
        (&sent[1]["requestState"], &sent[1]["arguments"]),
        (&json!(STATE), &json!({"what": "x"}))
    );
    // The state is used up.
    let replayed = by_form(&server, &answer(&asked, &given));
    assert_eq!(replayed["error"]["code"], -32602, "{replayed}");
    assert_eq!(audited(&product), [Value::Null, json!("success")], "one intent, one result");

    // It is of this caller and this call.
    let asked = by_form(&server, &read_it());
    let mut changed = answer(&asked, &given);
    changed["arguments"]["what"] = "y".into();
    assert_eq!(by_form(&server, &changed)["error"]["code"], -32602);
    let asked = by_form(&server, &read_it());
    let own = std::mem::replace(&mut server.token, other);
    assert_eq!(by_form(&server, &answer(&asked, &given))["error"]["code"], -32602);
    server.token = own;
    assert_eq!(calls(&provider).len(), 4, "nothing was answered");

    // What was not answered is asked again; what a person does not want is told.
    let asked = by_form(&server, &read_it());
    let mut silent = answer(&asked, &given);
    silent["inputResponses"] = json!({});
    let asked = by_form(&server, &silent);
    let declined = by_form(&server, &answer(&asked, &json!({"action": "decline"})));
    assert_eq!(declined["result"]["structuredContent"]["text"][0], "so you decline", "{declined}");
    let trail = product.json(&["audit", "--json"]).to_string();
    let kept = product.sql("SELECT count(*) FROM records WHERE collection = 'question.state'");
    for secret in [ANSWER, "Who is it", STATE] {
        assert!(!trail.contains(secret), "{secret}: {trail}");
    }
    assert_eq!(kept.trim(), "0");
}

#[test]
fn a_person_approves_first_and_is_asked_then() {
    let provider = asking();
    let product = product(&provider.url, "risks = { read_it = \"read\" }\n");
    connect(&product);
    let server = product.serve();
    let change = json!({"name": "other_change_it", "arguments": {"what": "x"}});
    let asked = by_form(&server, &change);
    let title =
        the_form(&asked)["requestedSchema"]["properties"]["name"]["title"].as_str().unwrap();
    let name = title.strip_prefix("Type ").unwrap().strip_suffix(" to approve").unwrap();
    assert_eq!(calls(&provider).len(), 0);
    let approves = json!({"action": "accept", "content": {"name": name}});
    let mut approved = answer(&asked, &approves);
    approved["name"] = change["name"].clone();
    let asked = by_form(&server, &approved);
    assert_eq!(the_form(&asked)["message"], "Other asks: Who is it?");
    let mut given = answer(&asked, &json!({"action": "accept", "content": {"name": ANSWER}}));
    given["name"] = change["name"].clone();
    let done = by_form(&server, &given);
    assert_eq!(done["result"]["structuredContent"]["text"][0], "thank you", "{done}");
    // The same call again is told what came of it, and asks nobody.
    let again = by_form(&server, &change);
    assert_eq!(again["result"]["_meta"]["dev.resto/repeated"], true, "{again}");
    assert_eq!(calls(&provider).len(), 2);
}

#[test]
fn a_client_that_cannot_ask_is_told_what_was_asked_and_why_not() {
    let provider = asking();
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let told = error(&call(&server, READ, &json!({})));
    for words in ["action_required", "has no form", "Who is it?", "(name)", "done at Other itself"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let pages = server.call_with(&[], &json!({"elicitation": {"url": {}}}), read_it()).json();
    assert!(error(&pages["result"]).contains("has no form"), "{pages}");
    let told = product.run(&["call", READ], "");
    assert!(
        told.stderr.contains("Who is it?") && told.stderr.contains("a client that has"),
        "{told:?}"
    );
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(trail.contains("was not passed on") && !trail.contains("Who is it"), "{trail}");
}

#[test]
fn d4_what_no_form_may_ask_for_reaches_nobody() {
    let page = |url: &str| json!({"method": "elicitation/create", "params": {"mode": "url", "message": "Look.", "url": url}});
    let many: serde_json::Map<String, Value> =
        (0..500).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
    let nested = json!({"deep": {"type": "object", "properties": {"x": {"type": "string"}}}});
    let sampling =
        json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}});
    let cases = [
        (form("Who is it?", &json!({"password": {"type": "string"}})), "must not be asked for"),
        (
            form("Type your API key.", &json!({"answer": {"type": "string"}})),
            "must not be asked for",
        ),
        (page("javascript:alert(1)"), "Nobody is led there"),
        (page("http://bank.example/"), "Nobody is led there"),
        (form("Who?", &many.into()), "more fields"),
        (form("Who?", &nested), "does not know"),
        (sampling, "sampling"),
        (json!({"method": "roots/list"}), "roots"),
    ];
    let next = Arc::<AtomicUsize>::default();
    let (now, requests) = (Arc::clone(&next), cases.clone());
    let provider = server(move |_, asked| wants(asked, &requests[now.load(Ordering::Relaxed)].0));
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let can = json!({"elicitation": {"form": {}, "url": {}}});
    for (index, (_, words)) in cases.iter().enumerate() {
        next.store(index, Ordering::Relaxed);
        let asked = server.call_with(&[], &can, read_it()).json();
        let told = error(&asked["result"]);
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(calls(&provider).len(), cases.len(), "none was answered");
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(!trail.contains("API key") && !trail.contains("bank.example"), "{trail}");
}

#[test]
fn e3_a_server_that_asks_without_end_is_heard_a_few_times() {
    let provider =
        server(|_, asked| wants(asked, &form("Again?", &json!({"yes": {"type": "boolean"}}))));
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let mut asked = by_form(&server, &read_it());
    let mut times = 0;
    while asked["result"]["resultType"] == "input_required" {
        times += 1;
        assert!(times <= 5, "{asked}");
        asked = by_form(
            &server,
            &answer(&asked, &json!({"action": "accept", "content": {"yes": true}})),
        );
    }
    assert_eq!(times, 5);
    assert!(error(&asked["result"]).contains("which is enough for one call"), "{asked}");
}

#[test]
fn what_a_server_says_of_an_answer_is_the_callers_alone() {
    let provider = server(|_, asked| {
        match asked["params"]["inputResponses"]["one"]["content"]["name"].as_str() {
            None => wants(asked, &form("Who is it?", &json!({"name": {"type": "string"}}))),
            Some(name) => {
                let words = format!("there is no {name}");
                told(asked, &json!({"isError": true, "content": [{"type": "text", "text": words}]}))
            }
        }
    });
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let asked = by_form(&server, &read_it());
    let given = json!({"action": "accept", "content": {"name": ANSWER}});
    let told = error(&by_form(&server, &answer(&asked, &given))["result"]);
    assert!(told.contains(&format!("there is no {ANSWER}")), "{told}");
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(trail.contains("after it had asked") && !trail.contains(ANSWER), "{trail}");
}

#[test]
fn a_page_is_shown_whole_with_its_host() {
    let url = "https://id.example/consent?for=x";
    let provider = server(move |_, asked| match asked["params"]["inputResponses"]["one"]["action"]
        .as_str()
    {
        None => wants(
            asked,
            &json!({"method": "elicitation/create", "params": {"mode": "url", "message": "Sign in.", "url": url}}),
        ),
        Some(action) => said(asked, action),
    });
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let can = json!({"elicitation": {"url": {}}});
    let asked = server.call_with(&[], &can, read_it()).json();
    let page = the_form(&asked);
    assert_eq!(page["url"], url, "{asked}");
    assert_eq!(
        page["message"],
        format!("Other asks you to open a page of id.example: {url} It says: Sign in.")
    );
    let opened = answer(&asked, &json!({"action": "accept"}));
    let done = server.call_with(&[], &can, opened).json();
    assert_eq!(done["result"]["structuredContent"]["text"][0], "accept", "{done}");
}

#[test]
fn what_is_asked_after_the_end_is_asked_of_nobody() {
    let provider = hostile(|method, asked| match method {
        "tools/list" => told(asked, &json!({"tools": [tool("read_it", "Reads.")]})),
        _ => {
            let result = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": [{"type": "text", "text": "read"}]}});
            let mut late = form("Still there?", &json!({"yes": {"type": "boolean"}}));
            late["jsonrpc"] = "2.0".into();
            late["id"] = 77.into();
            let events = format!("data: {result}\n\ndata: {late}\n\n");
            Reply(200, vec![("content-type", "text/event-stream".into())], events)
        }
    });
    let product = product(&provider.url, "risks = { read_it = \"read\" }\n");
    connect(&product);
    let server = product.serve();
    for _ in 0..3 {
        let read = by_form(&server, &read_it());
        assert_eq!(read["result"]["structuredContent"]["text"][0], "read", "{read}");
    }
    assert!(!provider.requests().iter().any(|request| request.body.contains("accept\"")));
}
