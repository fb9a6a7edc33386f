//! Sending a request: within the bound on the whole, signed, again where that is safe, and its answer
//! told apart.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use url::Url;

use crate::http::is_loopback;
use crate::reply::{Failure, Reply, unknown_outcome};
use crate::request::Again;
use crate::text::quote;
use crate::{Api, Began, Code, Draft, Error, Request, Result, Risk};

/// Redirects that one request may follow.
const MAX_REDIRECTS: usize = 3;

impl Api {
    /// Whether the provider still knows the idempotency keys of this operation.
    fn is_key_known(&self) -> bool {
        let Some(idempotency) = self.provider.idempotency else { return false };
        let is_young = |began: Began| began.ago.is_some_and(|ago| ago < idempotency.lives);
        self.call.reconciles().is_none_or(is_young)
    }
}

impl Request<'_> {
    /// Whether it changes nothing.
    pub(crate) fn is_safe(&self) -> bool {
        self.reads || self.method.is_safe()
    }

    /// Whether sending it again does no harm.
    fn is_repeatable(&self) -> bool {
        self.is_safe() || self.again == Again::Freely || self.idempotency_key.is_some()
    }

    /// The part of the provider's API that it goes to.
    fn base(&self) -> Result<&Url> {
        let endpoints = &self.api.endpoints;
        self.at.map_or(Ok(&endpoints.base_url), |url| endpoints.other(url))
    }

    fn url(&self) -> Result<Url> {
        let path = self.path.as_ref().map_err(Clone::clone)?;
        let base = self.base()?;
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
    pub(crate) async fn exchange(mut self, cut: bool) -> Result<(Reply, bool)> {
        let api = self.api;
        if api.risk == Risk::Read && !self.is_safe() {
            return Err(Error::new(
                Code::Internal,
                format!("A reading action tried to send {}. Nothing was sent.", self.method),
            ));
        }
        let url = self.url()?;
        let by_key = self.again == Again::ByKey && api.provider.idempotency.is_some();
        if !self.is_safe() && by_key {
            // The same operation counts its changes in the same order, so a repeated one has the same key.
            let count = api.changes.fetch_add(1, Ordering::Relaxed);
            self.idempotency_key =
                HeaderValue::try_from(format!("resto-{}-{count}", api.op_id())).ok();
        }
        if !self.is_safe() {
            // Keys are for what is posted: a deletion is none of them, whatever else it carries.
            let by_key = self.idempotency_key.is_some() && self.method == Method::POST;
            if self.again == Again::Freely || (by_key && api.is_key_known()) {
                api.keep(|| self.draft(&url))?;
            } else {
                api.withhold(|| self.draft(&url))?;
            }
        }
        // Before the time is measured: whoever waits here has sent nothing.
        let cancelled = api.call.cancelled();
        let first = if api.risk == Risk::Read {
            tokio::select! {
                admitted = api.call.admit() => admitted?,
                () = cancelled.cancelled() => return Err(given_up()),
            }
        } else {
            api.call.admit().await?
        };
        let first = Mutex::new(Some(first));
        let request = &self;
        let bounds = &api.http.bounds;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(bounds.retry_pause)
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(if request.is_repeatable() { 2 } else { 0 })
            .with_jitter();
        let started = Instant::now();
        // The first try of a change whose outcome is not known, if there was one.
        let mut doubt = None;
        let resent = AtomicU32::new(0);
        let last = Mutex::new(Span::none());
        let tries = (|| async {
            let admitted = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _admitted = match admitted {
                Some(admitted) => admitted,
                None => api.call.admit().await?,
            };
            let span = request.span(&url, resent.fetch_add(1, Ordering::Relaxed));
            last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&span);
            let tried = request.attempt(&url, cut).instrument(span.clone()).await;
            tried.inspect_err(|error| failed(&span, error.code()))
        })
        .retry(backoff)
        .notify(|error: &Error, _| {
            if error.code() == Code::UnknownOutcome {
                doubt.get_or_insert_with(|| error.clone());
            }
        })
        .when(|error| {
            matches!(error.code(), Code::ProviderDown | Code::RateLimited | Code::UnknownOutcome)
        })
        .adjust(|error, delay| match (error.details().retry_after_s, delay) {
            (Some(seconds), Some(delay)) => Some(delay.max(Duration::from_secs(seconds)))
                // A wait that outlasts the whole would end without saying why.
                .filter(|wait| *wait <= bounds.patience)
                .filter(|wait| started.elapsed() + *wait < bounds.total),
            (None, delay) => delay,
            (Some(_), None) => None,
        });
        let bounded = tokio::time::timeout(bounds.total, tries);
        let outcome = if api.risk == Risk::Read {
            tokio::select! {
                outcome = bounded => outcome,
                () = cancelled.cancelled() => return Err(given_up()),
            }
        } else {
            bounded.await
        };
        let outcome = outcome.unwrap_or_else(|_| {
            failed(&last.lock().unwrap_or_else(PoisonError::into_inner), Code::ProviderDown);
            Err(self.lost(&format!("did not finish within {} s", bounds.total.as_secs())))
        });
        outcome.map_err(|error| match (error.code(), doubt) {
            // A later try that got no answer to the change says nothing about the first.
            (
                Code::ProviderDown | Code::RateLimited | Code::AuthExpired | Code::Conflict,
                Some(doubt),
            ) => doubt,
            _ => error,
        })
    }

    /// One try, by OpenTelemetry's names and without what fills the path: that may be an argument. Logs show it below the
    /// level that is usual.
    fn span(&self, url: &Url, resent: u32) -> Span {
        tracing::debug_span!(
            "request",
            otel.kind = "client",
            otel.name = %format_args!("{} {}", self.method, self.template),
            otel.status_code = Empty,
            http.request.method = %self.method,
            http.request.resend_count = (resent > 0).then_some(i64::from(resent)),
            http.response.status_code = Empty,
            url.template = self.template,
            server.address = url.host_str(),
            error.type = Empty,
        )
    }

    /// The request as it would be sent, without its credential.
    fn draft(&self, url: &Url) -> Draft {
        let body = match &self.body {
            Some(Ok(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        };
        Draft { method: self.method.to_string(), url: url.to_string(), body }
    }

    async fn attempt(&self, url: &Url, cut: bool) -> Result<(Reply, bool)> {
        let api = self.api;
        let bounds = &api.http.bounds;
        let base = self.base()?.origin();
        let mut url = url.clone();
        let mut ours = true;
        let until = self.listens.map(|time| Instant::now() + time);
        for _ in 0..=MAX_REDIRECTS {
            // Whoever is elsewhere must not choose what we sign: there is no way back.
            ours &= url.origin() == base;
            let request = self.build(&url, ours)?;
            let client = api.http.client(&url)?;
            let first_byte = until.unwrap_or_else(|| Instant::now() + bounds.first_byte);
            let response = match tokio::time::timeout_at(first_byte, client.execute(request)).await
            {
                Ok(Ok(response)) => response,
                Ok(Err(error)) if error.is_connect() || self.is_safe() => {
                    return Err(self.unreachable(&error));
                }
                Ok(Err(_)) => return Err(self.lost("did not answer")),
                // Some streams begin with what they have to tell.
                Err(_) if until.is_some() => return Ok((Reply::nothing(), true)),
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
            let status = i64::from(response.status().as_u16());
            Span::current().record("http.response.status_code", status);
            let (reply, truncated) =
                Reply::read(response, bounds, cut, until).await.map_err(|what| self.lost(&what))?;
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
            if let Some((idempotency, key)) =
                self.api.provider.idempotency.zip(self.idempotency_key.as_ref())
            {
                headers.insert(HeaderName::from_static(idempotency.header), key.clone());
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
            if !self.unsigned {
                api.credentials.sign(api.scheme, &mut request)?;
            }
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
        let base = self.base()?;
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
            api.call.tried(true);
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
        if error.code() == Code::RateLimited {
            observed.pause_s = error.details().retry_after_s;
        }
        api.observe(observed);
        api.call.tried(!matches!(error.code(), Code::ProviderDown | Code::UnknownOutcome));
        Err(error)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        self.api.call.tried(false);
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
        self.api.call.tried(false);
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

fn failed(span: &Span, code: Code) {
    span.record("otel.status_code", "ERROR").record("error.type", code.as_str());
}

fn given_up() -> Error {
    Error::new(Code::Cancelled, "The caller cancelled the call.")
}
