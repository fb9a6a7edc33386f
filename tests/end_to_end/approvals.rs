//! Dangerous actions run when a person approves them, once, and as they were approved; others do not run twice either.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::browser::{Browser, between};
use crate::clients::{Era, Python, Way};
use crate::postgres::on_both;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const KEY: &str = "github_pat_of_a_test";
pub const DELETE: &str = "github_delete_repository";
const CREATE: &str = "github_create_issue";

pub fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

/// A GitHub that deletes what it is told to, and numbers the issues that it creates.
pub fn github() -> Provider {
    let issues = AtomicUsize::new(0);
    Provider::github(move |request| match request.first.split(' ').next().unwrap() {
        "DELETE" => Reply(204, Vec::new(), String::new()),
        "POST" => {
            let number = issues.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::json(201, &issue(number))
        }
        _ => repository(request),
    })
}

fn issue(number: usize) -> Value {
    json!({
        "number": number, "title": "x", "state": "open", "comments": 0, "user": {"login": "octocat"},
        "html_url": format!("https://github.com/octocat/hello-world/issues/{number}"),
        "created_at": "2026-01-31T00:00:00Z", "updated_at": "2026-01-31T00:00:00Z",
    })
}

/// How often something was changed.
pub fn changes(provider: &Provider) -> usize {
    provider.requests().iter().filter(|request| !request.first.starts_with("GET")).count()
}

/// Calls as a client that shows forms.
pub fn by_form(server: &Server<'_>, params: &Value) -> Value {
    server.call_with(&[], &json!({"elicitation": {}}), params.clone()).json()
}

fn delete() -> Value {
    json!({"name": DELETE, "arguments": hello()})
}

fn answer(asked: &Value, result: &Value) -> Value {
    answer_to(delete(), asked, result)
}

/// The call with what its person answered.
pub fn answer_to(mut params: Value, asked: &Value, result: &Value) -> Value {
    params["requestState"] = asked["result"]["requestState"].clone();
    params["inputResponses"] = json!({ "approval": result });
    params
}

pub fn typed(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// The error of a call that failed, as an agent reads it: text only.
#[track_caller]
fn refusal(answer: &Value) -> Value {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer["result"].get("structuredContent").is_none(), "{answer}");
    serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap()
}

/// The path of the page on which a call that was refused is approved.
#[track_caller]
pub fn page_of(server: &Server<'_>, answer: &Value) -> String {
    let refused = refusal(answer);
    assert_eq!(refused["code"], "action_required", "{refused}");
    let origin = server.url.trim_end_matches("/mcp");
    refused["url"].as_str().unwrap().strip_prefix(origin).expect("a page of ours").to_owned()
}

/// Decides as a person does on the page of an approval.
pub fn decide(browser: &Browser, page: &str, decision: &str, name: &str) -> Message {
    let shown = browser.get(page);
    assert_eq!(shown.status(), 200, "{shown:?}");
    let operation = between(&shown.body, "name=\"operation\" value=\"", "\"");
    browser.post(page, &[("operation", operation), ("decision", decision), ("name", name)])
}

#[test]
fn a_person_approves_in_a_form_and_it_runs_once() {
    let provider = github();
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let server = product.serve();
        let before = changes(&provider);
        let asked = by_form(&server, &delete());
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
        let form = &asked["result"]["inputRequests"]["approval"]["params"];
        let told = form["message"].as_str().unwrap();
        for words in ["octocat/hello-world", "cannot be undone", "DELETE http", "the default for"] {
            assert!(told.contains(words), "no `{words}` in: {told}");
        }
        assert_eq!(form["requestedSchema"]["required"], json!(["name"]), "{asked}");
        // What is not the name is no approval.
        let wrong = refusal(&by_form(&server, &answer(&asked, &typed("hello-world"))));
        assert_eq!(wrong["field"], "name", "{wrong}");
        assert_eq!(changes(&provider), before);
        let asked = by_form(&server, &delete());
        let done = by_form(&server, &answer(&asked, &typed("octocat/hello-world")));
        assert_eq!(done["result"]["isError"], false, "{done}");
        assert_eq!(changes(&provider), before + 1);
        // The state is used up; so is the approval, and the call was made just now.
        let replayed = by_form(&server, &answer(&asked, &typed("octocat/hello-world")));
        assert_eq!(replayed["error"]["code"], -32602, "{replayed}");
        let again = by_form(&server, &delete());
        assert_eq!(again["result"]["_meta"]["dev.resto/repeated"], true, "{again}");
        assert_eq!(changes(&provider), before + 1);
        let events = product.json(&["audit", "--json"]);
        let events = events.as_array().unwrap();
        let actor = |action: &str| {
            let found = events.iter().rev().find(|event| event["action"] == action);
            found.unwrap_or_else(|| panic!("no {action}"))["actor"].as_str().unwrap().to_owned()
        };
        assert!(actor(&format!("{DELETE}.approve")).contains("in a form"));
        let ran = events
            .iter()
            .find(|event| event["action"] == DELETE && event["result_status"] == "success");
        let ran = ran.unwrap()["actor"].as_str().unwrap();
        assert!(ran.contains("approved by owner (mcp), in a form under the default for"), "{ran}");
    });
}

#[test]
fn a_client_without_forms_gets_a_page_and_its_next_call_runs() {
    let provider = github();
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let server = product.serve();
        let before = changes(&provider);
        let page = page_of(&server, &server.call(&[], DELETE, &hello()).json());
        assert_eq!(page_of(&server, &server.call(&[], DELETE, &hello()).json()), page);
        let browser = Browser::of(product, &server, "local");
        assert!(browser.get("/approve").body.contains(&page));
        assert!(browser.get(&page).header("content-security-policy").is_some());
        let wrong = decide(&browser, &page, "approve", "hello");
        assert_eq!(wrong.status(), 422, "{wrong:?}");
        assert_eq!(changes(&provider), before);
        let approved = decide(&browser, &page, "approve", "octocat/hello-world");
        assert!(approved.body.contains("Approved by owner (web)"), "{approved:?}");
        assert_eq!(changes(&provider), before, "the page itself does nothing");
        // Other arguments are another question.
        let other = json!({"owner": "octocat", "repo": "other"});
        assert_ne!(page_of(&server, &server.call(&[], DELETE, &other).json()), page);
        let done = server.call(&[], DELETE, &hello()).json();
        assert_eq!(done["result"]["isError"], false, "{done}");
        assert_eq!(changes(&provider), before + 1);
        assert_eq!(browser.get(&page).status(), 404);
        let declined = page_of(&server, &server.call(&[], DELETE, &other).json());
        decide(&browser, &declined, "decline", "");
        let refused = refusal(&server.call(&[], DELETE, &other).json());
        assert_eq!(refused["code"], "denied", "{refused}");
        assert_eq!(changes(&provider), before + 1);
    });
}

#[test]
fn a7_what_was_approved_for_somebody_else_or_is_over_is_refused() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    let server = product.serve();
    let mut as_other = product.serve();
    as_other.token = product.token("acme", "agent");
    let page = page_of(&server, &server.call(&[], DELETE, &hello()).json());
    let browser = Browser::of(&product, &server, "local");
    // Another tenant's person neither sees nor decides it; nobody does without signing in.
    let stranger = Browser::of(&product, &server, "acme");
    assert_eq!(stranger.get(&page).status(), 404);
    let operation = browser.get(&page);
    let operation = between(&operation.body, "name=\"operation\" value=\"", "\"").to_owned();
    let fields =
        [("operation", &*operation), ("decision", "approve"), ("name", "octocat/hello-world")];
    assert_eq!(stranger.post(&page, &fields).status(), 404);
    assert_eq!(Browser::new(&server).get(&page).status(), 401);
    // A form that a page of an earlier question holds decides nothing.
    let stale = [("operation", "00000000-0000-4000-8000-000000000000"), fields[1], fields[2]];
    assert_eq!(browser.post(&page, &stale).status(), 404);
    assert_eq!(decide(&browser, &page, "approve", "octocat/hello-world").status(), 200);
    // Decided once.
    assert_eq!(browser.post(&page, &[fields[0], ("decision", "decline")]).status(), 409);
    // The other tenant's agent is asked for its own approval.
    assert_ne!(page_of(&as_other, &as_other.call(&[], DELETE, &hello()).json()), page);
    // The state of another caller, another tool or another time.
    let asked = by_form(&as_other, &delete());
    let brought = answer(&asked, &typed("octocat/hello-world"));
    assert_eq!(by_form(&server, &brought)["error"]["code"], -32602);
    let asked = by_form(&as_other, &delete());
    let mut elsewhere = answer(&asked, &typed("octocat/hello-world"));
    elsewhere["name"] = "github_get_repository".into();
    assert_eq!(by_form(&as_other, &elsewhere)["error"]["code"], -32602);
    // An approval brought with other arguments approves nothing of them.
    let asked = by_form(&as_other, &delete());
    let mut changed = answer(&asked, &typed("octocat/hello-world"));
    changed["arguments"]["repo"] = "other".into();
    assert_eq!(by_form(&as_other, &changed)["result"]["resultType"], "input_required");
    assert_eq!(changes(&provider), 0);
    // Five minutes later.
    let ends = product.sql("SELECT max(expires_at) FROM records WHERE collection = 'approval'");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().cast_signed();
    let left = ends.trim().parse::<i128>().unwrap() - now;
    assert!((200_000..=300_000).contains(&left), "{left} ms");
    product.sql("UPDATE records SET expires_at = 1 WHERE collection = 'approval'");
    page_of(&server, &server.call(&[], DELETE, &hello()).json());
    assert_eq!(changes(&provider), 0);
    // Nor does a longer life, given in the database.
    product.sql("UPDATE records SET expires_at = 99999999999999 WHERE collection = 'approval'");
    let opened = server.call(&[], DELETE, &hello()).json();
    assert!(opened["result"]["isError"] == true || opened.get("error").is_some(), "{opened}");
    assert_eq!(changes(&provider), 0);
}

#[test]
fn the_official_client_asks_its_person_in_both_generations() {
    for (era, door) in
        [Era::Modern, Era::Legacy].into_iter().flat_map(|era| [0, 1, 2].map(|door| (era, door)))
    {
        let provider = github();
        let product = Product::connected(&provider.url, KEY);
        let server = product.serve();
        let way = [Way::Http(&server), Way::Sse(&server), Way::Stdio(&product)][door];
        let mut client = Python::with_person(era, way);
        let asked = client.begin(DELETE, &hello());
        assert!(asked["message"].as_str().unwrap().contains("octocat/hello-world"), "{asked}");
        let done = client.act_with("accept", &json!({"name": "octocat/hello-world"}));
        done.output();
        assert_eq!(changes(&provider), 1, "{era:?}");
        let other = json!({"owner": "octocat", "repo": "other"});
        client.begin(DELETE, &other);
        let refused = client.act("decline");
        assert!(refused.error().contains("declined"), "{refused:?}");
        assert_eq!(changes(&provider), 1, "{era:?}");
    }
}

#[test]
fn rules_let_run_ask_and_deny() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let rules = r#"
        [[rules]]
        name = "sandbox"
        decide = "allow"
        action = "github_delete_repository"
        arguments = { repo = "sandbox-*" }
        [[rules]]
        decide = "deny"
        risk = "irreversible"
        [[rules]]
        name = "careful"
        decide = "ask"
        risk = "outward"
    "#;
    product.configure(&format!("[integrations.github]\nbase_url = \"{}\"\n{rules}", provider.url));
    let server = product.serve();
    let sandbox = json!({"owner": "octocat", "repo": "sandbox-7"});
    let ran = server.call(&[], DELETE, &sandbox).json();
    assert_eq!(ran["result"]["isError"], false, "{ran}");
    let denied = refusal(&server.call(&[], DELETE, &hello()).json());
    assert_eq!(denied["code"], "denied");
    assert!(denied["message"].as_str().unwrap().contains("rule 2"), "{denied}");
    let arguments = hello().to_string();
    let person = product.run(&["call", DELETE, &arguments], "");
    assert!(person.stderr.contains("denied by rule 2"), "{person:?}");
    let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "x"});
    let page = page_of(&server, &server.call(&[], CREATE, &issue).json());
    let browser = Browser::of(&product, &server, "local");
    assert!(browser.get(&page).body.contains("under rule careful"));
    assert_eq!(decide(&browser, &page, "approve", "").status(), 200);
    let ran = server.call(&[], CREATE, &issue).json();
    assert_eq!(ran["result"]["structuredContent"]["number"], 1, "{ran}");
    assert_eq!(changes(&provider), 2);
    let trail = product.json(&["audit", "--json"]).to_string();
    for words in ["rule sandbox", "approved by owner (web) under rule careful"] {
        assert!(trail.contains(words), "no `{words}` in {trail}");
    }
    product.configure("[[rules]]\ndecide = \"deny\"\naction = \"github_delete_repo\"\n");
    let wrong = product.run(&["connections"], "");
    assert!(wrong.stderr.contains("Did you mean github_delete_repository?"), "{wrong:?}");
}

#[test]
fn the_same_call_again_is_not_done_again_unless_it_is_meant() {
    let provider = github();
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let servers = [product.serve(), product.serve()];
        let before = changes(&provider);
        let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "x"});
        let call = |server: usize, op: Option<&str>, arguments: &Value| {
            let mut params = json!({"name": CREATE, "arguments": arguments});
            if let Some(op) = op {
                params["op_id"] = op.into();
            }
            servers[server].call_with(&[], &json!({}), params).json()["result"].clone()
        };
        let first = call(0, None, &issue);
        let number = &first["structuredContent"]["number"];
        let again = call(1, None, &issue);
        assert_eq!(&again["structuredContent"]["number"], number, "{again}");
        assert_eq!(again["_meta"]["dev.resto/repeated"], true, "{again}");
        assert!(again["content"][1]["text"].as_str().unwrap().contains("on purpose"), "{again}");
        assert!(first["_meta"].get("dev.resto/repeated").is_none(), "{first}");
        assert_eq!(changes(&provider), before + 1);
        let meant = call(0, Some("a"), &issue);
        assert_ne!(&meant["structuredContent"]["number"], number, "{meant}");
        let same = call(1, Some("a"), &issue);
        assert_eq!(same["structuredContent"], meant["structuredContent"], "{same}");
        assert_eq!(changes(&provider), before + 2);
        let mut other = issue.clone();
        other["title"] = "y".into();
        let mixed = call(0, Some("a"), &other);
        assert!(mixed["content"][0]["text"].as_str().unwrap().contains("other parameters"));
        call(0, None, &other);
        assert_eq!(changes(&provider), before + 3);
        // A name that would not protect from doing it twice.
        for wrong in [json!(5), json!(null), json!("")] {
            let params = json!({"name": CREATE, "arguments": issue, "op_id": wrong});
            let refused = servers[0].call_with(&[], &json!({}), params).json();
            let told = refused["result"]["content"][0]["text"].as_str().unwrap();
            assert!(told.contains("must be a text that is not empty"), "{refused}");
        }
        assert_eq!(changes(&provider), before + 3);
    });
}

#[test]
fn d1_the_same_call_is_done_anew_two_minutes_later() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "x"});
    let number = || {
        let called = server.call(&[], CREATE, &issue).json()["result"].clone();
        let is_repeated = called["_meta"]["dev.resto/repeated"] == true;
        (called["structuredContent"]["number"].clone(), is_repeated)
    };
    // As if so much time had gone by.
    let pass = |seconds: u32| {
        product.sql(&format!(
            "UPDATE integration_operations SET expires_at = expires_at - {seconds}000"
        ))
    };
    assert_eq!(number(), (json!(1), false));
    pass(60);
    assert_eq!(number(), (json!(1), true));
    pass(60);
    assert_eq!(number(), (json!(2), false));
    assert_eq!(changes(&provider), 2);
}

#[test]
fn a_preview_tells_the_first_change_and_sends_none() {
    let provider = github();
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let preview = |action: &str, arguments: &Value| {
        let arguments = json!({"action": action, "arguments": arguments});
        server.call(&[], "preview_action", &arguments).json()["result"].clone()
    };
    let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "Tried"});
    let told = preview(CREATE, &issue)["structuredContent"].clone();
    assert_eq!(told["request"]["method"], "POST", "{told}");
    let url = told["request"]["url"].as_str().unwrap();
    assert!(url.ends_with("/repos/octocat/hello-world/issues"), "{told}");
    assert!(told["request"]["body"].as_str().unwrap().contains("\"title\":\"Tried\""), "{told}");
    assert!(told["steps"][0].as_str().unwrap().contains("without asking"), "{told}");
    let told = preview(DELETE, &hello())["structuredContent"].clone();
    assert!(told["steps"][0].as_str().unwrap().contains("A person is asked"), "{told}");
    assert!(!told.to_string().contains(KEY), "{told}");
    let told = preview("github_get_repository", &hello())["structuredContent"].clone();
    assert!(told.get("request").is_none(), "{told}");
    let wrong = preview(CREATE, &hello());
    assert!(
        wrong["content"][0]["text"].as_str().unwrap().contains("`title` is missing"),
        "{wrong}"
    );
    assert_eq!(changes(&provider), 0);
    let trail = product.trail("local");
    let tried = trail.iter().filter(|(_, action, _)| action == "github_create_issue.preview");
    assert_eq!(tried.count(), 2);
    assert!(!trail.iter().any(|(_, action, _)| action == CREATE));
}
