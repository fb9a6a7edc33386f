//! Finding what a change made whose answer was lost: by when it was made, and what it says.

use std::time::Duration;

use resto_core::Api;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// By how much GitHub's clock may be behind ours.
const SKEW: Duration = Duration::from_mins(1);

/// One of a list as `T`, where it was made after the operation began, by the field `made_at`, and its text is what was given.
pub(crate) fn found<T: DeserializeOwned>(
    api: &Api,
    one: Value,
    made_at: &str,
    text: Option<&str>,
) -> Option<T> {
    // GitHub keeps its own line ends.
    let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    let is_it = is_since(api, one[made_at].as_str()?)
        && plain(one["body"].as_str().unwrap_or_default()) == plain(text.unwrap_or_default());
    is_it.then(|| serde_json::from_value(one).ok())?
}

/// When the operation began, or a little before.
fn start(api: &Api) -> OffsetDateTime {
    OffsetDateTime::from(api.began()).saturating_sub(SKEW.try_into().unwrap_or_default())
}

/// The same as a parameter `since`.
pub(crate) fn since(api: &Api) -> Option<String> {
    start(api).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// Whether this time is not before the operation began.
pub(crate) fn is_since(api: &Api, time: &str) -> bool {
    OffsetDateTime::parse(time, &Rfc3339).is_ok_and(|time| time >= start(api))
}
