//! What the fake provider was asked.

use std::collections::BTreeMap;

use serde_json::Value;
use wiremock::Request;

use crate::form;

/// A request as the provider saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query parameters.
    pub query: BTreeMap<String, String>,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body: JSON, or a form as nested JSON whose values are texts; else `null`.
    pub body: Value,
}

impl Recorded {
    /// Whether the body was a form.
    #[must_use]
    pub fn is_form(&self) -> bool {
        self.headers
            .get("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    }
}

pub(crate) fn recorded(request: &Request) -> Recorded {
    let mut recorded = Recorded {
        method: request.method.to_string(),
        path: request.url.path().to_owned(),
        query: request.url.query_pairs().into_owned().collect(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect(),
        body: Value::Null,
    };
    recorded.body = if recorded.is_form() {
        form::decode(url::form_urlencoded::parse(&request.body).into_owned())
    } else {
        serde_json::from_slice(&request.body).unwrap_or_default()
    };
    recorded
}
