//! The two halves of an action: nothing runs without a durable intent, and everything ends.

use std::time::Duration;

use resto_vault::{AuditFilter, Error, Intent, Needs, Outcome, ResultStatus, TenantScope, Vault};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::time::timeout;
use uuid::Uuid;

use crate::store::{Store, canary, intent, new_connection, new_tenant, on_both, outcome};

on_both! {
    f1_writes_the_intent_before_and_the_result_after
    f1_refuses_to_begin_when_the_audit_cannot_be_written
    an_event_is_one_entry_with_its_result
    f2_an_action_that_nobody_finished_ends_as_unknown
    f2_an_action_under_way_is_not_unknown_however_long_it_takes
    f2_a_result_that_comes_after_all_is_reconciled
    f2_one_tenant_that_cannot_be_swept_does_not_keep_the_others_from_it
    sweeps_what_expired_and_nothing_else
    f6_many_actions_at_once_keep_one_chain
}

pub const NOW: Duration = Duration::ZERO;
/// Three times as long as a tenant's lock is waited for.
const LIMIT: Duration = Duration::from_secs(15);

pub async fn connected(store: &Store) -> (Vault, TenantScope) {
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    (vault, scope)
}

fn unconnected(params: &Value) -> Intent<'_> {
    Intent { connection: Needs::Nothing, ..intent("read", params) }
}

pub async fn last(scope: &TenantScope) -> resto_vault::AuditEntry {
    let filter = AuditFilter { limit: 1, ..AuditFilter::default() };
    scope.audit(filter).await.unwrap().remove(0)
}

async fn f1_writes_the_intent_before_and_the_result_after(store: Store) {
    let (_, scope) = connected(&store).await;
    let params = json!({ "repo": "hello" });
    let begun = scope.begin(intent("get_repository", &params)).await.unwrap();
    let entry = last(&scope).await;
    assert_eq!(entry.id, begun.ticket.intent_id());
    assert_eq!((entry.action.as_str(), entry.actor.as_str()), ("get_repository", "agent:claude"));
    assert_eq!((entry.result_status, entry.duration_ms), (None, None));
    assert_eq!(entry.params_hash.len(), 64);
    let (connection, sealed) = begun.connection.unwrap();
    assert_eq!(connection.account_name, "octocat");
    assert_eq!(sealed.open().unwrap().host, "api.github.com");

    let failed = Outcome {
        error_message: Some("not_found: no such repository"),
        ..outcome(ResultStatus::Error)
    };
    scope.finish(begun.ticket, failed).await.unwrap();
    let finished = last(&scope).await;
    assert_eq!(finished.id, entry.id);
    assert_eq!(finished.executed_at, entry.executed_at);
    assert_eq!(finished.result_status, Some(ResultStatus::Error));
    assert_eq!(finished.error_message.as_deref(), Some("not_found: no such repository"));
    assert!(finished.duration_ms.is_some());
    assert_eq!(store.number("SELECT count(*) FROM open_intents").await, 0);

    let events = scope.audit_events(0, 10).await.unwrap();
    let phases: Vec<_> = events.iter().map(|event| event.phase.as_str()).collect();
    assert_eq!(phases, ["intent", "result"]);
    assert_eq!(events[1].intent_id, Some(events[0].id));
    assert_eq!(events[0].generation, Some(1));
}

async fn f1_refuses_to_begin_when_the_audit_cannot_be_written(store: Store) {
    let (_, scope) = connected(&store).await;
    if store.is_postgres() {
        store.tamper("REVOKE INSERT ON integration_audit_log FROM resto_audit").await;
    } else {
        store
            .tamper(
                "CREATE TRIGGER full BEFORE INSERT ON integration_audit_log
                 BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
            )
            .await;
    }
    let params = json!({});
    let pay = Intent { unsafe_: true, op_id: Some(Uuid::new_v4()), ..intent("pay", &params) };
    for refused in [intent("read", &params), pay] {
        let error = scope.begin(refused).await.unwrap_err();
        assert!(matches!(error, Error::Database { .. }), "{error}");
    }
    let denied = scope.record_event(intent("pay", &params), outcome(ResultStatus::Denied)).await;
    assert!(matches!(denied, Err(Error::Database { .. })));
    for table in ["integration_audit_log", "open_intents", "integration_operations"] {
        assert_eq!(store.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
}

async fn an_event_is_one_entry_with_its_result(store: Store) {
    let (_, scope) = store.tenant().await;
    let params = json!({ "integration": "github" });
    let denied = Outcome {
        error_message: Some("policy: spending is denied to agents"),
        ..outcome(ResultStatus::Denied)
    };
    let event = Intent {
        integration_id: "resto",
        connection: Needs::Nothing,
        ..intent("connect", &params)
    };
    scope.record_event(event, denied).await.unwrap();
    let entry = last(&scope).await;
    assert_eq!(
        (entry.integration_id.as_str(), entry.result_status),
        ("resto", Some(ResultStatus::Denied))
    );
    assert_eq!(entry.error_message.as_deref(), denied.error_message);
    assert_eq!(scope.verify_audit().await.unwrap().events, 2);
    let long = "x".repeat(101);
    let refused = scope.record_event(Intent { action: &long, ..event }, denied).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
}

async fn f2_an_action_that_nobody_finished_ends_as_unknown(store: Store) {
    let (vault, scope) = connected(&store).await;
    let params = json!({});
    let op_id = Uuid::new_v4();
    let pay = Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
    // The ticket is lost, as in a crash.
    drop(scope.begin(pay).await.unwrap());
    drop(scope.begin(intent("read", &params)).await.unwrap());
    assert_eq!(vault.sweep_unfinished(Duration::from_hours(1)).await.unwrap(), 0);
    assert_eq!(last(&scope).await.result_status, None);

    assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 2);
    assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 0);
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    for entry in scope.audit(filter).await.unwrap() {
        assert_eq!(entry.result_status, Some(ResultStatus::Unknown));
        assert!(entry.error_message.unwrap().starts_with("interrupted"));
    }
    // It is not run again before somebody finds out.
    let repeated = scope.begin(pay).await.unwrap().repeated.unwrap();
    assert_eq!(repeated.status, ResultStatus::Unknown);
    assert_eq!(scope.verify_audit().await.unwrap().problems, []);
}

async fn f2_an_action_under_way_is_not_unknown_however_long_it_takes(store: Store) {
    let (vault, scope) = connected(&store).await;
    let other = store.open().await;
    let params = json!({});
    let begun = scope.begin(intent("wait", &params)).await.unwrap();
    let hour_ago = "UPDATE open_intents SET alive_at = alive_at - 3600000";
    let minute = Duration::from_mins(1);
    for _ in 0..2 {
        assert_eq!(store.tamper(hour_ago).await, 1);
        assert_eq!(vault.sweep_unfinished(minute).await.unwrap(), 0);
        assert_eq!(other.sweep_unfinished(minute).await.unwrap(), 0);
    }
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    assert_eq!(last(&scope).await.result_status, Some(ResultStatus::Success));

    // Nobody can finish it when its ticket is lost.
    drop(scope.begin(intent("wait", &params)).await.unwrap());
    assert_eq!(store.tamper(hour_ago).await, 1);
    assert_eq!(vault.sweep_unfinished(minute).await.unwrap(), 1);
    assert_eq!(last(&scope).await.result_status, Some(ResultStatus::Unknown));
}

async fn f2_one_tenant_that_cannot_be_swept_does_not_keep_the_others_from_it(store: Store) {
    let (vault, first) = connected(&store).await;
    let mut scopes = vec![first];
    for name in ["other", "third"] {
        scopes.push(vault.scope(new_tenant(&vault, name).await.id));
    }
    let params = json!({});
    for scope in &scopes {
        drop(scope.begin(unconnected(&params)).await.unwrap());
    }
    // Each of them in its turn, whichever is swept first.
    for (broken, scope) in scopes.iter().enumerate() {
        let refusing = if store.is_postgres() {
            format!(
                "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.tenant_id = {} THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT ON integration_audit_log FOR EACH ROW EXECUTE FUNCTION refuse()",
                store.id(scope)
            )
        } else {
            format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON integration_audit_log WHEN NEW.tenant_id = {}
                 BEGIN SELECT RAISE(ABORT, 'not this one'); END",
                store.id(scope)
            )
        };
        store.tamper(&refusing).await;
        let error = vault.sweep_unfinished(NOW).await.unwrap_err();
        assert!(error.to_string().contains("not this one"), "{error}");
        for (n, scope) in scopes.iter().enumerate() {
            let ended = (n != broken).then_some(ResultStatus::Unknown);
            assert_eq!(last(scope).await.result_status, ended, "{n} while {broken} is broken");
        }
        let mended = if store.is_postgres() {
            "DROP TRIGGER refuse ON integration_audit_log; DROP FUNCTION refuse()"
        } else {
            "DROP TRIGGER refuse"
        };
        store.tamper(mended).await;
        assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 1);
        for scope in &scopes {
            drop(scope.begin(unconnected(&params)).await.unwrap());
        }
    }
}

async fn f2_a_result_that_comes_after_all_is_reconciled(store: Store) {
    let (vault, scope) = connected(&store).await;
    let params = json!({});
    let pay = Intent { unsafe_: true, op_id: Some(Uuid::new_v4()), ..intent("pay", &params) };
    let begun = scope.begin(pay).await.unwrap();
    assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 1);
    let output = json!({ "receipt": 17 });
    let paid = Outcome { output: Some(&output), ..outcome(ResultStatus::Success) };
    scope.finish(begun.ticket, paid).await.unwrap();
    assert_eq!(last(&scope).await.result_status, Some(ResultStatus::Success));
    let events = scope.audit_events(0, 10).await.unwrap();
    let phases: Vec<_> = events.iter().map(|event| event.phase.as_str()).collect();
    assert_eq!(phases, ["intent", "result", "reconciled"]);
    let repeated = scope.begin(pay).await.unwrap().repeated.unwrap();
    assert_eq!((repeated.status, repeated.output), (ResultStatus::Success, Some(output)));
}

async fn sweeps_what_expired_and_nothing_else(store: Store) {
    let (vault, scope) = connected(&store).await;
    scope.put_record("quotes", "gone", &json!(1), Some(Duration::ZERO)).await.unwrap();
    scope.put_record("quotes", "soon", &json!(1), Some(Duration::from_mins(10))).await.unwrap();
    scope.put_record("quotes", "kept", &json!(1), None).await.unwrap();
    let params = json!({});
    for _ in 0..2 {
        let pay = Intent { unsafe_: true, ..intent("pay", &params) };
        let begun = scope.begin(pay).await.unwrap();
        scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    }
    let one = "UPDATE integration_operations SET expires_at = 1 WHERE op_id = (SELECT min(op_id::TEXT)::UUID FROM integration_operations)";
    let one = if store.is_postgres() { one.to_owned() } else { one.replace("::TEXT)::UUID", ")") };
    store.tamper(&one).await;
    vault.sweep_unfinished(NOW).await.unwrap();
    assert_eq!(store.number("SELECT count(*) FROM records").await, 2);
    assert_eq!(store.number("SELECT count(*) FROM integration_operations").await, 1);
    let week = store.number("SELECT expires_at - started_at FROM integration_operations").await;
    assert!((604_800_000..604_860_000).contains(&week), "{week}");
}

async fn f6_many_actions_at_once_keep_one_chain(store: Store) {
    let (_, scope) = connected(&store).await;
    let calls = (0..40).map(|_| {
        let scope = scope.clone();
        tokio::spawn(async move {
            let params = json!({});
            let begun = scope.begin(intent("read", &params)).await.unwrap();
            scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems.len()), (80, 0));
}

#[tokio::test]
async fn f2_a_result_survives_a_database_that_falters_once() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let (_, scope) = connected(&store).await;
    let params = json!({});
    let begun = scope.begin(intent("read", &params)).await.unwrap();
    // A sequence is not rolled back: the first attempt fails with a serialisation failure, the second does not.
    store
        .tamper(
            "CREATE SEQUENCE attempts; GRANT USAGE ON SEQUENCE attempts TO resto_audit;
             CREATE FUNCTION falter() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('public.attempts') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '40001'; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER falter BEFORE INSERT ON integration_audit_log FOR EACH ROW EXECUTE FUNCTION falter()",
        )
        .await;
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    assert_eq!(store.number("SELECT last_value FROM attempts").await, 2);
    assert_eq!(last(&scope).await.result_status, Some(ResultStatus::Success));
    assert_eq!(scope.verify_audit().await.unwrap().events, 2);
}

#[tokio::test]
async fn f2_one_tenant_that_stays_locked_does_not_keep_the_others_from_being_swept() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let (vault, first) = connected(&store).await;
    let second = vault.scope(new_tenant(&vault, "other").await.id);
    let params = json!({});
    for scope in [&first, &second] {
        drop(scope.begin(unconnected(&params)).await.unwrap());
    }
    let mut other = store.admin_options().connect().await.unwrap();
    let lock = format!("SELECT pg_advisory_lock(hashtextextended('{}', 0))", first.tenant());
    other.execute(AssertSqlSafe(lock)).await.unwrap();
    let error = timeout(LIMIT, vault.sweep_unfinished(NOW)).await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(last(&second).await.result_status, Some(ResultStatus::Unknown));
    assert_eq!(last(&first).await.result_status, None);
    other.execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 1);
    other.close().await.unwrap();
}
