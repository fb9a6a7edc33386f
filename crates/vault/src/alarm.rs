//! Whoever opens values of unusually many tenants at once is taking the vault along: it freezes itself.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{AlertKind, Error, Result, TenantId, Vault};

const WINDOW: Duration = Duration::from_mins(1);
/// How many tenants one process may serve within a minute. The largest installation that this is built for keeps 100,000
/// connections fresh, 1,667 a minute when each is renewed hourly, and serves 1,000 sessions. A copier of everything is
/// there within a second.
pub(crate) const MOST_TENANTS: usize = 3000;

/// When values of each tenant were last opened, within the last minute.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<State>);

#[derive(Default)]
struct State {
    opened: HashMap<TenantId, Instant>,
    frozen: bool,
}

enum Verdict {
    Allowed,
    Tripped,
    Frozen,
}

impl Alarm {
    fn opening(&self, tenant: TenantId, now: Instant) -> Verdict {
        let mut state: MutexGuard<'_, State> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.frozen {
            return Verdict::Frozen;
        }
        state.opened.insert(tenant, now);
        if state.opened.len() > MOST_TENANTS {
            state.opened.retain(|_, last| now.duration_since(*last) < WINDOW);
        }
        if state.opened.len() <= MOST_TENANTS {
            return Verdict::Allowed;
        }
        state.frozen = true;
        Verdict::Tripped
    }
}

impl Vault {
    /// Counts a tenant whose values are about to be opened for a caller.
    pub(crate) fn admit_opening(&self, tenant: TenantId) -> Result<()> {
        match self.inner.alarm.opening(tenant, Instant::now()) {
            Verdict::Allowed => Ok(()),
            Verdict::Tripped => {
                self.note(AlertKind::MassOpening, TenantId::NONE, "");
                Err(Error::Frozen)
            }
            Verdict::Frozen => Err(Error::Frozen),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn open(alarm: &Alarm, tenants: std::ops::Range<u128>, now: Instant) -> Vec<Verdict> {
        tenants.map(|n| alarm.opening(TenantId(Uuid::from_u128(n)), now)).collect()
    }

    fn all_allowed(verdicts: &[Verdict]) -> bool {
        verdicts.iter().all(|verdict| matches!(verdict, Verdict::Allowed))
    }

    #[test]
    fn f9_one_tenant_more_than_allowed_within_a_minute_freezes_for_good() {
        let (alarm, start) = (Alarm::default(), Instant::now());
        let most = MOST_TENANTS as u128;
        assert!(all_allowed(&open(&alarm, 0..most, start)));
        let last = start + WINDOW * 9 / 10;
        assert!(matches!(open(&alarm, most..most + 1, last)[..], [Verdict::Tripped]));
        assert!(matches!(open(&alarm, 0..1, last)[..], [Verdict::Frozen]));
        assert!(matches!(open(&alarm, 0..1, last + 100 * WINDOW)[..], [Verdict::Frozen]));
    }

    #[test]
    fn f9_the_same_tenants_again_and_new_ones_a_minute_later_are_allowed() {
        let (alarm, start) = (Alarm::default(), Instant::now());
        let most = MOST_TENANTS as u128;
        for _ in 0..3 {
            assert!(all_allowed(&open(&alarm, 0..most, start)));
        }
        assert!(all_allowed(&open(&alarm, most..2 * most, start + WINDOW)));
        // Those of the second minute still count.
        let next = start + WINDOW + Duration::from_secs(1);
        assert!(matches!(open(&alarm, 0..1, next)[..], [Verdict::Tripped]));
    }
}
