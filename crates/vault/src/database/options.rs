//! How a database is reached: what its URL names, and the settings that durability and secrecy need.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    str::FromStr,
};

use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use tokio::time::timeout;

use super::{BUSY, STARTING};
use crate::{Error, Result};

/// What a URL names.
pub(super) enum Url<'a> {
    Sqlite(&'a Path),
    Postgres(Box<PgConnectOptions>),
}

impl<'a> Url<'a> {
    // The URL may hold a password, so no error repeats it.
    pub(super) fn parse(url: &'a str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let path = Path::new(path);
            if !path.is_absolute() || url.contains('?') {
                return Err(Error::Invalid(
                    "A SQLite database is named by an absolute path: sqlite:///var/lib/resto/vault.db.".into(),
                ));
            }
            return Ok(Self::Sqlite(path));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| Error::Invalid("The PostgreSQL URL cannot be understood.".into()))?;
            refuse_open_line(&options)?;
            return Ok(Self::Postgres(Box::new(
                options.application_name("resto").disable_statement_logging(),
            )));
        }
        Err(Error::Invalid("The database URL must begin with sqlite:// or postgres://.".into()))
    }
}

/// Connects once, and says why when that is not possible.
pub(super) async fn reach(options: &PgConnectOptions) -> Result<PgConnection> {
    let unreachable = |why: &dyn std::fmt::Display| {
        Error::Invalid(format!(
            "PostgreSQL at {}:{} cannot be reached: {why}. Start it, or name another database.",
            options.get_host(),
            options.get_port()
        ))
    };
    match timeout(STARTING, options.connect()).await {
        Ok(Err(sqlx::Error::Io(error))) => Err(unreachable(&error)),
        Ok(connected) => Ok(connected?),
        Err(late) => Err(unreachable(&late)),
    }
}

pub(super) fn sqlite_options(path: &Path) -> Result<SqliteConnectOptions> {
    let unusable = |_: io::Error| {
        Error::Invalid(format!(
            "The database file {} cannot be created or guarded. Check its folder.",
            path.display()
        ))
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    }
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::Invalid(format!(
            "{} cannot be the database: it is no file. Move it, or name another place for the database.",
            path.display()
        )));
    }
    // SQLite gives its log and index the mode of the file itself.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
        Err(_) => {
            fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(unusable)?;
        }
        Ok(_) => {}
    }
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        // 16 MiB: a page that many commits change is copied into the database once.
        .pragma("wal_autocheckpoint", "4000")
        .disable_statement_logging())
}

/// Refuses to send the database's password and rows over a network where somebody on the way can read along.
fn refuse_open_line(options: &PgConnectOptions) -> Result<()> {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback());
    match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer if !here => {
            Err(Error::Invalid(format!(
                "The PostgreSQL URL does not insist on TLS, and {host} is another machine. Add sslmode=verify-full to it \
                 (or sslmode=require where the network itself is trusted)."
            )))
        }
        _ => Ok(()),
    }
}
