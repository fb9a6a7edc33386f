//! Sealed values that someone who can write to the database changed or moved: all are refused alike, and alerts are raised.

use resto_vault::{Cipher, Error, Intent, Needs, ResultStatus, TenantScope, Vault};
use serde_json::json;
use uuid::Uuid;

use crate::{
    connections::open,
    store::{Store, canary, intent, new_connection, new_tenant, on_both, outcome},
};

on_both! {
    b1_refuses_every_value_moved_to_another_tenant
    b2_refuses_every_change_of_a_stored_credential_under_either_cipher
    b5_takes_a_changed_connection_apart_without_opening_its_credential
    b5_takes_a_connection_apart_whose_key_was_destroyed
    b5_takes_a_connection_apart_whose_tenants_key_is_gone_or_damaged
    b6_refuses_every_value_moved_to_another_purpose
}

/// The operation that every tenant here has run.
const OPERATION: Uuid = Uuid::from_u128(0x0011_2233_4455_4677_8899_aabb_ccdd_eeff);

/// A record, secrets of the same sealed name and of the operation's, and the operation's outcome.
async fn fill(scope: &TenantScope) {
    scope.put_record("quotes", "1", &json!(canary()), None).await.unwrap();
    for name in ["quotes/1".to_owned(), OPERATION.to_string()] {
        scope.put_secret(&name, &canary().into()).await.unwrap();
    }
    let begun = scope.begin(payment(&json!(null))).await.unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
}

fn payment(params: &serde_json::Value) -> Intent<'_> {
    let connection = Needs::Nothing;
    Intent { unsafe_: true, op_id: Some(OPERATION), connection, ..intent("pay", params) }
}

/// What reading each of the tenant's values gives.
async fn read(scope: &TenantScope) -> [Result<(), Error>; 4] {
    [
        scope.record("quotes", "1").await.map(drop),
        scope.secret("quotes/1").await.map(drop),
        scope.secret(&OPERATION.to_string()).await.map(drop),
        scope.begin(payment(&json!(null))).await.map(drop),
    ]
}

/// What was raised, oldest first, and is forgotten.
async fn alerts(store: &Store, scope: &TenantScope) -> Vec<String> {
    let raised = scope.alerts(9).await.unwrap();
    store.tamper("DELETE FROM alerts").await;
    raised.into_iter().rev().map(|alert| format!("{} {}", alert.kind, alert.subject)).collect()
}

fn raised_by_all() -> Vec<String> {
    let subjects = ["record quotes/1", "tenant-secret quotes/1"].map(str::to_owned);
    let operation = ["tenant-secret", "outcome"].map(|purpose| format!("{purpose} {OPERATION}"));
    subjects.into_iter().chain(operation).map(|subject| format!("tampered {subject}")).collect()
}

async fn b1_refuses_every_value_moved_to_another_tenant(store: Store) {
    let (vault, acme) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    fill(&acme).await;
    fill(&other).await;
    assert_eq!(read(&acme).await, [Ok(()), Ok(()), Ok(()), Ok(())]);
    let (here, there) = (store.id(&acme), store.id(&other));
    // With the key that sealed it, and as if the tenant's own key had.
    for key in ["", ", key_id = s.key_id"] {
        for (table, place, column) in [
            ("tenant_secrets", "s.name = t.name", "sealed"),
            ("records", "s.id = t.id", "sealed"),
            ("integration_operations", "s.op_id = t.op_id", "outcome"),
        ] {
            let moved = store
                .tamper(&format!(
                    "UPDATE {table} AS t SET {column} = s.{column}{key} FROM {table} s
                     WHERE {place} AND t.tenant_id = {here} AND s.tenant_id = {there}"
                ))
                .await;
            assert!(moved > 0, "{table}");
        }
        for refused in read(&acme).await {
            assert_eq!(refused, Err(Error::CannotOpen));
        }
        assert_eq!(alerts(&store, &acme).await, raised_by_all());
    }
    assert_eq!(read(&other).await, [Ok(()), Ok(()), Ok(()), Ok(())]);
    assert!(other.alerts(9).await.unwrap().is_empty());
}

async fn b5_takes_a_connection_apart_whose_key_was_destroyed(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    let changed = store.literal(b"changed");
    store
        .tamper(&format!("UPDATE integration_credentials SET encrypted_credentials = {changed}"))
        .await;
    // What does not open is not sealed anew, and its key goes with the exchange.
    scope.rotate_key().await.unwrap();
    assert_eq!(alerts(&store, &scope).await, ["tampered credential github"]);
    let params = json!(null);
    assert_eq!(scope.begin(intent("read", &params)).await.unwrap_err(), Error::CannotOpen);
    assert_eq!(alerts(&store, &scope).await, ["tampered credential github"]);
    let begun = scope
        .begin(Intent { connection: Needs::AnyStatus, ..intent("disconnect", &params) })
        .await
        .unwrap();
    let (connection, sealed) = begun.connection.unwrap();
    assert_eq!(connection.account_name, "octocat");
    assert_eq!(sealed.open().unwrap_err(), Error::CannotOpen);
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    assert_eq!(alerts(&store, &scope).await, ["tampered credential github"]);
    assert!(scope.disconnect("github", connection.generation).await.unwrap());
    assert_eq!(store.number("SELECT count(*) FROM integration_credentials").await, 0);
}

async fn b5_takes_a_connection_apart_whose_tenants_key_is_gone_or_damaged(store: Store) {
    let (vault, scope) = store.tenant().await;
    let damaged = store.literal(b"damaged");
    for damage in [
        "DELETE FROM tenant_keys WHERE tenant_id = ".to_owned(),
        format!("UPDATE tenant_keys SET wrapped = {damaged} WHERE tenant_id = "),
    ] {
        let name = if damage.starts_with("DELETE") { "gone" } else { "damaged" };
        let scope = vault.scope(new_tenant(&vault, name).await.id);
        scope.connect(new_connection("github", &canary())).await.unwrap();
        scope.connect(new_connection("vercel", &canary())).await.unwrap();
        store.tamper(&format!("{damage}{}", store.id(&scope))).await;
        let params = json!(null);
        let intent = Intent { connection: Needs::AnyStatus, ..intent("disconnect", &params) };
        let begun = scope.begin(intent).await.unwrap();
        assert_eq!(begun.connection.unwrap().1.open().unwrap_err(), Error::CannotOpen, "{name}");
        scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
        assert!(scope.disconnect("github", 1).await.unwrap(), "{name}");
        assert_eq!(scope.connection("github").await.unwrap(), None);
        assert_eq!(open(&scope, "vercel").await, Err(Error::CannotOpen), "{name}");
        let told = alerts(&store, &scope).await;
        let is_told = told.iter().any(|told| told.starts_with("tampered tenant-key"));
        assert_eq!(is_told, name == "damaged", "{told:?}");
        let connected = scope.connect(new_connection("github", &canary())).await;
        assert_eq!(connected.is_ok(), name == "gone", "a new key takes the place of none");
    }
    scope.connect(new_connection("github", &canary())).await.unwrap();
    assert!(open(&scope, "github").await.is_ok(), "others go on");
}

async fn b6_refuses_every_value_moved_to_another_purpose(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    fill(&scope).await;
    // All of one tenant, under one key. Record and secret, and outcome and secret, share even the name and the version, so
    // that only the purpose tells them apart.
    let places = [
        ("records", "sealed", "TRUE".to_owned()),
        ("tenant_secrets", "sealed", "name = 'quotes/1'".to_owned()),
        ("tenant_secrets", "sealed", format!("name = '{OPERATION}'")),
        ("integration_operations", "outcome", "TRUE".to_owned()),
        ("integration_credentials", "encrypted_credentials", "TRUE".to_owned()),
        ("tenant_keys", "wrapped", "TRUE".to_owned()),
        ("installation", "sentinel", "TRUE".to_owned()),
    ];
    let all = places
        .iter()
        .enumerate()
        .map(|(n, (table, column, which))| {
            format!("SELECT {n} AS place, {column} AS blob FROM {table} WHERE {which}")
        })
        .collect::<Vec<_>>();
    store.tamper(&format!("CREATE TABLE stolen AS {}", all.join(" UNION ALL "))).await;
    // What is opened by a tenant key; the other two are in the stories of the keys and the sentinels.
    for (here, (table, column, which)) in places.iter().enumerate().take(5) {
        for there in (0..places.len()).filter(|there| *there != here).chain([here]) {
            let blob = format!("(SELECT blob FROM stolen WHERE place = {there})");
            store.tamper(&format!("UPDATE {table} SET {column} = {blob} WHERE {which}")).await;
            let opened = match here {
                4 => open(&scope, "github").await.map(drop),
                here => read(&scope).await[here].clone(),
            };
            let wanted = if here == there { Ok(()) } else { Err(Error::CannotOpen) };
            assert_eq!(opened, wanted, "{there} in the place of {here}");
        }
    }
}

async fn b2_refuses_every_change_of_a_stored_credential_under_either_cipher(store: Store) {
    for cipher in [Cipher::XChaCha20Poly1305, Cipher::Aes256Gcm] {
        let vault = Vault::open(&store.url, store.keyring(), cipher).await.unwrap();
        let scope = vault.scope(new_tenant(&vault, &format!("{cipher:?}")).await.id);
        scope.connect(new_connection("github", "token")).await.unwrap();
        let here = store.id(&scope);
        let of = format!("FROM integration_credentials WHERE tenant_id = {here}");
        let ours = store.bytes(&format!("SELECT encrypted_credentials {of}")).await;
        let put = async |blob: &[u8]| {
            let blob = store.literal(blob);
            store
                .tamper(&format!(
                    "UPDATE integration_credentials SET encrypted_credentials = {blob} WHERE tenant_id = {here}"
                ))
                .await;
            open(&scope, "github").await
        };
        let flipped = |position: usize| {
            let mut changed = ours.clone();
            changed[position] ^= 1;
            changed
        };
        // The envelope's own test flips every bit; here it is one of each field, in the row: the magic, the version, the
        // algorithm, the key's id, the salt, the nonce, the commitment, the ciphertext and the tag.
        let mut changes: Vec<Vec<u8>> =
            [0, 4, 5, 6, 22, 54, 80, ours.len() - 17, ours.len() - 1].map(flipped).into();
        let mut downgraded = ours.clone();
        downgraded[5] = 3 - downgraded[5];
        changes.extend([
            downgraded,
            Vec::new(),
            ours[..22].to_vec(),
            ours[..ours.len() - 1].to_vec(),
            [ours.as_slice(), &[0]].concat(),
        ]);
        for changed in changes {
            assert_eq!(put(&changed).await, Err(Error::CannotOpen));
            assert_eq!(alerts(&store, &scope).await, ["tampered credential github"]);
        }
        assert_eq!(put(&ours).await, Ok("token".to_owned()));
    }
}

async fn b5_takes_a_changed_connection_apart_without_opening_its_credential(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    store.tamper("UPDATE integration_credentials SET host = 'evil.example'").await;
    let params = json!(null);
    let begun = scope
        .begin(Intent { connection: Needs::AnyStatus, ..intent("disconnect", &params) })
        .await
        .unwrap();
    assert!(scope.alerts(9).await.unwrap().is_empty());
    let (_, sealed) = begun.connection.unwrap();
    assert_eq!(sealed.open().unwrap_err(), Error::CannotOpen);
    scope.finish(begun.ticket, outcome(ResultStatus::Error)).await.unwrap();
    assert_eq!(alerts(&store, &scope).await, ["tampered credential github"]);
    assert!(scope.disconnect("github", 1).await.unwrap());
}
