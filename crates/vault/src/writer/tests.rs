use serde_json::json;
use sqlx::{ConnectOptions, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::*;
use crate::{Cipher, Intent, Keyring, Needs};

pub(crate) async fn tenant() -> (TempDir, TenantScope, SqliteConnection) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data/vault.db");
    let ring = Keyring::create_file(&dir.path().join("keys/root.key")).unwrap();
    let url = format!("sqlite://{}", file.display());
    let vault = Vault::open(&url, ring, Cipher::default()).await.unwrap();
    let tenant = vault.create_tenant("acme", "Acme").await.unwrap();
    let other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    (dir, vault.scope(tenant.id), other)
}

/// Kills the task, and waits until it is gone.
async fn kill(writer: &Writer) {
    let task = writer.state().task.take().unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}

/// Once before the task has taken the call, and once while it waits for the database with it.
#[tokio::test]
async fn f1_a_writer_that_is_killed_refuses_who_waits_and_the_next_call_starts_another() {
    let (_dir, scope, mut other) = tenant().await;
    let params = json!({});
    let intent = Intent {
        integration_id: "github",
        action: "read",
        params: &params,
        actor: "agent:claude",
        op_id: None,
        unsafe_: false,
        connection: Needs::Nothing,
    };
    let writer = &scope.vault.inner.writer;
    for is_writing in [false, true] {
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let queue = writer.queue().unwrap();
        let start = Instant::now();
        let killing = async {
            while queue.capacity() == QUEUE {
                yield_now().await;
            }
            while is_writing && queue.capacity() < QUEUE {
                yield_now().await;
            }
            kill(writer).await;
        };
        let (begun, ()) = tokio::join!(scope.begin(intent), killing);
        assert_eq!(begun.unwrap_err(), stopped());
        assert!(start.elapsed() < 3 * STUCK, "{:?}", start.elapsed());
        other.execute("ROLLBACK").await.unwrap();

        let before = scope.audit_events(0, 100).await.unwrap().len();
        let begun = scope.begin(intent).await.unwrap();
        drop(begun);
        // Of the one that was refused there is nothing.
        assert_eq!(scope.audit_events(0, 100).await.unwrap().len(), before + 1);
        assert_eq!(scope.verify_audit().await.unwrap().problems, []);
    }
}
