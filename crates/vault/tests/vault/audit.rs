//! The audit trail: what verification finds, what it cannot find, and what is never in it.

use std::time::Duration;

use resto_vault::{AuditFilter, Intent, Outcome, ResultStatus, TenantScope};
use serde_json::json;

use crate::{
    actions::connected,
    store::{Store, canary, intent, new_tenant, on_both, outcome},
};

on_both! {
    f6_verification_finds_every_changed_column
    f6_verification_finds_a_removed_an_added_and_a_moved_entry
    f6_verification_cannot_see_a_cut_tail_without_an_anchor
    f6_verification_names_entries_made_with_an_unknown_root_key
    lists_actions_newest_first_and_in_pages
    f2_a_view_shows_one_line_for_each_action_with_the_designs_columns
    f3_nothing_of_parameters_and_outputs_is_in_the_trail
    f4_keeps_parameters_as_a_hash_of_the_tenants_own
    f7_takes_no_line_breaks_and_no_endless_text
}

/// A tenant with `count` events of two entries each.
pub async fn trail(store: &Store, count: usize) -> TenantScope {
    let (_, scope) = store.tenant().await;
    let params = json!({});
    for n in 0..count {
        let integration_id = if n % 2 == 0 { "github" } else { "vercel" };
        let failed = Outcome { error_message: Some("code: text"), ..outcome(ResultStatus::Error) };
        let event = Intent { integration_id, ..intent("read", &params) };
        scope.record_event(event, failed).await.unwrap();
    }
    scope
}

pub async fn problems(scope: &TenantScope) -> Vec<i64> {
    let found = scope.verify_audit().await.unwrap();
    found.problems.into_iter().map(|problem| problem.seq).collect()
}

async fn f6_verification_finds_every_changed_column(store: Store) {
    let scope = trail(&store, 3).await;
    assert_eq!(problems(&scope).await, Vec::<i64>::new());
    store.tamper("CREATE TABLE before AS SELECT * FROM integration_audit_log WHERE seq = 4").await;
    let id = |n: u8| {
        let hex = format!("{n:02x}").repeat(16);
        if store.is_postgres() { format!("'{hex}'") } else { format!("x'{hex}'") }
    };
    let bytes = |text: &str| {
        if store.is_postgres() { format!("'\\x{text}'::BYTEA") } else { format!("x'{text}'") }
    };
    let other_id = id(7);
    for (column, value) in [
        ("id", other_id.as_str()),
        ("integration_id", "'stripe'"),
        ("action", "'pay'"),
        ("params_hash", "'00'"),
        ("result_status", "'success'"),
        ("executed_at", "'2020-01-01T00:00:00.000000Z'"),
        ("duration_ms", "5"),
        ("error_message", "NULL"),
        ("phase", "'reconciled'"),
        ("intent_id", other_id.as_str()),
        ("actor", "'someone else'"),
        ("op_id", other_id.as_str()),
        ("generation", "3"),
        ("key_id", "'00'"),
        ("prev_mac", &bytes("00")),
        ("mac", &bytes("00")),
    ] {
        let changed = store
            .tamper(&format!("UPDATE integration_audit_log SET {column} = {value} WHERE seq = 4"))
            .await;
        assert_eq!(changed, 1);
        let found = problems(&scope).await;
        assert_eq!(found.first(), Some(&4), "{column}");
        store
            .tamper("DELETE FROM integration_audit_log WHERE seq = 4; INSERT INTO integration_audit_log SELECT * FROM before")
            .await;
        assert_eq!(problems(&scope).await, Vec::<i64>::new());
    }
}

async fn f6_verification_finds_a_removed_an_added_and_a_moved_entry(store: Store) {
    let scope = trail(&store, 4).await;
    store.tamper("CREATE TABLE before AS SELECT * FROM integration_audit_log").await;
    let restore =
        "DELETE FROM integration_audit_log; INSERT INTO integration_audit_log SELECT * FROM before";

    store.tamper("DELETE FROM integration_audit_log WHERE seq IN (3, 4)").await;
    let found = scope.verify_audit().await.unwrap().problems;
    assert_eq!(found[0].seq, 5);
    assert_eq!(found[0].what, "Entries 3 to 4 are missing.");

    store.tamper(restore).await;
    store.tamper("DELETE FROM integration_audit_log WHERE seq = 1").await;
    assert_eq!(problems(&scope).await, [2]);

    // A copy of an old entry put at the end, as if the action had happened again.
    store.tamper(restore).await;
    store
        .tamper("UPDATE before SET seq = 9 WHERE seq = 3; DELETE FROM integration_audit_log WHERE seq = 3; INSERT INTO integration_audit_log SELECT * FROM before WHERE seq = 9; UPDATE before SET seq = 3 WHERE seq = 9")
        .await;
    assert_eq!(problems(&scope).await, [4, 9, 9]);

    // Two neighbours change places.
    store.tamper(restore).await;
    for (from, to) in [(5, 50), (6, 5), (50, 6)] {
        store
            .tamper(&format!("UPDATE integration_audit_log SET seq = {to} WHERE seq = {from}"))
            .await;
    }
    assert!(problems(&scope).await.starts_with(&[5]));

    store.tamper(restore).await;
    assert_eq!(problems(&scope).await, Vec::<i64>::new());
}

async fn f6_verification_cannot_see_a_cut_tail_without_an_anchor(store: Store) {
    let scope = trail(&store, 3).await;
    store.tamper("DELETE FROM integration_audit_log WHERE seq > 4").await;
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems.len()), (4, 0));
}

async fn f6_verification_names_entries_made_with_an_unknown_root_key(store: Store) {
    let scope = trail(&store, 1).await;
    store.tamper("UPDATE integration_audit_log SET key_id = 'feed' WHERE seq = 2").await;
    let found = scope.verify_audit().await.unwrap().problems;
    assert_eq!(found.len(), 1);
    assert!(found[0].what.contains("an unknown root key, feed"), "{}", found[0].what);
}

async fn lists_actions_newest_first_and_in_pages(store: Store) {
    let scope = trail(&store, 5).await;
    let seqs = async |integration: Option<&str>, limit, before_seq| {
        let filter = AuditFilter { integration: integration.map(str::to_owned), limit, before_seq };
        let listed = scope.audit(filter).await.unwrap();
        listed.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(None, 10, None).await, [9, 7, 5, 3, 1]);
    assert_eq!(seqs(None, 2, None).await, [9, 7]);
    assert_eq!(seqs(None, 2, Some(7)).await, [5, 3]);
    assert_eq!(seqs(Some("vercel"), 10, None).await, [7, 3]);
    assert_eq!(seqs(Some("stripe"), 10, None).await, Vec::<i64>::new());
    let raw = scope.audit_events(3, 4).await.unwrap();
    assert_eq!(raw.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5, 6, 7]);
}

async fn f2_a_view_shows_one_line_for_each_action_with_the_designs_columns(store: Store) {
    let (vault, scope) = connected(&store).await;
    let params = json!({});
    let begin = async |action| scope.begin(intent(action, &params)).await.unwrap().ticket;
    let failed = Outcome { error_message: Some("code: text"), ..outcome(ResultStatus::Error) };
    let late = begin("late").await;
    drop(begin("lost").await);
    vault.sweep_unfinished(Duration::ZERO).await.unwrap();
    scope.finish(late, outcome(ResultStatus::Success)).await.unwrap();
    scope.finish(begin("failed").await, failed).await.unwrap();
    let running = begin("running").await;

    let line = async |action: &str, condition: &str| {
        let of = format!("FROM integration_actions WHERE action = '{action}'");
        assert_eq!(store.number(&format!("SELECT count(*) {of}")).await, 1, "{action}");
        assert_eq!(
            store.number(&format!("SELECT count(*) {of} AND {condition}")).await,
            1,
            "{action}"
        );
    };
    // The last word counts: it was found out, after it had been unknown.
    line("late", "result_status = 'success' AND duration_ms >= 0").await;
    line("lost", "result_status = 'unknown' AND error_message LIKE 'interrupted%'").await;
    line("failed", "result_status = 'error' AND error_message = 'code: text'").await;
    line("running", "result_status IS NULL AND duration_ms IS NULL AND length(params_hash) = 64")
        .await;
    assert_eq!(store.number("SELECT count(*) FROM integration_actions").await, 4);
    scope.finish(running, outcome(ResultStatus::Denied)).await.unwrap();
    line("running", "result_status = 'denied' AND duration_ms >= 0").await;

    let columns = store.columns("integration_actions").await;
    let designed = [
        ("id", "uuid"),
        ("tenant_id", "uuid"),
        ("integration_id", "character varying(50)"),
        ("action", "character varying(100)"),
        ("params_hash", "character varying(64)"),
        ("result_status", "character varying(20)"),
        ("executed_at", "timestamp with time zone"),
        ("duration_ms", "integer"),
        ("error_message", "text"),
    ];
    for ((name, kind), column) in designed.into_iter().zip(columns) {
        let kind = if store.is_postgres() { kind } else { "" };
        assert_eq!(column, format!("{name} {kind}").trim_end());
    }
}

async fn f4_keeps_parameters_as_a_hash_of_the_tenants_own(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    let hash = async |scope: &TenantScope, action: &str, params: serde_json::Value| {
        let event = Intent { connection: resto_vault::Needs::Nothing, ..intent(action, &params) };
        scope.record_event(event, outcome(ResultStatus::Success)).await.unwrap();
        let filter = AuditFilter { limit: 1, ..AuditFilter::default() };
        scope.audit(filter).await.unwrap().remove(0).params_hash
    };
    let params = json!({ "amount": 734_512, "to": { "b": 1, "a": [1, 2] } });
    let first = hash(&scope, "pay", params.clone()).await;
    assert_eq!(first.len(), 64);
    let reordered = json!({ "to": { "a": [1, 2], "b": 1 }, "amount": 734_512 });
    assert_eq!(hash(&scope, "pay", reordered).await, first);
    assert_ne!(hash(&scope, "refund", params.clone()).await, first);
    assert_ne!(hash(&other, "pay", params.clone()).await, first);
    assert_ne!(hash(&scope, "pay", json!({ "amount": 734_513 })).await, first);
    assert!(!store.dump_holds(b"734512").await);
}

async fn f3_nothing_of_parameters_and_outputs_is_in_the_trail(store: Store) {
    let (_, scope) = connected(&store).await;
    let [params, output, rate] = [canary(), canary(), canary()];
    let (params, output) = (json!({ "name": params, params: [{}] }), json!({ "body": output }));
    let rate_limits = json!({ "core": rate });
    let paid = Outcome {
        output: Some(&output),
        rate_limits: Some(&rate_limits),
        error_message: Some("code: said by us"),
        ..outcome(ResultStatus::Error)
    };
    for unsafe_ in [false, true] {
        let begun = scope.begin(Intent { unsafe_, ..intent("pay", &params) }).await.unwrap();
        scope.finish(begun.ticket, paid).await.unwrap();
    }
    scope.record_event(intent("pay", &params), paid).await.unwrap();
    let events = scope.audit_events(0, 10).await.unwrap();
    assert_eq!(events.len(), 6);
    assert!(!format!("{events:?}").contains("canary-"));
    // What was learnt of the connection is beside it, and nothing else is anywhere.
    assert!(store.dump_holds(rate.as_bytes()).await);
    for text in [&params["name"], &output["body"]] {
        assert!(!store.dump_holds(text.as_str().unwrap().as_bytes()).await);
    }
}

async fn f7_takes_no_line_breaks_and_no_endless_text(store: Store) {
    let (_, scope) = store.tenant().await;
    let params = json!({});
    let text = format!("code: a\r\nforged line\u{2028}\u{202e}\u{1b}[31m{}", "x".repeat(600));
    let failed = Outcome { error_message: Some(&text), ..outcome(ResultStatus::Error) };
    let event = Intent { actor: "eve\nroot\0", ..intent("read", &params) };
    scope.record_event(event, failed).await.unwrap();
    let filter = AuditFilter { limit: 1, ..AuditFilter::default() };
    let entry = scope.audit(filter).await.unwrap().remove(0);
    assert_eq!(entry.actor, "everoot");
    let message = entry.error_message.unwrap();
    assert!(message.starts_with("code: aforged line[31mxxx"), "{message}");
    assert_eq!(message.chars().count(), 512);
    assert_eq!(problems(&scope).await, Vec::<i64>::new());
}

#[tokio::test]
async fn f6_verification_names_entries_that_hide_behind_how_sqlite_stores_them() {
    let store = Store::sqlite();
    let scope = trail(&store, 3).await;
    store.tamper("CREATE TABLE before AS SELECT * FROM integration_audit_log WHERE seq = 4").await;
    for (change, said) in [
        ("id = x'00'", "holds what no version"),
        ("executed_at = 'yesterday'", "holds what no version"),
        ("action = action || char(31) || actor", "was changed"),
        ("error_message = error_message || char(30)", "was changed"),
        ("actor = actor || CAST(x'00' AS TEXT) || 'root'", "was changed"),
        ("error_message = '0'", "was changed"),
    ] {
        let update = format!("UPDATE integration_audit_log SET {change} WHERE seq = 4");
        assert_eq!(store.tamper(&update).await, 1, "{change}");
        let found = scope.verify_audit().await.unwrap();
        assert_eq!((found.events, found.problems.len()), (6, 1), "{change}: {found:?}");
        assert_eq!(found.problems[0].seq, 4, "{change}");
        assert!(found.problems[0].what.contains(said), "{change}: {found:?}");
        store
            .tamper("DELETE FROM integration_audit_log WHERE seq = 4; INSERT INTO integration_audit_log SELECT * FROM before")
            .await;
        assert_eq!(problems(&scope).await, Vec::<i64>::new());
    }
}
