//! Testing a connection: the provider is asked whose account it is now, and what it may do.

use std::sync::Arc;

use resto_core::{Account, Api, Code, Error, Integration, Permissions, Result, Risk};
use resto_vault::{AlertKind, AuthType, Begun, Connection, Intent, Needs, Sealed, Status};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Report, lifecycle, recorded};
use crate::around::{Around, Opening};
use crate::grants::Grants;
use crate::host::{Caller, Host, provider_of, told};
use crate::learning::Learnt;
use crate::maintain::Kind;

impl Host {
    /// Tests a connection that may be used, and learns what it may do where the provider tells.
    ///
    /// # Errors
    /// There is none, the provider refuses the credential or cannot be reached, or the account is another
    /// one now.
    pub(crate) async fn test_connection(
        self: &Arc<Self>,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<Report> {
        let scope = &caller.scope;
        if let Some(connection) = scope.connection(integration.id).await.map_err(told)? {
            self.fresh(scope, integration, connection).await?;
        }
        let (mut tested, mut connection) = self.test_once(caller, integration).await?;
        if let (Err(error), Some(refused)) = (&tested, &connection)
            && error.code() == Code::AuthExpired
            && self.has_another(scope, integration, refused).await
        {
            (tested, connection) = self.test_once(caller, integration).await?;
        }
        if let (Err(error), Some(connection)) = (&tested, &connection) {
            stop(caller, integration, connection.generation, error).await;
        }
        tested?;
        self.connection(caller, integration).await?.ok_or_else(|| {
            told(resto_vault::Error::NotConnected { integration_id: integration.id.into() })
        })
    }

    /// What a test came to, of which connection.
    async fn test_once(
        self: &Arc<Self>,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<(Result<()>, Option<Connection>)> {
        let intent = Intent {
            connection: Needs::Active,
            ..lifecycle(caller, integration, "check", &Value::Null)
        };
        let Begun { ticket, connection, .. } = caller.scope.begin(intent).await.map_err(told)?;
        let used = connection.as_ref().map(|(connection, _)| connection.clone());
        let tested = match connection {
            Some((connection, sealed)) => {
                Box::pin(self.identify(caller, integration, &connection, sealed)).await
            }
            None => Err(told(resto_vault::Error::NotConnected {
                integration_id: integration.id.into(),
            })),
        };
        if let (Ok(_), Some(connection)) = (&tested, &used) {
            self.has_worked(&caller.scope, integration, connection);
            self.confirmed.note(connection);
        }
        let learnt =
            Learnt { permissions: tested.as_ref().ok().cloned().flatten(), rate_limits: None };
        self.finish(caller, ticket, &recorded(&tested), learnt).await;
        Ok((tested.map(drop), used))
    }

    /// The rights as stored with the connection, where the provider tells them.
    async fn identify(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        connection: &Connection,
        sealed: Sealed,
    ) -> Result<Option<Value>> {
        let (provider, auth) =
            provider_of(integration, &connection.provider, connection.auth_type.as_str())?;
        let endpoints = self.endpoints(integration, provider)?;
        let credentials = Arc::new(Opening::new(sealed, &endpoints, integration));
        let api = Api::new(
            self.http.clone(),
            provider,
            auth.scheme(),
            endpoints,
            credentials.clone(),
            Arc::new(Around::quiet(&caller.scope, "check")),
            Risk::Read,
        );
        let Account { id, permissions, ends_at, .. } = self
            .adapter(integration)?
            .identify(&api)
            .await
            .map_err(|error| credentials.redact_error(error))?;
        if id != connection.account_id {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "The credential is for another {} account than the one that was connected ({}). A person connects it again.",
                    integration.name, connection.account_name
                ),
            ));
        }
        if connection.auth_type == AuthType::ApiKey {
            let which = (integration.id, connection.generation);
            let learnt = caller.scope.learn_end(which, end_of(ends_at), Kind::Remind.word()).await;
            learnt.map_err(told)?;
        }
        let known = Grants::read(&connection.permissions);
        Ok(match permissions {
            // Who told rights before, and tells none now, granted them no longer.
            Permissions::Known(rights) if !rights.is_empty() || known.known => {
                let grants = Grants::from(Permissions::Known(rights));
                if known.known && known.granted != grants.granted {
                    caller.scope.raise(AlertKind::PermissionsChanged, integration.id).await;
                }
                serde_json::to_value(grants).ok()
            }
            _ => None,
        })
    }
}

/// The end of a key, as its provider tells it.
pub(super) fn end_of(seconds: Option<i64>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds?).ok()
}

/// Stops a connection that its provider refuses, or that opens another account now, and tells people.
pub(crate) async fn stop(
    caller: &Caller,
    integration: &Integration,
    generation: i64,
    error: &Error,
) {
    let (status, alert) = match error.code() {
        Code::AuthExpired => (Status::NeedsReauth, AlertKind::ConnectionFailed),
        Code::Conflict => (Status::Frozen, AlertKind::AccountChanged),
        _ => return,
    };
    match caller.scope.set_status_raising(integration.id, generation, status, alert).await {
        // Or it was connected again meanwhile.
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "a connection that failed could not be stopped"),
    }
}
