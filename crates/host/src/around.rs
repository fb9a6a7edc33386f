//! What surrounds a running action: the line to its caller, the credential that is opened for each
//! request, the tenant's secrets and documents.

mod records;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use resto_core::{
    Admission, Answer, Began, BoxFuture, Call, Code, Connected, Credentials, Draft, Endpoints,
    Error, File, FileLink, HttpRequest, Integration, Money, Observed, Question, RateLimit, Records,
    Result, Scheme, SecretRef, Secrets,
};
use resto_vault::{Credential, Sealed, TenantScope};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::approve::{Purse, note_outsiders};
use crate::files::{Holder, link};
use crate::host::told;
use crate::limits::Gate;
use crate::observe::Trace;
use crate::policy::Calls;
use crate::redact::{redact, redact_error};

/// How long a person has to answer a question of an action.
const DECIDING: Duration = Duration::from_mins(4);

/// What connects a call with whoever waits for it.
pub struct Line {
    /// Whether an agent or a person calls.
    pub calls: Calls,
    /// Cancelled when the caller gives up.
    pub cancelled: CancellationToken,
    /// Told how far the action is: done, total, what happens now.
    pub progress: Progress,
    /// Asks the caller's person what an action wants to know; `None` when nobody can be asked.
    pub ask: Option<Ask>,
    /// Asks a person for the value of a named secret; `None` when nobody can be asked.
    pub ask_secret: Option<AskSecret>,
    /// Asks even where a value is stored, and stores the new one in its place.
    pub new_secrets: bool,
    /// Lets a person approve at once what is asked for; `None` when nobody is here.
    pub confirm: Option<Confirm>,
    /// The caller's own id of the operation: with the same one, it runs once.
    pub op_id: Option<String>,
    /// The name of a secret that the call wanted and that is not stored.
    pub(crate) lacking: Arc<Mutex<Option<String>>>,
    /// The operation, once it has begun, where it is one that must not happen twice.
    pub(crate) begun: Arc<OnceLock<Uuid>>,
    /// Which trace it belongs to.
    pub trace: Trace,
    /// Of a trial: whether a person could enter a secret that is not stored.
    pub(crate) may_enter: bool,
}

/// Told done, total, and what happens now.
pub type Progress = Box<dyn Fn(u64, Option<u64>, &str) + Send + Sync>;

/// Asks a person a question.
pub type Ask = Box<dyn Fn(Question) -> BoxFuture<'static, Result<Answer>> + Send + Sync>;

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
            ask: None,
            ask_secret: None,
            new_secrets: false,
            confirm: None,
            op_id: None,
            lacking: Arc::default(),
            begun: Arc::default(),
            trace: Trace::default(),
            may_enter: false,
        }
    }
}

/// What the answers of one call told.
#[derive(Default)]
pub(crate) struct Seen {
    pub rate_limit: Option<RateLimit>,
    pub lacking: Option<String>,
    pub pause_s: Option<u64>,
    /// What the action handed out.
    pub files: Vec<FileLink>,
}

/// Opens the sealed credential for each request.
pub(crate) struct Opening {
    sealed: Sealed,
    host: String,
    integration: &'static str,
    signed: AtomicU64,
}

impl Opening {
    pub fn new(sealed: Sealed, endpoints: &Endpoints, integration: &Integration) -> Self {
        let (host, integration) = (endpoints.host(), integration.name);
        Self { sealed, host, integration, signed: AtomicU64::new(0) }
    }

    /// How many requests were signed with it.
    pub fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// The credential, for a request that no action makes. Nothing may be awaited while it lives.
    pub fn open(&self) -> Result<Credential> {
        self.sealed.open().map_err(told)
    }

    /// Whether it opens.
    pub fn opens(&self) -> bool {
        self.sealed.open().is_ok()
    }

    /// Takes the credential and other secrets out of a result.
    pub fn redact(&self, result: Result<Value>) -> Result<Value> {
        match self.sealed.open() {
            Ok(credential) => redact(&credential.secrets, result),
            // What does not open was not sent either.
            Err(_) => redact(&Secrets::default(), result),
        }
    }

    /// Takes the credential and other secrets out of a request that was not sent.
    pub fn redact_draft(&self, draft: &Draft) -> Result<Draft> {
        let value = serde_json::to_value(draft).unwrap_or_default();
        let value = self.redact(Ok(value))?;
        serde_json::from_value(value).map_err(|_| crate::call::fault())
    }

    /// Takes the credential and other secrets out of an error.
    pub fn redact_error(&self, error: Error) -> Error {
        match self.sealed.open() {
            Ok(credential) => redact_error(&credential.secrets, error),
            Err(_) => redact_error(&Secrets::default(), error),
        }
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
        self.signed.fetch_add(1, Ordering::Relaxed);
        scheme.sign(request, &credential.secrets)
    }

    fn redact(&self, value: Value) -> Value {
        // Only an error has no value.
        Self::redact(self, Ok(value)).unwrap_or_default()
    }
}

/// What the action sees of its call.
pub(crate) struct Around {
    pub line: Arc<Line>,
    pub scope: TenantScope,
    pub op_id: Uuid,
    pub seen: Arc<Mutex<Seen>>,
    /// How a person does the same.
    pub command: String,
    pub account: Option<Connected>,
    /// Through which its requests go; a step in the life of a connection has none.
    pub gate: Option<Arc<Gate>>,
    /// Whom it asks for DNS, where the operator says so.
    pub dns: Vec<SocketAddr>,
    /// Whose call it is; nobody's is a step in the life of a connection.
    pub holder: Option<Holder>,
    /// What it may spend; with that of a trial, nothing is changed.
    pub purse: Arc<Purse>,
    /// When it began, where it only finds out what came of it.
    pub reconciles: Option<Began>,
}

impl Around {
    /// A step in the life of a connection, which nobody watches.
    pub fn quiet(scope: &TenantScope, step: &str) -> Self {
        Self {
            account: None,
            gate: None,
            dns: Vec::new(),
            holder: None,
            line: Arc::new(Line::new(Calls::Person)),
            scope: scope.clone(),
            op_id: Uuid::now_v7(),
            seen: Arc::default(),
            command: step.to_owned(),
            purse: Arc::new(Purse::Closed),
            reconciles: None,
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

    fn reconciles(&self) -> Option<Began> {
        self.reconciles
    }

    fn account(&self) -> Option<&Connected> {
        self.account.as_ref()
    }

    fn admit(&self) -> BoxFuture<'_, Result<Admission>> {
        Box::pin(async move {
            match &self.gate {
                Some(gate) => gate.admit().await,
                None => Ok(Box::new(()) as Admission),
            }
        })
    }

    fn observe(&self, observed: Observed) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.rate_limit = observed.rate_limit.or(seen.rate_limit.take());
        seen.lacking = observed.lacking.or(seen.lacking.take());
        if let Some(seconds) = observed.pause_s {
            seen.pause_s = Some(seconds.max(seen.pause_s.unwrap_or_default()));
            if let Some(gate) = &self.gate {
                gate.close_for(Duration::from_secs(seconds));
            }
        }
    }

    fn note_outsiders(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Some(holder) = &self.holder else { return Ok(()) };
            holder.outsiders.store(true, Ordering::Relaxed);
            if self.line.calls != Calls::Agent {
                return Ok(());
            }
            note_outsiders(&self.scope, holder.principal).await
        })
    }

    fn tried(&self, works: bool) {
        if let Some(gate) = &self.gate {
            gate.breaker.tried(works);
        }
    }

    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<SecretString>> {
        Box::pin(async move {
            let name = reference.name();
            if !self.line.new_secrets
                && let Some(value) = self.scope.secret(name).await.map_err(told)?
            {
                return Ok(if self.purse.is_trial() { placeholder(name) } else { value });
            }
            if self.purse.is_trial() && self.line.may_enter {
                return Ok(placeholder(name));
            }
            let Some(ask) = &self.line.ask_secret else {
                let mut lacking = self.line.lacking.lock().unwrap_or_else(PoisonError::into_inner);
                *lacking = Some(name.to_owned());
                return Err(Error::new(
                    Code::ActionRequired,
                    format!(
                        "No secret is stored under the name `{name}`, and its value must not pass through an agent. A person runs: {} '<the same arguments>' and types the value; after that it is known by this name.",
                        self.command
                    ),
                ));
            };
            let value = ask(name)?;
            self.scope.put_secret(name, &value).await.map_err(told)?;
            Ok(value)
        })
    }

    fn can_ask(&self) -> bool {
        self.line.ask.is_some()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            let Some(ask) = &self.line.ask else {
                return Err(Error::new(
                    Code::ActionRequired,
                    "Whoever called has no form and no page to show to a person: call again from a client that has.",
                ));
            };
            let asking = timeout(DECIDING, ask(question.clone()));
            match self.line.cancelled.run_until_cancelled(asking).await {
                Some(Ok(answer)) => answer,
                // Too late, or nobody waits for the call any more.
                Some(Err(_)) | None => Ok(Answer::Closed),
            }
        })
    }

    fn store_secret<'a>(
        &'a self,
        name: &'a SecretRef,
        value: &'a SecretString,
    ) -> BoxFuture<'a, Result<SecretRef>> {
        Box::pin(async move {
            if self.purse.is_trial() {
                return Ok(name.clone());
            }
            self.scope.add_secret(name.name(), value).await.map(SecretRef::new).map_err(told)
        })
    }

    fn spend<'a>(&'a self, price: &'a Money) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.purse.spend(price))
    }

    fn records(&self) -> &dyn Records {
        self
    }

    fn dns_servers(&self) -> &[SocketAddr] {
        &self.dns
    }

    fn hand_out<'a>(&'a self, file: &'a File) -> BoxFuture<'a, Result<FileLink>> {
        Box::pin(async move {
            let link = match &self.holder {
                Some(holder) if !self.purse.is_trial() => holder.keep(&self.scope, file).await?,
                _ => link(file)?,
            };
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.files.push(link.clone());
            Ok(link)
        })
    }
}

/// What stands for a secret where nothing is sent.
fn placeholder(name: &str) -> SecretString {
    SecretString::from(format!("[the secret {name}]"))
}
