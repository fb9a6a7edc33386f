//! What can go wrong in the vault, told in one sentence each, without a secret in it.

use std::fmt;

use uuid::Uuid;

use crate::connections::Status;

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
    /// The key file holds another root key than the one this database was sealed with.
    WrongKey {
        /// The id of the key in the file.
        key_id: String,
    },
    /// The database was migrated by a newer program.
    NewerDatabase,
    /// The database lacks migrations that this program needs.
    OlderDatabase,
    /// No tenant has this id.
    UnknownTenant,
    /// The key file was refused; the text names the one reason.
    KeyFile(String),
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
                "The key file holds the root key {key_id}, and this database was sealed with another one. \
                 Use the key file that belongs to this database."
            ),
            Self::NewerDatabase => f.write_str(
                "The database was migrated by a newer version of this program. Run that version.",
            ),
            Self::OlderDatabase => f.write_str(
                "The database lacks migrations that this program needs. Run `resto migrate` as the database's owner.",
            ),
            Self::UnknownTenant => f.write_str("The vault has no such tenant. Create it first."),
            Self::KeyFile(reason) | Self::Invalid(reason) => f.write_str(reason),
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
