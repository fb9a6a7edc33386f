//! What is spent: no more than the limit, however many spend at once.

use std::time::Duration;

use resto_vault::Spending;
use uuid::Uuid;

use crate::store::{Store, on_both};

on_both! {
    d1_of_many_who_spend_at_once_none_passes_the_limit
    d1_what_was_spent_counts_for_its_time_unless_it_is_taken_back
}

const DAY: Duration = Duration::from_hours(24);
const WHAT: (&str, &str) = ("stripe", "refund_payment");

async fn d1_of_many_who_spend_at_once_none_passes_the_limit(store: Store) {
    let (_vault, scope) = store.tenant().await;
    let other = store.open().await;
    let spenders = (0..8).map(|n| {
        let scope = if n % 2 == 0 { scope.clone() } else { other.scope(scope.tenant()) };
        tokio::spawn(async move {
            scope.spend(Uuid::new_v4(), WHAT, (500, "EUR"), (1700, DAY)).await.unwrap()
        })
    });
    let mut noted = 0;
    for spender in spenders.collect::<Vec<_>>() {
        noted += i64::from(matches!(spender.await.unwrap(), Spending::Noted));
    }
    assert_eq!((noted, scope.spent("EUR", DAY).await.unwrap()), (3, 1500));
}

async fn d1_what_was_spent_counts_for_its_time_unless_it_is_taken_back(store: Store) {
    let (_vault, scope) = store.tenant().await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let spend = async |op_id, amount| {
        let spent = scope.spend(op_id, WHAT, amount, (1000, DAY)).await.unwrap();
        matches!(spent, Spending::Noted)
    };
    assert!(spend(first, (600, "EUR")).await);
    assert!(!spend(second, (401, "EUR")).await);
    // Another currency has a limit of its own.
    assert!(spend(second, (1000, "USD")).await);
    assert_eq!(scope.spent_by(first).await.unwrap(), [(600, "EUR".to_owned())]);
    assert_eq!(scope.spent_by(second).await.unwrap(), [(1000, "USD".to_owned())]);
    scope.unspend(first).await.unwrap();
    assert!(spend(second, (1000, "EUR")).await);
    assert!(!spend(first, (1, "EUR")).await);
    store.move_clock(Duration::from_mins(24 * 60 - 1)).await;
    assert!(!spend(first, (1, "EUR")).await);
    store.move_clock(DAY + Duration::from_secs(1)).await;
    assert!(spend(first, (1000, "EUR")).await);
}
