//! Operations: nothing unsafe runs twice, and whoever repeats a call is told what came of it.

use resto_vault::{Error, Intent, Outcome, ResultStatus, StoredOutcome};
use serde_json::json;
use uuid::Uuid;

use crate::{
    actions::{NOW, connected, last},
    store::{Store, intent, on_both, outcome},
};

on_both! {
    an_unsafe_action_is_given_an_operation
    of_two_concurrent_calls_of_one_operation_one_executes
    a_repeated_operation_gets_the_stored_outcome
    a_failed_operation_is_not_run_again_either
    an_operation_id_is_not_used_for_something_else
    what_is_found_out_of_an_unknown_outcome_is_told_to_whoever_asks_again
}

async fn an_unsafe_action_is_given_an_operation(store: Store) {
    let (_, scope) = connected(&store).await;
    let params = json!({});
    let safe = scope.begin(intent("read", &params)).await.unwrap();
    assert_eq!(safe.ticket.op_id(), None);
    let unsafe_ = Intent { unsafe_: true, ..intent("pay", &params) };
    let first = scope.begin(unsafe_).await.unwrap();
    let second = scope.begin(unsafe_).await.unwrap();
    assert_ne!(first.ticket.op_id().unwrap(), second.ticket.op_id().unwrap());
    assert_eq!(last(&scope).await.op_id, second.ticket.op_id());
}

async fn of_two_concurrent_calls_of_one_operation_one_executes(store: Store) {
    let (_, scope) = connected(&store).await;
    let second_vault = store.open().await;
    let op_id = Uuid::new_v4();
    let calls = (0..8).map(|n| {
        let scope = if n % 2 == 0 { scope.clone() } else { second_vault.scope(scope.tenant()) };
        tokio::spawn(async move {
            let params = json!({ "amount": 5 });
            let pay = Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
            scope.begin(pay).await
        })
    });
    let mut executing = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(begun) => {
                assert!(begun.repeated.is_none());
                executing += 1;
            }
            Err(error) => {
                assert_eq!(error, Error::OperationInProgress { op_id });
                assert!(error.is_retryable());
            }
        }
    }
    assert_eq!(executing, 1);
    assert_eq!(store.number("SELECT count(*) FROM integration_audit_log").await, 1);
}

async fn a_repeated_operation_gets_the_stored_outcome(store: Store) {
    let (vault, scope) = connected(&store).await;
    let params = json!({ "amount": 5, "currency": "eur" });
    let op_id = Uuid::new_v4();
    let pay = Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
    assert_eq!(scope.outcome(op_id).await.unwrap(), None);
    let begun = scope.begin(pay).await.unwrap();
    assert_eq!(scope.outcome(op_id).await.unwrap(), None);
    let output = json!({ "receipt": 17 });
    let paid = Outcome { output: Some(&output), ..outcome(ResultStatus::Success) };
    scope.finish(begun.ticket, paid).await.unwrap();
    let known = scope.outcome(op_id).await.unwrap().unwrap();
    assert_eq!((known.status, known.output), (ResultStatus::Success, Some(output.clone())));
    scope.disconnect("github", 1).await.unwrap();

    // The same parameters in another order are the same parameters.
    let reordered = json!({ "currency": "eur", "amount": 5 });
    let again = scope.begin(Intent { params: &reordered, ..pay }).await.unwrap();
    assert!(again.connection.is_none());
    let stored = StoredOutcome {
        status: ResultStatus::Success,
        error_message: None,
        output: Some(output.clone()),
    };
    assert_eq!(again.repeated, Some(stored.clone()));
    // What the repeating call reports does not replace what the first one stored.
    scope.finish(again.ticket, outcome(ResultStatus::Error)).await.unwrap();
    // Nor does a repeating call that nobody finishes.
    let third = scope.begin(pay).await.unwrap();
    assert_eq!(third.repeated, Some(stored.clone()));
    drop(third);
    assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 1);
    let succeeded = "SELECT count(*) FROM integration_operations WHERE state = 'succeeded'";
    assert_eq!(store.number(succeeded).await, 1);
    assert_eq!(scope.begin(pay).await.unwrap().repeated, Some(stored));
    assert_eq!(scope.verify_audit().await.unwrap().problems, []);
}

async fn a_failed_operation_is_not_run_again_either(store: Store) {
    let (_, scope) = connected(&store).await;
    let params = json!({});
    for status in [ResultStatus::Error, ResultStatus::Denied, ResultStatus::Unknown] {
        let pay = Intent { unsafe_: true, op_id: Some(Uuid::new_v4()), ..intent("pay", &params) };
        let begun = scope.begin(pay).await.unwrap();
        let failed =
            Outcome { error_message: Some("card_declined\nby the bank"), ..outcome(status) };
        scope.finish(begun.ticket, failed).await.unwrap();
        let repeated = scope.begin(pay).await.unwrap().repeated.unwrap();
        assert_eq!(repeated.status, status);
        assert_eq!(repeated.error_message.as_deref(), Some("card_declinedby the bank"));
    }
}

async fn what_is_found_out_of_an_unknown_outcome_is_told_to_whoever_asks_again(store: Store) {
    let (vault, scope) = connected(&store).await;
    let params = json!({});
    let [lost, died, paid] = [1, 2, 3].map(Uuid::from_u128);
    let pay = |op_id| Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
    let begun = scope.begin(pay(lost)).await.unwrap();
    // While it is under way it is not unknown.
    assert_eq!(scope.unknown_since(lost).await.unwrap(), None);
    scope.finish(begun.ticket, outcome(ResultStatus::Unknown)).await.unwrap();
    let late = scope.begin(pay(died)).await.unwrap();
    assert_eq!(vault.sweep_unfinished(NOW).await.unwrap(), 1);
    // A process that stood still does not know better.
    scope.finish(late.ticket, outcome(ResultStatus::Unknown)).await.unwrap();
    let stranger = vault.scope(vault.create_tenant("other", "Other").await.unwrap().id);
    let receipt = json!({ "receipt": 17 });
    let done = Outcome { output: Some(&receipt), ..outcome(ResultStatus::Success) };
    for op_id in [lost, died] {
        let began = scope.unknown_since(op_id).await.unwrap().unwrap();
        let first = &scope.audit_events(0, 1).await.unwrap()[0];
        assert!(began >= first.executed_at, "{began} {}", first.executed_at);
        assert_eq!(stranger.unknown_since(op_id).await.unwrap(), None);
        stranger.reconcile(op_id, done).await.unwrap();
        assert!(scope.unknown_since(op_id).await.unwrap().is_some());
        scope.reconcile(op_id, done).await.unwrap();
        assert_eq!(scope.unknown_since(op_id).await.unwrap(), None);
        let repeated = scope.begin(pay(op_id)).await.unwrap().repeated.unwrap();
        assert_eq!(
            (repeated.status, repeated.output.as_ref()),
            (ResultStatus::Success, Some(&receipt))
        );
    }
    // What is known stays as it is.
    let begun = scope.begin(pay(paid)).await.unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Error)).await.unwrap();
    scope.reconcile(paid, done).await.unwrap();
    let repeated = scope.begin(pay(paid)).await.unwrap().repeated.unwrap();
    assert_eq!(repeated.status, ResultStatus::Error);
}

async fn an_operation_id_is_not_used_for_something_else(store: Store) {
    let (_, scope) = connected(&store).await;
    let (params, other) = (json!({ "amount": 5 }), json!({ "amount": 6 }));
    let op_id = Uuid::new_v4();
    let pay = Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
    let begun = scope.begin(pay).await.unwrap();
    for changed in [
        Intent { params: &other, ..pay },
        Intent { action: "refund", ..pay },
        Intent { integration_id: "stripe", ..pay },
    ] {
        assert_eq!(scope.begin(changed).await.unwrap_err(), Error::OperationMismatch { op_id });
    }
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    let mismatch = scope.begin(Intent { params: &other, ..pay }).await.unwrap_err();
    assert_eq!(mismatch, Error::OperationMismatch { op_id });
    assert!(!mismatch.is_retryable());
}
