//! A database of its own for each test, and the hands of someone who can write to it behind the vault's back.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Once},
};

use resto_vault::{
    AuthType, Cipher, Credential, Intent, Keyring, NewConnection, Outcome, ResultStatus, Tenant,
    TenantScope, Vault,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row, SqliteConnection,
    postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Declares that each of the stories runs on both databases.
macro_rules! on_both {
    ($($story:ident)*) => { $(
        mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$story($crate::store::Store::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                if let Some(store) = $crate::store::Store::postgres().await {
                    super::$story(store).await;
                }
            }
        }
    )* };
}
pub(crate) use on_both;

static SAID: Once = Once::new();

pub struct Store {
    pub dir: TempDir,
    /// As the program opens it.
    pub url: String,
    postgres: Option<Arc<Postgres>>,
}

/// The database and role of one test; both go when the test ends.
struct Postgres {
    admin: PgConnectOptions,
    name: String,
}

impl Store {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/data/vault.db", dir.path().display());
        Self { dir, url, postgres: None }
    }

    /// None when no server is named, which is said aloud and is a failure where CI runs.
    pub async fn postgres() -> Option<Self> {
        let Ok(admin) = std::env::var("RESTO_TEST_POSTGRES") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "RESTO_TEST_POSTGRES is not set: the vault must be tested on PostgreSQL here"
            );
            // Not by a macro: the test runner would swallow it.
            SAID.call_once(|| {
                let text =
                    b"PostgreSQL was NOT tested: set RESTO_TEST_POSTGRES to a superuser's URL\n";
                std::io::stderr().write_all(text).unwrap();
            });
            return None;
        };
        let admin: PgConnectOptions = admin.parse().unwrap();
        let name = format!("vault_test_{}", Uuid::new_v4().simple());
        let mut connection = admin.connect().await.unwrap();
        // Roles belong to the whole server: two migrations at once would both create them.
        run(&mut connection, "SELECT pg_advisory_lock(7)").await;
        run(&mut connection, &format!("CREATE DATABASE {name}")).await;
        run(&mut connection, &format!("CREATE ROLE {name} LOGIN PASSWORD '{name}'")).await;
        let owner = admin.clone().database(&name).to_url_lossy();
        Vault::migrate(owner.as_str()).await.unwrap();
        run(&mut connection, &format!("GRANT resto_app TO {name}")).await;
        connection.close().await.unwrap();
        let url = admin
            .clone()
            .database(&name)
            .username(&name)
            .password(&name)
            .to_url_lossy()
            .to_string();
        Some(Self {
            dir: tempfile::tempdir().unwrap(),
            url,
            postgres: Some(Arc::new(Postgres { admin, name })),
        })
    }

    pub fn is_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    pub fn keyring(&self) -> Keyring {
        self.ring("root")
    }

    /// A ring with one root key, which is made when it is first named.
    pub fn ring(&self, name: &str) -> Keyring {
        let path = self.dir.path().join(format!("keys/{name}.key"));
        if path.exists() {
            Keyring::from_file(&path, None).unwrap()
        } else {
            Keyring::create_file(&path).unwrap()
        }
    }

    pub async fn open(&self) -> Vault {
        Vault::open(&self.url, self.keyring(), Cipher::default()).await.unwrap()
    }

    pub async fn open_with(&self, keyring: Keyring) -> resto_vault::Result<Vault> {
        Vault::open(&self.url, keyring, Cipher::default()).await
    }

    /// How this database writes bytes in SQL.
    pub fn literal(&self, bytes: &[u8]) -> String {
        let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        if self.is_postgres() { format!("'\\x{hex}'::BYTEA") } else { format!("x'{hex}'") }
    }

    /// How this database writes a tenant's id in SQL.
    pub fn id(&self, scope: &TenantScope) -> String {
        let id = scope.tenant().to_string();
        if self.is_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
    }

    /// A vault with one tenant.
    pub async fn tenant(&self) -> (Vault, TenantScope) {
        let vault = self.open().await;
        let tenant = new_tenant(&vault, "acme").await;
        let scope = vault.scope(tenant.id);
        (vault, scope)
    }

    pub fn sqlite_options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.url.strip_prefix("sqlite://").unwrap())
            .foreign_keys(true)
    }

    pub fn admin_options(&self) -> PgConnectOptions {
        let postgres = self.postgres.as_ref().unwrap();
        postgres.admin.clone().database(&postgres.name)
    }

    pub fn role(&self) -> &str {
        &self.postgres.as_ref().unwrap().name
    }

    /// Runs SQL as someone who may write anything, past row-level security and the audit's guard.
    pub async fn tamper(&self, sql: &str) -> u64 {
        if self.is_postgres() {
            let mut connection = self.admin_options().connect().await.unwrap();
            run(&mut connection, "SET session_replication_role = replica").await;
            let done =
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
            connection.close().await.unwrap();
            done.rows_affected()
        } else {
            let mut connection = self.sqlite_options().connect().await.unwrap();
            for trigger in ["no_update", "no_delete"] {
                let drop = format!("DROP TRIGGER IF EXISTS integration_audit_log_{trigger}");
                connection.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await.unwrap();
            }
            let done =
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
            connection.close().await.unwrap();
            done.rows_affected()
        }
    }

    /// Puts the database's clock ahead of the real one by this much.
    pub async fn move_clock(&self, ahead: std::time::Duration) {
        let ahead = ahead.as_millis();
        let sql = if self.is_postgres() {
            format!(
                "CREATE OR REPLACE VIEW clock AS
                 SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + {ahead} AS now_ms"
            )
        } else {
            format!(
                "DROP VIEW clock; CREATE VIEW clock AS
                 SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + {ahead} AS now_ms"
            )
        };
        self.tamper(&sql).await;
    }

    /// The first column of the first row, as a number.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_postgres() {
            let mut connection = self.admin_options().connect().await.unwrap();
            let row = connection.fetch_one(sqlx::query(sql)).await.unwrap();
            connection.close().await.unwrap();
            row.get(0)
        } else {
            let mut connection = self.sqlite_options().connect().await.unwrap();
            let row = connection.fetch_one(sqlx::query(sql)).await.unwrap();
            connection.close().await.unwrap();
            row.get(0)
        }
    }

    /// The columns of a table or view in their order; on PostgreSQL each with its type.
    pub async fn columns(&self, name: &str) -> Vec<String> {
        if self.is_postgres() {
            let mut connection = self.admin_options().connect().await.unwrap();
            let sql = "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = $1::TEXT::regclass AND attnum > 0 ORDER BY attnum";
            sqlx::query_scalar(sql).bind(name).fetch_all(&mut connection).await.unwrap()
        } else {
            let mut connection = self.sqlite_options().connect().await.unwrap();
            // Generated columns too.
            let sql = "SELECT name FROM pragma_table_xinfo($1) ORDER BY cid";
            sqlx::query_scalar(sql).bind(name).fetch_all(&mut connection).await.unwrap()
        }
    }

    /// The first column of the first row, as bytes.
    pub async fn bytes(&self, sql: &str) -> Vec<u8> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_postgres() {
            let mut connection = self.admin_options().connect().await.unwrap();
            let row = connection.fetch_one(sqlx::query(sql)).await.unwrap();
            connection.close().await.unwrap();
            row.get(0)
        } else {
            let mut connection = self.sqlite_options().connect().await.unwrap();
            let row = connection.fetch_one(sqlx::query(sql)).await.unwrap();
            connection.close().await.unwrap();
            row.get(0)
        }
    }

    /// Everything that a thief of the database gets: SQLite's files as they lie on the disk, or each row of
    /// PostgreSQL as text, with bytes in hexadecimal.
    pub async fn dump(&self) -> Vec<u8> {
        if !self.is_postgres() {
            let mut all = Vec::new();
            for entry in std::fs::read_dir(self.dir.path().join("data")).unwrap() {
                all.extend(std::fs::read(entry.unwrap().path()).unwrap());
            }
            return all;
        }
        let mut connection = self.admin_options().connect().await.unwrap();
        let mut all = Vec::new();
        for table in tables(&mut connection).await {
            let sql = format!("SELECT t::TEXT FROM {table} t");
            for row in connection.fetch_all(sqlx::query(AssertSqlSafe(sql))).await.unwrap() {
                all.extend(row.get::<String, _>(0).into_bytes());
            }
        }
        connection.close().await.unwrap();
        all
    }

    /// Whether the database's files hold these bytes, as they lie on the disk.
    pub async fn files_hold(&self, needle: &[u8]) -> bool {
        if !self.is_postgres() {
            return self.dump().await.windows(needle.len()).any(|window| window == needle);
        }
        self.tamper("CHECKPOINT").await;
        let sql = "SELECT count(*) FROM pg_database d,
             LATERAL (SELECT 'base/' || d.oid || '/' || pg_ls_dir('base/' || d.oid) AS path) f
             WHERE d.datname = current_database() AND position(NEEDLE IN pg_read_binary_file(f.path, 0, 1 << 24, true)) > 0";
        self.number(&sql.replace("NEEDLE", &self.literal(needle))).await > 0
    }

    /// How far PostgreSQL's log is written.
    pub async fn log_position(&self) -> Vec<u8> {
        if !self.is_postgres() {
            return Vec::new();
        }
        self.bytes("SELECT convert_to(pg_walfile_name(pg_current_wal_lsn()), 'UTF8')").await
    }

    /// Whether PostgreSQL's log holds these bytes, from the file of the position on. SQLite's is among its files.
    pub async fn log_holds(&self, position: &[u8], needle: &[u8]) -> bool {
        if !self.is_postgres() {
            return self.files_hold(needle).await;
        }
        let position = String::from_utf8_lossy(position);
        let needle = self.literal(needle);
        let sql = format!(
            "SELECT count(*) FROM pg_ls_waldir() w WHERE w.name >= '{position}'
             AND position({needle} IN pg_read_binary_file('pg_wal/' || w.name, 0, w.size, true)) > 0"
        );
        self.number(&sql).await > 0
    }

    /// Whether the dump holds these bytes, raw or in hexadecimal.
    pub async fn dump_holds(&self, needle: &[u8]) -> bool {
        let hex = needle.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let dump = self.dump().await;
        [needle, hex.as_bytes()]
            .iter()
            .any(|needle| dump.windows(needle.len()).any(|window| window == *needle))
    }
}

pub async fn tables(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT relname::TEXT FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
        .fetch_all(connection)
        .await
        .unwrap()
}

pub async fn sqlite_tables(connection: &mut SqliteConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
        .fetch_all(connection)
        .await
        .unwrap()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        // A drop cannot wait on this runtime; a thread with one of its own can.
        let cleaner = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = admin.connect().await.unwrap();
                run(&mut connection, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
                run(&mut connection, &format!("DROP ROLE {name}")).await;
                connection.close().await.unwrap();
            });
        });
        drop(cleaner.join());
    }
}

pub async fn new_tenant(vault: &Vault, external_id: &str) -> Tenant {
    vault.create_tenant(external_id, "Acme Ltd").await.unwrap()
}

/// A plainly fake secret that nothing else in a test holds.
pub fn canary() -> String {
    format!("canary-{}", Uuid::new_v4().simple())
}

pub fn credential(token: &str) -> Credential {
    Credential {
        auth_type: AuthType::ApiKey,
        provider: "github".into(),
        host: "api.github.com".into(),
        account_id: "583231".into(),
        account_name: "octocat".into(),
        mode: Some("live".into()),
        permissions: json!({ "contents": "granted" }),
        secrets: BTreeMap::from([("token".to_owned(), SecretString::from(token))]),
    }
}

pub fn new_connection(integration_id: &str, token: &str) -> NewConnection {
    NewConnection {
        integration_id: integration_id.into(),
        credential: credential(token),
        expires_at: None,
        reauthorize_by: None,
        jobs: Vec::new(),
        replaces_account: false,
    }
}

pub fn intent<'a>(action: &'a str, params: &'a Value) -> Intent<'a> {
    Intent {
        integration_id: "github",
        action,
        params,
        actor: "agent:claude",
        op_id: None,
        unsafe_: false,
        connection: resto_vault::Needs::Active,
    }
}

pub fn outcome(status: ResultStatus) -> Outcome<'static> {
    Outcome::of(status)
}
