//! Look-ups that many ask for at once. Whoever asks while one is under way is served by the next one, together with all who
//! asked by then: nobody is told what was read before they asked.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as Turn, OnceCell};

/// Look-ups of values by keys.
pub(crate) struct Together<K, V>(Mutex<HashMap<K, Line<V>>>);

/// Those who ask for one value.
struct Line<V> {
    /// Held by the look-up that is under way.
    turn: Arc<Turn<()>>,
    /// The look-up that has not begun.
    next: Option<Arc<OnceCell<V>>>,
    /// How many stand in it: nobody is left behind in an empty one.
    count: usize,
}

impl<K, V> Default for Together<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Together<K, V> {
    /// The value, from a look-up that begins after this was called. Where whoever looks gives up, another one looks.
    pub async fn get<Looking: Future<Output = V>>(
        &self,
        key: K,
        look: impl FnOnce() -> Looking,
    ) -> V {
        let standing = self.stand(key);
        let looking = async {
            let _turn = standing.turn.lock().await;
            standing.begin();
            look().await
        };
        standing.next.get_or_init(|| looking).await.clone()
    }

    /// Joins those who ask for a value, in the look-up that has not begun.
    fn stand(&self, key: K) -> Standing<'_, K, V> {
        let mut lines = self.lines();
        let line = lines.entry(key.clone()).or_insert_with(|| Line {
            turn: Arc::default(),
            next: None,
            count: 0,
        });
        line.count += 1;
        let (turn, next) = (Arc::clone(&line.turn), Arc::clone(line.next.get_or_insert_default()));
        drop(lines);
        Standing { together: self, key, turn, next }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<K, Line<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who asks for a value, until they have it or give up.
struct Standing<'a, K: Clone + Eq + Hash, V: Clone> {
    together: &'a Together<K, V>,
    key: K,
    turn: Arc<Turn<()>>,
    next: Arc<OnceCell<V>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Standing<'_, K, V> {
    /// From here on, whoever asks is served by another look-up.
    fn begin(&self) {
        if let Some(line) = self.together.lines().get_mut(&self.key)
            && line.next.as_ref().is_some_and(|next| Arc::ptr_eq(next, &self.next))
        {
            line.next = None;
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Standing<'_, K, V> {
    fn drop(&mut self) {
        let mut lines = self.together.lines();
        if let Some(line) = lines.get_mut(&self.key) {
            line.count -= 1;
            if line.count == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// A value that counts its look-ups; each says that it began, and ends when it is let.
    struct Looked {
        together: Together<&'static str, usize>,
        count: AtomicUsize,
        let_through: Semaphore,
        began: mpsc::UnboundedSender<()>,
    }

    impl Looked {
        async fn get(&self) -> usize {
            let look = async || {
                let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
                self.began.send(()).unwrap();
                self.let_through.acquire().await.unwrap().forget();
                number
            };
            self.together.get("a", look).await
        }
    }

    fn looked() -> (Arc<Looked>, mpsc::UnboundedReceiver<()>) {
        let (began, begins) = mpsc::unbounded_channel();
        let looked = Looked {
            together: Together::default(),
            count: AtomicUsize::new(0),
            let_through: Semaphore::new(0),
            began,
        };
        (Arc::new(looked), begins)
    }

    fn ask(looked: &Arc<Looked>) -> tokio::task::JoinHandle<usize> {
        let looked = Arc::clone(looked);
        tokio::spawn(async move { looked.get().await })
    }

    /// Lets the tasks run that were spawned, on the test's one thread.
    async fn settle() {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_asks_meanwhile_is_served_by_the_next_look_up() {
        let (looked, mut begins) = looked();
        let first = ask(&looked);
        begins.recv().await.unwrap();
        let others: Vec<_> = (0..9).map(|_| ask(&looked)).collect();
        settle().await;
        assert_eq!(looked.count.load(Ordering::SeqCst), 1);
        looked.let_through.add_permits(2);
        assert_eq!(first.await.unwrap(), 1);
        for other in others {
            assert_eq!(other.await.unwrap(), 2);
        }
        assert!(looked.together.lines().is_empty());
        looked.let_through.add_permits(1);
        assert_eq!(ask(&looked).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn where_whoever_looks_gives_up_another_one_looks() {
        let (looked, mut begins) = looked();
        let first = ask(&looked);
        begins.recv().await.unwrap();
        let (second, third) = (ask(&looked), ask(&looked));
        settle().await;
        first.abort();
        begins.recv().await.unwrap();
        second.abort();
        begins.recv().await.unwrap();
        looked.let_through.add_permits(1);
        assert_eq!(third.await.unwrap(), 3);
        assert!(looked.together.lines().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_before_their_turn_is_forgotten() {
        let (looked, mut begins) = looked();
        let first = ask(&looked);
        begins.recv().await.unwrap();
        let second = ask(&looked);
        settle().await;
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        looked.let_through.add_permits(1);
        assert_eq!(first.await.unwrap(), 1);
        assert!(looked.together.lines().is_empty());
    }

    #[tokio::test]
    async fn values_of_other_keys_do_not_wait() {
        let (looked, mut begins) = looked();
        let held = ask(&looked);
        begins.recv().await.unwrap();
        assert_eq!(looked.together.get("b", async || 7).await, 7);
        held.abort();
    }
}
