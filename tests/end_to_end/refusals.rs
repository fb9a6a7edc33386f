//! What is wrong is told in one sentence that says what to do, and harms nothing.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::process::Finished;
use crate::product::Product;
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const KEY: &str = "github_pat_of_a_test";
const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

/// Holds a command's refusal to its form: one sentence with these words, code 1, no key and no debris.
#[track_caller]
fn refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stdout, "", "{finished:?}");
    let told: Vec<&str> = finished.stderr.lines().collect();
    let (sentence, before) = told.split_last().expect("a sentence");
    let sentence = sentence.strip_prefix("error: ").unwrap_or_else(|| panic!("{finished:?}"));
    assert!(!before.iter().any(|line| line.starts_with("error")), "{finished:?}");
    assert!(sentence.len() < 500 && !sentence.contains("  "), "{sentence}");
    assert!(sentence.ends_with(['.', ')']) || sentence.contains(": "), "{sentence}");
    for word in words {
        assert!(sentence.contains(word), "no `{word}` in: {sentence}");
    }
    for debris in ["panicked", "Some(", "None", "Error {", "::", KEY] {
        assert!(!finished.stderr.contains(debris), "{finished:?}");
    }
}

/// A product whose account was connected, to a provider that answers other requests than for the account so.
fn connected(reply: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> (Provider, Product) {
    let provider = Provider::github(reply);
    let product = Product::connected(&provider.url, KEY);
    (provider, product)
}

/// Reads a repository from a provider that answers so, and is told why not; the connection outlives it.
#[track_caller]
fn refused_by(reply: impl Fn() -> Reply + Send + Sync + 'static, words: &[&str]) {
    let (_provider, product) = connected(move |request| {
        if request.what().ends_with("/hello-world") { reply() } else { repository(request) }
    });
    refused(&product.run(&READ, ""), words);
    let other = r#"{"owner": "octocat", "repo": "other"}"#;
    product.must(&["call", "github_get_repository", other], "");
}

fn message(status: u16, headers: &[(&'static str, &str)], message: &str) -> Reply {
    let Reply(status, mut all, body) = Reply::json(status, &json!({"message": message}));
    all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Reply(status, all, body)
}

#[test]
fn a_key_of_another_form_is_refused_before_it_is_sent() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    for (key, why) in
        [("github_pat_with a_space", "spaces"), ("sk_of_somebody_else", "github_pat_")]
    {
        let finished = product.run(&["connect", "github", "--key-stdin"], key);
        refused(&finished, &[why, "https://github.com/settings/personal-access-tokens/new"]);
        assert!(!finished.stderr.contains(key), "{finished:?}");
    }
    let nothing = product.run(&["connect", "github", "--key-stdin"], "");
    refused(&nothing, &["No value was given. Nothing was done."]);
    let two = product.run(&["connect", "github", "--key-stdin"], &format!("{KEY}\n{KEY}\n"));
    refused(&two, &["more lines than the key's 1"]);
    assert_eq!(provider.count(), 0);
    product.must(&["connect", "github", "--key-stdin"], &format!("{KEY}\n\n"));
}

#[test]
fn a_refused_key_does_not_replace_the_one_that_works() {
    let provider = Provider::start(|request| {
        if request.header("authorization") == Some(&format!("Bearer {KEY}")) {
            return match request.what() {
                "GET /user" => Reply::json(
                    200,
                    &json!({"id": 1, "login": "octocat", "type": "User", "html_url": "https://github.com/octocat"}),
                ),
                _ => repository(request),
            };
        }
        message(401, &[], "Bad credentials")
    });
    let product = Product::connected(&provider.url, KEY);
    let wrong = product.run(&["connect", "github", "--key-stdin"], "github_pat_mistyped");
    refused(&wrong, &["GitHub refused the credential", "Bad credentials"]);
    product.must(&READ, "");
}

#[test]
fn wrong_arguments_are_named() {
    let (provider, product) = connected(repository);
    let before = provider.count();
    let call = |arguments: &str| product.run(&["call", READ[1], arguments], "");
    refused(&call("{owner}"), &["are not JSON", "They look like"]);
    refused(&call(r#"["octocat"]"#), &["invalid input"]);
    refused(&call(r#"{"owner": "octocat"}"#), &["`repo` is missing", "takes: owner, repo"]);
    refused(&call(r#"{"owner": "octocat", "rope": "x"}"#), &["unknown field `rope`"]);
    refused(&call(r#"{"owner": "octocat", "repo": 7}"#), &["`repo`", "string"]);
    refused(&call(r#"{"owner": "octocat", "repo": ".."}"#), &["`..`", "Nothing was sent"]);
    refused(&product.run(&["call", "github_get_repo"], ""), &["github_get_repository"]);
    refused(&product.run(&["connect", "gitlab"], ""), &["no integration `gitlab`", "github"]);
    assert_eq!(provider.count(), before);
    product.must(&READ, "");
}

#[test]
fn a_name_that_cannot_be_read_is_not_confirmed() {
    let (provider, product) = connected(repository);
    let before = provider.count();
    for repo in [r"x\u202ey", r"x\u001b[2Ky", r"x\ny"] {
        let arguments = format!(r#"{{"owner": "octocat", "repo": "{repo}"}}"#);
        let finished = product.run(&["call", "github_delete_repository", &arguments], "");
        refused(&finished, &["cannot be seen", "Nothing was done"]);
    }
    // Only what the credential may do was asked, as before everything that cannot be undone.
    let asked = provider.requests().split_off(before);
    assert!(asked.iter().all(|request| request.what() == "GET /user"), "{asked:?}");
}

#[test]
fn a_key_on_the_command_line_is_not_repeated() {
    let product = Product::at("http://127.0.0.1:9");
    let finished = product.run(&["connect", "github", KEY], "");
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("--key-stdin"), "{finished:?}");
    assert!(!format!("{finished:?}").contains(KEY), "{finished:?}");
}

#[test]
fn a_wrong_command_line_is_answered_with_the_usage() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    for arguments in [
        &[][..],
        &["conect"],
        &["call"],
        &["serve", "--port", "1"],
        &["serve", "--bind", "nowhere"],
    ] {
        let finished = product.run(arguments, "");
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        assert!(
            finished.stderr.contains("--help") || finished.stderr.contains("Usage"),
            "{finished:?}"
        );
    }
}

#[test]
fn agents_are_told_what_is_wrong_in_the_protocols_own_way() {
    let (provider, product) = connected(repository);
    let server = product.serve();
    let before = provider.count();
    let unknown = server.call(&[], "github_get_repo", &json!({})).json();
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert!(unknown["error"]["message"].as_str().unwrap().contains("github_get_repo"), "{unknown}");
    let told = |name: &str, arguments: Value| -> Value {
        let result = server.call(&[], name, &arguments).json()["result"].clone();
        assert_eq!(result["isError"], true, "{result}");
        // Clients hold structured content against the schema of success.
        assert!(result.get("structuredContent").is_none(), "{result}");
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    };
    let missing = told(READ[1], json!({"owner": "octocat"}));
    assert_eq!((&missing["code"], &missing["field"]), (&json!("invalid_input"), &json!("repo")));
    let unknown = told(READ[1], json!({"owner": "octocat", "repo": "r", "stat": 1}));
    assert!(unknown["message"].as_str().unwrap().contains("unknown field `stat`"), "{unknown}");
    assert_eq!(provider.count(), before);
    product.must(&["disconnect", "github"], "");
    let before = provider.count();
    let missing = told(READ[1], json!({"owner": "octocat", "repo": "r"}));
    assert_eq!(missing["code"], "not_connected");
    assert!(missing["message"].as_str().unwrap().contains("resto connect github"), "{missing}");
    assert_eq!(provider.count(), before);
}

#[test]
fn what_is_not_connected_says_how_to_connect_it() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    refused(&product.run(&READ, ""), &["GitHub is not connected", "resto connect github"]);
    refused(&product.run(&["disconnect", "github"], ""), &["not connected"]);
    refused(&product.run(&["--tenant", "acme", "connections"], ""), &["resto tenant create acme"]);
    assert_eq!(provider.count(), 0);
    product.must(&["connect", "github", "--key-stdin"], KEY);
    product.must(&READ, "");
}

#[test]
fn a_missing_right_is_named() {
    refused_by(
        || {
            let needed = [("x-accepted-github-permissions", "contents=read")];
            message(403, &needed, "Resource not accessible by personal access token")
        },
        &["GitHub refused permission", "contents:read", "settings/personal-access-tokens"],
    );
}

#[test]
fn a_refused_credential_says_to_reconnect() {
    refused_by(|| message(401, &[], "Bad credentials"), &["GitHub refused", "Reconnect"]);
}

#[test]
fn a_used_up_quota_says_when_to_come_back() {
    let limit = "You have exceeded a secondary rate limit";
    let (provider, product) = connected(move |_| message(429, &[("retry-after", "90")], limit));
    refused(&product.run(&READ, ""), &["GitHub limits the rate", "Try again in 90 seconds"]);
    let asked = provider.count();
    refused(&product.run(&READ, ""), &["GitHub has asked for a pause", "Come back in"]);
    assert_eq!(provider.count(), asked);
}

#[test]
fn an_answer_that_makes_no_sense_is_told_so() {
    let html = || Reply(200, vec![("content-type", "text/html".into())], "<html>Sign in".into());
    refused_by(html, &["GitHub sent an answer that is not JSON", "Try again later"]);
    refused_by(|| Reply::json(200, &json!({"id": 1})), &["GitHub", "Try again later"]);
    let garbage = || Reply(502, vec![("content-type", "text/html".into())], "<h1>Bad".into());
    refused_by(garbage, &["GitHub has a fault (HTTP 502)", "Try again later"]);
}

#[test]
fn a_provider_that_is_away_is_told_from_a_wrong_key() {
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let product = Product::at(&format!("http://127.0.0.1:{port}"));
    let finished = product.run(&["connect", "github", "--key-stdin"], KEY);
    refused(&finished, &["GitHub", "Try again later"]);
    assert_eq!(product.json(&["connections", "--json"]), json!([]));
}

#[test]
fn a_credential_is_not_sent_to_another_address_than_it_is_for() {
    let (_provider, product) = connected(repository);
    let thief = Provider::github(repository);
    product.configure(&format!("[integrations.github]\nbase_url = \"{}\"\n", thief.url));
    refused(&product.run(&READ, ""), &["The GitHub credential is for", "Reconnect"]);
    assert_eq!(thief.count(), 0);
}

#[test]
fn a_taken_port_names_another_way() {
    let (_provider, product) = connected(repository);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = product.run(&["serve", "--bind", &address], "");
    refused(&finished, &[&address, "is taken by another program", "--bind"]);
    product.serve();
}

#[test]
fn a_key_file_that_is_not_safe_is_refused() {
    let (_provider, product) = connected(repository);
    let key = product.path("root.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    refused(&product.run(&READ, ""), &["root.key can be used by others", "0600"]);
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let elsewhere = product.path("elsewhere.key");
    fs::rename(&key, &elsewhere).unwrap();
    symlink(&elsewhere, &key).unwrap();
    refused(&product.run(&READ, ""), &["root.key is a symbolic link", "Name the file itself"]);
    fs::remove_file(&key).unwrap();

    refused(&product.run(&READ, ""), &["root.key", "is missing", "Bring it back"]);
    assert!(!key.exists());

    let inside = product.path("data/root.key");
    fs::copy(&elsewhere, &inside).unwrap();
    let named = |file: &std::path::Path| {
        let mut command = product.command(&READ);
        crate::process::run(command.env("RESTO_KEY_FILE", file), "")
    };
    refused(&named(&inside), &["is inside the data folder", "Keep it elsewhere"]);
    fs::remove_file(&inside).unwrap();

    fs::write(&key, "too short").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    refused(&product.run(&READ, ""), &["root.key is not one line of base64"]);
    assert!(named(&elsewhere).status.success());
}

#[test]
fn a_new_key_file_is_not_made_in_the_data_folder() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    let top = product.path("");
    for key in ["data/root.key", "./data/root.key", "other/../data/root.key"] {
        let mut command = product.command(&["connections"]);
        command.current_dir(&top).env("RESTO_KEY_FILE", key).env("RESTO_DATA_DIR", "data");
        refused(&crate::process::run(&mut command, ""), &["data folder", "Keep it elsewhere"]);
        assert!(!product.path("data/root.key").exists(), "{key}");
    }
    product.must(&["connections"], "");
}

#[test]
fn a_key_file_beside_its_database_is_refused_wherever_the_database_is() {
    let (_provider, product) = connected(repository);
    let beside = product.path("elsewhere/root.key");
    let mut command = product.command(&["connections"]);
    command.env("RESTO_KEY_FILE", &beside).env(
        "RESTO_DATABASE_URL",
        format!("sqlite://{}", product.path("elsewhere/resto.db").display()),
    );
    let finished = crate::process::run(&mut command, "");
    refused(&finished, &["is inside the data folder", "Keep it elsewhere"]);
    assert!(!beside.exists());
    let finished = crate::process::run(command.env("RESTO_KEY_FILE", product.path("own.key")), "");
    assert!(finished.status.success(), "{finished:?}");
}

#[test]
fn the_key_of_another_database_is_refused() {
    let (_provider, product) = connected(repository);
    let (_, other) = connected(repository);
    let (key, kept) = (product.path("root.key"), product.path("kept.key"));
    fs::rename(&key, &kept).unwrap();
    fs::copy(other.path("root.key"), &key).unwrap();
    refused(
        &product.run(&READ, ""),
        &["another", "Use the root key that belongs to this database"],
    );
    fs::rename(&kept, &key).unwrap();
    product.must(&READ, "");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let (_provider, product) = connected(repository);
    product.sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    );
    refused(&product.run(&READ, ""), &["newer version", "Run that version"]);
    product.sql("DELETE FROM _sqlx_migrations WHERE version = 9999");
    product.must(&READ, "");
}

#[test]
fn a_wrong_configuration_is_told_with_its_line() {
    let (provider, product) = connected(repository);
    let right = fs::read_to_string(product.path("config.toml")).unwrap();
    let address = |url: &str| format!("[integrations.github]\nbase_url = \"{url}\"\n");
    for (config, words) in [
        ("bind = \n".to_owned(), &["config.toml is not right (line 1)"][..]),
        ("cipher = \"rot13\"\n".to_owned(), &["line 1", "rot13"]),
        ("\nlisten = 1\n".to_owned(), &["line 2", "`listen`"]),
        ("[integrations.gitlab]\n".to_owned(), &["`gitlab`"]),
        (address("http://github.example"), &["integrations.github.base_url", "https"]),
        (address("https://name:word@github.example"), &["must not hold a user name"]),
        (address("not an address"), &["integrations.github.base_url"]),
    ] {
        product.configure(&config);
        let finished = product.run(&READ, "");
        refused(&finished, words);
        assert!(!finished.stderr.contains("name:word"), "{finished:?}");
    }
    fs::remove_file(product.path("config.toml")).unwrap();
    refused(&product.run(&READ, ""), &["config.toml cannot be read"]);
    assert_eq!(provider.count(), 1);
    product.configure(&right);
    product.must(&READ, "");
}
