//! The vault itself, and the scope through which everything of one tenant is reached.

use crate::{Cipher, Keyring, Result, TenantId, later};
use std::time::Duration;

/// The store of secrets and of the audit trail. A clone shares the same database connections.
#[derive(Debug, Clone)]
pub struct Vault(());

/// Everything of one tenant; the only way to a tenant's rows.
#[derive(Debug, Clone)]
pub struct TenantScope {
    tenant: TenantId,
}

impl Vault {
    /// Opens `sqlite:///absolute/path` or `postgres://...`. SQLite migrates itself; PostgreSQL is never migrated here.
    ///
    /// # Errors
    /// [`Error::WrongKey`](crate::Error::WrongKey), [`Error::NewerDatabase`](crate::Error::NewerDatabase),
    /// [`Error::OlderDatabase`](crate::Error::OlderDatabase), [`Error::Invalid`](crate::Error::Invalid) for the URL,
    /// [`Error::Database`](crate::Error::Database).
    pub async fn open(url: &str, keyring: Keyring, cipher: Cipher) -> Result<Self> {
        let _ = (url, keyring, cipher);
        later()
    }

    /// Brings the database to this program's schema. On PostgreSQL the URL is the owner's.
    ///
    /// # Errors
    /// [`Error::NewerDatabase`](crate::Error::NewerDatabase), [`Error::Database`](crate::Error::Database).
    pub async fn migrate(url: &str) -> Result<()> {
        let _ = url;
        later()
    }

    /// Proves that the database answers, takes a durable write, and has this program's schema.
    ///
    /// # Errors
    /// What is wrong, as [`Vault::open`] says it.
    pub async fn check(&self) -> Result<()> {
        later()
    }

    /// The scope of one tenant. It is not looked up: a scope of an unknown tenant finds nothing and writes nothing.
    #[must_use]
    pub fn scope(&self, tenant: TenantId) -> TenantScope {
        TenantScope { tenant }
    }

    /// Closes what nobody will close: intents older than `older_than` without a result become `unknown`, and
    /// expired records and stored outcomes are deleted. Returns the number of intents.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn sweep_unfinished(&self, older_than: Duration) -> Result<u64> {
        let _ = older_than;
        later()
    }
}

impl TenantScope {
    /// The tenant of this scope.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
}
