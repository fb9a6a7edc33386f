//! Once a day each connection is tested: does it still open the same account, with the same rights?

use std::sync::Arc;
use std::time::Duration;

use resto_core::{Code, Result};
use resto_vault::{AlertKind, Job, Next, Status};

use super::{jittered, pause};
use crate::host::{Caller, Host, told};

/// How often a connection is tested.
pub(crate) const DAILY: Duration = Duration::from_hours(24);

/// After so many failures to reach the provider, and as many again, people are told.
const PATIENCE: i64 = 5;

impl Host {
    pub(super) async fn probe(self: &Arc<Self>, caller: &Caller, job: &Job) -> Result<Next> {
        let integration = self.integration(&job.subject)?;
        let connection = caller.scope.connection(integration.id).await.map_err(told)?;
        let Some(connection) = connection else { return Ok(Next::Never) };
        if connection.status != Status::Active {
            // A person decides what happens with it; it may be active again by then.
            return Ok(Next::In(jittered(DAILY)));
        }
        match self.test_connection(caller, integration).await {
            Ok(_) => Ok(Next::In(jittered(DAILY))),
            // What that meant was done where it was noticed.
            Err(error) if matches!(error.code(), Code::AuthExpired | Code::Conflict) => {
                Ok(Next::In(jittered(DAILY)))
            }
            Err(error) => {
                tracing::warn!(%error, integration = integration.id, "a connection could not be tested");
                let again = Next::Retry(pause(job.attempts));
                if job.attempts % PATIENCE != 0 {
                    return Ok(again);
                }
                let alert = (AlertKind::ConnectionFailed, integration.id);
                caller.scope.finish_raising(job, again, alert).await.map_err(told)?;
                Ok(Next::Done)
            }
        }
    }
}
