//! The vault itself, and the scope through which everything of one tenant is reached.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use uuid::Uuid;

use crate::{
    Cipher, Error, Keyring, Result, TenantId,
    database::{Database, Tx, on},
    envelope::{self, Context},
    writer::Writer,
};

/// The store of secrets and of the audit trail. A clone shares the same database connections.
#[derive(Clone)]
pub struct Vault {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) database: Database,
    pub(crate) keyring: Keyring,
    pub(crate) cipher: Cipher,
    pub(crate) writer: Writer,
    /// Deleted bytes are still in SQLite's log, because a reader needed it when they were deleted.
    erasure_pending: AtomicBool,
}

/// Everything of one tenant; the only way to a tenant's rows.
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
    /// [`Error::WrongKey`], [`Error::NewerDatabase`], [`Error::OlderDatabase`], [`Error::Invalid`] for the URL or the
    /// role, [`Error::Database`].
    pub async fn open(url: &str, keyring: Keyring, cipher: Cipher) -> Result<Self> {
        let database = Database::open(url).await?;
        database.check_schema().await?;
        let vault = Self {
            inner: Arc::new(Inner {
                database,
                keyring,
                cipher,
                writer: Writer::default(),
                erasure_pending: AtomicBool::new(false),
            }),
        };
        vault.check_key().await?;
        Ok(vault)
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
        self.check_key().await?;
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

    /// The scope of one tenant. It is not looked up: the scope of a deleted tenant finds nothing but its audit trail.
    #[must_use]
    pub fn scope(&self, tenant: TenantId) -> TenantScope {
        TenantScope { vault: self.clone(), tenant }
    }

    /// Overwritten bytes leave the disk: SQLite's log is emptied now, or as soon as no reader needs it.
    pub(crate) async fn erase(&self) -> Result<()> {
        let done = self.inner.database.truncate_log().await?;
        self.inner.erasure_pending.store(!done, Ordering::Relaxed);
        if !done {
            tracing::warn!(
                "deleted bytes stay in the database's log until a reader ends; the next sweep empties it"
            );
        }
        Ok(())
    }

    /// Whether [`Vault::erase`] has to be repeated.
    pub(crate) fn erasure_is_pending(&self) -> bool {
        self.inner.erasure_pending.load(Ordering::Relaxed)
    }

    /// Compares the root key with the sentinel that was sealed when the database was new.
    async fn check_key(&self) -> Result<()> {
        const SENTINEL: &[u8] = b"resto";
        let keyring = &self.inner.keyring;
        let context = Context { purpose: "sentinel", tenant: Uuid::nil(), name: "", version: 0 };
        let root_id = keyring.raw_id().to_vec();
        let mut tx = self.inner.database.read(None).await?;
        let mut rows = sentinels(&mut tx).await?;
        drop(tx);
        if rows.is_empty() {
            let sealed =
                envelope::seal(&keyring.wrapping_key()?, self.inner.cipher, context, SENTINEL)?;
            let mut tx = self.inner.database.write_shared().await?;
            // Two programs may meet a new database with two keys: the first one's row stands.
            on!(&mut tx, c => {
                sqlx::query(
                    "INSERT INTO installation (root_id, sentinel)
                     SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM installation) ON CONFLICT DO NOTHING",
                )
                .bind(&root_id)
                .bind(&sealed)
                .execute(c)
                .await
                .map(drop)
            })?;
            rows = sentinels(&mut tx).await?;
            tx.commit().await?;
        }
        let wrong = || Error::WrongKey { key_id: keyring.id() };
        let (_, sealed) = rows.into_iter().find(|(id, _)| *id == root_id).ok_or_else(wrong)?;
        let opened =
            envelope::open(&keyring.wrapping_key()?, context, &sealed).map_err(|_| wrong())?;
        if opened.as_slice() == SENTINEL { Ok(()) } else { Err(wrong()) }
    }
}

async fn sentinels(tx: &mut Tx) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    Ok(
        on!(tx, c => sqlx::query_as("SELECT root_id, sentinel FROM installation").fetch_all(c).await)?,
    )
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
