//! Finding the action that is meant, and running it: for agents that do not have all tools before them.

use std::collections::BTreeSet;
use std::sync::Arc;

use resto_core::{Code, Error, Result, Risk, brief_schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Done, Own, OwnTool};
use crate::call::Failed;
use crate::grants::{Grants, Standing};
use crate::host::{Caller, Host, told};

/// How many actions are told when nothing is said of it, and at most.
const FEW: usize = 5;
const MOST: usize = 20;

/// Finds the actions for what the person wants, in their words, such as `who owes us money`; also those of services that
/// are not connected yet. Run one with `run_action`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct FindActions {
    query: String,
    /// Only this one, such as `github`.
    integration: Option<String>,
    /// At most 20; default 5.
    limit: Option<usize>,
}

/// Runs an action that `find_actions` told, as if its tool was called.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RunAction {
    /// Such as `github_merge_pull_request`.
    action: String,
    /// As its `input_schema` says.
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Actions that fit.
#[derive(Serialize, JsonSchema)]
pub(super) struct Found {
    /// The best first.
    actions: Vec<Fitting>,
    /// What to do where none fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Fitting {
    /// Names it to `run_action`.
    action: String,
    description: String,
    /// The worst that it can do.
    risk: Risk,
    /// Whether the business has connected its account at the service.
    connected: bool,
    /// Whether the connected account's rights allow it; `unknown` until it is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<Standing>,
    /// What has to happen before it can run.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    /// The schema of its arguments.
    input_schema: Map<String, Value>,
}

impl Own for FindActions {
    const NAME: &'static str = "find_actions";
    const TITLE: &'static str = "Find actions";
    const RISK: Risk = Risk::Read;
    type Output = Found;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<Found>> {
        let only = self.integration.as_deref().map(|id| host.integration(id)).transpose()?;
        let connections = caller.scope.connections().await.map_err(told)?;
        let catalog = host.catalog_of(&caller.scope).await?;
        let entries = catalog.finder()?.find(&self.query).into_iter();
        let entries = entries.filter_map(|tool| catalog.find(tool)).filter(|entry| {
            caller.surface.check(entry).is_ok()
                && only.is_none_or(|only| only.id == entry.integration().id)
        });
        let actions: Vec<Fitting> = entries
            .take(self.limit.unwrap_or(FEW).clamp(1, MOST))
            .map(|entry| {
                let (action, integration) = (entry.action, entry.integration());
                let connection =
                    connections.iter().find(|one| one.integration_id == integration.id);
                let allowed = connection.map(|one| Grants::read(&one.permissions).standing(action));
                let ask = format!("connect_integration with `integration`: `{}`", integration.id);
                let first = match allowed {
                    _ if action.held.is_some() => action.held.clone(),
                    None => Some(format!("{} is not connected: call {ask}.", integration.name)),
                    Some(Standing::Absent) => Some(format!(
                        "A right is missing: call {ask} and `again`, and the person grants it."
                    )),
                    _ => None,
                };
                Fitting {
                    action: action.tool.clone(),
                    description: action.description.clone(),
                    risk: action.risk,
                    connected: connection.is_some(),
                    allowed,
                    first,
                    input_schema: brief_schema(&action.input_schema),
                }
            })
            .collect();
        let message = actions.is_empty().then(|| {
            "No action fits these words. Say it in others, or see with list_integrations which services there are.".to_owned()
        });
        Ok(Done::Output(Found { actions, message }))
    }
}

impl RunAction {
    /// The tool. It does nothing itself: see [`Host::meant`].
    pub(super) fn tool() -> OwnTool {
        OwnTool::new::<Self>("run_action", "Run an action", Risk::Spend)
    }
}

impl Host {
    /// The tool that is called, and its arguments: `run_action` means another one.
    ///
    /// # Errors
    /// Its arguments do not fit, or name no action.
    pub(crate) async fn meant(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: Value,
    ) -> Result<(String, Value), Failed> {
        let Some(own) = self.own_tool(tool).filter(|own| own.is_run()) else {
            return Ok((tool.to_owned(), arguments));
        };
        own.arguments.hold(own.tool, &own.input_schema, &arguments)?;
        let RunAction { action, arguments } = serde_json::from_value(arguments)
            .map_err(|error| Error::new(Code::InvalidInput, format!("invalid input: {error}")))?;
        let catalog = self.catalog_of(&caller.scope).await?;
        if catalog.find(&action).is_none() {
            let own = self.own_tool(&action).map(|own| {
                format!("{} is a tool of this server itself: call it directly.", own.tool)
            });
            let message = own.unwrap_or_else(|| catalog.unknown(&action));
            return Err(Error::new(
                Code::NotFound,
                format!("{message} find_actions finds actions."),
            )
            .into());
        }
        Ok((action, Value::Object(arguments)))
    }

    /// The integrations to which the caller's tenant has a connection.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn connected(&self, caller: &Caller) -> Result<BTreeSet<String>> {
        let connections = caller.scope.connections().await.map_err(told)?;
        Ok(connections.into_iter().map(|connection| connection.integration_id).collect())
    }
}
