//! A call begins once: it uses up its approval, finds its operation, and is told what came of the same call before.

use std::time::Duration;

use resto_core::{Code, Error, Result};
use resto_vault::{Begun, Intent, ResultStatus, StoredOutcome};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::Ground;
use crate::call::{OP_ID, intent};
use crate::catalog::Entry;
use crate::host::{Caller, Host, told};

/// How long a call waits for the same one that is under way.
const SAME: Duration = Duration::from_secs(20);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);

impl Host {
    /// Uses up the approval, finds the operation, and enters it with the intent. Waits for the same call that is under way.
    pub(crate) async fn begin_call(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        arguments: &Value,
        ground: &mut Ground,
    ) -> Result<Begun> {
        if let Some((place, op_id)) = &ground.approval {
            let taken = self.take_approval(caller, place, *op_id).await?;
            taken.ok_or_else(|| {
                Error::new(
                    Code::Conflict,
                    "The approval was used or is over. Nothing was done. Make the call again: a person is asked anew.",
                )
            })?;
        }
        if let Some(print) = &ground.print {
            let op_id = ground.op_id.unwrap_or_else(Uuid::new_v4);
            ground.op_id = Some(caller.scope.claim_call(print, op_id).await.map_err(told)?);
        }
        let actor = match &ground.why {
            Some(why) => format!("{}, {why}", caller.actor),
            None => caller.actor.clone(),
        };
        let intent =
            Intent { actor: &actor, op_id: ground.op_id, ..intent(caller, entry, arguments) };
        let until = Instant::now() + SAME;
        loop {
            match caller.scope.begin(intent).await {
                Err(resto_vault::Error::OperationInProgress { .. }) if Instant::now() < until => {
                    tokio::time::sleep(LOOK).await;
                }
                begun => return begun.map_err(told),
            }
        }
    }
}

/// What an operation that ran before is told as, where that is known.
pub(crate) fn told_again(stored: StoredOutcome) -> Result<Value> {
    match (stored.status, stored.output) {
        (ResultStatus::Success, Some(output)) => Ok(output),
        _ => Err(Error::new(
            Code::Conflict,
            format!(
                "This operation ran before and did not succeed: {} To try again, send a new `_meta[\"{OP_ID}\"]`, or none.",
                stored.error_message.unwrap_or_default()
            ),
        )),
    }
}
