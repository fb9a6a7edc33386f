//! Renewed credentials that no database took yet: sealed, in files of the data folder, until one does.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Renewal, Result, TenantId, Vault};

/// The ending of the files; one that is being written has another.
const ENDING: &str = "sealed";

/// The folder of the files. It is made when the first one is.
#[derive(Debug, Clone)]
pub struct Spill {
    folder: PathBuf,
}

/// What a file holds. Without the tenant's key, which is in the database, it is worth nothing.
#[derive(Serialize, Deserialize)]
struct Spilled {
    tenant: Uuid,
    key_id: Vec<u8>,
    integration_id: String,
    generation: i64,
    blob: Vec<u8>,
}

impl Spill {
    /// The folder in which files are kept.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a renewed credential in a file of mode 0600, which is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, renewal: &Renewal) -> io::Result<PathBuf> {
        let Renewal { key, integration_id, generation, blob } = renewal;
        let spilled = Spilled {
            tenant: key.tenant.0,
            key_id: key.key_id().to_vec(),
            integration_id: integration_id.clone(),
            generation: *generation,
            blob: blob.clone(),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // A name of its own: two processes may have renewed the same.
        let name = self.folder.join(Uuid::now_v7().to_string());
        let (writing, kept) = (name.with_extension("part"), name.with_extension(ENDING));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&writing)?;
        file.write_all(&serde_json::to_vec(&spilled)?)?;
        file.sync_all()?;
        fs::rename(&writing, &kept)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(kept)
    }

    /// The files that wait.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn waiting(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Vault {
    /// Stores what a file of a [`Spill`] holds, as [`Renewal::store`] does, and removes the file when that is decided.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] for a file that nobody here wrote, or whose tenant's key is destroyed; [`Error::Database`].
    pub async fn store_spilled(
        &self,
        file: &Path,
        jobs: &[(&'static str, Duration)],
    ) -> Result<bool> {
        let unreadable = |error: io::Error| Error::Invalid(format!("{}: {error}", file.display()));
        let Spilled { tenant, key_id, integration_id, generation, blob } =
            serde_json::from_slice(&fs::read(file).map_err(unreadable)?)
                .map_err(|_| Error::CannotOpen)?;
        let scope = self.scope(TenantId(tenant));
        let mut tx = scope.read().await?;
        let key = scope.stored_key(&mut tx, &key_id).await?;
        drop(tx);
        let stored = Renewal { key, integration_id, generation, blob }.store(jobs).await?;
        fs::remove_file(file).map_err(unreadable)?;
        Ok(stored)
    }
}
