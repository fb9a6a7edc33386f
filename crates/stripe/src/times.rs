//! Stripe writes times as seconds since 1970; we write and read them as text.

use resto_core::{Error, Request, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// A time of Stripe's, written as RFC 3339 in UTC.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(from = "i64", into = "String")]
pub struct At(i64);

impl From<i64> for At {
    fn from(seconds: i64) -> Self {
        Self(seconds)
    }
}

impl From<At> for String {
    fn from(at: At) -> Self {
        let time = OffsetDateTime::from_unix_timestamp(at.0).ok();
        time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
    }
}

/// Reads a date or a time, such as `2026-01-31` or `2026-01-31T12:00:00Z`, as seconds since 1970.
///
/// # Errors
/// It is neither.
pub(crate) fn read(field: &str, text: &str) -> Result<i64> {
    let date = || Date::parse(text, &Iso8601::DATE).ok().map(midnight);
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    time.map(OffsetDateTime::unix_timestamp).or_else(date).ok_or_else(|| {
        Error::invalid(
            field,
            format!("invalid input: `{field}` must be a date such as 2026-01-31 (UTC) or a time such as 2026-01-31T12:00:00Z. Nothing was sent."),
        )
    })
}

/// The start of a day in UTC, in seconds since 1970.
pub(crate) fn midnight(date: Date) -> i64 {
    PrimitiveDateTime::new(date, time::Time::MIDNIGHT).assume_utc().unix_timestamp()
}

/// When something was created.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Created {
    /// Date or time, such as `2026-01-31`.
    pub created_from: Option<String>,
    pub created_before: Option<String>,
}

impl Created {
    /// Asks for those created in this time.
    ///
    /// # Errors
    /// A time cannot be read.
    pub(crate) fn ask<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        let read = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| read(field, text)).transpose()
        };
        Ok(request
            .query("created[gte]", read("created_from", &self.created_from)?)
            .query("created[lt]", read("created_before", &self.created_before)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_times() {
        assert_eq!(String::from(At(1_769_817_600)), "2026-01-31T00:00:00Z");
        assert_eq!(read("t", "2026-01-31").unwrap(), 1_769_817_600);
        assert_eq!(read("t", "2026-01-31T01:00:00+01:00").unwrap(), 1_769_817_600);
        for text in ["", "yesterday", "2026-13-01", "1769817600", "2026-02-30"] {
            assert_eq!(read("t", text).unwrap_err().details().field.as_deref(), Some("t"));
        }
    }
}
