//! The root key: read from a guarded file, and never used itself but through keys derived for one purpose each.

use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rustix::{fs::OFlags, io::Errno, process::geteuid};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Error, Result,
    envelope::{self, Key, KeyId, push_prefixed},
};

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
pub struct Keyring {
    root: Arc<Zeroizing<[u8; 32]>>,
    id: KeyId,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads a key file: 32 bytes as one line of base64, mode 0600 or 0400, owned by this process's user.
    ///
    /// # Errors
    /// [`Error::KeyFile`] with the one reason: missing, a symbolic link, not a regular file, inside `data_dir`,
    /// owned by another user, readable by others, or not 32 bytes of base64.
    pub fn from_file(path: &Path, data_dir: Option<&Path>) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
            .open(path)
            .map_err(|error| {
                let is_link = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
                let reason = match error.kind() {
                    _ if is_link => "is a symbolic link. Name the file itself",
                    io::ErrorKind::NotFound => "does not exist. Create it, or name another file",
                    _ => "cannot be read by this process's user",
                };
                refuse(path, reason)
            })?;
        // What is checked is the opened file, so that it cannot be exchanged between the check and the reading.
        let metadata = file.metadata().map_err(|_| refuse(path, "cannot be inspected"))?;
        if !metadata.is_file() {
            return Err(refuse(path, "is not a regular file"));
        }
        if metadata.uid() != geteuid().as_raw() {
            return Err(refuse(path, "belongs to another user. Let this process's user own it"));
        }
        if metadata.mode() & 0o177 != 0 {
            return Err(refuse(path, "can be used by others. Set its mode to 0600"));
        }
        if let Some(dir) = data_dir
            && is_inside(path, dir)
        {
            return Err(refuse(
                path,
                "is inside the data folder, so every backup of the data would hold its key. Keep it elsewhere",
            ));
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        (&mut file)
            .take(256)
            .read_to_string(&mut text)
            .map_err(|_| refuse(path, "is not one line of base64"))?;
        let bytes = Zeroizing::new(
            BASE64
                .decode(text.trim_end())
                .map_err(|_| refuse(path, "is not one line of base64"))?,
        );
        let mut root = Zeroizing::new([0; 32]);
        if bytes.len() != root.len() {
            return Err(refuse(path, "does not hold a key of 32 bytes"));
        }
        root.copy_from_slice(&bytes);
        Self::new(root)
    }

    /// Creates the file with a fresh key: mode 0600 in a folder of mode 0700, flushed to the disk.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when it exists or cannot be written.
    pub fn create_file(path: &Path) -> Result<Self> {
        let unwritable = |_| refuse(path, "cannot be written");
        let root = Zeroizing::new(envelope::random()?);
        let folder = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
                |error| match error.kind() {
                    io::ErrorKind::AlreadyExists => {
                        refuse(path, "exists already, and is not overwritten")
                    }
                    _ => refuse(path, "cannot be written"),
                },
            )?;
        let mut line = Zeroizing::new(String::with_capacity(64));
        BASE64.encode_string(root.as_slice(), &mut line);
        line.push('\n');
        file.write_all(line.as_bytes()).map_err(unwritable)?;
        file.sync_all().map_err(unwritable)?;
        // The folder's entry must be durable too, before anything is sealed with the key.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
        Self::new(root)
    }

    fn new(root: Zeroizing<[u8; 32]>) -> Result<Self> {
        let mut ring = Self { root: Arc::new(root), id: KeyId::default() };
        let id = ring.derive("resto/root-id/v1", None)?;
        if let Some((start, _)) = id.split_first_chunk() {
            ring.id = *start;
        }
        Ok(ring)
    }

    /// The root key's id: 32 hexadecimal digits, computed from the key; safe to show.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    pub(crate) fn raw_id(&self) -> KeyId {
        self.id
    }

    /// The key that wraps tenant keys and seals the sentinel.
    pub(crate) fn wrapping_key(&self) -> Result<Key> {
        const LABEL: &str = "resto/kek-wrap/v1";
        Ok(Key { id: self.id, label: LABEL, bytes: self.derive(LABEL, None)? })
    }

    /// HMAC-SHA256 for the tenant's audit chain.
    pub(crate) fn audit_mac(&self, tenant: Uuid, message: &[u8]) -> Result<[u8; 32]> {
        Ok(mac(&self.derive("resto/audit/v1", Some(tenant))?, message))
    }

    /// Keyed hash of an action's canonical parameters.
    pub(crate) fn params_mac(&self, tenant: Uuid, message: &[u8]) -> Result<[u8; 32]> {
        Ok(mac(&self.derive("resto/params/v1", Some(tenant))?, message))
    }

    /// Keyed hash of an access token: the only thing of it that is stored.
    pub(crate) fn token_mac(&self, token: &str) -> Result<[u8; 32]> {
        Ok(mac(&self.derive("resto/token/v1", None)?, token.as_bytes()))
    }

    fn derive(&self, label: &str, tenant: Option<Uuid>) -> Result<Zeroizing<[u8; 32]>> {
        let mut info = label.as_bytes().to_vec();
        if let Some(tenant) = tenant {
            push_prefixed(&mut info, tenant.as_bytes());
        }
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.root.as_slice())
            .expand(&info, key.as_mut_slice())
            .map_err(|_| Error::CannotOpen)?;
        Ok(key)
    }
}

fn mac(key: &Zeroizing<[u8; 32]>, message: &[u8]) -> [u8; 32] {
    // HMAC pads a short key with zeros to its block, so this is the HMAC of the 32 bytes, without a length to fail on.
    let mut block = Zeroizing::new([0; 64]);
    let (start, _) = block.split_at_mut(32);
    start.copy_from_slice(key.as_slice());
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| DIGITS.get(usize::from(digit)).copied())
        .map(char::from)
        .collect()
}

fn flags(flags: OFlags) -> i32 {
    // The flags are small positive numbers on every system.
    i32::try_from(flags.bits()).unwrap_or_default()
}

fn is_inside(path: &Path, dir: &Path) -> bool {
    match (path.canonicalize(), dir.canonicalize()) {
        (Ok(path), Ok(dir)) => path.starts_with(dir),
        // A folder that does not exist holds nothing.
        _ => path.starts_with(dir),
    }
}

fn refuse(path: &Path, reason: &str) -> Error {
    Error::KeyFile(format!("The key file {} {reason}.", path.display()))
}

#[cfg(test)]
mod tests;
