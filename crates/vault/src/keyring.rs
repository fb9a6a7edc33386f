//! The root keys: one seals, others are accepted, and none is used itself but through keys derived for one purpose each.

use std::{fmt, sync::Arc};

use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Error, Result,
    envelope::{Key, KeyId, MAGIC, push_prefixed},
};

mod source;

pub use source::KeySource;

/// The algorithm that seals new values. Both open whatever is stored, so one store may hold both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    /// XChaCha20-Poly1305, with a 192-bit nonce.
    #[default]
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// AES-256-GCM, with a 96-bit nonce.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
}

/// The root keys: the current one wraps tenant keys, and what the accepted ones wrapped is still opened.
#[derive(Clone)]
pub struct Keyring {
    current: Arc<Root>,
    accepted: Vec<Arc<Root>>,
    /// What is left of the roots that this database was sealed with before.
    retired: Vec<Arc<MacKey>>,
}

/// What is derived from a root key. The key itself is not kept.
struct Root {
    wrapping: Key,
    macs: MacKey,
}

/// What the keys of keyed hashes are derived from. It outlives its root key, sealed in the database, so that old audit
/// entries can be checked and old access tokens work when the root key is gone; it opens nothing.
pub(crate) struct MacKey {
    root_id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("id", &self.id())
            .field("accepted", &self.accepted_ids())
            .finish_non_exhaustive()
    }
}

impl Keyring {
    fn new(root: &Zeroizing<[u8; 32]>) -> Result<Self> {
        const LABEL: &str = "resto/kek-wrap/v1";
        let id_bytes = derive(root, "resto/root-id/v1", None)?;
        let mut id = KeyId::default();
        if let Some((start, _)) = id_bytes.split_first_chunk() {
            id = *start;
        }
        let wrapping = Key { id, label: LABEL, bytes: derive(root, LABEL, None)? };
        let macs = MacKey { root_id: id, bytes: derive(root, "resto/mac/v1", None)? };
        Ok(Self {
            current: Arc::new(Root { wrapping, macs }),
            accepted: Vec::new(),
            retired: Vec::new(),
        })
    }

    /// This ring, which also opens what the keys of `other` wrapped.
    #[must_use]
    pub fn accepting(mut self, other: Self) -> Self {
        for root in std::iter::once(other.current).chain(other.accepted) {
            if self.roots().all(|known| known.id() != root.id()) {
                self.accepted.push(root);
            }
        }
        self
    }

    /// The current root key's id: 32 hexadecimal digits, computed from the key; safe to show.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.raw_id())
    }

    /// The ids of the accepted root keys.
    #[must_use]
    pub fn accepted_ids(&self) -> Vec<String> {
        self.accepted.iter().map(|root| hex(&root.id())).collect()
    }

    pub(crate) fn raw_id(&self) -> KeyId {
        self.current.id()
    }

    /// Whether what the root key of this id wrapped can be opened.
    pub(crate) fn holds(&self, root_id: &[u8]) -> bool {
        self.roots().any(|root| root.id() == root_id)
    }

    /// The key that wraps tenant keys and seals the sentinel.
    pub(crate) fn wrapping_key(&self) -> &Key {
        &self.current.wrapping
    }

    /// The key that a blob says it was wrapped with; whether that is true shows when it is opened.
    pub(crate) fn unwrapping_key(&self, blob: &[u8]) -> Result<&Key> {
        let id: Option<&KeyId> = blob.get(MAGIC.len() + 2..).and_then(|rest| rest.first_chunk());
        let root = self.roots().find(|root| Some(&root.id()) == id).ok_or(Error::CannotOpen)?;
        Ok(&root.wrapping)
    }

    /// What the sentinel holds: what must outlive the current root key.
    pub(crate) fn sentinel(&self) -> &[u8] {
        self.current.macs.bytes.as_slice()
    }

    /// Whether `opened` is the sentinel of this root key; of a key that is not in the ring, it is remembered.
    pub(crate) fn admit(&mut self, root_id: &[u8], opened: &[u8]) -> bool {
        if let Some(root) = self.roots().find(|root| root.id() == root_id) {
            return root.macs.bytes.ct_eq(opened).into();
        }
        let (Ok(root_id), Ok(bytes)) = (root_id.try_into(), opened.try_into()) else {
            return false;
        };
        if self.retired.iter().all(|known| known.root_id != root_id) {
            self.retired.push(Arc::new(MacKey { root_id, bytes: Zeroizing::new(bytes) }));
        }
        true
    }

    /// The key of the tenant's audit chain, by the current root key.
    pub(crate) fn audit_key(&self, tenant: Uuid) -> Result<AuditKey> {
        self.current.macs.audit(tenant)
    }

    /// The same by the root key of this id; none when nothing is left of that.
    pub(crate) fn audit_key_by(&self, root_id: &str, tenant: Uuid) -> Result<Option<AuditKey>> {
        let key = self.mac_keys().find(|key| hex(&key.root_id) == root_id);
        key.map(|key| key.audit(tenant)).transpose()
    }

    /// Keyed hashes of an action's canonical parameters: with the current key first, then with the others.
    pub(crate) fn params_macs(&self, tenant: Uuid, message: &[u8]) -> Result<Vec<[u8; 32]>> {
        self.mac_keys().map(|key| key.mac("resto/params/v1", Some(tenant), message)).collect()
    }

    /// Keyed hashes of an access token, the only thing of it that is stored: with the current key first.
    pub(crate) fn token_macs(&self, token: &str) -> Result<Vec<[u8; 32]>> {
        // In whole blocks, which the hash reads where they are: it copies the rest of a block to the stack, and leaves it.
        let mut blocks = Zeroizing::new(vec![0; token.len().next_multiple_of(64)]);
        let (start, _) = blocks.split_at_mut(token.len());
        start.copy_from_slice(token.as_bytes());
        self.mac_keys().map(|key| key.mac("resto/token/v1", None, &blocks)).collect()
    }

    /// What holds a token's hash together with whose it is and what it may do: with the current key first.
    pub(crate) fn token_bounds(&self, tenant: Uuid, bounds: &[u8]) -> Result<Vec<[u8; 32]>> {
        self.mac_keys().map(|key| key.mac("resto/token-bounds/v1", Some(tenant), bounds)).collect()
    }

    /// Keyed hashes of a tenant's handle, the only thing of it that is stored: with the current key first.
    pub(crate) fn handle_macs(&self, tenant: Uuid, handle: &str) -> Result<Vec<[u8; 32]>> {
        self.mac_keys()
            .map(|key| key.mac("resto/handle/v1", Some(tenant), handle.as_bytes()))
            .collect()
    }

    fn roots(&self) -> impl Iterator<Item = &Arc<Root>> {
        std::iter::once(&self.current).chain(&self.accepted)
    }

    fn mac_keys(&self) -> impl Iterator<Item = &MacKey> {
        self.roots().map(|root| &root.macs).chain(self.retired.iter().map(AsRef::as_ref))
    }
}

/// The key of one tenant's audit chain, ready for one entry after the other.
#[derive(Clone)]
pub(crate) struct AuditKey(Hmac<Sha256>);

impl AuditKey {
    /// HMAC-SHA256.
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl Root {
    fn id(&self) -> KeyId {
        self.wrapping.id
    }
}

impl MacKey {
    fn audit(&self, tenant: Uuid) -> Result<AuditKey> {
        Ok(AuditKey(keyed(&derive(&self.bytes, "resto/audit/v1", Some(tenant))?)))
    }

    fn mac(&self, label: &str, tenant: Option<Uuid>, message: &[u8]) -> Result<[u8; 32]> {
        Ok(mac(&derive(&self.bytes, label, tenant)?, message))
    }
}

fn derive(
    from: &Zeroizing<[u8; 32]>,
    label: &str,
    tenant: Option<Uuid>,
) -> Result<Zeroizing<[u8; 32]>> {
    let mut info = label.as_bytes().to_vec();
    if let Some(tenant) = tenant {
        push_prefixed(&mut info, tenant.as_bytes());
    }
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, from.as_slice())
        .expand(&info, key.as_mut_slice())
        .map_err(|_| Error::CannotOpen)?;
    Ok(key)
}

pub(crate) fn mac(key: &Zeroizing<[u8; 32]>, message: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn keyed(key: &Zeroizing<[u8; 32]>) -> Hmac<Sha256> {
    // HMAC pads a short key with zeros to its block, so this is the HMAC of the 32 bytes, without a length to fail on.
    let mut block = Zeroizing::new([0; 64]);
    let (start, _) = block.split_at_mut(32);
    start.copy_from_slice(key.as_slice());
    Hmac::<Sha256>::new((&*block).into())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests;
