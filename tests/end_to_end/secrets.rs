//! A credential goes to its provider and nowhere else: not into outputs, logs, files or answers, in any encoding.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use memchr::memmem;
use serde_json::json;

use crate::canary::Canary;
use crate::clients::{Era, Python, Way};
use crate::postgres::Database;
use crate::process::{Finished, run};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::wire::Message;

/// Holds characters that every encoding writes in another way.
const KEY: &str = "github_pat_canary+7/of?the\"tests&long=enough%to<be>found";
const VALUE: &str = "the-canary/value+of&a\"workflow=secret%that<nobody>shows";

/// What is told to everybody, and found where secrets are looked for.
const NO_SECRET: &str = "Not found by the octocat of the canaries";

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
        _ => (404, json!({"message": NO_SECRET})),
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
    /// Where its data is not a file.
    database: Option<Database>,
    key: Canary,
    value: Canary,
}

impl Watched {
    /// Tells the story on SQLite, and on PostgreSQL.
    fn on_both(story: fn(&Self)) {
        story(&Self::start(None));
        if let Some(database) = Database::new() {
            story(&Self::start(Some(database)));
        }
    }

    fn start(database: Option<Database>) -> Self {
        let provider = Provider::start(parrot);
        let product = match &database {
            Some(database) => database.migrated(&provider),
            None => Product::at(&provider.url),
        };
        let (key, value) = (Canary::new(KEY), Canary::new(VALUE));
        let watched = Self { provider, product, database, key, value };
        let connected = watched.run(&["connect", "github", "--key-stdin"], KEY);
        assert!(connected.status.success(), "{connected:?}");
        // Leaves what is no secret in the trail.
        watched.run(&["call", READ, r#"{"owner": "octocat", "repo": "nowhere"}"#], "");
        watched
    }

    fn run(&self, arguments: &[&str], input: &str) -> Finished {
        let mut command = self.product.command(arguments);
        let finished = run(command.env("RUST_LOG", "trace"), input);
        self.is_not_in(&format!("the output of {arguments:?}"), &finished.stdout);
        self.is_not_in(&format!("the log of {arguments:?}"), &finished.stderr);
        finished
    }

    #[track_caller]
    fn is_not_in(&self, place: &str, text: &str) {
        self.key.is_not_in(place, text.as_bytes());
        self.value.is_not_in(place, text.as_bytes());
    }

    /// Carries out a statement behind the product's back.
    fn sql(&self, statement: &str) {
        match &self.database {
            Some(database) => database.sql(statement),
            None => self.product.sql(statement),
        };
    }

    /// Fails if a backup or a file of the database server holds a secret.
    fn look_into_the_server(&self, database: &Database) {
        let dump = database.dump();
        assert!(dump.contains("COPY public.integration_credentials"), "this is no dump");
        self.is_not_in("the dump", &dump);
        // What is no secret is found: in the tables, and in the log of their changes.
        let found = database.files_with(&[NO_SECRET.as_bytes()]);
        assert!(found.iter().any(|file| file.starts_with("base/")), "{found:?}");
        assert!(found.iter().any(|file| file.starts_with("pg_wal/")), "{found:?}");
        let forms: Vec<&[u8]> = self.key.forms().chain(self.value.forms()).collect();
        assert_eq!(database.files_with(&forms), Vec::<String>::new());
    }

    /// Fails if a file of the installation holds a secret.
    fn look_into_files(&self) {
        if let Some(database) = &self.database {
            self.look_into_the_server(database);
        }
        let mut known = false;
        look_into(&self.product.path(""), &mut |file, bytes| {
            known |= memmem::find(bytes, NO_SECRET.as_bytes()).is_some();
            self.key.is_not_in(&file.display().to_string(), bytes);
            self.value.is_not_in(&file.display().to_string(), bytes);
        });
        assert!(known || self.database.is_some(), "what is no secret is in the database's files");
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
fn b3_a_credential_is_in_no_output_log_file_or_dump() {
    Watched::on_both(story);
}

fn story(watched: &Watched) {
    let call = |arguments: &str| watched.run(&["call", READ, arguments], "");
    assert!(call(r#"{"owner": "octocat", "repo": "hello-world"}"#).status.success());
    for failing in ["nowhere", "told"] {
        assert!(!call(&json!({"owner": "octocat", "repo": failing}).to_string()).status.success());
    }
    let secret = json!({"owner": "octocat", "repo": "hello-world", "name": "DEPLOY_KEY", "from": "deploy_key"});
    let secret = secret.to_string();
    let set = ["call", "github_set_workflow_secret", &secret, "--secret-stdin"];
    assert!(watched.run(&set, VALUE).status.success());
    // A key that the command line should not have been given.
    assert!(!watched.run(&["connect", "github", KEY], "").status.success());
    let mut server = watched.serve();
    for command in [
        &["connections"][..],
        &["connections", "--json"],
        &["tools", "--json"],
        &["token", "list", "--json"],
        &["secret", "list", "--json"],
        &["keys", "status", "--json"],
        &["keys", "rotate"],
        &["keys", "rewrap"],
        &["doctor"],
        &["audit"],
        &["audit", "--json"],
        &["audit", "--verify", "--json"],
    ] {
        let finished = watched.run(command, "");
        assert!(finished.status.success(), "{finished:?}");
    }
    // The log is on: it remarks on a database that is not right.
    watched.sql("ALTER TABLE access_tokens RENAME TO hidden");
    let logged = watched.run(&["token", "list"], "");
    assert!(logged.stderr.contains("DEBUG resto_vault"), "{logged:?}");
    watched.sql("ALTER TABLE hidden RENAME TO access_tokens");
    let mut agent = Python::connect(Era::Modern, Way::Http(&server));
    watched.is_not_in("the list of tools", &format!("{:?}", agent.tools()));
    for repo in ["hello-world", "nowhere", "told"] {
        let answer = agent.call(READ, &json!({"owner": "octocat", "repo": repo}));
        watched.is_not_in("an answer", &format!("{answer:?}"));
    }
    // While the server runs, the database's log is there too.
    let logged = watched.product.path("data/resto.db-wal").exists();
    assert_eq!(logged, watched.database.is_none());
    watched.look_into_files();
    // It crashes: neither its last words nor a file that it leaves tell more.
    let killed = run(Command::new("kill").args(["-ABRT", &server.process.id().to_string()]), "");
    assert!(killed.status.success(), "{killed:?}");
    assert!(!server.process.wait().success());
    watched.is_not_in("the server's log", &server.process.said());
    watched.look_into_files();
    assert!(watched.run(&["disconnect", "github"], "").status.success());
    watched.look_into_files();
    let signed = format!("Bearer {KEY}");
    let sent = watched.provider.requests();
    assert!(sent.iter().all(|request| request.header("authorization") == Some(&signed)));
}

#[test]
fn the_value_of_a_workflow_secret_is_in_no_output_log_or_file() {
    Watched::on_both(|watched| {
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
        // Another call: the same one again would be answered from the record of the first.
        let mut other = arguments.clone();
        other["name"] = "OTHER_KEY".into();
        let gone = server.call(&[], "github_set_workflow_secret", &other);
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
    });
}

#[test]
fn a_credential_that_the_provider_repeats_is_not_passed_on() {
    Watched::on_both(|watched| {
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
    });
}

#[test]
fn d5_known_secrets_of_others_are_in_no_result_error_preview_or_trail() {
    let token = ["ghp", "_"].concat() + &"aZ3bY4cX5dW6eV7f".repeat(3);
    let told = token.clone();
    let provider = Provider::github(move |request| match request.what() {
        "GET /repos/octocat/hello-world" => Reply::json(
            200,
            &json!({"full_name": "octocat/hello-world", "private": false, "default_branch": "main", "html_url": "u",
                "description": format!("Deploys with {told} today")}),
        ),
        _ => Reply::json(404, &json!({"message": format!("No access with {told}")})),
    });
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let server = product.serve();
    let repository = |name: &str| json!({"owner": "octocat", "repo": name});
    let issue =
        json!({"owner": "octocat", "repo": "hello-world", "title": format!("Is {token} known?")});
    let preview = json!({"action": "github_create_issue", "arguments": issue});
    for (tool, arguments, words) in [
        (READ, repository("hello-world"), "Deploys with [secret: GitHub token] today"),
        (READ, repository("other"), "No access with [secret: GitHub token]"),
        ("preview_action", preview, "Is [secret: GitHub token] known?"),
    ] {
        let answer = server.call(&[], tool, &arguments);
        assert!(answer.body.contains(words), "{answer:?}");
        assert!(!answer.body.contains(&token[..20]), "{answer:?}");
    }
    let trail = product.must(&["audit", "--json"], "").stdout;
    assert!(trail.contains("No access with [secret: GitHub token]"), "{trail}");
    assert!(!trail.contains(&token[..20]), "{trail}");
}
