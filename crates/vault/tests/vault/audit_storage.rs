//! The audit trail against somebody who makes its table, its view or its indexes anew.

use resto_vault::{AuditFilter, ResultStatus, TenantScope, Vault};
use serde_json::json;

use crate::{
    audit::{problems, trail},
    store::{Store, intent, on_both, outcome},
};

on_both! {
    f6_a_row_of_no_tenant_hides_no_result
}

/// The same rows in a table without any constraint, and without indexes.
const LOOSE: &str = "
    CREATE TABLE loose AS SELECT * FROM integration_audit_log; DROP TABLE integration_audit_log;
    PRAGMA legacy_alter_table = ON; ALTER TABLE loose RENAME TO integration_audit_log";

const SAVE: &str =
    "DROP TABLE IF EXISTS before; CREATE TABLE before AS SELECT * FROM integration_audit_log";
const RESTORE: &str =
    "DELETE FROM integration_audit_log; INSERT INTO integration_audit_log SELECT * FROM before";

#[tokio::test]
async fn f6_verification_names_an_entry_whose_values_lie_in_other_columns() {
    let store = Store::sqlite();
    let scope = trail(&store, 3).await;
    store.tamper(LOOSE).await;
    store.tamper(SAVE).await;
    assert_eq!(problems(&scope).await, Vec::<i64>::new());
    // Each leaves its place to the value before it.
    for (into, column) in [
        ("id", "phase"),
        ("intent_id", "integration_id"),
        ("integration_id", "action"),
        ("error_message", "actor"),
        ("generation", "key_id"),
    ] {
        let update = format!(
            "UPDATE integration_audit_log SET {into} = coalesce({into}, '') || char(31) || {column}, {column} = NULL WHERE seq = 4"
        );
        assert_eq!(store.tamper(&update).await, 1, "{column}");
        assert_eq!(problems(&scope).await.first(), Some(&4), "{column}");
        store.tamper(RESTORE).await;
    }
    // One entry is a part of the one before it, and shows what it likes.
    store
        .tamper(
            "UPDATE integration_audit_log SET key_id = key_id || char(31) || hex(mac) || char(30) || (
                SELECT concat_ws(char(31), seq, hex(prev_mac), hex(id), phase, '1' || hex(intent_id), integration_id, action,
                    params_hash, '1' || result_status, executed_at, '0', '1' || error_message, actor, '0', '0', key_id)
                FROM before WHERE seq = 4), mac = (SELECT mac FROM before WHERE seq = 4) WHERE seq = 3;
            UPDATE integration_audit_log SET key_id = NULL, result_status = 'success' WHERE seq = 4",
        )
        .await;
    let found = problems(&scope).await;
    assert!(found.contains(&3) && found.contains(&4), "{found:?}");
}

#[tokio::test]
async fn f6_verification_names_what_is_wrong_wherever_a_part_of_the_trail_ends() {
    let store = Store::sqlite();
    // A part is 1000 entries, or half of them where that is more: two cores read two parts.
    let scope = trail(&store, 1002).await;
    store.tamper(LOOSE).await;
    store.tamper(SAVE).await;
    for seq in [1, 999, 1000, 1001, 1002, 1003, 1004, 1999, 2000, 2001, 2004] {
        let twice =
            format!("INSERT INTO integration_audit_log SELECT * FROM before WHERE seq = {seq}");
        assert_eq!(store.tamper(&twice).await, 1);
        assert_eq!(problems(&scope).await, [seq], "{seq}");
        store.tamper(RESTORE).await;
        let changed =
            format!("UPDATE integration_audit_log SET actor = 'another' WHERE seq = {seq}");
        assert_eq!(store.tamper(&changed).await, 1);
        assert_eq!(problems(&scope).await, [seq], "{seq}");
        store.tamper(RESTORE).await;
        let gone = format!("DELETE FROM integration_audit_log WHERE seq = {seq}");
        assert_eq!(store.tamper(&gone).await, 1);
        // Nothing in a trail remembers its end.
        let shows: &[i64] = if seq == 2004 { &[] } else { &[seq + 1] };
        assert_eq!(problems(&scope).await, shows, "{seq}");
        store.tamper(RESTORE).await;
    }
    let whole = scope.verify_audit().await.unwrap();
    assert_eq!((whole.events, whole.problems.len()), (2004, 0));
    for seq in [0, -1, i64::MIN, i64::MAX, i64::MAX - 3] {
        store.tamper(&format!("INSERT INTO integration_audit_log SELECT * FROM before WHERE seq = 1; UPDATE integration_audit_log SET seq = {seq} WHERE rowid = last_insert_rowid()")).await;
        assert_eq!(problems(&scope).await.last(), Some(&seq), "{seq}");
        store.tamper(RESTORE).await;
    }
}

#[tokio::test]
async fn f6_verification_goes_on_after_an_entry_that_is_no_text() {
    let store = Store::sqlite();
    let scope = trail(&store, 3).await;
    store
        .tamper("UPDATE integration_audit_log SET actor = CAST(x'ff' AS TEXT) WHERE seq = 4")
        .await;
    assert_eq!(problems(&scope).await.first(), Some(&4));
}

async fn f6_a_row_of_no_tenant_hides_no_result(store: Store) {
    let (_, scope) = store.tenant().await;
    let params = json!({});
    scope.record_event(intent("read", &params), outcome(ResultStatus::Denied)).await.unwrap();
    let id = "07".repeat(16);
    let id = if store.is_postgres() { format!("'{id}'") } else { format!("x'{id}'") };
    let added = store
        .tamper(&format!(
            "INSERT INTO integration_audit_log (id, tenant_id, integration_id, action, params_hash, result_status, executed_at, seq,
                phase, intent_id, actor, key_id, prev_mac, mac)
            SELECT {id}, {id}, integration_id, action, params_hash, 'success', executed_at, 99, phase, intent_id, actor, key_id,
                prev_mac, mac FROM integration_audit_log WHERE seq = 2"
        ))
        .await;
    assert_eq!(added, 1);
    let filter = AuditFilter { integration: None, limit: 9, before_seq: None };
    let shown = scope.audit(filter).await.unwrap();
    assert_eq!((shown.len(), shown[0].result_status), (1, Some(ResultStatus::Denied)));
}

async fn faults(vault: &Vault) -> String {
    vault.audit_storage_faults().await.unwrap().join("\n")
}

async fn stored() -> (Store, Vault, TenantScope) {
    let store = Store::sqlite();
    let (vault, scope) = store.tenant().await;
    let params = json!({});
    for _ in 0..3 {
        scope.record_event(intent("read", &params), outcome(ResultStatus::Success)).await.unwrap();
    }
    (store, vault, scope)
}

#[tokio::test]
async fn f6_a_table_or_view_that_was_made_anew_is_a_fault() {
    let (store, vault, _) = stored().await;
    assert_eq!(faults(&vault).await, "");
    // It takes the triggers away.
    store
        .tamper("DROP VIEW integration_actions; CREATE VIEW integration_actions AS SELECT 1")
        .await;
    let found = faults(&vault).await;
    for said in [
        "The view integration_actions was changed.",
        "The trigger integration_audit_log_no_delete is gone.",
        "The trigger integration_audit_log_no_update is gone.",
    ] {
        assert!(found.contains(said), "{found}");
    }
    assert_eq!(found.lines().count(), 3, "{found}");
    store
        .tamper("CREATE TRIGGER quiet AFTER INSERT ON Integration_Audit_Log BEGIN SELECT 1; END")
        .await;
    assert!(faults(&vault).await.contains("The trigger quiet is none of this program's."));
    store.tamper(LOOSE).await;
    let found = faults(&vault).await;
    assert!(found.contains("The table integration_audit_log was changed."), "{found}");
    assert!(found.contains("The index integration_audit_log_results is gone."), "{found}");
}

#[tokio::test]
async fn f6_rows_and_indexes_that_their_definitions_forbid_are_a_fault() {
    let (store, vault, scope) = stored().await;
    // The definition is put back when the rows are as somebody wants them.
    for (name, part, change, said) in [
        ("integration_audit_log", ") STRICT", "phase = CAST(phase AS BLOB) WHERE seq = 4", "phase"),
        (
            "integration_audit_log",
            ") STRICT",
            "intent_id = hex(intent_id) WHERE seq = 4",
            "intent_id",
        ),
        (
            "integration_audit_log_results",
            "IS NOT NULL",
            "duration_ms = 1 WHERE seq = 4",
            "integration_audit_log_results",
        ),
    ] {
        store.tamper(SAVE).await;
        let kept =
            format!("CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = '{name}'");
        store.tamper(&kept).await;
        let rewrite = |to: &str| {
            format!(
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = {to} WHERE name = '{name}'; PRAGMA writable_schema = RESET"
            )
        };
        if name.ends_with("results") {
            let none = "DROP INDEX integration_audit_log_results;
                CREATE INDEX integration_audit_log_results ON integration_audit_log (intent_id) WHERE intent_id IS NULL";
            store.tamper(none).await;
        } else {
            store.tamper(&rewrite(&format!("replace(sql, '{part}', ')')"))).await;
        }
        let change = format!("UPDATE integration_audit_log SET {change}");
        store.tamper(&format!("PRAGMA ignore_check_constraints = ON; {change}")).await;
        store.tamper(&rewrite("(SELECT sql FROM kept)")).await;
        let found = faults(&vault).await;
        assert!(!found.contains("changed") && found.contains(said), "{found}");
        if name.ends_with("results") {
            store.tamper("REINDEX integration_audit_log_results").await;
        }
        store.tamper(RESTORE).await;
        store.tamper("DROP TABLE kept").await;
        let found = faults(&vault).await;
        assert!(found.lines().all(|fault| fault.contains("trigger")), "{found}");
    }
    assert_eq!(problems(&scope).await, Vec::<i64>::new());
}
