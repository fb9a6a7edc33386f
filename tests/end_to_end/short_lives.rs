//! An authorization server that others wrote, whose access lives for five seconds, and which ends the consent of whoever sends
//! a refresh token twice.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::Browser;
use crate::postgres::on_both;
use crate::product::{Product, Server};
use crate::provider::{Provider, repository};
use crate::standin::Tokens;

/// How many lives of an access a story lasts.
const LIVES: u64 = 4;
/// Far more than they take; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(3);
const CALLERS: usize = 12;

fn configure(product: &Product, tokens: &Tokens) {
    let secret = product.path("client-secret");
    std::fs::write(&secret, "plainly-fake").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (url, secret) = (&tokens.url, secret.display());
    product.configure(&format!(
        "[integrations.gmail]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/consent\"\ntoken_url = \"{url}/token\"\n\
         issuer = \"{url}\"\nclient_id = \"gmail\"\nclient_secret_file = \"{secret}\"\n\
         [integrations.gmail.limits]\nrequests = 1000000\nconcurrent = 100\n"
    ));
}

#[test]
fn c8_two_processes_under_load_outlive_many_accesses_without_using_a_refresh_token_twice() {
    // Only the address of a database is made of it.
    let nobody = Provider::github(repository);
    on_both(&nobody, |product| {
        let tokens = Tokens::start();
        configure(product, &tokens);
        let servers: [Server<'_>; 2] = [product.serve(), product.serve()];
        let browser = Browser::of(product, &servers[0], "local");
        let back = Tokens::consent(&browser.consent("gmail"));
        let back: Vec<(&str, &str)> =
            back.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let back = browser.back("gmail", &back);
        assert_eq!(back.status(), 303, "{back:?}");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|n| {
                    let (server, is_over) = (&servers[n % 2], &is_over);
                    scope.spawn(move || {
                        let mut calls = 0;
                        while !is_over.load(Ordering::Relaxed) {
                            let called = server.call(&[], "gmail_get_profile", &json!({}));
                            assert!(called.body.contains("ada@example.com"), "{called:?}");
                            calls += 1;
                        }
                        calls
                    })
                })
                .collect();
            let start = Instant::now();
            while tokens.seen()["renewed"].as_u64().unwrap() < LIVES
                && callers.iter().all(|caller| !caller.is_finished())
                && start.elapsed() < LIMIT
            {
                thread::yield_now();
            }
            is_over.store(true, Ordering::Relaxed);
            let calls: Vec<usize> =
                callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
        });
        let seen = tokens.seen();
        assert!(seen["renewed"].as_u64().unwrap() >= LIVES, "{seen}");
        assert_eq!((&seen["refused"], &seen["ended"]), (&json!(0), &json!(0)), "{seen}");
        product.must(&["audit", "--verify"], "");
    });
}
