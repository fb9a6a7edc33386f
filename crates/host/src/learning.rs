//! What a call teaches of its connection: the rights that its credential has, and how much the provider still lets it ask.

use std::sync::{Mutex, PoisonError};

use resto_core::{RateLimit, Result};
use resto_vault::Connection;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::around::Seen;
use crate::catalog::Entry;
use crate::grants::Grants;

/// The resource under which a pause is kept that the provider asked for.
const PAUSE: &str = "pause";

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
    let told: Map<String, Value> = [seen.rate_limit.as_ref(), pause.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|limit| Some((limit.resource.clone(), serde_json::to_value(limit).ok()?)))
        .collect();
    let rate_limits = (!told.is_empty()).then_some(Value::Object(told));
    Learnt { permissions: news.then(|| serde_json::to_value(&grants).ok()).flatten(), rate_limits }
}
