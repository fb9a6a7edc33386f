//! Which tools of remote servers there are for a tenant, and a person's approval of those that changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use resto_core::{Code, Error, Integration, Result};
use resto_vault::{TenantId, TenantScope};
use serde_json::{Value, json};

use super::{OFFERS, Offer, Remote};
use crate::catalog::Catalog;
use crate::connect::{Report, lifecycle, recorded};
use crate::host::{Caller, Host, told};
use crate::learning::Learnt;

/// Catalogs that are kept made; the others are made again.
const KEPT: usize = 256;

/// What is kept of each remote server for one tenant, and the catalog that was made of it.
type Made = (Vec<Option<Value>>, Arc<Catalog>);

/// The catalogs of tenants, as long as what they were made of stays the same.
#[derive(Default)]
pub(crate) struct Offers(Mutex<HashMap<TenantId, Made>>);

impl Host {
    /// The actions that there are for a tenant: those that everybody has, and the tools of the remote servers that it has
    /// connected.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn catalog_of(&self, scope: &TenantScope) -> Result<Arc<Catalog>> {
        if self.remotes.is_empty() {
            return Ok(Arc::clone(&self.catalog));
        }
        let mut stored = Vec::with_capacity(self.remotes.len());
        for remote in &self.remotes {
            stored.push(scope.record(OFFERS, remote.integration.id).await.map_err(told)?);
        }
        let tenant = scope.tenant();
        let kept = || self.offers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, catalog)) = kept().get(&tenant)
            && *same == stored
        {
            return Ok(Arc::clone(catalog));
        }
        let adapters = self.remotes.iter().zip(&stored).filter_map(|(remote, offer)| {
            let offer: Offer = serde_json::from_value(offer.clone()?).ok()?;
            Some(remote.adapter(&offer))
        });
        let is_own = |tool: &str| self.own_tool(tool).is_some();
        let catalog = Arc::new(Catalog::over(&self.catalog, adapters.collect(), is_own));
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(tenant, (stored, Arc::clone(&catalog)));
        Ok(catalog)
    }

    /// The tools that a remote server offers this caller; none where it is no remote server, or not connected.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn offer_of(
        &self,
        caller: &Caller,
        integration: &Integration,
    ) -> Result<Option<Offer>> {
        if self.remote(integration).is_none() {
            return Ok(None);
        }
        let stored = caller.scope.record(OFFERS, integration.id).await.map_err(told)?;
        Ok(stored.and_then(|offer| serde_json::from_value(offer).ok()))
    }

    /// Forgets what a remote server offered, with its account: whoever connects it again begins anew.
    pub(crate) async fn forget_offer(&self, caller: &Caller, integration: &Integration) {
        if !self.is_remote(integration.id) {
            return;
        }
        if let Err(error) = caller.scope.delete_record(OFFERS, integration.id).await {
            tracing::warn!(%error, "the tools of a server that was disconnected are still kept");
        }
        self.forget_granted(caller, integration).await;
    }

    /// Approves a tool of a remote server as a person has seen it, and tests the connection.
    ///
    /// # Errors
    /// The tool is another one by now, or the server cannot be reached.
    pub(crate) async fn approve_tool(
        self: &Arc<Self>,
        caller: &Caller,
        integration: &'static Integration,
        tool: &str,
        hash: &str,
    ) -> Result<Report> {
        let params = json!({"tool": tool, "hash": hash});
        let intent = lifecycle(caller, integration, "approve_tool", &params);
        let ticket = caller.scope.begin(intent).await.map_err(told)?.ticket;
        let approved = self.try_approve_tool(caller, integration, tool, hash).await;
        self.finish(caller, ticket, &recorded(&approved), Learnt::default()).await;
        approved?;
        self.test_connection(caller, integration).await
    }

    async fn try_approve_tool(
        &self,
        caller: &Caller,
        integration: &Integration,
        tool: &str,
        hash: &str,
    ) -> Result<()> {
        let mut is_approved = false;
        let approve = |stored: &mut Value| {
            let Ok(mut offer) = serde_json::from_value::<Offer>(stored.take()) else {
                return false;
            };
            is_approved = offer.approve(tool, hash);
            *stored = serde_json::to_value(&offer).unwrap_or_default();
            is_approved
        };
        let changed = caller.scope.change_record(OFFERS, integration.id, approve).await;
        match changed.map_err(told)? {
            Some(true) => Ok(()),
            _ => Err(Error::new(
                Code::Conflict,
                format!(
                    "The tool is not any more as you saw it. Nothing was approved. Look at it again on the page of {}.",
                    integration.name
                ),
            )),
        }
    }

    /// The remote servers that the configuration names.
    pub(crate) fn remote_integrations(&self) -> impl Iterator<Item = &'static Integration> {
        self.remotes.iter().map(|remote| remote.integration)
    }

    /// Whether this is the id of a remote server.
    pub(crate) fn is_remote(&self, integration_id: &str) -> bool {
        self.remotes.iter().any(|remote| remote.integration.id == integration_id)
    }

    pub(crate) fn remote(&self, integration: &Integration) -> Option<&Arc<Remote>> {
        self.remotes.iter().find(|remote| remote.integration.id == integration.id)
    }
}
