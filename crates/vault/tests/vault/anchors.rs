//! Anchors outside the database: what they show that the trail itself cannot.

use std::{fs::OpenOptions, io::Write, path::PathBuf, sync::Arc, time::Duration};

use resto_vault::{AnchorFile, Anchors, Intent, Needs, ResultStatus, TenantScope, Vault};
use serde_json::json;

use crate::store::{Store, intent, new_tenant, on_both, outcome};

on_both! {
    f6_an_anchor_shows_where_the_tail_was_cut_off
    f6_an_anchor_shows_that_a_cut_tail_was_written_anew
    f6_a_hundred_entries_are_anchored_while_the_program_runs
    f6_what_the_sweeper_adds_is_anchored_without_another_call
    f6_half_a_line_in_the_file_of_anchors_spoils_no_other
}

const LIMIT: Duration = Duration::from_mins(1);

fn file(store: &Store) -> PathBuf {
    store.dir.path().join("anchors.jsonl")
}

async fn anchored(store: &Store) -> Vault {
    let anchors = AnchorFile::open(&file(store)).unwrap();
    store.open().await.anchored(Arc::new(anchors))
}

async fn write(scope: &TenantScope, events: usize) {
    let params = json!({});
    for _ in 0..events {
        scope.record_event(intent("read", &params), outcome(ResultStatus::Success)).await.unwrap();
    }
}

/// The places of what is wrong, and what is said of the first.
async fn problems(scope: &TenantScope) -> (Vec<i64>, String) {
    let found = scope.verify_audit().await.unwrap().problems;
    let said = found.first().map(|problem| problem.what.clone()).unwrap_or_default();
    (found.iter().map(|problem| problem.seq).collect(), said)
}

/// A trail of six entries whose last one is anchored, seen by a program that started later.
async fn six_entries(store: &Store) -> (Vault, TenantScope) {
    let vault = anchored(store).await;
    let tenant = new_tenant(&vault, "acme").await.id;
    write(&vault.scope(tenant), 3).await;
    vault.close().await;
    let vault = anchored(store).await;
    let scope = vault.scope(tenant);
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.anchored, verified.problems), (6, 6, vec![]));
    (vault, scope)
}

async fn f6_an_anchor_shows_where_the_tail_was_cut_off(store: Store) {
    let (vault, scope) = six_entries(&store).await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    write(&other, 1).await;
    let other_id = store.id(&scope);
    let cut = format!("DELETE FROM integration_audit_log WHERE tenant_id = {other_id} AND seq");
    store.tamper(&format!("{cut} > 4")).await;
    let (at, said) = problems(&scope).await;
    assert_eq!(at, [5]);
    assert!(said.starts_with("Entries 5 to 6 were cut off the end: 6 was there at "), "{said}");
    store.tamper(&format!("{cut} > 0")).await;
    let (at, said) = problems(&scope).await;
    assert_eq!(at, [1]);
    assert!(said.starts_with("Entries 1 to 6 were cut off"), "{said}");
    // An anchor is of one tenant.
    assert_eq!(problems(&other).await.0, Vec::<i64>::new());
    // Without its anchors, the program cannot see it.
    assert_eq!(problems(&store.open().await.scope(scope.tenant())).await.0, Vec::<i64>::new());
}

async fn f6_an_anchor_shows_that_a_cut_tail_was_written_anew(store: Store) {
    let (_, scope) = six_entries(&store).await;
    store.tamper("DELETE FROM integration_audit_log WHERE seq > 4").await;
    write(&scope, 2).await;
    let (at, said) = problems(&scope).await;
    assert_eq!(at, [6]);
    assert!(said.starts_with("It is not the entry that was there at "), "{said}");
}

async fn f6_a_hundred_entries_are_anchored_while_the_program_runs(store: Store) {
    let vault = anchored(&store).await;
    let scope = vault.scope(new_tenant(&vault, "acme").await.id);
    let kept = AnchorFile::open(&file(&store)).unwrap();
    write(&scope, 49).await;
    let params = json!({});
    let free = Intent { connection: Needs::Nothing, ..intent("read", &params) };
    let begun = scope.begin(free).await.unwrap();
    assert_eq!(kept.kept(scope.tenant()).unwrap(), []);
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    let appears = async {
        while kept.kept(scope.tenant()).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, appears).await.unwrap();
    assert_eq!(kept.kept(scope.tenant()).unwrap()[0].seq, 100);
    assert_eq!(scope.verify_audit().await.unwrap().anchored, 100);
}

async fn f6_what_the_sweeper_adds_is_anchored_without_another_call(store: Store) {
    let vault = anchored(&store).await;
    let scope = vault.scope(new_tenant(&vault, "acme").await.id);
    let params = json!({});
    let free = Intent { connection: Needs::Nothing, ..intent("read", &params) };
    drop(scope.begin(free).await.unwrap());
    vault.close().await;
    // A program that starts after the one that was stopped, and that nobody calls.
    let vault = anchored(&store).await;
    assert_eq!(vault.sweep_unfinished(Duration::ZERO).await.unwrap(), 1);
    vault.close().await;
    let scope = anchored(&store).await.scope(scope.tenant());
    assert_eq!(scope.verify_audit().await.unwrap().anchored, 2);
    store.tamper("DELETE FROM integration_audit_log WHERE seq = 2").await;
    assert_eq!(problems(&scope).await.0, [2]);
}

async fn f6_half_a_line_in_the_file_of_anchors_spoils_no_other(store: Store) {
    let (vault, scope) = six_entries(&store).await;
    let mut half = OpenOptions::new().append(true).open(file(&store)).unwrap();
    half.write_all(b"{\"tenant\":\"").unwrap();
    write(&scope, 1).await;
    vault.close().await;
    let scope = anchored(&store).await.scope(scope.tenant());
    assert_eq!(scope.verify_audit().await.unwrap().anchored, 8);
    store.tamper("DELETE FROM integration_audit_log WHERE seq = 8").await;
    assert_eq!(problems(&scope).await.0, [8]);
}
