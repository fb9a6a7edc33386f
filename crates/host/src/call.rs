//! The life of one call: checked, allowed, audited before it happens, run with the credential opened
//! for each request, audited again.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use resto_core::{Api, Code, Connected, Error, Result, Risk, clean, clean_json};
use resto_vault::{Begun, Connection, Intent, Needs, Outcome, ResultStatus, Sealed, crash_point};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::around::{Around, Line, Opening, Seen};
use crate::catalog::Entry;
use crate::grants::Grants;
use crate::host::{Caller, Host, provider_of, told};
use crate::policy::{Calls, decide};
use crate::tools::Done;

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
        if let Some(own) = self.own_tool(tool) {
            return Ok(match self.run_own(caller, own, &arguments).await? {
                Done::Output(output) => output,
                Done::Ask(asked) => asked.output,
            });
        }
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
                    "{} is not connected. {} The tool connect_integration asks a person to connect it, or a person runs: {}",
                    integration.name,
                    integration.purpose,
                    caller.command(&format!("connect {}", integration.id))
                ),
            ));
        };
        if connection.expires_at.is_some_and(|end| end <= OffsetDateTime::now_utc()) {
            return Err(Error::new(
                Code::AuthExpired,
                format!(
                    "The access to {} has expired and is not renewed by itself. A person signs in again, as the tool connect_integration asks them to: {}",
                    integration.name,
                    self.place.page(&["connect", integration.id])?
                ),
            ));
        }
        decide(caller, calls, entry.action, integration, &Grants::read(&connection.permissions))
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
        let begun = match caller.scope.begin(intent(caller, &entry, &arguments)).await {
            Ok(begun) => begun,
            Err(refusal) => {
                // The connection changed since it was looked at, or the trail cannot be written.
                let error = told(refusal);
                self.refuse(caller, &entry, &arguments, &error).await?;
                return Err(error.into());
            }
        };
        let Begun { ticket, connection, repeated } = begun;
        crash_point("action.intent_committed");
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
                crash_point("action.answer_received");
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
        let credentials = Arc::new(Opening::new(sealed, &endpoints, integration));
        let action = session.entry.action;
        let around = Around {
            line,
            scope: session.caller.scope.clone(),
            op_id: session.op_id.unwrap_or_else(Uuid::now_v7),
            seen: session.seen,
            command: session.caller.command(&format!("call {}", action.tool)),
            account: Some(Connected { id: connection.account_id, mode: connection.mode }),
        };
        let api = Api::new(
            self.http.clone(),
            provider,
            auth.scheme(),
            endpoints,
            credentials.clone(),
            Arc::new(around),
            action.risk,
        );
        // A fault in one action harms only this call.
        let ran = AssertUnwindSafe(action.run(arguments, &api)).catch_unwind().await;
        // Cleaned first: what is taken out then could hide a credential from what looks for it.
        let cleaned = ran.unwrap_or_else(|_| Err(fault())).map(|mut output| {
            clean_json(&mut output);
            output
        });
        credentials.redact(cleaned)
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
        let finished = caller.scope.finish(ticket, outcome).await;
        crash_point("result_committed");
        if let Err(error) = finished {
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
    let with = clean(&arguments.to_string()).chars().take(2000).collect::<String>();
    let what = format!("{}: {} {what}\nWith: {with}", action.tool, action.description);
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

pub(crate) fn summary(error: &Error) -> String {
    format!("{}: {}", error.code(), error.message())
}

pub(crate) fn fault() -> Error {
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

/// What is kept with the connection after a call.
#[derive(Default)]
pub(crate) struct Learnt {
    pub permissions: Option<Value>,
    pub rate_limits: Option<Value>,
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
