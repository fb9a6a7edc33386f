//! A credential goes to its provider and nowhere else: not into outputs, logs, files or answers, in any encoding.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::clients::{Era, Python, Way};
use crate::process::Finished;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::wire::Message;

/// Holds characters that every encoding writes in another way.
const KEY: &str = "github_pat_canary+7/of?the\"tests&long=enough%to<be>found";
const VALUE: &str = "the-canary/value+of&a\"workflow=secret%that<nobody>shows";

/// The ways in which a secret could show.
struct Canary(Vec<(&'static str, Vec<u8>)>);

impl Canary {
    fn new(secret: &str) -> Self {
        let middle = &secret[8..secret.len() - 8];
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let url: String = middle.bytes().map(escaped).collect();
        let json = serde_json::to_string(middle).unwrap();
        let mut ways = vec![
            ("raw", middle.as_bytes().to_vec()),
            ("JSON", json.trim_matches('"').as_bytes().to_vec()),
            ("HTML", middle.replace('&', "&amp;").replace('<', "&lt;").into_bytes()),
            ("URL", url.to_lowercase().into_bytes()),
            ("URL", url.into_bytes()),
            ("hexadecimal", hex.to_uppercase().into_bytes()),
            ("hexadecimal", hex.into_bytes()),
        ];
        // What stands before it shifts base64 by none, one or two bytes.
        for shift in 0..3 {
            let shifted = [&b"\0\0"[..shift], secret.as_bytes()].concat();
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(&shifted);
                ways.push(("base64", text.as_bytes()[8..text.len() - 8].to_vec()));
            }
        }
        Self(ways)
    }

    /// Fails if the secret is in `place`.
    #[track_caller]
    fn is_not_in(&self, place: &str, bytes: &[u8]) {
        for (way, form) in &self.0 {
            let found = bytes.windows(form.len()).any(|window| window == form);
            assert!(
                !found,
                "the secret is in {place}, as {way}: {}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// A GitHub that repeats the credential wherever it can, and takes workflow secrets.
fn parrot(request: &Message) -> Reply {
    let key = request.header("authorization").unwrap_or_default();
    let (_, name) = request.what().rsplit_once('/').unwrap();
    let (status, mut body) = match (request.what(), name) {
        ("GET /user", _) => {
            let login = format!("octocat with {key}");
            (200, json!({"id": 1, "login": login, "type": "User", "html_url": "u"}))
        }
        (_, "public-key") => (
            200,
            json!({"key_id": "1", "key": base64::engine::general_purpose::STANDARD.encode([9; 32])}),
        ),
        (_, "hello-world") => (
            200,
            json!({"full_name": "octocat/hello-world", "private": false, "default_branch": "main", "html_url": "u",
                "description": key.replace("canary", "can\u{200b}ary")}),
        ),
        (put, _) if put.starts_with("PUT") => (201, json!({})),
        (_, "told") => (404, json!({"message": format!("No access with {key}")})),
        _ => (404, json!({"message": "Not Found"})),
    };
    // Fields that no output lists.
    body["your_token"] = key.into();
    body["token"] = json!({"value": key});
    Reply(
        status,
        vec![("content-type", "application/json".into()), ("x-your-token", key.to_owned())],
        body.to_string(),
    )
}

/// The product with the canary's account connected, and every word that it says watched.
struct Watched {
    provider: Provider,
    product: Product,
    key: Canary,
    value: Canary,
}

impl Watched {
    fn start() -> Self {
        let provider = Provider::start(parrot);
        let product = Product::at(&provider.url);
        let watched = Self { provider, product, key: Canary::new(KEY), value: Canary::new(VALUE) };
        let connected = watched.run(&["connect", "github", "--key-stdin"], KEY);
        assert!(connected.status.success(), "{connected:?}");
        watched
    }

    fn run(&self, arguments: &[&str], input: &str) -> Finished {
        let mut command = self.product.command(arguments);
        let finished = crate::process::run(command.env("RUST_LOG", "trace"), input);
        self.is_not_in(&format!("the output of {arguments:?}"), &finished.stdout);
        self.is_not_in(&format!("the log of {arguments:?}"), &finished.stderr);
        finished
    }

    #[track_caller]
    fn is_not_in(&self, place: &str, text: &str) {
        self.key.is_not_in(place, text.as_bytes());
        self.value.is_not_in(place, text.as_bytes());
    }

    /// Fails if a file of the installation holds a secret; returns how many files there were.
    fn look_into_files(&self) -> usize {
        let mut files = 0;
        look_into(&self.product.path(""), &mut |file, bytes| {
            files += 1;
            self.key.is_not_in(&file.display().to_string(), bytes);
            self.value.is_not_in(&file.display().to_string(), bytes);
        });
        files
    }

    fn serve(&self) -> Server<'_> {
        self.product.serve_with(&[("RUST_LOG", "trace")])
    }
}

fn look_into(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { look_into(&path, look) } else { look(&path, &fs::read(&path).unwrap()) }
    }
}

const READ: &str = "github_get_repository";

#[test]
fn a_credential_is_in_no_output_log_or_file() {
    let watched = Watched::start();
    let call = |arguments: &str| watched.run(&["call", READ, arguments], "");
    assert!(call(r#"{"owner": "octocat", "repo": "hello-world"}"#).status.success());
    assert!(!call(r#"{"owner": "octocat", "repo": "nowhere"}"#).status.success());
    let server = watched.serve();
    for command in [
        &["connections"][..],
        &["connections", "--json"],
        &["tools", "--json"],
        &["token", "list", "--json"],
        &["keys", "status", "--json"],
        &["keys", "rotate"],
        &["doctor"],
        &["audit"],
        &["audit", "--json"],
        &["audit", "--verify", "--json"],
    ] {
        let finished = watched.run(command, "");
        assert!(finished.status.success(), "{finished:?}");
    }
    // The log is on: it remarks on a database that is not right.
    watched.product.sql("ALTER TABLE access_tokens RENAME TO hidden");
    let logged = watched.run(&["token", "list"], "");
    assert!(logged.stderr.contains("DEBUG resto_vault"), "{logged:?}");
    watched.product.sql("ALTER TABLE hidden RENAME TO access_tokens");
    let mut agent = Python::connect(Era::Modern, Way::Http(&server));
    watched.is_not_in("the list of tools", &format!("{:?}", agent.tools()));
    for repo in ["hello-world", "nowhere"] {
        let answer = agent.call(READ, &json!({"owner": "octocat", "repo": repo}));
        watched.is_not_in("an answer", &format!("{answer:?}"));
    }
    // While the server runs, the database's log is there too.
    assert!(watched.product.path("data/resto.db-wal").exists());
    assert!(watched.look_into_files() >= 4);
    assert!(watched.run(&["disconnect", "github"], "").status.success());
    watched.look_into_files();
    watched.is_not_in("the server's log", &server.process.said());
    let signed = format!("Bearer {KEY}");
    assert!(
        watched
            .provider
            .requests()
            .iter()
            .all(|request| { request.header("authorization") == Some(&signed) })
    );
}

#[test]
fn the_value_of_a_workflow_secret_is_in_no_output_log_or_file() {
    let watched = Watched::start();
    let arguments = json!({"owner": "octocat", "repo": "hello-world", "name": "DEPLOY_KEY", "from": "deploy_key"});
    let set = watched.run(
        &["call", "github_set_workflow_secret", &arguments.to_string(), "--secret-stdin"],
        VALUE,
    );
    assert!(set.status.success(), "{set:?}");
    // It is known by its name now, and an agent uses it by that.
    let server = watched.serve();
    let answer = server.call(&[], "github_set_workflow_secret", &arguments);
    assert_eq!(answer.json()["result"]["isError"], false, "{answer:?}");
    watched.is_not_in("an answer", &answer.body);
    watched.look_into_files();
    watched.is_not_in("the server's log", &server.process.said());
    watched.run(&["audit", "--json"], "");
    assert_eq!(
        watched.run(&["secret", "list", "--json"], "").stdout.trim(),
        "[\n  \"deploy_key\"\n]"
    );
    // Another value takes its place only where a person says so.
    let call = ["call", "github_set_workflow_secret", &arguments.to_string(), "--secret-stdin"];
    assert!(watched.run(&call, "another value").status.success());
    assert!(watched.run(&["secret", "delete", "deploy_key"], "").status.success());
    let gone = server.call(&[], "github_set_workflow_secret", &arguments);
    assert!(gone.body.contains("action_required"), "{gone:?}");
    let again = watched.run(&["secret", "delete", "deploy_key"], "");
    assert!(again.stderr.contains("resto secret list"), "{again:?}");
    let sent = watched.provider.requests();
    let put: Vec<_> = sent.iter().filter(|request| request.first.starts_with("PUT")).collect();
    assert_eq!(put.len(), 3);
    let length = |request: &&Message| request.json()["encrypted_value"].as_str().unwrap().len();
    assert_ne!(length(&put[2]), length(&put[1]), "the new value is another one");
    for request in sent {
        watched.value.is_not_in("a request", format!("{request:?}").as_bytes());
    }
}

#[test]
fn a_credential_that_the_provider_repeats_is_not_passed_on() {
    let watched = Watched::start();
    let arguments = json!({"owner": "octocat", "repo": "told"});
    let server = watched.serve();
    let answer = server.call(&[], READ, &arguments);
    assert!(answer.body.contains("No access with"), "{answer:?}");
    watched.is_not_in("an answer", &answer.body);
    watched.is_not_in("an answer", &answer.json()["result"]["content"][0]["text"].to_string());
    let called = watched.run(&["call", READ, &arguments.to_string()], "");
    assert!(called.stderr.contains("No access with"), "{called:?}");
    let trail = watched.run(&["audit", "--json"], "");
    assert!(trail.stdout.contains("No access with"), "{trail:?}");
    watched.look_into_files();
}
