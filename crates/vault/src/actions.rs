//! The two halves of an action: the intent, durable before anything is sent, and its result.

use serde_json::Value;
use std::fmt;
use uuid::Uuid;

use crate::{Connection, Result, Sealed, TenantScope, later};

/// What is about to be done.
#[derive(Debug, Clone, Copy)]
pub struct Intent<'a> {
    /// The integration, at most 50 characters; the host's own tools are `resto`.
    pub integration_id: &'a str,
    /// The action, at most 100 characters.
    pub action: &'a str,
    /// The parameters; only their keyed hash is stored.
    pub params: &'a Value,
    /// Who acts, for people who read the trail.
    pub actor: &'a str,
    /// The operation's id, when the caller repeats or reserves one.
    pub op_id: Option<Uuid>,
    /// Whether doing it twice would be wrong. It then runs once for each `op_id`; without one it is given one.
    pub unsafe_: bool,
    /// What it needs of the tenant's connection.
    pub connection: Needs,
}

/// What an action needs of the tenant's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// One that may be used.
    Active,
    /// One in whatever status, to be taken apart.
    AnyStatus,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultStatus {
    /// The provider did it.
    Success,
    /// It failed.
    Error,
    /// It was refused.
    Denied,
    /// Nobody knows whether it happened.
    Unknown,
}

impl ResultStatus {
    /// `success`, `error`, `denied` or `unknown`, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ResultStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of an action.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// How it ended.
    pub status: ResultStatus,
    /// A code and a short text; cut at 512 characters, control characters removed.
    pub error_message: Option<&'a str>,
    /// What the caller was told. Kept for 7 days, sealed, with unsafe operations only.
    pub output: Option<&'a Value>,
    /// The connection's permissions, when something was learnt about them.
    pub permissions: Option<&'a Value>,
    /// The provider's rate limits, when it told them.
    pub rate_limits: Option<&'a Value>,
}

/// The outcome of an operation that was run before.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOutcome {
    /// How it ended.
    pub status: ResultStatus,
    /// The code and short text.
    pub error_message: Option<String>,
    /// What the caller was told.
    pub output: Option<Value>,
}

/// An action that has begun; [`TenantScope::finish`] takes it back, once.
#[must_use = "an action that has begun must be finished"]
#[derive(Debug)]
pub struct Ticket {
    pub(crate) intent_id: Uuid,
    pub(crate) op_id: Option<Uuid>,
}

impl Ticket {
    /// The id of the intent in the audit trail.
    #[must_use]
    pub fn intent_id(&self) -> Uuid {
        self.intent_id
    }

    /// The operation's id; every unsafe action has one, fit for a provider's idempotency key.
    #[must_use]
    pub fn op_id(&self) -> Option<Uuid> {
        self.op_id
    }
}

/// What [`TenantScope::begin`] returns.
#[derive(Debug)]
pub struct Begun {
    /// To be given to [`TenantScope::finish`].
    pub ticket: Ticket,
    /// The connection and its credential, when the intent needs one and is not a repetition.
    pub connection: Option<(Connection, Sealed)>,
    /// The operation ran before: do not run it again, finish with this outcome.
    pub repeated: Option<StoredOutcome>,
}

impl TenantScope {
    /// Checks the connection's status, writes the audit intent and enters the operation, in one transaction;
    /// all of it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::NotConnected`](crate::Error::NotConnected), [`Error::Inactive`](crate::Error::Inactive),
    /// [`Error::OperationInProgress`](crate::Error::OperationInProgress), [`Error::OperationMismatch`](crate::Error::OperationMismatch),
    /// [`Error::Database`](crate::Error::Database): nothing was written, and nothing may be sent.
    pub async fn begin(&self, intent: Intent<'_>) -> Result<Begun> {
        let _ = intent;
        later()
    }

    /// Writes the audit result, the operation's outcome, and what was learnt about the connection, in one transaction.
    /// An intent that was already closed as unknown gets a `reconciled` entry.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database); the intent then ends as unknown.
    pub async fn finish(&self, ticket: Ticket, outcome: Outcome<'_>) -> Result<()> {
        let _ = (ticket, outcome);
        later()
    }

    /// Writes the intent and the result of something that is over or was refused, in one transaction.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database), [`Error::UnknownTenant`](crate::Error::UnknownTenant).
    pub async fn record_event(&self, intent: Intent<'_>, outcome: Outcome<'_>) -> Result<()> {
        let _ = (intent, outcome);
        later()
    }
}
