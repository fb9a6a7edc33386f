//! Removing a connection: stopped, revoked at its provider, proven, destroyed.

use std::time::Duration;

use resto_core::{Code, Error, Integration, Result};
use resto_vault::{AlertKind, Begun, Connection, Intent, Needs, Sealed, Status, crash_point};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::revoke::Taken;
use super::{lifecycle, recorded};
use crate::call::fault;
use crate::host::{Caller, Host, told};
use crate::learning::Learnt;
use crate::maintain::{Kind, busy};

/// The collection of receipts, by integration.
const RECEIPT: &str = "disconnect.receipt";

/// How long a receipt is shown.
const SHOWN: Duration = Duration::from_hours(90 * 24);

/// When a revocation that did not come to its end is tried again, by whoever serves.
const AGAIN: Duration = Duration::from_mins(1);

/// What disconnecting did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The integration's id.
    pub integration: String,
    /// Whose account it was.
    pub account: String,
    /// Whether the provider no longer takes the credential.
    pub revoked: bool,
    /// What shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What a person still has to do, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_to_do: Option<String>,
    /// When our copy was destroyed.
    #[serde(with = "time::serde::rfc3339")]
    pub disconnected_at: OffsetDateTime,
}

impl Host {
    /// Removes a connection: stops its use, removes what we made at the provider, revokes the
    /// credential where that is possible, asks the provider for the proof, destroys our copy.
    ///
    /// # Errors
    /// There is no such connection, or the provider could not be reached or did not prove it; the connection then
    /// stays stopped, and whoever serves tries again.
    pub async fn disconnect(
        &self,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<Receipt> {
        if !self.stop_for_good(caller, integration).await? {
            return Err(told(resto_vault::Error::NotConnected {
                integration_id: integration.id.into(),
            }));
        }
        crash_point("disconnect.frozen");
        Box::pin(self.take_apart(caller, integration)).await
    }

    /// Goes on with a connection that was stopped for good.
    ///
    /// # Errors
    /// As [`Self::disconnect`]; `conflict` where it is in use again.
    pub(crate) async fn take_apart(
        &self,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<Receipt> {
        let settled = self.settle(&caller.scope, integration).await;
        let needs = if settled.is_ok() { Needs::AnyStatus } else { Needs::Nothing };
        let intent = Intent {
            connection: needs,
            ..lifecycle(caller, integration, "disconnect", &Value::Null)
        };
        let Begun { ticket, connection, .. } = caller.scope.begin(intent).await.map_err(told)?;
        let done = match (settled, connection) {
            (Ok(()), Some((connection, sealed))) => {
                self.try_take_apart(caller, integration, connection, sealed).await
            }
            (Ok(()), None) => Err(fault()),
            (Err(error), _) => Err(pending(caller, integration, error).await),
        };
        self.finish(caller, ticket, &recorded(&done), Learnt::default()).await;
        done
    }

    async fn try_take_apart(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        connection: Connection,
        sealed: Sealed,
    ) -> Result<Receipt> {
        let scope = &caller.scope;
        let generation = connection.generation;
        if connection.status != Status::RevocationPending {
            return Err(replaced(integration));
        }
        let Taken { proof, left_to_do } =
            match self.take_back(caller, integration, &connection, sealed).await {
                Ok(taken) => taken,
                Err(error) => return Err(pending(caller, integration, error).await),
            };
        crash_point("disconnect.revoked");
        if !scope.disconnect(integration.id, generation).await.map_err(told)? {
            let now = scope.connection(integration.id).await.map_err(told)?;
            if now.is_some_and(|now| now.status == Status::RevocationPending) {
                // New tokens that no database took came late: they are not revoked.
                return Err(pending(caller, integration, busy(integration)).await);
            }
            // What was revoked may have been the consent on which the new one lives too.
            let job = (Kind::Probe.word(), integration.id);
            if let Err(error) = scope.schedule_job(job.0, job.1, Duration::ZERO).await {
                tracing::warn!(%error, "what was connected meanwhile is tested tomorrow");
            }
            return Err(replaced(integration));
        }
        self.forget_offer(caller, integration).await;
        let receipt = Receipt {
            integration: integration.id.to_owned(),
            account: connection.account_name,
            revoked: proof.is_some(),
            proof,
            left_to_do,
            disconnected_at: OffsetDateTime::now_utc(),
        };
        let kept = serde_json::to_value(&receipt).unwrap_or_default();
        if let Err(error) = scope.put_record(RECEIPT, integration.id, &kept, Some(SHOWN)).await {
            tracing::warn!(%error, "the receipt of a disconnection is in the audit trail only");
        }
        Ok(receipt)
    }

    /// Stops a connection that is to be disconnected, and sees to it that somebody goes on if this process dies. `false`
    /// when there is none.
    pub(super) async fn stop_for_good(
        &self,
        caller: &Caller,
        integration: &Integration,
    ) -> Result<bool> {
        let job = (Kind::Revoke.word(), AGAIN);
        caller.scope.stop_for_good(integration.id, job).await.map_err(told)
    }

    /// What came of the last disconnection, as long as nothing else is connected.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn receipt(
        &self,
        caller: &Caller,
        integration: &Integration,
    ) -> Result<Option<Receipt>> {
        let kept = caller.scope.record(RECEIPT, integration.id).await.map_err(told)?;
        Ok(kept.and_then(|kept| serde_json::from_value(kept).ok()))
    }

    /// Another account is connected now, or the same one again.
    pub(super) async fn forget_receipt(&self, caller: &Caller, integration: &Integration) {
        if let Err(error) = caller.scope.delete_record(RECEIPT, integration.id).await {
            tracing::warn!(%error, "a receipt of before is still kept");
        }
    }
}

/// Why it is not over, and what happens next; people are told.
async fn pending(caller: &Caller, integration: &Integration, mut error: Error) -> Error {
    caller.scope.raise(AlertKind::RevocationPending, integration.id).await;
    let details = error.details_mut();
    details.message = format!(
        "{} It is not revoked yet. Agents can no longer use the connection, and a server that runs (resto serve) tries again until it is.",
        details.message
    );
    error
}

fn replaced(integration: &Integration) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "{} was connected again or disconnected meanwhile. What was connected before is gone; what is connected now was left as it is. Disconnect again if it should go too.",
            integration.name
        ),
    )
}
