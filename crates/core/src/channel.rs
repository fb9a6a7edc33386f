//! Requests of a protocol that a library speaks over HTTP: each signed and guarded as an action's own, the answer read as
//! it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::reply::Failure;
use crate::text::quote;
use crate::{Api, Call, Code, Credentials, Error, Http, Observed, Provider, Result, Scheme};

/// The provider's one address, for as long as a call takes. Cheap to clone.
#[derive(Clone)]
pub struct Channel {
    http: Http,
    provider: &'static Provider,
    scheme: &'static Scheme,
    url: Url,
    credentials: Arc<dyn Credentials>,
    call: Arc<dyn Call>,
    until: Instant,
    /// Bytes that may still be read, over all answers.
    left: Arc<AtomicUsize>,
}

/// An answer that is read as it comes.
pub struct Streamed {
    /// The status: a success, or a refusal of this request that the protocol may understand.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, after decompression. It ends with an error when the channel's bounds are reached.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl Api {
    /// A channel to the provider's API address. Everything sent over it is answered within `time`, and all answers together
    /// hold no more bytes than one body may.
    #[must_use]
    pub fn channel(&self, time: Duration) -> Channel {
        Channel {
            http: self.http.clone(),
            provider: self.provider,
            scheme: self.scheme,
            url: self.endpoints.base_url.clone(),
            credentials: Arc::clone(&self.credentials),
            call: Arc::clone(&self.call),
            until: Instant::now() + time,
            left: Arc::new(AtomicUsize::new(self.http.bounds.body)),
        }
    }
}

impl Channel {
    /// Where its requests go.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// When everything must be answered.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Tells the caller how far it is.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        let message = self.credentials.redact(message.into());
        self.call.progress(done, total, message.as_str().unwrap_or_default());
    }

    /// Signs a request and sends it once, to no other address than the channel's.
    ///
    /// # Errors
    /// No answer came, it redirects, or the provider refuses the credential, limits requests or has a fault.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Streamed> {
        let fault = |what: &str| Error::new(Code::Internal, format!("The request {what}."));
        if *request.uri() != *self.url.as_str() {
            return Err(fault("would have gone elsewhere. Nothing was sent"));
        }
        let mut request = reqwest::Request::try_from(request)
            .map_err(|_| fault("cannot be built. Nothing was sent"))?;
        let client = self.http.client(&self.url)?;
        let admitted = self.call.admit().await?;
        self.credentials.sign(self.scheme, &mut request)?;
        let bounds = &self.http.bounds;
        let answered = timeout_at(self.until, client.execute(request)).await;
        let response =
            answered.map_err(|_| self.down("did not answer in time"))?.map_err(|error| {
                self.down(if error.is_connect() { "cannot be reached" } else { "broke off" })
            })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let size: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > bounds.headers || size > bounds.header_bytes {
            return Err(self.down("sent more headers than we accept"));
        }
        if status.is_redirection() {
            return Err(Error::new(
                Code::Denied,
                format!(
                    "{} redirects elsewhere, and the credential does not follow. Whoever runs this server corrects its address.",
                    self.provider.name
                ),
            ));
        }
        if matches!(status.as_u16(), 401 | 402 | 403 | 429 | 500..) {
            return Err(self.refused(status, &headers));
        }
        let channel = self.clone();
        let body = response.bytes_stream();
        let body = futures::stream::unfold(Some((body, admitted)), move |state| {
            let channel = channel.clone();
            async move {
                let (mut body, admitted) = state?;
                match channel.next(timeout_at(channel.until, body.next()).await) {
                    Ok(Some(chunk)) => Some((Ok(chunk), Some((body, admitted)))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Ok(Streamed { status, headers, body: body.boxed() })
    }

    /// The next bytes of an answer, within the bounds.
    fn next(
        &self,
        read: std::result::Result<Option<reqwest::Result<Bytes>>, tokio::time::error::Elapsed>,
    ) -> Result<Option<Bytes>> {
        let chunk = match read {
            Err(_) => return Err(self.down("did not finish its answer in time")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(self.down("broke off its answer")),
            Ok(Some(Ok(chunk))) => chunk,
        };
        let take = |left: usize| left.checked_sub(chunk.len());
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(Some(chunk)),
            Err(_) => Err(self.down("sent more than we accept")),
        }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Error {
        let failure = Failure {
            provider: self.provider,
            status: status.as_u16(),
            headers,
            body: &Value::Null,
            is_unsafe: false,
        };
        let error = failure.by_status();
        if error.code() == Code::RateLimited {
            let pause_s = error.details().retry_after_s;
            self.call.observe(Observed { pause_s, ..Observed::default() });
        }
        error
    }

    fn down(&self, what: &str) -> Error {
        let name = self.provider.name;
        let mut error =
            Error::new(Code::ProviderDown, format!("{name} {}. Try again later.", quote(what)));
        error.details_mut().provider = Some(name.to_owned());
        error
    }
}
