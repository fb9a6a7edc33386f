//! The time by the database's clock, without asking it each time: what it told last, and what went by since. All processes of
//! one database have the same time so, whatever the clocks of their machines say, and one that is set does not jump.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use time::OffsetDateTime;

use crate::timestamp::from_millis;

/// A clock that goes by another one.
pub(crate) struct Clock(Mutex<Told>);

struct Told {
    /// Milliseconds since 1970.
    now_ms: i64,
    at: Instant,
}

impl Clock {
    pub(crate) fn told(now_ms: i64) -> Self {
        Self(Mutex::new(Told { now_ms, at: Instant::now() }))
    }

    /// Sets it.
    pub(crate) fn set(&self, now_ms: i64) {
        *self.lock() = Told { now_ms, at: Instant::now() };
    }

    /// The time.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let told = self.lock();
        let since = i64::try_from(told.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        from_millis(told.now_ms.saturating_add(since))
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
