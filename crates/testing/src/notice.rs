//! A message of a provider, as an adapter reads it.

use http::HeaderMap;
use resto_core::{News, Notice, Webhooks};
use serde_json::Value;

/// What an adapter reads in a message with these headers and this body.
#[must_use]
pub fn read_notice(webhooks: &Webhooks, headers: &[(&str, &str)], body: &Value) -> Option<News> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    (webhooks.read)(&Notice { headers: &headers, body })
}
