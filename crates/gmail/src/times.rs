//! Times, which Gmail counts in milliseconds since 1970 and writes as texts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in RFC 3339, such as `2026-01-01T00:00:00Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String")]
pub struct At(String);

/// From milliseconds since 1970, in digits.
impl From<String> for At {
    fn from(milliseconds: String) -> Self {
        let at = milliseconds
            .parse::<i64>()
            .ok()
            .and_then(|ms| {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()
            })
            .and_then(|at| at.format(&Rfc3339).ok());
        Self(at.unwrap_or_else(|| format!("{milliseconds} ms after 1970")))
    }
}

/// A time in RFC 3339 as Gmail counts it.
pub(crate) fn milliseconds(time: &str) -> Option<i128> {
    let at = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    Some(at.unix_timestamp_nanos() / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_milliseconds_as_people_and_programs_read_them() {
        for (digits, text) in [
            ("0", "1970-01-01T00:00:00Z"),
            ("1767225600123", "2026-01-01T00:00:00.123Z"),
            ("9223372036854775807", "9223372036854775807 ms after 1970"),
            ("soon", "soon ms after 1970"),
        ] {
            assert_eq!(At::from(digits.to_owned()).0, text);
        }
        assert_eq!(milliseconds("2026-01-01T01:00:00.123+01:00").unwrap(), 1_767_225_600_123);
        assert_eq!(milliseconds("tomorrow"), None);
    }
}
