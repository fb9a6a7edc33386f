//! Signing in at a server that others wrote (`FastMCP`), at the authorization server that it names (`oidc-provider`): access
//! that is renewed, revoked, and goes nowhere else.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{Browser, Consent, field};
use crate::clients::{Era, Node, Python, Way};
use crate::others::{entry, port};
use crate::process::{Running, tool, top};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::wire::{Message, send};

/// Far more than anything takes here; only a failure waits that long.
const LIMIT: Duration = Duration::from_secs(40);

const LIMITS: &str = "[integrations.notes.limits]\nrequests = 1000000\nconcurrent = 100\n";

/// The authorization server of the notes.
struct Issuer {
    url: String,
    _process: Running,
}

impl Issuer {
    /// One whose access lives for so many seconds. It finds the product's description of itself at this address.
    fn start(port: u16, life: u32, product: &str) -> Self {
        let mut command = Command::new(tool("bin/node"));
        let resource = format!("http://127.0.0.1:{port}/mcp");
        command.arg(top().join("tests/standins/notes.mjs")).args([
            &resource,
            &life.to_string(),
            product,
        ]);
        let (process, url) = Running::start(&mut command, |line| {
            line.strip_prefix("RESTO_STANDIN_NOTES_URL=").map(str::to_owned)
        });
        Self { url, _process: process }
    }

    /// The notes, for which it gives access.
    fn notes(&self, port: u16) -> Running {
        let mut notes = Command::new(tool("python/bin/python"));
        notes.arg(top().join("tests/standins/notes.py")).arg(&self.url).arg(port.to_string());
        Running::start(&mut notes, |line| line.contains("Uvicorn running").then_some(())).0
    }

    /// How often it renewed access and was asked in vain, ended a consent, and looked up a client.
    fn seen(&self) -> Value {
        send("GET", &format!("{}/seen", self.url), &[], "").json()
    }

    /// Lets a person consent, and tells what their browser comes back with.
    fn consent(&self, browser: &Browser) -> Vec<(&'static str, String)> {
        let Consent(consent) = browser.consent("notes");
        assert!(consent.starts_with(&format!("{}/auth?", self.url)), "{consent}");
        let answer = send("GET", &consent.replacen("/auth?", "/consent?", 1), &[], "");
        let back = answer.header("location").unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        let (place, query) = back.split_once('?').unwrap();
        assert!(place.ends_with("/oauth/callback/notes"), "{back}");
        ["state", "code", "iss"].map(|name| (name, field(query, name).unwrap())).into()
    }

    fn connect(&self, browser: &Browser) {
        let back = come_back(browser, &self.consent(browser));
        assert_eq!(back.status(), 303, "{back:?}");
    }
}

fn come_back(browser: &Browser, fields: &[(&str, String)]) -> Message {
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.back("notes", &fields)
}

/// An installation with the notes on this port, and more in its configuration.
fn product(port: u16, before: &str, after: &str) -> Product {
    let product = Product::at("http://127.0.0.1:9");
    let entry = entry(
        "notes",
        port,
        "auth = \"oauth\"\nscopes = [\"notes:read\"]\n\
         risks = { list_notes = \"read\", ask_for_a_note = \"read\", name_a_note = \"read\", wait_for_a_note = \"read\" }",
    );
    product.configure(&format!("{before}{entry}{after}"));
    product
}

fn list(server: &Server<'_>) -> String {
    server.call(&[], "notes_list_notes", &json!({"about": "cats"})).body
}

/// Lists notes until its access was renewed so often.
fn list_until_renewed(server: &Server<'_>, issuer: &Issuer, times: u64) {
    let start = Instant::now();
    while issuer.seen()["renewed"].as_u64().unwrap() < times {
        let listed = list(server);
        assert!(listed.contains("a note about cats"), "{listed}");
        assert!(start.elapsed() < LIMIT, "{}", issuer.seen());
    }
}

fn wait_until(running: &Running, words: &str) {
    let start = Instant::now();
    while !running.said().contains(words) {
        assert!(start.elapsed() < LIMIT, "{words}: {}", running.said());
        thread::yield_now();
    }
}

#[test]
fn people_sign_in_where_a_server_of_fastmcp_says() {
    let port = port();
    let product = product(port, "", "[integrations.notes]\nclient_id = \"resto\"\n");
    let server = product.serve();
    let issuer = Issuer::start(port, 3600, "");
    let notes = issuer.notes(port);
    let browser = Browser::of(&product, &server, "local");
    let fields = issuer.consent(&browser);
    let elsewhere = [("state", "x"), ("code", "y"), ("iss", "https://evil.example")];
    assert_eq!(browser.back("notes", &elsewhere).status(), 403);
    assert_eq!(come_back(&browser, &fields).status(), 303);
    let mut python = Python::connect(Era::Modern, Way::Http(&server));
    let listed = python.call("notes_list_notes", &json!({"about": "cats"}));
    assert_eq!(listed.output()["structured"]["notes"][0], "a note about cats");
    let told = product.must(&["call", "notes_list_notes", "{\"about\": \"dogs\"}"], "");
    assert!(told.stderr.contains("half of them"), "its progress is passed on: {told:?}");
    let asked = python.call("notes_ask_for_a_note", &json!({}));
    // It asks so only in the older generation, which it was not spoken to in.
    assert!(asked.error().contains("Theirs refused the call: elicitation"), "{asked:?}");
    let refused = python.call("notes_name_a_note", &json!({}));
    assert!(refused.error().contains("How is it called?"), "{refused:?}");
    for mut agent in [
        Python::with_person(Era::Legacy, Way::Http(&server)),
        Python::with_person(Era::Modern, Way::Http(&server)),
        Node::by("sdk", Way::Http(&server), true),
        Node::by("client", Way::Http(&server), true),
    ] {
        let asked = agent.begin("notes_name_a_note", &json!({}));
        assert_eq!(asked["message"], "Theirs asks: How is it called?", "{asked}");
        let done = agent.act_with("accept", &json!({"name": "Tea"}));
        assert_eq!(
            done.output()["structured"]["result"],
            "asked: accept {'name': 'Tea'}",
            "{done:?}"
        );
    }

    // Whoever goes away, or presses Ctrl-C, waits for nothing there either.
    let authorization = format!("Bearer {}", server.token);
    let headers = [("authorization", authorization.as_str())];
    let waiting = server.open(&headers, "notes_wait_for_a_note", &json!({}));
    wait_until(&notes, "somebody waits");
    drop(waiting);
    wait_until(&notes, "nobody waits any more");
    let (mut calling, ()) =
        Running::start(&mut product.command(&["call", "notes_wait_for_a_note"]), |line| {
            line.contains("nothing yet").then_some(())
        });
    calling.interrupt();
    assert_eq!(calling.wait().code(), Some(1));
    let start = Instant::now();
    while notes.said().matches("nobody waits any more").count() < 2 {
        assert!(start.elapsed() < LIMIT, "{}", notes.said());
    }
}

#[test]
fn c9_the_access_of_each_tenant_is_renewed_and_its_end_is_its_own() {
    let port = port();
    let product =
        product(port, "", &format!("[integrations.notes]\nclient_id = \"resto\"\n{LIMITS}"));
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    let issuer = Issuer::start(port, 5, "");
    let _notes = issuer.notes(port);
    for tenant in ["local", "acme"] {
        issuer.connect(&Browser::of(&product, &server, tenant));
    }
    list_until_renewed(&server, &issuer, 5);
    let before = issuer.seen();
    assert_eq!((&before["refused"], &before["ended"]), (&json!(0), &json!(0)), "{before}");
    let receipt = product.json(&["disconnect", "notes", "--json"]);
    assert_eq!(receipt["revoked"], true, "{receipt}");
    assert_eq!(issuer.seen()["ended"], 1, "{receipt}");
    let tools = product.json(&["tools", "--json"]).to_string();
    assert!(!tools.contains("notes_"), "what it offered is forgotten: {tools}");
    let others = ["--tenant", "acme", "call", "notes_list_notes", "{\"about\": \"dogs\"}"];
    assert!(product.must(&others, "").stdout.contains("a note about dogs"));
}

#[test]
fn this_server_describes_itself_to_an_authorization_server_that_never_heard_of_it() {
    let port = port();
    let product = product(port, "public_url = \"https://resto.example.com\"\n", LIMITS);
    let server = product.serve();
    let issuer = Issuer::start(port, 5, &server.at(""));
    let _notes = issuer.notes(port);
    let browser = Browser::of(&product, &server, "local");
    assert_eq!(issuer.seen()["described"], 0);
    issuer.connect(&browser);
    assert_eq!(issuer.seen()["described"], 1);
    list_until_renewed(&server, &issuer, 2);
    assert_eq!(issuer.seen()["refused"], 0, "{}", issuer.seen());
}

#[test]
fn c9_tokens_go_to_no_other_authorization_server_than_the_one_that_gave_them() {
    let port = port();
    let product = product(port, "", "[integrations.notes]\nclient_id = \"resto\"\n");
    let (right, wrong) = (Issuer::start(port, 5, ""), Issuer::start(port, 5, ""));
    {
        let server = product.serve();
        let _notes = right.notes(port);
        right.connect(&Browser::of(&product, &server, "local"));
    }
    let _notes = wrong.notes(port);
    let refused = product.run(&["call", "notes_list_notes", "{\"about\": \"cats\"}"], "");
    assert!(refused.stderr.contains("error"), "{refused:?}");
    let connection = product.json(&["connections", "--json"])[0].clone();
    assert_eq!(connection["status"], "needs_reauth", "{refused:?}");
    let seen = wrong.seen();
    assert_eq!((&seen["renewed"], &seen["refused"]), (&json!(0), &json!(0)), "{seen}");
    // A client that was registered at one is shown to no other either.
    product.configure(&format!(
        "{}\n[integrations.notes]\nclient_id = \"resto\"\nissuer = \"{}\"\n",
        entry("notes", port, "auth = \"oauth\""),
        right.url
    ));
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let page = browser.post("/connect/notes/oauth", &[]);
    assert!(page.body.contains("does not name the authorization server"), "{page:?}");
}

#[test]
fn e2_what_a_server_tells_of_where_to_sign_in_leads_nowhere_else() {
    let inside = Provider::start(|_| Reply::json(200, &json!({})));
    let told = Arc::new(Mutex::new((json!({}), json!({}))));
    let (now, elsewhere) = (Arc::clone(&told), inside.url.clone());
    let hostile = Provider::start(move |request| {
        let url = format!("http://{}", request.header("host").unwrap());
        let (mut resource, mut server) = now.lock().unwrap().clone();
        match request.what() {
            "POST /mcp" => Reply(401, Vec::new(), String::new()),
            "GET /.well-known/oauth-protected-resource/mcp" if resource == "redirect" => {
                Reply(302, vec![("location", elsewhere.clone())], String::new())
            }
            "GET /.well-known/oauth-protected-resource/mcp" => {
                if resource["resource"].is_null() {
                    resource["resource"] = json!(format!("{url}/mcp"));
                }
                if resource["authorization_servers"].is_null() {
                    resource["authorization_servers"] = json!([url]);
                }
                Reply::json(200, &resource)
            }
            "GET /.well-known/oauth-authorization-server" => {
                if server["issuer"].is_null() {
                    server["issuer"] = json!(url);
                }
                Reply::json(200, &server)
            }
            _ => Reply(404, Vec::new(), String::new()),
        }
    });
    let port = hostile.url.rsplit(':').next().unwrap().parse().unwrap();
    let product = product(port, "", "[integrations.notes]\nclient_id = \"resto\"\n");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let right = json!({
        "authorization_endpoint": "https://id.example/auth", "token_endpoint": "https://id.example/token",
        "code_challenge_methods_supported": ["S256"],
    });
    let with = |name: &str, value: &str| {
        let mut server = right.clone();
        server[name] = json!(value);
        server
    };
    let one = |issuer: &str| json!({"authorization_servers": [issuer]});
    for (resource, metadata, words) in [
        (json!("redirect"), json!({}), "no description of it"),
        (json!({"resource": "https://other.example/mcp"}), json!({}), "of another resource"),
        (json!({"authorization_servers": []}), json!({}), "names no authorization server"),
        (one("https://10.0.0.1"), json!({}), "10.0.0.1"),
        (one("https://169.254.169.254/latest"), json!({}), "169.254.169.254"),
        (one("http://id.example"), json!({}), "does not describe itself"),
        (json!({}), with("issuer", "https://id.example"), "does not describe itself"),
        (json!({}), json!({}), "PKCE"),
        (
            json!({}),
            with("authorization_endpoint", "javascript:alert(1)"),
            "authorization_endpoint",
        ),
        (json!({}), with("token_endpoint", "http://id.example/token"), "token_endpoint"),
    ] {
        *told.lock().unwrap() = (resource, metadata);
        let page = browser.post("/connect/notes/oauth", &[]);
        assert!(page.body.contains(words), "{words}: {page:?}");
        assert!(!page.body.contains("http-equiv=\"refresh\""), "{words}: {page:?}");
    }
    assert_eq!(inside.count(), 0);
    *told.lock().unwrap() = (json!({}), right.clone());
    assert!(browser.consent("notes").0.starts_with("https://id.example/auth?"));
}
