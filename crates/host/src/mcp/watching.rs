//! Resources: files that a call handed out, and open alerts, with clients that are told when those change.

use std::time::Duration;

use resto_core::{Code, FileLink};
use rmcp::model::{
    CacheScope, ContentBlock, ErrorData, ReadResourceResult, Resource, ResourceContents,
    ResourceUpdatedNotificationParam,
};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use serde_json::json;
use uuid::Uuid;

use super::{Mcp, internal};
use crate::host::Caller;

/// The resource.
pub(super) const ALERTS: &str = "resto://alerts";

/// How often it is looked whether there is a new one: another process may have raised it.
const LOOK: Duration = Duration::from_secs(5);

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

    /// Ends when an alert is open that is newer than the one before, and makes it the one before.
    async fn changed(&self, caller: &Caller, before: &mut Option<Uuid>) {
        loop {
            match caller.scope.open_alerts(1).await {
                Ok(found) => {
                    let newest = found.first().map(|alert| alert.id);
                    if newest > *before {
                        *before = newest;
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "the alerts could not be looked up"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Tells a client of the newest generation of what is open and of each new alert, and of tools that come and go, until
    /// it goes.
    pub(super) async fn tell_listener(&self, caller: &Caller, listener: &SubscriptionContext) {
        let (mut before, mut known) = (None, None);
        let wanted = listener.sink().accepted();
        let of_alerts = wanted.resource_subscriptions.as_ref().is_some_and(|all| !all.is_empty());
        let of_tools = wanted.tools_list_changed == Some(true);
        let telling = async {
            loop {
                // What was not asked for is not taken either, and would end the stream.
                let told = tokio::select! {
                    () = self.changed(caller, &mut before), if of_alerts => {
                        listener.sink().notify_resource_updated(ALERTS).await
                    }
                    () = self.list_changed(caller, &mut known), if of_tools => {
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

    /// The same for an older client that has this process to itself.
    pub(super) fn tell_peer(&self, caller: Caller, peer: Peer<RoleServer>) {
        let ours = self.clone();
        tokio::spawn(async move {
            let mut before = None;
            let closing = ours.host.closing.clone();
            let telling = async {
                loop {
                    ours.changed(&caller, &mut before).await;
                    let updated = ResourceUpdatedNotificationParam::new(ALERTS);
                    if peer.notify_resource_updated(updated).await.is_err() {
                        return;
                    }
                }
            };
            closing.run_until_cancelled(telling).await;
        });
    }
}
