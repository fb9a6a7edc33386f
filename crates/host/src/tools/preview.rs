//! What an action would do, without doing it.

use std::sync::Arc;

use resto_core::{Code, Draft, Error, Money, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Done, Own};
use crate::approve::{Trial, shown};
use crate::around::Line;
use crate::host::{Caller, Host};
use crate::policy::{Calls, Case, Decision, decide};

/// How much of a request's body is told.
const SHOWN: usize = 4000;

/// Shows what a tool would do without doing it: its reads run, and it stops before its first change, which is returned.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PreviewAction {
    /// Such as `github_merge_pull_request`.
    action: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// What a tool would do.
#[derive(Serialize, JsonSchema)]
pub(super) struct Preview {
    /// The worst that it can do.
    risk: Risk,
    /// The first request that would change something, without its credential; none if nothing would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Draft>,
    /// What it costs, where that is known beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Money>,
    /// What happens when it is called, step by step. What depends on the answer to the request cannot be told.
    steps: Vec<String>,
}

impl Own for PreviewAction {
    const NAME: &'static str = "preview_action";
    const TITLE: &'static str = "Preview an action";
    const RISK: Risk = Risk::Read;
    type Output = Preview;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<Preview>> {
        let catalog = host.catalog_of(&caller.scope).await?;
        let entry = catalog
            .find(&self.action)
            .ok_or_else(|| Error::new(Code::NotFound, catalog.unknown(&self.action)))?;
        let arguments = Value::Object(self.arguments);
        entry.check(&arguments)?;
        host.allow(caller, &entry).await?;
        let (tool, risk) = (&entry.action.tool, entry.action.risk);
        // The request that is shown is made of what was read, and the call comes after that.
        if risk.is_unsafe() && (entry.action.outsiders)(&arguments) {
            host.note_outsiders(caller).await?;
        }
        let case = Case {
            tenant: &caller.tenant,
            entry: &entry,
            arguments: &arguments,
            price: None,
            outsiders: host.follows_outsiders(caller, &entry).await?,
        };
        let verdict = decide(&host.policy, &case);
        let mut preview = Preview { risk, request: None, price: None, steps: Vec::new() };
        if verdict.decision == Decision::Deny && !verdict.needs_price {
            preview
                .steps
                .push(format!("{tool} is denied by {}. Nothing else happens.", verdict.rule));
            return Ok(Done::Output(preview));
        }
        if risk == Risk::Read {
            preview.steps.push(format!("{tool} only reads. Call it for its result."));
            return Ok(Done::Output(preview));
        }
        let line = Line::new(Calls::Agent);
        let tried = match host.try_call(caller, &entry, &arguments, line, "preview").await? {
            Trial::Change(tried) => tried,
            Trial::Nothing(_) => {
                preview.steps.push("It ends without changing anything, as things are.".to_owned());
                return Ok(Done::Output(preview));
            }
        };
        let verdict = decide(&host.policy, &Case { price: tried.price.as_ref(), ..case });
        if let Some(price) = &tried.price
            && let Err(over) = host.caps.check(&caller.scope, price).await
        {
            preview.steps.push(over.message().to_owned());
        }
        preview.steps.push(match verdict.decision {
            Decision::Allow => format!("It runs without asking anybody, under {}.", verdict.rule),
            Decision::Ask => format!("A person is asked to approve it, under {}.", verdict.rule),
            Decision::Deny => format!("It is denied by {}. Nothing else happens.", verdict.rule),
        });
        if verdict.decision != Decision::Deny {
            preview.steps.push(
                "Its reads run again, and the request is sent, signed with the credential."
                    .to_owned(),
            );
            preview.steps.push(
                "What follows depends on the answer. The result and the audit trail tell it."
                    .to_owned(),
            );
        }
        let Draft { method, url, body } = tried.draft;
        let body = body.map(|body| shown(&body, SHOWN));
        preview.request = Some(Draft { method, url, body });
        preview.price = tried.price;
        Ok(Done::Output(preview))
    }
}
