//! Exchanging the root key while others work, and what is refused when one is missing.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use resto_vault::{
    Cipher, Error, Keyring, ResultStatus, RootKeyInfo, RootRole, TenantScope, Vault,
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    children,
    connections::{open, token},
    store::{Store, canary, intent, new_connection, new_tenant, on_both, outcome},
};

on_both! {
    b7_a_new_root_key_takes_over_everything_and_the_old_one_may_go
    b7_refuses_to_start_while_rows_need_a_root_key_that_is_missing
    b7_rotation_and_rewrapping_go_on_under_load_without_a_failed_opening
    b7_a_tenant_key_that_was_changed_outside_does_not_stop_the_rewrapping
    b2_refuses_every_exchange_of_wrapped_tenant_keys
    b2_one_store_holds_both_ciphers_through_a_rewrapping
    b7_a_rewrapping_that_was_killed_goes_on_where_it_was
}

/// `root_id`, its role, how many tenant keys it wraps, and whether it is needed.
async fn roots(vault: &Vault) -> Vec<(String, RootRole, u64, bool)> {
    let info = |root: RootKeyInfo| (root.root_id, root.role, root.tenant_keys, root.needed);
    vault.root_keys().await.unwrap().into_iter().map(info).collect()
}

async fn b7_a_new_root_key_takes_over_everything_and_the_old_one_may_go(store: Store) {
    let (old, new) = (store.ring("old"), store.ring("new"));
    let (old_id, new_id) = (old.id(), new.id());
    let secret = canary();
    let params = json!({ "amount": 1 });
    let op_id = Some(uuid::Uuid::new_v4());
    let pay = resto_vault::Intent { unsafe_: true, op_id, ..intent("pay", &params) };

    // Sealed, hashed and audited under the old root key alone.
    let vault = store.open_with(old.clone()).await.unwrap();
    let tenant = new_tenant(&vault, "acme").await.id;
    let scope = vault.scope(tenant);
    scope.connect(new_connection("github", &secret)).await.unwrap();
    let principal = scope.principal("local", "owner").await.unwrap();
    let (_, access) = scope.create_token(principal.id, "laptop", "spend", None).await.unwrap();
    let access = access.expose_secret().to_owned();
    let begun = scope.begin(pay).await.unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    assert_eq!(roots(&vault).await, [(old_id.clone(), RootRole::Current, 1, true)]);
    let wrapped = store.bytes("SELECT wrapped FROM tenant_keys").await;
    let sentinel = store.bytes("SELECT sentinel FROM installation").await;

    // A server that accepts the new one goes on working beside one whose current it is.
    let before = store.open_with(old.clone().accepting(new.clone())).await.unwrap();
    let after = store.open_with(new.clone().accepting(old.clone())).await.unwrap();
    let young = new_tenant(&after, "young").await.id;
    after.scope(young).connect(new_connection("github", "young")).await.unwrap();
    assert_eq!(token(&before.scope(young), "github").await, "young");
    assert_eq!(token(&after.scope(tenant), "github").await, secret);
    assert_eq!(
        roots(&after).await,
        [
            (new_id.clone(), RootRole::Current, 1, true),
            (old_id.clone(), RootRole::Accepted, 1, true)
        ]
    );

    assert_eq!(after.rewrap_keys(|_| ()).await.unwrap().rewrapped, 1);
    assert_eq!(
        roots(&after).await,
        [(new_id.clone(), RootRole::Current, 2, true), (old_id, RootRole::Accepted, 0, false)]
    );
    assert_eq!(after.rewrap_keys(|_| ()).await.unwrap().rewrapped, 0, "again changes nothing");
    assert!(!store.dump_holds(&wrapped[22..]).await, "the old wrapping is gone from the disk");
    assert!(!store.dump_holds(&sentinel[22..]).await);

    // The old root key is gone. Everything it protected works, its tokens and its part of the trail too.
    let alone = store.open_with(new).await.unwrap();
    alone.check().await.unwrap();
    assert_eq!(roots(&alone).await, [(new_id, RootRole::Current, 2, true)]);
    let scope = alone.scope(tenant);
    assert_eq!(token(&scope, "github").await, secret);
    assert!(alone.authenticate(&access).await.unwrap().is_some());
    assert!(scope.begin(pay).await.unwrap().repeated.is_some());
    let other = json!({ "amount": 2 });
    let mismatch = scope.begin(resto_vault::Intent { params: &other, ..pay }).await.unwrap_err();
    assert!(matches!(mismatch, Error::OperationMismatch { .. }));
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems), (7, vec![]));
    // With the old one alone nothing opens any more.
    let refused = store.open_with(old.clone()).await.unwrap_err();
    assert_eq!(refused, Error::WrongKey { key_id: old.id() });
}

async fn b7_refuses_to_start_while_rows_need_a_root_key_that_is_missing(store: Store) {
    let (old, new) = (store.ring("old"), store.ring("new"));
    let vault = store.open_with(old.clone()).await.unwrap();
    let tenant = new_tenant(&vault, "acme").await.id;
    vault.scope(tenant).connect(new_connection("github", "x")).await.unwrap();
    // Never introduced.
    let refused = store.open_with(new.clone()).await.unwrap_err();
    assert_eq!(refused, Error::WrongKey { key_id: new.id() });
    // Introduced, and nothing rewrapped.
    let both = store.open_with(new.clone().accepting(old.clone())).await.unwrap();
    let missing = Error::MissingRootKeys { key_ids: vec![old.id()] };
    let refused = store.open_with(new.clone()).await.unwrap_err();
    assert_eq!(refused, missing);
    assert!(refused.to_string().contains("resto keys rewrap"), "{refused}");
    // Everything rewrapped, but for a key that a server with the old configuration made since.
    both.rewrap_keys(|_| ()).await.unwrap();
    store.open_with(new.clone()).await.unwrap();
    let late = store.open_with(old.clone().accepting(new.clone())).await.unwrap();
    let late = late.scope(new_tenant(&late, "late").await.id);
    assert_eq!(store.open_with(new.clone()).await.unwrap_err(), missing);
    // A running server notices too, where its health is asked for.
    both.check().await.unwrap();
    both.rewrap_keys(|_| ()).await.unwrap();
    let alone = store.open_with(new).await.unwrap();
    alone.scope(late.tenant()).connect(new_connection("github", "y")).await.unwrap();
    assert_eq!(token(&alone.scope(tenant), "github").await, "x");
}

async fn b7_rotation_and_rewrapping_go_on_under_load_without_a_failed_opening(store: Store) {
    let lasts =
        std::env::var_os("RESTO_TEST_FULL").map_or(Duration::ZERO, |_| Duration::from_mins(1));
    let (one, two) = (store.ring("one"), store.ring("two"));
    // Two servers in the midst of the exchange.
    let first = store.open_with(one.clone().accepting(two.clone())).await.unwrap();
    let mut tenants = Vec::new();
    for n in 0..6 {
        let scope = first.scope(new_tenant(&first, &format!("tenant-{n}")).await.id);
        scope.connect(new_connection("github", "token")).await.unwrap();
        scope.put_secret("dns", &"secret".to_owned().into()).await.unwrap();
        scope.put_record("quotes", "1", &json!(1), None).await.unwrap();
        tenants.push(scope.tenant());
    }
    let second = store.open_with(two.accepting(one)).await.unwrap();
    let (done, opened) = (AtomicBool::new(false), AtomicU64::new(0));
    let work = async |vault: &Vault| {
        while !done.load(Ordering::Relaxed) {
            for tenant in &tenants {
                let scope: TenantScope = vault.scope(*tenant);
                assert_eq!(open(&scope, "github").await.unwrap(), "token");
                assert_eq!(scope.secret("dns").await.unwrap().unwrap().expose_secret(), "secret");
                assert_eq!(scope.record("quotes", "1").await.unwrap(), Some(json!(1)));
                opened.fetch_add(3, Ordering::Relaxed);
            }
        }
    };
    let exchange = async {
        let start = Instant::now();
        let (mut rounds, mut moved) = (0_u64, 0);
        while rounds < 8 || start.elapsed() < lasts {
            let vault = if rounds % 2 == 0 { &second } else { &first };
            moved += vault.rewrap_keys(|_| ()).await.unwrap().rewrapped;
            for tenant in &tenants {
                vault.scope(*tenant).rotate_key().await.unwrap();
            }
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
        moved
    };
    let (moved, ..) =
        tokio::join!(exchange, work(&first), work(&second), work(&first), work(&second));
    assert!(moved >= 8 * 6 && opened.load(Ordering::Relaxed) > 0, "{moved} moved");
    for tenant in tenants {
        assert_eq!(first.scope(tenant).verify_audit().await.unwrap().problems, vec![]);
        assert!(first.scope(tenant).alerts(9).await.unwrap().is_empty());
    }
}

async fn b7_a_tenant_key_that_was_changed_outside_does_not_stop_the_rewrapping(store: Store) {
    let (old, new) = (store.ring("old"), store.ring("new"));
    let vault = store.open_with(old.clone()).await.unwrap();
    let mut scopes = Vec::new();
    for name in ["a", "b", "c"] {
        let scope = vault.scope(new_tenant(&vault, name).await.id);
        scope.connect(new_connection("github", name)).await.unwrap();
        scopes.push(scope);
    }
    let of_b = store.id(&scopes[1]);
    store
        .tamper(&format!("UPDATE tenant_keys SET wrapped = kek_id WHERE tenant_id = {of_b}"))
        .await;
    let both = store.open_with(new.clone().accepting(old.clone())).await.unwrap();
    let done = both.rewrap_keys(|_| ()).await.unwrap();
    assert_eq!((done.rewrapped, done.lost), (2, 1));
    for (scope, name) in scopes.iter().zip(["a", "b", "c"]) {
        let opened = open(&both.scope(scope.tenant()), "github").await;
        let wanted = if name == "b" { Err(Error::CannotOpen) } else { Ok(name.to_owned()) };
        assert_eq!(opened, wanted);
    }
    // What is lost might come back from a backup, so its root key is still asked for, until its tenant goes.
    let missing = Error::MissingRootKeys { key_ids: vec![old.id()] };
    assert_eq!(store.open_with(new.clone()).await.unwrap_err(), missing);
    both.delete_tenant(scopes[1].tenant()).await.unwrap();
    store.open_with(new).await.unwrap();
}

async fn b2_refuses_every_exchange_of_wrapped_tenant_keys(store: Store) {
    let (old, new) = (store.ring("old"), store.ring("new"));
    let vault = store.open_with(new.accepting(old)).await.unwrap();
    let acme = vault.scope(new_tenant(&vault, "acme").await.id);
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    let secret = canary();
    acme.connect(new_connection("github", &secret)).await.unwrap();
    let key = async |scope: &TenantScope| {
        let of = format!("FROM tenant_keys WHERE tenant_id = {}", store.id(scope));
        let wrapped = store.bytes(&format!("SELECT wrapped {of}")).await;
        (wrapped, store.bytes(&format!("SELECT kek_id {of}")).await)
    };
    let (ours, our_id) = key(&acme).await;
    let (theirs, _) = key(&other).await;
    let put = async |bytes: &[u8]| {
        let (bytes, here) = (store.literal(bytes), store.id(&acme));
        store
            .tamper(&format!("UPDATE tenant_keys SET wrapped = {bytes} WHERE tenant_id = {here}"))
            .await;
        open(&acme, "github").await
    };
    let with = |position: usize, bytes: &[u8]| {
        let mut changed = ours.clone();
        changed[position..position + bytes.len()].copy_from_slice(bytes);
        changed
    };
    for (what, changed) in [
        ("another tenant's", theirs),
        ("under the accepted root's id", with(6, &[7; 16])),
        ("under its own id", with(6, &our_id)),
        ("another version", with(4, &[2])),
        ("another cipher", with(5, &[2])),
        ("no cipher", with(5, &[0])),
        ("cut", ours[..ours.len() - 1].to_vec()),
        ("cut to its head", ours[..22].to_vec()),
        ("empty", Vec::new()),
        ("longer", [ours.as_slice(), &[0]].concat()),
        ("another bit", with(ours.len() - 20, &[ours[ours.len() - 20] ^ 1])),
    ] {
        assert_eq!(put(&changed).await, Err(Error::CannotOpen), "{what}");
        assert_eq!(acme.rotate_key().await.unwrap_err(), Error::CannotOpen, "{what}");
        assert_eq!(acme.alerts(1).await.unwrap()[0].kind, "tampered");
    }
    assert_eq!(put(&ours).await, Ok(secret));
}

async fn b2_one_store_holds_both_ciphers_through_a_rewrapping(store: Store) {
    let (old, new) = (store.ring("old"), store.ring("new"));
    let first = store.open_with(old.clone()).await.unwrap();
    let tenant = new_tenant(&first, "acme").await.id;
    first.scope(tenant).connect(new_connection("github", "first")).await.unwrap();
    let aes = Vault::open(&store.url, new.clone().accepting(old), Cipher::Aes256Gcm).await.unwrap();
    aes.scope(tenant).connect(new_connection("vercel", "second")).await.unwrap();
    let algorithm = |blob: Vec<u8>| blob[5];
    assert_eq!(algorithm(store.bytes("SELECT wrapped FROM tenant_keys").await), 1);
    aes.rewrap_keys(|_| ()).await.unwrap();
    assert_eq!(algorithm(store.bytes("SELECT wrapped FROM tenant_keys").await), 2);
    let last = store.open_with(new).await.unwrap().scope(tenant);
    assert_eq!(token(&last, "github").await, "first");
    assert_eq!(token(&last, "vercel").await, "second");
    last.rotate_key().await.unwrap();
    assert_eq!(
        algorithm(store.bytes("SELECT wrapped FROM tenant_keys WHERE state = 'active'").await),
        1
    );
    assert_eq!(token(&last, "vercel").await, "second");
}

/// Enough for two transactions and a part of a third.
const TENANTS: usize = 1100;

async fn b7_a_rewrapping_that_was_killed_goes_on_where_it_was(store: Store) {
    let (old, new) = (store.ring("old"), store.ring("new"));
    let vault = store.open_with(old.clone()).await.unwrap();
    let mut tenants = Vec::new();
    for n in 0..TENANTS {
        tenants.push(new_tenant(&vault, &format!("tenant-{n}")).await.id);
    }
    // One tenant of each transaction, and the last.
    let sample = [0, 499, 500, 700, 1000, TENANTS - 1].map(|n| tenants[n]);
    for tenant in sample {
        vault.scope(tenant).connect(new_connection("github", "token")).await.unwrap();
    }
    let all_open = async |vault: &Vault| {
        for tenant in sample {
            assert_eq!(token(&vault.scope(tenant), "github").await, "token");
        }
    };
    let under_new = format!("SELECT count(*) FROM tenant_keys WHERE root_id = {}", {
        let id: Vec<u8> =
            (0..16).map(|n| u8::from_str_radix(&new.id()[2 * n..2 * n + 2], 16).unwrap()).collect();
        store.literal(&id)
    });

    // The second transaction comes as far as this tenant, and is held there.
    children::stall(&store, "tenant_keys", &vault.scope(tenants[700])).await;
    let mut child = children::start(&store, "roots::rewraps_as_a_child");
    children::wait_until_stalled(&store, &format!("{under_new} HAVING count(*) = 500")).await;
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success() && status.code().is_none(), "killed, and not ended: {status}");
    children::let_go(&store, "tenant_keys").await;

    // Whole transactions only, and everything opens; the old root key is still asked for.
    assert_eq!(store.number(&under_new).await, 500);
    all_open(&store.open_with(new.clone().accepting(old.clone())).await.unwrap()).await;
    all_open(&store.open_with(old.clone().accepting(new.clone())).await.unwrap()).await;
    let missing = Error::MissingRootKeys { key_ids: vec![old.id()] };
    assert_eq!(store.open_with(new.clone()).await.unwrap_err(), missing);

    let status = children::start(&store, "roots::rewraps_as_a_child").wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(usize::try_from(store.number(&under_new).await).unwrap(), TENANTS);
    all_open(&store.open_with(new).await.unwrap()).await;
}

/// What a child process of the story above does.
#[tokio::test]
#[ignore = "a child process of b7_a_rewrapping_that_was_killed_goes_on_where_it_was"]
async fn rewraps_as_a_child() {
    let Some((url, keys)) = children::parent() else { return };
    let ring = |name: &str| Keyring::from_file(&keys.join(name), None).unwrap();
    let ring = ring("new.key").accepting(ring("old.key"));
    let vault = Vault::open(&url, ring, Cipher::default()).await.unwrap();
    vault.rewrap_keys(|_| ()).await.unwrap();
}
