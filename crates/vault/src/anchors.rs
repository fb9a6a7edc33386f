//! Anchors: how far each trail went, kept where whoever can write to the database cannot. They show a cut tail.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::TenantId;

/// An entry of a tenant's trail that was its last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The tenant's id.
    pub tenant: Uuid,
    /// The entry's place in the tenant's trail.
    pub seq: i64,
    /// The entry's mac, 64 hexadecimal digits.
    pub mac: String,
    /// When it was the last one.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Where anchors are kept. It is called on a thread that may wait.
pub trait Anchors: Send + Sync {
    /// Keeps the anchors, durably, beside all earlier ones.
    ///
    /// # Errors
    /// They are not kept; the vault brings them again.
    fn keep(&self, anchors: &[Anchor]) -> io::Result<()>;

    /// All anchors of a tenant that were ever kept, in any order.
    ///
    /// # Errors
    /// They cannot be read, or something else than anchors was found.
    fn kept(&self, tenant: TenantId) -> io::Result<Vec<Anchor>>;
}

/// A file that is only appended to, one anchor a line, as JSON. Several processes may write it.
#[derive(Debug)]
pub struct AnchorFile {
    path: PathBuf,
}

impl AnchorFile {
    /// Opens the file, or creates it with mode 0600.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Self { path: path.to_owned() };
        file.append()?;
        Ok(file)
    }

    fn append(&self) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)
    }
}

impl Anchors for AnchorFile {
    fn keep(&self, anchors: &[Anchor]) -> io::Result<()> {
        let mut file = self.append()?;
        let mut lines = Vec::new();
        // What a crash left of a line stays alone on it.
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                lines.push(b'\n');
            }
        }
        for anchor in anchors {
            serde_json::to_writer(&mut lines, anchor)?;
            lines.push(b'\n');
        }
        // At once, so that lines of several processes do not mix.
        file.write_all(&lines)?;
        file.sync_data()
    }

    fn kept(&self, tenant: TenantId) -> io::Result<Vec<Anchor>> {
        let mut anchors = Vec::new();
        for line in BufReader::new(File::open(&self.path)?).split(b'\n') {
            // A line that is none is what a crash left, or somebody's doing: the others tell more than an error would.
            let anchor: Option<Anchor> = serde_json::from_slice(&line?).ok();
            anchors.extend(anchor.filter(|anchor| anchor.tenant == tenant.0));
        }
        Ok(anchors)
    }
}
