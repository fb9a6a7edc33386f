//! Finding which services a business uses already.

use std::sync::Arc;

use resto_core::{Result, Risk};
use resto_registrar::Resolvers;

use super::{Done, Own};
use crate::host::{Caller, Host};
use crate::plan::{DetectIntegrations, Detected, detect};

impl Own for DetectIntegrations {
    const NAME: &'static str = "detect_integrations";
    const TITLE: &'static str = "Detect the services";
    const RISK: Risk = Risk::Read;
    type Output = Detected;

    async fn run(self, host: &Arc<Host>, _caller: &Caller) -> Result<Done<Detected>> {
        detect(&host.rules, &Resolvers::by(&host.dns), &self.domain).await.map(Done::Output)
    }
}
