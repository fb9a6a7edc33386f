//! Named tenant secrets: born at a provider or entered for an action. Results carry their names only.

use secrecy::SecretString;

use crate::{Result, TenantScope, later};

impl TenantScope {
    /// Stores a secret under a name, in place of the one that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an empty or over-long name.
    pub async fn put_secret(&self, name: &str, value: &SecretString) -> Result<()> {
        let _ = (name, value);
        later()
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// [`Error::CannotOpen`](crate::Error::CannotOpen).
    pub async fn secret(&self, name: &str) -> Result<Option<SecretString>> {
        let _ = name;
        later()
    }

    /// The names of the tenant's secrets, sorted.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn secret_names(&self) -> Result<Vec<String>> {
        later()
    }

    /// Deletes a secret; `false` when there is none.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn delete_secret(&self, name: &str) -> Result<bool> {
        let _ = name;
        later()
    }
}
