//! On what ground a call runs: because rules allow it, because a person approved it, or because it is the same call again.

use std::sync::Arc;

use resto_core::{Code, Error, Money, Result, clean};
use resto_vault::CallPrint;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::trial::Trial;
use super::{Approval, Decided};
use crate::around::Line;
use crate::call::Failed;
use crate::catalog::Entry;
use crate::host::{Caller, Host, told};
use crate::policy::{Calls, Case, Decision, Verdict, decide};

/// On what ground a call runs.
#[derive(Default)]
pub(crate) struct Ground {
    /// Its operation, where that is known already.
    pub op_id: Option<Uuid>,
    /// By which the same call again is known.
    pub print: Option<CallPrint>,
    /// The approval that it uses up: its place, and its operation.
    pub approval: Option<(String, Uuid)>,
    /// Whether it is only to be told what came of it before.
    pub only_repeats: bool,
    /// Why, for the audit trail.
    pub why: Option<String>,
    /// What was approved.
    pub price: Option<Money>,
}

/// What becomes of a call before it begins.
pub(crate) enum Admitted {
    Run(Ground),
    /// It needs nothing done; its result.
    Done(Value),
}

/// Why a call does not begin.
pub(crate) enum Stop {
    /// The audit trail is still to be told.
    Refused(Failed),
    /// The audit trail knows.
    Told(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Host {
    /// Finds the ground on which a call may run.
    pub(crate) async fn admit_call(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Entry<'_>,
        arguments: &Value,
        line: &Line,
    ) -> std::result::Result<Admitted, Stop> {
        // A person at a terminal is asked for what needs it, and steered by nobody.
        let outsiders = line.calls == Calls::Agent && self.follows_outsiders(caller, entry).await?;
        let case = Case { tenant: &caller.tenant, entry, arguments, price: None, outsiders };
        let verdict = decide(&self.policy, &case);
        if verdict.decision == Decision::Deny && !verdict.needs_price {
            return Err(denied(entry, &verdict).into());
        }
        let own = line.op_id.as_deref().map(|own| operation(caller, own));
        let is_asked = verdict.decision != Decision::Allow || verdict.needs_price;
        let is_unsafe = entry.action.risk.is_unsafe();
        // How another call found the connection will not do where a person is asked first.
        if is_asked
            && !is_unsafe
            && let Err(error) = self.allow(caller, entry).await
        {
            return Err(self.offer_consent(caller, entry, error).await.into());
        }
        let mut ground = Ground { op_id: own, ..Ground::default() };
        if !is_asked {
            ground.why = verdict.is_written.then_some(verdict.rule);
            if !is_unsafe {
                return Ok(Admitted::Run(ground));
            }
        }
        let print = print(caller, entry, arguments, own)?;
        // A person at a terminal who repeats a command means it.
        if is_unsafe && own.is_none() && line.calls == Calls::Agent {
            ground.print = Some(print.clone());
        }
        if !is_asked {
            return Ok(Admitted::Run(ground));
        }
        let same = match (&ground.print, own) {
            (Some(print), _) => caller.scope.same_call(print).await.map_err(told)?,
            (None, own) => own,
        };
        if let Some(same) = same
            && caller.scope.has_operation(same).await.map_err(told)?
        {
            let ground = Ground { op_id: Some(same), only_repeats: true, ..Ground::default() };
            return Ok(Admitted::Run(ground));
        }
        if line.calls == Calls::Agent
            && let Some((place, approval)) = self.asked_approval(caller, &print).await?
        {
            return self.decided(ground, &place, approval);
        }
        let asking = self.try_and_ask(caller, entry, arguments, line, (ground, print, outsiders));
        Box::pin(asking).await
    }

    /// Goes on with what a person was asked for before.
    fn decided(
        &self,
        ground: Ground,
        place: &str,
        approval: Approval,
    ) -> std::result::Result<Admitted, Stop> {
        match &approval.decided {
            None => Err(Stop::Refused(Failed::Approval(Box::new(approval.wanted(self, place)?)))),
            Some(Decided { approved: true, by }) => Ok(Admitted::Run(Ground {
                why: Some(approved_by(by, &approval.rule)),
                approval: Some((place.to_owned(), approval.op_id)),
                op_id: Some(approval.op_id),
                price: approval.price,
                ..ground
            })),
            Some(Decided { approved: false, by }) => Err(Error::new(
                Code::Denied,
                format!(
                    "{by} declined this. Nothing was done. Do not ask again unless they say so."
                ),
            )
            .into()),
        }
    }

    /// Tries the call and asks a person for what it would do.
    async fn try_and_ask(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Entry<'_>,
        arguments: &Value,
        line: &Line,
        (ground, print, outsiders): (Ground, CallPrint, bool),
    ) -> std::result::Result<Admitted, Stop> {
        readable(&entry.subject(arguments))?;
        let mut trying = Line::new(line.calls);
        trying.cancelled = line.cancelled.clone();
        trying.lacking = Arc::clone(&line.lacking);
        // A value that is still to be typed is typed once, when it is used.
        trying.may_enter = line.ask_secret.is_some();
        let trial = self.try_call(caller, entry, arguments, trying, "prepare").await;
        let tried = match trial.map_err(Stop::Told)? {
            Trial::Change(tried) => tried,
            Trial::Nothing(output) => return Ok(Admitted::Done(output)),
        };
        if let Some(price) = &tried.price {
            self.caps.check(&caller.scope, price).await?;
        }
        let price = tried.price.as_ref();
        let case = Case { tenant: &caller.tenant, entry, arguments, price, outsiders };
        let verdict = decide(&self.policy, &case);
        match verdict.decision {
            Decision::Deny => return Err(denied(entry, &verdict).into()),
            Decision::Allow => {
                let ground = Ground { why: Some(verdict.rule), price: tried.price, ..ground };
                return Ok(Admitted::Run(ground));
            }
            Decision::Ask => {}
        }
        let op_id = ground.op_id.unwrap_or_else(Uuid::new_v4);
        let mut approval = Self::approval_of(caller, entry, arguments, (op_id, tried, &verdict));
        if line.calls == Calls::Agent {
            let wanted = self.ask_approval(caller, &print, &approval).await?;
            return Err(Stop::Refused(Failed::Approval(Box::new(wanted))));
        }
        let Some(confirm) = &line.confirm else {
            return Err(Error::new(Code::Denied, "Nobody is here to approve it.").into());
        };
        let answer = confirm(&approval.what(), &approval.subject);
        let by = caller.actor.clone();
        approval.decided = Some(Decided { approved: answer.is_ok(), by });
        self.note_decision(caller, &approval).await?;
        answer.map_err(Stop::Told)?;
        Ok(Admitted::Run(Ground {
            op_id: Some(op_id),
            why: Some(approved_by(&caller.actor, &approval.rule)),
            price: approval.price,
            ..ground
        }))
    }
}

fn approved_by(person: &str, rule: &str) -> String {
    format!("approved by {person} under {rule}")
}

fn denied(entry: &Entry<'_>, verdict: &Verdict) -> Error {
    let tool = &entry.action.tool;
    Error::new(
        Code::Denied,
        format!(
            "{tool} is denied by {} of whoever runs this server. Nothing was done.",
            verdict.rule
        ),
    )
}

/// What the person reads must be what is meant.
fn readable(subject: &str) -> Result<()> {
    if !subject.contains(char::is_control) && clean(subject) == subject {
        return Ok(());
    }
    Err(Error::new(
        Code::Denied,
        "The name of what it works on holds characters that cannot be seen. Nothing was done.",
    ))
}

/// The operation for which a caller brings an id of its own: that of nobody else.
fn operation(caller: &Caller, own: &str) -> Uuid {
    let hash = Sha256::new()
        .chain_update("resto/op/v1")
        .chain_update(caller.principal.id.to_string())
        .chain_update(own)
        .finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    Uuid::new_v8(bytes)
}

fn print(
    caller: &Caller,
    entry: &Entry<'_>,
    arguments: &Value,
    own: Option<Uuid>,
) -> Result<CallPrint> {
    let own = own.map(|own| own.to_string()).unwrap_or_default();
    let whose = format!("{}/{own}", caller.principal.id);
    caller.scope.call_print(&whose, &entry.action.tool, arguments).map_err(told)
}
