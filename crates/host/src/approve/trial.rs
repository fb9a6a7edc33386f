//! A call that is tried: its reads run, and it stops before its first change.

use std::sync::{Arc, Mutex};

use resto_core::{Code, Draft, Error, Money, Result};
use resto_vault::{Begun, Intent, Needs};
use serde_json::Value;

use super::Purse;
use crate::act::Acting;
use crate::around::{Line, Seen};
use crate::call::fault;
use crate::catalog::Entry;
use crate::host::{Caller, Host, told};
use crate::learning::{Learnt, learn};

/// What a call would do.
pub(crate) struct Tried {
    /// The first change that it would send, without the credential.
    pub draft: Draft,
    /// What it costs, where the action says so.
    pub price: Option<Money>,
}

/// What a trial came to.
pub(crate) enum Trial {
    /// There is something to approve.
    Change(Tried),
    /// It came to its end without a change; its result.
    Nothing(Value),
}

impl Host {
    /// Tries a call, in a task of its own; `step` names it in the audit trail.
    ///
    /// # Errors
    /// What stops the call before its first change: it is told rather than asked for.
    pub(crate) async fn try_call(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Entry<'_>,
        arguments: &Value,
        line: Line,
        step: &'static str,
    ) -> Result<Trial> {
        let (host, caller, arguments) = (Arc::clone(self), caller.clone(), arguments.clone());
        let tool = entry.action.tool.clone();
        let trying = self.tasks.spawn(async move {
            let catalog = host.catalog_of(&caller.scope).await?;
            let entry = catalog.find(&tool).ok_or_else(fault)?;
            host.try_now(&caller, entry, arguments, line, step).await
        });
        trying.await.unwrap_or_else(|_| Err(fault()))
    }

    async fn try_now(
        self: &Arc<Self>,
        caller: &Caller,
        entry: Entry<'_>,
        arguments: Value,
        line: Line,
        step: &str,
    ) -> Result<Trial> {
        let action = format!("{}.{step}", entry.action.tool);
        let intent = Intent {
            integration_id: entry.integration().id,
            action: &action,
            params: &arguments,
            actor: &caller.actor,
            op_id: None,
            unsafe_: false,
            connection: Needs::Active,
        };
        let Begun { ticket, connection, .. } = caller.scope.begin(intent).await.map_err(told)?;
        let Some((connection, sealed)) = connection else {
            let result = Err(fault());
            self.finish(caller, ticket, &result, Learnt::default()).await;
            return result.map(Trial::Nothing);
        };
        let seen = Arc::new(Mutex::new(Seen::default()));
        let purse = Arc::new(Purse::trial());
        let acting = Acting {
            caller,
            entry,
            op_id: None,
            seen: seen.clone(),
            purse: purse.clone(),
            reconciles: None,
        };
        let learning = connection.clone();
        let (result, draft) = self.act(acting, connection, sealed, arguments, line).await;
        let learnt = learn(&entry, &learning, &seen, &result, draft.is_some(), caller.scope.now());
        let told = if draft.is_some() { Ok(Value::Null) } else { result };
        self.finish(caller, ticket, &told, learnt).await;
        match (draft, told) {
            (Some(draft), _) => Ok(Trial::Change(Tried { draft, price: purse.price() })),
            (None, Ok(output)) => Ok(Trial::Nothing(output)),
            // A credential or a record of ours stopped it as it would stop the call.
            (None, Err(error)) if error.code() == Code::Cancelled => {
                Err(Error::new(Code::Internal, "The trial of this action came to no end."))
            }
            (None, Err(error)) => Err(error),
        }
    }
}
