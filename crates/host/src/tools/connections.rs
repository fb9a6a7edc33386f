//! How the services stand, and the asking of a person to connect or disconnect one. Agents never do either
//! themselves.

use std::sync::Arc;

use resto_core::{Integration, Part, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;

use super::{Done, Own};
use crate::asking::Wish;
use crate::call::fault;
use crate::connect::Report;
use crate::host::{Caller, Host};

/// Lists the services that this server can operate, and whether the business has connected its account at each.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListIntegrations {}

/// Asks the person to connect the business's account at a service, on a page of this server where the person signs in
/// there or enters a key; no key ever passes through you. Tells how it stands if it is connected already.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ConnectIntegration {
    /// Such as `github`.
    integration: String,
    /// For a missing right or another account.
    #[serde(default)]
    again: bool,
}

/// Tests a connection at the service now: whose account it is, and what it may do.
#[derive(Deserialize, JsonSchema)]
pub(super) struct CheckConnection {
    /// Such as `github`.
    integration: String,
}

/// Asks the person to disconnect the business's account at a service, on a page of this server. Its tools then no
/// longer work.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DisconnectIntegration {
    /// Such as `github`.
    integration: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Listed {
    integrations: Vec<Listing>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Listing {
    /// Names it to the other tools.
    integration: &'static str,
    name: &'static str,
    /// Why a business connects it.
    purpose: &'static str,
    /// `not_connected`, `active`, `expired`, `frozen`, `needs_reauth` or `revocation_pending`.
    status: String,
    /// Whose account is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Such as `test` or `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// When it stops working, unless a person renews it before. In RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    /// How many tools it has.
    tools: usize,
}

/// How the account at a service stands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct State {
    integration: &'static str,
    /// `not_connected`, `active`, `expired`, `frozen`, `needs_reauth` or `revocation_pending`.
    status: String,
    /// Whose account is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Such as `test` or `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// Tools that its rights allow.
    allowed: Vec<String>,
    /// Tools that it lacks a right for.
    refused: Vec<String>,
    /// Tools that have to be tried.
    unknown: Vec<String>,
    /// The page to which the person must go, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// What this means and what to do.
    message: String,
}

impl State {
    /// How it stands, and what to do.
    pub fn of(
        integration: &'static Integration,
        report: Option<Report>,
        link: Option<String>,
        message: String,
    ) -> Self {
        let status = status(report.as_ref());
        let (account, mode, allowed, refused, unknown) = match report {
            Some(one) => (Some(one.account), one.mode, one.allowed, one.refused, one.unknown),
            None => Default::default(),
        };
        let integration = integration.id;
        Self { integration, status, account, mode, allowed, refused, unknown, link, message }
    }
}

impl From<State> for Value {
    fn from(state: State) -> Self {
        serde_json::to_value(&state).unwrap_or_default()
    }
}

/// The word for how it stands.
pub(crate) fn status(report: Option<&Report>) -> String {
    match report {
        None => "not_connected".to_owned(),
        Some(report) if report.status == "active" && report.has_expired() => "expired".to_owned(),
        Some(report) => report.status.clone(),
    }
}

impl Own for ListIntegrations {
    const NAME: &'static str = "list_integrations";
    const TITLE: &'static str = "List the services";
    const RISK: Risk = Risk::Read;
    const VIEW: &'static [Part] =
        &[Part::table("", "integrations", &["name", "status", "account", "mode", "tools"])];
    type Output = Listed;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<Listed>> {
        host.list_integrations(caller).await.map(Done::Output)
    }
}

impl Own for CheckConnection {
    const NAME: &'static str = "check_connection";
    const TITLE: &'static str = "Check a connection";
    const RISK: Risk = Risk::Read;
    type Output = State;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<State>> {
        let integration = host.integration(&self.integration)?;
        host.check_connection(caller, integration).await.map(Done::Output)
    }
}

impl Own for ConnectIntegration {
    const NAME: &'static str = "connect_integration";
    const TITLE: &'static str = "Connect a service";
    const RISK: Risk = Risk::Write;
    type Output = State;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<State>> {
        let integration = host.integration(&self.integration)?;
        let report = host.connection(caller, integration).await?;
        if !self.again && status(report.as_ref()) == "active" {
            let message = format!(
                "{} is connected. If a right is missing, call this again with `again`.",
                integration.name
            );
            return Ok(Done::Output(State::of(integration, report, None, message)));
        }
        let asked = host.ask(caller, Self::NAME, integration, Wish::Connect, report).await?;
        Ok(Done::Ask(Box::new(asked)))
    }
}

impl Own for DisconnectIntegration {
    const NAME: &'static str = "disconnect_integration";
    const TITLE: &'static str = "Disconnect a service";
    const RISK: Risk = Risk::Irreversible;
    type Output = State;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<State>> {
        let integration = host.integration(&self.integration)?;
        let report = host.connection(caller, integration).await?;
        if report.is_none() {
            let message = format!("{} is not connected.", integration.name);
            return Ok(Done::Output(State::of(integration, None, None, message)));
        }
        let asked = host.ask(caller, Self::NAME, integration, Wish::Disconnect, report).await?;
        Ok(Done::Ask(Box::new(asked)))
    }
}

impl Host {
    async fn list_integrations(&self, caller: &Caller) -> Result<Listed> {
        let reports = self.connections(caller).await?;
        let catalog = self.catalog_of(&caller.scope).await?;
        let integrations = self
            .catalog
            .adapters()
            .iter()
            .map(|adapter| {
                let facts = adapter.integration;
                let report = reports.iter().find(|report| report.integration == facts.id);
                Listing {
                    integration: facts.id,
                    name: facts.name,
                    purpose: facts.purpose,
                    status: status(report),
                    account: report.map(|report| report.account.clone()),
                    mode: report.and_then(|report| report.mode.clone()),
                    ends_at: report
                        .and_then(Report::ends_at)
                        .and_then(|end| end.format(&Rfc3339).ok()),
                    tools: catalog.adapter(facts.id).unwrap_or(adapter).actions().len(),
                }
            })
            .collect();
        Ok(Listed { integrations })
    }

    async fn check_connection(
        self: &Arc<Self>,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<State> {
        let name = integration.name;
        let report = self.connection(caller, integration).await?;
        let message = match status(report.as_ref()).as_str() {
            "active" => {
                // In a task of its own: a client that goes away does not stop it half way.
                let (host, caller) = (Arc::clone(self), caller.clone());
                let testing = self
                    .tasks
                    .spawn(async move { host.test_connection(&caller, integration).await });
                let report = testing.await.unwrap_or_else(|_| Err(fault()))?;
                let message =
                    format!("{name} answers, and the account is the one that was connected.");
                return Ok(State::of(integration, Some(report), None, message));
            }
            "not_connected" => {
                format!("{name} is not connected. connect_integration asks the person to.")
            }
            "expired" => format!(
                "The access to {name} has expired. connect_integration asks the person to sign in again."
            ),
            _ => format!(
                "The connection to {name} may not be used. A person decides what happens with it."
            ),
        };
        Ok(State::of(integration, report, None, message))
    }
}
