//! Many who write the trail at once: what they share, what they wait for, and what becomes of those who give up.

use std::{
    future::ready,
    process::Child,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use resto_vault::{Cipher, Error, Intent, Keyring, ResultStatus, Status, TenantScope, Vault};
use serde_json::json;
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::task::JoinSet;

use crate::{
    actions::{NOW, connected},
    children,
    store::{Store, intent, new_connection, on_both, outcome},
};

on_both! {
    f1_many_intents_share_a_durable_commit
    f1_refuses_in_time_while_the_database_does_not_answer_and_goes_on_afterwards
    f1_no_action_begins_after_a_freeze
    f2_an_action_that_its_caller_gave_up_before_it_began_has_an_end
    f6_two_vaults_write_one_trail
    f6_a_writer_knows_at_once_what_others_have_changed
    f6_two_processes_write_one_trail
}

/// An intent is refused within 2 s; only a failure takes three times as long.
const IN_TIME: Duration = Duration::from_secs(6);
/// So many actions of two entries each.
const ACTIONS: usize = 100;

async fn act(scope: &TenantScope) {
    let params = json!({});
    let begun = scope.begin(intent("read", &params)).await.unwrap();
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
}

/// How many transactions wrote to the trail, or on SQLite to anything.
async fn commits(store: &Store) -> i64 {
    if store.is_postgres() {
        return store.number("SELECT count(DISTINCT xmin::TEXT) FROM integration_audit_log").await;
    }
    let path = store.url.strip_prefix("sqlite://").unwrap();
    let log = std::fs::read(format!("{path}-wal")).unwrap();
    let page = store.number("PRAGMA page_size").await;
    // Of a log's frames, the last one of a transaction tells the size of the database.
    let frames = log[32..].chunks_exact(24 + usize::try_from(page).unwrap());
    i64::try_from(frames.filter(|frame| frame[4..8] != [0; 4]).count()).unwrap()
}

async fn f1_many_intents_share_a_durable_commit(store: Store) {
    let (_, scope) = connected(&store).await;
    let before = commits(&store).await;
    let mut running = JoinSet::new();
    for _ in 0..ACTIONS {
        let scope = scope.clone();
        running.spawn(async move {
            let params = json!({});
            let begun = scope.begin(intent("read", &params)).await.unwrap();
            let intent_id = begun.ticket.intent_id();
            // Whoever reads the database now finds it.
            let events = scope.audit_events(0, 1000).await.unwrap();
            assert!(events.iter().any(|event| event.id == intent_id));
        });
    }
    running.join_all().await;
    let shared = commits(&store).await - before;
    assert!((1..50).contains(&shared), "{ACTIONS} intents in {shared} commits");
    assert_eq!(scope.verify_audit().await.unwrap().problems, []);
}

async fn f1_refuses_in_time_while_the_database_does_not_answer_and_goes_on_afterwards(
    store: Store,
) {
    let (_, scope) = connected(&store).await;
    act(&scope).await;
    let refused = async || {
        let (params, start) = (json!({}), Instant::now());
        let error = scope.begin(intent("read", &params)).await.unwrap_err();
        assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
        assert!(matches!(error, Error::Database { retryable: true, .. }), "{error}");
    };
    if store.is_postgres() {
        let mut other = store.admin_options().connect().await.unwrap();
        let mut lock = other.begin().await.unwrap();
        lock.execute("LOCK TABLE integration_audit_log").await.unwrap();
        refused().await;
        lock.rollback().await.unwrap();
        other.close().await.unwrap();
    } else {
        let mut other = store.sqlite_options().connect().await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        refused().await;
        other.execute("ROLLBACK").await.unwrap();
        other.close().await.unwrap();
    }
    let start = Instant::now();
    loop {
        let params = json!({});
        match scope.begin(intent("read", &params)).await {
            Ok(begun) => {
                scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
                break;
            }
            Err(error) => {
                assert!(error.is_retryable() && start.elapsed() < 3 * IN_TIME, "{error}");
            }
        }
    }
    // Only what was answered is there, or was closed since.
    assert_eq!(scope.verify_audit().await.unwrap().problems, []);
    assert_eq!(store.number("SELECT count(*) FROM open_intents").await, 0);
}

async fn f1_no_action_begins_after_a_freeze(store: Store) {
    let (_, scope) = connected(&store).await;
    // Whoever freezes is another program.
    let other = store.open().await.scope(scope.tenant());
    let frozen = AtomicBool::new(false);
    let work = async || {
        let (params, mut begun) = (json!({}), 0_u32);
        loop {
            let was_frozen = frozen.load(Ordering::SeqCst);
            match scope.begin(intent("read", &params)).await {
                Ok(started) => {
                    assert!(!was_frozen, "an action began after the freeze");
                    begun += 1;
                    scope.finish(started.ticket, outcome(ResultStatus::Success)).await.unwrap();
                }
                Err(error) => {
                    let status = Status::Frozen;
                    assert_eq!(error, Error::Inactive { integration_id: "github".into(), status });
                    if was_frozen {
                        return begun;
                    }
                }
            }
        }
    };
    let freeze = async {
        while store.number("SELECT count(*) FROM integration_audit_log").await < 20 {}
        assert!(other.set_status("github", 1, Status::Frozen).await.unwrap());
        frozen.store(true, Ordering::SeqCst);
    };
    let (one, two, three, four, ()) = tokio::join!(work(), work(), work(), work(), freeze);
    let actions = i64::from(one + two + three + four);
    // A refusal writes nothing.
    let entries = store.number("SELECT count(*) FROM integration_audit_log").await;
    assert_eq!(entries, 2 * actions);
    // Disconnected and connected again, it is another generation: nobody is handed the old credential.
    other.disconnect("github", 1).await.unwrap();
    let params = json!({});
    let refused = scope.begin(intent("read", &params)).await.unwrap_err();
    assert_eq!(refused, Error::NotConnected { integration_id: "github".into() });
}

async fn f2_an_action_that_its_caller_gave_up_before_it_began_has_an_end(store: Store) {
    let (vault, scope) = connected(&store).await;
    let params = json!({});
    let mut pays = Vec::new();
    for _ in 0..20 {
        let op_id = uuid::Uuid::new_v4();
        let pay = Intent { unsafe_: true, op_id: Some(op_id), ..intent("pay", &params) };
        tokio::select! {
            biased;
            begun = scope.begin(pay) => drop(begun),
            // The writer has it, and its answer comes too late.
            () = ready(()) => pays.push(pay),
        }
    }
    assert!(!pays.is_empty());
    // It never ran, so it may run now.
    for pay in pays {
        let mut begun = scope.begin(pay).await;
        while matches!(begun, Err(Error::OperationInProgress { .. })) {
            begun = scope.begin(pay).await;
        }
        let begun = begun.unwrap();
        assert!(begun.repeated.is_none());
        scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    }
    vault.close().await;
    assert_eq!(store.number("SELECT count(*) FROM open_intents").await, 0);
    let later = store.open().await.scope(scope.tenant());
    assert_eq!(later.verify_audit().await.unwrap().problems, []);
}

async fn f6_two_vaults_write_one_trail(store: Store) {
    let (_, scope) = connected(&store).await;
    let other = store.open().await.scope(scope.tenant());
    let mut running = JoinSet::new();
    for n in 0..ACTIONS {
        let scope = if n % 2 == 0 { scope.clone() } else { other.clone() };
        running.spawn(async move { act(&scope).await });
    }
    running.join_all().await;
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems), (2 * ACTIONS as u64, vec![]));
}

/// What a writer knows from its last transactions holds for as long as nobody else has written.
async fn f6_a_writer_knows_at_once_what_others_have_changed(store: Store) {
    let (vault, scope) = connected(&store).await;
    let other = store.open().await;
    let params = json!({});
    let read = intent("read", &params);
    for sweeping in [&vault, &other] {
        let begun = scope.begin(read).await.unwrap();
        assert_eq!(sweeping.sweep_unfinished(NOW).await.unwrap(), 1);
        act(&scope).await;
        scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
        let events = scope.audit_events(0, 100).await.unwrap();
        assert_eq!(events.last().unwrap().phase, "reconciled");
    }
    let refused = async || scope.begin(read).await.unwrap_err();
    for (column, value, was) in
        [("status", "needs_reauth", "active"), ("host", "evil.example", "api.github.com")]
    {
        act(&scope).await;
        let set = |value| format!("UPDATE integration_credentials SET {column} = '{value}'");
        store.tamper(&set(value)).await;
        let error = refused().await;
        assert!(matches!(error, Error::Inactive { .. } | Error::CannotOpen), "{column}: {error}");
        store.tamper(&set(was)).await;
    }
    act(&scope).await;
    scope.set_status("github", 1, Status::Frozen).await.unwrap();
    assert!(matches!(refused().await, Error::Inactive { .. }));
    scope.set_status("github", 1, Status::Active).await.unwrap();
    act(&scope).await;
    let of_other = other.scope(scope.tenant());
    assert!(of_other.disconnect("github", 1).await.unwrap());
    assert!(matches!(refused().await, Error::NotConnected { .. }));
    of_other.connect(new_connection("github", "another")).await.unwrap();
    act(&scope).await;
    assert!(scope.disconnect("github", 1).await.unwrap());
    assert!(matches!(refused().await, Error::NotConnected { .. }));
    assert_eq!(scope.verify_audit().await.unwrap().problems, []);
}

/// What was decided upon is held against what is when it is written: each thing that another program may have changed meanwhile.
#[tokio::test]
async fn f6_nothing_is_written_that_was_overtaken_on_postgres() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let (_, scope) = connected(&store).await;
    act(&scope).await;
    let params = json!({});
    let pay = Intent { unsafe_: true, ..intent("pay", &params) };
    let open = scope.begin(pay).await.unwrap();
    let mut connection = store.admin_options().connect().await.unwrap();
    let credential = store.bytes("SELECT uuid_send(id) FROM integration_credentials").await;
    let credential = uuid::Uuid::from_slice(&credential).unwrap().to_string();
    let key = store.bytes("SELECT kek_id FROM tenant_keys").await;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let seq = store.number("SELECT max(seq) FROM integration_audit_log").await;
    let version = store.number("SELECT xmin::TEXT::BIGINT FROM integration_credentials").await;
    let of_key = store.number("SELECT xmin::TEXT::BIGINT FROM tenant_keys").await;
    let (tenant, seen) = (scope.tenant().to_string(), open.ticket.intent_id().to_string());
    let op = open.ticket.op_id().unwrap().to_string();
    let (closed, entered, ended) = ("$1", "$3", "$4");
    let (heads, relied) = ("$8", "$9");
    // Told by the database in the statement itself.
    let now = "now";
    let head = json!([{"tenant": tenant, "seq": seq, "now_ms": now}]);
    let none = uuid::Uuid::nil().to_string();
    for (list, row, is_so) in [
        (heads, json!({"tenant": tenant, "seq": seq, "now_ms": now}), true),
        (heads, json!({"tenant": tenant, "seq": seq, "now_ms": 0}), false),
        (heads, json!({"tenant": tenant, "seq": seq - 1, "now_ms": now}), false),
        (heads, json!({"tenant": none, "seq": 0, "now_ms": now}), true),
        (
            relied,
            json!({"tenant": tenant, "id": credential, "version": version, "key_version": of_key}),
            true,
        ),
        (
            relied,
            json!({"tenant": tenant, "id": credential, "version": version + 1, "key_version": of_key}),
            false,
        ),
        (
            relied,
            json!({"tenant": tenant, "id": credential, "version": version, "key_version": of_key + 1}),
            false,
        ),
        (relied, json!({"tenant": tenant, "id": credential, "version": version}), false),
        (
            relied,
            json!({"tenant": none, "id": credential, "version": version, "key_version": of_key}),
            false,
        ),
        (
            relied,
            json!({"tenant": tenant, "id": none, "version": version, "key_version": of_key}),
            false,
        ),
        (closed, json!({"tenant": tenant, "intent": seen, "is_open": true}), true),
        (closed, json!({"tenant": tenant, "intent": seen, "is_open": false}), false),
        (closed, json!({"tenant": tenant, "intent": none, "is_open": true}), false),
        (entered, json!({"tenant": tenant, "op": op}), false),
        (
            ended,
            json!({"tenant": tenant, "op": op, "state": "failed", "outcome": "00", "key_id": key}),
            true,
        ),
        (
            ended,
            json!({"tenant": tenant, "op": op, "state": "failed", "outcome": "00", "key_id": "00"}),
            false,
        ),
    ] {
        let mut tx = connection.begin().await.unwrap();
        let text = "SELECT append_audit($1, '[]', $3, $4, '[]', '[]', '[]',
            replace($8, '\"now\"', (SELECT now_ms FROM clock)::TEXT), $9)";
        let of = |place: &str| match place {
            _ if place == list => json!([row]).to_string(),
            "$8" => head.to_string(),
            _ => "[]".to_owned(),
        };
        let text = [closed, entered, ended, heads, relied]
            .iter()
            .fold(text.to_owned(), |text, place| text.replace(place, &format!("'{}'", of(place))));
        let written: Option<i64> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(written.is_some(), is_so, "{row}");
        tx.rollback().await.unwrap();
    }
}

struct Kills(Child);

impl Drop for Kills {
    fn drop(&mut self) {
        drop(self.0.kill());
    }
}

async fn f6_two_processes_write_one_trail(store: Store) {
    let (_, scope) = connected(&store).await;
    let mut child = Kills(children::start(&store, "writing::writes_as_a_child"));
    // Both at once: from the child's first entry to its last.
    while store.number("SELECT count(*) FROM integration_audit_log").await == 0 {
        assert_eq!(child.0.try_wait().unwrap(), None, "the child ended early");
    }
    let mut mine = 0;
    let status = loop {
        act(&scope).await;
        mine += 1;
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success() && mine > 1, "{status}, {mine} actions of this process");
    let verified = scope.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems), (2 * (ACTIONS as u64 + mine), vec![]));
}

/// What a child process of the story above does.
#[tokio::test]
#[ignore = "a child process of f6_two_processes_write_one_trail"]
async fn writes_as_a_child() {
    let Some((url, keys)) = children::parent() else { return };
    let ring = Keyring::from_file(&keys.join("root.key"), None).unwrap();
    let vault = Vault::open(&url, ring, Cipher::default()).await.unwrap();
    let scope = vault.scope(vault.tenant("acme").await.unwrap().unwrap().id);
    for _ in 0..ACTIONS {
        act(&scope).await;
    }
    vault.close().await;
}
