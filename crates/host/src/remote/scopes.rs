//! Scopes that a remote server wants besides those that the configuration names: which a tool of it was refused for, and
//! which a person has granted.

use resto_core::{Integration, Result};
use serde_json::json;

use crate::host::{Caller, Host, told};

/// The collections of both, by integration and tool, and by integration.
const WANTED: &str = "remote.scopes.wanted";
const GRANTED: &str = "remote.scopes.granted";

/// How long a refusal is remembered: as long as the link that offers the consent.
const KEPT: std::time::Duration = std::time::Duration::from_hours(1);

impl Host {
    /// Remembers for which scopes a tool was refused.
    pub(crate) async fn note_wanted(&self, caller: &Caller, at: (&Integration, &str), scope: &str) {
        let (integration, tool) = at;
        let wanted = json!(scope.split(' ').collect::<Vec<_>>());
        let id = format!("{}/{tool}", integration.id);
        if let Err(error) = caller.scope.put_record(WANTED, &id, &wanted, Some(KEPT)).await {
            tracing::warn!(%error, "the scope that a tool lacks could not be remembered");
        }
    }

    /// The scopes for which a tool was refused of late and that were not granted since.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn wanted(
        &self,
        caller: &Caller,
        integration: &Integration,
        tool: &str,
    ) -> Result<Vec<String>> {
        let id = format!("{}/{tool}", integration.id);
        let granted = self.granted(caller, integration).await?;
        let mut wanted = scopes(caller, WANTED, &id).await?;
        wanted.retain(|scope| !granted.contains(scope));
        Ok(wanted)
    }

    /// The scopes that came with the access that there is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn granted(
        &self,
        caller: &Caller,
        integration: &Integration,
    ) -> Result<Vec<String>> {
        scopes(caller, GRANTED, integration.id).await
    }

    /// Remembers the scopes that came with an access to a remote server.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn note_granted<'a>(
        &self,
        caller: &Caller,
        integration: &Integration,
        scopes: impl Iterator<Item = &'a str>,
    ) -> Result<()> {
        if !self.is_remote(integration.id) {
            return Ok(());
        }
        let granted = json!(scopes.collect::<Vec<_>>());
        caller.scope.put_record(GRANTED, integration.id, &granted, None).await.map_err(told)
    }

    /// Forgets them with the account.
    pub(super) async fn forget_granted(&self, caller: &Caller, integration: &Integration) {
        if let Err(error) = caller.scope.delete_record(GRANTED, integration.id).await {
            tracing::warn!(%error, "the scopes of a server that was disconnected are still kept");
        }
    }
}

async fn scopes(caller: &Caller, collection: &str, id: &str) -> Result<Vec<String>> {
    let stored = caller.scope.record(collection, id).await.map_err(told)?;
    Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default())
}
