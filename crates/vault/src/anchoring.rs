//! When anchors are kept: after so many entries of a trail, or so much time, and at the end.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Anchor, Anchors, TenantId};

/// So many entries of a trail may be without an anchor,
const ENTRIES: i64 = 100;
/// and for so long.
const INTERVAL: Duration = Duration::from_mins(1);

/// The ends of the trails that this process extends and that have no anchor yet.
#[derive(Default)]
pub(crate) struct Anchoring {
    waiting: HashMap<TenantId, Waiting>,
    /// What is being kept, in the background: a slow place must not keep the trail from growing. It ends with what could
    /// not be kept.
    keeping: Option<JoinHandle<Vec<Anchor>>>,
}

struct Waiting {
    since: Instant,
    /// The first entry without an anchor.
    from: i64,
    last: Anchor,
}

impl Anchoring {
    /// Takes note that a trail ends here now.
    pub(crate) fn note(&mut self, tenant: TenantId, from: i64, last: Anchor, now: Instant) {
        match self.waiting.get_mut(&tenant) {
            Some(waiting) => {
                waiting.from = waiting.from.min(from);
                if waiting.last.seq < last.seq {
                    waiting.last = last;
                }
            }
            None => drop(self.waiting.insert(tenant, Waiting { since: now, from, last })),
        }
    }

    /// When the next anchor is due for its age.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.since + INTERVAL).min()
    }

    /// Takes out what is due.
    fn due(&mut self, now: Instant) -> Vec<Anchor> {
        let is_due = |waiting: &Waiting| {
            waiting.last.seq - waiting.from + 1 >= ENTRIES || waiting.since + INTERVAL <= now
        };
        self.waiting.extract_if(|_, waiting| is_due(waiting)).map(|(_, due)| due.last).collect()
    }

    /// Has kept what is due, unless the last ones are not kept yet. It does not wait.
    pub(crate) async fn keep_due(&mut self, to: &Arc<dyn Anchors>, now: Instant) {
        if self.keeping.as_ref().is_some_and(|keeping| !keeping.is_finished()) {
            return;
        }
        self.kept(now).await;
        let due = self.due(now);
        if !due.is_empty() {
            self.keep(to, due);
        }
    }

    /// Keeps all that wait, and waits for it.
    pub(crate) async fn keep_all(&mut self, to: &Arc<dyn Anchors>, now: Instant) {
        self.kept(now).await;
        let all: Vec<_> = self.waiting.drain().map(|(_, waiting)| waiting.last).collect();
        if !all.is_empty() {
            self.keep(to, all);
            self.kept(now).await;
        }
    }

    fn keep(&mut self, to: &Arc<dyn Anchors>, anchors: Vec<Anchor>) {
        let to = Arc::clone(to);
        self.keeping = Some(spawn_blocking(move || match to.keep(&anchors) {
            Ok(()) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "anchors of the audit trail could not be kept; until they are, nobody can see whether its end was cut off");
                anchors
            }
        }));
    }

    /// Waits for what is being kept; what could not be kept waits for another interval.
    async fn kept(&mut self, now: Instant) {
        let Some(keeping) = self.keeping.take() else {
            return;
        };
        for anchor in keeping.await.unwrap_or_default() {
            self.note(TenantId(anchor.tenant), anchor.seq, anchor, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(7));

    fn end(seq: i64) -> Anchor {
        Anchor { tenant: TENANT.0, seq, mac: String::new(), at: OffsetDateTime::UNIX_EPOCH }
    }

    #[test]
    fn f6_a_hundred_entries_or_a_minute_make_an_anchor_due() {
        let (mut anchoring, start) = (Anchoring::default(), Instant::now());
        anchoring.note(TENANT, 1, end(60), start);
        anchoring.note(TENANT, 61, end(99), start + INTERVAL / 2);
        assert_eq!(anchoring.next_due(), Some(start + INTERVAL));
        assert_eq!(anchoring.due(start + INTERVAL / 2), []);
        anchoring.note(TENANT, 100, end(100), start + INTERVAL / 2);
        assert_eq!(anchoring.due(start + INTERVAL / 2), [end(100)]);
        assert_eq!(anchoring.next_due(), None);

        anchoring.note(TENANT, 101, end(102), start + INTERVAL);
        assert_eq!(anchoring.due(start + INTERVAL * 3 / 2), []);
        assert_eq!(anchoring.due(start + INTERVAL * 2), [end(102)]);
    }

    /// Refuses once.
    #[derive(Default)]
    struct Refusing(std::sync::Mutex<(bool, Vec<Anchor>)>);

    impl Anchors for Refusing {
        fn keep(&self, anchors: &[Anchor]) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            if !std::mem::replace(&mut state.0, true) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.1.extend_from_slice(anchors);
            Ok(())
        }

        fn kept(&self, _: TenantId) -> io::Result<Vec<Anchor>> {
            Ok(self.0.lock().unwrap().1.clone())
        }
    }

    #[tokio::test]
    async fn f6_an_anchor_that_could_not_be_kept_is_brought_again() {
        let to: Arc<dyn Anchors> = Arc::new(Refusing::default());
        let (mut anchoring, now) = (Anchoring::default(), Instant::now());
        anchoring.note(TENANT, 1, end(100), now);
        anchoring.keep_due(&to, now).await;
        anchoring.keep_all(&to, now).await;
        assert_eq!(to.kept(TENANT).unwrap(), [end(100)]);
    }
}
