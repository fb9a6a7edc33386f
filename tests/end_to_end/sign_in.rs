//! A real authorization server: official clients find it by themselves, and people sign in at it, in a real browser.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::browser::{Browser, form};
use crate::pages::Chromium;
use crate::process::{Conversation, Running, tool, top};
use crate::product::Product;
use crate::provider::{Provider, Reply, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
const CHANGE: &str = "github_create_issue";

/// A real authorization server.
struct Identity {
    url: String,
    _process: Running,
}

impl Identity {
    fn start() -> Self {
        let mut command = Command::new(top().join("tests/standins/start"));
        let (process, url) = Running::start(command.arg("identity"), |line| {
            line.strip_prefix("RESTO_STANDIN_IDENTITY_URL=").map(str::to_owned)
        });
        Self { url, _process: process }
    }
}

/// An installation whose people and agents come from there, with GitHub connected in the tenant `acme`.
fn product(identity: &Identity, github: &Provider) -> Product {
    let product = Product::at(&github.url);
    let secret = product.path("identity-secret");
    std::fs::write(&secret, "plainly-fake\n").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    product.configure(&format!(
        "[identity]\nissuer = \"{}\"\nclient_id = \"resto\"\nclient_secret_file = \"{}\"\n\
         [integrations.github]\nbase_url = \"{}\"\n",
        identity.url,
        secret.display(),
        github.url
    ));
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    product
}

/// Signs in and consents at the authorization server's pages; where the browser ends up.
fn consent(chromium: &mut Chromium, address: Option<&str>, person: &str) -> Value {
    if let Some(address) = address {
        chromium.step(&json!({ "open": address }));
    }
    chromium.step(&json!({"fill": {"input[name=login]": person, "input[name=password]": "any"}}));
    chromium.step(&json!({"click": "button[type=submit]"}));
    chromium.step(&json!({"click": "button[type=submit]"}))
}

/// A client that others wrote, without a token.
struct Client {
    talk: Conversation,
    chromium: Chromium,
    /// Where its person comes back to.
    landing: Provider,
    /// How often its person was asked.
    asked: Vec<String>,
}

impl Client {
    fn start(command: &mut Command, landing: Provider) -> Self {
        let talk = Conversation::start(command);
        Self { talk, chromium: Chromium::start(), landing, asked: Vec::new() }
    }

    /// Calls a tool; its person signs in where the client wants it.
    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let call = json!({"method": "tools/call", "name": tool, "arguments": arguments});
        let mut answer = self.ask(&call);
        while let Some(address) = answer["asked"].as_str().map(str::to_owned) {
            if self.asked.is_empty() {
                consent(&mut self.chromium, Some(&address), "alice@acme");
            } else {
                // Who is signed in there consents only.
                let page = self.chromium.step(&json!({ "open": address }));
                assert!(page["text"].as_str().unwrap().contains("Authorize"), "{address} {page}");
                self.chromium.step(&json!({"click": "button[type=submit]"}));
            }
            self.asked.push(address);
            let requests = self.landing.requests();
            let back = requests.iter().rfind(|request| request.what() == "GET /back").unwrap();
            let path = back.first.split(' ').nth(1).unwrap();
            answer = self.ask(&json!({"back": format!("{}{path}", self.landing.url)}));
        }
        answer
    }

    fn ask(&mut self, line: &Value) -> Value {
        serde_json::from_str(&self.talk.ask(&line.to_string())).expect("an answer in JSON")
    }
}

/// Reads, then changes: for the second the client has to ask for more.
fn comes_in(client: impl FnOnce(&str, &str) -> Command) {
    let identity = Identity::start();
    let github = Provider::github(|request| match request.first.split(' ').next().unwrap() {
        "POST" => Reply::json(
            201,
            &json!({
                "number": 7, "title": "x", "state": "open", "user": {"login": "octocat"}, "comments": 0,
                "html_url": "https://github.com/octocat/hello-world/issues/7",
                "created_at": "2026-01-31T00:00:00Z", "updated_at": "2026-01-31T00:00:00Z",
            }),
        ),
        _ => repository(request),
    });
    let product = product(&identity, &github);
    let server = product.serve();
    let page = || Reply(200, vec![("content-type", "text/html".into())], "<p>Come back</p>".into());
    let landing = Provider::start(move |_| page());
    let mut command = client(&server.url, &format!("{}/back", landing.url));
    let mut client = Client::start(&mut command, landing);
    let hello = json!({"owner": "octocat", "repo": "hello-world"});
    let read = client.call(READ, &hello);
    assert_eq!(read["structuredContent"]["full_name"], "octocat/hello-world", "{read}");
    assert_eq!(client.asked.len(), 1);
    let resource = form(&[("resource", &server.url)]);
    assert!(client.asked[0].contains(&resource), "{:?}", client.asked);
    assert!(client.asked[0].contains("code_challenge_method=S256"), "{:?}", client.asked);
    let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "x"});
    let changed = client.call(CHANGE, &issue);
    assert_eq!(changed["structuredContent"]["number"], 7, "{changed}");
    assert_eq!(client.asked.len(), 2);
    let trail = product.json(&["--tenant", "acme", "audit", "--json"]).to_string();
    assert!(trail.contains("alice@acme (mcp)"), "{trail}");
}

fn typescript(mode: &str, url: &str, redirect: &str) -> Command {
    let mut command = Command::new(tool("bin/node"));
    command.arg(top().join("tests/tools/mcp_client.mjs")).args([mode, url, redirect]);
    command
}

fn python(mode: &str, url: &str, redirect: &str) -> Command {
    let mut command = Command::new(tool("python/bin/python"));
    command.env_clear().env("MCP_REDIRECT", redirect);
    command.arg(top().join("tests/tools/mcp_client.py")).args([mode, url]);
    command
}

#[test]
fn the_typescript_client_finds_its_way_in_and_asks_for_more_when_it_needs_it() {
    comes_in(|url, redirect| typescript("2026-07-28", url, redirect));
}

#[test]
fn the_typescript_client_of_the_older_generation_finds_its_way_in() {
    comes_in(|url, redirect| typescript("legacy", url, redirect));
}

#[test]
fn the_python_client_finds_its_way_in_and_asks_for_more_when_it_needs_it() {
    comes_in(|url, redirect| python("2026-07-28", url, redirect));
}

#[test]
fn a_person_signs_in_where_the_business_does() {
    let (identity, github) = (Identity::start(), Provider::github(repository));
    let product = product(&identity, &github);
    let server = product.serve_with(&[("RUST_LOG", "trace")]);
    let mut chromium = Chromium::start();
    let text = chromium.read(&json!({"open": server.at("/connect/github")}), "identity-sign-in");
    assert!(text.contains("You sign in where your business does"), "{text}");
    chromium.step(&json!({"click": "main form button"}));
    let ended = consent(&mut chromium, None, "alice@acme");
    assert_eq!(ended["url"], server.at("/connect"), "{ended}");
    let text = chromium.read(&json!({"open": server.at("/connect/github")}), "identity-signed-in");
    assert!(text.contains("octocat") && text.contains("Connected"), "{text}");
    // Nobody of a tenant that is none of ours.
    let mut chromium = Chromium::start();
    chromium.step(&json!({"open": server.at("/sign-in")}));
    chromium.step(&json!({"click": "main form button"}));
    let ended = consent(&mut chromium, None, "mallory@elsewhere");
    let text = ended["text"].as_str().unwrap();
    assert!(text.contains("resto tenant create elsewhere"), "{text}");
    let said = server.process.said();
    assert!(!said.contains("id_token") && !said.contains("eyJ"), "{said}");
}

#[test]
fn a_way_back_from_there_works_once_and_in_the_browser_that_was_sent() {
    let (identity, github) = (Identity::start(), Provider::github(repository));
    let product = product(&identity, &github);
    let server = product.serve();
    let browser = Browser::new(&server);
    // Sent by nobody, and with a state that is none.
    for query in [vec![], vec![("code", "x")], vec![("code", "x"), ("state", "y")]] {
        let back = browser.get(&format!("/sign-in/callback?{}", form(&query)));
        assert_eq!(back.status(), 403, "{back:?}");
        assert!(back.body.contains("not one that you were sent on"), "{back:?}");
    }
    let begin = || {
        let own = [("sec-fetch-site", "same-origin")];
        let sent = browser.send("POST", "/sign-in/start", &own, "");
        let cookie = sent.header("set-cookie").unwrap().to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        let state = sent.body.split("state=").nth(1).unwrap().split("&amp;").next().unwrap();
        (cookie.split(';').next().unwrap().to_owned(), state.to_owned())
    };
    let back = |cookie: &str, query: &[(&str, &str)]| {
        let mut browser = Browser::new(&server);
        browser.cookie = (!cookie.is_empty()).then(|| cookie.to_owned());
        browser.get(&format!("/sign-in/callback?{}", form(query)))
    };
    let iss = identity.url.as_str();
    for (cookie, words) in [("", "Another browser"), ("resto-sign-in=x", "Another browser")] {
        let (own, state) = begin();
        let query = [("code", "x"), ("state", &state as &str), ("iss", iss)];
        let refused = back(cookie, &query);
        assert_eq!(refused.status(), 403, "{refused:?}");
        assert!(refused.body.contains(words), "{refused:?}");
        // It is used up, for whom it was meant too.
        assert!(back(&own, &query).body.contains("was used before"));
    }
    for (more, words) in [
        (vec![("code", "x")], "not from the identity provider"),
        (vec![("code", "x"), ("iss", "https://evil.example")], "not from the identity provider"),
        (vec![("error", "access_denied"), ("iss", iss)], "let nobody in: access_denied"),
        (vec![("iss", iss)], "sent no code"),
        (vec![("code", "x"), ("iss", iss)], "invalid_grant"),
    ] {
        let (own, state) = begin();
        let refused = back(&own, &[&[("state", &state as &str)], &more[..]].concat());
        assert!(refused.status() >= 400 && refused.body.contains(words), "{words}: {refused:?}");
        assert!(refused.header("set-cookie").is_none(), "{refused:?}");
    }
    let (own, state) = begin();
    product.sql("UPDATE records SET expires_at = 1 WHERE collection = 'identity.state'");
    let late = back(&own, &[("code", "x"), ("state", &state), ("iss", iss)]);
    assert!(late.body.contains("older than 10 minutes"), "{late:?}");
    let foreign = browser.send("POST", "/sign-in/start", &[("sec-fetch-site", "cross-site")], "");
    assert_eq!(foreign.status(), 403, "{foreign:?}");
}
