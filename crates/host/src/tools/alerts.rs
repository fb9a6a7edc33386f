//! What an agent is told of that a person must look at.

use std::sync::Arc;

use resto_core::{Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Done, Own};
use crate::alerts::Told;
use crate::host::{Caller, Host};

/// Lists what a person of the business must look at and nobody has acknowledged yet, newest first: connections that
/// failed, outcomes that are unknown, rights that changed, keys that are due. Tell the person; only they acknowledge it,
/// on the page that the link names.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListAlerts {}

#[derive(Serialize, JsonSchema)]
pub(super) struct Listed {
    alerts: Vec<Told>,
    /// Whether there are older ones besides.
    more: bool,
}

impl Own for ListAlerts {
    const NAME: &'static str = "list_alerts";
    const TITLE: &'static str = "List alerts";
    const RISK: Risk = Risk::Read;
    type Output = Listed;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<Listed>> {
        let (alerts, more) = host.open_alerts(caller).await?;
        Ok(Done::Output(Listed { alerts, more }))
    }
}
