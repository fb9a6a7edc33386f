//! A server that is told to stop gives calls under way the time to end, and no more.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::product::Product;
use crate::provider::{Provider, deployment};

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
        std::thread::yield_now();
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
