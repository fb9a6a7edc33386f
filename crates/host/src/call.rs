//! The life of one call: checked, allowed, audited before it happens, run with the credential opened
//! for each request, audited again.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use resto_core::{
    Api, BoxFuture, Call, Code, Connected, Credentials, Endpoints, Error, HttpRequest, Integration,
    Observed, RateLimit, Records, Result, Risk, Scheme, SecretRef, clean_json,
};
use resto_vault::{Begun, Connection, Intent, Needs, Outcome, ResultStatus, Sealed, TenantScope};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::Entry;
use crate::grants::Grants;
use crate::host::{Caller, Host, provider_of, told};
use crate::policy::{Calls, decide};

/// What connects a call with whoever waits for it.
pub struct Line {
    /// Whether an agent or a person calls.
    pub calls: Calls,
    /// Cancelled when the caller gives up.
    pub cancelled: CancellationToken,
    /// Told how far the action is: done, total, what happens now.
    pub progress: Progress,
    /// Asks a person for the value of a named secret; `None` when nobody can be asked.
    pub ask_secret: Option<AskSecret>,
    /// Lets a person confirm what cannot be undone or spends money; `None` when nobody can be asked.
    pub confirm: Option<Confirm>,
}

/// Told done, total, and what happens now.
pub type Progress = Box<dyn Fn(u64, Option<u64>, &str) + Send + Sync>;

/// Asks a person for the value of the secret of this name.
pub type AskSecret = Box<dyn Fn(&str) -> Result<SecretString> + Send + Sync>;

/// Lets a person confirm: told what will happen, and the name of the thing, which has to be typed.
pub type Confirm = Box<dyn Fn(&str, &str) -> Result<()> + Send + Sync>;

impl Line {
    /// A line to somebody who only waits.
    #[must_use]
    pub fn new(calls: Calls) -> Self {
        Self {
            calls,
            cancelled: CancellationToken::new(),
            progress: Box::new(|_, _, _| {}),
            ask_secret: None,
            confirm: None,
        }
    }
}

/// A call that did not succeed.
#[derive(Debug)]
pub enum Failed {
    /// There is no tool of this name.
    UnknownTool,
    /// The tool says why.
    Tool(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Tool(error)
    }
}

impl Host {
    /// Runs a tool for a caller, from the check of its arguments to the second audit entry.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn call(
        self: &Arc<Self>,
        caller: &Caller,
        tool: &str,
        arguments: Value,
        line: Line,
    ) -> Result<Value, Failed> {
        let entry = self.catalog.find(tool).ok_or(Failed::UnknownTool)?;
        entry.check(&arguments)?;
        let allowed = self.allow(caller, &entry, line.calls).await;
        if let Err(error) = allowed.and_then(|()| confirm(&entry, &arguments, &line)) {
            self.refuse(caller, &entry, &arguments, &error).await?;
            return Err(error.into());
        }
        // In a task of its own: a client that goes away does not stop it half way.
        let (host, caller, tool) = (Arc::clone(self), caller.clone(), tool.to_owned());
        let running =
            self.tasks.spawn(async move { host.run(&caller, &tool, arguments, line).await });
        running.await.unwrap_or_else(|_| Err(fault().into()))
    }

    /// Whether the tenant's connection and our policy allow it.
    async fn allow(&self, caller: &Caller, entry: &Entry<'_>, calls: Calls) -> Result<()> {
        let integration = entry.integration();
        let connection = caller.scope.connection(integration.id).await.map_err(told)?;
        let Some(connection) = connection else {
            return Err(Error::new(
                Code::NotConnected,
                format!(
                    "{} is not connected. {} A person connects it: resto connect {}",
                    integration.name, integration.purpose, integration.id
                ),
            ));
        };
        decide(calls, entry.action, integration, &Grants::read(&connection.permissions))
    }

    /// Audits a call that was refused before it began.
    async fn refuse(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        arguments: &Value,
        error: &Error,
    ) -> Result<()> {
        let intent = Intent {
            connection: Needs::Nothing,
            unsafe_: false,
            ..intent(caller, entry, arguments)
        };
        let message = summary(error);
        let outcome = Outcome {
            status: ResultStatus::Denied,
            error_message: Some(&message),
            output: None,
            permissions: None,
            rate_limits: None,
        };
        caller.scope.record_event(intent, outcome).await.map_err(told)
    }

    async fn run(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: Value,
        line: Line,
    ) -> Result<Value, Failed> {
        let entry = self.catalog.find(tool).ok_or(Failed::UnknownTool)?;
        let begun = caller.scope.begin(intent(caller, &entry, &arguments)).await.map_err(told)?;
        let Begun { ticket, connection, repeated } = begun;
        if let Some(stored) = repeated {
            let done = match (stored.status, stored.output) {
                (ResultStatus::Success, Some(output)) => Ok(output),
                _ => Err(Error::new(
                    Code::Conflict,
                    "This operation ran before and did not succeed.",
                )),
            };
            self.finish(caller, ticket, &done, Learnt::default()).await;
            return Ok(done?);
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let result = match connection {
            Some((connection, sealed)) => {
                let session = Session { caller, entry, op_id: ticket.op_id(), seen: seen.clone() };
                let learning = connection.clone();
                let result = self.act(session, connection, sealed, arguments, line).await;
                let learnt = learn(&entry, &learning, &seen, &result);
                self.finish(caller, ticket, &result, learnt).await;
                result
            }
            None => {
                let result = Err(fault());
                self.finish(caller, ticket, &result, Learnt::default()).await;
                result
            }
        };
        Ok(result?)
    }

    async fn act(
        &self,
        session: Session<'_>,
        connection: Connection,
        sealed: Sealed,
        arguments: Value,
        line: Line,
    ) -> Result<Value> {
        let integration = session.entry.integration();
        let (provider, auth) =
            provider_of(integration, &connection.provider, connection.auth_type.as_str())?;
        let endpoints = self.endpoints(integration, provider)?;
        let credentials = Opening::new(sealed, &endpoints, integration);
        let action = session.entry.action;
        let around = Around {
            line,
            scope: session.caller.scope.clone(),
            op_id: session.op_id.unwrap_or_else(Uuid::now_v7),
            seen: session.seen,
            tool: action.tool.clone(),
            account: Some(Connected { id: connection.account_id, mode: connection.mode }),
        };
        let api = Api::new(
            self.http.clone(),
            provider,
            auth.scheme(),
            endpoints,
            Arc::new(credentials),
            Arc::new(around),
            action.risk,
        );
        // A fault in one action harms only this call.
        let ran = AssertUnwindSafe(action.run(arguments, &api)).catch_unwind().await;
        let mut output = ran.unwrap_or_else(|_| Err(fault()))?;
        clean_json(&mut output);
        Ok(output)
    }

    /// Writes the result. A result that cannot be written ends as `unknown` in the trail: the caller
    /// still gets it, since the action did happen.
    pub(crate) async fn finish(
        &self,
        caller: &Caller,
        ticket: resto_vault::Ticket,
        result: &Result<Value>,
        learnt: Learnt,
    ) {
        let message = result.as_ref().err().map(summary);
        let outcome = Outcome {
            status: match result {
                Ok(_) => ResultStatus::Success,
                Err(error) => match error.code() {
                    Code::UnknownOutcome => ResultStatus::Unknown,
                    Code::Denied => ResultStatus::Denied,
                    _ => ResultStatus::Error,
                },
            },
            error_message: message.as_deref(),
            output: result.as_ref().ok(),
            permissions: learnt.permissions.as_ref(),
            rate_limits: learnt.rate_limits.as_ref(),
        };
        if let Err(error) = caller.scope.finish(ticket, outcome).await {
            tracing::error!(%error, "the result of an action could not be written to the audit trail");
        }
    }
}

/// Lets a person type the name of the thing before something that cannot be undone.
fn confirm(entry: &Entry<'_>, arguments: &Value, line: &Line) -> Result<()> {
    let action = entry.action;
    if action.risk < Risk::Irreversible {
        return Ok(());
    }
    let what = match action.risk {
        Risk::Spend => "It spends money.",
        _ => "It cannot be undone.",
    };
    let what = format!("{}: {} {what}", action.tool, action.description);
    match &line.confirm {
        Some(confirm) => confirm(&what, &entry.subject(arguments)),
        None => Err(Error::new(Code::Denied, format!("{what} Nobody is here to confirm it."))),
    }
}

fn intent<'a>(caller: &'a Caller, entry: &Entry<'a>, arguments: &'a Value) -> Intent<'a> {
    let id = entry.integration().id;
    Intent {
        integration_id: id,
        action: &entry.action.tool,
        params: arguments,
        actor: &caller.actor,
        op_id: None,
        unsafe_: entry.action.risk.is_unsafe(),
        connection: Needs::Active,
    }
}

fn summary(error: &Error) -> String {
    format!("{}: {}", error.code(), error.message())
}

fn fault() -> Error {
    Error::new(
        Code::Internal,
        "This server has a fault in this action. It was logged; try another way.",
    )
}

struct Session<'a> {
    caller: &'a Caller,
    entry: Entry<'a>,
    op_id: Option<Uuid>,
    seen: Arc<Mutex<Seen>>,
}

/// What the answers of one call told.
#[derive(Default)]
struct Seen {
    rate_limit: Option<RateLimit>,
    lacking: Option<String>,
}

/// What is kept with the connection after a call.
#[derive(Default)]
pub(crate) struct Learnt {
    permissions: Option<Value>,
    rate_limits: Option<Value>,
}

fn learn(
    entry: &Entry<'_>,
    connection: &Connection,
    seen: &Mutex<Seen>,
    result: &Result<Value>,
) -> Learnt {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut grants = Grants::read(&connection.permissions);
    let news = match (result, &seen.lacking) {
        (Ok(_), _) => grants.worked(entry.action),
        (Err(_), Some(right)) => grants.lacked(right),
        (Err(_), None) => false,
    };
    let rate_limits = seen.rate_limit.as_ref().map(|limit| {
        let mut all = connection.rate_limits.clone().unwrap_or_else(|| serde_json::json!({}));
        if let (Some(all), Ok(told)) = (all.as_object_mut(), serde_json::to_value(limit)) {
            all.insert(limit.resource.clone(), told);
        }
        all
    });
    Learnt { permissions: news.then(|| serde_json::to_value(&grants).ok()).flatten(), rate_limits }
}

/// Opens the sealed credential for each request.
pub(crate) struct Opening {
    sealed: Sealed,
    host: String,
    integration: &'static str,
}

impl Opening {
    pub fn new(sealed: Sealed, endpoints: &Endpoints, integration: &Integration) -> Self {
        Self { sealed, host: endpoints.host(), integration: integration.name }
    }
}

impl Credentials for Opening {
    fn sign(&self, scheme: &Scheme, request: &mut HttpRequest) -> Result<()> {
        let credential = self.sealed.open().map_err(told)?;
        if credential.host != self.host {
            return Err(Error::new(
                Code::Denied,
                format!(
                    "The {} credential is for {} and is not sent to {}. Reconnect, or correct the configuration.",
                    self.integration, credential.host, self.host
                ),
            ));
        }
        scheme.sign(request, &credential.secrets)
    }
}

/// What the action sees of its call.
pub(crate) struct Around {
    line: Line,
    scope: TenantScope,
    op_id: Uuid,
    seen: Arc<Mutex<Seen>>,
    tool: String,
    account: Option<Connected>,
}

impl Around {
    /// A step in the life of a connection, which nobody watches.
    pub fn quiet(scope: &TenantScope, step: &str) -> Self {
        Self {
            account: None,
            line: Line::new(Calls::Person),
            scope: scope.clone(),
            op_id: Uuid::now_v7(),
            seen: Arc::default(),
            tool: step.to_owned(),
        }
    }
}

impl Call for Around {
    fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        (self.line.progress)(done, total, message);
    }

    fn cancelled(&self) -> CancellationToken {
        self.line.cancelled.clone()
    }

    fn op_id(&self) -> Uuid {
        self.op_id
    }

    fn account(&self) -> Option<&Connected> {
        self.account.as_ref()
    }

    fn observe(&self, observed: Observed) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.rate_limit = observed.rate_limit.or(seen.rate_limit.take());
        seen.lacking = observed.lacking.or(seen.lacking.take());
    }

    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<SecretString>> {
        Box::pin(async move {
            let name = reference.name();
            if let Some(value) = self.scope.secret(name).await.map_err(told)? {
                return Ok(value);
            }
            let Some(ask) = &self.line.ask_secret else {
                return Err(Error::new(
                    Code::ActionRequired,
                    format!(
                        "No secret is stored under the name `{name}`, and its value must not pass through an agent. A person runs: resto call {} '<the same arguments>' and types the value; after that it is known by this name.",
                        self.tool
                    ),
                ));
            };
            let value = ask(name)?;
            self.scope.put_secret(name, &value).await.map_err(told)?;
            Ok(value)
        })
    }

    fn store_secret<'a>(
        &'a self,
        name: &'a SecretRef,
        value: &'a SecretString,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.scope.put_secret(name.name(), value).await.map_err(told) })
    }

    fn records(&self) -> &dyn Records {
        self
    }
}

impl Records for Around {
    fn put<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<std::time::Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.scope.put_record(collection, id, value, expires_in).await.map_err(told)
        })
    }

    fn get<'a>(&'a self, collection: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Value>>> {
        Box::pin(async move { self.scope.record(collection, id).await.map_err(told) })
    }

    fn take<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>>> {
        Box::pin(async move { self.scope.take_record(collection, id).await.map_err(told) })
    }

    fn list<'a>(
        &'a self,
        collection: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, Value)>>> {
        Box::pin(async move { self.scope.records(collection, after, limit).await.map_err(told) })
    }
}
