//! What can go wrong in the vault, told in one sentence each, without a secret in it.

use std::fmt;

use uuid::Uuid;

use crate::statuses::Status;

/// A result of the vault.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the vault refused or failed. The text is for people and agents; it never holds key bytes, tokens or values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The tenant has no connection to this integration.
    NotConnected {
        /// The integration that was asked for.
        integration_id: String,
    },
    /// The connection exists, and must not be used now.
    Inactive {
        /// The integration that was asked for.
        integration_id: String,
        /// Why it must not be used.
        status: Status,
    },
    /// Another account than this one is connected.
    AnotherAccount {
        /// The integration that was to be connected.
        integration_id: String,
    },
    /// The operation is running in another call.
    OperationInProgress {
        /// The operation's id.
        op_id: Uuid,
    },
    /// The operation's id was used before, with another action or other parameters.
    OperationMismatch {
        /// The operation's id.
        op_id: Uuid,
    },
    /// A sealed value did not open. Every cause has this one error, so that nothing can be learnt by trying.
    CannotOpen,
    /// This database was sealed with another root key, and no accepted one is it.
    WrongKey {
        /// The id of the current root key.
        key_id: String,
    },
    /// Tenant keys are still wrapped by root keys that are not in the ring.
    MissingRootKeys {
        /// The ids of the missing root keys.
        key_ids: Vec<String>,
    },
    /// Credentials of so many tenants were opened within a minute that no more are opened.
    Frozen,
    /// The database was migrated by a newer program.
    NewerDatabase,
    /// The database lacks migrations that this program needs.
    OlderDatabase,
    /// No tenant has this id.
    UnknownTenant,
    /// The source of a root key was refused; the text names the one reason.
    RootKey(String),
    /// The caller asked for something that cannot be; the text says what.
    Invalid(String),
    /// The system has no randomness to give.
    Random,
    /// The database did not do what it was asked.
    Database {
        /// What the database said, without values.
        message: String,
        /// Whether the same call may succeed a little later.
        retryable: bool,
    },
}

impl Error {
    /// Whether the same call may succeed a little later: the database was busy or unreachable, or the operation is running.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Database { retryable: true, .. } | Self::OperationInProgress { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { integration_id } => {
                write!(f, "{integration_id} is not connected. Connect the account first.")
            }
            Self::Inactive { integration_id, status } => {
                let advice = match status {
                    Status::Active => "Try again.",
                    Status::Frozen => "Ask the person who froze it.",
                    Status::NeedsReauth => "Reconnect the account.",
                    Status::RevocationPending => {
                        "It is being disconnected; connect the account again afterwards."
                    }
                };
                write!(f, "The connection to {integration_id} is {status} and was not used. {advice}")
            }
            Self::AnotherAccount { integration_id } => write!(
                f,
                "Another account was connected to {integration_id} meanwhile. Nothing was changed. Look at which one is \
                 connected, and begin again."
            ),
            Self::OperationInProgress { op_id } => {
                write!(f, "Operation {op_id} is still running. Ask for its result again later.")
            }
            Self::OperationMismatch { op_id } => write!(
                f,
                "Operation {op_id} was started with another action or other parameters. Use a new operation id."
            ),
            Self::CannotOpen => f.write_str(
                "The vault could not open a sealed value: it was changed outside the vault or sealed with another key. \
                 Reconnect the account, and find out who can write to the database.",
            ),
            Self::WrongKey { key_id } => write!(
                f,
                "The root key is {key_id}, and this database was sealed with another one. \
                 Use the root key that belongs to this database."
            ),
            Self::MissingRootKeys { key_ids } => write!(
                f,
                "Tenant keys are still wrapped by a root key that was not given: {}. Accept that key again, \
                 run `resto keys rewrap`, and take it away only when `resto keys status` says that it may go.",
                key_ids.join(", ")
            ),
            Self::Frozen => f.write_str(
                "The vault froze itself, because it opened values of unusually many tenants within a minute. \
                 Find out who asked for them in the audit trail, then restart the server.",
            ),
            Self::NewerDatabase => f.write_str(
                "The database was migrated by a newer version of this program. Run that version.",
            ),
            Self::OlderDatabase => f.write_str(
                "The database lacks migrations that this program needs. Run `resto migrate` as the database's owner.",
            ),
            Self::UnknownTenant => f.write_str("The vault has no such tenant. Create it first."),
            Self::RootKey(reason) | Self::Invalid(reason) => f.write_str(reason),
            Self::Random => f.write_str(
                "The operating system gave no random bytes, so nothing was sealed. Try again.",
            ),
            Self::Database { message, retryable } => {
                let advice = if *retryable { "Try again in a moment." } else { "See the server's log." };
                write!(f, "The vault's database refused: {message}. {advice}")
            }
        }
    }
}

impl std::error::Error for Error {}

const UNABLE: &str = "the driver could not carry out the statement";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let (message, retryable) = match &error {
            sqlx::Error::Database(error) => {
                refusal(error.message(), &error.code().unwrap_or_default())
            }
            sqlx::Error::PoolTimedOut => ("no connection became free in time".into(), true),
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                ("the connection broke or was refused".into(), true)
            }
            sqlx::Error::Tls(_) => ("the TLS handshake failed".into(), false),
            sqlx::Error::RowNotFound => ("a row that must exist is missing".into(), false),
            sqlx::Error::ColumnDecode { index, .. } => (strange(index), false),
            _ => (UNABLE.into(), false),
        };
        database(message, retryable)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let (message, retryable) = match &error {
            rusqlite::Error::SqliteFailure(error, message) => {
                let code = error.extended_code.to_string();
                refusal(message.as_deref().unwrap_or("it said nothing more"), &code)
            }
            rusqlite::Error::InvalidColumnType(index, ..)
            | rusqlite::Error::FromSqlConversionFailure(index, ..)
            | rusqlite::Error::IntegralValueOutOfRange(index, _) => (strange(index), false),
            _ => (UNABLE.into(), false),
        };
        database(message, retryable)
    }
}

fn database(message: String, retryable: bool) -> Error {
    tracing::debug!(message, retryable, "database error");
    Error::Database { message, retryable }
}

fn strange(column: impl fmt::Display) -> String {
    format!("column {column} holds what no version of this program wrote")
}

/// What a database said, and whether the same may succeed a little later.
fn refusal(message: &str, code: &str) -> (String, bool) {
    (format!("{message} (code {code}{})", advice(code)), is_transient(code))
}

/// What a person can do about an error code of SQLite that says what is wrong with its file.
fn advice(code: &str) -> &'static str {
    // The higher bits tell details.
    match code.parse::<u32>().map_or(0, |code| code & 0xff) {
        8 => "; let this user write the database's file and its folder",
        13 => "; free some space on its disk",
        14 => "; check that its folder is there and that this user may write in it",
        11 | 26 => "; the file is no intact database: restore it from a backup",
        _ => "",
    }
}

/// Whether a database's error code says that the same statement may succeed a little later.
fn is_transient(code: &str) -> bool {
    if code.len() == 5 {
        // PostgreSQL: connection, serialisation, resources, locks, a statement that took too long, shutdown.
        return ["08", "40", "53", "55P", "57014", "57P"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // SQLite: busy, locked, full; the higher bits tell details.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 13))
}

#[cfg(test)]
mod tests {
    use super::is_transient;

    #[test]
    fn tells_passing_failures_from_lasting_ones() {
        // SQLite's BUSY, BUSY_SNAPSHOT, LOCKED and FULL; PostgreSQL's by class.
        for code in
            ["5", "517", "6", "13", "08006", "40001", "40P01", "53300", "55P03", "57014", "57P01"]
        {
            assert!(is_transient(code), "{code}");
        }
        // SQLite's READONLY, CONSTRAINT_UNIQUE and a trigger's refusal; PostgreSQL's privileges, unique and syntax.
        for code in ["8", "2067", "1811", "42501", "23505", "42601", ""] {
            assert!(!is_transient(code), "{code}");
        }
    }
}
