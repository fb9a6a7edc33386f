//! What came of an operation whose answer was lost: found out when the same call is made again, by running its action so
//! that it sends only what changes nothing, or what its provider knows by the same key.

use std::sync::Arc;
use std::time::Duration;

use resto_core::{Began, Code, Error, Money, Result};
use resto_vault::{Begun, Intent, Outcome, ResultStatus};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::act::Acting;
use crate::approve::{Purse, told_again};
use crate::around::Line;
use crate::call::{OP_ID, fault, intent, summary};
use crate::catalog::Entry;
use crate::host::{Caller, Host, told};
use crate::learning::Learnt;

impl Host {
    /// Finds out what came of an operation, and keeps it. What is not found out is told by [`unknown`].
    ///
    /// # Errors
    /// `unknown_outcome`, or what keeps it from being found out now.
    pub(crate) async fn reconcile(
        self: &Arc<Self>,
        caller: &Caller,
        entry: Entry<'_>,
        arguments: Value,
        line: Line,
        op_id: Uuid,
    ) -> Result<Value> {
        let scope = &caller.scope;
        let Some(began) = scope.unknown_since(op_id).await.map_err(told)? else {
            // Another call of the same has found it out meanwhile.
            let known = scope.outcome(op_id).await.map_err(told)?;
            return told_again(known.ok_or_else(fault)?);
        };
        let spent = scope.spent_by(op_id).await.map_err(told)?;
        let spent = spent.into_iter().map(|(minor, currency)| Money {
            minor: u64::try_from(minor).unwrap_or_default(),
            currency,
        });
        let action = format!("{}.reconcile", entry.action.tool);
        let intent =
            Intent { action: &action, unsafe_: false, ..intent(caller, &entry, &arguments) };
        let Begun { ticket, connection, .. } = scope.begin(intent).await.map_err(told)?;
        let found = match connection {
            // At another account there is nothing to be found, and all to be done.
            Some((connection, _)) if connection.connected_at > began => Err(Error::new(
                Code::UnknownOutcome,
                format!("{} was connected anew since.", entry.integration().name),
            )),
            Some((connection, sealed)) => {
                let acting = Acting {
                    caller,
                    entry,
                    op_id: Some(op_id),
                    seen: Arc::default(),
                    purse: Arc::new(Purse::Again(spent.collect())),
                    reconciles: Some(Began { at: began.into(), ago: ago(scope.now(), began) }),
                };
                self.act(acting, connection, sealed, arguments, line).await.0
            }
            None => Err(fault()),
        };
        let kept = match &found {
            Ok(output) => {
                let outcome =
                    Outcome { output: Some(output), ..Outcome::of(ResultStatus::Success) };
                scope.reconcile(op_id, outcome).await
            }
            Err(_) => Ok(()),
        };
        // The operation is unknown and alerted to already; what is told here is that of looking.
        let looked = found.clone().map_err(|error| {
            let code = match error.code() {
                Code::UnknownOutcome => Code::NotFound,
                code => code,
            };
            Error::new(code, error.message())
        });
        self.finish(caller, ticket, &looked, Learnt::default()).await;
        kept.map_err(told)?;
        found
    }
}

fn ago(now: OffsetDateTime, began: OffsetDateTime) -> Option<Duration> {
    (now - began).try_into().ok()
}

/// That the outcome of a call is unknown still, and why.
pub(crate) fn unknown(caller: &Caller, tool: &str, error: &Error) -> Error {
    let looked = match error.code() {
        Code::UnknownOutcome => error.message().to_owned(),
        Code::AuthExpired
        | Code::PermissionDenied
        | Code::NotConnected
        | Code::ProviderDown
        | Code::RateLimited
        | Code::Internal => format!("It could not be found out now: {}", summary(error)),
        // After a deletion that says the most; the action's own words would be of a call that sent nothing.
        Code::NotFound => "There is no such thing now.".to_owned(),
        // What else an action says of what it finds now is not about the call before.
        _ => "What there is now does not tell.".to_owned(),
    };
    Error::new(
        Code::UnknownOutcome,
        format!(
            "The same call was made before and its answer was lost: it may have happened, so it was not done again. {looked} Look with a reading tool. If it did not happen, a person repeats it: {} '<the same arguments>'; or the client sends a new `_meta[\"{OP_ID}\"]` with the call.",
            caller.command(&format!("call {tool}"))
        ),
    )
}
