//! What a call teaches of its connection: the rights that its credential has, and how much the provider still lets it ask.

use std::sync::{Mutex, PoisonError};

use resto_core::{RateLimit, Result};
use resto_vault::Connection;
use serde::Deserialize as _;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::around::Seen;
use crate::catalog::Entry;
use crate::grants::Grants;

/// The resource under which a pause is kept that the provider asked for.
const PAUSE: &str = "pause";

/// So many parts of a quota are told apart. Kept with each answer, it would make each call change the connection, which the next
/// one would have to look up and open.
const PARTS: u64 = 20;

/// So many seconds from each other, two ends of a period are one: some providers tell how long it lasts.
const SAME_END: u64 = 60;

/// What is kept with the connection after a call.
#[derive(Default)]
pub(crate) struct Learnt {
    pub permissions: Option<Value>,
    pub rate_limits: Option<Value>,
}

/// For how many seconds more the provider wants no request, as it told whichever host.
pub(crate) fn paused(connection: &Connection, now: OffsetDateTime) -> Option<u64> {
    let until = connection.rate_limits.as_ref()?.get(PAUSE)?.get("reset_at")?.as_u64()?;
    until.checked_sub(seconds(now)).filter(|wait| *wait > 0)
}

fn seconds(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp()).unwrap_or_default()
}

/// What a call, or the trial of one, showed.
pub(crate) fn learn(
    entry: &Entry<'_>,
    connection: &Connection,
    seen: &Mutex<Seen>,
    result: &Result<Value>,
    is_trial: bool,
    now: OffsetDateTime,
) -> Learnt {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut grants = Grants::read(&connection.permissions);
    let news = match (result, &seen.lacking) {
        // A trial did not use the rights.
        (Ok(_), _) => !is_trial && grants.worked(entry.action),
        (Err(_), Some(right)) => grants.lacked(right),
        (Err(_), None) => false,
    };
    // No pause is asked for by a wait of no time, which another host's second would make one.
    let pause = seen.pause_s.filter(|after| *after > 0).map(|after| RateLimit {
        resource: PAUSE.to_owned(),
        limit: None,
        remaining: 0,
        reset_at: seconds(now).checked_add(after),
    });
    let kept = connection.rate_limits.as_ref();
    let quota = seen.rate_limit.as_ref().filter(|told| is_news(kept, told));
    let told: Map<String, Value> = [quota, pause.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|limit| Some((limit.resource.clone(), serde_json::to_value(limit).ok()?)))
        .collect();
    let rate_limits = (!told.is_empty()).then_some(Value::Object(told));
    Learnt { permissions: news.then(|| serde_json::to_value(&grants).ok()).flatten(), rate_limits }
}

/// Whether a quota is another one than was kept, or of another period, or another part of it is left.
fn is_news(kept: Option<&Value>, told: &RateLimit) -> bool {
    let kept = kept.and_then(|kept| RateLimit::deserialize(kept.get(&told.resource)?).ok());
    let Some(kept) = kept else { return true };
    // The last part is another one than nothing.
    let part = |one: &RateLimit| match one.limit {
        Some(limit) => one.remaining.saturating_mul(PARTS).div_ceil(limit.max(1)),
        None => one.remaining,
    };
    let is_same_end = match (kept.reset_at, told.reset_at) {
        (Some(kept), Some(told)) => kept.abs_diff(told) < SAME_END,
        (kept, told) => kept == told,
    };
    !is_same_end || kept.limit != told.limit || part(&kept) != part(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quota(limit: Option<u64>, remaining: u64, reset_at: Option<u64>) -> RateLimit {
        RateLimit { resource: "core".to_owned(), limit, remaining, reset_at }
    }

    #[test]
    fn a_quota_is_news_when_another_part_of_it_is_left() {
        let hourly = |remaining| quota(Some(5000), remaining, Some(7200));
        let kept = json!({"core": hourly(4990), "pause": {}});
        for (told, is_it) in [
            (hourly(4990), false),
            (hourly(4751), false),
            (hourly(4750), true),
            (hourly(0), true),
            (quota(Some(5000), 4990, Some(7259)), false),
            (quota(Some(5000), 4990, Some(7260)), true),
            (quota(Some(5000), 4990, None), true),
            (quota(Some(6000), 4990, Some(7200)), true),
            (RateLimit { resource: "search".to_owned(), ..hourly(4990) }, true),
        ] {
            assert_eq!(is_news(Some(&kept), &told), is_it, "{told:?}");
        }
        assert!(is_news(None, &hourly(4990)));
        // Nothing is left: another part than the last.
        assert!(is_news(Some(&json!({"core": hourly(1)})), &hourly(0)));
        assert!(!is_news(Some(&json!({"core": hourly(250)})), &hourly(1)));
        // How many there are in all is not known.
        let unbounded = |remaining| quota(None, remaining, None);
        let kept = json!({"core": unbounded(7)});
        assert!(!is_news(Some(&kept), &unbounded(7)) && is_news(Some(&kept), &unbounded(6)));
        // No quota is divided by nothing.
        assert!(is_news(Some(&json!({"core": quota(Some(0), 0, None)})), &quota(Some(0), 1, None)));
    }
}
