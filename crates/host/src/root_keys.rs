//! The ring of root keys that the configuration names; the key file is created at the first start.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use resto_core::{Code, Error, Result};
use resto_vault::{Keyring, Vault};

use crate::checks::check_folder;
use crate::config::{Config, unusable};
use crate::host::told;

/// Reads all root keys; the key file is created where it and the database are missing.
pub(crate) async fn keyring(config: &Config) -> Result<Keyring> {
    let folder = config.database_folder()?;
    let folder = folder.as_deref();
    let mut keyring = match config.key_source()? {
        None => key_file(config, folder).await?,
        Some(source) => Keyring::from_source(source, folder).await.map_err(told)?,
    };
    for source in &config.keys.accept {
        keyring = keyring.accepting(Keyring::from_source(source, folder).await.map_err(told)?);
    }
    Ok(keyring)
}

/// Reads the key file, and creates it where there is nothing yet that it could have sealed.
async fn key_file(config: &Config, folder: Option<&Path>) -> Result<Keyring> {
    let key_file = config.key_file()?;
    if key_file.exists() {
        return Keyring::from_file(&key_file, folder).map_err(told);
    }
    // Two processes may start at once: whoever comes second reads the first one's key.
    let lost = lost_key(config).await?;
    if key_file.exists() {
        return Keyring::from_file(&key_file, folder).map_err(told);
    }
    if let Some(lost) = lost {
        return Err(lost);
    }
    let created = match Keyring::create_file(&key_file) {
        Ok(_) => true,
        Err(_) if key_file.exists() => false,
        Err(error) => return Err(told(error)),
    };
    // Where a file lies is known for sure only when it is there.
    Keyring::from_file(&key_file, folder).map_err(|error| {
        if created {
            let _ = std::fs::remove_file(&key_file);
        }
        told(error)
    })
}

/// Why a missing key file must not be created anew: there is a database that was sealed with it.
///
/// # Errors
/// The database cannot be asked.
pub(crate) async fn lost_key(config: &Config) -> Result<Option<Error>> {
    let url = config.database()?;
    let sealed = match url.strip_prefix("sqlite://") {
        Some(file) => Path::new(file).exists(),
        None => Vault::is_sealed(&url).await.map_err(told)?,
    };
    if !sealed {
        return Ok(None);
    }
    let key_file = config.key_file()?;
    Ok(Some(Error::new(
        Code::NotFound,
        format!(
            "The key file {} is missing, and without it the stored credentials cannot be opened. Bring it back, or name it: --key-file FILE",
            key_file.display()
        ),
    )))
}

/// Creates the data folder, for this user alone; refuses one that is not.
pub(crate) fn private_dir(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| unusable(dir, &error))?;
    let metadata = std::fs::metadata(dir).map_err(|error| unusable(dir, &error))?;
    check_folder(dir, &metadata)
}
