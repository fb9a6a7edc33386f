//! Before what is dangerous the provider is asked what the credential may do now; what it lacks, a person is offered to
//! grant.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::browser::{Browser, between};
use crate::oauth::product;
use crate::product::Product;
use crate::provider::{Provider, Reply};

const CREATE: [&str; 3] =
    ["call", "github_create_issue", r#"{"owner": "octocat", "repo": "hello-world", "title": "x"}"#];

/// Whose account it is, and the scopes of its token.
type Told = Arc<Mutex<(u64, &'static str)>>;

fn github() -> (Provider, Told) {
    let told = Told::new(Mutex::new((1, "repo")));
    let tells = Arc::clone(&told);
    let provider = Provider::start(move |request| {
        let (id, scopes) = *tells.lock().unwrap();
        match request.what() {
            "GET /user" => {
                let body = json!({"id": id, "login": "octocat", "type": "User", "html_url": "u"});
                let json = ("content-type", "application/json".to_owned());
                Reply(200, vec![json, ("x-oauth-scopes", scopes.to_owned())], body.to_string())
            }
            _ => Reply::json(
                201,
                &json!({
                    "number": 7, "title": "x", "state": "open", "user": {"login": "octocat"}, "comments": 0, "html_url": "u",
                    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
                }),
            ),
        }
    });
    (provider, told)
}

fn changes(provider: &Provider) -> usize {
    provider.requests().iter().filter(|request| !request.first.starts_with("GET")).count()
}

#[test]
fn a6_a_right_that_is_withdrawn_between_two_calls_is_missed_before_the_second() {
    let (provider, told) = github();
    let product = Product::connected(&provider.url, "ghp_of_a_test");
    product.must(&CREATE, "");
    assert_eq!(changes(&provider), 1);
    told.lock().unwrap().1 = "gist";
    let refused = product.run(&[&CREATE[..], &["--json"]].concat(), "");
    assert_eq!((refused.status.code(), changes(&provider)), (Some(1), 1), "{refused:?}");
    let error: Value = serde_json::from_str(refused.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["code"], "permission_denied", "{error}");
    let url = error["url"].as_str().unwrap();
    assert!(
        url.contains("/connect/github?request=") && url.ends_with("&for=github_create_issue"),
        "{url}"
    );
    let doctor = product.run(&["doctor"], "").stdout;
    assert!(doctor.contains("permissions_changed github"), "{doctor}");
    // The page says what is missing, to the person who is signed in.
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let path = url.split_once("/connect/").unwrap().1;
    let page = browser.get(&format!("/connect/{path}"));
    assert!(
        page.body.contains("A right is missing") && page.body.contains("Create issue"),
        "{page:?}"
    );
    // And to nobody of another business, which is told to the one that asked.
    product.must(&["tenant", "create", "acme"], "");
    let stranger = Browser::of(&product, &server, "acme").get(&format!("/connect/{path}"));
    assert_eq!(stranger.status(), 403, "{stranger:?}");
    assert!(product.run(&["doctor"], "").stdout.contains("foreign_link connect github"));
}

#[test]
fn c11_another_account_stops_the_connection_before_the_action_and_when_it_is_checked() {
    let (provider, told) = github();
    let product = Product::connected(&provider.url, "ghp_of_a_test");
    told.lock().unwrap().0 = 2;
    let refused = product.run(&CREATE, "");
    assert_eq!((refused.status.code(), changes(&provider)), (Some(1), 0), "{refused:?}");
    assert_eq!(product.json(&["connections", "--json"])[0]["status"], "frozen");
    assert!(product.run(&["doctor"], "").stdout.contains("account_changed github"));

    product.must(&["unfreeze"], "");
    product.sql("DELETE FROM alerts");
    let server = product.serve();
    let checked = server.call(&[], "check_connection", &json!({"integration": "github"})).json();
    assert_eq!(checked["result"]["isError"], true, "{checked}");
    assert_eq!(product.json(&["connections", "--json"])[0]["status"], "frozen");
    assert!(product.run(&["doctor"], "").stdout.contains("account_changed github"));
}

#[test]
fn a_server_asks_once_in_a_while_and_not_before_each_action() {
    let (provider, _) = github();
    let product = Product::connected(&provider.url, "ghp_of_a_test");
    let server = product.serve();
    let asked = || provider.count() - changes(&provider);
    let before = asked();
    for title in ["x", "y", "z"] {
        let arguments = json!({"owner": "octocat", "repo": "hello-world", "title": title});
        let answer = server.call(&[], "github_create_issue", &arguments).json();
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
    assert_eq!((changes(&provider), asked() - before), (3, 1));
}

#[test]
fn a_consent_asks_for_what_is_missing_on_top_of_what_is_granted() {
    const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
    const CONTACTS: &str = "https://www.googleapis.com/auth/contacts";
    let google = Provider::start(|request| match request.what() {
        "POST /login/oauth/access_token" => {
            Reply::json(200, &json!({"access_token": "an-access-token", "token_type": "bearer"}))
        }
        _ => Reply::json(
            200,
            &json!({"sub": "7", "email": "ada@example.com", "scope": format!("openid {MODIFY}")}),
        ),
    });
    let product = product(&google, "");
    let config = std::fs::read_to_string(product.path("config.toml")).unwrap();
    product.configure(&config.replace("integrations.github", "integrations.gmail"));
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let all = browser.consent("gmail");
    let back = browser.back("gmail", &[("code", "1"), ("state", &all.state())]);
    assert_eq!(back.status(), 303, "{back:?}");
    let refused = server.call(&[], "gmail_list_contacts", &json!({})).json();
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    let error: Value = serde_json::from_str(text).unwrap();
    assert_eq!(error["code"], "permission_denied", "{error}");
    let path = error["url"].as_str().unwrap().split_once("/connect/").unwrap().1.to_owned();
    let page = browser.get(&format!("/connect/{path}"));
    assert!(page.body.contains("A right is missing") && page.body.contains(CONTACTS), "{page:?}");
    let tool = between(&page.body, "name=\"for\" value=\"", "\"");
    let page = browser.post("/connect/gmail/oauth", &[("for", tool)]);
    let address = between(&page.body, "content=\"0; url=", "\"").replace("&amp;", "&");
    let asked = crate::browser::Consent(address).parameter("scope").unwrap();
    let asked: Vec<&str> = asked.split(' ').collect();
    assert_eq!(asked, ["openid", "email", MODIFY, CONTACTS]);
    assert!(all.parameter("scope").unwrap().contains("gmail.settings"));
}
