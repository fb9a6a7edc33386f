//! Access that ends goes on by itself: renewed once however many need it, and honestly ended where it cannot be.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::issuer::{Fault, Issuer, SCOPES};
use crate::postgres::{on_both, on_both_with_sql, put_ahead};
use crate::product::{Product, Server};

const READ: &str = "github_get_repository";
const REPOSITORY: &str = r#"{"owner": "octocat", "repo": "hello-world"}"#;
/// Calls at the same time.
const CALLS: usize = 100;
/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(2);

/// How often a wave of calls finds an access that has ended.
fn waves() -> usize {
    if std::env::var_os("RESTO_TEST_FULL").is_some() { 1000 } else { 2 }
}

fn call(server: &Server<'_>) -> String {
    let arguments: Value = serde_json::from_str(REPOSITORY).unwrap();
    let start = Instant::now();
    loop {
        let answer = server.call(&[], READ, &arguments);
        // A server that has too much to do says so, before or after it has looked at the call.
        let is_busy = answer.status() == 503 || answer.body.contains("Try again in a moment");
        if !is_busy || start.elapsed() > LIMIT {
            return answer.body;
        }
    }
}

/// Fails unless each of many calls at once succeeds, spread over the servers.
fn wave(servers: &[&Server<'_>]) {
    thread::scope(|scope| {
        for n in 0..CALLS {
            let server = servers[n % servers.len()];
            scope.spawn(move || {
                let answer = call(server);
                assert!(answer.contains("octocat/hello-world"), "{answer}");
            });
        }
    });
}

fn read(product: &Product) -> crate::process::Finished {
    product.run(&["call", READ, REPOSITORY], "")
}

fn read_well(product: &Product) {
    product.must(&["call", READ, REPOSITORY], "");
}

fn alerts(product: &Product) -> String {
    product.run(&["doctor"], "").stdout
}

fn connection(product: &Product) -> Value {
    product.json(&["connections", "--json"])[0].clone()
}

fn renewed_once_by(servers_of: usize) {
    let issuer = Issuer::start();
    on_both(&issuer.provider, |product| {
        issuer.configure(product);
        let servers: Vec<Server<'_>> = (0..servers_of).map(|_| product.serve()).collect();
        let servers: Vec<&Server<'_>> = servers.iter().collect();
        // The first use of an access token is noted, which is not what is asked here.
        for server in &servers {
            call(server);
        }
        for n in 0..waves() {
            issuer.live_from_now(0);
            issuer.connect(product, servers[n % servers.len()], "github");
            let before = issuer.live_from_now(3600);
            wave(&servers);
            assert_eq!(issuer.renewals() - before, 1, "wave {n}");
        }
        assert_eq!(issuer.state().refused, 0);
        product.must(&["audit", "--verify"], "");
    });
}

#[test]
fn c8_a_hundred_calls_with_an_ended_access_ask_for_a_new_one_once() {
    renewed_once_by(1);
}

#[test]
fn c8_a_hundred_calls_at_two_processes_ask_for_a_new_one_once() {
    renewed_once_by(2);
}

#[test]
fn c8_an_access_that_is_refused_before_its_end_is_renewed_once_and_the_calls_go_on() {
    let issuer = Issuer::start();
    on_both(&issuer.provider, |product| {
        issuer.configure(product);
        let servers = [product.serve(), product.serve()];
        for server in &servers {
            call(server);
        }
        issuer.live_from_now(3600);
        issuer.connect(product, &servers[0], "github");
        let before = issuer.renewals();
        issuer.state().end_access();
        wave(&[&servers[0], &servers[1]]);
        assert_eq!(issuer.renewals() - before, 1);
        let trail = product.trail("local");
        let again = trail.iter().filter(|(_, action, _)| *action == format!("{READ}.again"));
        assert!(again.count() >= 2, "{trail:?}");
        // A new access that is refused as well is not renewed in a loop.
        issuer.state().end_access();
        let refused = call(&servers[0]);
        assert!(refused.contains("auth_expired"), "{refused}");
        assert_eq!(issuer.renewals() - before, 1);
    });
}

#[test]
fn c9_each_new_refresh_token_takes_the_place_of_the_one_before() {
    let issuer = Issuer::start();
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "github");
        for _ in 0..3 {
            read_well(product);
        }
        let sent = issuer.state().sent.clone();
        let last = &sent[sent.len() - 3..];
        assert!(last[0] != last[1] && last[1] != last[2], "{last:?}");
        assert_eq!(issuer.state().refused, 0);
        let refreshes = product.trail("local").into_iter();
        let refreshes =
            refreshes.filter(|(_, action, status)| action == "refresh" && status == "success");
        assert!(refreshes.count() >= 3);
    });
}

#[test]
fn c9_an_answer_without_a_refresh_token_keeps_the_one_that_was_used() {
    let issuer = Issuer::start();
    issuer.state().rotates = false;
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "github");
        read_well(product);
        read_well(product);
        let sent = issuer.state().sent.clone();
        assert_eq!(sent[sent.len() - 1], sent[sent.len() - 2]);
        assert_eq!(issuer.state().refused, 0);
    });
}

#[test]
fn c9_an_answer_that_tells_no_end_has_the_end_that_the_provider_is_known_for() {
    let issuer = Issuer::start();
    let product = Product::at(&issuer.provider.url);
    issuer.connect_ended(&product, "stripe");
    let untold = || Fault::Says(json!({"expires_in": null}));
    issuer.state().faults.push_back(untold());
    product.must(&["call", "stripe_get_account"], "");
    let end = "SELECT round((unixepoch(expires_at) - unixepoch(renewed_at)) / 60.0) FROM integration_credentials";
    assert_eq!(product.sql(end).trim(), "60.0");
    let before = issuer.renewals();
    product.must(&["call", "stripe_get_account"], "");
    assert_eq!(issuer.renewals(), before);
}

#[test]
fn c9_fewer_rights_are_noticed_and_told() {
    let issuer = Issuer::start();
    issuer.state().rotates = false;
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "gmail");
        issuer.live_from_now(3600);
        let narrower = SCOPES[..3].join(" ");
        issuer.state().faults.push_back(Fault::Says(json!({"scope": narrower})));
        product.must(&["call", "gmail_get_profile"], "");
        let told = alerts(product);
        assert!(told.contains("permissions_changed gmail"), "{told}");
        let before = issuer.provider.count();
        let refused = product.run(&["call", "gmail_list_contacts"], "");
        assert!(
            refused.stderr.contains("permission_denied") || refused.stderr.contains("lacks"),
            "{refused:?}"
        );
        assert_eq!(issuer.provider.count(), before);
    });
}

#[test]
fn c9_another_account_is_not_taken_for_the_connected_one() {
    let issuer = Issuer::start();
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "stripe");
        let other = Fault::Says(json!({"stripe_user_id": "acct_2"}));
        issuer.state().faults.push_back(other);
        let before = issuer.provider.count();
        let refused = product.run(&["call", "stripe_get_account"], "");
        assert!(refused.stderr.contains("another account"), "{refused:?}");
        assert_eq!(issuer.provider.count() - before, 1, "only tokens were asked for");
        assert_eq!(connection(product)["status"], "frozen");
        assert!(alerts(product).contains("account_changed stripe"));
    });
}

#[test]
fn c9_an_access_that_opens_another_account_now_is_stopped_soon() {
    let issuer = Issuer::start();
    let product = Product::at(&issuer.provider.url);
    issuer.connect_ended(&product, "github");
    issuer.live_from_now(3600);
    issuer.state().account = 2;
    let _server = product.serve();
    let start = Instant::now();
    while connection(&product)["status"] != "frozen" {
        assert!(start.elapsed() < LIMIT, "{}", connection(&product));
    }
    assert!(alerts(&product).contains("account_changed github"));
}

#[test]
fn a_lost_answer_is_asked_for_again_where_the_provider_allows_it() {
    let issuer = Issuer::start();
    issuer.state().grace = true;
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "github");
        issuer.live_from_now(3600);
        for lost in [Fault::Lost, Fault::Unavailable] {
            issuer.state().faults.push_back(lost);
        }
        // Both answers are lost: it cannot be told yet.
        let down = read(product);
        assert!(down.stderr.contains("again later"), "{down:?}");
        assert_eq!(connection(product)["status"], "active");
        issuer.state().faults.push_back(Fault::Lost);
        let before = issuer.renewals();
        read_well(product);
        assert_eq!(issuer.renewals() - before, 2);
        assert_eq!(issuer.state().refused, 0);
    });
}

#[test]
fn a_lost_answer_of_a_provider_without_mercy_ends_the_access_and_says_so() {
    let issuer = Issuer::start();
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "github");
        issuer.state().faults.push_back(Fault::Lost);
        let ended = read(product);
        for words in ["bad_refresh_token", "an answer that did not arrive", "/connect/github"] {
            assert!(ended.stderr.contains(words), "{words}: {ended:?}");
        }
        assert_eq!(connection(product)["status"], "needs_reauth");
        assert!(alerts(product).contains("refresh_failed github"));
        // And no more.
        let before = issuer.provider.count();
        let refused = read(product);
        assert!(refused.stderr.contains("Reconnect"), "{refused:?}");
        assert_eq!(issuer.provider.count(), before);
    });
}

#[test]
fn a_provider_that_keeps_its_refresh_token_is_asked_until_it_answers() {
    let issuer = Issuer::start();
    issuer.state().rotates = false;
    on_both(&issuer.provider, |product| {
        issuer.connect_ended(product, "gmail");
        for fault in [Fault::Lost, Fault::Unavailable] {
            issuer.state().faults.push_back(fault);
            let before = issuer.renewals();
            let down = product.run(&["call", "gmail_get_profile"], "");
            assert!(down.stderr.contains("again later"), "{down:?}");
            assert_eq!(issuer.renewals() - before, 1);
        }
        product.must(&["call", "gmail_get_profile"], "");
        // What a person takes back at Google is over.
        issuer.state().revoke();
        let ended = product.run(&["call", "gmail_get_profile"], "");
        assert!(ended.stderr.contains("invalid_grant"), "{ended:?}");
        assert!(!ended.stderr.contains("did not arrive"), "{ended:?}");
        assert_eq!(connection(product)["status"], "needs_reauth");
        assert!(alerts(product).contains("refresh_failed gmail"));
    });
}

#[test]
fn a_provider_that_never_answers_keeps_nobody_for_long() {
    let issuer = Issuer::start();
    issuer.state().rotates = false;
    let product = Product::at(&issuer.provider.url);
    issuer.connect_ended(&product, "gmail");
    issuer.state().faults.push_back(Fault::Silent);
    let start = Instant::now();
    let down = product.run(&["call", "gmail_get_profile"], "");
    assert!(down.stderr.contains("did not answer within 15 s"), "{down:?}");
    assert!(start.elapsed() < 3 * Duration::from_secs(15));
    product.must(&["call", "gmail_get_profile"], "");
}

#[test]
fn an_access_is_renewed_before_anybody_calls_and_the_page_says_so() {
    let issuer = Issuer::start();
    on_both_with_sql(&issuer.provider, |product, sql| {
        issuer.connect_ended(product, "github");
        let before = issuer.live_from_now(3600);
        let server = product.serve();
        let start = Instant::now();
        let renewed = "SELECT count(*) FROM integration_credentials WHERE former IS NULL AND renewed_at IS NOT NULL";
        // Tested too, so that what it took the place of is gone.
        while sql(renewed).trim() != "1" {
            assert!(start.elapsed() < LIMIT, "it is not renewed");
        }
        assert_eq!(issuer.renewals() - before, 1);
        let browser = crate::browser::Browser::of(product, &server, "local");
        let page = browser.get("/connect/github").body;
        assert!(page.contains("The access is renewed by itself"), "{page}");
        let generation = "SELECT generation FROM integration_credentials";
        assert!(sql(generation).trim().parse::<i64>().unwrap() >= 2);
    });
}

#[test]
fn a_clock_that_jumps_ends_an_access_once_and_renews_it_once() {
    let issuer = Issuer::start();
    on_both_with_sql(&issuer.provider, |product, sql| {
        issuer.configure(product);
        let servers = [product.serve(), product.serve()];
        let before = issuer.live_from_now(3600);
        issuer.connect(product, &servers[0], "github");
        put_ahead(product, sql, Duration::from_hours(2));
        // Each learns the time with the first call that it takes.
        for server in servers.iter().cycle().take(6) {
            let answer = call(server);
            assert!(answer.contains("octocat/hello-world"), "{answer}");
        }
        assert_eq!(issuer.renewals() - before, 1);
        // What is new lives an hour from the time that it is, whatever this machine's clock says.
        put_ahead(product, sql, Duration::from_mins(150));
        for server in servers.iter().cycle().take(6) {
            let answer = call(server);
            assert!(answer.contains("octocat/hello-world"), "{answer}");
        }
        assert_eq!(issuer.renewals() - before, 1);
        // Back again, it is taken for longer than it lives: the provider says so, and it is renewed.
        put_ahead(product, sql, Duration::ZERO);
        issuer.state().end_access();
        for server in servers.iter().cycle().take(6) {
            let answer = call(server);
            assert!(answer.contains("octocat/hello-world"), "{answer}");
        }
        assert_eq!(issuer.renewals() - before, 2);
    });
}

#[test]
fn c10_a_disconnection_waits_for_a_renewal_and_revokes_what_it_brought() {
    let issuer = Issuer::start();
    on_both_with_sql(&issuer.provider, |product, sql| {
        issuer.connect_ended(product, "github");
        issuer.live_from_now(3600);
        let server = product.serve();
        let (is_asked, may_go) = issuer.hold_next();
        thread::scope(|scope| {
            let calling = scope.spawn(|| call(&server));
            is_asked.recv_timeout(LIMIT).unwrap();
            let leaving = scope.spawn(|| product.run(&["disconnect", "github", "--json"], ""));
            let start = Instant::now();
            while sql("SELECT status FROM integration_credentials").trim() != "revocation_pending" {
                assert!(start.elapsed() < LIMIT, "it is not stopped");
            }
            may_go.send(()).unwrap();
            let called = calling.join().unwrap();
            // Which of the two, is up to how soon it looks again.
            let leaves = ["is being disconnected", "is not connected"];
            assert!(leaves.iter().any(|text| called.contains(text)), "{called}");
            let left = leaving.join().unwrap();
            let receipt: Value = serde_json::from_str(&left.stdout).unwrap();
            assert_eq!(receipt["revoked"], true, "{left:?}");
        });
        assert!(!issuer.state().takes_any(), "what it brought is revoked");
        assert_eq!(product.json(&["connections", "--json"]), json!([]));
        assert_eq!(sql("SELECT count(*) FROM jobs WHERE subject = 'github'").trim(), "0");
    });
}

#[test]
fn c10_what_is_being_disconnected_is_not_renewed_any_more() {
    let issuer = Issuer::start();
    on_both_with_sql(&issuer.provider, |product, sql| {
        issuer.connect_ended(product, "github");
        let before = issuer.renewals();
        issuer.state().cannot_revoke = true;
        let pending = product.run(&["disconnect", "github"], "");
        assert!(pending.stderr.contains("not revoked yet"), "{pending:?}");
        sql("UPDATE jobs SET due_at = 0 WHERE kind = 'refresh'");
        let refused = read(product);
        assert!(refused.stderr.contains("is being disconnected"), "{refused:?}");
        let _server = product.serve();
        issuer.state().cannot_revoke = false;
        let start = Instant::now();
        while sql("SELECT count(*) FROM integration_credentials").trim() != "0" {
            assert!(start.elapsed() < LIMIT, "it is not revoked");
            sql("UPDATE jobs SET due_at = 0");
        }
        assert_eq!(issuer.renewals(), before);
        assert!(!issuer.state().takes_any());
    });
}
