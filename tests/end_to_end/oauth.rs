//! A consent leads to one connection: of the person who asked, in the browser that was sent, at the
//! provider it was sent to. Everything else ends before a token is asked for.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::browser::{Browser, field};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const CODE: &str = "canary-code-of-the-consent";
pub const SECRET: &str = "canary-secret-of-our-client";
const ACCESS: &str = "canary-access-token-of-octocat";
const REFRESH: &str = "canary-refresh-token-of-octocat";
const ISSUER: &str = "https://issuer.example/login";
const TOKEN: &str = "POST /login/oauth/access_token";

/// A GitHub that gives tokens for the one code, to our client alone; none to renew an access that has ended at once.
fn github(expires_in: i64) -> Provider {
    let is_revoked = AtomicBool::new(false);
    Provider::start(move |request| match request.what() {
        "DELETE /applications/our-client/grant" => {
            is_revoked.store(true, Ordering::SeqCst);
            Reply(204, Vec::new(), String::new())
        }
        TOKEN => {
            let is = |name: &str, value: &str| field(&request.body, name).as_deref() == Some(value);
            // Whatever it says, it says with 200.
            let answer = if !is("client_id", "our-client") || !is("client_secret", SECRET) {
                json!({"error": "incorrect_client_credentials", "error_description": SECRET})
            } else if is("code", CODE) && field(&request.body, "code_verifier").is_some() {
                let mut tokens = json!({"access_token": ACCESS, "token_type": "bearer", "expires_in": expires_in,
                    "scope": "repo,workflow"});
                if expires_in > 0 {
                    tokens["refresh_token"] = REFRESH.into();
                    tokens["refresh_token_expires_in"] = 15_811_200.into();
                }
                tokens
            } else {
                json!({"error": "bad_verification_code", "error_description": CODE})
            };
            Reply::json(200, &answer)
        }
        _ if is_revoked.load(Ordering::SeqCst)
            || request.header("authorization") != Some(&format!("Bearer {ACCESS}")) =>
        {
            Reply::json(401, &json!({"message": "Bad credentials"}))
        }
        "GET /user" => {
            let user = json!({"id": 1, "login": "octocat", "type": "User", "html_url": "u"});
            Reply::json(200, &user)
        }
        _ => repository(request),
    })
}

/// An installation with our OAuth client at this GitHub.
pub fn product(github: &Provider, more: &str) -> Product {
    let product = Product::at(&github.url);
    let secret = product.path("client-secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (url, secret) = (&github.url, secret.display());
    product.configure(&format!(
        "[integrations.github]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/login/oauth/authorize\"\n\
         token_url = \"{url}/login/oauth/access_token\"\nclient_id = \"our-client\"\nclient_secret_file = \"{secret}\"\n{more}"
    ));
    product
}

fn tokens_asked(github: &Provider) -> Vec<Message> {
    github.requests().into_iter().filter(|request| request.what() == TOKEN).collect()
}

/// What a page tells a reader who does not see it.
#[track_caller]
fn told(page: &Message, words: &str) {
    assert!(page.body.contains(words), "no `{words}` in {page:?}");
}

#[test]
fn a_consent_connects_the_account_and_an_agent_uses_it() {
    let github = github(3600);
    let product = product(&github, "");
    let server = product.serve_with(&[("RUST_LOG", "trace")]);
    let browser = Browser::of(&product, &server, "local");
    told(&browser.get("/connect/github"), "Continue to GitHub");
    let consent = browser.consent("github");
    assert!(consent.0.starts_with(&format!("{}/login/oauth/authorize?", github.url)));
    assert_eq!(consent.parameter("response_type").as_deref(), Some("code"));
    assert_eq!(consent.parameter("client_id").as_deref(), Some("our-client"));
    assert_eq!(consent.parameter("code_challenge_method").as_deref(), Some("S256"));
    let callback = format!("{}/oauth/callback/github", browser.origin);
    assert_eq!(consent.parameter("redirect_uri"), Some(callback.clone()));
    let back = browser.back("github", &[("code", CODE), ("state", &consent.state())]);
    assert_eq!(
        (back.status(), back.header("location")),
        (303, Some("/connect/github")),
        "{back:?}"
    );

    let asked = tokens_asked(&github);
    assert_eq!(asked.len(), 1);
    assert_eq!(field(&asked[0].body, "redirect_uri"), Some(callback));
    let verifier = field(&asked[0].body, "code_verifier").unwrap();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    assert_eq!(consent.parameter("code_challenge"), Some(challenge));

    // When the access ends, and when only a person can renew it.
    let ends = "SELECT expires_at IS NOT NULL, round((reauthorize_by - connected_at) / 86400.0) FROM \
         (SELECT expires_at, unixepoch(reauthorize_by) AS reauthorize_by, unixepoch(connected_at) AS connected_at \
         FROM integration_credentials)";
    assert_eq!(product.sql(ends).trim(), "1|183.0");
    let page = browser.get("/connect/github");
    for words in ["Connected", "octocat", "What will work", "The access is renewed by itself"] {
        told(&page, words);
    }
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    let answer = server.call(&[], "github_get_repository", &arguments);
    assert_eq!(answer.json()["result"]["isError"], false, "{answer:?}");
    let gone = browser.post("/connect/github/disconnect", &[]);
    told(&gone, "GitHub no longer takes the old credential");
    let trail = product.json(&["audit", "--json"]);
    let said = [
        format!("{back:?}{page:?}{}{answer:?}{trail}", consent.0),
        format!("{:?}", browser.get("/connect")),
        server.process.said(),
    ];
    let files = std::fs::read_dir(product.path("data")).unwrap().map(|file| {
        String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned()
    });
    for text in said.into_iter().chain(files) {
        for secret in [CODE, SECRET, ACCESS, REFRESH, &verifier, browser.cookie.as_ref().unwrap()] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

/// Fails unless the way back is refused with these words, and no token was asked for.
#[track_caller]
fn refused(github: &Provider, back: &Message, words: &str) {
    assert!(back.status() >= 400 && back.header("location").is_none(), "{back:?}");
    told(back, words);
    assert!(!back.body.contains(CODE), "{back:?}");
    assert_eq!(tokens_asked(github).len(), 0);
}

#[test]
fn a_way_back_that_nobody_was_sent_on_asks_for_no_token() {
    let github = github(3600);
    let product = product(&github, "[integrations.vercel]\nbase_url = \"http://127.0.0.1:1\"\n");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    refused(&github, &browser.back("github", &[("code", CODE)]), "not one that you were sent on");
    let strange = "0".repeat(75);
    for state in ["", "wrong", &strange] {
        let back = browser.back("github", &[("code", CODE), ("state", state)]);
        refused(&github, &back, "not one that you were sent on");
    }
    // No session, and another browser of the same person.
    let consent = browser.consent("github");
    let query =
        [("code", CODE), ("state", &consent.state() as &str)].map(|(a, b)| (a, b.to_owned()));
    let query: Vec<(&str, &str)> = query.iter().map(|(a, b)| (*a, b.as_str())).collect();
    refused(&github, &Browser::new(&server).back("github", &query), "resto sign-in");
    let other = Browser::of(&product, &server, "local");
    refused(&github, &other.back("github", &query), "Another person or browser");
    let doctor = product.run(&["doctor"], "");
    assert!(doctor.stdout.contains("foreign_link consent github"), "{doctor:?}");
    // It is used up, for whom it was meant too.
    refused(&github, &browser.back("github", &query), "was used before");
    // The person of another tenant.
    product.must(&["tenant", "create", "acme"], "");
    let consent = browser.consent("github");
    let query =
        [("code", CODE), ("state", &consent.state() as &str)].map(|(a, b)| (a, b.to_owned()));
    let query: Vec<(&str, &str)> = query.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let foreign = Browser::of(&product, &server, "acme");
    refused(&github, &foreign.back("github", &query), "not one that you were sent on");
    // The callback of another integration has no client here, and gets nothing.
    refused(&github, &browser.back("vercel", &query), "no OAuth client");
    // Expired.
    product.sql("UPDATE records SET expires_at = 1 WHERE collection = 'oauth.state'");
    refused(&github, &browser.back("github", &query), "older than 10 minutes");
    // Not agreed to, with somebody's words.
    let consent = browser.consent("github");
    let state = consent.state();
    let query = [("error", "access_denied"), ("error_description", "canary"), ("state", &state)];
    let back = browser.back("github", &query);
    refused(&github, &back, "You did not consent");
    assert!(!back.body.contains("canary"), "{back:?}");
    let denied = product.trail("local").into_iter();
    let denied = denied.filter(|(_, action, result)| action == "connect" && result == "denied");
    assert!(denied.count() >= 7);
    let connected = product.json(&["connections", "--json"]);
    assert_eq!(connected, json!([]));
}

#[test]
fn a_code_for_one_service_is_not_taken_at_the_callback_of_another() {
    let github = github(3600);
    let product = product(&github, "");
    let mut toml = std::fs::read_to_string(product.path("config.toml")).unwrap();
    toml.push_str(&toml.clone().replace("integrations.github", "integrations.stripe"));
    product.configure(&toml);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let state = browser.consent("github").state();
    let back = browser.back("stripe", &[("code", CODE), ("state", &state)]);
    refused(&github, &back, "You were sent elsewhere than to Stripe");
}

#[test]
fn an_answer_names_its_issuer_to_the_letter() {
    let github = github(3600);
    let product = product(&github, &format!("issuer = \"{ISSUER}\"\n"));
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let slash = format!("{ISSUER}/");
    let case = ISSUER.replace("example", "Example");
    let port = ISSUER.replace("example", "example:443");
    for iss in [None, Some("https://evil.example"), Some(&slash), Some(&case), Some(&port)] {
        let state = browser.consent("github").state();
        let mut query = vec![("code", CODE), ("state", &state), ("error_description", "canary")];
        query.extend(iss.map(|iss| ("iss", iss)));
        let back = browser.back("github", &query);
        refused(&github, &back, "The answer is not from GitHub");
        assert!(!back.body.contains("canary"), "{back:?}");
    }
    let state = browser.consent("github").state();
    let back = browser.back("github", &[("code", CODE), ("state", &state), ("iss", ISSUER)]);
    assert_eq!(back.status(), 303, "{back:?}");
}

#[test]
fn of_parallel_ways_back_one_asks_for_tokens() {
    let github = github(3600);
    let product = product(&github, "");
    let server = product.serve();
    let browser = Arc::new(Browser::of(&product, &server, "local"));
    let state = browser.consent("github").state();
    let statuses = Arc::<Mutex<Vec<u16>>>::default();
    let racing: Vec<_> = (0..4)
        .map(|_| {
            let (browser, state) = (Arc::clone(&browser), state.clone());
            let statuses = Arc::clone(&statuses);
            thread::spawn(move || {
                let back = browser.back("github", &[("code", CODE), ("state", &state)]);
                statuses.lock().unwrap().push(back.status());
            })
        })
        .collect();
    for one in racing {
        one.join().unwrap();
    }
    let statuses = statuses.lock().unwrap();
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(tokens_asked(&github).len(), 1);
}

#[test]
fn a_refused_code_says_so_and_repeats_nothing() {
    let github = github(3600);
    let product = product(&github, "");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let state = browser.consent("github").state();
    let back = browser.back("github", &[("code", "another"), ("state", &state)]);
    told(&back, "GitHub gave no tokens: bad_verification_code");
    std::fs::write(product.path("client-secret"), "wrong").unwrap();
    let state = browser.consent("github").state();
    let back = browser.back("github", &[("code", CODE), ("state", &state)]);
    told(&back, "GitHub does not know our OAuth client");
    assert!(!back.body.contains(SECRET) && !back.body.contains("wrong"), "{back:?}");
    assert_eq!(product.json(&["connections", "--json"]), json!([]));
}

#[test]
fn an_expired_access_that_nothing_renews_asks_for_a_new_connection() {
    let github = github(0);
    let product = product(&github, "");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let state = browser.consent("github").state();
    assert_eq!(browser.back("github", &[("code", CODE), ("state", &state)]).status(), 303);
    let answer = call(&server, "github_get_repository");
    assert!(answer.contains("auth_expired") && answer.contains("/connect/github"), "{answer}");
    told(&browser.get("/connect/github"), "Access expired");
}

fn call(server: &Server<'_>, tool: &str) -> String {
    let arguments: Value = json!({"owner": "octocat", "repo": "hello-world"});
    server.call(&[], tool, &arguments).body
}

#[test]
fn a_client_secret_that_others_can_read_is_told() {
    let github = github(3600);
    let product = product(&github, "");
    product.must(&["doctor"], "");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(product.path("client-secret"), open).unwrap();
    for command in ["doctor", "connections"] {
        let finished = product.run(&[command], "");
        assert!(!finished.status.success(), "{finished:?}");
        assert!(format!("{finished:?}").contains("chmod 600"), "{finished:?}");
    }
}
