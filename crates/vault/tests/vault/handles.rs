//! Handles: sessions, and links that work once.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::store::{Store, on_both};

on_both! {
    a7_a_handle_leads_to_its_tenant_and_its_document
    a7_a_handle_works_once_and_before_its_end
    a_handle_outlives_the_exchange_of_the_root_key
    a8_the_database_does_not_hold_a_handle
}

const TEN_MINUTES: Duration = Duration::from_mins(10);

async fn a7_a_handle_leads_to_its_tenant_and_its_document(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(vault.create_tenant("other", "Other").await.unwrap().id);
    let handle = scope.put_handle("session", &json!("owner"), TEN_MINUTES).await.unwrap();
    let found = vault.scope_of_handle(&handle).unwrap();
    assert_eq!(found.tenant(), scope.tenant());
    assert_eq!(found.handle("session", &handle).await.unwrap(), Some(json!("owner")));
    assert_eq!(found.handle("sign-in", &handle).await.unwrap(), None);
    assert_eq!(other.handle("session", &handle).await.unwrap(), None);
    // Its random half under another tenant's name is another handle.
    let moved = handle.expose_secret().replace(
        &scope.tenant().to_string().replace('-', ""),
        &other.tenant().to_string().replace('-', ""),
    );
    assert_ne!(moved, handle.expose_secret());
    assert_eq!(other.handle("session", &SecretString::from(moved)).await.unwrap(), None);
    // And so is one of the same tenant that somebody guessed.
    let (known, last) = handle.expose_secret().split_at(handle.expose_secret().len() - 1);
    let guessed = format!("{known}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(scope.handle("session", &SecretString::from(guessed)).await.unwrap(), None);
    for strange in ["", "x", &"z".repeat(75), &"0".repeat(76), &"\u{e4}".repeat(40)] {
        assert!(vault.scope_of_handle(&SecretString::from(strange)).is_none(), "{strange}");
    }
}

async fn a7_a_handle_works_once_and_before_its_end(store: Store) {
    let (_, scope) = store.tenant().await;
    let handle = scope.put_handle("state", &json!(1), TEN_MINUTES).await.unwrap();
    let takers = (0..8).map(|_| {
        let (scope, handle) = (scope.clone(), handle.clone());
        tokio::spawn(async move { scope.take_handle("state", &handle).await.unwrap() })
    });
    let mut got = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        got.extend(taker.await.unwrap());
    }
    assert_eq!(got, [json!(1)]);
    let late = scope.put_handle("state", &json!(2), Duration::ZERO).await.unwrap();
    assert_eq!(scope.handle("state", &late).await.unwrap(), None);
    assert_eq!(scope.take_handle("state", &late).await.unwrap(), None);
}

async fn a_handle_outlives_the_exchange_of_the_root_key(store: Store) {
    let (_, scope) = store.tenant().await;
    let handle = scope.put_handle("session", &json!("owner"), TEN_MINUTES).await.unwrap();
    let vault = store.open_with(store.ring("next").accepting(store.keyring())).await.unwrap();
    let scope = vault.scope_of_handle(&handle).unwrap();
    assert_eq!(scope.handle("session", &handle).await.unwrap(), Some(json!("owner")));
    assert_eq!(scope.take_handle("session", &handle).await.unwrap(), Some(json!("owner")));
}

async fn a8_the_database_does_not_hold_a_handle(store: Store) {
    let (_, scope) = store.tenant().await;
    let handle = scope.put_handle("session", &json!(1), TEN_MINUTES).await.unwrap();
    let random = &handle.expose_secret()[32..];
    let records = scope.records("session", None, 10).await.unwrap();
    assert_eq!(records.len(), 1);
    assert!(!records[0].0.contains(random) && records[0].0.len() == 64, "{}", records[0].0);
}
