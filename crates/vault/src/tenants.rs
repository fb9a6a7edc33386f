//! Tenants, and the principals who act for them.

use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Error, Result, TenantScope, Vault, crash_point,
    database::{Tx, on},
    timestamp::from_millis,
    vault::check_name,
};

/// A tenant's id in the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub(crate) Uuid);

impl std::str::FromStr for TenantId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> std::result::Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl TenantId {
    /// No tenant: what belongs to the whole vault.
    pub(crate) const NONE: Self = Self(Uuid::nil());
}

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

type TenantRow = (Uuid, String, String, i64);

impl Tenant {
    pub(crate) fn from_row((id, external_id, name, created_at): TenantRow) -> Self {
        Self { id: TenantId(id), external_id, name, created_at: from_millis(created_at) }
    }
}

impl Vault {
    /// Creates a tenant and its first key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the external id is taken or empty.
    pub async fn create_tenant(&self, external_id: &str, name: &str) -> Result<Tenant> {
        check_name("tenant's external id", external_id, 200)?;
        check_name("tenant's name", name, 200)?;
        let id = Uuid::now_v7();
        let scope = self.scope(TenantId(id));
        let mut tx = scope.write().await?;
        let row: Option<TenantRow> = on!(&mut tx, c => sqlx::query_as(
            "INSERT INTO tenants (id, external_id, name, created_at) VALUES ($1, $2, $3, (SELECT now_ms FROM clock))
             ON CONFLICT (external_id) DO NOTHING RETURNING id, external_id, name, created_at",
        ).bind(id).bind(external_id).bind(name).fetch_optional(c).await)?;
        let row = row.ok_or_else(|| {
            Error::Invalid(format!("The tenant {external_id} exists already. Choose another id."))
        })?;
        scope.create_key(&mut tx).await?;
        tx.commit().await?;
        Ok(Tenant::from_row(row))
    }

    /// Finds a tenant by its external id.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tenant(&self, external_id: &str) -> Result<Option<Tenant>> {
        let mut tx = self.inner.database.read(None).await?;
        let row: Option<TenantRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, external_id, name, created_at FROM tenants WHERE external_id = $1",
        ).bind(external_id).fetch_optional(c).await)?;
        Ok(row.map(Tenant::from_row))
    }

    /// The tenant of a scope.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`].
    pub async fn tenant_of(&self, scope: &TenantScope) -> Result<Tenant> {
        let mut tx = self.inner.database.read(None).await?;
        let row: Option<TenantRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, external_id, name, created_at FROM tenants WHERE id = $1",
        ).bind(scope.tenant.0).fetch_optional(c).await)?;
        row.map(Tenant::from_row).ok_or(Error::UnknownTenant)
    }

    /// All tenants, by external id.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let mut tx = self.inner.database.read(None).await?;
        let rows: Vec<TenantRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, external_id, name, created_at FROM tenants ORDER BY external_id",
        ).fetch_all(c).await)?;
        Ok(rows.into_iter().map(Tenant::from_row).collect())
    }

    /// Destroys the tenant's rows and keys. The audit trail stays.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`].
    pub async fn delete_tenant(&self, id: TenantId) -> Result<()> {
        let mut tx = self.scope(id).write().await?;
        // Every table of a tenant's own refers to this row and is emptied with it.
        let deleted = on!(&mut tx, c => sqlx::query("DELETE FROM tenants WHERE id = $1")
            .bind(id.0).execute(c).await.map(|done| done.rows_affected()))?;
        if deleted == 0 {
            return Err(Error::UnknownTenant);
        }
        on!(&mut tx, c => sqlx::query("DELETE FROM budgets WHERE tenant_id = $1")
            .bind(id.0).execute(c).await.map(drop))?;
        crash_point("deletion.rows_deleted");
        tx.commit().await?;
        crash_point("deletion.committed");
        self.erase().await;
        Ok(())
    }
}

impl TenantScope {
    /// Finds or creates the principal.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`], [`Error::Invalid`] for an empty issuer or subject.
    pub async fn principal(&self, issuer: &str, subject: &str) -> Result<Principal> {
        check_name("principal's issuer", issuer, 500)?;
        check_name("principal's subject", subject, 500)?;
        let mut tx = self.read().await?;
        let found = self.find_principal(&mut tx, issuer, subject).await?;
        drop(tx);
        if let Some(principal) = found {
            return Ok(principal);
        }
        let mut tx = self.write().await?;
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO principals (id, tenant_id, issuer, subject, created_at)
             SELECT $1, t.id, $3, $4, (SELECT now_ms FROM clock) FROM tenants t WHERE t.id = $2
             ON CONFLICT (tenant_id, issuer, subject) DO NOTHING",
        ).bind(Uuid::now_v7()).bind(self.tenant.0).bind(issuer).bind(subject).execute(c).await.map(drop))?;
        let principal = self.find_principal(&mut tx, issuer, subject).await?;
        tx.commit().await?;
        principal.ok_or(Error::UnknownTenant)
    }

    async fn find_principal(
        &self,
        tx: &mut Tx,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Principal>> {
        let id: Option<Uuid> = on!(tx, c => sqlx::query_scalar(
            "SELECT id FROM principals WHERE tenant_id = $1 AND issuer = $2 AND subject = $3",
        ).bind(self.tenant.0).bind(issuer).bind(subject).fetch_optional(c).await)?;
        Ok(id.map(|id| Principal {
            id: PrincipalId(id),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        }))
    }
}
