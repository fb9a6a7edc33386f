//! How often a provider is asked: no more than it allows, by all hosts of one database together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::postgres::on_both;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, answer};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";

/// A configuration with limits of GitHub's other than its own.
pub fn limited(provider: &Provider, limits: &str) -> String {
    format!(
        "[integrations.github]\nbase_url = \"{}\"\n[integrations.github.limits]\n{limits}\n",
        provider.url
    )
}

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

/// What a call was refused with.
#[track_caller]
fn refusal(answer: &Message) -> Value {
    let result = &answer.json()["result"];
    assert_eq!(result["isError"], true, "{result}");
    result["_meta"]["dev.resto/error"].clone()
}

fn succeeded(server: &Server<'_>) -> bool {
    server.call(&[], READ, &hello()).json()["result"]["isError"] != true
}

#[test]
fn e6_two_hosts_keep_one_limit_together() {
    let asked = Arc::<Mutex<Vec<Instant>>>::default();
    let seen = Arc::clone(&asked);
    let provider = Provider::github(move |request| {
        seen.lock().unwrap().push(Instant::now());
        repository(request)
    });
    on_both(&provider, |product| {
        product.configure(&limited(&provider, "requests = 20\nper_seconds = 2\nburst = 5"));
        product.must(&["connect", "github", "--key-stdin"], KEY);
        asked.lock().unwrap().clear();
        let hosts = [product.serve(), product.serve()];
        // Ten times what the limit allows, from the first moment on.
        let refused = AtomicUsize::new(0);
        thread::scope(|scope| {
            for host in hosts.iter().cycle().take(200) {
                scope.spawn(|| {
                    let answer = host.call(&[], READ, &hello());
                    if answer.status() == 429 {
                        refused.fetch_add(1, Ordering::SeqCst);
                    } else if answer.json()["result"]["isError"] == true {
                        let told = refusal(&answer);
                        assert_eq!(told["code"], "rate_limited", "{told}");
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len() + refused.into_inner(), 200);
        // Those who wait for their turn get it: the limit is used, and not passed.
        assert!(asked.len() > 20, "{}", asked.len());
        // What is under way when it is counted comes a little later than it was let through.
        for from in asked.iter() {
            let window = *from..*from + Duration::from_secs(2);
            let within = asked.iter().filter(|at| window.contains(*at)).count();
            assert!(within <= 21, "{within}");
        }
    });
}

#[test]
fn whoever_is_over_the_limit_is_told_when_to_come_back() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    product.configure(&limited(&provider, "requests = 4\nper_seconds = 7200\nburst = 2"));
    product.must(&["connect", "github", "--key-stdin"], KEY);
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    let server = product.serve();
    assert!(succeeded(&server) && succeeded(&server));
    let before = provider.count();
    let told = refusal(&server.call(&[], READ, &hello()));
    assert_eq!(told["code"], "rate_limited", "{told}");
    let wait = told["retry_after_s"].as_u64().unwrap();
    assert!(wait > 3000 && wait <= 3600, "{told}");
    assert!(
        told["message"].as_str().unwrap().contains(&format!("Come back in {wait} s")),
        "{told}"
    );
    assert_eq!(provider.count(), before);
    // A restart does not forget it, and another tenant is not held up.
    drop(server);
    let server = product.serve();
    assert_eq!(refusal(&server.call(&[], READ, &hello()))["code"], "rate_limited");
    product.must(&["--tenant", "acme", "call", READ, &hello().to_string()], "");
}

#[test]
fn e7_all_tenants_together_have_a_limit_too() {
    let provider = Provider::github(repository);
    on_both(&provider, |product| {
        product.configure(&limited(&provider, "per_seconds = 3600\nburst = 10\noverall = 20"));
        let tokens = ["acme", "other"].map(|tenant| {
            product.must(&["tenant", "create", tenant], "");
            product.must(&["--tenant", tenant, "connect", "github", "--key-stdin"], KEY);
            let token = ["--tenant", tenant, "token", "create", "--name", "agent", "--json"];
            product.json(&token)["token"].as_str().unwrap().to_owned()
        });
        let hosts = [product.serve(), product.serve()];
        let call = |host: &Server<'_>, token: &str| {
            let params = json!({"name": READ, "arguments": hello()});
            answer(host.ask(token, "tools/call", READ, params)).json()["result"].clone()
        };
        for (host, token) in hosts.iter().zip(&tokens) {
            assert_eq!(call(host, token)["isError"], false);
        }
        // Each is far from its own limit, and its host let one call through.
        for (host, token) in hosts.iter().zip(&tokens) {
            let refused = call(host, token);
            let told = refused["content"][0]["text"].as_str().unwrap();
            assert!(told.contains("limit for github is reached"), "{refused}");
        }
    });
}

#[test]
fn e8_a_pause_that_the_provider_asks_for_holds_on_every_host() {
    let provider = Provider::github(|request| match request.what() {
        "GET /repos/octocat/busy" => Reply(429, vec![("retry-after", "600".into())], "{}".into()),
        _ => repository(request),
    });
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let (one, other) = (product.serve(), product.serve());
        assert!(succeeded(&one) && succeeded(&other));
        let busy = json!({"owner": "octocat", "repo": "busy"});
        let told = refusal(&one.call(&[], READ, &busy));
        assert_eq!(told["code"], "rate_limited", "{told}");
        let before = provider.count();
        for host in [&one, &other, &product.serve()] {
            let told = refusal(&host.call(&[], READ, &hello()));
            assert_eq!(told["code"], "rate_limited", "{told}");
            let wait = told["retry_after_s"].as_u64().unwrap();
            assert!(wait > 500 && wait <= 600, "{told}");
        }
        assert_eq!(provider.count(), before);
    });
}

#[test]
fn a_provider_that_does_not_work_is_left_alone_and_keeps_nobody_else_waiting() {
    let works = Arc::new(AtomicBool::new(false));
    let is_up = works.clone();
    let provider = Provider::github(move |request| match request.what() {
        "GET /repos/octocat/hello-world" if !is_up.load(Ordering::Relaxed) => {
            Reply(503, Vec::new(), "{}".into())
        }
        _ => repository(request),
    });
    let product = Product::connected(&provider.url, KEY);
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    let mut server = product.serve();
    // Each reads three times before it gives up.
    for _ in 0..2 {
        assert_eq!(refusal(&server.call(&[], READ, &hello()))["code"], "provider_down");
    }
    let before = provider.count();
    let left = refusal(&server.call(&[], READ, &hello()));
    assert_eq!(left["code"], "provider_down", "{left}");
    assert!(left["message"].as_str().unwrap().contains("Nothing was sent."), "{left}");
    assert!((1..=5).contains(&left["retry_after_s"].as_u64().unwrap()), "{left}");
    assert_eq!(provider.count(), before);
    // Another business finds out for itself.
    let of_acme = product.token("acme", "agent");
    let ours = std::mem::replace(&mut server.token, of_acme);
    assert_eq!(refusal(&server.call(&[], READ, &hello()))["code"], "provider_down");
    assert_eq!(provider.count(), before + 3);
    server.token = ours;
    works.store(true, Ordering::Relaxed);
    let start = Instant::now();
    while !succeeded(&server) {
        assert!(start.elapsed() < Duration::from_secs(15), "nobody tries whether it works again");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(succeeded(&server) && succeeded(&server));
}
