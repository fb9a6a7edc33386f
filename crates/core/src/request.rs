//! One request to a provider: built from parts, signed, sent, retried where that is safe, and its
//! answer mapped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::http::is_loopback;
use crate::path::fill;
use crate::reply::{Failure, Reply, unknown_outcome};
use crate::{Api, Code, Error, Page, PageRequest, Paging, PathArg, Result, Risk};

/// Redirects that one request may follow.
const MAX_REDIRECTS: usize = 3;

/// A request that is being built. Wrong values show when it is sent.
#[must_use]
pub struct Request<'a> {
    api: &'a Api,
    method: Method,
    path: Result<String>,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Result<Vec<u8>>>,
    paging: &'static Paging,
    /// A POST that changes nothing.
    reads: bool,
    /// A change that the provider's idempotency key does not protect.
    once: bool,
    idempotency_key: Option<HeaderValue>,
}

/// A text from a provider.
#[derive(Debug)]
pub struct Text {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether it went on after our bound.
    pub truncated: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        api: &'a Api,
        method: Method,
        path: &'static str,
        args: &[&dyn PathArg],
    ) -> Self {
        let path = fill(path, args);
        Self {
            api,
            method,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            paging: &api.provider.paging,
            reads: false,
            once: false,
            idempotency_key: None,
        }
    }

    /// Adds a query parameter. `None` is left out, a list is joined by commas.
    pub fn query(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value).map(|value| plain(&value)) {
            Ok(Some(text)) => self.query.push((name.to_owned(), text)),
            Ok(None) => {}
            Err(error) => {
                self.path = Err(Error::new(Code::Internal, format!("the query `{name}`: {error}")));
            }
        }
        self
    }

    /// Asks for one page of a list.
    pub fn page(self, page: &PageRequest) -> Self {
        let paging = &self.api.provider.paging;
        self.page_by(paging, page)
    }

    /// As [`Request::page`], where this list is continued in another way than the provider's others.
    pub fn page_by(mut self, paging: &'static Paging, page: &PageRequest) -> Self {
        self.paging = paging;
        let (size, max) = paging.size();
        self.query.push((size.to_owned(), page.size(max).to_string()));
        let Some(given) = &page.cursor else { return self };
        let parameter = match paging {
            Paging::Link { cursors, .. } => given
                .split_once('=')
                .filter(|(name, _)| cursors.contains(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            Paging::Cursor { cursor, .. } | Paging::LastId { cursor, .. } => {
                Some(((*cursor).to_owned(), given.clone()))
            }
        };
        match parameter {
            Some(parameter) => self.query.push(parameter),
            None => {
                self.path = Err(Error::invalid(
                    "cursor",
                    "invalid input: `cursor` is not a `next_cursor` of this list.",
                ));
            }
        }
        self
    }

    /// Asks for another media type than the provider's default.
    pub fn accept(mut self, media_type: &'static str) -> Self {
        self.headers.push((ACCEPT, HeaderValue::from_static(media_type)));
        self
    }

    /// Says that this POST only reads, as some providers want their queries. Reading actions may
    /// send it, and it is repeated as a GET would be.
    pub fn reads(mut self) -> Self {
        self.reads = true;
        self
    }

    /// Says that the provider heeds its idempotency key elsewhere but not here: this change is sent
    /// once only.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Sends a JSON body as it is.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            Error::new(Code::Internal, format!("the body cannot be written: {error}"))
        });
        self.body = Some(bytes);
        self
    }

    /// Sends a form, nested values as `a[b]` and list items as `a[0]`. Fields that are `null` are
    /// left out.
    pub fn form(mut self, body: &Value) -> Self {
        let mut fields = Vec::new();
        flatten(String::new(), body, &mut fields);
        let text =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.headers
            .push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
        self.body = Some(Ok(text.into_bytes()));
        self
    }

    /// Sends bytes of this media type.
    pub fn bytes(mut self, media_type: &'static str, bytes: Vec<u8>) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static(media_type)));
        self.body = Some(Ok(bytes));
        self
    }

    /// Sends a JSON object, leaving out the fields that are `null`.
    pub fn fields(self, mut body: Value) -> Self {
        if let Value::Object(fields) = &mut body {
            fields.retain(|_, value| !value.is_null());
        }
        self.json(&body)
    }

    /// Sends it and reads the answer as `T`.
    ///
    /// # Errors
    /// What the provider answered, told by [`Code`].
    pub async fn send<T: DeserializeOwned>(self) -> Result<T> {
        let api = self.api;
        let is_unsafe = !self.is_safe();
        let reply = self.exchange(false).await?;
        parse(api, is_unsafe, reply.0.json())
    }

    /// Sends it; `None` where the provider does not find it.
    ///
    /// # Errors
    /// As [`Request::send`], but not for `not_found`.
    pub async fn send_optional<T: DeserializeOwned>(self) -> Result<Option<T>> {
        match self.send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends it and ignores the body of the answer.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_empty(self) -> Result<()> {
        self.exchange(false).await.map(drop)
    }

    /// Sends it and reads the answer as text, cut at the bound of a body.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_text(self) -> Result<Text> {
        let (reply, truncated) = self.exchange(true).await?;
        Ok(Text { text: String::from_utf8_lossy(&reply.body).into_owned(), truncated })
    }

    /// Sends it and reads the answer as one page of a list.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn list<T: DeserializeOwned>(self) -> Result<Page<T>> {
        self.list_at("").await
    }

    /// As [`Request::list`], with the list in this field of the answer.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn list_in<T: DeserializeOwned>(self, field: &str) -> Result<Page<T>> {
        self.list_at(&format!("/{field}")).await
    }

    async fn list_at<T: DeserializeOwned>(self, pointer: &str) -> Result<Page<T>> {
        let (api, paging) = (self.api, self.paging);
        let (reply, _) = self.exchange(false).await?;
        let mut next = None;
        let list = reply.json().and_then(|mut body| {
            next = next_cursor(api, paging, &reply, &body, pointer);
            body.pointer_mut(pointer).map(Value::take).ok_or_else(|| "sent no list".to_owned())
        });
        Ok(Page { items: parse(api, false, list)?, next_cursor: next })
    }

    fn is_safe(&self) -> bool {
        self.reads || self.method.is_safe()
    }

    /// Whether sending it again does no harm.
    fn is_repeatable(&self) -> bool {
        self.is_safe() || self.idempotency_key.is_some()
    }

    fn url(&self) -> Result<Url> {
        let path = self.path.as_ref().map_err(Clone::clone)?;
        let base = &self.api.endpoints.base_url;
        let wrong = || Error::new(Code::Internal, format!("the path `{path}` makes no address"));
        let mut url = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/')))
            .map_err(|_| wrong())?;
        if url.origin() != base.origin() {
            return Err(wrong());
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }

    /// Sends it within the bound on the whole, again where that is safe.
    async fn exchange(mut self, cut: bool) -> Result<(Reply, bool)> {
        let api = self.api;
        if api.risk == Risk::Read && !self.is_safe() {
            return Err(Error::new(
                Code::Internal,
                format!("A reading action tried to send {}. Nothing was sent.", self.method),
            ));
        }
        let url = self.url()?;
        if !self.is_safe() && !self.once && api.provider.idempotency_header.is_some() {
            // The same operation counts its changes in the same order, so a repeated one has the same key.
            let count = api.changes.fetch_add(1, Ordering::Relaxed);
            self.idempotency_key =
                HeaderValue::try_from(format!("resto-{}-{count}", api.op_id())).ok();
        }
        let request = &self;
        let bounds = &api.http.bounds;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(bounds.retry_pause)
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(if request.is_repeatable() { 2 } else { 0 })
            .with_jitter();
        let tries = (|| request.attempt(&url, cut))
            .retry(backoff)
            .when(|error| {
                matches!(
                    error.code(),
                    Code::ProviderDown | Code::RateLimited | Code::UnknownOutcome
                )
            })
            .adjust(|error, delay| match (error.details().retry_after_s, delay) {
                (Some(seconds), Some(delay)) => Some(delay.max(Duration::from_secs(seconds)))
                    .filter(|wait| *wait <= bounds.patience),
                (None, delay) => delay,
                (Some(_), None) => None,
            });
        let bounded = tokio::time::timeout(bounds.total, tries);
        let cancelled = api.call.cancelled();
        let outcome = if api.risk == Risk::Read {
            tokio::select! {
                outcome = bounded => outcome,
                () = cancelled.cancelled() => {
                    return Err(Error::new(Code::Cancelled, "The caller cancelled the call."));
                }
            }
        } else {
            bounded.await
        };
        outcome.unwrap_or_else(|_| {
            Err(self.lost(&format!("did not finish within {} s", bounds.total.as_secs())))
        })
    }

    async fn attempt(&self, url: &Url, cut: bool) -> Result<(Reply, bool)> {
        let api = self.api;
        let bounds = &api.http.bounds;
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let ours = url.origin() == api.endpoints.base_url.origin();
            let request = self.build(&url, ours)?;
            let client = api.http.client(&url)?;
            let response =
                match tokio::time::timeout(bounds.first_byte, client.execute(request)).await {
                    Ok(Ok(response)) => response,
                    Ok(Err(error)) if error.is_connect() || self.is_safe() => {
                        return Err(self.unreachable(&error));
                    }
                    Ok(Err(_)) => return Err(self.lost("did not answer")),
                    Err(_) => {
                        return Err(self.lost(&format!(
                            "did not answer within {} s",
                            bounds.first_byte.as_secs()
                        )));
                    }
                };
            if response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED {
                url = self.redirected(&url, &response)?;
                continue;
            }
            let (reply, truncated) =
                Reply::read(response, bounds, cut).await.map_err(|what| self.lost(&what))?;
            return self.judge(reply).map(|reply| (reply, truncated));
        }
        Err(self.lost("redirected too often"))
    }

    fn build(&self, url: &Url, sign: bool) -> Result<reqwest::Request> {
        let api = self.api;
        let mut request = reqwest::Request::new(self.method.clone(), url.clone());
        // Without the credential the request goes to a download host, which is told nothing else either.
        if sign {
            let headers = request.headers_mut();
            for (name, value) in api.provider.headers {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            if let Some(key) =
                self.api.provider.idempotency_header.zip(self.idempotency_key.as_ref())
            {
                headers.insert(HeaderName::from_static(key.0), key.1.clone());
            }
            if self.body.is_some() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            for (name, value) in &self.headers {
                headers.insert(name.clone(), value.clone());
            }
            if let Some(body) = &self.body {
                *request.body_mut() = Some(body.clone()?.into());
            }
            api.credentials.sign(api.scheme, &mut request)?;
        }
        Ok(request)
    }

    /// Where a redirect leads, if we go there: the same origin, or a declared download host.
    fn redirected(&self, from: &Url, response: &reqwest::Response) -> Result<Url> {
        let provider = self.api.provider;
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| from.join(location).ok());
        let Some(target) = target else { return Err(self.lost("redirected to nowhere")) };
        if !self.is_safe() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "{} says that this has moved, and changes are not sent after it. Read it under its new name first. Nothing was changed.",
                    provider.name
                ),
            ));
        }
        let base = &self.api.endpoints.base_url;
        let host = target.host_str().unwrap_or_default();
        let declared =
            provider.download_hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
                Some(suffix) => host.strip_suffix(suffix).is_some_and(|name| name.ends_with('.')),
                None => host == *pattern,
            });
        let secure = target.scheme() == "https" && target.port().is_none();
        if target.origin() == base.origin()
            || (declared && secure)
            || (is_loopback(base) && is_loopback(&target))
        {
            return Ok(target);
        }
        Err(Error::new(
            Code::Denied,
            format!(
                "{} redirected to `{host}`, which is not one of its declared hosts. It was not followed.",
                provider.name
            ),
        ))
    }

    fn judge(&self, reply: Reply) -> Result<Reply> {
        let api = self.api;
        let mut observed = reply.observed(api.provider);
        if reply.status.is_success() {
            api.observe(observed);
            return Ok(reply);
        }
        let body = reply.json().unwrap_or_default();
        let failure = Failure {
            provider: api.provider,
            status: reply.status.as_u16(),
            headers: &reply.headers,
            body: &body,
            is_unsafe: !self.is_safe(),
        };
        let error = (api.provider.classify)(&failure).unwrap_or_else(|| failure.by_status());
        observed.lacking.clone_from(&error.details().missing_permission);
        api.observe(observed);
        Err(error)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let provider = self.api.provider;
        let mut told = Error::new(
            Code::ProviderDown,
            format!(
                "{} cannot be reached: {cause}. Nothing was done. Try again later.",
                provider.name
            ),
        );
        told.details_mut().provider = Some(provider.name.to_owned());
        told
    }

    /// The answer was lost: harmless for a read, an unknown outcome for a change.
    fn lost(&self, what: &str) -> Error {
        let provider = self.api.provider;
        if !self.is_safe() {
            return unknown_outcome(provider, what);
        }
        let mut error =
            Error::new(Code::ProviderDown, format!("{} {what}. Try again later.", provider.name));
        error.details_mut().provider = Some(provider.name.to_owned());
        error
    }
}

/// Reads an answer that the provider called a success.
fn parse<T: DeserializeOwned>(
    api: &Api,
    is_unsafe: bool,
    body: Result<Value, String>,
) -> Result<T> {
    let parsed = body.and_then(|body| {
        serde_json::from_value(body)
            .map_err(|error| format!("sent an answer that we do not understand ({error})"))
    });
    parsed.map_err(|what| {
        let name = api.provider.name;
        let (code, advice) = if is_unsafe {
            (Code::UnknownOutcome, "It says the change was made. Look before trying again.")
        } else {
            (Code::ProviderDown, "Try again later.")
        };
        let mut error = Error::new(code, format!("{name} {what}. {advice}"));
        error.details_mut().provider = Some(name.to_owned());
        error
    })
}

fn next_cursor(
    api: &Api,
    paging: &Paging,
    reply: &Reply,
    body: &Value,
    list: &str,
) -> Option<String> {
    match paging {
        Paging::Link { cursors, .. } => linked(api, reply, cursors),
        Paging::Cursor { next, .. } => {
            body.pointer(next).and_then(plain).filter(|next| !next.is_empty())
        }
        Paging::LastId { more, .. } => {
            let more = body.pointer(more).and_then(Value::as_bool).unwrap_or_default();
            let last = body.pointer(list).and_then(Value::as_array).and_then(|items| items.last());
            last.and_then(|item| item.get("id")?.as_str()).filter(|_| more).map(str::to_owned)
        }
    }
}

fn linked(api: &Api, reply: &Reply, cursors: &[&str]) -> Option<String> {
    let header = reply.headers.get(reqwest::header::LINK)?.to_str().ok()?;
    let next = header.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let url = api.endpoints.base_url.join(url).ok()?;
    cursors.iter().find_map(|wanted| {
        url.query_pairs()
            .find(|(name, _)| name == wanted)
            .map(|(name, value)| format!("{name}={value}"))
    })
}

/// The fields of a form, nested ones by their path.
fn flatten(path: String, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}[{key}]") };
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, member) in members {
                flatten(below(key), member, fields);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(below(&index.to_string()), item, fields);
            }
        }
        Value::String(text) => fields.push((path, text.clone())),
        other => fields.push((path, other.to_string())),
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(plain).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}
