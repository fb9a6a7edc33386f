//! The life of one call: checked, allowed, audited before, run with the credential opened for each request, audited after.

use std::sync::{Arc, Mutex};

use resto_core::{Code, Error, FileLink, Result, Risk};
use resto_vault::{Begun, Intent, Needs, Outcome, ResultStatus, crash_point};
use serde_json::Value;
use tracing::Instrument as _;

use crate::act::Acting;
use crate::allow::check_connection;
use crate::approve::{Admitted, Ground, Purse, Stop, Wanted, told_again};
use crate::around::{Line, Seen};
use crate::catalog::{Catalog, Entry};
use crate::entering::Lacking;
use crate::host::{Caller, Host, told};
use crate::learning::{Learnt, learn};
use crate::observe::Watched;
use crate::policy::Calls;
use crate::reconcile::unknown;
use crate::tools::Done;

/// Where a caller names its own operation.
pub(crate) const OP_ID: &str = "dev.resto/op_id";

/// A call that succeeded.
#[derive(Debug)]
pub struct Called {
    /// The result.
    pub output: Value,
    /// The integration that it comes from; none where it is this server's own.
    pub origin: Option<&'static str>,
    /// Whether it is that of the same call before, and nothing was done now.
    pub is_repeated: bool,
    /// The files that it hands out.
    pub files: Vec<FileLink>,
}

/// A call that did not succeed.
#[derive(Debug)]
pub enum Failed {
    /// There is no tool of this name.
    UnknownTool,
    /// The tool says why.
    Tool(Error),
    /// A person has to approve it first.
    Approval(Box<Wanted>),
    /// A person has to enter a value first.
    Secret(Box<Lacking>),
}

impl Failed {
    /// Why, as an error.
    #[must_use]
    pub fn error(&self) -> Error {
        match self {
            Self::UnknownTool => Error::new(Code::NotFound, "There is no tool of this name."),
            Self::Tool(error) => error.clone(),
            Self::Approval(wanted) => wanted.error(),
            Self::Secret(lacking) => lacking.error(),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Tool(error)
    }
}

impl Host {
    /// As [`Host::call`], but a secret that is lacking is only noted.
    pub(crate) async fn call_now(
        self: &Arc<Self>,
        caller: &Caller,
        tool: &str,
        arguments: Value,
        line: Line,
    ) -> Result<Called, Failed> {
        let (tool, arguments) = self.meant(caller, tool, arguments).await?;
        let tool = tool.as_str();
        if let Some(own) = self.own_tool(tool) {
            let output = match self.run_own(caller, own, &arguments).await? {
                Done::Output(output) => output,
                Done::Ask(asked) => asked.output,
            };
            return Ok(Called { output, origin: None, is_repeated: false, files: Vec::new() });
        }
        let catalog = self.catalog_of(&caller.scope).await?;
        let found = catalog.find(tool);
        let integration = found.map_or("unknown", |entry| entry.integration().id);
        let watched = Watched::begin(found.map(|_| tool), integration, &line.trace);
        let called = self.call_action(caller, &catalog, tool, arguments, line);
        let called = called.instrument(watched.span.clone()).await;
        watched.end(&called, |called| called.is_repeated);
        called
    }

    async fn call_action(
        self: &Arc<Self>,
        caller: &Caller,
        catalog: &Arc<Catalog>,
        tool: &str,
        arguments: Value,
        line: Line,
    ) -> Result<Called, Failed> {
        let entry = catalog.find(tool).ok_or(Failed::UnknownTool)?;
        let origin = Some(entry.integration().id);
        entry.check(&arguments)?;
        let place = self.place(caller).await?;
        let allowed = match self.allow_call(caller, &entry).await {
            Ok(()) => self.verify(caller, &entry).await,
            refused => refused,
        };
        let admitted = match allowed {
            Ok(()) => self.admit_call(caller, &entry, &arguments, &line).await,
            Err(error) => Err(self.offer_consent(caller, &entry, error).await.into()),
        };
        let tells_outsiders = line.calls == Calls::Agent && (entry.action.outsiders)(&arguments);
        let ground = match admitted {
            Ok(Admitted::Run(ground)) => ground,
            Ok(Admitted::Done(output)) => {
                if tells_outsiders {
                    self.note_outsiders(caller).await?;
                }
                return Ok(Called { output, origin, is_repeated: false, files: Vec::new() });
            }
            Err(Stop::Told(error)) => return Err(error.into()),
            Err(Stop::Refused(failed)) => {
                // The audit trail holds no arguments, which a person is told.
                let brief = match &failed {
                    Failed::Approval(_) => Wanted::brief(),
                    failed => failed.error(),
                };
                self.refuse(caller, &entry, &arguments, &brief).await?;
                return Err(failed);
            }
        };
        if tells_outsiders {
            self.note_outsiders(caller).await?;
        }
        // In a task of its own: a client that goes away does not stop it half way.
        let (host, caller, tool) = (Arc::clone(self), caller.clone(), tool.to_owned());
        let catalog = Arc::clone(catalog);
        let running = async move {
            let _place = place;
            let entry = catalog.find(&tool).ok_or(Failed::UnknownTool)?;
            host.run(&caller, entry, arguments, line, ground).await
        };
        // Boxed: it is large, and moved several times until it runs.
        let running = self.tasks.spawn(Box::pin(running).in_current_span());
        running.await.unwrap_or_else(|_| Err(fault().into()))
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
        let outcome =
            Outcome { error_message: Some(&message), ..Outcome::of(ResultStatus::Denied) };
        caller.scope.record_event(intent, outcome).await.map_err(told)
    }

    async fn run(
        self: &Arc<Self>,
        caller: &Caller,
        entry: Entry<'_>,
        arguments: Value,
        line: Line,
        mut ground: Ground,
    ) -> Result<Called, Failed> {
        let tool = entry.action.tool.as_str();
        let origin = Some(entry.integration().id);
        // A person may have taken longer to approve it than what the provider said is believed.
        let begun = match self.verify(caller, &entry).await {
            Ok(()) => self.begin_call(caller, &entry, &arguments, &mut ground).await,
            Err(error) => Err(error),
        };
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // It is not approved any more, the connection changed, or the trail cannot be written.
                let error = match error.code() {
                    // Says how to connect it.
                    Code::NotConnected => self.allow(caller, &entry).await.err().unwrap_or(error),
                    _ => error,
                };
                self.refuse(caller, &entry, &arguments, &error).await?;
                return Err(error.into());
            }
        };
        let Begun { ticket, connection, repeated } = begun;
        if let Some(op_id) = ticket.op_id() {
            // It begins once.
            let _ = line.begun.set(op_id);
        }
        crash_point("action.intent_committed");
        if let Some(stored) = repeated {
            let done = match (stored.status, ticket.op_id()) {
                (ResultStatus::Unknown, Some(op_id)) => {
                    // Boxed: it is rarely needed, and large.
                    let found = Box::pin(self.reconcile(caller, entry, arguments, line, op_id));
                    found.await.map_err(|error| unknown(caller, tool, &error))
                }
                _ => told_again(stored),
            };
            self.finish(caller, ticket, &done, Learnt::default()).await;
            return Ok(Called { output: done?, origin, is_repeated: true, files: Vec::new() });
        }
        let Some((connection, sealed)) = connection.filter(|_| !ground.only_repeats) else {
            let result = Err(fault());
            self.finish(caller, ticket, &result, Learnt::default()).await;
            return Err(fault().into());
        };
        // What only reads was allowed by how another call found it.
        if entry.action.risk == Risk::Read
            && let Err(error) = check_connection(caller, &entry, &connection)
        {
            let error = self.offer_consent(caller, &entry, error).await;
            let result = Err(error.clone());
            self.finish(caller, ticket, &result, Learnt::default()).await;
            return Err(error.into());
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let op_id = ticket.op_id();
        let purse = Arc::new(Purse::Open {
            scope: caller.scope.clone(),
            caps: self.caps.clone(),
            op_id: op_id.unwrap_or_default(),
            integration: entry.integration().id,
            tool: tool.to_owned(),
            approved: ground.price,
        });
        let seen_by = seen.clone();
        let acting = Acting { caller, entry, op_id, seen: seen_by, purse, reconciles: None };
        let learning = connection.clone();
        let (result, _) = self.act(acting, connection, sealed, arguments, line).await;
        crash_point("action.answer_received");
        let learnt = learn(&entry, &learning, &seen, &result, false, caller.scope.now());
        let nothing_done = result.as_ref().is_err_and(|error| {
            matches!(
                error.code(),
                Code::InvalidInput
                    | Code::NotFound
                    | Code::Conflict
                    | Code::PaymentRequired
                    | Code::PermissionDenied
                    | Code::AuthExpired
                    | Code::ActionRequired
                    | Code::Denied
                    // Where a try before could have done it, the outcome is unknown.
                    | Code::RateLimited
                    | Code::ProviderDown
            )
        });
        self.finish(caller, ticket, &result, learnt).await;
        let result = match result {
            Err(error) if error.code() == Code::PermissionDenied => {
                self.confirmed.forget(&learning);
                Err(self.offer_consent(caller, &entry, error).await)
            }
            result => result,
        };
        if let (true, Risk::Spend, Some(op_id)) = (nothing_done, entry.action.risk, op_id)
            && let Err(error) = caller.scope.unspend(op_id).await
        {
            tracing::warn!(%error, "what was not spent counts as spent for a day");
        }
        let files = seen.lock().map(|mut seen| std::mem::take(&mut seen.files)).unwrap_or_default();
        Ok(Called { output: result?, origin, is_repeated: false, files })
    }

    /// Writes the result. One that cannot be written ends as `unknown` in the trail; the caller still gets it.
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

pub(crate) fn intent<'a>(
    caller: &'a Caller,
    entry: &Entry<'a>,
    arguments: &'a Value,
) -> Intent<'a> {
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
