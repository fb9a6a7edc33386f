//! The signed-in client that an action uses, and what it may ask of the call around it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::Method;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::http::is_loopback;
use crate::reply::in_doubt;
use crate::{
    Call, Code, Connected, Credentials, Error, File, FileLink, Http, Money, Observed, PathArg,
    Provider, Records, Request, Result, Risk, Scheme, SecretRef,
};

/// Where a provider is reached: its own address, or the one that the operator configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub(crate) base_url: Url,
    /// The provider's [`Provider::other_urls`], and where each is reached.
    others: BTreeMap<&'static str, Url>,
}

impl Endpoints {
    /// The provider's API, or the operator's replacement for it.
    ///
    /// # Errors
    /// The address is no HTTPS address; plain HTTP is for loopback only.
    pub fn new(provider: &Provider, base_url: Option<&str>) -> Result<Self> {
        let address = |own: &str| address(base_url.unwrap_or(own));
        let others = provider.other_urls.iter().map(|url| Ok((*url, address(url)?)));
        Ok(Self { base_url: address(provider.base_url)?, others: others.collect::<Result<_>>()? })
    }

    /// Where one of the provider's [`Provider::other_urls`] is reached.
    pub(crate) fn other(&self, url: &str) -> Result<&Url> {
        self.others.get(url).ok_or_else(|| {
            Error::new(
                Code::Internal,
                format!("The provider does not declare the address `{url}`. Nothing was sent."),
            )
        })
    }

    /// An address of the API, by its path and query.
    ///
    /// # Errors
    /// It is none.
    pub fn url(&self, path: &str) -> Result<Url> {
        let text = format!("{}{path}", self.base_url.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|_| {
            Error::new(Code::Internal, "The API has no such address. Nothing was sent.")
        })
    }

    /// The host, with its port where it is not the scheme's own. A credential is bound to it.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.base_url.host_str().unwrap_or_default();
        match self.base_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

fn address(text: &str) -> Result<Url> {
    // What stands before `@` may be a password.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let wrong = |why: &str| Error::new(Code::InvalidInput, format!("The address `{shown}` {why}."));
    let url = Url::parse(text).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if url.cannot_be_a_base()
        || url.host().is_none()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(wrong("must be a scheme, a host and perhaps a path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a user name or a password"));
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err(wrong("must begin with https (plain http only for a loopback address)"));
    }
    Ok(url)
}

/// The signed-in HTTP client of one call. The only code that signs and sends.
pub struct Api {
    pub(crate) http: Http,
    pub(crate) provider: &'static Provider,
    pub(crate) scheme: &'static Scheme,
    pub(crate) endpoints: Endpoints,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) call: Arc<dyn Call>,
    pub(crate) risk: Risk,
    granted: Mutex<Option<BTreeSet<String>>>,
    end: Mutex<Option<String>>,
    /// Changes sent so far: with the operation's id it makes each one's idempotency key.
    pub(crate) changes: AtomicU32,
    /// Where changes are not sent: the first one.
    draft: Option<Mutex<Option<Draft>>>,
    began: SystemTime,
    /// Whether a change was stopped because the call only finds out what came of it.
    stopped: AtomicBool,
}

/// A change that was not sent: the request without its credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    /// Such as `DELETE`.
    pub method: String,
    /// Where it would have gone.
    pub url: String,
    /// What it would have carried, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Api {
    /// A client for one call of an action with this risk.
    #[must_use]
    pub fn new(
        http: Http,
        provider: &'static Provider,
        scheme: &'static Scheme,
        endpoints: Endpoints,
        credentials: Arc<dyn Credentials>,
        call: Arc<dyn Call>,
        risk: Risk,
    ) -> Self {
        let began = call.reconciles().map_or_else(SystemTime::now, |began| began.at);
        Self {
            http,
            provider,
            scheme,
            endpoints,
            credentials,
            call,
            risk,
            granted: Mutex::default(),
            end: Mutex::default(),
            changes: AtomicU32::new(0),
            draft: None,
            began,
            stopped: AtomicBool::new(false),
        }
    }

    /// The same client, but it sends no change: an action stops at its first one, which [`Api::draft`] then tells.
    #[must_use]
    pub fn trying(self) -> Self {
        Self { draft: Some(Mutex::default()), ..self }
    }

    /// The first change that a client for trying did not send.
    #[must_use]
    pub fn draft(&self) -> Option<Draft> {
        self.draft.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops a change that must not be sent: where this client is for trying, which keeps it, or where the call only finds
    /// out what came of the same change before.
    ///
    /// # Errors
    /// `cancelled` or `unknown_outcome`, so that the action ends.
    pub fn withhold(&self, draft: impl FnOnce() -> Draft) -> Result<()> {
        self.keep(draft)?;
        if !self.reconciles() {
            return Ok(());
        }
        self.stopped.store(true, Ordering::Relaxed);
        Err(in_doubt(self.provider))
    }

    /// The result of an action, where the call only finds out what came of it: an error after a change that was not sent
    /// says nothing of what was done.
    ///
    /// # Errors
    /// As the action's, or `unknown_outcome`.
    pub fn found_out<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let is_told = error.code() == Code::UnknownOutcome;
            if is_told || !self.stopped.load(Ordering::Relaxed) {
                return error;
            }
            in_doubt(self.provider)
        })
    }

    /// Keeps a change in place of sending it, where this client is for trying.
    pub(crate) fn keep(&self, draft: impl FnOnce() -> Draft) -> Result<()> {
        let Some(kept) = &self.draft else { return Ok(()) };
        kept.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(draft);
        Err(Error::new(Code::Cancelled, "This was only tried: nothing was changed."))
    }

    /// A GET of `path`, a template whose `{}` are filled by `args`, one segment each.
    pub fn get(&self, path: &'static str, args: &[&dyn PathArg]) -> Request<'_> {
        Request::new(self, Method::GET, path, args)
    }

    /// A POST; see [`Api::get`] for the path.
    pub fn post(&self, path: &'static str, args: &[&dyn PathArg]) -> Request<'_> {
        Request::new(self, Method::POST, path, args)
    }

    /// A PUT; see [`Api::get`] for the path.
    pub fn put(&self, path: &'static str, args: &[&dyn PathArg]) -> Request<'_> {
        Request::new(self, Method::PUT, path, args)
    }

    /// A PATCH; see [`Api::get`] for the path.
    pub fn patch(&self, path: &'static str, args: &[&dyn PathArg]) -> Request<'_> {
        Request::new(self, Method::PATCH, path, args)
    }

    /// A DELETE; see [`Api::get`] for the path.
    pub fn delete(&self, path: &'static str, args: &[&dyn PathArg]) -> Request<'_> {
        Request::new(self, Method::DELETE, path, args)
    }

    pub(crate) fn observe(&self, observed: Observed) {
        if let Some(granted) = &observed.granted {
            let mut last = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(granted.iter().cloned().collect());
        }
        if let Some(end) = &observed.end {
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
        }
        self.call.observe(observed);
    }

    /// Tells the caller how far the action is.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        self.call.progress(done, total, message);
    }

    /// Cancelled when the caller gave up. A read stops by itself; a change goes on.
    #[must_use]
    pub fn cancelled(&self) -> CancellationToken {
        self.call.cancelled()
    }

    /// Takes the credential out of what the provider repeats of it, before it is kept.
    #[must_use]
    pub fn redact(&self, value: Value) -> Value {
        self.credentials.redact(value)
    }

    /// The provider in use.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// The account that is operated; `None` while it is being connected.
    #[must_use]
    pub fn account(&self) -> Option<&Connected> {
        self.call.account()
    }

    /// The id of this operation, the same when the same unsafe call is made again.
    #[must_use]
    pub fn op_id(&self) -> Uuid {
        self.call.op_id()
    }

    /// When this operation began; for the same call made again, when it began first.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Whether this call only finds out what came of the same operation before.
    pub(crate) fn reconciles(&self) -> bool {
        self.call.reconciles().is_some()
    }

    /// The value of a named secret of the tenant, or what a person enters for it.
    ///
    /// # Errors
    /// There is none of that name, and nobody to ask.
    pub async fn secret(&self, reference: &SecretRef) -> Result<SecretString> {
        self.call.secret(reference).await
    }

    /// Stores a secret that was born at the provider among the tenant's, under this name or, where
    /// another one has it, under the name with a number: no secret is lost to another. Returns the name,
    /// which the result of the action tells; never the value.
    ///
    /// # Errors
    /// The name is empty or too long, or the secret cannot be stored.
    pub async fn store_secret(&self, name: &SecretRef, value: &SecretString) -> Result<SecretRef> {
        self.call.store_secret(name, value).await
    }

    /// The rights that the last answer told, where the provider tells them with each.
    #[must_use]
    pub fn granted(&self) -> Option<BTreeSet<String>> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the credential stops working, in the provider's words, where it tells that with each answer.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what the next change costs, before it is sent. An action that knows its price says it, and one that surely costs
    /// nothing says [`Money::nothing`].
    ///
    /// # Errors
    /// It is more than a person approved or than may be spent: the change must not be sent.
    pub async fn spend(&self, price: &Money) -> Result<()> {
        self.call.spend(price).await
    }

    /// Says, before it is read, that what follows may hold what people outside the business wrote, where only the provider
    /// knows that; see [`Action::tells_outsiders`](crate::Action::tells_outsiders).
    ///
    /// # Errors
    /// It cannot be noted: the action must not read on.
    pub async fn note_outsiders(&self) -> Result<()> {
        self.call.note_outsiders().await
    }

    /// The tenant's documents.
    #[must_use]
    pub fn records(&self) -> &dyn Records {
        self.call.records()
    }

    /// The resolvers that the operator wants asked in place of those that the public uses; mostly none.
    #[must_use]
    pub fn dns_servers(&self) -> &[SocketAddr] {
        self.call.dns_servers()
    }

    /// Keeps a file for the caller for ten minutes. Returns the link to it, for the result.
    ///
    /// # Errors
    /// It is larger than [`File::MAX`], or cannot be kept.
    pub async fn hand_out(&self, file: &File) -> Result<FileLink> {
        self.call.hand_out(file).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: Provider = Provider {
        base_url: "https://api.acme.example",
        other_urls: &["https://people.acme.example"],
        ..Provider::REST
    };

    #[test]
    fn another_part_of_the_api_is_reached_where_the_provider_declares_it() {
        let endpoints = Endpoints::new(&ACME, None).unwrap();
        let people = endpoints.other("https://people.acme.example").unwrap();
        assert_eq!(people.as_str(), "https://people.acme.example/");
        assert_eq!(endpoints.host(), "api.acme.example");
        let error = endpoints.other("https://evil.example").unwrap_err();
        assert_eq!(error.code(), Code::Internal, "{error}");
    }

    #[test]
    fn the_operators_own_address_stands_for_every_part_of_the_api() {
        let endpoints = Endpoints::new(&ACME, Some("http://127.0.0.1:7/acme")).unwrap();
        let people = endpoints.other("https://people.acme.example").unwrap();
        assert_eq!(people.as_str(), "http://127.0.0.1:7/acme");
        assert_eq!(endpoints.host(), "127.0.0.1:7");
    }
}
