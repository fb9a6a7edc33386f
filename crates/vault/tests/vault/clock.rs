//! The time is that of the database, whatever this machine's clock says.

use std::time::Duration;

use resto_vault::ResultStatus;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    actions::connected,
    store::{Store, intent, on_both, outcome},
};

on_both! {
    an_access_token_that_is_looked_up_tells_the_time
    an_action_that_begins_tells_the_time
}

/// By how much the database's clock is set ahead of this machine's.
const AHEAD: Duration = Duration::from_hours(2);

/// Whether the vault's time is as far ahead as the database's.
fn is_ahead(now: OffsetDateTime) -> bool {
    (now - OffsetDateTime::now_utc() - AHEAD).abs() < Duration::from_hours(1)
}

async fn an_access_token_that_is_looked_up_tells_the_time(store: Store) {
    let (vault, scope) = store.tenant().await;
    let owner = scope.principal("local", "owner").await.unwrap();
    let (_, token) = scope.create_token(owner.id, "agent", "all", None).await.unwrap();
    store.move_clock(AHEAD).await;
    assert!(!is_ahead(vault.now()));
    let token = secrecy::ExposeSecret::expose_secret(&token);
    assert!(vault.authenticate(token).await.unwrap().is_some());
    assert!(is_ahead(vault.now()));
    // A vault that is opened asks.
    assert!(is_ahead(store.open().await.now()));
}

async fn an_action_that_begins_tells_the_time(store: Store) {
    let (vault, scope) = connected(&store).await;
    store.move_clock(AHEAD).await;
    let params = json!({});
    let begun = scope.begin(intent("read", &params)).await.unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    assert!(is_ahead(vault.now()));
}
