//! The vault itself, and the scope through which everything of one tenant is reached.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use time::OffsetDateTime;

use crate::{
    Anchors, Cipher, Connection, Error, Keyring, Result, TenantId,
    alarm::Alarm,
    alerts::Noted,
    clock::Clock,
    connections::{Lately, Place},
    database::{Database, Tx, on},
    roots,
    sweep::UnderWay,
    together::Together,
    tokens::FoundToken,
    writer::Writer,
};

/// The store of secrets and of the audit trail. A clone shares the same database connections.
///
/// It has no way to the rows of a tenant; its [`TenantScope`]s have:
///
/// ```
/// # use resto_vault::{Result, TenantId, Vault};
/// async fn names_of(vault: &Vault, tenant: TenantId) -> Result<Vec<String>> {
///     vault.scope(tenant).secret_names().await
/// }
/// ```
/// ```compile_fail,E0599
/// # use resto_vault::{Result, Vault};
/// async fn names_of_all(vault: &Vault) -> Result<Vec<String>> {
///     vault.secret_names().await
/// }
/// ```
#[derive(Clone)]
pub struct Vault {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) database: Database,
    pub(crate) keyring: Keyring,
    pub(crate) cipher: Cipher,
    pub(crate) alarm: Alarm,
    pub(crate) noted: Noted,
    /// The kind of the job that delivers an alert, where alerts are delivered.
    pub(crate) delivering: OnceLock<&'static str>,
    pub(crate) writer: Writer,
    pub(crate) under_way: UnderWay,
    anchors: OnceLock<Arc<dyn Anchors>>,
    pub(crate) clock: Clock,
    /// By the hashes of their tokens.
    pub(crate) callers: Together<[u8; 32], FoundToken>,
    pub(crate) connections: Together<Place, Result<Connection>>,
    pub(crate) lately: Lately,
    /// Deleted bytes are still in SQLite's log, because a reader needed it when they were deleted.
    erasure_pending: AtomicBool,
}

/// Everything of one tenant; the only way to a tenant's rows. A vault alone makes one, and nobody gives it another tenant:
///
/// ```compile_fail,E0451
/// # use resto_vault::{TenantId, TenantScope};
/// fn of_another(mine: TenantScope, other: TenantId) -> TenantScope {
///     TenantScope { tenant: other, ..mine }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct TenantScope {
    pub(crate) vault: Vault,
    pub(crate) tenant: TenantId,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keyring", &self.inner.keyring).finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens `sqlite:///absolute/path` or `postgres://...`. SQLite migrates itself; PostgreSQL is never migrated here,
    /// and its role must be one that row-level security holds.
    ///
    /// # Errors
    /// [`Error::WrongKey`], [`Error::MissingRootKeys`], [`Error::NewerDatabase`], [`Error::OlderDatabase`],
    /// [`Error::Invalid`] for the URL or the
    /// role, [`Error::Database`].
    pub async fn open(url: &str, keyring: Keyring, cipher: Cipher) -> Result<Self> {
        let database = Database::open(url).await?;
        database.check_schema().await?;
        let keyring = roots::admit(&database, keyring, cipher).await?;
        let clock = Clock::told(database.look().await?.now_ms().await?);
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                keyring,
                cipher,
                alarm: Alarm::default(),
                noted: Noted::default(),
                delivering: OnceLock::new(),
                writer: Writer::default(),
                under_way: UnderWay::default(),
                anchors: OnceLock::new(),
                clock,
                callers: Together::default(),
                connections: Together::default(),
                lately: Lately::default(),
                // Whoever was here before may have been killed before it erased.
                erasure_pending: AtomicBool::new(true),
            }),
        })
    }

    /// Whether a root key has sealed something in the database, so that it opens with that key alone. An SQLite database that
    /// is missing is created.
    ///
    /// # Errors
    /// As [`Vault::open`], but of a key.
    pub async fn is_sealed(url: &str) -> Result<bool> {
        let database = Database::open(url).await?;
        database.check_schema().await?;
        let sealed = roots::is_sealed(&database).await;
        database.close().await;
        sealed
    }

    /// Keeps anchors of the audit trails here from now on, and verifies against them. The first place stands.
    #[must_use]
    pub fn anchored(self, anchors: Arc<dyn Anchors>) -> Self {
        self.inner.anchors.get_or_init(|| anchors);
        self
    }

    pub(crate) fn anchors(&self) -> Option<Arc<dyn Anchors>> {
        self.inner.anchors.get().cloned()
    }

    /// Writes what waits to be written and closes the database's connections. Nothing can be begun or finished afterwards.
    pub async fn close(&self) {
        self.inner.writer.close().await;
        self.inner.database.close().await;
    }

    /// Brings the database to this program's schema. On PostgreSQL the URL is the owner's.
    ///
    /// # Errors
    /// [`Error::NewerDatabase`], [`Error::Database`].
    pub async fn migrate(url: &str) -> Result<()> {
        Database::migrate(url).await
    }

    /// Proves that the database answers, takes a durable write, and has this program's schema and key.
    ///
    /// # Errors
    /// What is wrong, as [`Vault::open`] says it.
    pub async fn check(&self) -> Result<()> {
        self.inner.database.check_schema().await?;
        roots::admit(&self.inner.database, self.inner.keyring.clone(), self.inner.cipher).await?;
        let mut tx = self.inner.database.write_shared().await?;
        let root_id = self.inner.keyring.raw_id().to_vec();
        on!(&mut tx, c => {
            sqlx::query("UPDATE installation SET checked_at = (SELECT now_ms FROM clock) WHERE root_id = $1")
                .bind(&root_id)
                .execute(c)
                .await
                .map(drop)
        })?;
        tx.commit().await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn answers(&self) -> Result<()> {
        let now_ms = self.inner.database.look().await?.now_ms().await?;
        self.inner.clock.set(now_ms);
        Ok(())
    }

    /// The time by the database's clock, as far as it is known without asking: each access token that is looked up, and each
    /// batch of the audit trail, tells it anew.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.inner.clock.now()
    }

    /// The scope of one tenant. It is not looked up: the scope of a deleted tenant finds nothing but its audit trail.
    #[must_use]
    pub fn scope(&self, tenant: TenantId) -> TenantScope {
        TenantScope { vault: self.clone(), tenant }
    }

    /// The scope of what belongs to no tenant but to all.
    #[must_use]
    pub fn shared(&self) -> TenantScope {
        self.scope(TenantId::NONE)
    }

    /// Overwritten bytes leave the disk: SQLite's log is emptied now, or by a later sweep. Whatever destroys something
    /// does this itself; it is for what was stopped before it could. What was committed before is done either way.
    pub async fn erase(&self) {
        // Before it is tried: whoever asked may go away.
        self.inner.erasure_pending.store(true, Ordering::Relaxed);
        let why = match self.inner.database.truncate_log().await {
            Ok(true) => {
                self.inner.erasure_pending.store(false, Ordering::Relaxed);
                return;
            }
            Ok(false) => "a reader still needs it".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(why, "deleted bytes stay in the database's log until the next sweep");
    }

    /// As [`Vault::erase`], by the next sweep: whoever overwrote something cannot wait.
    pub(crate) fn erase_later(&self) {
        self.inner.erasure_pending.store(true, Ordering::Relaxed);
    }

    /// Whether [`Vault::erase`] has to be repeated.
    pub(crate) fn erasure_is_pending(&self) -> bool {
        self.inner.erasure_pending.load(Ordering::Relaxed)
    }
}

impl TenantScope {
    /// The tenant of this scope.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.vault.inner.keyring
    }

    /// As [`Vault::now`].
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.vault.now()
    }

    pub(crate) async fn read(&self) -> Result<Tx> {
        self.vault.inner.database.read(Some(self.tenant)).await
    }

    pub(crate) async fn write(&self) -> Result<Tx> {
        self.vault.inner.database.write(self.tenant).await
    }
}

/// Refuses a name that is empty, too long, or holds control characters.
pub(crate) fn check_name(what: &str, name: &str, max_chars: usize) -> Result<()> {
    let length = name.chars().count();
    if length == 0 || length > max_chars || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "The {what} must have 1 to {max_chars} characters and no control characters."
        )));
    }
    Ok(())
}
