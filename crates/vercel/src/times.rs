//! Times, which Vercel counts in milliseconds since 1970.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in RFC 3339, such as `2026-01-01T00:00:00.123Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "i64")]
pub struct At(String);

/// From milliseconds since 1970.
impl From<i64> for At {
    fn from(milliseconds: i64) -> Self {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
        let text = at.ok().and_then(|at| at.format(&Rfc3339).ok());
        Self(text.unwrap_or_else(|| format!("{milliseconds} ms after 1970")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_milliseconds_as_people_and_programs_read_them() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
            (i64::MAX, "9223372036854775807 ms after 1970"),
        ] {
            assert_eq!(At::from(milliseconds).0, text);
        }
    }
}
