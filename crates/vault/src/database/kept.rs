//! A pool, some of whose connections are kept from one statement that reads to the next: a pool asks each connection that
//! comes back whether it still stands, which costs as much as such a statement.

use std::{
    ops::Deref,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use sqlx::{Database, Pool, pool::PoolConnection};

use super::TRUSTED;

/// One of so many goes back to the pool, which closes what is too old.
const SEEN: u32 = 1024;

/// The pool itself, for all else.
pub(crate) struct Kept<DB: Database> {
    pool: Pool<DB>,
    /// With when each was used last; the latest at the end.
    idle: Mutex<Vec<(PoolConnection<DB>, Instant)>>,
    count: AtomicU32,
}

impl<DB: Database> Kept<DB> {
    pub(crate) fn new(pool: Pool<DB>) -> Self {
        Self { pool, idle: Mutex::default(), count: AtomicU32::new(1) }
    }

    /// One that was kept a moment ago, or one of the pool.
    pub(crate) async fn look(&self) -> sqlx::Result<PoolConnection<DB>> {
        if let Some((connection, _)) = self.fresh().pop() {
            return Ok(connection);
        }
        self.pool.acquire().await
    }

    /// Keeps one whose statement has succeeded. One that broke must go back to the pool, which finds that out.
    pub(crate) fn keep(&self, connection: PoolConnection<DB>) {
        let most = self.pool.options().get_max_connections();
        // Where the pool has none left, somebody may wait for one.
        let is_drained = self.pool.size() >= most && self.pool.num_idle() == 0;
        let is_to_be_seen = self.count.fetch_add(1, Ordering::Relaxed).is_multiple_of(SEEN);
        let mut idle = self.fresh();
        if idle.len() < most as usize / 2 && !is_drained && !is_to_be_seen && !self.pool.is_closed()
        {
            idle.push((connection, Instant::now()));
        }
    }

    /// Waits until all have come back, which those that are kept do now.
    pub(crate) async fn close(&self) {
        let closing = self.pool.close();
        self.idle().clear();
        closing.await;
    }

    /// Those that were used a moment ago; the others go back to the pool.
    fn fresh(&self) -> MutexGuard<'_, Vec<(PoolConnection<DB>, Instant)>> {
        let mut idle = self.idle();
        idle.retain(|(_, used)| used.elapsed() <= TRUSTED);
        idle
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(PoolConnection<DB>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: Database> Drop for Kept<DB> {
    /// There may be no runtime any more, in which a connection could go back.
    fn drop(&mut self) {
        for (connection, _) in self.idle().drain(..) {
            drop(connection.leak());
        }
    }
}

impl<DB: Database> Deref for Kept<DB> {
    type Target = Pool<DB>;

    fn deref(&self) -> &Pool<DB> {
        &self.pool
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use sqlx::{
        Sqlite,
        sqlite::{SqliteConnectOptions, SqlitePoolOptions},
    };

    use super::*;

    fn pool() -> Kept<Sqlite> {
        let options = SqliteConnectOptions::new().in_memory(true);
        Kept::new(SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options))
    }

    #[tokio::test]
    async fn half_of_the_connections_are_kept_and_the_pool_has_the_others() {
        let kept = pool();
        let mut looked = Vec::new();
        for _ in 0..3 {
            looked.push(kept.look().await.unwrap());
        }
        for connection in looked {
            kept.keep(connection);
        }
        assert_eq!(kept.idle().len(), 2);
        drop(kept.acquire().await.unwrap());
        // The kept ones are there without waiting.
        let mut look = Box::pin(kept.look());
        let looked = poll_fn(|context| Poll::Ready(look.as_mut().poll(context))).await;
        assert!(looked.is_ready());
    }

    #[tokio::test]
    async fn nobody_waits_for_the_pool_while_look_ups_go_round() {
        let kept = pool();
        let mut looked = Vec::new();
        for _ in 0..4 {
            looked.push(kept.look().await.unwrap());
        }
        let waiting = kept.acquire();
        let going_round = async {
            kept.keep(looked.pop().unwrap());
            assert!(kept.idle().is_empty());
        };
        let (acquired, ()) = tokio::join!(waiting, going_round);
        acquired.unwrap();
    }

    #[tokio::test]
    async fn one_that_rested_goes_back_to_the_pool() {
        let kept = pool();
        kept.keep(kept.look().await.unwrap());
        let long_ago = Instant::now().checked_sub(TRUSTED * 2).unwrap();
        kept.idle()[0].1 = long_ago;
        assert!(kept.fresh().is_empty());
    }

    #[tokio::test]
    async fn closing_does_not_wait_for_those_that_are_kept() {
        let kept = pool();
        kept.keep(kept.look().await.unwrap());
        let late = kept.look().await.unwrap();
        kept.keep(kept.acquire().await.unwrap());
        let closing = kept.close();
        let coming = async { kept.keep(late) };
        tokio::join!(closing, coming);
        assert!(kept.idle().is_empty());
        assert!(kept.look().await.is_err());
    }

    #[test]
    fn those_that_are_kept_outlive_a_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kept = runtime.block_on(async {
            let kept = pool();
            kept.keep(kept.look().await.unwrap());
            kept
        });
        drop(runtime);
        drop(kept);
    }
}
