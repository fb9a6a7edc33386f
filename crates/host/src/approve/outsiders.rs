//! Who has read what outsiders wrote: an agent that did may have been talked into something, so that for a while a person
//! is asked before it reaches others.

use std::time::Duration;

use resto_core::{Result, Risk};
use resto_vault::{PrincipalId, TenantScope};
use serde_json::json;

use crate::catalog::Entry;
use crate::host::{Caller, Host, told};

/// The collection of those who read it, by principal.
const READ: &str = "read_of_outsiders";

/// How long it is held against an agent.
const HELD: Duration = Duration::from_mins(10);

/// How long it is not noted anew: an agent that reads on would write each time.
const NOTED: Duration = Duration::from_mins(1);

/// Notes that somebody is about to be told what outsiders may have written.
pub(crate) async fn note_outsiders(scope: &TenantScope, principal: PrincipalId) -> Result<()> {
    let reader = principal.to_string();
    let now = scope.now().unix_timestamp();
    let noted = scope.record(READ, &reader).await.map_err(told)?;
    let noted = noted.and_then(|at| at.as_i64()).map(|at| now.saturating_sub(at).unsigned_abs());
    if noted.is_some_and(|ago| ago < NOTED.as_secs()) {
        return Ok(());
    }
    let kept = HELD.saturating_add(NOTED);
    scope.put_record(READ, &reader, &json!(now), Some(kept)).await.map_err(told)
}

impl Host {
    /// Notes that the caller is about to be told what outsiders may have written.
    pub(crate) async fn note_outsiders(&self, caller: &Caller) -> Result<()> {
        note_outsiders(&caller.scope, caller.principal.id).await
    }

    /// Whether a call of this caller reaches others shortly after it was told what outsiders may have written.
    pub(crate) async fn follows_outsiders(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
    ) -> Result<bool> {
        if entry.action.risk < Risk::Outward {
            return Ok(false);
        }
        let reader = caller.principal.id.to_string();
        Ok(caller.scope.record(READ, &reader).await.map_err(told)?.is_some())
    }
}
