//! Child processes that work on a test's database until they are killed in the middle of a transaction.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use resto_vault::TenantScope;
use sqlx::{ConnectOptions, Connection, Executor};

use crate::store::Store;

const URL: &str = "RESTO_TEST_PARENT_URL";
const KEYS: &str = "RESTO_TEST_PARENT_KEYS";
/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs one ignored test of this binary in a process of its own, on the store's database.
pub fn start(store: &Store, test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env(URL, &store.url)
        .env(KEYS, store.dir.path().join("keys"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// In a child: the URL of its parent's database, and the folder of the root keys.
pub fn parent() -> Option<(String, PathBuf)> {
    Some((std::env::var(URL).ok()?, std::env::var_os(KEYS)?.into()))
}

/// Makes the database halt whoever changes a row of this tenant in the table, in the middle of the statement.
pub async fn stall(store: &Store, table: &str, scope: &TenantScope) {
    let tenant = store.id(scope);
    store
        .tamper(&if store.is_postgres() {
            format!(
                "CREATE FUNCTION stall() RETURNS TRIGGER LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
                 CREATE TRIGGER stall BEFORE UPDATE ON {table} FOR EACH ROW
                 WHEN (OLD.tenant_id = {tenant}) EXECUTE FUNCTION stall()"
            )
        } else {
            format!(
                "CREATE VIEW endless AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;
                 CREATE TRIGGER stall BEFORE UPDATE ON {table} WHEN OLD.tenant_id = {tenant}
                 BEGIN SELECT max(i) FROM endless; END"
            )
        })
        .await;
}

/// Waits until somebody is halted; on SQLite, until somebody holds the write lock while `condition` gives a row.
pub async fn wait_until_stalled(store: &Store, condition: &str) {
    let stalled = async {
        loop {
            let stalled = if store.is_postgres() {
                store.number(&format!("SELECT count(*) {SLEEPING}")).await > 0
            } else {
                let wanted = format!("SELECT count(*) FROM ({condition})");
                store.number(&wanted).await > 0 && is_locked(store).await
            };
            if stalled {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, stalled).await.unwrap();
}

const SLEEPING: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";

async fn is_locked(store: &Store) -> bool {
    let options = store.sqlite_options().busy_timeout(Duration::ZERO);
    let mut connection = options.connect().await.unwrap();
    let locked = connection.execute("BEGIN IMMEDIATE").await.is_err();
    connection.close().await.unwrap();
    locked
}

/// Halts nobody any more. A killed client's statement would go on in PostgreSQL until it has something to say.
pub async fn let_go(store: &Store, table: &str) {
    if !store.is_postgres() {
        store.tamper("DROP TRIGGER stall; DROP VIEW endless").await;
        return;
    }
    store.number(&format!("SELECT count(pg_terminate_backend(pid, 60000)) {SLEEPING}")).await;
    store.tamper(&format!("DROP TRIGGER stall ON {table}; DROP FUNCTION stall")).await;
}
