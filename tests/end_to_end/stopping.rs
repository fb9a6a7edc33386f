//! A server that is told to stop gives calls under way the time to end, and no more.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::postgres::on_both;
use crate::product::Product;
use crate::provider::{Provider, deployment, repository};
use crate::wire::answer;

/// How long calls may take to end.
const DRAIN: Duration = Duration::from_secs(30);

#[test]
fn a_call_that_does_not_end_holds_a_server_up_for_half_a_minute() {
    let provider = Provider::start(|request| deployment(request, "BUILDING"));
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.vercel]\nbase_url = \"{}\"\n", provider.url));
    product.must(&["connect", "vercel", "--key-stdin"], "token_of_a_test");
    let mut server = product.serve();
    let authorization = format!("Bearer {}", server.token);
    let before = provider.count();
    // It waits for a deployment that is built for ever.
    let _waits = server.open(
        &[("authorization", &authorization)],
        "vercel_wait_for_deployment",
        &json!({"deployment": "dpl_1"}),
    );
    while provider.count() == before {
        thread::yield_now();
    }
    let start = Instant::now();
    assert!(server.process.terminate().success());
    let took = start.elapsed();
    assert!(DRAIN <= took && took < 3 * DRAIN, "{took:?}");
    assert!(
        server.process.said().contains("still under way after 30 s"),
        "{}",
        server.process.said()
    );
    // As if more than the minute had gone by, in which its process would have said that it goes on.
    product.sql("UPDATE open_intents SET alive_at = alive_at - 61000");
    let trail = product.json(&["audit", "--json"]);
    let last = trail.as_array().unwrap().last().unwrap();
    assert_eq!(last["action"], "vercel_wait_for_deployment", "{last}");
    // It is told to give up in the end, and may have the time to say so.
    let status = last["result_status"].as_str();
    assert!(matches!(status, Some("error" | "unknown")), "{last}");
}

/// Says so when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn servers_are_replaced_one_after_the_other_and_no_call_fails() {
    let provider = Provider::github(repository);
    on_both(&provider, |product| {
        product.configure(&format!(
            "[integrations.github]\nbase_url = \"{}\"\n[integrations.github.limits]\nrequests = 100000000\n",
            provider.url
        ));
        product.must(&["connect", "github", "--key-stdin"], "github_pat_of_a_test");
        // As whatever stands before them knows them.
        let servers = [product.serve(), product.serve()].map(RwLock::new);
        let (is_over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        let arguments = json!({"owner": "octocat", "repo": "hello-world"});
        let before = provider.count();
        thread::scope(|scope| {
            for caller in 0..24 {
                let (servers, arguments, is_over, calls) = (&servers, &arguments, &is_over, &calls);
                scope.spawn(move || {
                    for server in servers.iter().cycle().skip(caller) {
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        let server = server.read().unwrap();
                        let authorization = format!("Bearer {}", server.token);
                        let headers = [("authorization", authorization.as_str())];
                        let asked = server.open(&headers, "github_get_repository", arguments);
                        // Sent, and perhaps not even taken yet.
                        drop(server);
                        let answered = answer(asked).json();
                        let name = &answered["result"]["structuredContent"]["full_name"];
                        assert_eq!(name, "octocat/hello-world", "{answered}");
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            // However this ends, so do they.
            let _over = Over(&is_over);
            for place in servers.iter().cycle().take(6) {
                let so_far = calls.load(Ordering::Relaxed);
                let new = product.serve();
                let mut old = std::mem::replace(&mut *place.write().unwrap(), new);
                assert!(old.process.terminate().success(), "{}", old.process.said());
                let start = Instant::now();
                while calls.load(Ordering::Relaxed) < so_far + 8 {
                    assert!(start.elapsed() < DRAIN, "nobody is answered any more");
                    thread::yield_now();
                }
            }
        });
        let calls = calls.into_inner();
        assert_eq!(provider.count() - before, calls);
        let trail = product.trail("local");
        let read = trail.iter().filter(|(_, action, _)| action == "github_get_repository");
        assert_eq!(read.filter(|(_, _, status)| status == "success").count(), calls);
        product.must(&["audit", "--verify"], "");
    });
}
