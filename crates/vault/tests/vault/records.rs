//! Records and named secrets.

use std::time::Duration;

use resto_vault::Error;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::store::{Store, canary, on_both};

on_both! {
    keeps_documents_by_collection_and_id
    an_expired_document_is_gone
    of_several_who_take_a_document_one_gets_it
    of_many_who_store_a_new_document_one_does
    a_new_document_replaces_only_an_expired_one_of_its_tenant
    a_changed_end_or_place_of_a_document_is_refused
    keeps_secrets_by_name
    a_secret_moved_to_another_name_is_refused
}

async fn keeps_documents_by_collection_and_id(store: Store) {
    let (_, scope) = store.tenant().await;
    for id in ["b", "a", "C"] {
        scope.put_record("quotes", id, &json!({ "id": id }), None).await.unwrap();
    }
    scope.put_record("dns", "a", &json!("other"), None).await.unwrap();
    scope.put_record("quotes", "a", &json!("replaced"), None).await.unwrap();
    assert_eq!(scope.record("quotes", "a").await.unwrap(), Some(json!("replaced")));
    assert_eq!(scope.record("quotes", "x").await.unwrap(), None);
    assert_eq!(scope.count_records("quotes").await.unwrap(), 3);
    let all = scope.records("quotes", None, 10).await.unwrap();
    let ids: Vec<_> = all.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["C", "a", "b"]);
    let rest = scope.records("quotes", Some("C"), 1).await.unwrap();
    assert_eq!(rest, [("a".to_owned(), json!("replaced"))]);
    assert!(scope.delete_record("quotes", "a").await.unwrap());
    assert!(!scope.delete_record("quotes", "a").await.unwrap());
    assert_eq!(scope.record("dns", "a").await.unwrap(), Some(json!("other")));
    for (collection, id) in [("", "a"), ("a", ""), ("a/b", "c"), ("a", "b\n")] {
        let refused = scope.put_record(collection, id, &json!(1), None).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{collection} {id}");
    }
}

async fn an_expired_document_is_gone(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.put_record("states", "gone", &json!(1), Some(Duration::ZERO)).await.unwrap();
    scope.put_record("states", "there", &json!(2), Some(Duration::from_mins(10))).await.unwrap();
    assert_eq!(scope.record("states", "gone").await.unwrap(), None);
    assert_eq!(scope.take_record("states", "gone").await.unwrap(), None);
    assert_eq!(scope.count_records("states").await.unwrap(), 1);
    assert_eq!(scope.records("states", None, 10).await.unwrap(), [("there".to_owned(), json!(2))]);
    assert_eq!(scope.record("states", "there").await.unwrap(), Some(json!(2)));
}

async fn of_several_who_take_a_document_one_gets_it(store: Store) {
    let (_, scope) = store.tenant().await;
    scope
        .put_record("states", "s", &json!("verifier"), Some(Duration::from_mins(10)))
        .await
        .unwrap();
    let takers = (0..8).map(|_| {
        let scope = scope.clone();
        tokio::spawn(async move { scope.take_record("states", "s").await.unwrap() })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken, [json!("verifier")]);
}

async fn of_many_who_store_a_new_document_one_does(store: Store) {
    let (_vault, scope) = store.tenant().await;
    let other = store.open().await;
    for round in 0..4 {
        // The first time there is none, and then one that has expired.
        store.move_clock(Duration::from_hours(round)).await;
        let writers = (0..16).map(|n| {
            let scope = if n % 2 == 0 { scope.clone() } else { other.scope(scope.tenant()) };
            tokio::spawn(async move {
                let rest = Some(Duration::from_hours(1));
                (n, scope.put_new_record("turns", "t", &json!(n), rest).await.unwrap())
            })
        });
        let mut winners = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            let (n, is_written) = writer.await.unwrap();
            winners.extend(is_written.then_some(n));
        }
        assert_eq!(winners.len(), 1, "{round} {winners:?}");
        assert_eq!(scope.record("turns", "t").await.unwrap(), Some(json!(winners[0])));
    }
}

async fn a_new_document_replaces_only_an_expired_one_of_its_tenant(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(vault.create_tenant("other", "Other").await.unwrap().id);
    let hour = Some(Duration::from_hours(1));
    assert!(
        other.put_new_record("turns", "t", &json!("other"), Some(Duration::ZERO)).await.unwrap()
    );
    let others = "SELECT count(*) FROM records WHERE expires_at IS NOT NULL";
    assert!(scope.put_new_record("turns", "t", &json!(1), hour).await.unwrap());
    assert_eq!(store.number(others).await, 2, "another tenant's stays, expired or not");
    assert!(!scope.put_new_record("turns", "t", &json!(2), hour).await.unwrap());
    store.move_clock(Duration::from_mins(59)).await;
    assert!(!scope.put_new_record("turns", "t", &json!(3), None).await.unwrap());
    assert_eq!(scope.record("turns", "t").await.unwrap(), Some(json!(1)));
    store.move_clock(Duration::from_hours(1)).await;
    assert!(scope.put_new_record("turns", "t", &json!(4), None).await.unwrap());
    // One without an end is never replaced.
    store.move_clock(Duration::from_hours(999)).await;
    assert!(!scope.put_new_record("turns", "t", &json!(5), hour).await.unwrap());
    assert_eq!(scope.record("turns", "t").await.unwrap(), Some(json!(4)));
    assert!(other.put_new_record("turns", "t", &json!("new"), hour).await.unwrap());
    assert_eq!(other.record("turns", "t").await.unwrap(), Some(json!("new")));
    assert_eq!(scope.record("turns", "t").await.unwrap(), Some(json!(4)));
    assert!(scope.put_new_record("turns", "u", &json!(6), hour).await.unwrap());
    let refused = scope.put_new_record("a/b", "t", &json!(7), hour).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
}

async fn a_changed_end_or_place_of_a_document_is_refused(store: Store) {
    let (_, scope) = store.tenant().await;
    for change in
        ["expires_at = expires_at + 1", "expires_at = NULL", "id = 't'", "collection = 'quotes'"]
    {
        scope.put_record("states", "s", &json!(1), Some(Duration::from_mins(10))).await.unwrap();
        assert_eq!(store.tamper(&format!("UPDATE records SET {change}")).await, 1);
        let (collection, id) = match change {
            "id = 't'" => ("states", "t"),
            "collection = 'quotes'" => ("quotes", "s"),
            _ => ("states", "s"),
        };
        assert_eq!(scope.record(collection, id).await, Err(Error::CannotOpen), "{change}");
        assert_eq!(scope.records(collection, None, 9).await, Err(Error::CannotOpen));
        assert_eq!(scope.take_record(collection, id).await, Err(Error::CannotOpen));
        assert_eq!(scope.record(collection, id).await, Ok(None), "taken all the same");
    }
}

async fn keeps_secrets_by_name(store: Store) {
    let (_, scope) = store.tenant().await;
    let value = canary();
    scope.put_secret("webhook", &canary().into()).await.unwrap();
    scope.put_secret("webhook", &value.clone().into()).await.unwrap();
    scope.put_secret("dns", &canary().into()).await.unwrap();
    assert_eq!(scope.secret("webhook").await.unwrap().unwrap().expose_secret(), value);
    assert!(scope.secret("other").await.unwrap().is_none());
    assert_eq!(scope.secret_names().await.unwrap(), ["dns", "webhook"]);
    let (second, third) = (canary(), canary());
    assert_eq!(scope.add_secret("webhook", &second.clone().into()).await.unwrap(), "webhook-2");
    assert_eq!(scope.add_secret("webhook", &third.into()).await.unwrap(), "webhook-3");
    assert_eq!(scope.add_secret("new", &canary().into()).await.unwrap(), "new");
    // What comes again is there: a provider tells it a second time where its first answer was lost.
    assert_eq!(scope.add_secret("webhook", &second.clone().into()).await.unwrap(), "webhook-2");
    assert_eq!(scope.secret_names().await.unwrap().len(), 5);
    assert_eq!(scope.secret("webhook").await.unwrap().unwrap().expose_secret(), value);
    assert_eq!(scope.secret("webhook-2").await.unwrap().unwrap().expose_secret(), second);
    let sealed = store.bytes("SELECT sealed FROM tenant_secrets WHERE name = 'webhook'").await;
    assert!(scope.delete_secret("webhook").await.unwrap());
    assert!(!store.dump_holds(&sealed[22..]).await);
    assert!(!scope.delete_secret("webhook").await.unwrap());
    assert!(matches!(scope.put_secret("", &canary().into()).await, Err(Error::Invalid(_))));
}

async fn a_secret_moved_to_another_name_is_refused(store: Store) {
    let (_, scope) = store.tenant().await;
    scope.put_secret("webhook", &canary().into()).await.unwrap();
    store.tamper("UPDATE tenant_secrets SET name = 'dns'").await;
    assert_eq!(scope.secret("dns").await.unwrap_err(), Error::CannotOpen);
}
