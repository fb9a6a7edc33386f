//! Tenants, and the principals who act for them.

use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Result, TenantScope, Vault, later};

/// A tenant's id in the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub(crate) Uuid);

/// A principal's id in the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalId(pub(crate) Uuid);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A customer whose accounts are operated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The vault's own id.
    pub id: TenantId,
    /// The name by which the identity provider or the operator knows the tenant; unique.
    pub external_id: String,
    /// A name for people.
    pub name: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

/// Who acts: one subject of one issuer, inside one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The vault's own id.
    pub id: PrincipalId,
    /// Who vouches for the subject.
    pub issuer: String,
    /// The subject's id at the issuer.
    pub subject: String,
}

impl Vault {
    /// Creates a tenant and its first key.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when the external id is taken or empty.
    pub async fn create_tenant(&self, external_id: &str, name: &str) -> Result<Tenant> {
        let _ = (external_id, name);
        later()
    }

    /// Finds a tenant by its external id.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn tenant(&self, external_id: &str) -> Result<Option<Tenant>> {
        let _ = external_id;
        later()
    }

    /// All tenants, by external id.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        later()
    }

    /// Destroys the tenant's rows and keys. The audit trail stays.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`](crate::Error::UnknownTenant).
    pub async fn delete_tenant(&self, id: TenantId) -> Result<()> {
        let _ = id;
        later()
    }
}

impl TenantScope {
    /// Finds or creates the principal.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`](crate::Error::UnknownTenant), [`Error::Invalid`](crate::Error::Invalid) for an empty subject.
    pub async fn principal(&self, issuer: &str, subject: &str) -> Result<Principal> {
        let _ = (issuer, subject);
        later()
    }
}
