//! Removing a connection.

use std::sync::Arc;

use resto_core::{Api, Auth, Code, Error, Integration, Proof, Result, Risk};
use resto_vault::{AuthType, Begun, Connection, Intent, Needs, Sealed, Status, crash_point};
use serde::Serialize;
use serde_json::Value;

use super::{lifecycle, recorded};
use crate::around::{Around, Opening};
use crate::call::Learnt;
use crate::host::{Caller, Host, provider_of, told};

/// What disconnecting did.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// The integration's id.
    pub integration: String,
    /// Whose account it was.
    pub account: String,
    /// Whether the provider revoked the credential.
    pub revoked: bool,
    /// What a person still has to do, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_to_do: Option<String>,
}

impl Host {
    /// Removes a connection: stops its use, removes what we made at the provider, revokes the
    /// credential where that is possible, destroys our copy.
    ///
    /// # Errors
    /// There is no such connection, or the provider could not be reached; it then stays stopped, to
    /// be tried again.
    pub async fn disconnect(
        &self,
        caller: &Caller,
        integration: &'static Integration,
    ) -> Result<Receipt> {
        let intent = Intent {
            connection: Needs::AnyStatus,
            ..lifecycle(caller, integration, "disconnect", &Value::Null)
        };
        let Begun { ticket, connection, .. } = caller.scope.begin(intent).await.map_err(told)?;
        let done = match connection {
            Some((connection, sealed)) => {
                self.try_disconnect(caller, integration, connection, sealed).await
            }
            None => Err(told(resto_vault::Error::NotConnected {
                integration_id: integration.id.into(),
            })),
        };
        self.finish(caller, ticket, &recorded(&done), Learnt::default()).await;
        done
    }

    async fn try_disconnect(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        connection: Connection,
        sealed: Sealed,
    ) -> Result<Receipt> {
        let scope = &caller.scope;
        let generation = connection.generation;
        let stopped = scope.set_status(integration.id, generation, Status::RevocationPending).await;
        if !stopped.map_err(told)? {
            return Err(replaced(integration));
        }
        crash_point("disconnect.frozen");
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
            Arc::new(Around::quiet(scope, "disconnect")),
            Risk::Write,
        );
        let adapter = self.adapter(integration)?;
        let undone = async {
            adapter.clean_up(&api).await?;
            adapter.revoke(&api).await
        };
        let proof = match undone.await {
            Ok(proof) => proof,
            // It will not take the credential later either: our copy must not stay for that.
            Err(error) if matches!(error.code(), Code::AuthExpired | Code::PermissionDenied) => {
                Proof::PersonMust {
                    instruction: format!(
                        "{} no longer took the credential, so nothing could be cleaned up or revoked there with it. See in the account's own settings that it is gone.",
                        provider.name
                    ),
                    url: match auth {
                        Auth::Key(key) => key.create_url.to_owned(),
                        Auth::OAuth(_) => String::new(),
                    },
                }
            }
            Err(error) => return Err(credentials.redact_error(error)),
        };
        crash_point("disconnect.revoked");
        if !scope.disconnect(integration.id, generation).await.map_err(told)? {
            return Err(replaced(integration));
        }
        let left_to_do = match &proof {
            Proof::Revoked => None,
            // What the adapter says of a key is not true of an app.
            Proof::PersonMust { .. } if connection.auth_type == AuthType::OAuth2 => Some(format!(
                "Remove this server's app in the settings of the {} account; until then what it was given may still be used.",
                provider.name
            )),
            Proof::PersonMust { instruction, url } => Some(format!("{instruction} {url}")),
        };
        Ok(Receipt {
            integration: integration.id.to_owned(),
            account: connection.account_name,
            revoked: proof == Proof::Revoked,
            left_to_do,
        })
    }
}

fn replaced(integration: &Integration) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "{} was connected again meanwhile. What was connected before is gone; what is connected now was left as it is. Disconnect again if it should go too.",
            integration.name
        ),
    )
}
