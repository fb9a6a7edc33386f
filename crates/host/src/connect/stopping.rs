//! Stopping many connections at once: those of a business, of an integration, or all.

use std::sync::Arc;

use futures::StreamExt as _;
use resto_core::{Code, Integration, Result};
use resto_vault::{Outcome, ResultStatus, Status, Tenant};
use serde::Serialize;
use serde_json::json;

use super::{Receipt, lifecycle};
use crate::call::fault;
use crate::host::{Caller, Host, told};

/// How many providers are asked at the same time.
const AT_ONCE: usize = 8;

/// A connection that was stopped, or may be used again.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// The business.
    pub tenant: String,
    /// The integration's id.
    pub integration: String,
}

/// What became of a connection that was to be revoked.
#[derive(Debug, Serialize)]
pub struct Ended {
    /// The business.
    pub tenant: String,
    /// The integration's id.
    pub integration: String,
    /// Whose account it was.
    pub account: String,
    /// `revoked`, `left_to_do` (our copy is destroyed, and a person ends it at the provider) or `pending` (stopped, and
    /// tried again by whoever serves).
    pub outcome: &'static str,
    /// The proof, what is left to do, or why it is pending.
    pub message: String,
}

impl Host {
    /// Stops the use of these businesses' connections, or lets what was stopped go on: all of them, or those to one
    /// integration. An action that begins afterwards sees it, on whatever machine.
    ///
    /// # Errors
    /// The database cannot be used. What was moved until then stays so.
    pub async fn freeze(
        &self,
        tenants: &[Tenant],
        integration: Option<&Integration>,
        is_frozen: bool,
    ) -> Result<Vec<Moved>> {
        let (from, to, action) = if is_frozen {
            (Status::Active, Status::Frozen, "freeze")
        } else {
            (Status::Frozen, Status::Active, "unfreeze")
        };
        let id = integration.map(|integration| integration.id);
        let mut moved = Vec::new();
        // All are stopped before the first is written about.
        for tenant in tenants {
            let ids = self.vault.scope(tenant.id).move_status(id, from, to).await.map_err(told)?;
            moved.extend(
                ids.into_iter()
                    .map(|integration| Moved { tenant: tenant.external_id.clone(), integration }),
            );
        }
        for Moved { tenant, integration } in &moved {
            let caller = self.owner(tenant, "cli").await?;
            let integration = self.integration(integration)?;
            let params = json!({ "all": id.is_none() });
            let outcome = Outcome::of(ResultStatus::Success);
            let intent = lifecycle(&caller, integration, action, &params);
            caller.scope.record_event(intent, outcome).await.map_err(told)?;
        }
        Ok(moved)
    }

    /// Disconnects these businesses' connections, all or those to one integration: all are stopped first, then each is
    /// revoked at its provider. Every one of them is told of.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn revoke_all(
        self: &Arc<Self>,
        tenants: &[Tenant],
        integration: Option<&Integration>,
    ) -> Result<Vec<Ended>> {
        let mut leaving = Vec::new();
        for tenant in tenants {
            let caller = self.owner(&tenant.external_id, "cli").await?;
            for connection in caller.scope.connections().await.map_err(told)? {
                let facts = self.integration(&connection.integration_id)?;
                if integration.is_some_and(|wanted| wanted.id != facts.id) {
                    continue;
                }
                self.stop_for_good(&caller, facts).await?;
                leaving.push((caller.clone(), facts, connection.account_name));
            }
        }
        let ended = futures::stream::iter(leaving).map(|(caller, integration, account)| {
            let host = Arc::clone(self);
            async move {
                let (ours, by) = (Arc::clone(&host), caller.clone());
                // Tracked, and a fault in one harms only this one.
                let doing =
                    host.tasks.spawn(async move { ours.disconnect(&by, integration).await });
                let done = doing.await.unwrap_or_else(|_| Err(fault()));
                host.ended(&caller, integration, account, done).await
            }
        });
        Ok(ended.buffered(AT_ONCE).collect().await)
    }

    async fn ended(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        account: String,
        done: Result<Receipt>,
    ) -> Ended {
        let done = match done {
            // A server that runs came to the end first.
            Err(error) if matches!(error.code(), Code::Conflict | Code::NotConnected) => {
                self.receipt(caller, integration).await.ok().flatten().ok_or(error)
            }
            done => done,
        };
        let (outcome, message) = match done {
            Ok(Receipt { proof: Some(proof), left_to_do, .. }) => (
                "revoked",
                [Some(proof), left_to_do].into_iter().flatten().collect::<Vec<_>>().join(" "),
            ),
            Ok(receipt) => ("left_to_do", receipt.left_to_do.unwrap_or_default()),
            Err(error) => ("pending", error.message().to_owned()),
        };
        let (tenant, integration) = (caller.tenant.clone(), integration.id.to_owned());
        Ended { tenant, integration, account, outcome, message }
    }
}
