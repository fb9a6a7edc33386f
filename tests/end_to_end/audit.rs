//! The audit trail against somebody who writes to the database: what `resto audit --verify` finds, and where.

use std::thread;

use serde_json::{Value, json};

use crate::{
    postgres::Database,
    product::Product,
    provider::{Provider, repository},
};

const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

/// Past the guard of the table, as whoever owns the database may, who puts it back.
fn cut(product: &Product, from: i64) {
    product.sql("DROP TRIGGER integration_audit_log_no_delete");
    product.sql(&format!("DELETE FROM integration_audit_log WHERE seq >= {from}"));
    product.sql(
        "CREATE TRIGGER integration_audit_log_no_delete BEFORE DELETE ON integration_audit_log\nBEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    );
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
    product.must(&READ, "");
    product.must(&READ, "");
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

    // Nor would another view be, by the entries alone.
    product.sql("DROP VIEW integration_actions");
    product.sql("CREATE VIEW integration_actions AS SELECT * FROM integration_audit_log");
    let (code, said) = verified(&product);
    assert_eq!((code, &said["problems"]), (Some(1), &json!([])));
    assert_eq!(said["storage"], json!(["The view integration_actions was changed."]));

    // A table made anew may hold what is no number at all.
    for statement in [
        "DROP VIEW integration_actions",
        "CREATE TABLE loose AS SELECT * FROM integration_audit_log",
        "DROP TABLE integration_audit_log",
        "ALTER TABLE loose RENAME TO integration_audit_log",
        "UPDATE integration_audit_log SET seq = 3.5 WHERE seq = 3",
    ] {
        product.sql(statement);
    }
    let refused = product.run(&["audit", "--verify"], "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    for told in [
        "holds what no version of this program wrote",
        "The table integration_audit_log was changed.",
    ] {
        assert!(refused.stderr.contains(told), "{refused:?}");
    }
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

/// A server and commands write one trail at the same time.
fn write_together(product: &Product) {
    let before = product.json(&["audit", "--json"]).as_array().unwrap().len();
    let server = product.serve();
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let answer = server.call(&[], READ[1], &arguments);
                    assert!(answer.body.contains("octocat/hello-world"), "{answer:?}");
                }
            });
            scope.spawn(|| {
                for _ in 0..3 {
                    product.must(&READ, "");
                }
            });
        }
    });
    drop(server);
    let exported = product.json(&["audit", "--json"]);
    let events = exported.as_array().unwrap();
    let reads = events.iter().filter(|event| event["action"] == READ[1]);
    assert_eq!(reads.clone().filter(|event| event["phase"] == "intent").count(), 46);
    assert_eq!(reads.filter(|event| event["result_status"] == "success").count(), 46);
    assert!(events.len() >= before + 92, "{before} events before, {} after", events.len());
    // Each event follows the one before it, whoever wrote that.
    let mut prev_mac = "";
    for (seq, event) in (1..).zip(events) {
        assert_eq!((&event["seq"], &event["prev_mac"]), (&json!(seq), &json!(prev_mac)));
        prev_mac = event["mac"].as_str().unwrap();
        assert_eq!(event["params_hash"].as_str().unwrap().len(), 64);
    }
    let (code, said) = verified(product);
    assert_eq!((code, &said["problems"]), (Some(0), &json!([])), "{said}");
    assert_eq!(said["events"], events.len());
}

#[test]
fn f6_a_server_and_commands_write_one_trail_on_sqlite() {
    let provider = Provider::github(repository);
    write_together(&Product::connected(&provider.url, "github_pat_of_a_test"));
}

#[test]
fn f6_a_server_and_commands_write_one_trail_on_postgres() {
    let Some(database) = Database::new() else { return };
    let provider = Provider::github(repository);
    database.product(&provider, "owner").must(&["migrate"], "");
    let product = database.product(&provider, "serve");
    product.must(&["connect", "github", "--key-stdin"], "github_pat_of_a_test");
    write_together(&product);
}

#[test]
fn f4_whoever_has_the_key_can_check_a_guess_at_what_an_action_was_asked_for() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    product.must(&READ, "");
    let check = |tool: &str, arguments: &str| -> Value {
        let said = product.must(&["audit", "hash", tool, arguments, "--json"], "").stdout;
        serde_json::from_str(&said).unwrap()
    };
    let exported = product.must(&["audit", "--json"], "").stdout;
    let exported: Vec<Value> = serde_json::from_str(&exported).unwrap();
    let read = exported.iter().find(|event| event["action"] == READ[1]).unwrap();
    let same = check(READ[1], r#"{"repo": "hello-world", "owner": "octocat"}"#);
    assert_eq!(same, json!({"params_hashes": [read["params_hash"]], "seqs": [read["seq"]]}));
    for (tool, arguments) in [
        (READ[1], r#"{"owner": "octocat", "repo": "hello-worlds"}"#),
        ("github_list_issues", READ[2]),
    ] {
        let other = check(tool, arguments);
        assert_eq!(other["seqs"], json!([]));
        assert_ne!(other["params_hashes"][0], read["params_hash"]);
    }
    let told = product.must(&["audit", "hash", READ[1], READ[2]], "").stdout;
    assert!(told.contains(READ[1]) && told.contains("success"), "{told}");
}
