//! Connecting an account with a key that a person pastes.

use resto_core::{Integration, Result, Secrets};
use resto_vault::AuthType;
use serde_json::Value;

use super::{Candidate, Report, lifecycle, recorded};
use crate::host::{Caller, Host, told};
use crate::learning::Learnt;
use crate::provider_keys::{check_key, key_auth};

impl Host {
    /// Tests a pasted key at the provider, and stores it sealed. It takes the place of the same account's
    /// credential, and of another account's if it `replaces`.
    ///
    /// # Errors
    /// The key is not of the right form, or the provider refuses it or cannot be reached. Nothing is
    /// stored then.
    pub async fn connect_key(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        provider: Option<&str>,
        secrets: Secrets,
        replaces: bool,
    ) -> Result<Report> {
        let intent = lifecycle(caller, integration, "connect", &Value::Null);
        let ticket = caller.scope.begin(intent).await.map_err(told)?.ticket;
        let connected =
            self.try_connect_key(caller, integration, provider, secrets, replaces).await;
        self.finish(caller, ticket, &recorded(&connected), Learnt::default()).await;
        connected
    }

    async fn try_connect_key(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        provider: Option<&str>,
        secrets: Secrets,
        replaces: bool,
    ) -> Result<Report> {
        let (provider, key) = key_auth(integration, provider)?;
        for field in key.fields {
            check_key(provider, key, field, secrets.get(field.name))?;
        }
        let candidate = Candidate {
            provider,
            auth_type: AuthType::ApiKey,
            scheme: &key.scheme,
            secrets,
            scopes: None,
            expires_at: None,
            reauthorize_by: None,
            replaces,
        };
        self.adopt(caller, integration, candidate).await
    }
}
