//! Handles: random texts, each standing for one document of a tenant: a session of a browser, a link that works once.
//! The database holds keyed hashes only: a dump of it lets nobody in.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Result, TenantId, TenantScope, Vault, envelope, keyring::hex};

/// Digits of the tenant's id, with which a handle begins.
const TENANT_DIGITS: usize = 32;
/// Then 256 random bits in base64url.
const RANDOM_DIGITS: usize = 43;

impl Vault {
    /// The scope of the tenant that a handle names; `None` for what is no handle. Whether it is one of ours shows
    /// when it is looked up there.
    #[must_use]
    pub fn scope_of_handle(&self, handle: &SecretString) -> Option<TenantScope> {
        // EXPOSE: its first half is no secret.
        let handle = handle.expose_secret();
        if handle.len() != TENANT_DIGITS + RANDOM_DIGITS {
            return None;
        }
        let tenant = Uuid::try_parse(handle.get(..TENANT_DIGITS)?).ok()?;
        Some(self.scope(TenantId(tenant)))
    }
}

impl TenantScope {
    /// Stores a document under a new handle: the tenant's id and 43 characters of base64url. It is returned once and
    /// not stored.
    ///
    /// # Errors
    /// As [`TenantScope::put_record`]; `kind` is the collection.
    pub async fn put_handle(
        &self,
        kind: &str,
        value: &Value,
        expires_in: Duration,
    ) -> Result<SecretString> {
        let handle = {
            let bytes = Zeroizing::new(envelope::random::<32>()?);
            let mut handle = Zeroizing::new(String::with_capacity(2 * TENANT_DIGITS + 64));
            handle.push_str(&self.tenant.0.simple().to_string());
            BASE64URL.encode_string(bytes.as_slice(), &mut handle);
            SecretString::from(handle.as_str())
        };
        let id = self.ids(&handle)?.swap_remove(0);
        self.put_record(kind, &id, value, Some(expires_in)).await?;
        Ok(handle)
    }

    /// The document that a handle stands for; none for an unknown, expired or used one.
    ///
    /// # Errors
    /// As [`TenantScope::record`].
    pub async fn handle(&self, kind: &str, handle: &SecretString) -> Result<Option<Value>> {
        for id in self.ids(handle)? {
            if let Some(value) = self.record(kind, &id).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Uses a handle up: of several who try, one gets the document.
    ///
    /// # Errors
    /// As [`TenantScope::take_record`].
    pub async fn take_handle(&self, kind: &str, handle: &SecretString) -> Result<Option<Value>> {
        for id in self.ids(handle)? {
            // Taking counts as opening, which strangers who guess must not make us do.
            if self.record(kind, &id).await?.is_some() {
                return self.take_record(kind, &id).await;
            }
        }
        Ok(None)
    }

    /// One made before the root key was exchanged is known by the hash of that time.
    fn ids(&self, handle: &SecretString) -> Result<Vec<String>> {
        // EXPOSE: to be hashed.
        let hashes = self.keyring().handle_macs(self.tenant.0, handle.expose_secret())?;
        Ok(hashes.iter().map(|hash| hex(hash)).collect())
    }
}
