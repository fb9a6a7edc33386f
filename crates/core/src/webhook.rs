//! What a provider tells by itself, and how it signs that, as data.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

/// How a provider sends messages, and what they say of connections.
#[derive(Debug)]
pub struct Webhooks {
    /// How a message is signed.
    pub signature: Signature,
    /// What tells one delivery from another.
    pub delivery: Delivery,
    /// What a message says of connections; none where it says nothing of them.
    pub read: fn(&Notice<'_>) -> Option<News>,
}

/// How a message is signed.
#[derive(Debug)]
pub enum Signature {
    /// It is a security event token (RFC 8417), made with RS256 and a key that the integration's OAuth issuer publishes at
    /// `/.well-known/risc-configuration`, for our OAuth client there. No secret is agreed on; the body is what the token says.
    Published,
    /// HMAC-SHA256 of the body, after a prefix, in hexadecimal digits like the two below: with a secret that both sides know.
    Sha256 {
        /// The header.
        header: &'static str,
        /// What stands before the digits.
        prefix: &'static str,
    },
    /// HMAC-SHA1 of the body.
    Sha1 {
        /// The header.
        header: &'static str,
    },
    /// `t=1700000000,v1=...`: HMAC-SHA256 of the time, a point and the body. One of several `v1` is enough.
    Timed {
        /// The header.
        header: &'static str,
        /// How far the time may be from ours.
        tolerance: Duration,
    },
}

/// Where a delivery has its id.
#[derive(Debug)]
pub enum Delivery {
    /// In this header.
    Header(&'static str),
    /// At this place of the body (RFC 6901).
    Body(&'static str),
}

/// A message whose signature was right.
#[derive(Debug)]
pub struct Notice<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a Value,
}

impl Notice<'_> {
    /// A header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A text of the body, by its place (RFC 6901); empty where there is none.
    #[must_use]
    pub fn text(&self, place: &str) -> &str {
        self.body.pointer(place).and_then(Value::as_str).unwrap_or_default()
    }

    /// An id of the body, which may be a number, by its place (RFC 6901).
    #[must_use]
    pub fn id(&self, place: &str) -> Option<String> {
        match self.body.pointer(place)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// What a message says of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Of which accounts, as [`Account::id`](crate::Account::id) names them; any of these.
    pub accounts: Vec<String>,
    /// Only of those in this mode.
    pub mode: Option<&'static str>,
    /// What.
    pub change: Change,
    /// When it happened, in seconds since 1970, where the message says so.
    pub at: Option<i64>,
}

/// What happened to what our client was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was withdrawn.
    Ended,
    /// It became less.
    Narrowed,
    /// It became something else: the provider is asked.
    Other,
}
