//! Exchanging a tenant's key: everything of the tenant is sealed anew, and the old key destroyed.

use uuid::Uuid;

use crate::{
    AlertKind, Error, Result, TenantScope, crash_point,
    database::{Tx, on},
    keyring::hex,
    keys::Sealer,
};

/// What [`TenantScope::rotate_key`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// How many sealed values moved to the new key.
    pub rewrapped: u64,
    /// The new key's id, 32 hexadecimal digits.
    pub key_id: String,
}

impl TenantScope {
    /// Makes a new tenant key, seals all values of the tenant with it and destroys the old one, in one transaction.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`], [`Error::CannotOpen`] when the old key does not open, [`Error::Database`].
    pub async fn rotate_key(&self) -> Result<Rotation> {
        let mut tx = self.write().await?;
        let rotation = self.rotate(&mut tx).await?;
        tx.commit().await?;
        crash_point("rotation.committed");
        self.vault.raise_noted().await;
        self.vault.erase().await;
        Ok(rotation)
    }

    /// Replaces the active key, inside the caller's transaction; [`Vault::erase`](crate::Vault) must follow its commit.
    pub(crate) async fn rotate(&self, tx: &mut Tx) -> Result<Rotation> {
        let tenant = self.tenant.0;
        let old = self.active_key(tx).await?;
        // Values are lost if this key is not the one that sealed them: it must open before anything is replaced.
        drop(old.unwrap()?);
        let retired: Vec<u8> = old.key_id().to_vec();
        on!(tx, c => sqlx::query(
            "UPDATE tenant_keys SET state = 'destroyed', wrapped = NULL, destroyed_at = (SELECT now_ms FROM clock)
             WHERE tenant_id = $1 AND kek_id = $2",
        ).bind(tenant).bind(&retired).execute(c).await.map(drop))?;
        let new = self.create_key(tx).await?;
        crash_point("rotation.new_key_added");
        let mut rewrapped = self.rotate_credentials(tx, &old, &new).await?;
        rewrapped += self.rotate_former(tx, &old, &new).await?;
        rewrapped += self.rotate_outcomes(tx, &old, &new).await?;
        rewrapped += self.rotate_secrets(tx, &old, &new).await?;
        rewrapped += self.rotate_records(tx, &old, &new).await?;
        crash_point("rotation.sealed_anew");
        Ok(Rotation { rewrapped, key_id: hex(new.key_id()) })
    }

    /// As [`Self::rotate`], for a connection that goes. A key that is gone, or does not open, opens nothing in older backups
    /// either, and must not keep the connection.
    pub(crate) async fn rotate_away(&self, tx: &mut Tx) -> Result<()> {
        let old = match self.active_key(tx).await {
            // Whatever is connected next needs one.
            Err(Error::UnknownTenant) => return self.create_key(tx).await.map(drop),
            old => old?,
        };
        match old.unwrap() {
            Ok(_) => self.rotate(tx).await.map(drop),
            Err(Error::CannotOpen) => {
                // It stays as it is: what else it sealed opens again if its bytes come back from a backup.
                let subject = format!("tenant-key {}", hex(old.key_id()));
                self.vault.note(AlertKind::Tampered, self.tenant, &subject);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn rotate_credentials(&self, tx: &mut Tx, old: &Sealer, new: &Sealer) -> Result<u64> {
        let tenant = self.tenant.0;
        let rows: Vec<(Uuid, String, i64, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT id, integration_id, generation, encrypted_credentials FROM integration_credentials
             WHERE tenant_id = $1 AND key_id = $2",
        ).bind(tenant).bind(old.key_id()).fetch_all(c).await)?;
        let mut moved = 0;
        for (id, integration_id, generation, blob) in rows {
            let Some(blob) = reseal(old, new, "credential", &integration_id, generation, &blob)?
            else {
                continue;
            };
            moved += on!(tx, c => sqlx::query(
                "UPDATE integration_credentials SET encrypted_credentials = $3, key_id = $4 WHERE tenant_id = $1 AND id = $2",
            ).bind(tenant).bind(id).bind(&blob).bind(new.key_id()).execute(c).await.map(|done| done.rows_affected()))?;
        }
        Ok(moved)
    }

    async fn rotate_former(&self, tx: &mut Tx, old: &Sealer, new: &Sealer) -> Result<u64> {
        let tenant = self.tenant.0;
        let rows: Vec<(Uuid, String, i64, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT id, integration_id, generation - 1, former FROM integration_credentials
             WHERE tenant_id = $1 AND former_key_id = $2",
        ).bind(tenant).bind(old.key_id()).fetch_all(c).await)?;
        let mut moved = 0;
        for (id, integration_id, generation, blob) in rows {
            let Some(blob) = reseal(old, new, "credential", &integration_id, generation, &blob)?
            else {
                continue;
            };
            moved += on!(tx, c => sqlx::query(
                "UPDATE integration_credentials SET former = $3, former_key_id = $4 WHERE tenant_id = $1 AND id = $2",
            ).bind(tenant).bind(id).bind(&blob).bind(new.key_id()).execute(c).await.map(|done| done.rows_affected()))?;
        }
        Ok(moved)
    }

    async fn rotate_outcomes(&self, tx: &mut Tx, old: &Sealer, new: &Sealer) -> Result<u64> {
        let tenant = self.tenant.0;
        let rows: Vec<(Uuid, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT op_id, outcome FROM integration_operations WHERE tenant_id = $1 AND key_id = $2",
        ).bind(tenant).bind(old.key_id()).fetch_all(c).await)?;
        let mut moved = 0;
        for (op_id, blob) in rows {
            let Some(blob) = reseal(old, new, "outcome", &op_id.to_string(), 0, &blob)? else {
                continue;
            };
            moved += on!(tx, c => sqlx::query(
                "UPDATE integration_operations SET outcome = $3, key_id = $4 WHERE tenant_id = $1 AND op_id = $2",
            ).bind(tenant).bind(op_id).bind(&blob).bind(new.key_id()).execute(c).await.map(|done| done.rows_affected()))?;
        }
        Ok(moved)
    }

    async fn rotate_secrets(&self, tx: &mut Tx, old: &Sealer, new: &Sealer) -> Result<u64> {
        let tenant = self.tenant.0;
        let rows: Vec<(String, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT name, sealed FROM tenant_secrets WHERE tenant_id = $1 AND key_id = $2",
        ).bind(tenant).bind(old.key_id()).fetch_all(c).await)?;
        let mut moved = 0;
        for (name, blob) in rows {
            let Some(blob) = reseal(old, new, "tenant-secret", &name, 0, &blob)? else {
                continue;
            };
            moved += on!(tx, c => sqlx::query(
                "UPDATE tenant_secrets SET sealed = $3, key_id = $4 WHERE tenant_id = $1 AND name = $2",
            ).bind(tenant).bind(&name).bind(&blob).bind(new.key_id()).execute(c).await.map(|done| done.rows_affected()))?;
        }
        Ok(moved)
    }

    async fn rotate_records(&self, tx: &mut Tx, old: &Sealer, new: &Sealer) -> Result<u64> {
        let tenant = self.tenant.0;
        let rows: Vec<(String, String, Option<i64>, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT collection, id, expires_at, sealed FROM records WHERE tenant_id = $1 AND key_id = $2",
        ).bind(tenant).bind(old.key_id()).fetch_all(c).await)?;
        let mut moved = 0;
        for (collection, id, expires_at, blob) in rows {
            let name = crate::records::sealed_name(&collection, &id);
            let Some(blob) = reseal(old, new, "record", &name, expires_at.unwrap_or(0), &blob)?
            else {
                continue;
            };
            moved += on!(tx, c => sqlx::query(
                "UPDATE records SET sealed = $4, key_id = $5 WHERE tenant_id = $1 AND collection = $2 AND id = $3",
            ).bind(tenant).bind(&collection).bind(&id).bind(&blob).bind(new.key_id()).execute(c).await
             .map(|done| done.rows_affected()))?;
        }
        Ok(moved)
    }
}

/// Moves a blob to the new key. One that the right key does not open was changed outside; it stays as it is, lost,
/// because it must not keep the tenant from disconnecting anything else.
pub(crate) fn reseal(
    old: &Sealer,
    new: &Sealer,
    purpose: &'static str,
    name: &str,
    version: i64,
    blob: &[u8],
) -> Result<Option<Vec<u8>>> {
    match old.open(purpose, name, version, blob) {
        Ok(plaintext) => new.seal(purpose, name, version, &plaintext).map(Some),
        Err(Error::CannotOpen) => {
            old.vault.note(AlertKind::Tampered, old.tenant, &format!("{purpose} {name}"));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
