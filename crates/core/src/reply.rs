//! A provider's answer: read within bounds, and told apart by the taxonomy of [`Code`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::text::quote;
use crate::{Bounds, Code, Error, Observed, Provider, RateLimit, Result};

/// An answer, whole and within bounds.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// An answer that is not a success, as a provider's `classify` reads it.
pub struct Failure<'a> {
    /// Who answered.
    pub provider: &'a Provider,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, `null` where it is not JSON.
    pub body: &'a Value,
    /// Whether the request could have changed something.
    pub is_unsafe: bool,
}

impl Failure<'_> {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A text field of the body, by JSON pointer (RFC 6901).
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// The provider's own words, cleaned and cut: `message`, `error.message`, `error_description`,
    /// `error` or `errors[0].message` of the body.
    #[must_use]
    pub fn quote(&self) -> String {
        let words =
            ["/message", "/error/message", "/error_description", "/error", "/errors/0/message"]
                .iter()
                .find_map(|pointer| self.text(pointer))
                .unwrap_or_default();
        quote(words)
    }

    /// An error that says who answered, in which words, and what to do: "GitHub `did`: words. `advice`".
    #[must_use]
    pub fn error(&self, code: Code, did: &str, advice: &str) -> Error {
        let quote = self.quote();
        let name = self.provider.name;
        let said = if quote.is_empty() {
            format!(" (HTTP {})", self.status)
        } else {
            format!(": {quote}")
        };
        let advice = if advice.is_empty() { String::new() } else { format!(" {advice}") };
        self.told(Error::new(code, format!("{name} {did}{said}.{advice}")))
    }

    /// The error with the facts of this answer.
    fn told(&self, mut error: Error) -> Error {
        let details = error.details_mut();
        details.provider = Some(self.provider.name.to_owned());
        details.http_status = Some(self.status);
        details.request_id = self.header(self.provider.request_id_header).map(quote);
        error
    }

    /// The kind of error by HTTP status alone; quotas first, since they hide behind 403 too.
    pub(crate) fn by_status(&self) -> Error {
        let limited = self.status == 429
            || (self.status == 403
                && self
                    .header(self.provider.rate_headers.remaining)
                    .is_some_and(|left| left.trim() == "0"));
        if limited {
            return self.rate_limited();
        }
        match self.status {
            401 => {
                self.error(Code::AuthExpired, "refused the credential", "Reconnect the account.")
            }
            402 => self.error(
                Code::PaymentRequired,
                "asks for payment",
                "See to it at the provider, then try again.",
            ),
            403 | 451 => self.error(
                Code::PermissionDenied,
                "refused permission",
                "Give the credential the right it lacks, or ask the account's owner.",
            ),
            404 | 410 => self.error(
                Code::NotFound,
                "did not find it",
                "The name may be wrong, or the credential may not see it.",
            ),
            409 | 412 => self.error(
                Code::Conflict,
                "reports a conflict",
                "Read the current state, then decide.",
            ),
            // A fault, or 408 and 425: too slow, too early.
            408 | 425 | 500..=599 if !self.is_unsafe => {
                let mut error = self.error(Code::ProviderDown, "has a fault", "Try again later.");
                error.details_mut().retry_after_s = self.retry_after(SystemTime::now());
                error
            }
            400..=499 if ![408, 425].contains(&self.status) => {
                self.error(Code::InvalidInput, "refused the request", "Correct the input.")
            }
            _ if self.is_unsafe => {
                let what = format!("answered HTTP {}", self.status);
                self.told(unknown_outcome(self.provider, &what))
            }
            _ => self.error(
                Code::ProviderDown,
                "gave an answer that we do not understand",
                "Try again later.",
            ),
        }
    }

    /// A quota is used up: says when to come back, as far as the headers tell.
    #[must_use]
    pub fn rate_limited(&self) -> Error {
        let now = SystemTime::now();
        let wait = self.retry_after(now).or_else(|| self.quota_returns(now));
        let advice = match wait {
            Some(seconds) => format!("Try again in {seconds} seconds."),
            None => "Try again in a minute.".to_owned(),
        };
        self.error(Code::RateLimited, "limits the rate of requests", &advice)
            .retry_after(wait.unwrap_or(60))
    }

    fn retry_after(&self, now: SystemTime) -> Option<u64> {
        wait(self.header("retry-after")?, now)
    }

    /// The end of the quota's period, in seconds from `now`.
    fn quota_returns(&self, now: SystemTime) -> Option<u64> {
        let reset = self.header(self.provider.rate_headers.reset)?.trim().parse().ok()?;
        Some(seconds(now, UNIX_EPOCH.checked_add(Duration::from_secs(reset))?))
    }
}

/// The seconds that a `Retry-After` asks for: a number, or a date (RFC 9110, section 10.2.3).
fn wait(retry_after: &str, now: SystemTime) -> Option<u64> {
    let text = retry_after.trim();
    text.parse().ok().or_else(|| Some(seconds(now, httpdate::parse_http_date(text).ok()?)))
}

/// Seconds from `now` to `at`, rounded up, at least one.
fn seconds(now: SystemTime, at: SystemTime) -> u64 {
    let wait = at.duration_since(now).unwrap_or_default();
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A change was sent, and whether it happened is not known.
pub(crate) fn unknown_outcome(provider: &Provider, what: &str) -> Error {
    let mut error = Error::new(
        Code::UnknownOutcome,
        format!(
            "{} {what} after the change was sent: it may have happened. Look before trying again.",
            provider.name
        ),
    );
    error.details_mut().provider = Some(provider.name.to_owned());
    error
}

/// A change was sent before, and whether it happened is not known; it is not sent again.
pub(crate) fn in_doubt(provider: &Provider) -> Error {
    let mut error = Error::new(
        Code::UnknownOutcome,
        format!("Whether {} did this is not known, and it was not sent again.", provider.name),
    );
    error.details_mut().provider = Some(provider.name.to_owned());
    error
}

/// Reads an answer that the provider called a success.
pub(crate) fn parse<T: DeserializeOwned>(
    provider: &Provider,
    is_unsafe: bool,
    body: Result<Value, String>,
) -> Result<T> {
    let parsed = body.and_then(|body| serde_json::from_value(body).map_err(|error| misfit(&error)));
    parsed.map_err(|what| {
        let name = provider.name;
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

/// What an answer lacks, without what it holds: serde quotes the value before ", expected".
fn misfit(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let lacks = match told.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => told,
    };
    format!("sent an answer that we do not understand ({})", quote(&lacks))
}

impl Reply {
    /// An empty answer.
    pub fn nothing() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// Reads an answer to its end, or `until` a time. A body that passes the bound is cut
    /// if `cut`, else refused. Returns whether it was cut.
    pub async fn read(
        response: reqwest::Response,
        bounds: &Bounds,
        cut: bool,
        until: Option<Instant>,
    ) -> Result<(Self, bool), String> {
        let status = response.status();
        let headers = response.headers().clone();
        let size: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > bounds.headers || size > bounds.header_bytes {
            return Err("sent more headers than we accept".to_owned());
        }
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        loop {
            let next = match until {
                Some(until) => match timeout_at(until, stream.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok((Self { status, headers, body }, true)),
                },
                None => stream.next().await,
            };
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| "broke off its answer".to_owned())?;
            let room = bounds.body - body.len();
            if let Some(fitting) = chunk.get(..room).filter(|_| chunk.len() > room) {
                if cut {
                    body.extend_from_slice(fitting);
                    return Ok((Self { status, headers, body }, true));
                }
                return Err(format!(
                    "sent more than {} bytes, which we do not accept",
                    bounds.body
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((Self { status, headers, body }, false))
    }

    /// The body as JSON, refusing one that is nested deeper than 64.
    pub fn json(&self) -> Result<Value, String> {
        let mut depth = 0_u32;
        let mut in_string = false;
        let mut escaped = false;
        for &byte in &self.body {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => {
                    depth += 1;
                    if depth > 64 {
                        return Err("sent JSON that is nested too deeply".to_owned());
                    }
                }
                b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        serde_json::from_slice(&self.body).map_err(|_| "sent an answer that is not JSON".to_owned())
    }

    /// What the headers tell about quotas and rights.
    pub fn observed(&self, provider: &Provider) -> Observed {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<u64>().ok());
        let names = &provider.rate_headers;
        Observed {
            rate_limit: number(names.remaining).map(|remaining| RateLimit {
                resource: quote(names.resource.and_then(text).unwrap_or("default")),
                limit: number(names.limit),
                remaining,
                reset_at: number(names.reset),
            }),
            granted: provider
                .granted_header
                .and_then(text)
                .map(|list| list.split(',').map(quote).filter(|name| !name.is_empty()).collect()),
            end: provider.end_header.and_then(text).map(quote),
            lacking: None,
            pause_s: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after_in_every_form_of_the_standard() {
        // 1994-11-06 08:48:07.5, so 89.5 seconds earlier than the dates below.
        let now = UNIX_EPOCH + Duration::from_millis(784_111_687_500);
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(wait(text, now), seconds, "{text}");
        }
    }
}
