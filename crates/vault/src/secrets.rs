//! Named tenant secrets: born at a provider or entered for an action. Results carry their names only.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::{
    Error, Result, TenantScope,
    database::{Tx, on},
    vault::check_name,
};

const PURPOSE: &str = "tenant-secret";

impl TenantScope {
    /// Stores a secret under a name, in place of the one that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty, over 200 characters, or holds control characters;
    /// [`Error::UnknownTenant`].
    pub async fn put_secret(&self, name: &str, value: &SecretString) -> Result<()> {
        check_name("secret's name", name, 200)?;
        let mut tx = self.write().await?;
        let key = self.active_key(&mut tx).await?;
        // EXPOSE: to be sealed.
        let sealed = key.seal(PURPOSE, name, 0, value.expose_secret().as_bytes())?;
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO tenant_secrets (tenant_id, name, sealed, key_id, updated_at)
             VALUES ($1, $2, $3, $4, (SELECT now_ms FROM clock))
             ON CONFLICT (tenant_id, name) DO UPDATE
             SET sealed = excluded.sealed, key_id = excluded.key_id, updated_at = excluded.updated_at",
        ).bind(self.tenant.0).bind(name).bind(&sealed).bind(key.key_id()).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Stores a secret under this name or, where another one has it, under the first of `name-2`, `name-3` and so on
    /// that is free. Returns the name it has; one that comes again keeps its own.
    ///
    /// # Errors
    /// As [`Self::put_secret`].
    pub async fn add_secret(&self, name: &str, value: &SecretString) -> Result<String> {
        check_name("secret's name", name, 190)?;
        let mut tx = self.write().await?;
        let key = self.active_key(&mut tx).await?;
        let mut free = name.to_owned();
        for number in 2.. {
            // EXPOSE: to be sealed.
            let sealed = key.seal(PURPOSE, &free, 0, value.expose_secret().as_bytes())?;
            let added = on!(&mut tx, c => sqlx::query(
                "INSERT INTO tenant_secrets (tenant_id, name, sealed, key_id, updated_at)
                 VALUES ($1, $2, $3, $4, (SELECT now_ms FROM clock)) ON CONFLICT (tenant_id, name) DO NOTHING",
            ).bind(self.tenant.0).bind(&free).bind(&sealed).bind(key.key_id()).execute(c).await.map(|done| done.rows_affected()))?;
            if added > 0 {
                break;
            }
            let there = match self.open_secret(&mut tx, &free).await {
                Err(error @ Error::Database { .. }) => return Err(error),
                // One that cannot be opened now is another one: this one must not be lost for that.
                opened => opened.ok().flatten(),
            };
            // EXPOSE: to be compared.
            let is_same = there.is_some_and(|there| {
                there.expose_secret().as_bytes().ct_eq(value.expose_secret().as_bytes()).into()
            });
            if is_same {
                break;
            }
            free = format!("{name}-{number}");
        }
        tx.commit().await?;
        Ok(free)
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Frozen`].
    pub async fn secret(&self, name: &str) -> Result<Option<SecretString>> {
        let opened = async { self.open_secret(&mut self.read().await?, name).await }.await;
        self.alerting(opened, PURPOSE, name).await
    }

    /// Whether a secret is stored under a name; it is not opened.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn has_secret(&self, name: &str) -> Result<bool> {
        let mut tx = self.read().await?;
        let count: i64 = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT count(*) FROM tenant_secrets WHERE tenant_id = $1 AND name = $2",
        ).bind(self.tenant.0).bind(name).fetch_one(c).await)?;
        Ok(count > 0)
    }

    async fn open_secret(&self, tx: &mut Tx, name: &str) -> Result<Option<SecretString>> {
        let row: Option<(Vec<u8>, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT sealed, key_id FROM tenant_secrets WHERE tenant_id = $1 AND name = $2",
        ).bind(self.tenant.0).bind(name).fetch_optional(c).await)?;
        let Some((sealed, key_id)) = row else {
            return Ok(None);
        };
        let key = self.key(tx, &key_id).await?;
        let plaintext = key.open(PURPOSE, name, 0, &sealed)?;
        let text = std::str::from_utf8(&plaintext).map_err(|_| Error::CannotOpen)?;
        Ok(Some(SecretString::from(text)))
    }

    /// The names of the tenant's secrets, sorted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn secret_names(&self) -> Result<Vec<String>> {
        let mut tx = self.read().await?;
        Ok(on!(&mut tx, c => sqlx::query_scalar(
            "SELECT name FROM tenant_secrets WHERE tenant_id = $1 ORDER BY name",
        ).bind(self.tenant.0).fetch_all(c).await)?)
    }

    /// Deletes a secret; `false` when there is none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_secret(&self, name: &str) -> Result<bool> {
        let mut tx = self.write().await?;
        let deleted = on!(&mut tx, c => sqlx::query("DELETE FROM tenant_secrets WHERE tenant_id = $1 AND name = $2")
            .bind(self.tenant.0).bind(name).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        if deleted > 0 {
            self.vault.erase().await;
        }
        Ok(deleted > 0)
    }
}
