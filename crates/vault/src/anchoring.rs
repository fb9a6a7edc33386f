//! When anchors are kept: after so many entries of a trail, or so much time, and at the end.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};

use crate::{Anchor, Anchors, TenantId};

/// So many entries of a trail may be without an anchor,
const ENTRIES: i64 = 100;
/// and for so long.
const INTERVAL: Duration = Duration::from_mins(1);
/// How long the last anchors may take when the program ends.
const LAST: Duration = Duration::from_secs(5);

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

    /// Ends when there is something to do: what is being kept is kept or has failed; or, when nothing is, an anchor is due
    /// for its age. It may be given up at any time.
    pub(crate) async fn ready(&mut self) {
        if self.keeping.is_some() {
            return self.kept().await;
        }
        match self.next_due() {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    fn next_due(&self) -> Option<Instant> {
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
        self.kept().await;
        let due = self.due(now);
        if !due.is_empty() {
            self.keep(to, due);
        }
    }

    /// Keeps all that wait, and waits for it; a place that hangs must not keep the program from ending.
    pub(crate) async fn keep_all(&mut self, to: &Arc<dyn Anchors>) {
        let all = async {
            self.kept().await;
            let all: Vec<_> = self.waiting.drain().map(|(_, waiting)| waiting.last).collect();
            if !all.is_empty() {
                self.keep(to, all);
                self.kept().await;
            }
        };
        if timeout(LAST, all).await.is_err() {
            tracing::error!(
                "the last anchors of the audit trail were not kept in time; nobody can see whether its end was cut off"
            );
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
    async fn kept(&mut self) {
        let Some(keeping) = &mut self.keeping else {
            return;
        };
        let failed = keeping.await.unwrap_or_default();
        self.keeping = None;
        for anchor in failed {
            self.note(TenantId(anchor.tenant), anchor.seq, anchor, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::mpsc::{Receiver, Sender, channel},
    };

    use time::OffsetDateTime;
    use tokio::select;
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
        anchoring.keep_all(&to).await;
        assert_eq!(to.kept(TENANT).unwrap(), [end(100)]);
    }

    /// Nobody calls: the time alone brings it again.
    #[tokio::test(start_paused = true)]
    async fn f6_an_anchor_that_could_not_be_kept_is_brought_again_without_another_call() {
        let to: Arc<dyn Anchors> = Arc::new(Refusing::default());
        let (mut anchoring, start) = (Anchoring::default(), Instant::now());
        anchoring.note(TENANT, 1, end(100), start);
        while to.kept(TENANT).unwrap().is_empty() {
            anchoring.keep_due(&to, Instant::now()).await;
            anchoring.ready().await;
        }
        assert_eq!(to.kept(TENANT).unwrap(), [end(100)]);
        assert!(start.elapsed() >= INTERVAL, "{:?}", start.elapsed());
    }

    /// Keeps one list for each permission that it is given.
    struct Hanging(std::sync::Mutex<(Receiver<()>, Vec<Anchor>)>);

    impl Hanging {
        fn place() -> (Sender<()>, Arc<dyn Anchors>) {
            let (permits, permitted) = channel();
            (permits, Arc::new(Self(std::sync::Mutex::new((permitted, Vec::new())))))
        }
    }

    impl Anchors for Hanging {
        fn keep(&self, anchors: &[Anchor]) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.0.recv().map_err(io::Error::other)?;
            state.1.extend_from_slice(anchors);
            Ok(())
        }

        fn kept(&self, _: TenantId) -> io::Result<Vec<Anchor>> {
            Ok(self.0.lock().unwrap().1.clone())
        }
    }

    #[tokio::test]
    async fn f6_a_place_for_anchors_that_hangs_is_waited_for_and_not_asked_again_and_again() {
        let (permits, to) = Hanging::place();
        let mut anchoring = Anchoring::default();
        let long_ago = Instant::now().checked_sub(INTERVAL).unwrap();
        anchoring.note(TENANT, 1, end(1), long_ago);
        anchoring.keep_due(&to, Instant::now()).await;
        // The next one is due too, and nothing can be done about it.
        anchoring.note(TENANT, 2, end(2), long_ago);
        for _ in 0..3 {
            select! {
                biased;
                () = anchoring.ready() => panic!("there is nothing to do"),
                () = tokio::task::yield_now() => anchoring.keep_due(&to, Instant::now()).await,
            }
        }
        permits.send(()).unwrap();
        permits.send(()).unwrap();
        anchoring.ready().await;
        assert_eq!(to.kept(TENANT).unwrap(), [end(1)]);
        anchoring.keep_due(&to, Instant::now()).await;
        anchoring.ready().await;
        assert_eq!(to.kept(TENANT).unwrap(), [end(1), end(2)]);
    }

    #[tokio::test]
    async fn f6_a_place_for_anchors_that_hangs_does_not_keep_the_program_from_ending() {
        let (permits, to) = Hanging::place();
        let mut anchoring = Anchoring::default();
        anchoring.note(TENANT, 1, end(1), Instant::now());
        timeout(3 * LAST, anchoring.keep_all(&to)).await.unwrap();
        permits.send(()).unwrap();
    }
}
