//! What destroys keys and bytes: rotation and disconnection.

use resto_vault::{Error, KeyState, ResultStatus};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    connections::{open, token},
    store::{Store, canary, intent, new_connection, new_tenant, on_both, outcome},
};

on_both! {
    a_disconnect_leaves_no_bytes
    a_rotation_seals_everything_anew
    a_value_that_was_changed_outside_does_not_stop_a_disconnect
}

async fn a_disconnect_leaves_no_bytes(store: Store) {
    let (_, scope) = store.tenant().await;
    let kept = canary();
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.connect(new_connection("vercel", &kept)).await.unwrap();
    let blob = store
        .bytes("SELECT encrypted_credentials FROM integration_credentials WHERE integration_id = 'github'")
        .await;
    let wrapped = store.bytes("SELECT wrapped FROM tenant_keys WHERE state = 'active'").await;
    assert!(store.dump_holds(&blob).await && store.dump_holds(&wrapped).await);

    assert!(scope.disconnect("github").await.unwrap());
    // Past the first bytes, which every sealed value has.
    assert!(!store.dump_holds(&blob[22..]).await);
    assert!(!store.dump_holds(&blob[blob.len() - 64..]).await);
    assert!(!store.dump_holds(&wrapped[22..]).await);
    assert!(!store.dump_holds(&wrapped[wrapped.len() - 32..]).await);
    assert_eq!(scope.connection("github").await.unwrap(), None);
    assert_eq!(token(&scope, "vercel").await, kept);
    assert!(!scope.disconnect("github").await.unwrap());
}

async fn a_rotation_seals_everything_anew(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    other.connect(new_connection("github", "of-other")).await.unwrap();
    scope.connect(new_connection("github", "of-acme")).await.unwrap();
    scope.put_secret("dns", &"secret".to_owned().into()).await.unwrap();
    scope
        .put_record("quotes", "1", &json!(1), Some(std::time::Duration::from_mins(10)))
        .await
        .unwrap();
    let params = json!({});
    let op_id = Some(uuid::Uuid::new_v4());
    let unsafe_intent = resto_vault::Intent { unsafe_: true, op_id, ..intent("pay", &params) };
    let begun = scope.begin(unsafe_intent).await.unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();

    let before = scope.keys().await.unwrap();
    assert_eq!((before.len(), before[0].sealed, before[0].state), (1, 4, KeyState::Active));
    let rotation = scope.rotate_key().await.unwrap();
    assert_eq!(rotation.rewrapped, 4);
    assert_ne!(rotation.key_id, before[0].key_id);
    let after = scope.keys().await.unwrap();
    let find = |id: &str| after.iter().find(|key| key.key_id == id).unwrap();
    assert_eq!(
        (find(&rotation.key_id).sealed, find(&rotation.key_id).state),
        (4, KeyState::Active)
    );
    assert_eq!(
        (find(&before[0].key_id).sealed, find(&before[0].key_id).state),
        (0, KeyState::Destroyed)
    );

    assert_eq!(token(&scope, "github").await, "of-acme");
    assert_eq!(scope.secret("dns").await.unwrap().unwrap().expose_secret(), "secret");
    assert_eq!(scope.record("quotes", "1").await.unwrap(), Some(json!(1)));
    assert!(scope.begin(unsafe_intent).await.unwrap().repeated.is_some());
    assert_eq!(token(&other, "github").await, "of-other");
    assert_eq!(other.keys().await.unwrap().len(), 1);
}

async fn a_value_that_was_changed_outside_does_not_stop_a_disconnect(store: Store) {
    let (_, scope) = store.tenant().await;
    let kept = canary();
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.connect(new_connection("gitlab", &canary())).await.unwrap();
    scope.connect(new_connection("vercel", &kept)).await.unwrap();
    store
        .tamper("UPDATE integration_credentials SET generation = 5 WHERE integration_id = 'gitlab'")
        .await;
    assert!(scope.disconnect("github").await.unwrap());
    assert_eq!(token(&scope, "vercel").await, kept);
    assert_eq!(open(&scope, "gitlab").await, Err(Error::CannotOpen));
}
