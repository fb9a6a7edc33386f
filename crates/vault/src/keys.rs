//! Tenant keys: each seals one tenant's values, and is itself wrapped by the root key.

use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Cipher, Error, Keyring, Result, TenantId, TenantScope, Vault,
    database::{Tx, on},
    envelope::{self, Context, Key, KeyId},
    keyring::hex,
    timestamp::from_millis,
};

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
    pub(crate) vault: Vault,
    pub(crate) tenant: TenantId,
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
            self.vault.inner.cipher,
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

    pub(crate) fn unwrap(&self) -> Result<Key> {
        let id: KeyId = self.key.id.as_slice().try_into().map_err(|_| Error::CannotOpen)?;
        let bytes = unwrap(&self.vault.inner.keyring, self.tenant.0, &id, &self.key.wrapped)?;
        Ok(Key { id, label: "resto/record/v1", bytes })
    }
}

/// Wraps a tenant key with the current root key.
pub(crate) fn wrap(
    keyring: &Keyring,
    cipher: Cipher,
    tenant: Uuid,
    key_id: &[u8],
    bytes: &Zeroizing<[u8; 32]>,
) -> Result<Vec<u8>> {
    let name = hex(key_id);
    envelope::seal(keyring.wrapping_key(), cipher, wrap_context(tenant, &name), bytes.as_slice())
}

/// Unwraps a tenant key with whichever root key of the ring wrapped it.
pub(crate) fn unwrap(
    keyring: &Keyring,
    tenant: Uuid,
    key_id: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<[u8; 32]>> {
    let name = hex(key_id);
    let root = keyring.unwrapping_key(wrapped)?;
    let opened = envelope::open(root, wrap_context(tenant, &name), wrapped)?;
    let bytes = opened.as_slice().try_into().map_err(|_| Error::CannotOpen)?;
    Ok(Zeroizing::new(bytes))
}

fn wrap_context(tenant: Uuid, key_id: &str) -> Context<'_> {
    Context { purpose: "tenant-key", tenant, name: key_id, version: 0 }
}

impl TenantScope {
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
             + (SELECT count(*) FROM integration_credentials s WHERE s.tenant_id = k.tenant_id AND s.former_key_id = k.kek_id)
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
            let cipher = self.vault.inner.cipher;
            let wrapped = wrap(self.keyring(), cipher, self.tenant.0, &id, &bytes)?;
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

    /// The key that a value was sealed with, to open it for a caller. A key that is gone cannot open anything.
    pub(crate) async fn key(&self, tx: &mut Tx, key_id: &[u8]) -> Result<Sealer> {
        self.vault.admit_opening(self.tenant)?;
        self.stored_key(tx, key_id).await
    }

    /// The key that a value was sealed with, to seal it anew: nobody is shown what it opens.
    pub(crate) async fn stored_key(&self, tx: &mut Tx, key_id: &[u8]) -> Result<Sealer> {
        let tenant = self.tenant.0;
        let wrapped: Option<Option<Vec<u8>>> = on!(tx, c => sqlx::query_scalar(
            "SELECT wrapped FROM tenant_keys WHERE tenant_id = $1 AND kek_id = $2",
        ).bind(tenant).bind(key_id).fetch_optional(c).await)?;
        let wrapped = wrapped.flatten().ok_or(Error::CannotOpen)?;
        Ok(self.sealer(WrappedKey { id: key_id.to_vec(), wrapped }))
    }

    pub(crate) fn sealer(&self, key: WrappedKey) -> Sealer {
        Sealer { vault: self.vault.clone(), tenant: self.tenant, key }
    }
}
