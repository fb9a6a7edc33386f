//! One request to a provider: built from parts, signed, sent, retried where that is safe, and its
//! answer mapped.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::http::is_loopback;
use crate::page::next_cursor;
use crate::path::fill;
use crate::reply::{Failure, Reply, parse, unknown_outcome};
use crate::text::quote;
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
        Self { api, method, path, query: Vec::new(), headers: Vec::new(), body: None }
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
    pub fn page(mut self, page: &PageRequest) -> Self {
        let Paging::Link { size, max, cursors } = &self.api.provider.paging;
        self.query.push(((*size).to_owned(), page.size(*max).to_string()));
        if let Some(cursor) = &page.cursor {
            match cursor.split_once('=').filter(|(name, _)| cursors.contains(name)) {
                Some((name, value)) => self.query.push((name.to_owned(), value.to_owned())),
                None => {
                    self.path = Err(Error::invalid(
                        "cursor",
                        "invalid input: `cursor` is not a `next_cursor` of this list.",
                    ));
                }
            }
        }
        self
    }

    /// Asks for another media type than the provider's default.
    pub fn accept(mut self, media_type: &'static str) -> Self {
        self.headers.push((reqwest::header::ACCEPT, HeaderValue::from_static(media_type)));
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
        parse(api.provider, is_unsafe, reply.0.json())
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
        let api = self.api;
        let (reply, _) = self.exchange(false).await?;
        let list = reply.json().and_then(|mut body| {
            body.pointer_mut(pointer).map(Value::take).ok_or_else(|| "sent no list".to_owned())
        });
        Ok(Page {
            items: parse(api.provider, false, list)?,
            next_cursor: next_cursor(api, &reply.headers),
        })
    }

    fn is_safe(&self) -> bool {
        self.method.is_safe()
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
    async fn exchange(self, cut: bool) -> Result<(Reply, bool)> {
        let api = self.api;
        if api.risk == Risk::Read && !self.is_safe() {
            return Err(Error::new(
                Code::Internal,
                format!("A reading action tried to send {}. Nothing was sent.", self.method),
            ));
        }
        let url = self.url()?;
        let bounds = &api.http.bounds;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(bounds.retry_pause)
            .with_max_times(if self.is_safe() { 2 } else { 0 })
            .with_jitter();
        let tries = (|| self.attempt(&url, cut))
            .retry(backoff)
            .when(|error| matches!(error.code(), Code::ProviderDown | Code::RateLimited))
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
        let mut ours = true;
        for _ in 0..=MAX_REDIRECTS {
            // Whoever is elsewhere must not choose what we sign: there is no way back.
            ours &= url.origin() == api.endpoints.base_url.origin();
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
            for (name, value) in &self.headers {
                headers.insert(name.clone(), value.clone());
            }
            if let Some(body) = &self.body {
                headers.insert(
                    reqwest::header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                );
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
            // It answers a change that was made, and says where the result is.
            if response.status() == StatusCode::SEE_OTHER {
                return Err(self.lost("keeps its answer elsewhere"));
            }
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
                "{} cannot be reached: {}. Nothing was done. Try again later.",
                provider.name,
                quote(&cause.to_string())
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

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(plain).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}
