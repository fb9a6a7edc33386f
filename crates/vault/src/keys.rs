//! Tenant keys: each seals one tenant's values, and is itself wrapped by the root key.

use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Cipher, Error, Keyring, Result, TenantId, TenantScope,
    database::{Tx, on},
    envelope::{self, Context, Key, KeyId},
    keyring::hex,
    timestamp::from_millis,
};

/// What [`TenantScope::rotate_key`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// How many sealed values moved to the new key.
    pub rewrapped: u64,
    /// The new key's id, 32 hexadecimal digits.
    pub key_id: String,
}

/// Whether a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Seals and opens.
    Active,
    /// Opens only.
    Read,
    /// Its bytes are gone; the id stays for the record.
    Destroyed,
}

/// What is known of a tenant key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The key's id, 32 hexadecimal digits.
    pub key_id: String,
    /// The id of the root key that wraps it.
    pub root_id: String,
    /// Whether it is used.
    pub state: KeyState,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// How many values it seals now.
    pub sealed: u64,
}

/// A tenant key as stored. It is opened for one seal or open at a time, and never kept across an await.
#[derive(Clone)]
pub(crate) struct WrappedKey {
    pub(crate) id: Vec<u8>,
    pub(crate) wrapped: Vec<u8>,
}

/// `kek_id`, `root_id`, `state`, `created_at`, and how many values it seals.
type KeyRow = (Vec<u8>, Vec<u8>, String, i64, i64);

/// What is needed to seal or open values of a tenant.
pub(crate) struct Sealer {
    keyring: Keyring,
    cipher: Cipher,
    tenant: TenantId,
    key: WrappedKey,
}

impl Sealer {
    pub(crate) fn key_id(&self) -> &[u8] {
        &self.key.id
    }

    pub(crate) fn seal(
        &self,
        purpose: &'static str,
        name: &str,
        version: i64,
        plaintext: &[u8],
    ) -> Result<Vec<u8>> {
        envelope::seal(
            &self.unwrap()?,
            self.cipher,
            self.context(purpose, name, version),
            plaintext,
        )
    }

    pub(crate) fn open(
        &self,
        purpose: &'static str,
        name: &str,
        version: i64,
        blob: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        envelope::open(&self.unwrap()?, self.context(purpose, name, version), blob)
    }

    fn context<'a>(&self, purpose: &'static str, name: &'a str, version: i64) -> Context<'a> {
        Context { purpose, tenant: self.tenant.0, name, version }
    }

    fn unwrap(&self) -> Result<Key> {
        let id: KeyId = self.key.id.as_slice().try_into().map_err(|_| Error::CannotOpen)?;
        let name = hex(&id);
        let opened = envelope::open(
            &self.keyring.wrapping_key()?,
            wrap_context(self.tenant, &name),
            &self.key.wrapped,
        )?;
        let mut bytes = Zeroizing::new([0; 32]);
        if opened.len() != bytes.len() {
            return Err(Error::CannotOpen);
        }
        bytes.copy_from_slice(&opened);
        Ok(Key { id, label: "resto/record/v1", bytes })
    }
}

fn wrap_context(tenant: TenantId, key_id: &str) -> Context<'_> {
    Context { purpose: "tenant-key", tenant: tenant.0, name: key_id, version: 0 }
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
        self.vault.erase().await?;
        Ok(rotation)
    }

    /// The tenant's keys, newest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn keys(&self) -> Result<Vec<KeyInfo>> {
        let tenant = self.tenant.0;
        let mut tx = self.read().await?;
        let rows: Vec<KeyRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT k.kek_id, k.root_id, k.state, k.created_at,
               (SELECT count(*) FROM integration_credentials s WHERE s.tenant_id = k.tenant_id AND s.key_id = k.kek_id)
             + (SELECT count(*) FROM integration_operations s WHERE s.tenant_id = k.tenant_id AND s.key_id = k.kek_id)
             + (SELECT count(*) FROM tenant_secrets s WHERE s.tenant_id = k.tenant_id AND s.key_id = k.kek_id)
             + (SELECT count(*) FROM records s WHERE s.tenant_id = k.tenant_id AND s.key_id = k.kek_id)
             FROM tenant_keys k WHERE k.tenant_id = $1
             ORDER BY k.created_at DESC, k.state",
        ).bind(tenant).fetch_all(c).await)?;
        Ok(rows
            .into_iter()
            .map(|(key_id, root_id, state, created_at, sealed)| KeyInfo {
                key_id: hex(&key_id),
                root_id: hex(&root_id),
                state: match state.as_str() {
                    "active" => KeyState::Active,
                    "read" => KeyState::Read,
                    _ => KeyState::Destroyed,
                },
                created_at: from_millis(created_at),
                sealed: u64::try_from(sealed).unwrap_or_default(),
            })
            .collect())
    }

    /// Makes a key and stores it as the active one.
    pub(crate) async fn create_key(&self, tx: &mut Tx) -> Result<Sealer> {
        let id: KeyId = envelope::random()?;
        let key = {
            let bytes = Zeroizing::new(envelope::random::<32>()?);
            let name = hex(&id);
            let context = wrap_context(self.tenant, &name);
            let wrapping_key = self.keyring().wrapping_key()?;
            let wrapped =
                envelope::seal(&wrapping_key, self.vault.inner.cipher, context, bytes.as_slice())?;
            WrappedKey { id: id.to_vec(), wrapped }
        };
        let (tenant, root_id) = (self.tenant.0, self.keyring().raw_id().to_vec());
        on!(tx, c => sqlx::query(
            "INSERT INTO tenant_keys (tenant_id, kek_id, root_id, wrapped, state, created_at)
             VALUES ($1, $2, $3, $4, 'active', (SELECT now_ms FROM clock))",
        ).bind(tenant).bind(&key.id).bind(&root_id).bind(&key.wrapped).execute(c).await.map(drop))?;
        Ok(self.sealer(key))
    }

    /// The key that seals new values.
    pub(crate) async fn active_key(&self, tx: &mut Tx) -> Result<Sealer> {
        let tenant = self.tenant.0;
        let row: Option<(Vec<u8>, Vec<u8>)> = on!(tx, c => sqlx::query_as(
            "SELECT kek_id, wrapped FROM tenant_keys WHERE tenant_id = $1 AND state = 'active'",
        ).bind(tenant).fetch_optional(c).await)?;
        let (id, wrapped) = row.ok_or(Error::UnknownTenant)?;
        Ok(self.sealer(WrappedKey { id, wrapped }))
    }

    /// The key that a value was sealed with. A key that is gone cannot open anything.
    pub(crate) async fn key(&self, tx: &mut Tx, key_id: &[u8]) -> Result<Sealer> {
        let tenant = self.tenant.0;
        let wrapped: Option<Option<Vec<u8>>> = on!(tx, c => sqlx::query_scalar(
            "SELECT wrapped FROM tenant_keys WHERE tenant_id = $1 AND kek_id = $2",
        ).bind(tenant).bind(key_id).fetch_optional(c).await)?;
        let wrapped = wrapped.flatten().ok_or(Error::CannotOpen)?;
        Ok(self.sealer(WrappedKey { id: key_id.to_vec(), wrapped }))
    }

    pub(crate) fn sealer(&self, key: WrappedKey) -> Sealer {
        Sealer {
            keyring: self.keyring().clone(),
            cipher: self.vault.inner.cipher,
            tenant: self.tenant,
            key,
        }
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
        let mut rewrapped = self.rotate_credentials(tx, &old, &new).await?;
        rewrapped += self.rotate_outcomes(tx, &old, &new).await?;
        rewrapped += self.rotate_secrets(tx, &old, &new).await?;
        rewrapped += self.rotate_records(tx, &old, &new).await?;
        Ok(Rotation { rewrapped, key_id: hex(new.key_id()) })
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
fn reseal(
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
            tracing::error!(purpose, tenant = %old.tenant, "a sealed value was changed outside the vault and is lost");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
