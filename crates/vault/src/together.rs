//! Look-ups that many ask for at once. Whoever asks while one is under way is served by the next one, together with all who
//! asked by then, for whatever keys: nobody is told what was read before they asked.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, OnceCell},
    task::yield_now,
    time::timeout,
};

use crate::{Error, Result};

/// How long a look-up may take: others wait behind it.
const STUCK: Duration = Duration::from_secs(2);

/// Look-ups of values by keys.
pub(crate) struct Together<K, V> {
    /// Held by the look-up that is under way.
    turn: Turn<()>,
    /// The look-up that has not begun.
    next: Mutex<Arc<LookUp<K, V>>>,
}

struct LookUp<K, V> {
    /// What was asked for.
    keys: Mutex<HashSet<K>>,
    found: OnceCell<Result<HashMap<K, V>>>,
}

impl<K, V> Default for Together<K, V> {
    fn default() -> Self {
        Self { turn: Turn::default(), next: Mutex::default() }
    }
}

impl<K, V> Default for LookUp<K, V> {
    fn default() -> Self {
        Self { keys: Mutex::default(), found: OnceCell::default() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Together<K, V> {
    /// The value, if there is one, from a look-up that begins after this was called. Where whoever looks gives up, another
    /// one looks.
    ///
    /// # Errors
    /// The look-up's, for all who asked; [`Error::Database`] too where it takes more than 2 s.
    pub async fn get<Looking: Future<Output = Result<HashMap<K, V>>>>(
        &self,
        key: K,
        look: impl FnOnce(Vec<K>) -> Looking,
    ) -> Result<Option<V>> {
        let joined = self.join(key.clone());
        let looking = async {
            let _turn = self.turn.lock().await;
            // Whoever is about to ask asks now.
            yield_now().await;
            timeout(STUCK, look(self.begin(&joined))).await.unwrap_or_else(|_| Err(too_slow()))
        };
        let found = joined.found.get_or_init(|| looking).await;
        found.as_ref().map(|found| found.get(&key).cloned()).map_err(Clone::clone)
    }

    /// Joins those who ask, in the look-up that has not begun.
    fn join(&self, key: K) -> Arc<LookUp<K, V>> {
        let next = self.next();
        locked(&next.keys).insert(key);
        Arc::clone(&next)
    }

    /// What a look-up is asked for. From here on, whoever asks is served by another one.
    fn begin(&self, look_up: &Arc<LookUp<K, V>>) -> Vec<K> {
        let mut next = self.next();
        if Arc::ptr_eq(&next, look_up) {
            *next = Arc::default();
        }
        drop(next);
        locked(&look_up.keys).iter().cloned().collect()
    }

    fn next(&self) -> MutexGuard<'_, Arc<LookUp<K, V>>> {
        locked(&self.next)
    }
}

fn too_slow() -> Error {
    Error::Database { message: "it did not answer a look-up in time".into(), retryable: true }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// Tells of each look-up what it was asked for; it ends when it is let, and finds the number of its keys.
    struct Looked {
        together: Together<&'static str, usize>,
        let_through: Semaphore,
        began: mpsc::UnboundedSender<Vec<&'static str>>,
    }

    impl Looked {
        async fn get(&self, key: &'static str) -> Result<Option<usize>> {
            let look = async |mut keys: Vec<_>| {
                keys.sort_unstable();
                let count = keys.len();
                self.began.send(keys.clone()).unwrap();
                self.let_through.acquire().await.unwrap().forget();
                if keys.contains(&"broken") {
                    return Err(Error::UnknownTenant);
                }
                Ok(keys
                    .into_iter()
                    .filter(|key| *key != "missing")
                    .map(|key| (key, count))
                    .collect())
            };
            self.together.get(key, look).await
        }
    }

    fn looked() -> (Arc<Looked>, mpsc::UnboundedReceiver<Vec<&'static str>>) {
        let (began, begins) = mpsc::unbounded_channel();
        let (together, let_through) = (Together::default(), Semaphore::new(0));
        (Arc::new(Looked { together, let_through, began }), begins)
    }

    fn ask(
        looked: &Arc<Looked>,
        key: &'static str,
    ) -> tokio::task::JoinHandle<Result<Option<usize>>> {
        let looked = Arc::clone(looked);
        tokio::spawn(async move { looked.get(key).await })
    }

    /// Lets the tasks run that were spawned, on the test's one thread.
    async fn settle() {
        for _ in 0..16 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_asks_meanwhile_is_served_by_the_next_look_up_whatever_they_ask_for() {
        let (looked, mut begins) = looked();
        let first = ask(&looked, "a");
        assert_eq!(begins.recv().await.unwrap(), ["a"]);
        let asked = ["a", "b", "missing"];
        let others = ["b", "a", "missing", "a"].map(|key| (key, ask(&looked, key)));
        settle().await;
        assert!(begins.is_empty(), "one is under way");
        looked.let_through.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(Some(1)));
        assert_eq!(begins.recv().await.unwrap(), asked);
        for (key, other) in others {
            assert_eq!(other.await.unwrap(), Ok((key != "missing").then_some(3)));
        }
        looked.let_through.add_permits(1);
        assert_eq!(ask(&looked, "a").await.unwrap(), Ok(Some(1)));
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_is_served_at_once() {
        let (looked, mut begins) = looked();
        let all = ["a", "b", "c"].map(|key| ask(&looked, key));
        assert_eq!(begins.recv().await.unwrap(), ["a", "b", "c"]);
        looked.let_through.add_permits(1);
        for one in all {
            assert_eq!(one.await.unwrap(), Ok(Some(3)));
        }
    }

    #[tokio::test]
    async fn where_whoever_looks_gives_up_another_one_looks() {
        let (looked, mut begins) = looked();
        let first = ask(&looked, "a");
        begins.recv().await.unwrap();
        let (second, third) = (ask(&looked, "a"), ask(&looked, "b"));
        settle().await;
        first.abort();
        assert_eq!(begins.recv().await.unwrap(), ["a", "b"]);
        second.abort();
        assert_eq!(begins.recv().await.unwrap(), ["a", "b"]);
        looked.let_through.add_permits(1);
        assert_eq!(third.await.unwrap(), Ok(Some(2)));
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_asked_and_to_nobody_later() {
        let (looked, mut begins) = looked();
        let all = ["a", "broken"].map(|key| ask(&looked, key));
        begins.recv().await.unwrap();
        looked.let_through.add_permits(2);
        for one in all {
            assert_eq!(one.await.unwrap(), Err(Error::UnknownTenant));
        }
        assert_eq!(ask(&looked, "a").await.unwrap(), Ok(Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_keeps_nobody_for_ever() {
        let (looked, mut begins) = looked();
        let first = ask(&looked, "a");
        begins.recv().await.unwrap();
        let second = ask(&looked, "b");
        assert_eq!(first.await.unwrap(), Err(too_slow()));
        begins.recv().await.unwrap();
        looked.let_through.add_permits(1);
        assert_eq!(second.await.unwrap(), Ok(Some(1)));
    }
}
