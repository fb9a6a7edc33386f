//! Resources: files that a call handed out, and open alerts. Clients that listen are told of new alerts, and of tools that
//! come and go.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use resto_core::{Code, FileLink};
use resto_vault::TenantId;
use rmcp::model::{
    CacheScope, ContentBlock, ErrorData, ReadResourceResult, Resource, ResourceContents,
    ResourceUpdatedNotificationParam,
};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Mcp, internal};
use crate::call::fault;
use crate::catalog::Catalog;
use crate::host::{Caller, Host, told};

/// The resource.
pub(super) const ALERTS: &str = "resto://alerts";

/// How often it is looked whether something changed, which other processes do too.
const LOOK: Duration = Duration::from_secs(2);

/// How long a client is told over HTTP before it has to show its access token again.
const LONGEST: Duration = Duration::from_hours(1);

pub(super) fn resource() -> Resource {
    Resource::new(ALERTS, "alerts")
        .with_title("Alerts")
        .with_description("What a person of the business must look at, as list_alerts tells it.")
        .with_mime_type("application/json")
}

/// A file that a call handed out, as part of its result.
pub(super) fn resource_link(file: &FileLink) -> ContentBlock {
    let resource = Resource::new(&file.uri, &file.name).with_mime_type(&file.media_type);
    ContentBlock::resource_link(resource.with_size(file.size))
}

impl Mcp {
    /// A file that a call of the caller handed out; none where the address is no such file's.
    pub(super) async fn read_file(
        &self,
        caller: &Caller,
        uri: &str,
    ) -> Result<Option<ReadResourceResult>, ErrorData> {
        let read = self.host.file(caller, uri).await.map_err(|error| match error.code() {
            Code::Internal => internal(&error),
            _ => ErrorData::invalid_params(error.message().to_owned(), None),
        })?;
        Ok(read.map(|file| {
            let contents = ResourceContents::blob(file.data, uri).with_mime_type(file.media_type);
            // Who may read it is looked at each time.
            ReadResourceResult::new(vec![contents])
                .with_ttl_ms(0)
                .with_cache_scope(CacheScope::Private)
        }))
    }

    pub(super) async fn read_alerts(
        &self,
        caller: &Caller,
    ) -> Result<ReadResourceResult, ErrorData> {
        let found = self.host.open_alerts(caller).await;
        let (alerts, more) = found.map_err(|error| internal(&error))?;
        let text = json!({"alerts": alerts, "more": more}).to_string();
        let contents = ResourceContents::text(text, ALERTS).with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private))
    }

    /// What clients of this caller's tenant are told of.
    fn watch(&self, caller: &Caller) -> Sight {
        let (host, caller) = (Arc::clone(&self.host), caller.clone());
        self.watching.watch(caller.scope.tenant(), move || {
            let (host, caller) = (Arc::clone(&host), caller.clone());
            async move { Seen::now(&host, &caller).await }
        })
    }

    /// Tells a client of the newest generation of what is open and of each new alert, and of tools that come and go, until
    /// it goes.
    pub(super) async fn tell_listener(&self, caller: &Caller, listener: &SubscriptionContext) {
        let mut of_tools = (self.watch(caller), None);
        let mut of_alerts = (of_tools.0.clone(), None);
        let wanted = listener.sink().accepted();
        let alerts = wanted.resource_subscriptions.as_ref().is_some_and(|all| !all.is_empty());
        let tools = wanted.tools_list_changed == Some(true);
        let telling = async {
            loop {
                // What was not asked for is not taken either, and would end the stream.
                let told = tokio::select! {
                    () = new_alert(&mut of_alerts), if alerts => {
                        listener.sink().notify_resource_updated(ALERTS).await
                    }
                    () = other_tools(&mut of_tools), if tools => {
                        listener.sink().notify_tool_list_changed().await
                    }
                    else => std::future::pending().await,
                };
                if told.is_err() {
                    return;
                }
            }
        };
        let telling = tokio::time::timeout(LONGEST, telling);
        tokio::select! {
            _ = telling => {}
            () = listener.cancelled() => {}
            () = self.host.closing.cancelled() => {}
        }
    }

    /// Tells an older client that has this process to itself of tools that come and go.
    pub(super) fn tell_tools(&self, caller: &Caller, peer: Peer<RoleServer>) {
        let mut told = (self.watch(caller), None);
        self.until_closed(async move {
            loop {
                other_tools(&mut told).await;
                if peer.notify_tool_list_changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Tells it of alerts.
    pub(super) fn tell_alerts(&self, caller: &Caller, peer: Peer<RoleServer>) {
        let mut told = (self.watch(caller), None);
        self.until_closed(async move {
            loop {
                new_alert(&mut told).await;
                let updated = ResourceUpdatedNotificationParam::new(ALERTS);
                if peer.notify_resource_updated(updated).await.is_err() {
                    return;
                }
            }
        });
    }

    fn until_closed(&self, telling: impl Future<Output = ()> + Send + 'static) {
        let closing = self.host.closing.clone();
        tokio::spawn(async move { closing.run_until_cancelled(telling).await });
    }
}

/// What listeners are told of, as it was when it was last looked up.
#[derive(Clone)]
struct Seen {
    connected: BTreeSet<String>,
    /// The same one as long as it is made of the same.
    catalog: Arc<Catalog>,
    /// The newest open alert.
    alert: Option<Uuid>,
}

impl Seen {
    async fn now(host: &Host, caller: &Caller) -> resto_core::Result<Self> {
        Ok(Self {
            connected: host.connected(caller).await?,
            catalog: host.catalog_of(&caller.scope).await?,
            alert: caller.scope.open_alerts(1).await.map_err(told)?.first().map(|alert| alert.id),
        })
    }

    fn has_tools_of(&self, other: &Self) -> bool {
        self.connected == other.connected && Arc::ptr_eq(&self.catalog, &other.catalog)
    }
}

/// What a tenant's listeners are told of; none until it was looked up.
type Sight = watch::Receiver<Option<Seen>>;

/// Ends when the tools are others than those before; the first that are seen are not told.
async fn other_tools((sight, before): &mut (Sight, Option<Seen>)) {
    loop {
        let is_other = |seen: &Option<Seen>| match (seen, &*before) {
            (Some(seen), Some(before)) => !seen.has_tools_of(before),
            (seen, _) => seen.is_some(),
        };
        let seen = sight.wait_for(is_other).await.map(|seen| seen.clone());
        let is_first = before.is_none();
        *before = latest(seen).await;
        if !is_first {
            return;
        }
    }
}

/// Ends when an alert is open that is newer than the one before.
async fn new_alert((sight, before): &mut (Sight, Option<Uuid>)) {
    let alert = |seen: &Option<Seen>| seen.as_ref().and_then(|seen| seen.alert);
    let seen = sight.wait_for(|seen| alert(seen) > *before).await.map(|seen| alert(&seen));
    *before = latest(seen).await;
}

/// Where nobody looks any more, nothing comes.
async fn latest<T, E>(seen: Result<T, E>) -> T {
    match seen {
        Ok(seen) => seen,
        Err(_) => std::future::pending().await,
    }
}

/// Looks what has changed, for all who listen to one tenant together, as long as anybody does.
#[derive(Clone, Default)]
pub(super) struct Watching(Arc<Mutex<HashMap<TenantId, watch::Sender<Option<Seen>>>>>);

impl Watching {
    fn watch<F>(&self, tenant: TenantId, look: impl Fn() -> F + Send + 'static) -> Sight
    where
        F: Future<Output = resto_core::Result<Seen>> + Send,
    {
        let mut sights = self.sights();
        if let Some(seen) = sights.get(&tenant) {
            return seen.subscribe();
        }
        let (seen, sight) = watch::channel(None);
        sights.insert(tenant, seen.clone());
        drop(sights);
        let ours = self.clone();
        tokio::spawn(async move {
            while ours.is_watched(tenant) {
                // A fault in one look must not leave all who listen without the next.
                let looked = AssertUnwindSafe(look()).catch_unwind().await;
                match looked.unwrap_or_else(|_| Err(fault())) {
                    Ok(now) => drop(seen.send_replace(Some(now))),
                    Err(error) => {
                        tracing::warn!(%error, "what listeners are told of could not be looked up");
                    }
                }
                sleep(LOOK).await;
            }
        });
        sight
    }

    /// Whether anybody listens; else it is forgotten.
    fn is_watched(&self, tenant: TenantId) -> bool {
        let mut sights = self.sights();
        let is_watched = sights.get(&tenant).is_some_and(|seen| seen.receiver_count() > 0);
        if !is_watched {
            sights.remove(&tenant);
        }
        is_watched
    }

    fn sights(&self) -> MutexGuard<'_, HashMap<TenantId, watch::Sender<Option<Seen>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::Config;
    use crate::host::LOCAL_TENANT;

    /// What is there now, and how often it was looked up.
    struct Looked {
        now: Mutex<Seen>,
        count: AtomicUsize,
    }

    impl Looked {
        fn change(&self, change: impl FnOnce(&mut Seen)) {
            change(&mut self.now.lock().unwrap());
        }
    }

    async fn tenant() -> TenantId {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&Config::of_a_test(folder.path())).await.unwrap();
        Arc::new(host).owner(LOCAL_TENANT, "test").await.unwrap().scope.tenant()
    }

    #[tokio::test]
    async fn it_is_looked_once_for_all_who_listen_and_no_more_when_nobody_does() {
        let tenant = tenant().await;
        tokio::time::pause();
        let catalog = Arc::new(Catalog::new(Vec::new()));
        let now = Mutex::new(Seen { connected: BTreeSet::new(), catalog, alert: None });
        let looked = Arc::new(Looked { now, count: AtomicUsize::new(0) });
        let watching = Watching::default();
        let listen = || {
            let looked = Arc::clone(&looked);
            watching.watch(tenant, move || {
                looked.count.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok(looked.now.lock().unwrap().clone()))
            })
        };
        let mut of_tools: Vec<_> = (0..9).map(|_| (listen(), None)).collect();
        let mut of_alerts = (listen(), None);
        sleep(LOOK * 10).await;
        let looks = looked.count.load(Ordering::Relaxed);
        assert!((10..=11).contains(&looks), "{looks}");

        // The first that are seen are not told, and an alert that is open is.
        for listener in &mut of_tools {
            assert!(tokio::time::timeout(LOOK * 2, other_tools(listener)).await.is_err());
        }
        looked.change(|now| {
            now.alert = Some(Uuid::now_v7());
            now.connected.insert("github".into());
        });
        for listener in &mut of_tools {
            other_tools(listener).await;
        }
        new_alert(&mut of_alerts).await;
        let mut late = (listen(), None);
        new_alert(&mut late).await;
        // It was seen to by a person.
        looked.change(|now| now.alert = None);
        assert!(tokio::time::timeout(LOOK * 2, new_alert(&mut of_alerts)).await.is_err());

        drop((of_tools, of_alerts, late));
        sleep(LOOK * 2).await;
        assert!(watching.sights().is_empty());
        let looks = looked.count.load(Ordering::Relaxed);
        sleep(LOOK * 10).await;
        assert_eq!(looked.count.load(Ordering::Relaxed), looks);
    }
}
