//! The two halves of an action: the intent, durable before anything is sent, and its result.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Connection, Error, Result, Sealed, TenantScope,
    chain::{Entry, Head},
    database::{Tx, on},
    operations::Repeat,
    reveal,
    timestamp::{Timestamp, from_millis},
    vault::check_name,
};

/// A result is worth waiting for: without it, the action ends as unknown.
const FINISH_ATTEMPTS: u32 = 4;
const FINISH_PAUSE: Duration = Duration::from_millis(100);

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
    intent_id: Uuid,
    op_id: Option<Uuid>,
    integration_id: String,
    action: String,
    actor: String,
    params_hash: String,
    /// The id and generation of the connection in use.
    connection: Option<(Uuid, i64)>,
    /// Whether the operation's outcome is this call's to store.
    owns_operation: bool,
    executed_at: Timestamp,
    started: Instant,
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
    /// [`Error::NotConnected`], [`Error::Inactive`], [`Error::CannotOpen`], [`Error::OperationInProgress`],
    /// [`Error::OperationMismatch`], [`Error::Frozen`], [`Error::Database`]: nothing was written, and nothing may be sent.
    pub async fn begin(&self, intent: Intent<'_>) -> Result<Begun> {
        let begun = self.try_begin(intent).await;
        self.vault.raise_noted().await;
        begun
    }

    async fn try_begin(&self, intent: Intent<'_>) -> Result<Begun> {
        let params_hash = self.check(&intent)?;
        let mut tx = self.write().await?;
        let mut head = self.head(&mut tx).await?;
        let mut ticket = Ticket::new(&intent, params_hash, &head);
        let repeat = if intent.unsafe_ {
            let op_id = intent.op_id.unwrap_or_else(Uuid::new_v4);
            ticket.op_id = Some(op_id);
            self.enter_operation(&mut tx, op_id, &intent, &ticket.params_hash, head.now_ms).await?
        } else {
            Repeat::No
        };
        let repeated = match repeat {
            Repeat::Finished(outcome) => Some(outcome),
            Repeat::No => {
                ticket.owns_operation = intent.unsafe_;
                None
            }
        };
        // What ran before is answered from the store, even if the account was disconnected since.
        let connection = if intent.connection == Needs::Nothing || repeated.is_some() {
            None
        } else {
            let in_any_status = intent.connection == Needs::AnyStatus;
            let usable = self.usable(&mut tx, intent.integration_id, in_any_status).await;
            Some(self.noting(usable, reveal::PURPOSE, intent.integration_id)?)
        };
        ticket.connection = connection.as_ref().map(|(row, _)| (row.id, row.generation));
        self.append(&mut tx, &mut head, ticket.intent()).await?;
        on!(&mut tx, c => sqlx::query("INSERT INTO open_intents (intent_id, tenant_id, started_at) VALUES ($1, $2, $3)")
            .bind(ticket.intent_id).bind(self.tenant.0).bind(head.now_ms).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(Begun { ticket, connection, repeated })
    }

    /// Writes the audit result, the operation's outcome, and what was learnt about the connection, in one transaction;
    /// where the database is busy, it tries again for a moment.
    /// An intent that was already closed as unknown gets a `reconciled` entry.
    ///
    /// # Errors
    /// [`Error::Database`]; the intent then ends as unknown.
    pub async fn finish(&self, ticket: Ticket, outcome: Outcome<'_>) -> Result<()> {
        let duration_ms = i32::try_from(ticket.started.elapsed().as_millis()).unwrap_or(i32::MAX);
        let result_id = Uuid::now_v7();
        let mut attempt = 1;
        let finished = loop {
            match self.try_finish(&ticket, &outcome, result_id, duration_ms).await {
                Err(error) if error.is_retryable() && attempt < FINISH_ATTEMPTS => {
                    tokio::time::sleep(FINISH_PAUSE * attempt).await;
                    attempt += 1;
                }
                done => break done,
            }
        };
        self.vault.raise_noted().await;
        finished
    }

    /// Writes the intent and the result of something that is over or was refused, in one transaction.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Invalid`] for an integration or action that is no name.
    pub async fn record_event(&self, intent: Intent<'_>, outcome: Outcome<'_>) -> Result<()> {
        let params_hash = self.check(&intent)?;
        let mut tx = self.write().await?;
        let mut head = self.head(&mut tx).await?;
        let ticket = Ticket::new(&intent, params_hash, &head);
        self.append(&mut tx, &mut head, ticket.intent()).await?;
        let result = ticket.result(Uuid::now_v7(), "result", &outcome, None);
        self.append(&mut tx, &mut head, result).await?;
        tx.commit().await
    }

    fn check(&self, intent: &Intent<'_>) -> Result<String> {
        check_name("integration's id", intent.integration_id, 50)?;
        check_name("action's name", intent.action, 100)?;
        self.params_hash(intent.action, intent.params)
    }

    async fn try_finish(
        &self,
        ticket: &Ticket,
        outcome: &Outcome<'_>,
        result_id: Uuid,
        duration_ms: i32,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let written: Option<i64> = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT seq FROM integration_audit_log WHERE tenant_id = $1 AND id = $2",
        ).bind(self.tenant.0).bind(result_id).fetch_optional(c).await)?;
        if written.is_some() {
            // An attempt before this one was committed, and only its answer was lost.
            return Ok(());
        }
        let mut head = self.head(&mut tx).await?;
        let in_time = self.close(&mut tx, ticket.intent_id).await?;
        let phase = if in_time { "result" } else { "reconciled" };
        let result = ticket.result(result_id, phase, outcome, Some(duration_ms));
        self.append(&mut tx, &mut head, result).await?;
        if let (Some(op_id), true) = (ticket.op_id, ticket.owns_operation) {
            self.leave_operation(&mut tx, op_id, outcome, !in_time).await?;
        }
        if let Some((id, generation)) = ticket.connection {
            let connection = (ticket.integration_id.as_str(), id, generation);
            let learnt = self.learn(&mut tx, connection, ticket.executed_at, outcome).await;
            match self.noting(learnt, reveal::PURPOSE, &ticket.integration_id) {
                // The row was changed outside since the action began. The result must not be lost for that.
                Err(Error::CannotOpen) => {}
                learnt => learnt?,
            }
        }
        tx.commit().await
    }

    /// Takes an intent off the list of those without a result; `false` when it is off already.
    async fn close(&self, tx: &mut Tx, intent_id: Uuid) -> Result<bool> {
        let closed = on!(tx, c => sqlx::query("DELETE FROM open_intents WHERE tenant_id = $1 AND intent_id = $2")
            .bind(self.tenant.0).bind(intent_id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(closed > 0)
    }
}

impl Ticket {
    fn new(intent: &Intent<'_>, params_hash: String, head: &Head) -> Self {
        Self {
            intent_id: Uuid::now_v7(),
            op_id: intent.op_id,
            integration_id: intent.integration_id.to_owned(),
            action: intent.action.to_owned(),
            actor: intent.actor.to_owned(),
            params_hash,
            connection: None,
            owns_operation: false,
            executed_at: Timestamp(from_millis(head.now_ms)),
            started: Instant::now(),
        }
    }

    fn intent(&self) -> Entry<'_> {
        Entry {
            id: self.intent_id,
            phase: "intent",
            intent_id: None,
            integration_id: &self.integration_id,
            action: &self.action,
            params_hash: &self.params_hash,
            result_status: None,
            executed_at: self.executed_at,
            duration_ms: None,
            error_message: None,
            actor: &self.actor,
            op_id: self.op_id,
            generation: self.connection.map(|(_, generation)| generation),
        }
    }

    fn result<'a>(
        &'a self,
        id: Uuid,
        phase: &'static str,
        outcome: &Outcome<'a>,
        duration_ms: Option<i32>,
    ) -> Entry<'a> {
        Entry {
            id,
            phase,
            intent_id: Some(self.intent_id),
            result_status: Some(outcome.status),
            duration_ms,
            error_message: outcome.error_message,
            ..self.intent()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Cipher, Keyring, Vault};

    #[tokio::test]
    async fn a_result_whose_commit_was_not_answered_is_not_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::create_file(&dir.path().join("keys/root.key")).unwrap();
        let url = format!("sqlite://{}/data/vault.db", dir.path().display());
        let vault = Vault::open(&url, keyring, Cipher::default()).await.unwrap();
        let scope = vault.scope(vault.create_tenant("acme", "Acme").await.unwrap().id);
        let params = json!({});
        let intent = Intent {
            integration_id: "resto",
            action: "read",
            params: &params,
            actor: "agent",
            op_id: None,
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let outcome = Outcome {
            status: ResultStatus::Success,
            error_message: None,
            output: None,
            permissions: None,
            rate_limits: None,
        };
        let ticket = scope.begin(intent).await.unwrap().ticket;
        let result_id = Uuid::now_v7();
        for _attempt in 0..2 {
            scope.try_finish(&ticket, &outcome, result_id, 1).await.unwrap();
        }
        let phases: Vec<_> =
            scope.audit_events(0, 9).await.unwrap().into_iter().map(|event| event.phase).collect();
        assert_eq!(phases, ["intent", "result"]);
    }
}
