//! What is done without being called: a worker in each serving process takes the jobs that are due from the database,
//! where each is held by one process at a time.

mod deliver;
mod probe;
mod refresh;
mod revoke;

use std::sync::Arc;
use std::time::Duration;

use resto_core::Result;
use resto_vault::{Job, Next, TenantScope};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::allowance::Allowance;
use crate::call::fault;
use crate::host::{Caller, Host, told};
use crate::observe;
use crate::surface::Surface;

pub(crate) use deliver::Sink;
pub(crate) use probe::DAILY;
pub(crate) use refresh::{Renewing, busy, due_in, is_renewed, lasts, replay};

/// How often a worker looks for jobs that are due.
const LOOK: Duration = Duration::from_secs(5);

/// How many jobs a process does at the same time.
const AT_ONCE: u32 = 8;

/// How long a job is held; while it is being done, the hold is renewed.
pub(crate) const HOLD: Duration = Duration::from_secs(30);
const RENEW: Duration = Duration::from_secs(10);

/// The longest time until a job that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// What is to be done. The words are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asks the provider of a connection whether it still stands.
    Probe,
    /// Renews the access of a connection before it ends.
    Refresh,
    /// Goes on with a disconnection until the provider has revoked.
    Revoke,
    /// Tells the operator's webhook of an alert.
    Deliver,
    /// Reminds people of a key that is old or a credential that ends.
    Remind,
    /// Tells people once a quarter what is connected.
    Summarise,
    /// Says what became of a call that lasted and whose process died. While it runs, its process holds the job.
    Task,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Probe,
        Self::Refresh,
        Self::Revoke,
        Self::Deliver,
        Self::Remind,
        Self::Summarise,
        Self::Task,
    ];

    /// The word that is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Deliver => "deliver",
            Self::Remind => "remind",
            Self::Summarise => "summarise",
            Self::Task => "task",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl Host {
    /// Does what is due, now and as long as the process runs.
    pub(crate) fn maintain(self: &Arc<Self>) {
        let host = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                if let Err(error) = host.work().await {
                    tracing::warn!(%error, "the jobs that are due could not be looked up");
                }
                let waited = host.closing.run_until_cancelled(tokio::time::sleep(LOOK)).await;
                if waited.is_none() {
                    return;
                }
            }
        });
    }

    /// Does all jobs that are due now, and waits for them.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn work(self: &Arc<Self>) -> Result<()> {
        let mut running = tokio::task::JoinSet::new();
        loop {
            // Tracked: a server that stops waits for what it claims, and then claims no more.
            let claiming = self.tasks.token();
            let is_ending = self.tasks.is_closed() || self.closing.is_cancelled();
            let free = AT_ONCE.saturating_sub(u32::try_from(running.len()).unwrap_or(AT_ONCE));
            let claimed = match free {
                1.. if !is_ending => self.vault.claim_jobs(free, HOLD).await,
                _ => Ok(Vec::new()),
            };
            let claimed = match claimed {
                Ok(claimed) => claimed,
                Err(error) => {
                    running.join_all().await;
                    return Err(told(error));
                }
            };
            for (scope, job) in claimed {
                let host = Arc::clone(self);
                // Tracked: a server that stops lets them end.
                running.spawn(self.tasks.track_future(Box::pin(host.job(scope, job))));
            }
            drop(claiming);
            // One that takes long does not keep the others waiting.
            if let Ok(None) = tokio::time::timeout(LOOK, running.join_next()).await {
                return Ok(());
            }
        }
    }

    async fn job(self: Arc<Self>, scope: TenantScope, job: Job) {
        let doing = {
            let (host, scope, job) = (Arc::clone(&self), scope.clone(), job.clone());
            async move { host.try_job(scope, &job).await }
        };
        // What failed was logged, and is tried again.
        let _ = Box::pin(self.hold(scope, job, doing)).await;
    }

    /// Holds a job while this is being done, and lets it go then.
    ///
    /// # Errors
    /// That of what was done.
    pub(crate) async fn hold(
        self: Arc<Self>,
        scope: TenantScope,
        job: Job,
        doing: impl Future<Output = Result<Next>> + Send + 'static,
    ) -> Result<()> {
        let done = CancellationToken::new();
        let keeping = tokio::spawn(keep(scope.clone(), job.clone(), done.clone()));
        // A fault in one job harms only this one.
        let doing = tokio::spawn(doing);
        let did = doing.await.unwrap_or_else(|_| Err(fault())).inspect_err(|error| {
            let Job { kind, subject, attempts, .. } = &job;
            tracing::warn!(%error, kind, subject, attempts, "a job failed and is tried again");
        });
        let next = did.as_ref().map_or_else(|_| Next::Retry(pause(job.attempts)), |next| *next);
        observe::job(&job.kind, !matches!(next, Next::Retry(_)));
        done.cancel();
        // What keeps the job must not give it a new hold afterwards.
        let _ = keeping.await;
        match scope.finish_job(&job, next).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(kind = job.kind, "a job took longer than it was held"),
            Err(error) => tracing::warn!(%error, kind = job.kind, "a job is done once more"),
        }
        did.map(drop)
    }

    async fn try_job(self: &Arc<Self>, scope: TenantScope, job: &Job) -> Result<Next> {
        let Some(kind) = Kind::read(&job.kind) else {
            // A newer program on the same database knows it.
            return Ok(Next::Retry(LONGEST_PAUSE));
        };
        match kind {
            Kind::Deliver => self.deliver(&scope, job).await,
            Kind::Remind => scope.remind(job, Kind::Summarise.word()).await.map_err(told),
            Kind::Summarise => scope.summarise(job).await.map_err(told),
            Kind::Probe => self.probe(&self.maintainer(scope).await?, job).await,
            Kind::Refresh => self.refresh(&self.maintainer(scope).await?, job, None).await,
            Kind::Revoke => self.revoke(&self.maintainer(scope).await?, job).await,
            Kind::Task => self.settle_task(&self.maintainer(scope).await?, job).await,
        }
    }

    /// In whose name the server itself looks after a tenant.
    ///
    /// # Errors
    /// The tenant is gone.
    pub(crate) async fn maintainer(&self, scope: TenantScope) -> Result<Caller> {
        let tenant = self.vault.tenant_of(&scope).await.map_err(told)?;
        let principal = scope.principal("resto", "maintenance").await.map_err(told)?;
        Ok(Caller {
            scope,
            principal,
            actor: "resto (maintenance)".to_owned(),
            tenant: tenant.external_id,
            surface: Surface::default(),
            allowance: Allowance::all(),
            token: None,
        })
    }
}

/// Holds a job until it is done.
async fn keep(scope: TenantScope, job: Job, done: CancellationToken) {
    while done.run_until_cancelled(tokio::time::sleep(RENEW)).await.is_some() {
        match scope.renew_job(&job, HOLD).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, kind = job.kind, "a job could not be held"),
        }
    }
}

/// How long to wait after so many attempts: a minute, twice that, and so on.
pub(crate) fn pause(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 16)).unwrap_or_default();
    jittered((Duration::from_mins(1) * 2_u32.pow(doublings)).min(LONGEST_PAUSE))
}

/// A time that is up to a tenth shorter or longer, so that what began together does not stay together.
pub(crate) fn jittered(time: Duration) -> Duration {
    // A random id is as good as any die.
    let [first, second, ..] = *Uuid::new_v4().as_bytes();
    let share = f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX);
    time.mul_f64(0.9 + share / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_quarter_of_a_day_and_no_further() {
        let within = |time: Duration, middle: Duration| {
            time >= middle.mul_f64(0.89) && time <= middle.mul_f64(1.11)
        };
        for (attempts, middle) in [(1, 60), (2, 120), (5, 960), (20, 21_600), (i64::MAX, 21_600)] {
            assert!(within(pause(attempts), Duration::from_secs(middle)), "{attempts}");
        }
    }

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        for kind in Kind::ALL {
            assert_eq!(Kind::read(kind.word()), Some(kind));
        }
        assert_eq!(Kind::read("something"), None);
    }
}
