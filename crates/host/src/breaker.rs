//! A provider that does not work is left alone, but for a probe from time to time: nobody waits for what will not come, and
//! it is not kept from getting up again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many tries in a row that fail within so long are no accident.
const FAILURES: usize = 5;
const WITHIN: Duration = Duration::from_secs(10);

/// How long it is left alone before one try, and after each that fails.
const ALONE: Duration = Duration::from_secs(5);

/// A circuit breaker: whether a provider works for one business, which cannot keep it from another.
#[derive(Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// When tries failed since one did not.
    failures: VecDeque<Instant>,
    /// It is left alone until then; after that, somebody tries.
    open_until: Option<Instant>,
}

impl Breaker {
    /// How long it is still left alone.
    pub fn open_for(&self) -> Option<Duration> {
        self.state()
            .open_until?
            .checked_duration_since(Instant::now())
            .filter(|wait| !wait.is_zero())
    }

    /// Lets a request through; when it was left alone for a while, one of many.
    ///
    /// # Errors
    /// How long it is still left alone.
    pub fn pass(&self) -> Result<(), Duration> {
        let (mut state, now) = (self.state(), Instant::now());
        let Some(until) = state.open_until else { return Ok(()) };
        if now < until {
            return Err(until.duration_since(now));
        }
        state.open_until = Some(now + ALONE);
        Ok(())
    }

    /// Learns whether a request was answered by a provider that works, whatever it said.
    pub fn tried(&self, works: bool) {
        let (mut state, now) = (self.state(), Instant::now());
        if works {
            *state = State::default();
            return;
        }
        state.failures.push_back(now);
        state.failures.retain(|at| now.duration_since(*at) < WITHIN);
        if state.open_until.is_some() || state.failures.len() >= FAILURES {
            state.open_until = Some(now + ALONE);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_ten_seconds_leave_one_try_in_five() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.tried(false);
        }
        assert_eq!((breaker.pass(), breaker.open_for()), (Ok(()), None));
        breaker.tried(false);
        assert_eq!((breaker.pass(), breaker.open_for()), (Err(ALONE), Some(ALONE)));
        advance(SECOND * 4).await;
        assert_eq!(breaker.pass(), Err(SECOND));
        advance(SECOND).await;
        assert_eq!((breaker.open_for(), breaker.pass()), (None, Ok(())));
        // The others wait for what that one finds.
        assert_eq!(breaker.pass(), Err(ALONE));
        advance(SECOND * 2).await;
        breaker.tried(false);
        assert_eq!(breaker.pass(), Err(ALONE));
        advance(ALONE).await;
        assert_eq!(breaker.pass(), Ok(()));
        breaker.tried(true);
        assert_eq!((breaker.pass(), breaker.pass()), (Ok(()), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn what_works_now_and_then_is_not_left_alone() {
        let breaker = Breaker::default();
        for n in 0..40 {
            breaker.tried(n % FAILURES == 0);
            assert_eq!(breaker.pass(), Ok(()));
        }
        breaker.tried(true);
        for _ in 0..40 {
            advance(WITHIN / 4).await;
            breaker.tried(false);
            assert_eq!(breaker.pass(), Ok(()), "failures are too far from each other");
        }
    }
}
