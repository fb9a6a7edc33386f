//! The same call again: within two minutes it is told what came of the first, later it runs anew; an outcome is kept for a week.

use std::time::Duration;

use resto_vault::{Intent, Outcome, ResultStatus, TenantScope, Vault};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    actions::{NOW, connected},
    store::{Store, intent, on_both, outcome},
};

on_both! {
    d1_the_same_call_is_the_same_operation_for_two_minutes
    d1_a_call_of_unknown_outcome_stays_the_same_and_a_failed_one_does_not
    d1_an_outcome_is_told_for_a_week_and_then_the_operation_runs_anew
}

const SECOND: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_hours(7 * 24);
const A_MINUTE_LESS: Duration = Duration::from_mins(7 * 24 * 60 - 1);

fn params() -> Value {
    json!({ "amount": 5 })
}

/// The operation that a call of this principal is, if it were made now.
async fn claimed(scope: &TenantScope, whose: &str) -> (Uuid, bool) {
    let print = scope.call_print(whose, "pay", &params()).unwrap();
    let new = Uuid::new_v4();
    let op_id = scope.claim_call(&print, new).await.unwrap();
    (op_id, op_id == new)
}

/// Begins an operation; what came of it before, or what it comes to now.
async fn run(scope: &TenantScope, op_id: Uuid, status: ResultStatus) -> Option<Value> {
    let params = params();
    let pay = Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
    let begun = scope.begin(pay).await.unwrap();
    let Some(before) = begun.repeated else {
        let output = json!({ "receipt": op_id });
        let paid = Outcome { output: Some(&output), ..outcome(status) };
        scope.finish(begun.ticket, paid).await.unwrap();
        return None;
    };
    scope.finish(begun.ticket, outcome(before.status)).await.unwrap();
    before.output
}

async fn connected_since(store: &Store) -> (Vault, TenantScope) {
    let (vault, scope) = connected(store).await;
    store.move_clock(Duration::ZERO).await;
    (vault, scope)
}

async fn d1_the_same_call_is_the_same_operation_for_two_minutes(store: Store) {
    let (_vault, scope) = connected_since(&store).await;
    let (first, is_new) = claimed(&scope, "alice").await;
    assert!(is_new);
    assert_eq!(run(&scope, first, ResultStatus::Success).await, None);
    assert!(claimed(&scope, "bob").await.1, "another principal's call is another");
    // The clock runs on while the test does: half of the time is left for it.
    store.move_clock(SECOND * 60).await;
    assert_eq!(claimed(&scope, "alice").await, (first, false));
    assert_eq!(
        run(&scope, first, ResultStatus::Success).await,
        Some(json!({ "receipt": first })),
        "the stored outcome"
    );
    store.move_clock(SECOND * 120).await;
    let (second, is_new) = claimed(&scope, "alice").await;
    assert!(is_new && second != first);
    assert_eq!(run(&scope, second, ResultStatus::Success).await, None, "it runs anew");
    // Whoever names the first operation is told of that one all the same.
    let told = run(&scope, first, ResultStatus::Success).await;
    assert_eq!(told, Some(json!({ "receipt": first })));
}

async fn d1_a_call_of_unknown_outcome_stays_the_same_and_a_failed_one_does_not(store: Store) {
    let (_vault, scope) = connected_since(&store).await;
    let (lost, _) = claimed(&scope, "alice").await;
    run(&scope, lost, ResultStatus::Unknown).await;
    let (failed, _) = claimed(&scope, "bob").await;
    run(&scope, failed, ResultStatus::Error).await;
    assert!(claimed(&scope, "bob").await.1, "what failed is tried anew at once");
    store.move_clock(A_MINUTE_LESS).await;
    assert_eq!(claimed(&scope, "alice").await, (lost, false));
}

async fn d1_an_outcome_is_told_for_a_week_and_then_the_operation_runs_anew(store: Store) {
    let (vault, scope) = connected_since(&store).await;
    let op_id = Uuid::new_v4();
    assert_eq!(run(&scope, op_id, ResultStatus::Success).await, None);
    store.move_clock(A_MINUTE_LESS).await;
    vault.sweep_unfinished(NOW).await.unwrap();
    let told = run(&scope, op_id, ResultStatus::Success).await;
    assert_eq!(told, Some(json!({ "receipt": op_id })));
    assert!(scope.has_operation(op_id).await.unwrap());
    store.move_clock(WEEK).await;
    vault.sweep_unfinished(NOW).await.unwrap();
    assert!(!scope.has_operation(op_id).await.unwrap());
    assert_eq!(scope.outcome(op_id).await.unwrap(), None);
    assert_eq!(run(&scope, op_id, ResultStatus::Success).await, None, "it runs anew");
}
