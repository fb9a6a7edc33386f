//! A disconnection whose provider was down, or whose process died, goes on until the credential is revoked.

use resto_core::{Code, Result};
use resto_vault::{Job, Next};

use super::pause;
use crate::host::{Caller, Host};

impl Host {
    pub(super) async fn revoke(&self, caller: &Caller, job: &Job) -> Result<Next> {
        let integration = self.integration(&job.subject)?;
        match Box::pin(self.take_apart(caller, integration)).await {
            Ok(_) => Ok(Next::Done),
            // It was connected again, or somebody else came to the end first.
            Err(error) if matches!(error.code(), Code::Conflict | Code::NotConnected) => {
                Ok(Next::Never)
            }
            Err(error) => {
                tracing::warn!(%error, integration = integration.id, "a credential could not be revoked yet");
                Ok(Next::Retry(pause(job.attempts)))
            }
        }
    }
}
