//! How much each tenant may ask of a provider, and all tenants together. The budgets are in the database, so that all hosts
//! on it share them; a host takes some requests at once and hands them out from memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use resto_core::{Admission, Code, Error, Integration, Limits, Provider, Result};
use resto_vault::{Rate, Taken, TenantId, TenantScope, Vault};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::host::{Caller, Host, told};

/// How long a request waits for its turn before the caller is told to come back.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long taken requests are kept to be handed out: what is not sent soon would add to what is sent later.
const FRESH: Duration = Duration::from_secs(10);

/// Calls of one tenant at the same time in one process; more wait.
const CALLS_AT_ONCE: usize = 64;

/// Gates that nobody uses are forgotten when there are more than these.
const KEPT: usize = 1024;

/// Other limits than the provider's own, for an account with a larger quota or one that is shared with others.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitOverrides {
    /// Requests of one tenant within `per_seconds`.
    pub requests: Option<u32>,
    /// The time that `requests` and `overall` are about.
    pub per_seconds: Option<u32>,
    /// How many of them at once after a pause; a tenth of `requests` if that is set and this is not.
    pub burst: Option<u32>,
    /// Requests of one tenant at the same time.
    pub concurrent: Option<u32>,
    /// Requests of all tenants together.
    pub overall: Option<u32>,
}

impl LimitOverrides {
    fn over(&self, own: &Limits) -> Limits {
        let requests = self.requests.unwrap_or(own.requests).max(1);
        let tenth = self.requests.map(|requests| requests / 10);
        Limits {
            requests,
            per: self
                .per_seconds
                .map_or(own.per, |seconds| Duration::from_secs(seconds.max(1).into())),
            burst: self.burst.or(tenth).unwrap_or(own.burst).clamp(1, requests),
            concurrent: self.concurrent.unwrap_or(own.concurrent).max(1),
            overall: self.overall.or(own.overall),
        }
    }
}

/// The gates of one process.
#[derive(Default)]
pub(crate) struct Gates {
    tenants: Mutex<HashMap<(TenantId, &'static str), Arc<Gate>>>,
    shared: Mutex<HashMap<&'static str, Arc<Stock>>>,
    calls: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// Through which the requests of one tenant to one integration go.
pub(crate) struct Gate {
    scope: TenantScope,
    vault: Vault,
    name: &'static str,
    at_once: Arc<Semaphore>,
    rate: Rate,
    own: Stock,
    overall: Option<(Rate, Arc<Stock>)>,
    /// The provider wants no request before.
    closed_until: Mutex<Option<Instant>>,
}

/// Requests that were taken from a budget and not handed out yet.
#[derive(Default)]
struct Stock(tokio::sync::Mutex<Option<(u32, Instant)>>);

impl Stock {
    /// Hands one out; when none is left, takes some more. What is awaited is the database only: whoever must wait longer
    /// is told how long.
    async fn hand_out(&self, take: impl AsyncFnOnce() -> Result<(Taken, u32)>) -> Result<Taken> {
        let mut left = self.0.lock().await;
        if let Some((count, until)) = left.as_mut()
            && *count > 0
            && Instant::now() < *until
        {
            *count -= 1;
            return Ok(Taken::Granted);
        }
        let (taken, count) = take().await?;
        if taken == Taken::Granted {
            *left = Some((count.saturating_sub(1), Instant::now() + FRESH));
        }
        Ok(taken)
    }
}

/// As many at once as one host may take without keeping much from the others.
fn handful(rate: &Rate) -> u32 {
    (rate.burst / 10).max(1)
}

impl Gate {
    /// Waits for a turn.
    ///
    /// # Errors
    /// `rate_limited`, with when to come back.
    pub async fn admit(&self) -> Result<Admission> {
        let until = Instant::now() + PATIENCE;
        let Ok(Ok(place)) = timeout(PATIENCE, self.at_once.clone().acquire_owned()).await else {
            return Err(
                self.over(Duration::from_secs(1), "answers too many requests of yours already")
            );
        };
        loop {
            if let Some(wait) = self.closed_for() {
                if Instant::now() + wait > until {
                    return Err(self.over(wait, "has asked for a pause"));
                }
                sleep(wait).await;
            }
            let mut taken = self
                .own
                .hand_out(async || {
                    let count = handful(&self.rate);
                    let taken = self.scope.take(self.name, &self.rate, count).await;
                    taken.map_err(told).map(|taken| (taken, count))
                })
                .await?;
            if taken == Taken::Granted
                && let Some((rate, stock)) = &self.overall
            {
                taken = stock
                    .hand_out(async || {
                        let count = handful(rate);
                        let taken = self.vault.take_shared(self.name, rate, count).await;
                        taken.map_err(told).map(|taken| (taken, count))
                    })
                    .await?;
            }
            match taken {
                Taken::Granted => return Ok(Box::new(place)),
                Taken::In(wait) if Instant::now() + wait > until => {
                    return Err(self.over(wait, "was asked as often as it may be"));
                }
                Taken::In(wait) => sleep(wait).await,
            }
        }
    }

    fn closed_for(&self) -> Option<Duration> {
        let closed = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        closed?.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    /// Lets nothing through for so long.
    pub fn close_for(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |before| before.max(until)));
    }

    fn over(&self, wait: Duration, what: &str) -> Error {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Error::new(
            Code::RateLimited,
            format!(
                "This server's limit for {} is reached: it {what}. Nothing was sent. Come back in {seconds} s.",
                self.name
            ),
        )
        .retry_after(seconds)
    }
}

/// What is kept under a name, made where it is missing. What nobody else holds goes when there is too much.
fn kept<K: Eq + Hash, V>(
    all: &Mutex<HashMap<K, Arc<V>>>,
    key: K,
    make: impl FnOnce() -> V,
) -> Arc<V> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() > KEPT {
        all.retain(|_, value| Arc::strong_count(value) > 1);
    }
    all.entry(key).or_insert_with(|| Arc::new(make())).clone()
}

impl Host {
    /// The gate of a tenant's requests to an integration.
    pub(crate) fn gate(
        &self,
        scope: &TenantScope,
        integration: &'static Integration,
        provider: &Provider,
    ) -> Arc<Gate> {
        let name = integration.id;
        kept(&self.gates.tenants, (scope.tenant(), name), || {
            let named = self.overrides.get(name).and_then(|named| named.limits);
            let limits = named.unwrap_or_default().over(&provider.limits);
            let Limits { requests, per, burst, .. } = limits;
            let overall = limits.overall.map(|requests| {
                let stock = kept(&self.gates.shared, name, Stock::default);
                (Rate { requests, per, burst: (requests / 10).max(1) }, stock)
            });
            Gate {
                scope: scope.clone(),
                vault: self.vault.clone(),
                name,
                at_once: Arc::new(Semaphore::new(limits.concurrent as usize)),
                rate: Rate { requests, per, burst },
                own: Stock::default(),
                overall,
                closed_until: Mutex::default(),
            }
        })
    }

    /// A place among the calls of a tenant that run at the same time, so that one tenant does not keep the others waiting.
    ///
    /// # Errors
    /// `rate_limited`: too many wait already.
    pub(crate) async fn place(&self, caller: &Caller) -> Result<OwnedSemaphorePermit> {
        let tenant = caller.scope.tenant();
        let calls = kept(&self.gates.calls, tenant, || Semaphore::new(CALLS_AT_ONCE));
        match timeout(PATIENCE, calls.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Error::new(
                Code::RateLimited,
                format!("{CALLS_AT_ONCE} calls of yours are under way, and more wait. Nothing was done. Come back in 5 s."),
            )
            .retry_after(5)),
        }
    }
}
