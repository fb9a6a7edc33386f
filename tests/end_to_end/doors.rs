//! Who may come in, and that nobody gets what is another's.

use std::process::Stdio;
use std::sync::{Mutex, mpsc};
use std::thread;

use serde_json::{Value, json};

use crate::clients::{Answer, Era, Python, Way};
use crate::product::Product;
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, answer, send};

const KEY: &str = "github_pat_of_the_local_tenant";
const READ: &str = "github_get_repository";

fn named(repo: &str) -> Value {
    json!({"owner": "octocat", "repo": repo})
}

/// The result of a call that came through the door.
fn result(answer: &Message) -> Answer {
    assert_eq!(answer.status(), 200, "{answer:?}");
    Answer::from(answer.json()["result"].clone())
}

fn event(phase: &str, action: &str, status: &str) -> (String, String, String) {
    (phase.to_owned(), action.to_owned(), status.to_owned())
}

#[test]
fn a8_only_a_valid_access_token_opens_the_door() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let revoked = product.token("local", "revoked");
    let expired = product.token("local", "expired");
    let server = product.serve();
    let with = |authorization: &str| {
        let headers = [("authorization", authorization)];
        let headers = if authorization.is_empty() { &headers[1..] } else { &headers[..] };
        answer(server.open(headers, READ, &named("hello-world")))
    };
    for token in [&revoked, &expired] {
        result(&with(&format!("Bearer {token}"))).output();
    }
    product.must(&["token", "revoke", "revoked"], "");
    product.sql("UPDATE access_tokens SET expires_at = 1 WHERE name = 'expired'");
    let before = provider.count();
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer resto_that_nobody_gave",
        &format!("Basic {}", server.token),
        &format!("Bearer {}x", server.token),
        &format!("Bearer {revoked}"),
        &format!("Bearer {expired}"),
    ] {
        let answered = with(wrong);
        assert_eq!(answered.status(), 401, "{wrong}: {answered:?}");
        assert_eq!(answered.header("www-authenticate"), Some("Bearer"), "{wrong}");
        assert!(answered.body.contains("resto token create"), "{answered:?}");
    }
    assert_eq!(provider.count(), before);
    result(&with(&format!("bearer {}", server.token))).output();
}

#[test]
fn a1_a_tenant_reaches_its_own_connection_only() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    product.must(&["tenant", "create", "acme"], "");
    let of_acme = product.token("acme", "acme");
    let server = product.serve();
    let as_acme = || {
        let authorization = format!("Bearer {of_acme}");
        // What an attacker would try: the tenant is told by the token alone.
        let headers =
            [("authorization", authorization.as_str()), ("x-tenant", "local"), ("tenant", "local")];
        answer(server.open(&headers, READ, &named("hello-world")))
    };
    let before = provider.count();
    let refused = as_acme();
    let told = result(&refused).error().to_owned();
    assert!(told.contains("not_connected"), "{refused:?}");
    assert!(told.contains("resto --tenant acme connect github"), "{refused:?}");
    assert_eq!(provider.count(), before);
    assert_eq!(
        product.trail("acme"),
        [event("intent", READ, "-"), event("result", READ, "denied")]
    );
    assert!(product.trail("local").iter().all(|(_, action, _)| action == "connect"));
    let smuggled = server.call(&[], READ, &json!({"owner": "o", "repo": "r", "tenant": "acme"}));
    assert!(result(&smuggled).error().contains("unknown field `tenant`"), "{smuggled:?}");

    let key = "github_pat_of_the_acme_tenant";
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], key);
    result(&as_acme()).output();
    let sent = provider.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {key}").as_str()));
    result(&server.call(&[], READ, &named("hello-world"))).output();
    let sent = provider.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn e1_a_web_page_of_a_stranger_is_turned_away() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    product.configure(&format!(
        "allowed_origins = [\"https://app.example.com\"]\n[integrations.github]\nbase_url = \"{}\"\n",
        provider.url
    ));
    let server = product.serve();
    let before = provider.count();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "https://app.example.com.evil.example"),
        ("origin", "https://evil.app.example.com"),
        ("origin", "https://app.example.com:444"),
        ("origin", "http://app.example.com"),
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example"),
    ] {
        let answered = server.call(&[(name, value)], READ, &named("hello-world"));
        assert_eq!(answered.status(), 403, "{name}: {value}: {answered:?}");
    }
    let page = server.url.strip_suffix("mcp").unwrap();
    for name in ["evil.example", "127.0.0.1.evil.example", "evil.example@127.0.0.1:80", ""] {
        let answered = send("GET", page, &[("host", name)], "");
        assert_eq!(answered.status(), 403, "{name}: {answered:?}");
        assert!(answered.body.contains("allowed_hosts"), "{answered:?}");
    }
    let twice = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(send("GET", page, &twice, "").status(), 403);
    assert_eq!(send("GET", page, &twice[1..], "").status(), 200);
    assert_eq!(provider.count(), before);
    let ours = [("origin", "https://app.example.com")];
    let answered = server.call(&ours, READ, &named("hello-world"));
    result(&answered).output();
    assert_eq!(answered.header("access-control-allow-origin"), Some(ours[0].1));
    // A browser asks first, without a token.
    let asks = |origin| {
        let wanted = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,mcp-protocol-version"),
        ];
        let told = send("OPTIONS", &server.url, &wanted, "");
        told.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(asks("https://app.example.com").as_deref(), Some("https://app.example.com"));
    assert_eq!(asks("https://evil.example"), None);
}

#[test]
fn e9_what_the_headers_say_is_what_the_message_says() {
    const NEWEST: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    const METHOD: (&str, &str) = ("mcp-method", "tools/call");
    const NAME: (&str, &str) = ("mcp-name", READ);
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let before = provider.count();
    let call = |version: &str, headers: &[(&str, &str)]| {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": READ, "arguments": named("hello-world"), "_meta": meta});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let authorization = format!("Bearer {}", server.token);
        let standard = [
            ("authorization", authorization.as_str()),
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
        ];
        send("POST", &server.url, &[&standard[..], headers].concat(), &call.to_string())
    };
    for (what, version, headers, code) in [
        ("no method", "2026-07-28", &[NEWEST, NAME][..], -32020),
        ("another method", "2026-07-28", &[NEWEST, ("mcp-method", "tools/list"), NAME], -32020),
        ("a stream", "2026-07-28", &[NEWEST, ("mcp-method", "subscriptions/listen"), NAME], -32020),
        ("no name", "2026-07-28", &[NEWEST, METHOD], -32020),
        (
            "another name",
            "2026-07-28",
            &[NEWEST, METHOD, ("mcp-name", "github_get_account")],
            -32020,
        ),
        (
            "another version",
            "2026-07-28",
            &[("mcp-protocol-version", "2025-11-25"), METHOD, NAME],
            -32020,
        ),
        (
            "an unknown version",
            "2999-01-01",
            &[("mcp-protocol-version", "2999-01-01"), METHOD, NAME],
            -32022,
        ),
    ] {
        let told = call(version, headers);
        assert_eq!(told.status(), 400, "{what}: {told:?}");
        assert_eq!(told.json()["error"]["code"], code, "{what}: {told:?}");
    }
    assert_eq!(provider.count(), before);
    result(&call("2026-07-28", &[NEWEST, METHOD, NAME])).output();
}

#[test]
fn a5_an_access_token_never_reaches_the_provider() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let headers = [("x-api-key", server.token.as_str()), ("cookie", server.token.as_str())];
    result(&server.call(&headers, READ, &named("hello-world"))).output();
    Python::connect(Era::Modern, Way::Http(&server)).call(READ, &named("hello-world")).output();
    let sent = provider.requests();
    assert_eq!(sent.len(), 3, "{sent:?}");
    for request in sent {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert!(!format!("{request:?}").contains(&server.token), "{request:?}");
    }
}

#[test]
fn what_cannot_be_undone_is_not_an_agents_to_do_alone() {
    const DELETE: &str = "github_delete_repository";
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let mut agent = Python::connect(Era::Modern, Way::Http(&server));
    let tools = agent.tools();
    let hints = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).expect("a tool");
        (
            tool["annotations"]["destructiveHint"].clone(),
            tool["annotations"]["readOnlyHint"].clone(),
        )
    };
    assert_eq!(hints(DELETE), (json!(true), json!(false)));
    assert_eq!(hints(READ), (json!(false), json!(true)));
    let refused = agent.call(DELETE, &named("hello-world"));
    assert!(
        refused.error().contains("action_required") && refused.error().contains("/approve/"),
        "{refused:?}"
    );
    assert!(provider.requests().iter().all(|request| !request.first.starts_with("DELETE")));
    let trail = product.trail("local");
    let prepare = format!("{DELETE}.prepare");
    assert_eq!(
        trail[2..],
        [
            event("intent", "check", "-"),
            event("result", "check", "success"),
            event("intent", &prepare, "-"),
            event("result", &prepare, "success"),
            event("intent", DELETE, "-"),
            event("result", DELETE, "denied"),
        ]
    );
    // At a terminal a person would type the name; here is neither.
    let arguments = named("hello-world").to_string();
    let unattended = product.run(&["call", DELETE, &arguments], "hello-world\n");
    assert!(
        !unattended.status.success() && unattended.stderr.contains("terminal"),
        "{unattended:?}"
    );
    assert!(provider.requests().iter().all(|request| !request.first.starts_with("DELETE")));
}

/// A GitHub that holds the creation of an issue until it is told to answer, and tells when it was asked.
fn slow_github() -> (Provider, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (asked, was_asked) = mpsc::channel();
    let (answer_now, may_answer) = mpsc::channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let provider = Provider::github(move |request| {
        if !request.first.starts_with("POST") {
            return repository(request);
        }
        asked.send(()).unwrap();
        may_answer.lock().unwrap().recv().unwrap();
        let issue = json!({
            "number": 7, "title": "Slow", "state": "open", "user": {"login": "octocat"},
            "labels": [], "assignees": [], "comments": 0, "locked": false,
            "html_url": "https://github.com/octocat/hello-world/issues/7",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        Reply::json(201, &issue)
    });
    (provider, was_asked, answer_now)
}

const CHANGE: &str = "github_create_issue";

fn issue() -> Value {
    json!({"owner": "octocat", "repo": "hello-world", "title": "Slow"})
}

#[test]
fn a_change_goes_on_when_its_client_goes_away() {
    let (provider, was_asked, answer_now) = slow_github();
    let product = Product::connected(&provider.url, KEY);
    let mut server = product.serve();
    let authorization = format!("Bearer {}", server.token);
    let client = server.open(&[("authorization", &authorization)], CHANGE, &issue());
    was_asked.recv().unwrap();
    drop(client);
    // While others are served, the server sees that this one is gone.
    for _ in 0..10 {
        result(&server.call(&[], READ, &named("hello-world"))).output();
    }
    answer_now.send(()).unwrap();
    assert!(server.process.terminate().success());
    let trail = product.trail("local");
    assert!(trail.contains(&event("intent", CHANGE, "-")), "{trail:?}");
    assert!(trail.contains(&event("result", CHANGE, "success")), "{trail:?}");
}

#[test]
fn a_server_that_is_told_to_end_lets_calls_end_first() {
    let (provider, was_asked, answer_now) = slow_github();
    let product = Product::connected(&provider.url, KEY);
    let mut server = product.serve();
    let authorization = format!("Bearer {}", server.token);
    let client = server.open(&[("authorization", &authorization)], CHANGE, &issue());
    was_asked.recv().unwrap();
    server.process.signal();
    // It has begun to end when nobody new is let in.
    let page = server.url.replace("http://", "").replace("/mcp", "");
    while std::net::TcpStream::connect(&page).is_ok() {
        thread::yield_now();
    }
    answer_now.send(()).unwrap();
    let answered = answer(client);
    assert_eq!(result(&answered).output()["number"], 7);
    assert!(server.process.terminate().success());
    assert!(product.trail("local").contains(&event("result", CHANGE, "success")));
}

#[test]
fn the_page_for_people_shows_nothing_of_a_tenant() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    let page = send("GET", &server.url.replace("/mcp", "/"), &[], "");
    assert_eq!(page.status(), 200);
    assert!(page.body.contains("GitHub") && !page.body.contains("octocat"), "{page:?}");
}

#[test]
fn f2_what_a_killed_command_left_is_unknown_to_the_next_one_and_what_is_under_way_is_not() {
    let (provider, was_asked, answer_now) = slow_github();
    let product = Product::connected(&provider.url, KEY);
    let arguments = issue().to_string();
    let call = || {
        let mut command = product.command(&["call", CHANGE, &arguments]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut killed = call();
    was_asked.recv().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    answer_now.send(()).unwrap();
    let results = |status: &str| {
        let ends = event("result", CHANGE, status);
        product.trail("local").into_iter().filter(|event| *event == ends).count()
    };
    assert_eq!(results("unknown"), 0, "it could still be under way");
    // As if more than the minute had gone by, in which its process would have said so.
    product.sql("UPDATE open_intents SET alive_at = alive_at - 61000");
    assert_eq!(results("unknown"), 1);

    let mut other = call();
    was_asked.recv().unwrap();
    assert_eq!(results("unknown"), 1);
    answer_now.send(()).unwrap();
    assert!(other.wait().unwrap().success());
    assert_eq!((results("unknown"), results("success")), (1, 1));
}
