//! Tenants, principals and access tokens.

use resto_vault::{Error, ResultStatus};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::ConnectOptions;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::store::{
    Store, canary, intent, new_connection, new_tenant, on_both, outcome, sqlite_tables, tables,
};

on_both! {
    finds_tenants_by_their_external_id
    a_deleted_tenant_leaves_its_audit_trail_and_nothing_else
    a_principal_is_found_again
    a_token_lets_its_principal_in_until_it_is_revoked
    an_expired_token_lets_nobody_in
    a8_an_edit_in_the_database_widens_no_token
    a8_the_database_holds_no_token
    one_tenant_sees_nothing_of_another
    who_comes_at_the_same_time_gets_their_own_and_nothing_else
}

async fn finds_tenants_by_their_external_id(store: Store) {
    let vault = store.open().await;
    let created = new_tenant(&vault, "zeta").await;
    new_tenant(&vault, "alpha").await;
    assert_eq!(vault.tenant("zeta").await.unwrap().unwrap(), created);
    assert_eq!(vault.tenant("Zeta").await.unwrap(), None);
    let all = vault.tenants().await.unwrap();
    let ids: Vec<_> = all.iter().map(|tenant| tenant.external_id.as_str()).collect();
    assert_eq!(ids, ["alpha", "zeta"]);
    let taken = vault.create_tenant("zeta", "Another").await.unwrap_err();
    assert!(taken.to_string().contains("exists already"), "{taken}");
    for unfit in ["", "a\nb"] {
        assert!(matches!(vault.create_tenant(unfit, "x").await, Err(Error::Invalid(_))));
    }
}

async fn a_deleted_tenant_leaves_its_audit_trail_and_nothing_else(store: Store) {
    let (vault, scope) = store.tenant().await;
    let kept = new_tenant(&vault, "kept").await;
    for scope in [&scope, &vault.scope(kept.id)] {
        scope.connect(new_connection("github", &canary())).await.unwrap();
        scope.put_secret("dns", &canary().into()).await.unwrap();
        scope.put_record("quotes", "1", &json!(1), None).await.unwrap();
        let principal = scope.principal("local", "owner").await.unwrap();
        scope.create_token(principal.id, "laptop", "spend", None).await.unwrap();
        let params = json!({});
        let pay = resto_vault::Intent { unsafe_: true, ..intent("pay", &params) };
        let begun = scope.begin(pay).await.unwrap();
        let op_id = begun.ticket.op_id().unwrap();
        let print = scope.call_print("owner", "pay", &params).unwrap();
        scope.claim_call(&print, op_id).await.unwrap();
        let day = std::time::Duration::from_hours(24);
        scope.spend(op_id, ("stripe", "pay"), (100, "EUR"), (100, day)).await.unwrap();
        scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    }
    let params = json!({});
    let running = scope.begin(intent("read", &params)).await.unwrap();
    let id = scope.tenant().to_string();
    let of_tenant =
        if store.is_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) };
    let wrapped = store
        .bytes(&format!("SELECT wrapped FROM tenant_keys WHERE tenant_id = {of_tenant}"))
        .await;

    vault.delete_tenant(scope.tenant()).await.unwrap();
    assert_eq!(vault.delete_tenant(scope.tenant()).await, Err(Error::UnknownTenant));
    assert!(!store.dump_holds(&wrapped[22..]).await);
    let names = if store.is_postgres() {
        tables(&mut store.admin_options().connect().await.unwrap()).await
    } else {
        sqlite_tables(&mut store.sqlite_options().connect().await.unwrap()).await
    };
    let mut emptied = 0;
    for table in names {
        if ["installation", "tenants", "_sqlx_migrations"].contains(&table.as_str()) {
            continue;
        }
        let count = format!("SELECT count(*) FROM {table} WHERE tenant_id = {of_tenant}");
        let expected = match table.as_str() {
            "integration_audit_log" => 3,
            "open_intents" => 1,
            _ => {
                emptied += 1;
                0
            }
        };
        assert_eq!(store.number(&count).await, expected, "{table}");
    }
    assert_eq!(emptied, 12);

    // What was running ends in the trail all the same, and so does the deletion.
    scope.finish(running.ticket, outcome(ResultStatus::Success)).await.unwrap();
    let deletion = resto_vault::Intent {
        connection: resto_vault::Needs::Nothing,
        ..intent("tenant.delete", &params)
    };
    scope.record_event(deletion, outcome(ResultStatus::Success)).await.unwrap();
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems.len()), (6, 0));
    let refused = scope.put_secret("dns", &canary().into()).await.unwrap_err();
    assert_eq!(refused, Error::UnknownTenant);
    assert_eq!(scope.principal("local", "owner").await, Err(Error::UnknownTenant));
    assert_eq!(vault.tenants().await.unwrap(), [kept]);
}

async fn a_principal_is_found_again(store: Store) {
    let (_, scope) = store.tenant().await;
    let first = scope.principal("https://id.example", "alice").await.unwrap();
    assert_eq!(scope.principal("https://id.example", "alice").await.unwrap(), first);
    let other = scope.principal("https://other.example", "alice").await.unwrap();
    assert_ne!(other.id, first.id);
    assert!(matches!(scope.principal("local", "").await, Err(Error::Invalid(_))));
}

async fn a_token_lets_its_principal_in_until_it_is_revoked(store: Store) {
    let (vault, scope) = store.tenant().await;
    let principal = scope.principal("local", "owner").await.unwrap();
    let (made, token) = scope.create_token(principal.id, "laptop", "spend", None).await.unwrap();
    let token = token.expose_secret();
    assert!(token.starts_with("resto_") && token.len() == 49);
    assert_eq!((made.name.as_str(), made.subject.as_str()), ("laptop", "owner"));
    assert_eq!(made.last_used_at, None);

    let caller = vault.authenticate(token).await.unwrap().unwrap();
    assert_eq!(caller.tenant.id, scope.tenant());
    assert_eq!(caller.tenant.external_id, "acme");
    assert_eq!(caller.principal, principal);
    assert_eq!((caller.token.as_str(), caller.scopes.as_str()), ("laptop", "spend"));
    let listed = scope.tokens().await.unwrap();
    assert!(listed[0].last_used_at.unwrap() >= made.created_at);

    let mut wrong = token.to_owned();
    wrong.pop();
    let other_key = format!("resto_{}", "A".repeat(43));
    for unknown in ["", "resto_", &wrong, &other_key, &token.to_uppercase(), &token[6..]] {
        assert_eq!(vault.authenticate(unknown).await.unwrap(), None, "{}", unknown.len());
    }
    let refused = scope.create_token(principal.id, "laptop", "spend", None).await.unwrap_err();
    assert!(refused.to_string().contains("the name is taken"), "{refused}");

    assert!(scope.revoke_token("laptop").await.unwrap());
    assert_eq!(vault.authenticate(token).await.unwrap(), None);
    assert!(!scope.revoke_token("laptop").await.unwrap());
}

async fn an_expired_token_lets_nobody_in(store: Store) {
    let (vault, scope) = store.tenant().await;
    let principal = scope.principal("local", "owner").await.unwrap();
    let now = scope.tokens().await.map(|_| OffsetDateTime::now_utc()).unwrap();
    let (_, past) = scope
        .create_token(principal.id, "past", "spend", Some(std::time::Duration::ZERO))
        .await
        .unwrap();
    let (made, future) = scope
        .create_token(principal.id, "future", "spend", Some(std::time::Duration::from_hours(24)))
        .await
        .unwrap();
    assert!(made.expires_at.unwrap() > now);
    assert_eq!(vault.authenticate(past.expose_secret()).await.unwrap(), None);
    assert!(vault.authenticate(future.expose_secret()).await.unwrap().is_some());
}

async fn a8_an_edit_in_the_database_widens_no_token(store: Store) {
    let (vault, scope) = store.tenant().await;
    let principal = scope.principal("local", "owner").await.unwrap();
    let other = scope.principal("local", "other").await.unwrap();
    let day = Some(std::time::Duration::from_hours(24));
    for edit in [
        "scopes = 'spend'",
        "name = 'another'",
        "expires_at = NULL",
        "expires_at = expires_at + 1",
        "principal_id = (SELECT id FROM principals WHERE subject = 'other')",
        "bounds = hash",
    ] {
        let (_, token) = scope.create_token(principal.id, "agent", "read", day).await.unwrap();
        let token = token.expose_secret();
        assert_eq!(vault.authenticate(token).await.unwrap().unwrap().scopes, "read");
        store.tamper(&format!("UPDATE access_tokens SET {edit}")).await;
        assert_eq!(vault.authenticate(token).await.unwrap(), None, "{edit}");
        store.tamper("DELETE FROM access_tokens").await;
    }
    let alerts = scope.alerts(9).await.unwrap();
    assert!(alerts.iter().any(|alert| alert.subject == "access token agent"), "{alerts:?}");
    // The bounds of one token are not those of another.
    let (_, narrow) = scope.create_token(principal.id, "narrow", "read", None).await.unwrap();
    let (_, wide) = scope.create_token(other.id, "wide", "spend", None).await.unwrap();
    let columns = "name || '2', scopes, bounds, principal_id";
    store
        .tamper(&format!(
            "UPDATE access_tokens SET (name, scopes, bounds, principal_id) =
             (SELECT {columns} FROM access_tokens WHERE name = 'wide') WHERE name = 'narrow'"
        ))
        .await;
    assert_eq!(vault.authenticate(narrow.expose_secret()).await.unwrap(), None);
    assert!(vault.authenticate(wide.expose_secret()).await.unwrap().is_some());
}

async fn a8_the_database_holds_no_token(store: Store) {
    let (vault, scope) = store.tenant().await;
    let principal = scope.principal("local", "owner").await.unwrap();
    let (_, token) = scope.create_token(principal.id, "laptop", "spend", None).await.unwrap();
    let token: &str = token.expose_secret();
    assert!(vault.authenticate(token).await.unwrap().is_some());
    assert!(!store.dump_holds(token.as_bytes()).await);
    assert!(!store.dump_holds(&token.as_bytes()[6..]).await);
    let hash = store.bytes("SELECT hash FROM access_tokens").await;
    assert_eq!(hash.len(), 32);
    assert!(store.dump_holds(&hash).await);
}

async fn one_tenant_sees_nothing_of_another(store: Store) {
    let (vault, acme) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    let principal = acme.principal("local", "owner").await.unwrap();
    acme.create_token(principal.id, "laptop", "spend", None).await.unwrap();
    acme.connect(new_connection("github", &canary())).await.unwrap();
    acme.put_secret("dns", &SecretString::from(canary())).await.unwrap();
    acme.put_record("quotes", "1", &json!(1), None).await.unwrap();
    let params = json!({});
    let op_id = uuid::Uuid::new_v4();
    let pay = resto_vault::Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
    let begun = acme.begin(pay).await.unwrap();
    acme.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();

    assert_eq!(other.tokens().await.unwrap(), []);
    assert!(!other.revoke_token("laptop").await.unwrap());
    assert!(matches!(
        other.create_token(principal.id, "mine", "spend", None).await,
        Err(Error::Invalid(_))
    ));
    assert_eq!(other.connections().await.unwrap(), []);
    assert_eq!(other.connection("github").await.unwrap(), None);
    assert!(!other.disconnect("github", 1).await.unwrap());
    assert!(other.secret("dns").await.unwrap().is_none());
    assert_eq!(other.secret_names().await.unwrap(), Vec::<String>::new());
    assert!(!other.delete_secret("dns").await.unwrap());
    assert_eq!(other.record("quotes", "1").await.unwrap(), None);
    assert_eq!(other.records("quotes", None, 10).await.unwrap(), []);
    assert_eq!(other.take_record("quotes", "1").await.unwrap(), None);
    assert!(!other.delete_record("quotes", "1").await.unwrap());
    assert_eq!(
        other.audit(resto_vault::AuditFilter { limit: 9, ..Default::default() }).await.unwrap(),
        []
    );
    assert_eq!(other.verify_audit().await.unwrap().events, 0);
    // The other tenant's operation of the same id is its own.
    let begun = other
        .begin(resto_vault::Intent { connection: resto_vault::Needs::Nothing, ..pay })
        .await
        .unwrap();
    assert!(begun.repeated.is_none());
    assert_eq!(acme.connections().await.unwrap().len(), 1);
    assert_eq!(acme.record("quotes", "1").await.unwrap(), Some(json!(1)));
}

/// They are looked up together.
async fn who_comes_at_the_same_time_gets_their_own_and_nothing_else(store: Store) {
    let vault = store.open().await;
    let mut comers = Vec::new();
    for name in ["one", "two", "three", "revoked", "widened", "unconnected", "broken"] {
        let scope = vault.scope(new_tenant(&vault, name).await.id);
        let principal = scope.principal("local", name).await.unwrap();
        let (_, token) = scope.create_token(principal.id, name, "read", None).await.unwrap();
        if name != "unconnected" {
            let mut new = new_connection("github", &canary());
            new.credential.account_name = name.into();
            scope.connect(new).await.unwrap();
        }
        comers.push((name, token, scope));
    }
    assert!(comers[3].2.revoke_token("revoked").await.unwrap());
    store.tamper("UPDATE access_tokens SET scopes = 'spend' WHERE name = 'widened'").await;
    let broken = "UPDATE integration_credentials SET permissions_granted = NULL WHERE account_name = 'broken'";
    assert_eq!(store.tamper(broken).await, 1);
    let mut coming = JoinSet::new();
    for (name, token, scope) in comers.iter().cycle().take(40).cloned() {
        let vault = vault.clone();
        coming.spawn(async move {
            let caller = vault.authenticate(token.expose_secret()).await.unwrap();
            let tenant = caller.map(|caller| caller.tenant.external_id);
            let is_known = !["revoked", "widened"].contains(&name);
            assert_eq!(tenant.as_deref(), is_known.then_some(name));
            let connection = scope.connection("github").await;
            if name == "broken" {
                return drop(connection.unwrap_err());
            }
            let account = connection.unwrap().map(|connection| connection.account_name);
            assert_eq!(account.as_deref(), (name != "unconnected").then_some(name));
            assert_eq!(scope.connection("stripe").await.unwrap(), None);
        });
    }
    coming.join_all().await;
    assert_eq!(store.number("SELECT count(*) FROM alerts").await, 1);
    let used = "SELECT count(*) FROM access_tokens WHERE last_used_at IS NOT NULL";
    assert_eq!(store.number(used).await, 5);
}
