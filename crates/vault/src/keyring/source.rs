//! Where a root key comes from: a guarded file, an environment variable, or a command that a key service answers.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rustix::{fs::OFlags, io::Errno, process::geteuid};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, process::Command};
use zeroize::Zeroizing;

use super::{Keyring, hex};
use crate::{Error, Result, envelope};

/// How long a command may take: a key service answers within a second, and a start must not hang on one that does not.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// More than a key and its line end; what is longer is no key.
const LONGEST: usize = 256;

/// Where a root key is kept. Each source gives 32 bytes as one line of base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// A file of mode 0600 or 0400 that this process's user owns, outside the data folder.
    File(PathBuf),
    /// An environment variable, by its name. It stays readable to this user's processes, and is warned about.
    Env(String),
    /// The standard output of a program, by its path or name and its arguments; no shell sees them.
    Command(Vec<String>),
}

impl Keyring {
    /// Reads one root key.
    ///
    /// # Errors
    /// [`Error::RootKey`] with the one reason: as [`Keyring::from_file`] says; the variable is not set; the command
    /// does not start, fails, or takes over 10 s; or what came is not 32 bytes of base64.
    pub async fn from_source(source: &KeySource, data_dir: Option<&Path>) -> Result<Self> {
        match source {
            KeySource::File(path) => Self::from_file(path, data_dir),
            KeySource::Env(name) => Self::from_env(name),
            KeySource::Command(argv) => {
                Self::from_command(argv, tokio::time::sleep(COMMAND_LIMIT)).await
            }
        }
    }

    /// Reads a key file: 32 bytes as one line of base64, mode 0600 or 0400, owned by this process's user.
    ///
    /// # Errors
    /// [`Error::RootKey`] with the one reason: missing, a symbolic link, not a regular file, inside `data_dir`,
    /// owned by another user, readable by others, or not 32 bytes of base64.
    pub fn from_file(path: &Path, data_dir: Option<&Path>) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags(OFlags::NOFOLLOW.union(OFlags::NONBLOCK)))
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
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
        file.take(LONGEST as u64)
            .read_to_end(&mut text)
            .map_err(|_| refuse(path, "cannot be read"))?;
        Self::parse(&text).map_err(|reason| refuse(path, reason))
    }

    /// Creates the file with a fresh key: mode 0600 in a folder of mode 0700, flushed to the disk.
    ///
    /// # Errors
    /// [`Error::RootKey`] when it exists or cannot be written.
    pub fn create_file(path: &Path) -> Result<Self> {
        let unwritable = |_| refuse(path, "cannot be written");
        let root = Zeroizing::new(envelope::random()?);
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
        let mut line = Zeroizing::new(String::with_capacity(64));
        BASE64.encode_string(root.as_slice(), &mut line);
        line.push('\n');
        // Written whole under another name first: whoever is killed here, or finds the disk full, leaves no key file that
        // holds no key, and of several who start at once all read the first one's.
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}.new", hex(&envelope::random::<8>()?)));
        let draft = PathBuf::from(draft);
        let written = write_private(&draft, line.as_bytes())
            .and_then(|()| fs::hard_link(&draft, path))
            // The folder's entry must be durable too, before anything is sealed with the key.
            .and_then(|()| File::open(folder)?.sync_all());
        // What was not written whole may not be there.
        let _ = fs::remove_file(&draft);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => refuse(path, "exists already, and is not overwritten"),
            _ => unwritable(error),
        })?;
        Self::new(&root)
    }

    fn from_env(name: &str) -> Result<Self> {
        let told =
            |reason: &str| Error::RootKey(format!("The environment variable {name} {reason}."));
        let text = std::env::var_os(name)
            .ok_or_else(|| told("is not set, and should hold the root key"))?;
        let text = Zeroizing::new(text.into_encoded_bytes());
        tracing::warn!(
            name,
            "the root key is read from an environment variable, which this user's other processes and every crash \
             report can read; a file or a command keeps it better"
        );
        Self::parse(&text).map_err(told)
    }

    /// Reads what a command prints, and kills it when `limit` is over.
    pub(super) async fn from_command(
        argv: &[String],
        limit: impl Future<Output = ()>,
    ) -> Result<Self> {
        let (program, arguments) = argv.split_first().ok_or_else(|| {
            Error::RootKey("The command for the root key is empty. Name a program.".into())
        })?;
        let told = |reason: &str| {
            Error::RootKey(format!(
                "The command {program}, which should print the root key, {reason}."
            ))
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // What it complains of, its person must see.
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| told(&format!("does not start: {error}")))?;
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
        let running = async {
            if let Some(stdout) = child.stdout.take() {
                stdout.take(LONGEST as u64).read_to_end(&mut text).await?;
            }
            child.wait().await
        };
        let status = tokio::select! {
            ended = running => ended.map_err(|error| told(&format!("broke off: {error}")))?,
            () = limit => {
                let reason = format!("did not end within {} s", COMMAND_LIMIT.as_secs());
                return Err(told(&reason));
            }
        };
        if !status.success() {
            return Err(told(&format!("failed: {status}")));
        }
        Self::parse(&text).map_err(|reason| told(&format!("answered, but its output {reason}")))
    }

    /// Reads the base64 of a key; the error is the end of a sentence and holds nothing of the text.
    pub(crate) fn parse(text: &[u8]) -> std::result::Result<Self, &'static str> {
        let mut root = Zeroizing::new([0; 32]);
        let bytes = Zeroizing::new(
            BASE64.decode(text.trim_ascii_end()).map_err(|_| "is not one line of base64")?,
        );
        if bytes.len() != root.len() {
            return Err("does not hold a key of 32 bytes");
        }
        root.copy_from_slice(&bytes);
        if root.iter().all(|byte| *byte == 0) {
            return Err("is all zeros, which is a placeholder and no key");
        }
        Self::new(&root).map_err(|_| "does not hold a key of 32 bytes")
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
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
    Error::RootKey(format!("The key file {} {reason}.", path.display()))
}
