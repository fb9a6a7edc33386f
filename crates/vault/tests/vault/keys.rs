//! What destroys keys and bytes: rotation and disconnection.

use resto_vault::{Cipher, Error, KeyState, Keyring, ResultStatus, Vault};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    children,
    connections::{open, token},
    store::{Store, canary, intent, new_connection, new_tenant, on_both, outcome},
};

on_both! {
    b8_a_disconnect_leaves_no_bytes
    b7_a_rotation_seals_everything_anew
    b7_a_rotation_that_was_killed_changed_nothing_and_can_be_repeated
    a_value_that_was_changed_outside_does_not_stop_a_disconnect
    b8_a_deleted_tenant_leaves_no_bytes
    b8_an_older_backup_of_the_rows_cannot_be_opened
    f9_opening_values_of_too_many_tenants_freezes_the_vault_and_raises_an_alert
}

async fn b8_a_disconnect_leaves_no_bytes(store: Store) {
    let (_, scope) = store.tenant().await;
    let kept = canary();
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.connect(new_connection("vercel", &kept)).await.unwrap();
    let blob = store
        .bytes("SELECT encrypted_credentials FROM integration_credentials WHERE integration_id = 'github'")
        .await;
    let wrapped = store.bytes("SELECT wrapped FROM tenant_keys WHERE state = 'active'").await;
    assert!(store.dump_holds(&blob).await && store.dump_holds(&wrapped).await);

    assert!(scope.disconnect("github", 1).await.unwrap());
    // Past the first bytes, which every sealed value has.
    assert!(!store.dump_holds(&blob[22..]).await);
    assert!(!store.dump_holds(&blob[blob.len() - 64..]).await);
    assert!(!store.dump_holds(&wrapped[22..]).await);
    assert!(!store.dump_holds(&wrapped[wrapped.len() - 32..]).await);
    assert_eq!(scope.connection("github").await.unwrap(), None);
    assert_eq!(token(&scope, "vercel").await, kept);
    assert!(!scope.disconnect("github", 1).await.unwrap());
}

async fn b7_a_rotation_seals_everything_anew(store: Store) {
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

async fn b7_a_rotation_that_was_killed_changed_nothing_and_can_be_repeated(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", "token")).await.unwrap();
    scope.put_secret("dns", &"secret".to_owned().into()).await.unwrap();
    scope.put_record("quotes", "1", &json!(1), None).await.unwrap();
    let all_open = async || {
        assert_eq!(token(&scope, "github").await, "token");
        assert_eq!(scope.secret("dns").await.unwrap().unwrap().expose_secret(), "secret");
        assert_eq!(scope.record("quotes", "1").await.unwrap(), Some(json!(1)));
    };
    let before = scope.keys().await.unwrap();
    // Records come last, when the old key is destroyed already.
    children::stall(&store, "records", &scope).await;
    let mut child = children::start(&store, "keys::rotates_as_a_child");
    children::wait_until_stalled(&store, "SELECT 1 FROM tenant_secrets WHERE name = 'begun'").await;
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed, and not ended");
    children::let_go(&store, "records").await;

    let after = scope.keys().await.unwrap();
    assert_eq!((after.len(), &after[0].key_id), (1, &before[0].key_id));
    assert_eq!(after[0].state, KeyState::Active);
    all_open().await;
    assert_eq!(scope.rotate_key().await.unwrap().rewrapped, 4);
    all_open().await;
    assert!(scope.alerts(9).await.unwrap().is_empty());
}

/// What a child process of the story above does.
#[tokio::test]
#[ignore = "a child process of b7_a_rotation_that_was_killed_changed_nothing_and_can_be_repeated"]
async fn rotates_as_a_child() {
    let Some((url, keys)) = children::parent() else { return };
    let ring = Keyring::from_file(&keys.join("root.key"), None).unwrap();
    let vault = Vault::open(&url, ring, Cipher::default()).await.unwrap();
    let scope = vault.scope(vault.tenant("acme").await.unwrap().unwrap().id);
    scope.put_secret("begun", &"x".to_owned().into()).await.unwrap();
    scope.rotate_key().await.unwrap();
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
    assert!(scope.disconnect("github", 1).await.unwrap());
    assert_eq!(token(&scope, "vercel").await, kept);
    assert_eq!(open(&scope, "gitlab").await, Err(Error::CannotOpen));
}

async fn b8_a_deleted_tenant_leaves_no_bytes(store: Store) {
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.put_secret("dns", &canary().into()).await.unwrap();
    scope.put_record("quotes", "1", &json!(canary()), None).await.unwrap();
    let mut blobs = Vec::new();
    for column in [
        "encrypted_credentials FROM integration_credentials",
        "sealed FROM tenant_secrets",
        "sealed FROM records",
        "wrapped FROM tenant_keys",
    ] {
        blobs.push(store.bytes(&format!("SELECT {column}")).await);
    }
    for blob in &blobs {
        assert!(store.dump_holds(&blob[22..54]).await);
    }
    vault.delete_tenant(scope.tenant()).await.unwrap();
    for blob in &blobs {
        assert!(!store.dump_holds(&blob[22..54]).await, "the salt, which no other blob has");
        assert!(!store.dump_holds(&blob[blob.len() - 32..]).await);
    }
}

async fn b8_an_older_backup_of_the_rows_cannot_be_opened(store: Store) {
    let (vault, scope) = store.tenant().await;
    let kept = canary();
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.connect(new_connection("vercel", &kept)).await.unwrap();
    store.tamper("CREATE TABLE backup AS SELECT * FROM integration_credentials").await;
    let restore =
        "INSERT INTO integration_credentials SELECT * FROM backup WHERE integration_id = 'github'";
    assert!(scope.disconnect("github", 1).await.unwrap());
    store.tamper(restore).await;
    assert_eq!(open(&scope, "github").await, Err(Error::CannotOpen));
    assert_eq!(token(&scope, "vercel").await, kept);

    // Of a deleted tenant, the rows come back as well, and its keys do not.
    store.tamper("CREATE TABLE tenants_backup AS SELECT * FROM tenants").await;
    vault.delete_tenant(scope.tenant()).await.unwrap();
    store.tamper("INSERT INTO tenants SELECT * FROM tenants_backup").await;
    store.tamper("INSERT INTO integration_credentials SELECT * FROM backup").await;
    for integration in ["github", "vercel"] {
        assert_eq!(open(&scope, integration).await, Err(Error::CannotOpen), "{integration}");
    }
}

async fn f9_opening_values_of_too_many_tenants_freezes_the_vault_and_raises_an_alert(store: Store) {
    let (vault, acme) = store.tenant().await;
    acme.put_secret("dns", &"secret".to_owned().into()).await.unwrap();
    acme.put_record("quotes", "1", &json!(1), None).await.unwrap();
    acme.connect(new_connection("github", &canary())).await.unwrap();
    let last = vault.scope(new_tenant(&vault, "last").await.id);
    last.put_secret("dns", &"secret".to_owned().into()).await.unwrap();
    // With these and the first, as many as a process may serve within a minute. Whether they have something to open does
    // not matter: it is who is asked for that counts.
    store
        .tamper(if store.is_postgres() {
            "INSERT INTO tenants SELECT gen_random_uuid(), 'bulk-' || n, 'x', 0 FROM generate_series(1, 2999) n"
        } else {
            "WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 2999)
             INSERT INTO tenants SELECT randomblob(16), 'bulk-' || n, 'x', 0 FROM many"
        })
        .await;
    for tenant in vault.tenants().await.unwrap() {
        if tenant.external_id.starts_with("bulk-") {
            assert_eq!(vault.scope(tenant.id).take_record("quotes", "1").await, Ok(None));
        }
    }
    assert!(acme.secret("dns").await.unwrap().is_some());
    // A rotation opens everything, and shows nobody anything.
    last.rotate_key().await.unwrap();
    assert!(vault.alerts(9).await.unwrap().is_empty());
    assert_eq!(last.secret("dns").await.unwrap_err(), Error::Frozen);

    let alerts = vault.alerts(9).await.unwrap();
    assert_eq!(
        alerts.iter().map(|alert| alert.kind.as_str()).collect::<Vec<_>>(),
        ["mass_opening"]
    );
    // Now nothing is opened, of nobody, and nothing is lost.
    assert_eq!(acme.secret("dns").await.unwrap_err(), Error::Frozen);
    assert_eq!(acme.record("quotes", "1").await, Err(Error::Frozen));
    assert_eq!(acme.take_record("quotes", "1").await, Err(Error::Frozen));
    assert_eq!(open(&acme, "github").await, Err(Error::Frozen));
    assert_eq!(acme.verify_audit().await.unwrap().events, 0, "no action began");
    let restarted = store.open().await;
    let scope = restarted.scope(acme.tenant());
    assert_eq!(scope.record("quotes", "1").await.unwrap(), Some(json!(1)));
    assert!(open(&scope, "github").await.is_ok());
}
