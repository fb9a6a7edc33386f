//! The tools of this server itself: how the services stand, and the asking of a person to connect or
//! disconnect one. Agents never do either themselves.

use std::sync::Arc;

use jsonschema::Validator;
use resto_core::{Code, Error, Integration, Result, Risk, input_schema, output_schema};
use resto_vault::{Intent, Needs, Outcome, ResultStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::asking::{Asked, Wish};
use crate::call::{Failed, fault, summary};
use crate::catalog::check;
use crate::connect::Report;
use crate::host::{Caller, Host, told};

/// The word for this server where the audit trail names an integration.
const OURS: &str = "resto";

/// Lists the services that this server can operate, and whether the business has connected its account at each.
#[derive(Deserialize, JsonSchema)]
struct ListIntegrations {}

/// Asks the person to connect the business's account at a service, on a page of this server where the person signs in
/// there or enters a key; no key ever passes through you. Tells how it stands if it is connected already.
#[derive(Deserialize, JsonSchema)]
struct ConnectIntegration {
    /// The service, as `list_integrations` names it, such as `github`
    integration: String,
    /// Ask although it is connected, because a right is missing or the account is another one
    #[serde(default)]
    again: bool,
}

/// Tests a connection at the service now: whose account it is, and what it may do.
#[derive(Deserialize, JsonSchema)]
struct CheckConnection {
    /// The service, as `list_integrations` names it, such as `github`
    integration: String,
}

/// Asks the person to disconnect the business's account at a service, on a page of this server. Its tools then no
/// longer work.
#[derive(Deserialize, JsonSchema)]
struct DisconnectIntegration {
    /// The service, as `list_integrations` names it, such as `github`
    integration: String,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    integrations: Vec<Listing>,
}

#[derive(Serialize, JsonSchema)]
struct Listing {
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
    ) -> Value {
        let status = status(report.as_ref());
        let (account, mode, allowed, refused, unknown) = match report {
            Some(one) => (Some(one.account), one.mode, one.allowed, one.refused, one.unknown),
            None => Default::default(),
        };
        let integration = integration.id;
        let state =
            Self { integration, status, account, mode, allowed, refused, unknown, link, message };
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

/// Which of them.
#[derive(Clone, Copy)]
enum Kind {
    List,
    Connect,
    Check,
    Disconnect,
}

/// A tool of this server itself.
pub struct OwnTool {
    /// Its name.
    pub tool: &'static str,
    /// As a person reads it.
    pub title: &'static str,
    /// What it does.
    pub description: String,
    /// The worst that it leads to.
    pub risk: Risk,
    /// The schema of the arguments.
    pub input_schema: Map<String, Value>,
    /// The schema of the result.
    pub output_schema: Map<String, Value>,
    arguments: Validator,
    kind: Kind,
}

impl OwnTool {
    fn new<I: JsonSchema, O: JsonSchema>(
        (tool, title): (&'static str, &'static str),
        risk: Risk,
        kind: Kind,
    ) -> Result<Self> {
        let (input_schema, description) = input_schema::<I>();
        let arguments = jsonschema::validator_for(&Value::Object(input_schema.clone()))
            .map_err(|error| Error::new(Code::Internal, format!("{tool}: {error}")))?;
        let output_schema = output_schema::<O>();
        Ok(Self { tool, title, description, risk, input_schema, output_schema, arguments, kind })
    }
}

/// All of them, in order of name.
///
/// # Errors
/// One publishes a schema that cannot be used.
pub(crate) fn own_tools() -> Result<Vec<OwnTool>> {
    Ok(vec![
        OwnTool::new::<CheckConnection, State>(
            ("check_connection", "Check a connection"),
            Risk::Read,
            Kind::Check,
        )?,
        OwnTool::new::<ConnectIntegration, State>(
            ("connect_integration", "Connect a service"),
            Risk::Write,
            Kind::Connect,
        )?,
        OwnTool::new::<DisconnectIntegration, State>(
            ("disconnect_integration", "Disconnect a service"),
            Risk::Irreversible,
            Kind::Disconnect,
        )?,
        OwnTool::new::<ListIntegrations, Listed>(
            ("list_integrations", "List the services"),
            Risk::Read,
            Kind::List,
        )?,
    ])
}

/// What one of them came to.
pub(crate) enum Done {
    /// It is done.
    Output(Value),
    /// A person has to go on.
    Ask(Box<Asked>),
}

impl Host {
    /// One of this server's own tools.
    #[must_use]
    pub fn own_tool(&self, name: &str) -> Option<&OwnTool> {
        self.own_tools.iter().find(|own| own.tool == name)
    }

    /// All of them.
    #[must_use]
    pub fn own_tools(&self) -> &[OwnTool] {
        &self.own_tools
    }

    /// Runs one of them.
    ///
    /// # Errors
    /// The arguments do not fit, or what the tool reports.
    pub(crate) async fn run_own(
        self: &Arc<Self>,
        caller: &Caller,
        own: &OwnTool,
        arguments: &Value,
    ) -> Result<Done, Failed> {
        check(own.tool, &own.input_schema, &own.arguments, arguments)?;
        let done = self.try_own(caller, own, arguments).await;
        let intent = Intent {
            integration_id: OURS,
            action: own.tool,
            params: arguments,
            actor: &caller.actor,
            op_id: None,
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let message = done.as_ref().err().map(summary);
        let outcome = Outcome {
            status: if done.is_ok() { ResultStatus::Success } else { ResultStatus::Error },
            error_message: message.as_deref(),
            output: None,
            permissions: None,
            rate_limits: None,
        };
        caller.scope.record_event(intent, outcome).await.map_err(told)?;
        Ok(done?)
    }

    async fn try_own(
        self: &Arc<Self>,
        caller: &Caller,
        own: &OwnTool,
        arguments: &Value,
    ) -> Result<Done> {
        match own.kind {
            Kind::List => self.list_integrations(caller).await.map(Done::Output),
            Kind::Check => {
                let CheckConnection { integration } = read(arguments)?;
                let integration = self.integration(&integration)?;
                self.check_connection(caller, integration).await.map(Done::Output)
            }
            Kind::Connect => {
                let ConnectIntegration { integration, again } = read(arguments)?;
                let integration = self.integration(&integration)?;
                let report = self.connection(caller, integration).await?;
                if !again && status(report.as_ref()) == "active" {
                    let message = format!(
                        "{} is connected. If a right is missing, call this again with `again`.",
                        integration.name
                    );
                    return Ok(Done::Output(State::of(integration, report, None, message)));
                }
                self.ask(caller, own.tool, integration, Wish::Connect, report)
                    .await
                    .map(|asked| Done::Ask(Box::new(asked)))
            }
            Kind::Disconnect => {
                let DisconnectIntegration { integration } = read(arguments)?;
                let integration = self.integration(&integration)?;
                let report = self.connection(caller, integration).await?;
                if report.is_none() {
                    let message = format!("{} is not connected.", integration.name);
                    return Ok(Done::Output(State::of(integration, None, None, message)));
                }
                let wish = Wish::Disconnect;
                self.ask(caller, own.tool, integration, wish, report)
                    .await
                    .map(|asked| Done::Ask(Box::new(asked)))
            }
        }
    }

    async fn list_integrations(&self, caller: &Caller) -> Result<Value> {
        let reports = self.connections(caller).await?;
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
                    tools: adapter.actions().len(),
                }
            })
            .collect();
        Ok(serde_json::to_value(Listed { integrations }).unwrap_or_default())
    }

    async fn check_connection(
        self: &Arc<Self>,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<Value> {
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

/// Reads arguments that were held against the schema.
fn read<T: for<'de> Deserialize<'de>>(arguments: &Value) -> Result<T> {
    T::deserialize(arguments)
        .map_err(|error| Error::new(Code::InvalidInput, format!("invalid input: {error}")))
}
