//! Operations: actions that must not happen twice. Each runs once for its id, and its outcome is kept for 7 days.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Error, Intent, Outcome, Result, ResultStatus, StoredOutcome, TenantScope,
    chain::clean,
    database::{Tx, on},
};

const PURPOSE: &str = "outcome";
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Whether an operation ran before.
pub(crate) enum Repeat {
    No,
    Finished(StoredOutcome),
}

#[derive(Serialize, Deserialize)]
struct Payload<Text, Json> {
    status: Text,
    error_message: Option<Text>,
    output: Option<Json>,
}

/// `integration_id`, `action`, `params_hash`, `state`, `outcome`, `key_id`.
type OperationRow = (String, String, String, String, Option<Vec<u8>>, Option<Vec<u8>>);

impl TenantScope {
    /// Enters `executing`, or finds what came of the operation before.
    pub(crate) async fn enter_operation(
        &self,
        tx: &mut Tx,
        op_id: Uuid,
        intent: &Intent<'_>,
        params_hash: &str,
        now_ms: i64,
    ) -> Result<Repeat> {
        let entered = on!(tx, c => sqlx::query(
            "INSERT INTO integration_operations (tenant_id, op_id, integration_id, action, params_hash, state, started_at)
             VALUES ($1, $2, $3, $4, $5, 'executing', $6) ON CONFLICT (tenant_id, op_id) DO NOTHING",
        ).bind(self.tenant.0).bind(op_id).bind(intent.integration_id).bind(intent.action).bind(params_hash)
         .bind(now_ms).execute(c).await.map(|done| done.rows_affected()))?;
        if entered == 1 {
            return Ok(Repeat::No);
        }
        let (integration_id, action, hash, state, outcome, key_id): OperationRow = on!(tx, c => sqlx::query_as(
            "SELECT integration_id, action, params_hash, state, outcome, key_id FROM integration_operations
             WHERE tenant_id = $1 AND op_id = $2",
        ).bind(self.tenant.0).bind(op_id).fetch_one(c).await)?;
        // An operation from before the root key was exchanged has the hash of that time.
        let same_params = hash == params_hash
            || self.params_hashes(intent.action, intent.params)?.contains(&hash);
        if integration_id != intent.integration_id || action != intent.action || !same_params {
            return Err(Error::OperationMismatch { op_id });
        }
        if state == "executing" {
            return Err(Error::OperationInProgress { op_id });
        }
        let (Some(outcome), Some(key_id)) = (outcome, key_id) else {
            // The sweeper closed it: nobody knows whether it happened.
            return Ok(Repeat::Finished(StoredOutcome {
                status: ResultStatus::Unknown,
                error_message: None,
                output: None,
            }));
        };
        let name = op_id.to_string();
        let opened = self.open_outcome(tx, &name, &key_id, &outcome).await;
        self.noting(opened, PURPOSE, &name).map(Repeat::Finished)
    }

    async fn open_outcome(
        &self,
        tx: &mut Tx,
        name: &str,
        key_id: &[u8],
        outcome: &[u8],
    ) -> Result<StoredOutcome> {
        let key = self.key(tx, key_id).await?;
        let plaintext = key.open(PURPOSE, name, 0, outcome)?;
        let payload: Payload<String, Value> =
            serde_json::from_slice(&plaintext).map_err(|_| Error::CannotOpen)?;
        Ok(StoredOutcome {
            status: ResultStatus::parse(&payload.status)?,
            error_message: payload.error_message,
            output: payload.output,
        })
    }

    /// Stores the outcome for those who repeat the call.
    pub(crate) async fn leave_operation(
        &self,
        tx: &mut Tx,
        op_id: Uuid,
        outcome: &Outcome<'_>,
        reconciled: bool,
    ) -> Result<()> {
        let key = match self.active_key(tx).await {
            // The tenant was deleted while the action ran, and its operations with it.
            Err(Error::UnknownTenant) => return Ok(()),
            key => key?,
        };
        let payload = Payload {
            status: outcome.status.as_str().to_owned(),
            error_message: outcome.error_message.map(|text| clean(text, 512)),
            output: outcome.output,
        };
        let plaintext = serde_json::to_vec(&payload).map_err(|_| Error::CannotOpen)?;
        let sealed = key.seal(PURPOSE, &op_id.to_string(), 0, &plaintext)?;
        let state = match outcome.status {
            _ if reconciled => "reconciled",
            ResultStatus::Success => "succeeded",
            ResultStatus::Error | ResultStatus::Denied => "failed",
            ResultStatus::Unknown => "unknown",
        };
        on!(tx, c => sqlx::query(
            "UPDATE integration_operations
             SET state = $3, outcome = $4, key_id = $5, expires_at = (SELECT now_ms FROM clock) + $6
             WHERE tenant_id = $1 AND op_id = $2",
        ).bind(self.tenant.0).bind(op_id).bind(state).bind(&sealed).bind(key.key_id()).bind(KEPT_MS)
         .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Closes an operation whose call never came back.
    pub(crate) async fn abandon_operation(&self, tx: &mut Tx, op_id: Uuid) -> Result<()> {
        on!(tx, c => sqlx::query(
            "UPDATE integration_operations SET state = 'unknown', expires_at = (SELECT now_ms FROM clock) + $3
             WHERE tenant_id = $1 AND op_id = $2 AND state = 'executing'",
        ).bind(self.tenant.0).bind(op_id).bind(KEPT_MS).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Deletes stored outcomes and records whose time is over.
    pub(crate) async fn delete_expired(&self, tx: &mut Tx, now: i64) -> Result<()> {
        on!(&mut *tx, c => sqlx::query("DELETE FROM integration_operations WHERE tenant_id = $1 AND expires_at <= $2")
            .bind(self.tenant.0).bind(now).execute(c).await.map(drop))?;
        on!(tx, c => sqlx::query("DELETE FROM records WHERE tenant_id = $1 AND expires_at <= $2")
            .bind(self.tenant.0).bind(now).execute(c).await.map(drop))?;
        Ok(())
    }
}
