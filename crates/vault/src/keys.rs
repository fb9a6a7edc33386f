//! Tenant keys: each seals one tenant's values, and is itself wrapped by the root key.

use time::OffsetDateTime;

use crate::{Result, TenantScope, later};

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

impl TenantScope {
    /// Makes a new tenant key, seals all values of the tenant with it and destroys the old one, in one transaction.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`](crate::Error::UnknownTenant), [`Error::Database`](crate::Error::Database).
    pub async fn rotate_key(&self) -> Result<Rotation> {
        later()
    }

    /// The tenant's keys, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn keys(&self) -> Result<Vec<KeyInfo>> {
        later()
    }
}
