//! What came of a change whose answer was lost is found out when the same call is made again, and it is not done again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::approvals::decide;
use crate::browser::{Browser, between};
use crate::postgres::{on_both, on_both_with_sql};
use crate::product::Server;
use crate::provider::{Provider, Reply, repository};

const KEY: &str = "github_pat_of_a_test";
const CREATE: &str = "github_create_issue";

fn result(server: &Server<'_>, tool: &str, arguments: &Value) -> Value {
    server.call(&[], tool, arguments).json()["result"].clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// A GitHub that opens an issue and does not say so, and lists it when it is told to.
fn forgetful(shows: &Arc<AtomicBool>) -> Provider {
    let (shows, issues) = (Arc::clone(shows), Mutex::new(Vec::new()));
    Provider::github(move |request| {
        if request.first.starts_with("POST") {
            let title = request.json()["title"].clone();
            issues.lock().unwrap().push(json!({
                "number": 7, "title": title, "state": "open", "comments": 0, "user": {"login": "octocat", "id": 1},
                "html_url": "https://github.com/octocat/hello-world/issues/7",
                "created_at": "2999-01-01T00:00:00Z", "updated_at": "2999-01-01T00:00:00Z",
            }));
            return Reply(0, Vec::new(), String::new());
        }
        if !request.what().ends_with("/issues") {
            return repository(request);
        }
        let issues = issues.lock().unwrap();
        let shown = if shows.load(Ordering::SeqCst) { &issues[..] } else { &[] };
        Reply::json(200, &json!(shown))
    })
}

fn requests(provider: &Provider, first: &str) -> usize {
    provider.requests().iter().filter(|request| request.what() == first).count()
}

#[test]
fn the_same_call_again_finds_what_was_done_and_does_nothing() {
    let shows = Arc::<AtomicBool>::default();
    let provider = forgetful(&shows);
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let [first, second] = [product.serve(), product.serve()];
        let before = requests(&provider, "POST /repos/octocat/hello-world/issues");
        let issue =
            |title: &str| json!({"owner": "octocat", "repo": "hello-world", "title": title});
        shows.store(false, Ordering::SeqCst);
        for server in [&first, &second] {
            let lost = result(server, CREATE, &issue("one"));
            assert!(lost["isError"] == true && text(&lost).contains("unknown_outcome"), "{lost}");
            assert!(text(&lost).contains("does not show it so far"), "{lost}");
        }
        shows.store(true, Ordering::SeqCst);
        let asked = requests(&provider, "GET /repos/octocat/hello-world/issues");
        for server in [&second, &first] {
            let found = result(server, CREATE, &issue("one"));
            assert_eq!(found["structuredContent"]["number"], 7, "{found}");
            assert_eq!(found["_meta"]["dev.resto/repeated"], true, "{found}");
        }
        // What was found out once is kept.
        assert_eq!(requests(&provider, "GET /repos/octocat/hello-world/issues"), asked + 1);
        assert_eq!(requests(&provider, "POST /repos/octocat/hello-world/issues"), before + 1);
        let events = product.json(&["audit", "--json"]);
        let looked: Vec<&Value> = events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["action"] == format!("{CREATE}.reconcile"))
            .map(|event| &event["result_status"])
            .filter(|status| !status.is_null())
            .collect();
        assert_eq!(looked, ["error", "success"]);
        // Another account may be there now: it is not asked for what the one before was told to do.
        shows.store(false, Ordering::SeqCst);
        result(&first, CREATE, &issue("two"));
        product.must(&["connect", "github", "--key-stdin", "--replace"], KEY);
        shows.store(true, Ordering::SeqCst);
        let asked = requests(&provider, "GET /repos/octocat/hello-world/issues");
        let stopped = result(&first, CREATE, &issue("two"));
        assert!(text(&stopped).contains("was connected anew since"), "{stopped}");
        assert_eq!(requests(&provider, "GET /repos/octocat/hello-world/issues"), asked);
        product.must(&["audit", "--verify"], "");
    });
}

/// A Stripe that pays back and loses its answers, and knows what it did by its key.
fn lossy(loses: &Arc<AtomicBool>, paid: &Arc<AtomicU64>) -> Provider {
    let (loses, paid, known) = (Arc::clone(loses), Arc::clone(paid), Mutex::new(HashMap::new()));
    Provider::start(move |request| {
        let paid = paid.load(Ordering::SeqCst);
        let body = match request.what() {
            "GET /v1/account" => json!({"id": "acct_1", "object": "account"}),
            "GET /v1/balance" => {
                json!({"object": "balance", "livemode": false, "available": [], "pending": []})
            }
            "POST /v1/refunds" => {
                let mut known = known.lock().unwrap();
                let number = known.len() + 1;
                let key = request.header("idempotency-key").unwrap().to_owned();
                let number = *known.entry(key).or_insert(number);
                if loses.load(Ordering::SeqCst) {
                    return Reply(0, Vec::new(), String::new());
                }
                json!({
                    "id": format!("re_{number}"), "object": "refund", "amount": 500, "currency": "eur",
                    "status": "succeeded", "created": 1_769_817_600, "payment_intent": "pi_1",
                })
            }
            what => json!({
                "id": what.rsplit('/').next().unwrap(), "object": "payment_intent", "amount": paid, "amount_received": paid,
                "currency": "eur", "status": "succeeded", "created": 1_769_817_600,
            }),
        };
        Reply::json(200, &body)
    })
}

#[test]
fn d1_what_was_approved_is_found_out_without_being_approved_or_spent_again() {
    let (loses, paid) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let provider = lossy(&loses, &paid);
    on_both_with_sql(&provider, |product, sql| {
        product.configure(&format!("[integrations.stripe]\nbase_url = \"{}\"\n", provider.url));
        product.must(&["connect", "stripe", "--key-stdin"], "rk_of_nobody_0123456789");
        let server = product.serve();
        let browser = Browser::of(product, &server, "local");
        let refund = |payment: &str| {
            result(&server, "stripe_refund_payment", &json!({ "payment": payment }))
        };
        let spent = || sql("SELECT SUM(minor) FROM spending").trim().to_owned();
        let approved = |payment: &str| {
            let asked = refund(payment);
            let page = between(text(&asked), "\"url\":\"", "\"");
            let page = page.strip_prefix(server.url.trim_end_matches("/mcp")).unwrap();
            assert_eq!(decide(&browser, page, "approve", "").status(), 200);
            refund(payment)
        };
        paid.store(500, Ordering::SeqCst);
        loses.store(true, Ordering::SeqCst);
        for payment in ["pi_1", "pi_2"] {
            let lost = approved(payment);
            assert!(text(&lost).contains("unknown_outcome"), "{lost}");
        }
        loses.store(false, Ordering::SeqCst);
        let keys = |provider: &Provider| {
            let all = provider.requests().into_iter();
            let refunds = all.filter(|request| request.what() == "POST /v1/refunds");
            let keys = refunds.map(|request| request.header("idempotency-key").unwrap().to_owned());
            keys.collect::<std::collections::BTreeSet<_>>().len()
        };
        let before = keys(&provider);
        let found = refund("pi_1");
        assert_eq!(found["isError"], false, "{found}");
        assert_eq!(found["_meta"]["dev.resto/repeated"], true, "{found}");
        assert_eq!(spent(), "1000");
        // It is dearer now: the provider is not asked whether it knows the key.
        paid.store(501, Ordering::SeqCst);
        let sent = requests(&provider, "POST /v1/refunds");
        let dearer = refund("pi_2");
        assert!(text(&dearer).contains("not what was spent before"), "{dearer}");
        assert_eq!(requests(&provider, "POST /v1/refunds"), sent);
        paid.store(500, Ordering::SeqCst);
        assert_eq!(refund("pi_2")["isError"], false);
        assert_eq!((keys(&provider), spent()), (before, "1000".to_owned()));
    });
}
