//! The tools of this server itself: what an agent asks of the host, not of a service. Adding one costs a struct, its
//! [`Own`], and a line in [`own_tools`].

mod alerts;
mod connections;
mod detect;
mod find;
mod plan;
mod preview;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use resto_core::{Code, Error, Part, Result, Risk, input_schema, output_schema};
use resto_vault::{Intent, Needs, Outcome, ResultStatus};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tracing::Instrument as _;

use crate::allowance::scope;
use crate::asking::Asked;
use crate::call::{Failed, summary};
use crate::catalog::Check;
use crate::host::{Caller, Host, told};
use crate::observe::{Trace, Watched};
use crate::plan::{DetectIntegrations, PlanIntegrations};

pub(crate) use connections::{State, status};

/// The word for this server where the audit trail names an integration.
const OURS: &str = "resto";

/// One tool as its author writes it: the fields are the arguments, the doc comment of the struct is the description.
pub(crate) trait Own: DeserializeOwned + JsonSchema + Send + 'static {
    /// Agents call it, so it is never renamed.
    const NAME: &'static str;
    /// As a person reads it.
    const TITLE: &'static str;
    /// The worst that it leads to.
    const RISK: Risk;
    /// What a person sees of the result, where their client shows more than text.
    const VIEW: &'static [Part] = &[];
    /// What an agent gets.
    type Output: Serialize + JsonSchema;

    /// Does it, or asks a person to.
    fn run(
        self,
        host: &Arc<Host>,
        caller: &Caller,
    ) -> impl Future<Output = Result<Done<Self::Output>>> + Send;
}

/// What one of them came to.
pub(crate) enum Done<Output = Value> {
    /// It is done.
    Output(Output),
    /// A person has to go on.
    Ask(Box<Asked>),
}

type Run = for<'a> fn(&'a Arc<Host>, &'a Caller, Value) -> BoxFuture<'a, Result<Done>>;

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
    /// What a person sees of the result.
    pub view: &'static [Part],
    /// Makes the schema of the result; `run_action` gives that of the action.
    pub output_schema: Option<fn() -> Map<String, Value>>,
    arguments: Check,
    /// `run_action` does nothing itself.
    run: Option<Run>,
}

impl OwnTool {
    fn of<T: Own>() -> Self {
        let own = Self::new::<T>(T::NAME, T::TITLE, T::RISK);
        Self {
            output_schema: Some(output_schema::<T::Output>),
            view: T::VIEW,
            run: Some(run::<T>),
            ..own
        }
    }

    /// One that does nothing itself.
    fn new<T: JsonSchema>(tool: &'static str, title: &'static str, risk: Risk) -> Self {
        let (input_schema, description) = input_schema::<T>();
        Self {
            tool,
            title,
            description,
            risk,
            input_schema,
            view: &[],
            output_schema: None,
            arguments: Check::default(),
            run: None,
        }
    }

    /// Whether it is `run_action`, which means another tool.
    pub(crate) fn is_run(&self) -> bool {
        self.run.is_none()
    }
}

/// Runs a tool with arguments that were held against its schema.
fn run<'a, T: Own>(
    host: &'a Arc<Host>,
    caller: &'a Caller,
    arguments: Value,
) -> BoxFuture<'a, Result<Done>> {
    async move {
        let own: T = serde_json::from_value(arguments)
            .map_err(|error| Error::new(Code::InvalidInput, format!("invalid input: {error}")))?;
        Ok(match own.run(host, caller).await? {
            Done::Output(output) => {
                let output = serde_json::to_value(&output);
                Done::Output(
                    output.map_err(|error| {
                        Error::new(Code::Internal, format!("{}: {error}", T::NAME))
                    })?,
                )
            }
            Done::Ask(asked) => Done::Ask(asked),
        })
    }
    .boxed()
}

/// All of them, in order of name.
pub(crate) fn own_tools() -> Vec<OwnTool> {
    vec![
        OwnTool::of::<connections::CheckConnection>(),
        OwnTool::of::<connections::ConnectIntegration>(),
        OwnTool::of::<DetectIntegrations>(),
        OwnTool::of::<connections::DisconnectIntegration>(),
        OwnTool::of::<find::FindActions>(),
        OwnTool::of::<alerts::ListAlerts>(),
        OwnTool::of::<connections::ListIntegrations>(),
        OwnTool::of::<PlanIntegrations>(),
        OwnTool::of::<preview::PreviewAction>(),
        find::RunAction::tool(),
    ]
}

/// The integration that a call of one of them is about.
fn about(arguments: &Value) -> Option<&str> {
    arguments.get("integration").and_then(Value::as_str)
}

impl Host {
    /// The scope that a caller's access token would need for this call besides those it has.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn lacking_scope(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: &Value,
    ) -> Result<Option<String>> {
        let catalog = self.catalog_of(&caller.scope).await?;
        let (integration, risk) = match (self.own_tool(tool), catalog.find(tool)) {
            (Some(own), _) => (about(arguments), own.risk),
            (None, Some(entry)) => (Some(entry.integration().id), entry.action.risk),
            (None, None) => return Ok(None),
        };
        let allowed = caller.allowance.allows(integration, risk);
        Ok((!allowed).then(|| scope(integration, risk)))
    }

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
        let watched = Watched::begin(Some(own.tool), OURS, &Trace::default());
        let done = self.try_own(caller, own, arguments).instrument(watched.span.clone()).await;
        watched.end(&done, |_| false);
        done
    }

    async fn try_own(
        self: &Arc<Self>,
        caller: &Caller,
        own: &OwnTool,
        arguments: &Value,
    ) -> Result<Done, Failed> {
        own.arguments.hold(own.tool, &own.input_schema, arguments)?;
        let run = own.run.ok_or(Failed::UnknownTool)?;
        let allowed = caller.allowance.check(own.tool, about(arguments), own.risk);
        let done = match allowed.and_then(|()| caller.surface.check_own(own)) {
            Ok(()) => run(self, caller, arguments.clone()).await,
            Err(error) => Err(error),
        };
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
        let status = match &done {
            Ok(_) => ResultStatus::Success,
            Err(error) if error.code() == Code::Denied => ResultStatus::Denied,
            Err(_) => ResultStatus::Error,
        };
        let outcome = Outcome { error_message: message.as_deref(), ..Outcome::of(status) };
        caller.scope.record_event(intent, outcome).await.map_err(told)?;
        Ok(done?)
    }
}
