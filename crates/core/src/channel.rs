//! Requests of a protocol that a library speaks over HTTP: each signed and guarded as an action's own, the answer read as
//! it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::reply::Failure;
use crate::text::quote;
use crate::{
    Admission, Answer, Api, Call, Code, Credentials, Error, Http, Observed, Provider, Question,
    Result, Scheme, Way,
};

/// Scopes that a refusal may name, and characters of one.
const SCOPES: usize = 20;
const SCOPE: usize = 200;

/// Longer than any person is waited for.
const PAUSE: Duration = Duration::from_hours(1);

/// The provider's one address, for as long as a call takes. Cheap to clone.
#[derive(Clone)]
pub struct Channel {
    http: Http,
    provider: &'static Provider,
    scheme: &'static Scheme,
    url: Url,
    credentials: Arc<dyn Credentials>,
    call: Arc<dyn Call>,
    /// When everything must be answered.
    until: watch::Sender<Instant>,
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
            until: watch::Sender::new(Instant::now() + time),
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

    /// Waits for something as long as there is time; `None` when there is none any more.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut until = self.until.subscribe();
        let mut work = std::pin::pin!(work);
        loop {
            let at = *until.borrow_and_update();
            tokio::select! {
                done = &mut work => return Some(done),
                () = sleep_until(at) => return None,
                _ = until.changed() => {}
            }
        }
    }

    /// Gives it so much time from now on, where that is more than is left.
    pub fn allow(&self, time: Duration) {
        let later = Instant::now() + time;
        self.until.send_modify(|until| *until = later.max(*until));
    }

    /// Whether there is a person who could be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.call.can_ask()
    }

    /// Asks the caller's person; the time until they have answered does not count.
    ///
    /// # Errors
    /// Whoever called has nobody who could be asked so, or the question holds the credential.
    pub async fn ask(&self, question: &Question) -> Result<Answer> {
        let redacted = |value: Value| self.credentials.redact(value);
        let message = redacted(question.message.as_str().into());
        let way = match &question.way {
            Way::Form(schema) => Way::Form(redacted(schema.clone())),
            Way::Page(url) if redacted(url.as_str().into()) == url.as_str() => question.way.clone(),
            Way::Page(_) => {
                let what = "It repeats the credential in the address. Nobody is led there.";
                return Err(Error::new(Code::ActionRequired, what));
            }
        };
        let message = message.as_str().unwrap_or_default().to_owned();
        let _paused = Paused::begin(&self.until);
        self.call.ask(&Question { message, way }).await
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
        let (response, admitted) = self.answered(request).await?;
        Ok(self.streamed(response, Some(admitted)))
    }

    /// As [`Channel::send`], for what may come later: an answer that is only listened to is no request under way.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn listen(&self, request: http::Request<Vec<u8>>) -> Result<Streamed> {
        let (response, _) = self.answered(request).await?;
        Ok(self.streamed(response, None))
    }

    async fn answered(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<(reqwest::Response, Admission)> {
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
        let answered = self.in_time(client.execute(request)).await;
        let response =
            answered.ok_or_else(|| self.down("did not answer in time"))?.map_err(|error| {
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
        Ok((response, admitted))
    }

    /// The answer as it comes, in its place among the requests under way, if it has one.
    fn streamed(&self, response: reqwest::Response, admitted: Option<Admission>) -> Streamed {
        let (status, headers) = (response.status(), response.headers().clone());
        let channel = self.clone();
        let body = response.bytes_stream();
        let body = futures::stream::unfold(Some((body, admitted)), move |state| {
            let channel = channel.clone();
            async move {
                let (mut body, admitted) = state?;
                let read = channel.in_time(body.next()).await;
                let late = || Err(channel.down("did not finish its answer in time"));
                match read.map_or_else(late, |read| channel.next(read)) {
                    Ok(Some(chunk)) => Some((Ok(chunk), Some((body, admitted)))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Streamed { status, headers, body: body.boxed() }
    }

    /// The next bytes of an answer, within the bounds.
    fn next(&self, read: Option<reqwest::Result<Bytes>>) -> Result<Option<Bytes>> {
        let chunk = match read {
            None => return Ok(None),
            Some(Err(_)) => return Err(self.down("broke off its answer")),
            Some(Ok(chunk)) => chunk,
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
        let mut error = failure.by_status();
        if error.code() == Code::PermissionDenied
            && let Some(scope) = lacking_scope(headers)
        {
            let name = self.provider.name;
            let told = &mut error.details_mut().message;
            *told = format!(
                "{name} refused permission: the access lacks the scope {scope}. A person grants it, then call again."
            );
            error = error.missing(scope);
        }
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

/// A parameter of what a server challenges with, such as `Bearer error="..."`.
pub fn challenge<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(WWW_AUTHENTICATE).iter().find_map(|told| {
        let told = told.to_str().ok()?;
        told.match_indices(name).find_map(|(at, _)| {
            let begins = told.get(..at)?.ends_with([' ', ',']);
            let value = told.get(at + name.len()..)?.strip_prefix('=').filter(|_| begins)?;
            match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => value.split([',', ' ']).next(),
            }
        })
    })
}

/// The scopes for want of which a request was refused, if they are some.
fn lacking_scope(headers: &HeaderMap) -> Option<String> {
    challenge(headers, "error").filter(|error| *error == "insufficient_scope")?;
    let scopes: Vec<&str> = challenge(headers, "scope")?.split(' ').collect();
    let is_scope = |scope: &&str| {
        (1..=SCOPE).contains(&scope.len())
            && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    let are_scopes = scopes.len() <= SCOPES && scopes.iter().all(is_scope);
    are_scopes.then(|| scopes.join(" "))
}

/// While it lives, no time passes.
struct Paused<'a> {
    until: &'a watch::Sender<Instant>,
    left: Duration,
}

impl<'a> Paused<'a> {
    fn begin(until: &'a watch::Sender<Instant>) -> Self {
        let left = until.borrow().saturating_duration_since(Instant::now());
        until.send_replace(Instant::now() + PAUSE);
        Self { until, left }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.until.send_replace(Instant::now() + self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenged(told: &str) -> HeaderMap {
        [(WWW_AUTHENTICATE, told.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn reads_which_scopes_are_wanted_and_nothing_else() {
        let wanted = |told: &str| lacking_scope(&challenged(told));
        for told in [
            "Bearer error=\"insufficient_scope\", scope=\"a b:c\"",
            "Bearer realm=\"x\",scope=\"a b:c\",error=insufficient_scope",
        ] {
            assert_eq!(wanted(told).as_deref(), Some("a b:c"), "{told}");
        }
        let long = "x".repeat(SCOPE + 1);
        let many = "x ".repeat(SCOPES) + "x";
        for told in [
            "Bearer scope=\"a\"".to_owned(),
            "Bearer error=\"invalid_token\", scope=\"a\"".to_owned(),
            "Bearer error=\"insufficient_scope\", scope=\"\"".to_owned(),
            "Bearer error=\"insufficient_scope\", xscope=\"a\"".to_owned(),
            format!("Bearer error=\"insufficient_scope\", scope=\"{long}\""),
            format!("Bearer error=\"insufficient_scope\", scope=\"{many}\""),
        ] {
            assert_eq!(wanted(&told), None, "{told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_passes_while_a_person_is_asked() {
        let until = watch::Sender::new(Instant::now() + Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(4)).await;
        let paused = Paused::begin(&until);
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert!(*until.borrow() > Instant::now());
        drop(paused);
        assert_eq!(*until.borrow(), Instant::now() + Duration::from_secs(6));
    }
}
