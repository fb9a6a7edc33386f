//! Connections: opened for their own tenant, integration and generation only, and gone when they are disconnected.

use std::time::{Duration as StdDuration, Instant};

use resto_vault::{AuthType, Error, NewConnection, Outcome, ResultStatus, Status, TenantScope};
use secrecy::ExposeSecret;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::store::{
    Store, canary, credential, intent, new_connection, new_tenant, on_both, outcome,
};

on_both! {
    gives_back_what_was_connected
    a_reconnect_keeps_the_id_and_counts_the_generation
    b1_refuses_a_credential_moved_between_tenants_integrations_or_generations
    b5_refuses_a_row_whose_columns_were_changed_and_raises_an_alert
    refuses_a_connection_that_is_not_active
    learns_permissions_and_rate_limits_without_losing_the_credential
    learns_nothing_about_a_credential_that_was_replaced_meanwhile
    c11_of_two_accounts_that_connect_at_once_one_is_told_of_the_other
    g3_a_freeze_moves_what_is_active_and_an_unfreeze_what_is_frozen
    c10_what_is_to_be_revoked_is_stopped_and_has_its_job_in_one_step
    finds_the_consents_of_an_account_whosever_they_are
    remembers_a_connection_from_an_intent_until_something_changes_it
}

/// The token of a connection, opened the way an action opens it.
pub async fn token(scope: &TenantScope, integration_id: &str) -> String {
    open(scope, integration_id).await.unwrap()
}

pub async fn open(scope: &TenantScope, integration_id: &str) -> Result<String, Error> {
    let params = json!({});
    let intent = resto_vault::Intent { integration_id, ..intent("read", &params) };
    let begun = scope.begin(intent).await?;
    let (_, sealed) = begun.connection.unwrap();
    let opened =
        sealed.open().map(|credential| credential.secrets["token"].expose_secret().to_owned());
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await?;
    opened
}

async fn gives_back_what_was_connected(store: Store) {
    let (_, scope) = store.tenant().await;
    let expires_at = OffsetDateTime::from_unix_timestamp(1_900_000_000).unwrap()
        + Duration::microseconds(123_456);
    let new = NewConnection {
        expires_at: Some(expires_at),
        reauthorize_by: Some(expires_at + Duration::days(30)),
        ..new_connection("github", &canary())
    };
    let connected = scope.connect(new).await.unwrap().connection;
    assert_eq!(connected.status, Status::Active);
    assert_eq!(connected.generation, 1);
    assert_eq!(connected.account_name, "octocat");
    assert_eq!(connected.mode.as_deref(), Some("live"));
    assert_eq!(connected.permissions, json!({ "contents": "granted" }));
    assert_eq!(connected.expires_at, Some(expires_at));
    assert_eq!(connected.last_used_at, None);
    let found = scope.connection("github").await.unwrap().unwrap();
    assert_eq!(found, connected);
    assert_eq!(scope.connection("vercel").await.unwrap(), None);
    scope.connect(new_connection("vercel", &canary())).await.unwrap();
    let all = scope.connections().await.unwrap();
    let names: Vec<_> = all.iter().map(|one| one.integration_id.as_str()).collect();
    assert_eq!(names, ["github", "vercel"]);
}

async fn a_reconnect_keeps_the_id_and_counts_the_generation(store: Store) {
    let (_, scope) = store.tenant().await;
    let first = scope.connect(new_connection("github", "old")).await.unwrap().connection;
    scope.set_status("github", 1, Status::NeedsReauth).await.unwrap();
    let connected = scope.connect(new_connection("github", "new")).await.unwrap();
    assert!(!connected.is_another_account());
    let before = connected.before.unwrap();
    assert_eq!((before.generation, before.status), (1, Status::NeedsReauth));
    let second = connected.connection;
    assert_eq!((second.id, second.generation), (first.id, 2));
    assert_eq!(second.status, Status::Active);
    assert_eq!(token(&scope, "github").await, "new");
}

async fn b1_refuses_a_credential_moved_between_tenants_integrations_or_generations(store: Store) {
    let (vault, acme) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    for scope in [&acme, &other] {
        scope.connect(new_connection("github", &canary())).await.unwrap();
        scope.connect(new_connection("gitlab", &canary())).await.unwrap();
    }
    let old = "CREATE TABLE stolen AS SELECT encrypted_credentials AS blob, key_id FROM integration_credentials";
    let of = |scope: &TenantScope| {
        let id = scope.tenant().to_string();
        if store.is_postgres() {
            format!("tenant_id = '{id}'")
        } else {
            format!("tenant_id = x'{}'", id.replace('-', ""))
        }
    };
    let put = |place: String| {
        format!(
            "UPDATE integration_credentials SET encrypted_credentials = (SELECT blob FROM stolen), key_id = (SELECT key_id FROM stolen) WHERE {place}"
        )
    };
    let steal = |place: String| format!("DROP TABLE IF EXISTS stolen; {old} WHERE {place}");
    let here = format!("{} AND integration_id = 'github'", of(&acme));

    // Another integration of the same tenant, under the same key.
    store.tamper(&steal(format!("{} AND integration_id = 'gitlab'", of(&acme)))).await;
    store.tamper(&put(here.clone())).await;
    assert_eq!(open(&acme, "github").await, Err(Error::CannotOpen));

    // The same integration of another tenant.
    store.tamper(&steal(format!("{} AND integration_id = 'github'", of(&other)))).await;
    store.tamper(&put(here.clone())).await;
    assert_eq!(open(&acme, "github").await, Err(Error::CannotOpen));
    assert!(open(&other, "github").await.is_ok());

    // An older generation of itself.
    acme.connect(new_connection("github", &canary())).await.unwrap();
    assert!(open(&acme, "github").await.is_ok());
    store.tamper(&steal(here.clone())).await;
    acme.connect(new_connection("github", &canary())).await.unwrap();
    store.tamper(&put(here)).await;
    assert_eq!(open(&acme, "github").await, Err(Error::CannotOpen));
}

async fn b5_refuses_a_row_whose_columns_were_changed_and_raises_an_alert(store: Store) {
    let (_, scope) = store.tenant().await;
    for change in [
        "host = 'evil.example'",
        "provider = 'other'",
        "account_id = '1'",
        "account_name = 'someone'",
        "auth_type = 'oauth2'",
        "mode = NULL",
        "permissions_granted = '{\"contents\": \"granted\", \"admin\": \"granted\"}'",
        "expires_at = '2100-01-01T00:00:00.000000Z'",
        "reauthorize_by = '2100-01-01T00:00:00.000000Z'",
        "generation = 9",
        "integration_id = 'gitlab'",
        "encrypted_credentials = key_id",
    ] {
        scope.connect(new_connection("github", &canary())).await.unwrap();
        assert!(open(&scope, "github").await.is_ok());
        let changed = store.tamper(&format!("UPDATE integration_credentials SET {change}")).await;
        assert_eq!(changed, 1);
        let name = if change.starts_with("integration_id") { "gitlab" } else { "github" };
        assert_eq!(open(&scope, name).await, Err(Error::CannotOpen), "{change}");
        let alert = scope.alerts(1).await.unwrap().remove(0);
        assert_eq!(
            (alert.kind.as_str(), alert.subject),
            ("tampered", format!("credential {name}"))
        );
        store.tamper("DELETE FROM alerts").await;
        let generation = if change.starts_with("generation") { 9 } else { 1 };
        assert!(scope.disconnect(name, generation).await.unwrap());
    }
}

async fn refuses_a_connection_that_is_not_active(store: Store) {
    let (_, scope) = store.tenant().await;
    let params = json!({});
    let missing = scope.begin(intent("read", &params)).await.unwrap_err();
    assert_eq!(missing, Error::NotConnected { integration_id: "github".into() });
    assert!(missing.to_string().contains("Connect the account first"));
    assert!(!scope.set_status("github", 1, Status::Frozen).await.unwrap());

    scope.connect(new_connection("github", &canary())).await.unwrap();
    for status in [Status::Frozen, Status::NeedsReauth] {
        assert!(scope.set_status("github", 1, status).await.unwrap());
        let refused = scope.begin(intent("read", &params)).await.unwrap_err();
        assert_eq!(refused, Error::Inactive { integration_id: "github".into(), status });
        assert!(refused.to_string().contains(status.as_str()));
    }
    assert_eq!(scope.verify_audit().await.unwrap().events, 0, "a refusal writes nothing");
    scope.set_status("github", 1, Status::Active).await.unwrap();
    assert!(open(&scope, "github").await.is_ok());
}

async fn learns_permissions_and_rate_limits_without_losing_the_credential(store: Store) {
    let (_, scope) = store.tenant().await;
    let secret = canary();
    scope.connect(new_connection("github", &secret)).await.unwrap();
    let params = json!({});
    let begun = scope.begin(intent("read", &params)).await.unwrap();
    let permissions = json!({ "contents": "granted", "issues": "absent" });
    let rate_limits = json!({ "remaining": 41 });
    let learnt = Outcome {
        permissions: Some(&permissions),
        rate_limits: Some(&rate_limits),
        ..outcome(ResultStatus::Error)
    };
    scope.finish(begun.ticket, learnt).await.unwrap();
    let connection = scope.connection("github").await.unwrap().unwrap();
    assert_eq!(connection.permissions, permissions);
    assert_eq!(connection.rate_limits, Some(rate_limits.clone()));
    assert!(connection.last_used_at.is_some());
    assert_eq!(connection.generation, 1);
    assert_eq!(token(&scope, "github").await, secret);
    let connection = scope.connection("github").await.unwrap().unwrap();
    assert_eq!(connection.rate_limits, Some(rate_limits), "kept when nothing was told");
}

async fn learns_nothing_about_a_credential_that_was_replaced_meanwhile(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", "old")).await.unwrap();
    let params = json!({});
    let begun = scope.begin(intent("read", &params)).await.unwrap();
    scope
        .connect(NewConnection { credential: credential("new"), ..new_connection("github", "") })
        .await
        .unwrap();
    let permissions = json!({});
    let learnt = Outcome { permissions: Some(&permissions), ..outcome(ResultStatus::Success) };
    scope.finish(begun.ticket, learnt).await.unwrap();
    let connection = scope.connection("github").await.unwrap().unwrap();
    assert_eq!(connection.permissions, json!({ "contents": "granted" }));
    assert_eq!(connection.last_used_at, None);
    assert_eq!(token(&scope, "github").await, "new");
}

/// A connection of another account than the others.
fn of_hubot(replaces_account: bool) -> NewConnection {
    let mut credential = credential("of hubot");
    credential.account_id = "2".into();
    NewConnection { credential, replaces_account, ..new_connection("github", "") }
}

async fn c11_of_two_accounts_that_connect_at_once_one_is_told_of_the_other(store: Store) {
    let (_, scope) = store.tenant().await;
    let octocat = scope.connect(new_connection("github", "of octocat"));
    let (octocat, hubot) = tokio::join!(octocat, scope.connect(of_hubot(false)));
    let refused = Error::AnotherAccount { integration_id: "github".into() };
    let of_both = [octocat.is_ok(), hubot.is_ok()];
    assert_eq!(of_both.iter().filter(|is_ok| **is_ok).count(), 1, "{of_both:?}");
    assert_eq!(octocat.err().or(hubot.err()), Some(refused));
    let is_hubots = token(&scope, "github").await == "of hubot";
    assert_eq!(of_both, [!is_hubots, is_hubots]);

    scope
        .connect(NewConnection { replaces_account: true, ..new_connection("github", "x") })
        .await
        .unwrap();
    let replaced = scope.connect(of_hubot(true)).await.unwrap();
    assert!(replaced.is_another_account());
    assert_eq!(replaced.before.unwrap().account_id, "583231");
    let mut credential = credential("of hubot for real");
    credential.account_id = "2".into();
    credential.mode = Some("test".into());
    let new = NewConnection { credential, ..new_connection("github", "") };
    assert!(scope.connect(new).await.is_err(), "another mode is another account");
}

async fn g3_a_freeze_moves_what_is_active_and_an_unfreeze_what_is_frozen(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    for name in ["github", "stripe", "vercel"] {
        scope.connect(new_connection(name, "x")).await.unwrap();
    }
    other.connect(new_connection("github", "x")).await.unwrap();
    scope.set_status("vercel", 1, Status::NeedsReauth).await.unwrap();
    let frozen = scope.move_status(Some("stripe"), Status::Active, Status::Frozen).await.unwrap();
    assert_eq!(frozen, ["stripe"]);
    assert!(open(&scope, "stripe").await.is_err() && open(&scope, "github").await.is_ok());
    let frozen = scope.move_status(None, Status::Active, Status::Frozen).await.unwrap();
    assert_eq!(frozen, ["github"]);
    assert!(open(&scope, "github").await.is_err() && open(&other, "github").await.is_ok());
    let freed = scope.move_status(None, Status::Frozen, Status::Active).await.unwrap();
    assert_eq!(freed, ["github", "stripe"]);
    assert!(open(&scope, "github").await.is_ok() && open(&scope, "vercel").await.is_err());
}

async fn c10_what_is_to_be_revoked_is_stopped_and_has_its_job_in_one_step(store: Store) {
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", "x")).await.unwrap();
    let now = ("revoke", std::time::Duration::ZERO);
    assert!(!scope.stop_for_good("vercel", now).await.unwrap());
    let hold = std::time::Duration::from_secs(30);
    assert!(vault.claim_jobs(9, hold).await.unwrap().is_empty());
    assert!(scope.stop_for_good("github", now).await.unwrap());
    let held = vault.claim_jobs(9, hold).await.unwrap();
    assert_eq!((held.len(), held[0].1.kind.as_str()), (1, "revoke"));
    assert!(open(&scope, "github").await.is_err());
    // Whoever stops it once more does not do what somebody is at, and nothing that is learnt of it meanwhile lets it go.
    assert!(scope.stop_for_good("github", now).await.unwrap());
    assert!(vault.claim_jobs(9, hold).await.unwrap().is_empty());
    for status in [Status::Active, Status::Frozen, Status::NeedsReauth] {
        assert!(!scope.set_status("github", 1, status).await.unwrap(), "{status}");
    }
    let status = scope.connection("github").await.unwrap().unwrap().status;
    assert_eq!(status, Status::RevocationPending);
    // Whoever connects again ends it.
    scope.connect(new_connection("github", "y")).await.unwrap();
    assert!(!scope.finish_job(&held[0].1, resto_vault::Next::Retry(hold)).await.unwrap());
    assert_eq!(token(&scope, "github").await, "y");
}

async fn finds_the_consents_of_an_account_whosever_they_are(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    let consent = |integration_id: &str, account_id: &str| {
        let mut credential = credential("x");
        credential.auth_type = AuthType::OAuth2;
        credential.account_id = account_id.into();
        NewConnection { credential, ..new_connection(integration_id, "") }
    };
    for name in ["github", "beside", "leaving"] {
        scope.connect(consent(name, "1")).await.unwrap();
    }
    scope.set_status("leaving", 1, Status::RevocationPending).await.unwrap();
    other.connect(consent("github", "1")).await.unwrap();
    other.connect(consent("hub", "2")).await.unwrap();
    let key = new_connection("by key", "x");
    other.connect(key).await.unwrap();
    let mut found: Vec<_> = vault
        .consents_of_account("github", "1")
        .await
        .unwrap()
        .into_iter()
        .map(|(found, integration)| (found.tenant() == scope.tenant(), integration))
        .collect();
    found.sort();
    let expected = [(false, "github"), (true, "beside"), (true, "github")];
    assert_eq!(found, expected.map(|(is_own, name)| (is_own, name.to_owned())));
    for (provider, account) in [("vercel", "1"), ("github", "583231")] {
        assert!(vault.consents_of_account(provider, account).await.unwrap().is_empty());
    }
}

#[test]
fn a_credential_shows_nothing_secret_in_debug() {
    let secret = canary();
    assert!(!format!("{:?}", credential(&secret)).contains(&secret));
    assert!(!format!("{:?}", new_connection("github", &secret)).contains(&secret));
}

async fn remembers_a_connection_from_an_intent_until_something_changes_it(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    assert_eq!(scope.connection_lately("github"), None);
    let (params, limits) = (json!({}), json!({"core": {"remaining": 7}}));
    let begin = async || {
        let since = Instant::now();
        let begun = scope.begin(intent("read", &params)).await.unwrap();
        let lately = scope.connection_lately("github");
        // On a machine that stood still it is forgotten by now.
        assert!(lately.is_some() || since.elapsed() >= StdDuration::from_secs(1));
        (begun.ticket, lately)
    };
    let (ticket, lately) = begin().await;
    assert!(lately.is_none_or(|lately| lately.rate_limits.is_none()));
    let learnt = Outcome { rate_limits: Some(&limits), ..outcome(ResultStatus::Success) };
    scope.finish(ticket, learnt).await.unwrap();
    assert_eq!(scope.connection_lately("github"), None);
    let (ticket, lately) = begin().await;
    assert!(lately.is_none_or(|lately| lately.rate_limits.as_ref() == Some(&limits)));
    scope.finish(ticket, outcome(ResultStatus::Success)).await.unwrap();
    // Behind its back; the next intent does not find one.
    let elsewhere = store.open().await;
    assert!(elsewhere.scope(scope.tenant()).disconnect("github", 1).await.unwrap());
    let refused = scope.begin(intent("read", &params)).await.unwrap_err();
    assert_eq!(refused, Error::NotConnected { integration_id: "github".into() });
    assert_eq!(scope.connection_lately("github"), None);
}
