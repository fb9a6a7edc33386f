//! The two halves of an action: the intent, durable before anything is sent, and its result.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use time::OffsetDateTime;
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use crate::{
    AlertKind, Connection, Error, Result, Sealed, TenantScope,
    batch::{Call, End, Finished, Reply, Work},
    chain::{Entry, clean},
    operations::payload,
    timestamp::{Timestamp, from_millis},
    vault::check_name,
    writer::{Given, PATIENCE, stopped, too_slow},
};

/// How long an action waits for its intent before it is refused.
const REFUSED_AFTER: Duration = Duration::from_millis(1800);
/// How often a result is given to the writer when the writer is interrupted.
const FINISH_ATTEMPTS: u32 = 3;

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

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::Success, Self::Error, Self::Denied, Self::Unknown]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(Error::CannotOpen)
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
    /// The provider's rate limits by resource, when it told them; those of other resources stay.
    pub rate_limits: Option<&'a Value>,
}

impl Outcome<'_> {
    /// One that says no more than how it ended.
    #[must_use]
    pub const fn of(status: ResultStatus) -> Self {
        Self { status, error_message: None, output: None, permissions: None, rate_limits: None }
    }
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
    pub(crate) action: Arc<Described>,
    /// The id and generation of the connection in use.
    pub(crate) connection: Option<(Uuid, i64)>,
    /// Whether the operation's outcome is this call's to store.
    pub(crate) owns_operation: bool,
    pub(crate) executed_at: Timestamp,
}

/// What the intent and the result say alike.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) intent_id: Uuid,
    pub(crate) op_id: Option<Uuid>,
    pub(crate) integration_id: String,
    pub(crate) action: String,
    /// With the current root key first.
    pub(crate) params_hashes: Vec<String>,
    actor: String,
    started: Instant,
}

impl Described {
    pub(crate) fn params_hash(&self) -> &str {
        self.params_hashes.first().map_or("", String::as_str)
    }
}

impl Ticket {
    /// The id of the intent in the audit trail.
    #[must_use]
    pub fn intent_id(&self) -> Uuid {
        self.action.intent_id
    }

    /// The operation's id; every unsafe action has one, fit for a provider's idempotency key.
    #[must_use]
    pub fn op_id(&self) -> Option<Uuid> {
        self.action.op_id
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
    /// [`Error::NotConnected`], [`Error::Inactive`], [`Error::CannotOpen`], [`Error::OperationInProgress`],
    /// [`Error::OperationMismatch`], [`Error::Frozen`], [`Error::Database`]: nothing was written, and nothing may be sent.
    pub async fn begin(&self, intent: Intent<'_>) -> Result<Begun> {
        let ticket = self.ticket(&intent, intent.unsafe_)?;
        let (needs, unsafe_) = (intent.connection, intent.unsafe_);
        let begun = self.submit(|reply| Work::Begin { ticket, needs, unsafe_, reply });
        let begun = Self::in_time(begun).await;
        if let Ok(begun) = &begun {
            self.vault.inner.under_way.began(self.tenant, &begun.ticket);
        }
        // Where the database is away the refusal is not to wait for it again.
        if !matches!(begun, Err(Error::Database { .. })) {
            self.vault.raise_noted().await;
        }
        begun
    }

    /// Writes the audit result, the operation's outcome, and what was learnt about the connection, in one transaction;
    /// where the database is busy or away, the writer tries again for some seconds, even if this call is given up.
    /// An intent that was already closed as unknown gets a `reconciled` entry.
    ///
    /// # Errors
    /// [`Error::Database`]; the intent then ends as unknown.
    pub async fn finish(&self, ticket: Ticket, outcome: Outcome<'_>) -> Result<()> {
        let intent = ticket.intent_id();
        let elapsed = ticket.action.started.elapsed().as_millis();
        let finished = Arc::new(Finished {
            result_id: Uuid::now_v7(),
            status: outcome.status,
            error_message: outcome.error_message.map(|text| clean(text, 512)),
            duration_ms: Some(i32::try_from(elapsed).unwrap_or(i32::MAX)),
            end: if ticket.owns_operation { End::Stored(payload(&outcome)?) } else { End::Nothing },
            permissions: outcome.permissions.cloned(),
            rate_limits: outcome.rate_limits.cloned(),
            until: Instant::now() + PATIENCE,
            ticket,
        });
        if outcome.status == ResultStatus::Unknown {
            let subject = format!("{} {intent}", finished.ticket.action.action);
            // Before the result: a process that dies in between is alerted to once more, and not never.
            self.raise(AlertKind::UnknownOutcome, &subject).await;
        }
        for attempt in 0..FINISH_ATTEMPTS {
            let (finished, again) = (Arc::clone(&finished), attempt > 0);
            let finish = |reply| Work::Finish { finished, again, reply: Some(reply) };
            if let Some(done) = self.submit(finish).await {
                self.vault.inner.under_way.ended(intent);
                if done.is_ok() {
                    self.vault.raise_noted().await;
                }
                return done;
            }
        }
        Err(stopped())
    }

    /// Writes the intent and the result of something that is over or was refused, in one transaction.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Invalid`] for an integration or action that is no name.
    pub async fn record_event(&self, intent: Intent<'_>, outcome: Outcome<'_>) -> Result<()> {
        let ticket = self.ticket(&intent, false)?;
        let status = outcome.status;
        let error_message = outcome.error_message.map(|text| clean(text, 512));
        let event = self.submit(|reply| Work::Event { ticket, status, error_message, reply });
        Self::in_time(event).await
    }

    /// Waits for what was submitted, and no longer than an action may wait before it is refused.
    async fn in_time<T>(submitted: impl Future<Output = Option<Result<T>>>) -> Result<T> {
        timeout(REFUSED_AFTER, submitted)
            .await
            .map_err(|_| too_slow())?
            .unwrap_or_else(|| Err(stopped()))
    }

    /// Gives the writer something to write, and waits until that is durable. `None`: the writer ended before.
    async fn submit<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Option<Result<T>> {
        let (reply, answer) = oneshot::channel();
        let work = work(reply);
        #[cfg(feature = "unaudited")]
        let Some(work) = Box::pin(crate::unaudited::answered(self, work)).await else {
            return answer.await.ok();
        };
        let queue = match self.vault.inner.writer.queue() {
            Ok(queue) => queue,
            Err(closed) => return Some(Err(closed)),
        };
        queue.send(Given::Call(Call { scope: self.clone(), work })).await.ok()?;
        drop(queue);
        answer.await.ok()
    }

    fn ticket(&self, intent: &Intent<'_>, is_operation: bool) -> Result<Ticket> {
        check_name("integration's id", intent.integration_id, 50)?;
        check_name("action's name", intent.action, 100)?;
        Ok(Ticket {
            action: Arc::new(Described {
                intent_id: Uuid::now_v7(),
                op_id: intent.op_id.or_else(|| is_operation.then(Uuid::new_v4)),
                integration_id: intent.integration_id.to_owned(),
                action: intent.action.to_owned(),
                params_hashes: self.params_hashes(intent.action, intent.params)?,
                actor: clean(intent.actor, 200),
                started: Instant::now(),
            }),
            connection: None,
            owns_operation: false,
            executed_at: Timestamp::new(OffsetDateTime::UNIX_EPOCH),
        })
    }
}

impl Ticket {
    /// The ticket of an action that begins at this time of the database.
    pub(crate) fn begun_at(&self, now_ms: i64) -> Self {
        Self {
            action: Arc::clone(&self.action),
            connection: None,
            owns_operation: false,
            executed_at: Timestamp(from_millis(now_ms)),
        }
    }

    pub(crate) fn intent(&self) -> Entry<'_> {
        Entry {
            id: self.action.intent_id,
            phase: "intent",
            intent_id: None,
            integration_id: &self.action.integration_id,
            action: &self.action.action,
            params_hash: self.action.params_hash(),
            result_status: None,
            executed_at: self.executed_at,
            duration_ms: None,
            error_message: None,
            actor: &self.action.actor,
            op_id: self.action.op_id,
            generation: self.connection.map(|(_, generation)| generation),
        }
    }

    pub(crate) fn result<'a>(
        &'a self,
        id: Uuid,
        phase: &'static str,
        (status, error_message, duration_ms): (ResultStatus, Option<&'a str>, Option<i32>),
    ) -> Entry<'a> {
        Entry {
            id,
            phase,
            intent_id: Some(self.action.intent_id),
            result_status: Some(status),
            duration_ms,
            error_message,
            ..self.intent()
        }
    }
}
