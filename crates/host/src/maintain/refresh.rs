//! Access that ends is renewed ahead of its end, and else when it is needed: once for all who wait for it. In one process
//! they share a task, and of all processes the one that holds the job asks the provider.

mod ask;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _, Shared};
use resto_core::{Code, Error, Integration, Result};
use resto_vault::{
    AuthType, Begun, Connection, Intent, Job, Needs, Next, Status, TenantId, TenantScope,
    crash_point,
};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use self::ask::Refresh;
use super::{DAILY, HOLD, Kind, jittered};
use crate::call::fault;
use crate::connect::{lifecycle, recorded};
use crate::host::{Caller, Host, told};
use crate::learning::Learnt;

pub(crate) use ask::replay;

/// How long somebody waits for an access that is being renewed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at what another process is doing.
const LOOK: Duration = Duration::from_millis(120);

/// An access is renewed this long before its end at least, and a call does not begin with one that ends so soon.
const AHEAD: Duration = Duration::from_mins(1);
const TOO_SHORT: Duration = Duration::from_secs(30);

/// A new access that is refused so soon would be refused again.
const YOUNG: Duration = Duration::from_mins(1);

/// An access: of which tenant, at which integration, and its generation.
type Which = (TenantId, &'static str, i64);

/// What this process does once for all who wait for it.
#[derive(Default)]
pub(crate) struct Renewing {
    /// Renewals of what has ended.
    under_way: Mutex<HashMap<Which, Shared<BoxFuture<'static, Result<()>>>>>,
    /// What has worked since it was renewed.
    worked: Mutex<HashSet<Which>>,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the access of a connection is renewed without a person.
pub(crate) fn is_renewed(connection: &Connection, now: OffsetDateTime) -> bool {
    connection.auth_type == AuthType::OAuth2
        && connection
            .expires_at
            .is_some_and(|end| connection.reauthorize_by.is_none_or(|by| by > end && by > now))
}

/// In how long an access is to be renewed that has so much left of so long a life.
pub(crate) fn due_in(left: Duration, life: Duration) -> Duration {
    let ahead = (life / 10).max(AHEAD).min(life / 2);
    // Never later than that: what is jittered is a little more.
    left.saturating_sub(jittered(ahead + ahead / 9))
}

/// How much is left of an access, and how long it lives in all.
fn life(connection: &Connection, now: OffsetDateTime) -> (Duration, Duration) {
    let Some(end) = connection.expires_at else {
        return (Duration::MAX, Duration::MAX);
    };
    let began = connection.renewed_at.unwrap_or(connection.connected_at);
    let until = |from: OffsetDateTime| Duration::try_from(end - from).unwrap_or_default();
    (until(now), until(began))
}

/// Whether an access needs no renewal before a call.
pub(crate) fn lasts(connection: &Connection, now: OffsetDateTime) -> bool {
    let (left, life) = life(connection, now);
    // Whether a key still works, its provider says.
    let is_key = connection.auth_type == AuthType::ApiKey;
    is_key || connection.status != Status::Active || left > TOO_SHORT.min(life / 10)
}

impl Host {
    /// The connection with an access that works for a call: renewed first where it has ended, or is about to.
    ///
    /// # Errors
    /// It has ended, and cannot be renewed now or without a person.
    pub(crate) async fn fresh(
        self: &Arc<Self>,
        scope: &TenantScope,
        integration: &'static Integration,
        connection: Connection,
    ) -> Result<Connection> {
        if lasts(&connection, scope.now()) {
            return Ok(connection);
        }
        let (left, _) = life(&connection, scope.now());
        if !is_renewed(&connection, scope.now()) {
            return if left.is_zero() {
                Err(self.access_ended(integration))
            } else {
                Ok(connection)
            };
        }
        match Box::pin(self.renew(scope, integration, connection.generation)).await {
            Ok(()) => {}
            Err(error) if left.is_zero() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "an access that ends soon could not be renewed yet");
                return Ok(connection);
            }
        }
        let renewed = Box::pin(scope.connection(integration.id)).await.map_err(told)?;
        // What was just renewed is used, however short it lives.
        renewed.ok_or_else(|| not_connected(integration))
    }

    /// Whether there is another access than the one that the provider has just refused.
    pub(crate) async fn has_another(
        self: &Arc<Self>,
        scope: &TenantScope,
        integration: &'static Integration,
        refused: &Connection,
    ) -> bool {
        let Ok(Some(now)) = scope.connection(integration.id).await else { return false };
        if now.generation != refused.generation {
            return now.status == Status::Active;
        }
        let (_, life) = life(&now, scope.now());
        let age = now.renewed_at.map(|at| scope.now() - at);
        // Before its own beginning, where the clock was set back, it is of any age.
        if age.is_some_and(|age| !age.is_negative() && age < YOUNG.min(life / 2))
            || !is_renewed(&now, scope.now())
        {
            return false;
        }
        let renewed = self.renew(scope, integration, now.generation).await;
        renewed
            .inspect_err(|error| tracing::warn!(%error, "a refused access was not renewed"))
            .is_ok()
    }

    fn access_ended(&self, integration: &Integration) -> Error {
        let page = self.place.page(&["connect", integration.id]);
        Error::new(
            Code::AuthExpired,
            format!(
                "The access to {} has ended, and only a person can renew it: they sign in again, as the tool connect_integration asks them to: {}",
                integration.name,
                page.map(String::from).unwrap_or_default()
            ),
        )
    }

    /// Waits until the access of this generation has been renewed, by whoever is at it.
    async fn renew(
        self: &Arc<Self>,
        scope: &TenantScope,
        integration: &'static Integration,
        generation: i64,
    ) -> Result<()> {
        let which = (scope.tenant(), integration.id, generation);
        let renewing = lock(&self.renewing.under_way)
            .entry(which)
            .or_insert_with(|| {
                let (host, scope) = (Arc::clone(self), scope.clone());
                // Tracked, and nobody's in particular: whoever waits may go away.
                let task = self.tasks.spawn(async move {
                    let renewing = host.try_renew(&scope, integration, generation);
                    let renewed = AssertUnwindSafe(renewing).catch_unwind().await;
                    lock(&host.renewing.under_way).remove(&which);
                    renewed.unwrap_or_else(|_| Err(fault()))
                });
                async move { task.await.unwrap_or_else(|_| Err(fault())) }.boxed().shared()
            })
            .clone();
        timeout(PATIENCE, renewing).await.unwrap_or_else(|_| Err(busy(integration)))
    }

    async fn try_renew(
        self: &Arc<Self>,
        scope: &TenantScope,
        integration: &'static Integration,
        generation: i64,
    ) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let kind = Kind::Refresh.word();
        loop {
            let now = scope.connection(integration.id).await.map_err(told)?;
            let now = now.ok_or_else(|| not_connected(integration))?;
            if now.generation != generation {
                return Ok(());
            }
            if now.status != Status::Active {
                let (integration_id, status) = (integration.id.to_owned(), now.status);
                return Err(told(resto_vault::Error::Inactive { integration_id, status }));
            }
            if let Some(job) = scope.claim_job(kind, integration.id, HOLD).await.map_err(told)? {
                let caller = self.maintainer(scope.clone()).await?;
                let (host, mine) = (Arc::clone(self), job.clone());
                let doing = async move { host.refresh(&caller, &mine, Some(generation)).await };
                return Arc::clone(self).hold(scope.clone(), job, doing).await;
            }
            if Instant::now() >= until {
                return Err(busy(integration));
            }
            sleep(jittered(LOOK)).await;
        }
    }

    /// Waits until nobody renews the access of a connection that was stopped. Nobody begins to any more, so that the
    /// credential which is stored then is the last one.
    ///
    /// # Errors
    /// Somebody does for too long.
    pub(crate) async fn settle(
        &self,
        scope: &TenantScope,
        integration: &Integration,
    ) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let kind = Kind::Refresh.word();
        while Instant::now() < until {
            if let Some(job) = scope.claim_job(kind, integration.id, HOLD).await.map_err(told)? {
                scope.finish_job(&job, Next::Never).await.map_err(told)?;
                return Ok(());
            }
            sleep(jittered(LOOK)).await;
        }
        Err(busy(integration))
    }

    /// Renews an access that is due, or that of the wanted generation whether or not it is.
    pub(super) async fn refresh(
        &self,
        caller: &Caller,
        job: &Job,
        wanted: Option<i64>,
    ) -> Result<Next> {
        crash_point("refresh.lease_taken");
        let integration = self.integration(&job.subject)?;
        let connection = caller.scope.connection(integration.id).await.map_err(told)?;
        let Some(connection) = connection else { return Ok(Next::Never) };
        if connection.status != Status::Active {
            // A person decides what happens with it; it may be active again by then.
            return Ok(Next::In(jittered(DAILY)));
        }
        if !is_renewed(&connection, caller.scope.now()) {
            return Ok(Next::Never);
        }
        let (left, life) = life(&connection, caller.scope.now());
        let rest = due_in(left, life);
        if wanted != Some(connection.generation) && !rest.is_zero() {
            return Ok(Next::In(rest));
        }
        self.discover(integration).await?;
        let ours = self.our_client(integration)?;
        let intent = Intent {
            connection: Needs::Active,
            ..lifecycle(caller, integration, "refresh", &Value::Null)
        };
        let Begun { ticket, connection, .. } = caller.scope.begin(intent).await.map_err(told)?;
        let renewed = match connection {
            Some((connection, sealed)) => {
                Refresh { host: self, caller, integration, ours, connection, job }.run(sealed).await
            }
            None => Err(fault()),
        };
        self.finish(caller, ticket, &recorded(&renewed), Learnt::default()).await;
        renewed.map(Next::In)
    }

    /// Destroys what an access took the place of, once it has worked.
    pub(crate) fn has_worked(
        self: &Arc<Self>,
        scope: &TenantScope,
        integration: &'static Integration,
        connection: &Connection,
    ) {
        let which = (scope.tenant(), integration.id, connection.generation);
        if !connection.keeps_former || !lock(&self.renewing.worked).insert(which) {
            return;
        }
        let (host, scope) = (Arc::clone(self), scope.clone());
        self.tasks.spawn(async move {
            let forgotten = scope.forget_former(integration.id, which.2).await;
            // Whoever began before may come once more, which does no harm.
            lock(&host.renewing.worked).remove(&which);
            if let Err(error) = forgotten {
                tracing::warn!(%error, "a replaced credential is kept for a day");
            }
        });
    }
}

pub(crate) fn busy(integration: &Integration) -> Error {
    Error::new(
        Code::ProviderDown,
        format!(
            "The access to {} is being renewed, which takes long. Try again in a minute.",
            integration.name
        ),
    )
}

fn not_connected(integration: &Integration) -> Error {
    told(resto_vault::Error::NotConnected { integration_id: integration.id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_renewed_a_tenth_of_its_life_ahead_and_a_minute_at_least() {
        let seconds = Duration::from_secs;
        for (life, latest) in
            [(28_800, 25_920), (3600, 3240), (300, 240), (100, 50), (5, 2), (0, 0)]
        {
            for _ in 0..100 {
                let due = due_in(seconds(life), seconds(life));
                assert!(due <= seconds(latest) + Duration::from_millis(500), "{life}: {due:?}");
                assert!(due >= seconds(latest).mul_f64(0.7), "{life}: {due:?}");
            }
        }
        assert_eq!(due_in(seconds(40), seconds(3600)), Duration::ZERO);
    }
}
