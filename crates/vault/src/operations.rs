//! Operations: actions that must not happen twice. Each runs once for its id, and its outcome is kept for 7 days.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Error, Outcome, Result, ResultStatus, StoredOutcome, TenantScope,
    chain::clean,
    database::{Tx, on},
    keys::WrappedKey,
    timestamp::from_millis,
};

const PURPOSE: &str = "outcome";
pub(crate) const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// `state`, `outcome`, the id of its key, the wrapped key.
type OutcomeRow = (String, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

/// An operation as found.
pub(crate) struct StoredOperation {
    pub(crate) integration_id: String,
    pub(crate) action: String,
    pub(crate) params_hash: String,
    pub(crate) state: String,
    pub(crate) outcome: Option<Vec<u8>>,
    pub(crate) key: Option<WrappedKey>,
}

#[derive(Serialize, Deserialize)]
struct Payload<Text, Json> {
    status: Text,
    error_message: Option<Text>,
    output: Option<Json>,
}

/// What is sealed of an outcome.
pub(crate) fn payload(outcome: &Outcome<'_>) -> Result<Vec<u8>> {
    let payload = Payload {
        status: outcome.status.as_str().to_owned(),
        error_message: outcome.error_message.map(|text| clean(text, 512)),
        output: outcome.output,
    };
    serde_json::to_vec(&payload).map_err(|_| Error::CannotOpen)
}

/// The state that an operation ends in.
pub(crate) fn final_state(status: ResultStatus, reconciled: bool) -> &'static str {
    match status {
        ResultStatus::Unknown => "unknown",
        _ if reconciled => "reconciled",
        ResultStatus::Success => "succeeded",
        ResultStatus::Error | ResultStatus::Denied => "failed",
    }
}

impl TenantScope {
    /// What came of an operation that was entered before, when it is asked for again.
    pub(crate) fn outcome_of(
        &self,
        op_id: Uuid,
        stored: StoredOperation,
        (integration_id, action, params_hashes): (&str, &str, &[String]),
    ) -> Result<StoredOutcome> {
        // An operation from before the root key was exchanged has the hash of that time.
        if stored.integration_id != integration_id
            || stored.action != action
            || !params_hashes.contains(&stored.params_hash)
        {
            return Err(Error::OperationMismatch { op_id });
        }
        if stored.state == "executing" {
            return Err(Error::OperationInProgress { op_id });
        }
        self.read_outcome(op_id, stored.outcome, stored.key)
    }

    /// What came of an operation; none while it is under way, and where there is none of this id.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Frozen`].
    pub async fn outcome(&self, op_id: Uuid) -> Result<Option<StoredOutcome>> {
        let mut tx = self.read().await?;
        let row: Option<OutcomeRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT o.state, o.outcome, o.key_id, k.wrapped FROM integration_operations o
             LEFT JOIN tenant_keys k ON k.tenant_id = o.tenant_id AND k.kek_id = o.key_id
             WHERE o.tenant_id = $1 AND o.op_id = $2",
        ).bind(self.tenant.0).bind(op_id).fetch_optional(c).await)?;
        drop(tx);
        let Some((_, outcome, id, wrapped)) = row.filter(|row| row.0 != "executing") else {
            return Ok(None);
        };
        let key = id.zip(wrapped).map(|(id, wrapped)| WrappedKey { id, wrapped });
        self.read_outcome(op_id, outcome, key).map(Some)
    }

    /// When an operation began whose outcome is not known; none where it is known, or there is none of this id.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn unknown_since(&self, op_id: Uuid) -> Result<Option<OffsetDateTime>> {
        let mut tx = self.read().await?;
        let began: Option<i64> = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT started_at FROM integration_operations WHERE tenant_id = $1 AND op_id = $2 AND state = 'unknown'",
        ).bind(self.tenant.0).bind(op_id).fetch_optional(c).await)?;
        Ok(began.map(from_millis))
    }

    /// Stores the outcome of an operation of which it was not known, now that it is; whoever makes the call again is told.
    /// Nothing happens where it is known already.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn reconcile(&self, op_id: Uuid, outcome: Outcome<'_>) -> Result<()> {
        let payload = payload(&outcome)?;
        let mut tx = self.write().await?;
        let key = self.active_key(&mut tx).await?;
        let sealed = key.seal(PURPOSE, &op_id.to_string(), 0, &payload)?;
        on!(&mut tx, c => sqlx::query(
            "UPDATE integration_operations
             SET state = 'reconciled', outcome = $3, key_id = $4, expires_at = (SELECT now_ms FROM clock) + $5
             WHERE tenant_id = $1 AND op_id = $2 AND state = 'unknown'",
        ).bind(self.tenant.0).bind(op_id).bind(sealed).bind(key.key_id()).bind(KEPT_MS).execute(c).await.map(drop))?;
        tx.commit().await
    }

    fn read_outcome(
        &self,
        op_id: Uuid,
        outcome: Option<Vec<u8>>,
        key: Option<WrappedKey>,
    ) -> Result<StoredOutcome> {
        let Some(outcome) = outcome else {
            // The sweeper closed it: nobody knows whether it happened.
            return Ok(StoredOutcome {
                status: ResultStatus::Unknown,
                error_message: None,
                output: None,
            });
        };
        let name = op_id.to_string();
        let opened = self.open_outcome(&name, key, &outcome);
        self.noting(opened, PURPOSE, &name)
    }

    fn open_outcome(
        &self,
        name: &str,
        key: Option<WrappedKey>,
        outcome: &[u8],
    ) -> Result<StoredOutcome> {
        self.vault.admit_opening(self.tenant)?;
        let key = self.sealer(key.ok_or(Error::CannotOpen)?);
        let plaintext = key.open(PURPOSE, name, 0, outcome)?;
        let payload: Payload<String, Value> =
            serde_json::from_slice(&plaintext).map_err(|_| Error::CannotOpen)?;
        Ok(StoredOutcome {
            status: ResultStatus::parse(&payload.status)?,
            error_message: payload.error_message,
            output: payload.output,
        })
    }

    /// Seals an outcome for those who repeat the call; with the id of the key.
    pub(crate) fn seal_outcome(
        &self,
        op_id: Uuid,
        key: WrappedKey,
        payload: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>)> {
        let key = self.sealer(key);
        let sealed = key.seal(PURPOSE, &op_id.to_string(), 0, payload)?;
        Ok((sealed, key.key_id().to_vec()))
    }

    /// Closes an operation whose call never came back.
    pub(crate) async fn abandon_operation(&self, tx: &mut Tx, op_id: Uuid) -> Result<()> {
        on!(tx, c => sqlx::query(
            "UPDATE integration_operations SET state = 'unknown', expires_at = (SELECT now_ms FROM clock) + $3
             WHERE tenant_id = $1 AND op_id = $2 AND state = 'executing'",
        ).bind(self.tenant.0).bind(op_id).bind(KEPT_MS).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Deletes stored outcomes and records whose time is over, and what no longer counts of calls.
    pub(crate) async fn delete_expired(&self, tx: &mut Tx, now: i64) -> Result<()> {
        on!(&mut *tx, c => sqlx::query("DELETE FROM integration_operations WHERE tenant_id = $1 AND expires_at <= $2")
            .bind(self.tenant.0).bind(now).execute(c).await.map(drop))?;
        self.forget_old_calls(tx, now).await?;
        on!(tx, c => sqlx::query("DELETE FROM records WHERE tenant_id = $1 AND expires_at <= $2")
            .bind(self.tenant.0).bind(now).execute(c).await.map(drop))?;
        Ok(())
    }
}
