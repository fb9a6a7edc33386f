//! The root key: read from a guarded file, and never used itself but through keys derived for one purpose each.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Result, later};

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

/// The root key, from which ids and keys for one purpose each are derived.
#[derive(Clone)]
pub struct Keyring(());

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads a key file: 32 bytes as one line of base64, mode 0600 or 0400, owned by this process's user.
    ///
    /// # Errors
    /// [`Error::KeyFile`](crate::Error::KeyFile) with the one reason: missing, a symbolic link, not a regular file,
    /// inside `data_dir`, owned by another user, readable by others, or not 32 bytes of base64.
    pub fn from_file(path: &Path, data_dir: Option<&Path>) -> Result<Self> {
        let _ = (path, data_dir);
        later()
    }

    /// Creates the file with a fresh key: mode 0600 in a folder of mode 0700, flushed to the disk.
    ///
    /// # Errors
    /// [`Error::KeyFile`](crate::Error::KeyFile) when it exists or cannot be written.
    pub fn create_file(path: &Path) -> Result<Self> {
        let _ = path;
        later()
    }

    /// The root key's id: 32 hexadecimal digits, computed from the key; safe to show.
    #[must_use]
    pub fn id(&self) -> String {
        String::new()
    }
}
