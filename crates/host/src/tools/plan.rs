//! Planning which services a business connects.

use std::sync::Arc;

use resto_core::{Result, Risk};

use super::{Done, Own};
use crate::host::{Caller, Host};
use crate::plan::{Plan, PlanIntegrations};

impl Own for PlanIntegrations {
    const NAME: &'static str = "plan_integrations";
    const TITLE: &'static str = "Plan the services";
    const RISK: Risk = Risk::Read;
    type Output = Plan;

    async fn run(self, host: &Arc<Host>, caller: &Caller) -> Result<Done<Plan>> {
        host.plan(caller, &self).await.map(Done::Output)
    }
}
