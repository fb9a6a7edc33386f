//! Disconnecting ends what was allowed at the provider, and nothing is called revoked that the provider still takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::browser::{Browser, field};
use crate::oauth::{SECRET, product};
use crate::postgres::on_both_with_sql;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const GRANT: &str = "DELETE /applications/our-client/grant";
const ONE: &str = "DELETE /applications/our-client/token";
/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(1);
const CONNECTED: &str = "SELECT count(*) FROM integration_credentials";

/// How a provider answers.
#[derive(Default)]
struct State {
    is_down: AtomicBool,
    /// It says that it revoked, and did not.
    lies: AtomicBool,
    dead: Mutex<BTreeSet<String>>,
}

fn bearer(request: &Message) -> String {
    let header = request.header("authorization").unwrap_or_default();
    header.strip_prefix("Bearer ").unwrap_or_default().to_owned()
}

/// A GitHub with our app. Each code becomes a token, which works until it or its grant is revoked.
fn github() -> (Provider, Arc<State>) {
    let state = Arc::<State>::default();
    let kept = Arc::clone(&state);
    let provider = Provider::start(move |request| match request.what() {
        "POST /login/oauth/access_token" => {
            let code = field(&request.body, "code").unwrap();
            Reply::json(
                200,
                &json!({"access_token": format!("access-by-{code}"), "token_type": "bearer"}),
            )
        }
        _ if kept.is_down.load(Ordering::SeqCst) => Reply::json(503, &json!({})),
        GRANT | ONE => {
            let ours = format!("Basic {}", STANDARD.encode(format!("our-client:{SECRET}")));
            assert_eq!(request.header("authorization"), Some(ours.as_str()));
            let token = request.json()["access_token"].as_str().unwrap().to_owned();
            if !kept.lies.load(Ordering::SeqCst) {
                kept.dead.lock().unwrap().insert(token);
            }
            Reply(204, Vec::new(), String::new())
        }
        _ if kept.dead.lock().unwrap().contains(&bearer(request)) => {
            Reply::json(401, &json!({"message": "Bad credentials"}))
        }
        "GET /user" => {
            Reply::json(200, &json!({"id": 1, "login": "octocat", "type": "User", "html_url": "u"}))
        }
        _ => repository(request),
    });
    (provider, state)
}

/// Connects by a consent with this code.
fn consent(browser: &Browser, integration: &str, code: &str) {
    let state = browser.consent(integration).state();
    let back = browser.back(integration, &[("code", code), ("state", &state)]);
    assert_eq!(back.status(), 303, "{back:?}");
}

fn asked(provider: &Provider, what: &str) -> usize {
    provider.requests().iter().filter(|request| request.what() == what).count()
}

/// Waits until this is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come to be");
        thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn told(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

fn read(server: &Server<'_>) -> Value {
    server
        .call(&[], "github_get_repository", &json!({"owner": "octocat", "repo": "hello-world"}))
        .json()
}

#[test]
fn c10_disconnecting_an_app_revokes_its_grant_and_shows_the_proof() {
    let (github, _) = github();
    let product = product(&github, "");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    consent(&browser, "github", "1");
    let gone = browser.post("/connect/github/disconnect", &[]);
    told(&gone.body, &["GitHub is disconnected", "GitHub no longer takes the old credential"]);
    assert_eq!(asked(&github, GRANT), 1);
    told(
        &browser.get("/connect/github").body,
        &["Disconnected", "no longer takes the old credential"],
    );
    consent(&browser, "github", "2");
    assert!(!browser.get("/connect/github").body.contains("old credential"));
    let receipt = product.json(&["disconnect", "github", "--json"]);
    assert_eq!(
        (&receipt["revoked"], &receipt["left_to_do"]),
        (&json!(true), &Value::Null),
        "{receipt}"
    );
    assert!(!receipt.to_string().contains("access-by-2"), "{receipt}");
}

#[test]
fn c10_what_a_provider_did_not_revoke_is_pending_told_and_revoked_later() {
    let (github, state) = github();
    let product = product(&github, "");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    consent(&browser, "github", "1");
    state.is_down.store(true, Ordering::SeqCst);
    let refused = product.run(&["disconnect", "github"], "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    told(&refused.stderr, &["GitHub cannot revoke now", "not revoked yet", "tries again"]);
    let before = github.count();
    let answer = read(&server);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(github.count(), before);
    told(&product.must(&["connections"], "").stdout, &["revocation_pending", "has not confirmed"]);
    told(&browser.get("/connect/github").body, &["Being disconnected", "has not confirmed yet"]);
    told(&product.run(&["doctor"], "").stdout, &["revocation_pending github"]);

    // It is up, and takes the revocation without carrying it out.
    state.is_down.store(false, Ordering::SeqCst);
    state.lies.store(true, Ordering::SeqCst);
    let due = "UPDATE jobs SET due_at = 0 WHERE kind = 'revoke'";
    product.sql(due);
    until("a second try", || asked(&github, GRANT) >= 2);
    let refused = product.run(&["disconnect", "github"], "");
    told(&refused.stderr, &["took the revocation, and still takes the credential"]);
    assert_eq!(product.sql(CONNECTED).trim(), "1");
    state.lies.store(false, Ordering::SeqCst);
    until("the revocation", || {
        product.sql(due);
        product.sql(CONNECTED).trim() == "0"
    });
    told(&browser.get("/connect/github").body, &["no longer takes the old credential"]);
    let ends = product.trail("local").into_iter().filter(|(_, action, _)| action == "disconnect");
    let ends: Vec<String> =
        ends.map(|(_, _, result)| result).filter(|result| result != "-").collect();
    assert_eq!(ends.last().map(String::as_str), Some("success"), "{ends:?}");
    assert_eq!(ends.iter().filter(|result| *result == "success").count(), 1, "{ends:?}");
}

#[test]
fn c10_who_connects_again_ends_the_revocation_and_is_told_what_is_left() {
    let (github, state) = github();
    let product = product(&github, "");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    consent(&browser, "github", "1");
    state.is_down.store(true, Ordering::SeqCst);
    browser.post("/connect/github/disconnect", &[]);
    state.is_down.store(false, Ordering::SeqCst);
    consent(&browser, "github", "2");
    told(
        &browser.get("/connect/github").body,
        &["was being revoked, and is not", "end it there yourself"],
    );
    assert_eq!(product.sql("SELECT count(*) FROM jobs WHERE kind = 'revoke'").trim(), "0");
    assert_eq!(read(&server)["result"]["isError"], false);
}

#[test]
fn c10_a_consent_that_serves_another_business_loses_only_this_ones_token() {
    let (github, _) = github();
    let product = product(&github, "");
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    consent(&Browser::of(&product, &server, "acme"), "github", "1");
    consent(&Browser::of(&product, &server, "local"), "github", "2");
    let receipt = product.json(&["disconnect", "github", "--json"]);
    assert_eq!(receipt["revoked"], true, "{receipt}");
    assert_eq!((asked(&github, ONE), asked(&github, GRANT)), (1, 0));
    let other = product.json(&["--tenant", "acme", "disconnect", "github", "--json"]);
    assert_eq!(other["revoked"], true, "{other}");
    assert_eq!((asked(&github, ONE), asked(&github, GRANT)), (1, 1));
}

/// Google, Vercel and Stripe at one address.
fn others() -> Provider {
    let dead = AtomicBool::new(false);
    Provider::start(move |request| {
        let is_dead = dead.load(Ordering::SeqCst);
        let what = request.what();
        match what {
            "POST /token" => Reply::json(
                200,
                &json!({
                    "access_token": "an-access-token", "refresh_token": "a-refresh-token", "token_type": "bearer",
                    "expires_in": 3600, "installation_id": "icfg_1", "scope": "openid https://www.googleapis.com/auth/gmail.modify",
                }),
            ),
            "POST /revoke" => {
                assert_eq!(field(&request.body, "token").as_deref(), Some("a-refresh-token"));
                assert_eq!(field(&request.body, "client_secret").as_deref(), Some(SECRET));
                dead.store(true, Ordering::SeqCst);
                Reply::json(200, &json!({}))
            }
            "DELETE /v1/integrations/configuration/icfg_1" => {
                assert_eq!(bearer(request), "an-access-token");
                dead.store(true, Ordering::SeqCst);
                Reply(204, Vec::new(), String::new())
            }
            "GET /v1/apps/installs" => {
                assert!(request.first.contains("account=acct_1") && bearer(request) == SECRET);
                Reply::json(200, &json!({"data": [{"id": "ainst_1"}]}))
            }
            "POST /v1/apps/installs/ainst_1/uninstall" => {
                assert_eq!(bearer(request), SECRET);
                dead.store(true, Ordering::SeqCst);
                Reply::json(200, &json!({}))
            }
            "POST /tokeninfo" if is_dead => Reply::json(400, &json!({"error": "invalid_token"})),
            "GET /v2/user" if is_dead => Reply::json(
                403,
                &json!({"error": {"code": "forbidden", "message": "Not authorized", "invalidToken": true}}),
            ),
            _ if is_dead => Reply::json(
                401,
                &json!({"error": {"message": "Expired", "type": "invalid_request_error"}}),
            ),
            "POST /tokeninfo" => Reply::json(
                200,
                &json!({
                    "sub": "77", "email": "ada@example.com", "scope": "openid https://www.googleapis.com/auth/gmail.modify",
                }),
            ),
            "GET /v1beta/accountSummaries" => Reply::json(
                200,
                &json!({"accountSummaries": [{"account": "accounts/1", "displayName": "Shop"}]}),
            ),
            "GET /v2/user" => Reply::json(200, &json!({"user": {"id": "u", "username": "ada"}})),
            "GET /v5/user/tokens/current" => {
                Reply::json(404, &json!({"error": {"code": "not_found", "message": "No"}}))
            }
            "GET /v1/account" => Reply::json(200, &json!({"id": "acct_1", "object": "account"})),
            "GET /v1/balance" => {
                Reply::json(200, &json!({"livemode": false, "available": [], "pending": []}))
            }
            _ => Reply::json(404, &json!({})),
        }
    })
}

fn with_client(product: &Product, provider: &Provider, names: &[&str], more: &str) {
    let (url, secret) = (&provider.url, product.path("client-secret"));
    let secret = secret.display();
    let parts = names.iter().map(|name| format!(
        "[integrations.{name}]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/authorize\"\ntoken_url = \"{url}/token\"\n\
         client_id = \"our-client\"\nclient_secret_file = \"{secret}\"\n{more}"
    ));
    product.configure(&parts.collect::<String>());
}

#[test]
fn c10_gmail_and_analytics_do_not_revoke_each_other() {
    let google = others();
    let product = product(&google, "");
    let revoke = format!("revoke_url = \"{}/revoke\"\n", google.url);
    with_client(&product, &google, &["gmail", "analytics"], &revoke);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    consent(&browser, "gmail", "1");
    consent(&browser, "analytics", "2");
    let receipt = product.json(&["disconnect", "gmail", "--json"]);
    assert_eq!(receipt["revoked"], false, "{receipt}");
    told(
        receipt["left_to_do"].as_str().unwrap(),
        &["also serves Google Analytics", "myaccount.google.com"],
    );
    assert_eq!(asked(&google, "POST /revoke"), 0);
    let receipt = product.json(&["disconnect", "analytics", "--json"]);
    assert_eq!(
        (&receipt["revoked"], asked(&google, "POST /revoke")),
        (&json!(true), 1),
        "{receipt}"
    );
}

#[test]
fn c10_each_provider_revokes_in_its_own_way() {
    for (name, asks) in [
        ("vercel", "DELETE /v1/integrations/configuration/icfg_1"),
        ("stripe", "POST /v1/apps/installs/ainst_1/uninstall"),
    ] {
        let provider = others();
        let product = product(&provider, "");
        with_client(&product, &provider, &[name], "");
        let server = product.serve();
        consent(&Browser::of(&product, &server, "local"), name, "1");
        let receipt = product.json(&["disconnect", name, "--json"]);
        assert_eq!((&receipt["revoked"], asked(&provider, asks)), (&json!(true), 1), "{receipt}");
    }
}

#[test]
fn g3_a_freeze_under_load_stops_every_server_within_a_second() {
    let last = Arc::new(Mutex::new(Instant::now()));
    let seen = Arc::clone(&last);
    let provider = Provider::github(move |request| {
        *seen.lock().unwrap() = Instant::now();
        repository(request)
    });
    on_both_with_sql(&provider, |product, _| {
        product.must(&["connect", "github", "--key-stdin"], "github_pat_of_a_test");
        let servers = [product.serve(), product.serve()];
        let refused = thread::scope(|scope| {
            let calling: Vec<_> = servers
                .iter()
                .cycle()
                .take(4)
                .map(|server| {
                    scope.spawn(move || {
                        let end = Instant::now() + LIMIT;
                        while Instant::now() < end {
                            let answer = read(server);
                            let answer = answer.to_string();
                            // A machine that has too much to do says so; that is no freeze.
                            let is_busy = answer.contains("Try again in a moment");
                            if answer.contains("\"isError\":true") && !is_busy {
                                return answer;
                            }
                        }
                        panic!("it was never frozen")
                    })
                })
                .collect();
            let before = provider.count();
            until("a load", || provider.count() > before + 20);
            let frozen = product.must(&["freeze", "github"], "");
            let at = Instant::now();
            told(&frozen.stdout, &["stopped"]);
            let refused: Vec<String> = calling.into_iter().map(|one| one.join().unwrap()).collect();
            assert!(last.lock().unwrap().saturating_duration_since(at) < Duration::from_secs(3));
            refused
        });
        for answer in refused {
            told(&answer, &["frozen"]);
        }
        let connections = product.json(&["connections", "--json"]);
        assert_eq!(connections[0]["status"], "frozen", "{connections}");
        product.must(&["unfreeze"], "");
        assert_eq!(read(&servers[1])["result"]["isError"], false);
        let trail = product.trail("local");
        for action in ["freeze", "unfreeze"] {
            let event = ("result".to_owned(), action.to_owned(), "success".to_owned());
            assert!(trail.contains(&event), "{trail:?}");
        }
    });
}

/// A Vercel that revokes each token, but for one in twenty not at the first time.
fn vercel() -> Provider {
    let tries = Mutex::new(BTreeMap::<String, usize>::new());
    Provider::start(move |request| {
        let token = bearer(request);
        let mut tries = tries.lock().unwrap();
        let is_dead = tries.get(&token).is_some_and(|tries| *tries == 0);
        match request.what() {
            _ if is_dead => Reply::json(
                403,
                &json!({"error": {"code": "forbidden", "message": "Not authorized", "invalidToken": true}}),
            ),
            "GET /v2/user" => Reply::json(200, &json!({"user": {"id": token, "username": token}})),
            "DELETE /v3/user/tokens/current" => {
                let number: usize = token.rsplit('-').next().unwrap().parse().unwrap();
                if number.is_multiple_of(20) && tries.insert(token.clone(), 1).is_none() {
                    return Reply::json(503, &json!({}));
                }
                tries.insert(token, 0);
                Reply::json(200, &json!({"tokenId": "t"}))
            }
            _ => Reply::json(404, &json!({"error": {"code": "not_found", "message": "No"}})),
        }
    })
}

#[test]
fn g3_of_all_that_is_revoked_at_once_nothing_is_unaccounted_for() {
    let many = if std::env::var_os("RESTO_TEST_FULL").is_some() { 1000 } else { 40 };
    let provider = vercel();
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.vercel]\nbase_url = \"{}\"\n", provider.url));
    for number in 1..=many {
        let name = format!("business-{number}");
        product.must(&["tenant", "create", &name], "");
        let connect = ["--tenant", &name, "connect", "vercel", "--key-stdin"];
        product.must(&connect, &format!("token-of-business-{number}"));
    }
    let asked = product.run(&["revoke-all", "--all-tenants"], "");
    told(&asked.stderr, &["Every connection of all businesses", "at a terminal"]);
    assert_eq!(product.sql(CONNECTED).trim(), many.to_string());
    let revoked = product.run(&["revoke-all", "--all-tenants", "--yes", "--json"], "");
    let ended: Value = serde_json::from_str(&revoked.stdout).unwrap();
    let count = |outcome: &str| {
        ended.as_array().unwrap().iter().filter(|one| one["outcome"] == outcome).count()
    };
    assert_eq!((count("revoked"), count("pending")), (many - many / 20, many / 20), "{revoked:?}");
    assert_eq!(revoked.status.code(), Some(1), "{revoked:?}");
    assert_eq!(product.sql(CONNECTED).trim(), (many / 20).to_string());
    // Whoever serves goes on.
    let _server = product.serve();
    until("the rest", || {
        product.sql("UPDATE jobs SET due_at = 0 WHERE kind = 'revoke'");
        product.sql(CONNECTED).trim() == "0"
    });
}
