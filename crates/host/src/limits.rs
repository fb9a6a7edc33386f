//! How much each tenant may ask of a provider, and all tenants together. The budgets are in the database, so that all hosts
//! on it share them; a host takes some requests at once and hands them out from memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use resto_core::{Admission, Code, Error, Integration, Limits, Provider, Result};
use resto_vault::{Rate, Taken, TenantId, TenantScope};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::breaker::Breaker;
use crate::host::{Caller, Host, told};
use room::Room;

mod room;

/// How long a request waits for its turn before the caller is told to come back.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long taken requests are kept to be handed out: what is not sent soon would add to what is sent later.
const FRESH: Duration = Duration::from_secs(10);

/// Calls of one tenant at the same time in one process; more wait.
const CALLS_AT_ONCE: usize = 64;

/// Requests of one tenant that are open in one process, and streams on which it is told things; more are turned away, so
/// that no tenant takes all connections.
const REQUESTS_AT_ONCE: usize = 256;
const STREAMS_AT_ONCE: usize = 512;

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

/// An integration, and the provider that stands behind it: one that takes its place has limits of its own.
type At = (&'static str, &'static str);

/// The gates of one process.
pub(crate) struct Gates {
    tenants: Mutex<HashMap<(TenantId, At), Arc<Gate>>>,
    shared: Mutex<HashMap<At, Arc<Budget>>>,
    calls: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    requests: Room,
    streams: Room,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            tenants: Mutex::default(),
            shared: Mutex::default(),
            calls: Mutex::default(),
            requests: Room::of(REQUESTS_AT_ONCE),
            streams: Room::of(STREAMS_AT_ONCE),
        }
    }
}

/// Through which the requests of one tenant to one integration go.
pub(crate) struct Gate {
    name: &'static str,
    at_once: Arc<Semaphore>,
    /// One after the other asks for what may not be there yet. All at the same moment would ask in vain but one, and keep the
    /// database from everybody else meanwhile.
    turn: tokio::sync::Mutex<()>,
    own: Budget,
    overall: Option<Arc<Budget>>,
    /// The provider wants no request before.
    closed_until: Mutex<Option<Instant>>,
    /// Whether it works.
    pub breaker: Breaker,
}

/// A budget in the database, and what was taken from it and not handed out yet.
struct Budget {
    scope: TenantScope,
    /// Of its row. Each provider has one of its own, as it counts by its own rate.
    name: String,
    rate: Rate,
    stock: tokio::sync::Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    left: u32,
    /// Until when what is left may be handed out.
    until: Option<Instant>,
    /// How many were taken the last time.
    last: u32,
}

impl Budget {
    fn new(scope: TenantScope, (integration, provider): At, rate: Rate) -> Self {
        let name = format!("{integration}/{provider}");
        Self { scope, name, rate, stock: tokio::sync::Mutex::default() }
    }

    /// Hands one out; when none is left, takes some more: twice as many as before if that was just now, up to a handful,
    /// so that a process that makes one request takes one. What is awaited is the database only: whoever must wait longer
    /// is told how long.
    async fn hand_out(&self) -> Result<Taken> {
        let mut stock = self.stock.lock().await;
        let is_fresh = stock.until.is_some_and(|until| Instant::now() < until);
        if is_fresh && stock.left > 0 {
            stock.left -= 1;
            return Ok(Taken::Granted);
        }
        let most = handful(&self.rate);
        let mut count = if is_fresh { stock.last.saturating_mul(2).clamp(1, most) } else { 1 };
        let mut taken = self.take(count).await?;
        if taken != Taken::Granted && count > 1 {
            count = 1;
            taken = self.take(count).await?;
        }
        if taken == Taken::Granted {
            *stock = Stock { left: count - 1, until: Some(Instant::now() + FRESH), last: count };
        }
        Ok(taken)
    }

    async fn take(&self, count: u32) -> Result<Taken> {
        self.scope.take(&self.name, &self.rate, count).await.map_err(told)
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
    /// `rate_limited`, or `provider_down` where it is left alone for a while; with when to come back.
    pub async fn admit(&self) -> Result<Admission> {
        if let Some(wait) = self.breaker.open_for() {
            return Err(self.down(wait));
        }
        let until = Instant::now() + PATIENCE;
        let Ok(Ok(place)) = timeout(PATIENCE, self.at_once.clone().acquire_owned()).await else {
            return Err(
                self.over(Duration::from_secs(1), "answers too many requests of yours already")
            );
        };
        let Ok(_turn) = timeout_at(until, self.turn.lock()).await else {
            return Err(match self.closed_for() {
                Some(wait) => self.over(wait, "has asked for a pause"),
                None => self
                    .over(PATIENCE, "was asked as often as it may be, and others wait before you"),
            });
        };
        self.breaker.pass().map_err(|wait| self.down(wait))?;
        loop {
            if let Some(wait) = self.closed_for() {
                if Instant::now() + wait > until {
                    return Err(self.over(wait, "has asked for a pause"));
                }
                sleep(wait).await;
            }
            let mut taken = self.own.hand_out().await?;
            if taken == Taken::Granted
                && let Some(overall) = &self.overall
            {
                taken = overall.hand_out().await?;
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

    fn down(&self, wait: Duration) -> Error {
        let seconds = whole(wait);
        let what = format!(
            "{} failed several times in a row, and is left alone for a moment. Nothing was sent. Come back in {seconds} s.",
            self.name
        );
        Error::new(Code::ProviderDown, what).retry_after(seconds)
    }

    fn over(&self, wait: Duration, what: &str) -> Error {
        let seconds = whole(wait);
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

/// In seconds, rounded up.
fn whole(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
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
        let at = (name, provider.id);
        kept(&self.gates.tenants, (scope.tenant(), at), || {
            let named = self.overrides.get(name).and_then(|named| named.limits);
            let limits = named.unwrap_or_default().over(&provider.limits);
            let Limits { requests, per, burst, .. } = limits;
            let overall = limits.overall.map(|requests| {
                let rate = Rate { requests, per, burst: (requests / 10).max(1) };
                kept(&self.gates.shared, at, || Budget::new(self.vault.shared(), at, rate))
            });
            Gate {
                name,
                at_once: Arc::new(Semaphore::new(limits.concurrent as usize)),
                turn: tokio::sync::Mutex::default(),
                own: Budget::new(scope.clone(), at, Rate { requests, per, burst }),
                overall,
                closed_until: Mutex::default(),
                breaker: Breaker::default(),
            }
        })
    }

    /// Whether the tenant of this access token had too many requests open, or streams, and still has. This asks nobody: who
    /// goes on asking meanwhile takes as little as possible from the others.
    pub(crate) fn is_full_for(&self, token: &str, is_stream: bool) -> bool {
        self.room(is_stream).is_full_for(token)
    }

    /// A place among the requests of a tenant that are open, or among its streams; none where it has too many.
    pub(crate) fn let_in(
        &self,
        caller: &Caller,
        token: &str,
        is_stream: bool,
    ) -> Option<OwnedSemaphorePermit> {
        self.room(is_stream).enter(caller.scope.tenant(), token)
    }

    fn room(&self, is_stream: bool) -> &Room {
        if is_stream { &self.gates.streams } else { &self.gates.requests }
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

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::config::Config;
    use crate::host::LOCAL_TENANT;

    #[tokio::test]
    async fn who_moves_to_another_company_is_held_to_its_limits_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&Config::of_a_test(folder.path())).await.unwrap();
        let scope = host.owner(LOCAL_TENANT, "test").await.unwrap().scope;
        let registrar = host.catalog.adapter("registrar").unwrap().integration;
        let gate = |id: &str| {
            let provider = registrar.providers.iter().find(|one| one.id == id).unwrap();
            let gate = host.gate(&scope, registrar, provider);
            assert_eq!(gate.own.rate.requests, provider.limits.requests, "{id}");
            gate
        };
        let (porkbun, cloudflare) = (gate("porkbun"), gate("cloudflare"));
        assert_ne!(porkbun.own.rate, cloudflare.own.rate);
        while porkbun.own.hand_out().await.unwrap() == Taken::Granted {}
        assert_eq!(cloudflare.own.hand_out().await.unwrap(), Taken::Granted);
        porkbun.close_for(PATIENCE);
        assert!(cloudflare.closed_for().is_none(), "the other company asked for the pause");
        assert!(Arc::ptr_eq(&porkbun, &gate("porkbun")));
    }

    /// How often each has to ask is what the database does for one that is over its limit.
    #[tokio::test]
    async fn e7_who_asked_first_goes_first_and_the_others_ask_nothing_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&Config::of_a_test(folder.path())).await.unwrap();
        let scope = host.owner(LOCAL_TENANT, "test").await.unwrap().scope;
        let rate = Rate { requests: 101, per: Duration::from_secs(1), burst: 1 };
        let gate = Gate {
            name: "github",
            at_once: Arc::new(Semaphore::new(64)),
            turn: tokio::sync::Mutex::default(),
            own: Budget::new(scope, ("github", "github"), rate),
            overall: None,
            closed_until: Mutex::default(),
            breaker: Breaker::default(),
        };
        let admitted = Mutex::new(Vec::new());
        let waiting = (0..40).map(|n| {
            let (gate, admitted) = (&gate, &admitted);
            async move {
                gate.admit().await.unwrap();
                // Nobody else is asking while one waits to be let in.
                assert!(gate.own.stock.try_lock().is_ok(), "another one asks in vain");
                admitted.lock().unwrap().push(n);
            }
        });
        join_all(waiting).await;
        let admitted = admitted.into_inner().unwrap();
        assert_eq!(admitted, (0..40).collect::<Vec<_>>());
    }
}
