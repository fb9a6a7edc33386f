//! What lies on the disk: never a secret in any form, and no deleted bytes where the database can be made to forget them.

use std::time::Duration;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use resto_vault::ResultStatus;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    connections::open,
    store::{Store, canary, intent, new_connection, on_both, outcome},
};

on_both! {
    b3_stores_no_secret_in_any_form
}

/// The ways in which a secret could be written down.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        secret.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        secret.iter().flat_map(|byte| [*byte, 0]).collect(),
        secret.iter().flat_map(|byte| [0, *byte]).collect(),
    ];
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(serde_json::to_vec(text).unwrap()[1..][..text.len()].to_vec());
        let escaped = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        };
        forms.push(text.bytes().map(escaped).collect::<String>().into_bytes());
    }
    // What stands before it shifts base64 by none, one or two bytes.
    for shift in 0..3 {
        let shifted = [&b"\0\0"[..shift], secret].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            forms.push(text.as_bytes()[4..text.len() - 4].to_vec());
        }
    }
    forms
}

async fn b3_stores_no_secret_in_any_form(store: Store) {
    let log = store.log_position().await;
    let (_, scope) = store.tenant().await;
    // With characters that every encoding writes in another way.
    let secrets: Vec<String> = (0..5).map(|_| format!("{}+/\"&=%<>?", canary())).collect();
    scope.connect(new_connection("github", &secrets[0])).await.unwrap();
    scope.put_secret("dns", &secrets[1].clone().into()).await.unwrap();
    scope.put_record("quotes", "1", &json!(secrets[2]), None).await.unwrap();
    let params = json!({ "body": secrets[3] });
    let pay = resto_vault::Intent { unsafe_: true, ..intent("pay", &params) };
    let begun = scope.begin(pay).await.unwrap();
    let output = json!({ "answer": secrets[4] });
    let done = resto_vault::Outcome { output: Some(&output), ..outcome(ResultStatus::Success) };
    scope.finish(begun.ticket, done).await.unwrap();
    let principal = scope.principal("local", "owner").await.unwrap();
    let (_, token) = scope.create_token(principal.id, "laptop", "spend", None).await.unwrap();
    // Everything is opened, sealed anew, and a part of it deleted.
    open(&scope, "github").await.unwrap();
    scope.rotate_key().await.unwrap();
    scope.put_secret("dns", &secrets[1].clone().into()).await.unwrap();
    scope.connect(new_connection("vercel", &secrets[0])).await.unwrap();
    scope.disconnect("github", 1).await.unwrap();
    let root = std::fs::read_to_string(store.dir.path().join("keys/root.key")).unwrap();
    let root = BASE64.decode(root.trim_end()).unwrap();

    let dump = store.dump().await;
    let holds = |form: &[u8]| dump.windows(form.len()).any(|window| window == form);
    assert!(holds(b"octocat") && holds(b"laptop"), "the dump is a dump");
    let raw = secrets.iter().map(String::as_bytes);
    for secret in raw.chain([token.expose_secret().as_bytes(), &root]) {
        for form in forms(secret) {
            assert!(!holds(&form), "{}", String::from_utf8_lossy(&form));
        }
        assert!(!store.files_hold(secret).await && !store.log_holds(&log, secret).await);
    }
    assert!(store.log_holds(&log, b"octocat").await && store.files_hold(b"octocat").await);
}

/// PostgreSQL writes no zeros over deleted rows: the owner makes it forget them by writing the tables anew. Its log
/// (and every copy of it) keeps them until it is recycled; there, and until then, only the root key opens them.
#[tokio::test]
async fn b8_on_postgres_deleted_bytes_leave_the_files_when_the_tables_are_written_anew() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.connect(new_connection("vercel", &canary())).await.unwrap();
    let mut gone = vec![
        store.bytes("SELECT wrapped FROM tenant_keys WHERE state = 'active'").await,
        store
            .bytes("SELECT encrypted_credentials FROM integration_credentials WHERE integration_id = 'github'")
            .await,
    ];
    for blob in &gone {
        assert!(store.files_hold(&blob[22..54]).await, "the salt, which no other blob has");
    }
    scope.disconnect("github", 1).await.unwrap();
    gone.push(store.bytes("SELECT wrapped FROM tenant_keys WHERE state = 'active'").await);
    gone.push(store.bytes("SELECT encrypted_credentials FROM integration_credentials").await);
    vault.delete_tenant(scope.tenant()).await.unwrap();
    for table in ["tenant_keys", "integration_credentials"] {
        store.tamper(&format!("VACUUM FULL {table}")).await;
    }
    for blob in &gone {
        assert!(!store.files_hold(&blob[22..54]).await);
        assert!(!store.files_hold(&blob[blob.len() - 32..]).await);
    }
}

/// As when a deletion was committed and its process killed: the bytes lie in SQLite's log, which others keep.
#[tokio::test]
async fn b8_what_a_killed_process_did_not_erase_goes_with_the_first_sweep_of_another() {
    let store = Store::sqlite();
    let (_other, scope) = store.tenant().await;
    scope.put_secret("dns", &canary().into()).await.unwrap();
    let blob = store.bytes("SELECT sealed FROM tenant_secrets").await;
    store.tamper("PRAGMA secure_delete = ON; DELETE FROM tenant_secrets").await;
    assert!(store.files_hold(&blob).await);
    store.open().await.sweep_unfinished(Duration::from_mins(1)).await.unwrap();
    assert!(!store.files_hold(&blob).await);
}
