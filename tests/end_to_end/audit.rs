//! The audit trail against somebody who writes to the database: what `resto audit --verify` finds, and where.

use serde_json::{Value, json};

use crate::{
    product::Product,
    provider::{Provider, repository},
};

/// Past the guard of the table, as whoever owns the database may.
fn cut(product: &Product, from: i64) {
    product.sql("DROP TRIGGER IF EXISTS integration_audit_log_no_delete");
    product.sql(&format!("DELETE FROM integration_audit_log WHERE seq >= {from}"));
}

fn verified(product: &Product) -> (Option<i32>, Value) {
    let finished = product.run(&["audit", "--verify", "--json"], "");
    let said = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {finished:?}"));
    (finished.status.code(), said)
}

#[test]
fn f6_a_cut_tail_is_found_at_its_exact_place_by_the_anchors_of_commands_that_ended() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let read = ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];
    product.must(&read, "");
    product.must(&read, "");
    let whole = product.must(&["audit", "--verify"], "").stdout;
    assert!(whole.contains("Whole. 6 events") && whole.contains("up to event 6"), "{whole}");

    cut(&product, 5);
    let (code, said) = verified(&product);
    assert_eq!((code, &said["events"]), (Some(1), &json!(4)));
    assert_eq!(said["problems"][0]["seq"], 5);
    let what = said["problems"][0]["what"].as_str().unwrap();
    assert!(what.starts_with("Entries 5 to 6 were cut off the end"), "{what}");

    // Who also takes the anchors away is not seen, and that is said.
    std::fs::remove_file(product.path("audit-anchors.jsonl")).unwrap();
    let blind = product.must(&["audit", "--verify"], "").stdout;
    assert!(blind.contains("No anchor outside the database"), "{blind}");
}

#[test]
fn f6_a_file_of_anchors_that_was_named_and_cannot_be_written_is_refused() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let before = std::fs::read_to_string(product.path("config.toml")).unwrap();
    product.configure(&format!("audit_anchors = \"/proc/anchors.jsonl\"\n{before}"));
    let refused = product.run(&["connections"], "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("/proc/anchors.jsonl, cannot be written"), "{refused:?}");
}
