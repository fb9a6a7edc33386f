//! The facts about a service, as data: who it is, where it lives, how it pages and limits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reply::Failure;
use crate::{Auth, Error, Webhooks};

/// What a business uses the service for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Source code, its review and its tests.
    Code,
    /// Where applications run.
    Hosting,
    /// Money.
    Payments,
    /// Mail and contacts.
    Communication,
    /// Who visits, and what they do.
    Analytics,
    /// Names on the internet.
    Domains,
}

/// A service and the facts about it.
#[derive(Debug)]
pub struct Integration {
    /// Lower case, stable; the prefix of its tools, such as `github`.
    pub id: &'static str,
    /// As people write it.
    pub name: &'static str,
    /// What it is for.
    pub category: Category,
    /// Why a business connects it, in one sentence.
    pub purpose: &'static str,
    /// Who offers it; the first is the default.
    pub providers: &'static [Provider],
    /// The rights that its actions may need.
    pub permissions: &'static [Permission],
}

/// A right at a provider.
#[derive(Debug)]
pub struct Permission {
    /// The provider's name of it, with its level: `contents:write`. Where only one of several
    /// providers knows it, after that one's id: `cloudflare:dns:write`.
    pub id: &'static str,
    /// What it allows, in plain words.
    pub allows: &'static str,
}

/// How a provider is told that a POST is the same as one before, which it then answers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The header of the key, in lower case.
    pub header: &'static str,
    /// How long it surely knows a key.
    pub lives: Duration,
}

/// A company behind an integration, and how its API behaves.
#[derive(Debug)]
pub struct Provider {
    /// Lower case, stable.
    pub id: &'static str,
    /// As people write it.
    pub name: &'static str,
    /// Where its API lives, without a slash at the end.
    pub base_url: &'static str,
    /// Where other parts of its API live, if elsewhere; they take the same credential. An operator's
    /// own address stands for them too.
    pub other_urls: &'static [&'static str],
    /// Hosts to which the API redirects for downloads, `*.` for any name below. They are fetched
    /// without the credential.
    pub download_hosts: &'static [&'static str],
    /// The ways to sign in, the best first.
    pub auth: &'static [Auth],
    /// Headers that each request carries.
    pub headers: &'static [(&'static str, &'static str)],
    /// Where answers tell the quota.
    pub rate_headers: RateHeaders,
    /// How many requests may be made.
    pub limits: Limits,
    /// The header with the provider's id of a request.
    pub request_id_header: &'static str,
    /// The header that lists the rights of the credential, comma-separated.
    pub granted_header: Option<&'static str>,
    /// The header that tells when the credential stops working.
    pub end_header: Option<&'static str>,
    /// How lists are continued.
    pub paging: Paging,
    /// Whether an answer whose list is empty does not hold the list at all, as protocol buffers in JSON do.
    pub omits_empty_lists: bool,
    /// The header that makes a repeated change harmless, where the provider has one.
    pub idempotency: Option<Idempotency>,
    /// Reads the provider's own error bodies; `None` leaves it to the HTTP status.
    pub classify: fn(&Failure<'_>) -> Option<Error>,
    /// What it tells by itself of connections.
    pub webhooks: Option<Webhooks>,
}

impl Provider {
    /// What most JSON APIs have in common, for the facts that a provider does not state:
    /// `Provider { id: "acme", ..., ..Provider::REST }`.
    pub const REST: Self = Self {
        id: "",
        name: "",
        base_url: "",
        other_urls: &[],
        download_hosts: &[],
        auth: &[],
        headers: &[("accept", "application/json")],
        rate_headers: RateHeaders {
            limit: "x-ratelimit-limit",
            remaining: "x-ratelimit-remaining",
            reset: "x-ratelimit-reset",
            resource: None,
        },
        limits: Limits::per_hour(1000, 10),
        request_id_header: "x-request-id",
        granted_header: None,
        end_header: None,
        paging: Paging::Link { size: "per_page", max: 100, cursors: &["page"] },
        omits_empty_lists: false,
        idempotency: None,
        classify: |_| None,
        webhooks: None,
    };
}

/// Names of the headers that tell a quota.
#[derive(Debug)]
pub struct RateHeaders {
    /// Requests in a period.
    pub limit: &'static str,
    /// Requests left.
    pub remaining: &'static str,
    /// End of the period, in seconds since 1970.
    pub reset: &'static str,
    /// Which quota.
    pub resource: Option<&'static str>,
}

/// How many requests may be made, from the provider's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one connection in any time of the length `per`.
    pub requests: u32,
    /// That length.
    pub per: Duration,
    /// How many of them at once after a pause; the rest is spread over the time.
    pub burst: u32,
    /// Requests of one connection at the same time.
    pub concurrent: u32,
    /// Requests of all connections together in any time of the length `per`, where the provider counts those of an app.
    pub overall: Option<u32>,
}

impl Limits {
    /// So many requests in an hour, a tenth of them at once.
    #[must_use]
    pub const fn per_hour(requests: u32, concurrent: u32) -> Self {
        let per = Duration::from_hours(1);
        Self { requests, per, burst: requests / 10, concurrent, overall: None }
    }
}

/// How a list is continued.
#[derive(Debug)]
pub enum Paging {
    /// `Link: <...>; rel="next"` (RFC 8288).
    Link {
        /// The query parameter with the size of a page.
        size: &'static str,
        /// The most that the size may be.
        max: u32,
        /// The query parameters of the next link that say where to go on.
        cursors: &'static [&'static str],
    },
    /// The body says where to go on.
    Cursor {
        /// The query parameter with the size of a page.
        size: &'static str,
        /// The most that the size may be.
        max: u32,
        /// The query parameter that says where to go on.
        cursor: &'static str,
        /// Where the body says it: a JSON pointer (RFC 6901) to a text or a number.
        next: &'static str,
    },
    /// The id of the last item says where to go on.
    LastId {
        /// The query parameter with the size of a page.
        size: &'static str,
        /// The most that the size may be.
        max: u32,
        /// The query parameter that takes the id.
        cursor: &'static str,
        /// Where the body says that there is more: a JSON pointer to a boolean.
        more: &'static str,
    },
}

impl Paging {
    /// The query parameter with the size of a page, and the most that it may be.
    #[must_use]
    pub fn size(&self) -> (&'static str, u32) {
        match self {
            Self::Link { size, max, .. }
            | Self::Cursor { size, max, .. }
            | Self::LastId { size, max, .. } => (size, *max),
        }
    }
}

/// Whether the granted right covers the needed one: the same, or the same at a higher level
/// (`x:write` covers `x:read`, `x_write` covers `x_read`).
#[must_use]
pub fn covers(granted: &str, needed: &str) -> bool {
    granted == needed
        || needed.strip_suffix("read").is_some_and(|name| {
            name.ends_with([':', '_'])
                && granted.strip_suffix("write").is_some_and(|granted| granted == name)
        })
}

/// The least of a list of rights: those that no other one covers.
#[must_use]
pub fn least<'a>(rights: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = rights.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    let kept = all.clone();
    all.retain(|right| !kept.iter().any(|other| other != right && covers(other, right)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_covers_reading_but_not_the_other_way_round() {
        assert!(covers("issues:write", "issues:read"));
        assert!(!covers("issues:read", "issues:write"));
        assert!(!covers("issues:write", "contents:read"));
        assert!(covers("charge_write", "charge_read"));
        assert!(!covers("charge_write", "charge:read"));
        assert_eq!(
            least(["issues:read", "issues:write", "metadata:read"]),
            ["issues:write", "metadata:read"]
        );
    }
}
