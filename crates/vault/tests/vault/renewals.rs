//! New tokens take the place of those that they were got with: once, in one commit, and whatever died on the way.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use resto_vault::{Error, Renewal, ResultStatus, Spill, TenantScope};
use secrecy::ExposeSecret;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    connections::{open, token},
    store::{Store, canary, credential, intent, new_connection, new_tenant, on_both, outcome},
};

on_both! {
    c9_new_tokens_take_the_place_of_those_that_they_were_got_with
    c9_nothing_is_written_over_another_generation
    c9_of_many_renewals_of_one_generation_one_is_stored
    c9_narrower_rights_come_with_the_new_tokens
    what_was_replaced_is_destroyed_when_the_new_one_has_worked
    what_was_replaced_is_destroyed_after_a_day
    i1_an_exchange_of_the_tenants_key_loses_neither_the_new_nor_the_former
    i2_what_no_database_took_is_stored_from_its_file
    a_file_that_nobody_here_wrote_stores_nothing
}

const HOUR: Duration = Duration::from_hours(1);
const JOBS: [(&str, Duration); 1] = [("refresh", HOUR)];

fn end(hours: i64) -> OffsetDateTime {
    let now = OffsetDateTime::from_unix_timestamp(1_900_000_000).unwrap();
    now + time::Duration::hours(hours)
}

/// Begins to renew the connection as it is now, and has new tokens.
async fn renewal(scope: &TenantScope, new: &str) -> Renewal {
    let params = json!({});
    let begun = scope.begin(intent("refresh", &params)).await.unwrap();
    let (_, sealed) = begun.connection.unwrap();
    let renewal = sealed.renew(&credential(new), Some(end(1)), Some(end(9))).unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    renewal
}

async fn generation(scope: &TenantScope) -> i64 {
    scope.connection("github").await.unwrap().unwrap().generation
}

async fn former(scope: &TenantScope) -> Option<String> {
    let connection = scope.connection("github").await.unwrap().unwrap();
    let former = scope.former(&connection).await.unwrap();
    assert_eq!(former.is_some(), connection.keeps_former);
    former.map(|credential| credential.secrets["token"].expose_secret().to_owned())
}

async fn c9_new_tokens_take_the_place_of_those_that_they_were_got_with(store: Store) {
    let (vault, scope) = store.tenant().await;
    let first = scope.connect(new_connection("github", "old")).await.unwrap().connection;
    assert_eq!((first.renewed_at, first.keeps_former), (None, false));
    assert!(renewal(&scope, "new").await.store(&JOBS).await.unwrap());
    let now = scope.connection("github").await.unwrap().unwrap();
    assert_eq!((now.id, now.generation), (first.id, 2));
    assert_eq!((now.expires_at, now.reauthorize_by), (Some(end(1)), Some(end(9))));
    assert_eq!(now.connected_at, first.connected_at);
    assert!(now.renewed_at.is_some_and(|at| at >= first.connected_at));
    assert_eq!(token(&scope, "github").await, "new");
    assert_eq!(former(&scope).await.as_deref(), Some("old"));
    assert!(vault.claim_jobs(9, HOUR).await.unwrap().is_empty());
    store.move_clock(HOUR * 2).await;
    let (_, job) = vault.claim_jobs(9, HOUR).await.unwrap().remove(0);
    assert_eq!(
        (job.kind.as_str(), job.subject.as_str()),
        JOBS.map(|(kind, _)| (kind, "github"))[0]
    );
    // A person connects it again: there is nothing to go back to.
    scope.connect(new_connection("github", "again")).await.unwrap();
    let again = scope.connection("github").await.unwrap().unwrap();
    assert_eq!((again.renewed_at, former(&scope).await), (None, None));
}

async fn c9_nothing_is_written_over_another_generation(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", "old")).await.unwrap();
    let late = renewal(&scope, "late").await;
    assert!(renewal(&scope, "new").await.store(&JOBS).await.unwrap());
    assert!(!late.store(&JOBS).await.unwrap());
    assert_eq!(token(&scope, "github").await, "new");
    let late = renewal(&scope, "late").await;
    scope.connect(new_connection("github", "again")).await.unwrap();
    assert!(!late.store(&JOBS).await.unwrap());
    assert_eq!((generation(&scope).await, token(&scope, "github").await), (3, "again".into()));
    let late = renewal(&scope, "late").await;
    assert!(scope.disconnect("github", 3).await.unwrap());
    assert!(!late.store(&JOBS).await.unwrap());
    assert_eq!(scope.connection("github").await.unwrap(), None);
    // Another account is not renewed into.
    scope.connect(new_connection("github", "old")).await.unwrap();
    let params = json!({});
    let begun = scope.begin(intent("refresh", &params)).await.unwrap();
    let mut other = credential("other");
    other.account_id = "1".into();
    let (_, sealed) = begun.connection.unwrap();
    assert!(matches!(sealed.renew(&other, None, None), Err(Error::Invalid(_))));
}

async fn c9_of_many_renewals_of_one_generation_one_is_stored(store: Store) {
    let (_, scope) = store.tenant().await;
    let elsewhere = store.open().await.scope(scope.tenant());
    scope.connect(new_connection("github", "old")).await.unwrap();
    let mut racing = Vec::new();
    for n in 0..8 {
        let scope = if n % 2 == 0 { &scope } else { &elsewhere };
        racing.push(renewal(scope, &format!("new {n}")).await);
    }
    let racing = racing
        .into_iter()
        .map(|renewal| tokio::spawn(async move { renewal.store(&JOBS).await.unwrap() }));
    let mut stored = 0;
    for one in racing.collect::<Vec<_>>() {
        stored += usize::from(one.await.unwrap());
    }
    assert_eq!((stored, generation(&scope).await), (1, 2));
    assert!(token(&scope, "github").await.starts_with("new"));
}

async fn c9_narrower_rights_come_with_the_new_tokens(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", "old")).await.unwrap();
    let params = json!({});
    let begun = scope.begin(intent("refresh", &params)).await.unwrap();
    let mut narrower = credential("new");
    narrower.permissions = json!({});
    let (_, sealed) = begun.connection.unwrap();
    assert!(sealed.renew(&narrower, None, None).unwrap().store(&[]).await.unwrap());
    let now = scope.connection("github").await.unwrap().unwrap();
    assert_eq!((now.permissions, now.expires_at), (json!({}), None));
    assert_eq!(token(&scope, "github").await, "new");
}

async fn what_was_replaced_is_destroyed_when_the_new_one_has_worked(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    assert!(renewal(&scope, "new").await.store(&JOBS).await.unwrap());
    let blob = store.bytes("SELECT former FROM integration_credentials").await;
    scope.forget_former("github", 1).await.unwrap();
    assert!(former(&scope).await.is_some(), "of another generation");
    scope.forget_former("github", 2).await.unwrap();
    assert_eq!(former(&scope).await, None);
    if !store.is_postgres() {
        assert!(!store.files_hold(&blob).await);
    }
    assert_eq!(token(&scope, "github").await, "new");
}

async fn what_was_replaced_is_destroyed_after_a_day(store: Store) {
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", "old")).await.unwrap();
    assert!(renewal(&scope, "new").await.store(&JOBS).await.unwrap());
    store.move_clock(HOUR * 23).await;
    vault.sweep_unfinished(HOUR * 99).await.unwrap();
    assert_eq!(former(&scope).await.as_deref(), Some("old"));
    store.move_clock(HOUR * 25).await;
    vault.sweep_unfinished(HOUR * 99).await.unwrap();
    assert_eq!(former(&scope).await, None);
    assert_eq!(token(&scope, "github").await, "new");
}

async fn i1_an_exchange_of_the_tenants_key_loses_neither_the_new_nor_the_former(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", "old")).await.unwrap();
    let renewal = renewal(&scope, "new").await;
    scope.rotate_key().await.unwrap();
    assert!(renewal.store(&JOBS).await.unwrap());
    assert_eq!(scope.rotate_key().await.unwrap().rewrapped, 2);
    assert_eq!(token(&scope, "github").await, "new");
    assert_eq!(former(&scope).await.as_deref(), Some("old"));
    assert_eq!(scope.keys().await.unwrap()[0].sealed, 2);
}

async fn i2_what_no_database_took_is_stored_from_its_file(store: Store) {
    let (_, scope) = store.tenant().await;
    let spill = Spill::new(store.dir.path().join("data/renewed"));
    assert!(spill.waiting().unwrap().is_empty());
    scope.connect(new_connection("github", "old")).await.unwrap();
    let secret = canary();
    let file = spill.keep(&renewal(&scope, &secret).await).unwrap();
    let again = spill.keep(&renewal(&scope, &secret).await).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&secret) && !text.contains("octocat"), "{text}");
    // The process that wrote it died, and another one finds it.
    let other = store.open().await;
    assert_eq!(spill.waiting().unwrap(), [file.clone(), again.clone()]);
    assert!(other.store_spilled(&file, &JOBS).await.unwrap());
    assert_eq!((generation(&scope).await, token(&scope, "github").await), (2, secret.clone()));
    // What is stored is not stored over.
    assert!(!other.store_spilled(&again, &JOBS).await.unwrap());
    assert_eq!(generation(&scope).await, 2);
    assert!(spill.waiting().unwrap().is_empty());
}

async fn a_file_that_nobody_here_wrote_stores_nothing(store: Store) {
    let (vault, scope) = store.tenant().await;
    let spill = Spill::new(store.dir.path().join("data/renewed"));
    scope.connect(new_connection("github", "old")).await.unwrap();
    let file = spill.keep(&renewal(&scope, "new").await).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    // Moved to another generation, to another integration, and to another tenant.
    scope.connect(new_connection("gitlab", "other")).await.unwrap();
    assert!(renewal(&scope, "newer").await.store(&JOBS).await.unwrap());
    let other = new_tenant(&vault, "other").await;
    for (from, to) in [
        ("\"generation\":2", "\"generation\":3".to_owned()),
        ("\"github\",\"generation\":2", "\"gitlab\",\"generation\":2".to_owned()),
        (&*scope.tenant().to_string(), other.id.to_string()),
        ("{", "[".to_owned()),
    ] {
        assert!(text.contains(from));
        std::fs::write(&file, text.replacen(from, &to, 1)).unwrap();
        assert_eq!(vault.store_spilled(&file, &JOBS).await, Err(Error::CannotOpen), "{to}");
    }
    assert_eq!(open(&scope, "github").await.unwrap(), "newer");
    // With its tenant goes the key that opens it.
    std::fs::write(&file, &text).unwrap();
    vault.delete_tenant(scope.tenant()).await.unwrap();
    assert_eq!(vault.store_spilled(&file, &JOBS).await, Err(Error::CannotOpen));
}
