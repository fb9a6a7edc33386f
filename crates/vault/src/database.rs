//! Two typed pools behind one face: each SQL text is written once and expanded for both databases.
//! A write transaction has its tenant to itself, so that what it reads stays true until it commits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgPool, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
    sqlite::SqlitePoolOptions,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{Error, Result, TenantId};

mod held;
mod options;
mod transaction;

pub(crate) use held::Held;
use options::{Url, reach, sqlite_options};
pub(crate) use transaction::{On, Tx, TxOn, on};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How long a writer waits for another one: for its write to the SQLite file, or with the tenant on PostgreSQL.
/// So long does a verification wait, too, for whoever has the file to itself.
pub(crate) const BUSY: Duration = Duration::from_secs(5);
/// How often a writer looks whether the other process is done. SQLite's own pauses grow to 100 ms, and a process that
/// writes all the time would never be met between two transactions.
const POLLING: &str = "PRAGMA busy_timeout = 10";
/// Between two attempts to switch a new file to its log.
const SWITCHING: Duration = Duration::from_millis(10);
/// How long a call waits for PostgreSQL before it is refused.
const UNREACHABLE: Duration = Duration::from_secs(2);
/// How long a program that starts waits for it: no call waits yet, and a busy server may take a while to let somebody in.
const STARTING: Duration = Duration::from_secs(10);

/// A connection to PostgreSQL that was used so shortly before is not asked whether it still stands.
pub(crate) const TRUSTED: Duration = Duration::from_secs(1);

/// The database that the URL chose.
pub(crate) enum Database {
    /// One writer and several readers; writers queue in the pool and not in SQLite's busy loop.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
        /// Grows by one whenever the writer is taken from the pool, and by two whenever it is another connection. Taken by
        /// `try_acquire`, it would not.
        turns: Arc<AtomicU64>,
    },
    Postgres(PgPool),
}

impl Database {
    /// Whether it is a server of its own.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) async fn open(url: &str) -> Result<Self> {
        match Url::parse(url)? {
            Url::Sqlite(path) => {
                let options = sqlite_options(path)?;
                let turns = Arc::new(AtomicU64::new(0));
                let (opened, taken) = (Arc::clone(&turns), Arc::clone(&turns));
                let write = SqlitePoolOptions::new()
                    .max_connections(1)
                    // A file does not go away.
                    .test_before_acquire(false)
                    .after_connect(move |connection, _| {
                        // Never one more than before: of another connection, nothing that was known holds.
                        opened.fetch_add(2, Ordering::Relaxed);
                        Box::pin(async move {
                            keep_log(connection).await?;
                            connection.execute(POLLING).await.map(drop)
                        })
                    })
                    .before_acquire(move |_, _| {
                        taken.fetch_add(1, Ordering::Relaxed);
                        Box::pin(async { Ok(true) })
                    })
                    .acquire_timeout(BUSY)
                    .connect_with(options.clone())
                    .await?;
                migrate_sqlite(&write).await?;
                let read = SqlitePoolOptions::new()
                    .max_connections(4)
                    .test_before_acquire(false)
                    .acquire_timeout(BUSY)
                    .connect_lazy_with(options);
                Ok(Self::Sqlite { read, write, turns })
            }
            Url::Postgres(options) => {
                // A pool would try again until its patience ends, and not say why.
                reach(&options).await?.close().await?;
                let pool = PgPoolOptions::new()
                    .max_connections(16)
                    .acquire_timeout(UNREACHABLE)
                    .test_before_acquire(false)
                    .before_acquire(|connection, known| {
                        Box::pin(async move {
                            if known.idle_for > TRUSTED {
                                connection.ping().await?;
                            }
                            Ok(true)
                        })
                    })
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
                let mut connection = reach(&options).await?;
                POSTGRES.run_direct(None, &mut connection, false).await.map_err(migration)?;
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { read, write, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    // What waits for a connection takes 4 KB, and is on the heap: it would be a part of all that waits for it.

    /// A transaction that only reads.
    pub(crate) async fn read(&self, tenant: Option<TenantId>) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(On::Own(Box::pin(read.begin()).await?)),
            // One snapshot, as SQLite has it: a value and the key that sealed it are of the same moment, even where a
            // rotation commits between the two statements.
            Self::Postgres(pool) => {
                let begin_with = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                Box::pin(begin(pool, begin_with, tenant)).await?
            }
        })
    }

    /// For one statement that reads: a snapshot by itself, which needs no transaction.
    pub(crate) async fn look(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(On::Alone(match read.try_acquire() {
                Some(connection) => connection,
                None => Box::pin(read.acquire()).await?,
            })),
            Self::Postgres(pool) => Tx::Postgres(On::Alone(Box::pin(pool.acquire()).await?)),
        })
    }

    /// A transaction that has the tenant to itself: by SQLite's write lock, or by an advisory lock on PostgreSQL.
    pub(crate) async fn write(&self, tenant: TenantId) -> Result<Tx> {
        match self {
            Self::Sqlite { write, .. } => {
                Ok(Tx::Sqlite(On::Own(Box::pin(begin_immediate(write)).await?)))
            }
            Self::Postgres(pool) => {
                let mut tx = Box::pin(begin(pool, "BEGIN", Some(tenant))).await?;
                on!(&mut tx, c => sqlx::query(
                    "SELECT set_config('lock_timeout', $2, true), pg_advisory_xact_lock(hashtextextended($1, 0))",
                ).bind(tenant.to_string()).bind(BUSY.as_millis().to_string()).execute(c).await.map(drop))?;
                Ok(tx)
            }
        }
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
                let until = Instant::now() + BUSY;
                loop {
                    let (busy, _, _): (i64, i64, i64) =
                        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(write).await?;
                    if busy == 0 || Instant::now() >= until {
                        return Ok(busy == 0);
                    }
                }
            }
            Self::Postgres(_) => Ok(true),
        }
    }
}

/// Switches the file to a write-ahead log, for all who open it from now on. SQLite refuses at once where it cannot have the
/// file to itself, instead of waiting: each of two programs that start together would wait for the other.
async fn keep_log(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let waiting = BusyWait::new();
    loop {
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Ok(_) => return Ok(()),
            Err(error) => waiting.go_on(error)?,
        }
        sleep(SWITCHING).await;
    }
}

/// Begins a transaction that sees the tenant's rows, in one round trip.
async fn begin(pool: &PgPool, begin: &str, tenant: Option<TenantId>) -> Result<Tx> {
    // A tenant's id is digits and hyphens.
    let of_tenant = tenant.map(|tenant| format!("; SET LOCAL resto.tenant = '{tenant}'"));
    let statement = format!("{begin}{}", of_tenant.unwrap_or_default());
    Ok(Tx::Postgres(On::Own(pool.begin_with(AssertSqlSafe(statement)).await?)))
}

async fn begin_immediate(write: &SqlitePool) -> sqlx::Result<Transaction<'static, Sqlite>> {
    let waiting = BusyWait::new();
    loop {
        match write.begin_with("BEGIN IMMEDIATE").await {
            Ok(begun) => return Ok(begun),
            Err(error) => waiting.go_on(error)?,
        }
    }
}

/// For another process to be done with SQLite.
pub(crate) struct BusyWait {
    until: Instant,
}

impl BusyWait {
    pub(crate) fn new() -> Self {
        Self { until: Instant::now() + BUSY }
    }

    /// Lets the refusal of a busy database pass, as long as there is time. SQLite itself has waited for a moment.
    pub(crate) fn go_on(&self, error: sqlx::Error) -> sqlx::Result<()> {
        match &error {
            sqlx::Error::Database(refusal)
                if is_busy(refusal.code().as_deref()) && Instant::now() < self.until =>
            {
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// SQLite's BUSY, whatever the higher bits tell.
fn is_busy(code: Option<&str>) -> bool {
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// All migrations in one write transaction, so that of several processes that start together one migrates.
async fn migrate_sqlite(pool: &SqlitePool) -> Result<()> {
    let mut tx = begin_immediate(pool).await?;
    lay_out(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes the tables of a database of SQLite, as far as they are not there.
pub(crate) async fn lay_out(connection: &mut SqliteConnection) -> Result<()> {
    // `run` takes an `Acquire`, whose future is not `Send` for every lifetime of a connection.
    SQLITE.run_direct(None, connection, false).await.map_err(migration)
}

fn migration(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Error::NewerDatabase,
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => Error::Database { message: other.to_string(), retryable: false },
    }
}

/// Refuses a role that row-level security does not hold or that owns the tables, and a server that reports commits before
/// they are durable.
async fn refuse_unsafe_session(pool: &PgPool) -> Result<()> {
    let (unbound, owns, commit): (bool, bool, String) = sqlx::query_as(
        "SELECT rolsuper OR rolbypassrls,
                EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass('integration_audit_log')
                        AND pg_has_role(current_user, c.relowner, 'MEMBER')),
                current_setting('synchronous_commit')
         FROM pg_roles WHERE rolname = current_user",
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
    if owns {
        return Err(Error::Invalid(
            "The database role owns the tables, so it could take away what keeps the audit trail from being changed. \
             Use another role, one that is only a member of resto_app."
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
