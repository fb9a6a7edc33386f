//! Connecting an account with a key, and disconnecting it: tested at the provider, sealed, its rights
//! mapped to actions, and in the audit trail.

use std::collections::BTreeMap;
use std::sync::Arc;

use resto_core::{
    Account, Api, Code, Credentials, Error, HttpRequest, Integration, Permissions, Proof, Result,
    Risk, Scheme, Secrets,
};
use resto_vault::{
    AuthType, Begun, Connection, Credential, Intent, Needs, NewConnection, Sealed, Status,
};
use serde::Serialize;
use serde_json::Value;

use crate::around::{Around, Opening};
use crate::call::Learnt;
use crate::grants::{Grants, Standing};
use crate::host::{Caller, Host, provider_of, told};
use crate::provider_keys::{check_key, key_auth};
use crate::redact::{redact_error, redact_name};

/// A connection as people and programs are told of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The integration's id.
    pub integration: String,
    /// The company that it is with, as people write it.
    pub provider: String,
    /// Whose account it is.
    pub account: String,
    /// `active`, `frozen`, `needs_reauth` or `revocation_pending`.
    pub status: String,
    /// Such as `test` or `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// What is known of its rights.
    pub permissions: Grants,
    /// Actions that it may do.
    pub allowed: Vec<String>,
    /// Actions that it may not do.
    pub refused: Vec<String>,
    /// Actions that have to be tried.
    pub unknown: Vec<String>,
    /// The provider's quotas, as last told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<Value>,
    /// When the credential was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub connected_at: time::OffsetDateTime,
    /// When it was last used.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<time::OffsetDateTime>,
}

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
    /// Tests a pasted key at the provider, and stores it sealed.
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
    ) -> Result<Report> {
        let intent = lifecycle(caller, integration, "connect", &Value::Null);
        let ticket = caller.scope.begin(intent).await.map_err(told)?.ticket;
        let connected = self
            .try_connect(caller, integration, provider, secrets.clone())
            .await
            .map_err(|error| redact_error(&secrets, error));
        self.finish(caller, ticket, &recorded(&connected), Learnt::default()).await;
        connected
    }

    async fn try_connect(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        provider: Option<&str>,
        secrets: Secrets,
    ) -> Result<Report> {
        let (provider, key) = key_auth(integration, provider)?;
        for field in key.fields {
            check_key(provider, key, field, secrets.get(field.name))?;
        }
        let endpoints = self.endpoints(integration, provider)?;
        let host = endpoints.host();
        let adapter = self.adapter(integration)?;
        let api = Api::new(
            self.http.clone(),
            provider,
            &key.scheme,
            endpoints,
            Arc::new(Pasted(secrets.clone())),
            Arc::new(Around::quiet(&caller.scope, "connect")),
            Risk::Read,
        );
        let account = adapter.identify(&api).await?;
        let name = |text: &str| redact_name(&secrets, text);
        let Account { id, name: account_name, mode, permissions } = account;
        let grants = Grants::from(match permissions {
            Permissions::Known(rights) => {
                Permissions::Known(rights.iter().map(|right| name(right)).collect())
            }
            Permissions::Unknown => Permissions::Unknown,
        });
        let (account_id, account_name) = (name(&id), name(&account_name));
        let mode = mode.as_deref().map(name);
        let permissions = serde_json::to_value(&grants).unwrap_or_default();
        let credential = Credential {
            auth_type: AuthType::ApiKey,
            provider: provider.id.to_owned(),
            host,
            account_id,
            account_name,
            mode,
            permissions,
            secrets,
        };
        let connection = caller
            .scope
            .connect(NewConnection {
                integration_id: integration.id.to_owned(),
                credential,
                expires_at: None,
                reauthorize_by: None,
            })
            .await
            .map_err(told)?;
        self.report(&connection)
    }

    /// The tenant's connections.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn connections(&self, caller: &Caller) -> Result<Vec<Report>> {
        let found = caller.scope.connections().await.map_err(told)?;
        found.iter().map(|connection| self.report(connection)).collect()
    }

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
        scope.set_status(integration.id, Status::RevocationPending).await.map_err(told)?;
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
        let proof = undone.await.map_err(|error| credentials.redact_error(error))?;
        scope.disconnect(integration.id).await.map_err(told)?;
        let left_to_do = match &proof {
            Proof::Revoked => None,
            Proof::PersonMust { instruction, url } => Some(format!("{instruction} {url}")),
        };
        Ok(Receipt {
            integration: integration.id.to_owned(),
            account: connection.account_name,
            revoked: proof == Proof::Revoked,
            left_to_do,
        })
    }

    fn adapter(&self, integration: &Integration) -> Result<&resto_core::Adapter> {
        self.catalog.adapter(integration.id).ok_or_else(|| {
            Error::new(Code::Internal, format!("{} has no adapter.", integration.name))
        })
    }

    fn report(&self, connection: &Connection) -> Result<Report> {
        let integration = self.integration(&connection.integration_id)?;
        let permissions = Grants::read(&connection.permissions);
        let mut by_standing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for action in self.adapter(integration)?.actions() {
            let key = match permissions.standing(action) {
                Standing::Granted => "allowed",
                Standing::Absent => "refused",
                Standing::Unknown => "unknown",
            };
            by_standing.entry(key).or_default().push(action.tool.clone());
        }
        let mut take = |key: &str| by_standing.remove(key).unwrap_or_default();
        let provider = integration.providers.iter().find(|one| one.id == connection.provider);
        Ok(Report {
            integration: integration.id.to_owned(),
            provider: provider.map_or(integration.name, |provider| provider.name).to_owned(),
            account: connection.account_name.clone(),
            status: connection.status.to_string(),
            mode: connection.mode.clone(),
            allowed: take("allowed"),
            refused: take("refused"),
            unknown: take("unknown"),
            permissions,
            rate_limits: connection.rate_limits.clone(),
            connected_at: connection.connected_at,
            last_used_at: connection.last_used_at,
        })
    }
}

/// A key that is not stored yet, or no longer.
struct Pasted(Secrets);

impl Credentials for Pasted {
    fn sign(&self, scheme: &Scheme, request: &mut HttpRequest) -> Result<()> {
        scheme.sign(request, &self.0)
    }
}

/// The intent of connecting or disconnecting.
fn lifecycle<'a>(
    caller: &'a Caller,
    integration: &'a Integration,
    action: &'a str,
    params: &'a Value,
) -> Intent<'a> {
    Intent {
        integration_id: integration.id,
        action,
        params,
        actor: &caller.actor,
        op_id: None,
        unsafe_: false,
        connection: Needs::Nothing,
    }
}

/// What the audit trail keeps of a result.
fn recorded<T: Serialize>(result: &Result<T>) -> Result<Value> {
    result
        .as_ref()
        .map(|value| serde_json::to_value(value).unwrap_or_default())
        .map_err(Clone::clone)
}
