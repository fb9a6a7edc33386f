//! Two typed pools behind one face: each SQL text is written once and expanded for both databases.
//! A write transaction has its tenant to itself, so that what it reads stays true until it commits.

use std::{
    fs::{DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    str::FromStr,
    time::Duration,
};

use sqlx::{
    ConnectOptions, PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use uuid::Uuid;

use crate::{Error, Result, TenantId};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How long a writer waits for another process's write to the SQLite file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a call waits for PostgreSQL before it is refused.
const UNREACHABLE: Duration = Duration::from_secs(2);

/// The database that the URL chose.
pub(crate) enum Database {
    /// One writer and several readers; writers queue in the pool and not in SQLite's busy loop.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction on either database.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Evaluates one expression over the transaction's connection, typed for whichever database it is.
macro_rules! on {
    ($tx:expr, $connection:ident => $body:expr) => {
        match $tx {
            $crate::database::Tx::Sqlite(tx) => {
                let $connection = &mut **tx;
                $body
            }
            $crate::database::Tx::Postgres(tx) => {
                let $connection = &mut **tx;
                $body
            }
        }
    };
}
pub(crate) use on;

impl Tx {
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// The database's clock, in milliseconds.
    pub(crate) async fn now_ms(&mut self) -> Result<i64> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT now_ms FROM clock").fetch_one(c).await)?)
    }

    /// The text for this database, where row-level security needs another one than SQLite.
    pub(crate) fn text(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}

impl Database {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        match Url::parse(url)? {
            Url::Sqlite(path) => {
                let options = sqlite_options(path)?;
                let write = SqlitePoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(BUSY)
                    .connect_with(options.clone())
                    .await?;
                migrate_sqlite(&write).await?;
                let read = SqlitePoolOptions::new()
                    .max_connections(4)
                    .acquire_timeout(BUSY)
                    .connect_lazy_with(options);
                Ok(Self::Sqlite { read, write })
            }
            Url::Postgres(options) => {
                let pool = PgPoolOptions::new()
                    .max_connections(16)
                    .acquire_timeout(UNREACHABLE)
                    .connect_with(*options)
                    .await?;
                refuse_unsafe_session(&pool).await?;
                Ok(Self::Postgres(pool))
            }
        }
    }

    /// Brings the schema up to date; on PostgreSQL as its owner.
    pub(crate) async fn migrate(url: &str) -> Result<()> {
        match Url::parse(url)? {
            // Opening migrates.
            Url::Sqlite(_) => {
                Self::open(url).await?.close().await;
            }
            Url::Postgres(options) => {
                let mut connection = options.connect().await?;
                POSTGRES.run_direct(None, &mut connection, false).await.map_err(migration)?;
            }
        }
        Ok(())
    }

    async fn close(self) {
        match self {
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// A transaction that only reads.
    pub(crate) async fn read(&self, tenant: Option<TenantId>) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?),
            Self::Postgres(pool) => {
                // One snapshot, as SQLite has it: a value and the key that sealed it are of the same moment, even where a
                // rotation commits between the two statements.
                let mut tx =
                    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
                if let Some(tenant) = tenant {
                    sqlx::query("SELECT set_config('resto.tenant', $1, true)")
                        .bind(tenant.to_string())
                        .execute(&mut *tx)
                        .await?;
                }
                Tx::Postgres(tx)
            }
        })
    }

    /// A transaction that has the tenant to itself: by SQLite's write lock, or by an advisory lock on PostgreSQL.
    pub(crate) async fn write(&self, tenant: TenantId) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query(
                    "SELECT set_config('resto.tenant', $1, true), pg_advisory_xact_lock(hashtextextended($1, 0))",
                )
                .bind(tenant.to_string())
                .execute(&mut *tx)
                .await?;
                Tx::Postgres(tx)
            }
        })
    }

    /// A transaction that writes what belongs to no tenant; one at a time as well.
    pub(crate) async fn write_shared(&self) -> Result<Tx> {
        self.write(TenantId(Uuid::nil())).await
    }

    /// Refuses a database whose schema is not this program's.
    pub(crate) async fn check_schema(&self) -> Result<()> {
        let mut tx = self.read(None).await?;
        let applied: std::result::Result<Vec<i64>, sqlx::Error> = on!(&mut tx, c => {
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(c)
                .await
        });
        let applied = match applied {
            // 42P01: there is no such table, so nothing was ever migrated.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
                return Err(Error::OlderDatabase);
            }
            applied => applied?,
        };
        let known = match self {
            Self::Sqlite { .. } => &SQLITE,
            Self::Postgres(_) => &POSTGRES,
        };
        if applied.iter().any(|version| !known.version_exists(*version)) {
            return Err(Error::NewerDatabase);
        }
        if known.iter().any(|migration| !applied.contains(&migration.version)) {
            return Err(Error::OlderDatabase);
        }
        Ok(())
    }

    /// Empties SQLite's log, in which overwritten pages live on. `false`: another reader still needs the log.
    /// PostgreSQL keeps old rows until its own vacuum; there, destroyed keys are what makes them unreadable.
    pub(crate) async fn truncate_log(&self) -> Result<bool> {
        match self {
            Self::Sqlite { write, .. } => {
                let (busy, _, _): (i64, i64, i64) =
                    sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(write).await?;
                Ok(busy == 0)
            }
            Self::Postgres(_) => Ok(true),
        }
    }
}

enum Url<'a> {
    Sqlite(&'a Path),
    Postgres(Box<PgConnectOptions>),
}

impl<'a> Url<'a> {
    // The URL may hold a password, so no error repeats it.
    fn parse(url: &'a str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let path = Path::new(path);
            if !path.is_absolute() || url.contains('?') {
                return Err(Error::Invalid(
                    "A SQLite database is named by an absolute path: sqlite:///var/lib/resto/vault.db.".into(),
                ));
            }
            return Ok(Self::Sqlite(path));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| Error::Invalid("The PostgreSQL URL cannot be understood.".into()))?;
            return Ok(Self::Postgres(Box::new(
                options.application_name("resto").disable_statement_logging(),
            )));
        }
        Err(Error::Invalid("The database URL must begin with sqlite:// or postgres://.".into()))
    }
}

fn sqlite_options(path: &Path) -> Result<SqliteConnectOptions> {
    let unusable = |_: io::Error| {
        Error::Invalid(format!(
            "The database file {} cannot be created or guarded. Check its folder.",
            path.display()
        ))
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    }
    // SQLite gives its log and index the mode of the file itself.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
        Err(_) => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(unusable)?;
        }
        Ok(_) => {}
    }
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging())
}

/// All migrations in one write transaction, so that of several processes that start together one migrates.
async fn migrate_sqlite(pool: &SqlitePool) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    // `run` takes an `Acquire`, whose future is not `Send` for every lifetime of a connection.
    SQLITE.run_direct(None, &mut *tx, false).await.map_err(migration)?;
    tx.commit().await?;
    Ok(())
}

fn migration(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Error::NewerDatabase,
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => Error::Database { message: other.to_string(), retryable: false },
    }
}

/// Refuses a role that row-level security does not hold, and a server that reports commits before they are durable.
async fn refuse_unsafe_session(pool: &PgPool) -> Result<()> {
    let (unbound, commit): (bool, String) = sqlx::query_as(
        "SELECT rolsuper OR rolbypassrls, current_setting('synchronous_commit') FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(pool)
    .await?;
    if unbound {
        return Err(Error::Invalid(
            "The database role is a superuser or bypasses row-level security, so tenants would not be kept apart. \
             Use a role that is a member of resto_app."
                .into(),
        ));
    }
    if commit == "off" {
        return Err(Error::Invalid(
            "The database reports commits before they are durable, so an action could run without its audit entry. \
             Set synchronous_commit to on."
                .into(),
        ));
    }
    Ok(())
}
