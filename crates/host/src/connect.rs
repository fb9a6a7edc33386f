//! Connecting an account with a key, and disconnecting it: tested at the provider, sealed, its rights
//! mapped to actions, and in the audit trail.

use std::collections::BTreeMap;
use std::sync::Arc;

use resto_core::{
    Account, Api, Auth, Code, Credentials, Error, HttpRequest, Integration, KeyAuth, Permissions,
    Proof, Provider, Result, Risk, Scheme, Secrets, least,
};
use resto_vault::{
    AuthType, Begun, Connection, Credential, Intent, Needs, NewConnection, Sealed, Status,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::around::{Around, Opening};
use crate::call::Learnt;
use crate::grants::{Grants, Standing};
use crate::host::{Caller, Host, provider_of, told};
use crate::redact::{redact_error, redact_name};

/// A connection as people and programs are told of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The integration's id.
    pub integration: String,
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

/// How an integration is connected with a pasted key: at this provider, or at the first that takes
/// one.
///
/// # Errors
/// It cannot be.
pub fn key_auth(
    integration: &'static Integration,
    provider: Option<&str>,
) -> Result<(&'static Provider, &'static KeyAuth)> {
    let mut with_key = integration
        .providers
        .iter()
        .filter(|candidate| provider.is_none_or(|id| candidate.id == id))
        .filter_map(|candidate| {
            candidate.auth.iter().find_map(|auth| match auth {
                Auth::Key(key) => Some((candidate, key)),
                Auth::OAuth(_) => None,
            })
        });
    with_key.next().ok_or_else(|| {
        let known: Vec<&str> = integration.providers.iter().map(|provider| provider.id).collect();
        let name = integration.name;
        Error::new(
            Code::InvalidInput,
            match provider {
                Some(id) => format!(
                    "{name} is not connected with a key of `{id}`. Its providers: {}.",
                    known.join(", ")
                ),
                None => format!("{name} is not connected with a key."),
            },
        )
    })
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
        Ok(Report {
            integration: integration.id.to_owned(),
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

    /// The least rights that all actions of an integration need together, with what they allow.
    #[must_use]
    pub fn needed(&self, integration: &Integration) -> Vec<(String, &'static str)> {
        let actions = self.catalog.adapter(integration.id).map(resto_core::Adapter::actions);
        let first_sets =
            actions.unwrap_or_default().iter().filter_map(|action| action.permissions.first());
        least(first_sets.flat_map(|set| set.iter().copied()))
            .into_iter()
            .map(|right| {
                let listed =
                    integration.permissions.iter().find(|permission| permission.id == right);
                (right.to_owned(), listed.map_or("", |permission| permission.allows))
            })
            .collect()
    }
}

fn check_key(
    provider: &Provider,
    key: &KeyAuth,
    field: &resto_core::KeyField,
    value: Option<&SecretString>,
) -> Result<()> {
    // EXPOSE: its form is checked; nothing of it is repeated.
    let value = value.map(ExposeSecret::expose_secret).unwrap_or_default();
    let wrong = |why: &str| {
        Err(Error::invalid(
            field.name,
            format!(
                "This is not a {} of {}: {why}. One looks like {}; create it at {}",
                key.name, provider.name, field.hint, key.create_url
            ),
        ))
    };
    if value.is_empty() {
        return wrong("it is empty");
    }
    if value.len() > 4096 || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("it has spaces or characters that no key has");
    }
    if let Some((prefix, why)) = field.refused.iter().find(|(prefix, _)| value.starts_with(prefix))
    {
        return wrong(&format!("it begins with {prefix}. {why}"));
    }
    if !field.prefixes.is_empty() && !field.prefixes.iter().any(|prefix| value.starts_with(prefix))
    {
        return wrong(&format!("it begins with none of {}", field.prefixes.join(", ")));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_of_stripe_is_refused_with_the_reason_and_the_page() {
        let (provider, key) = key_auth(&resto_stripe::STRIPE, None).unwrap();
        let check = |kind: &str| {
            let value = SecretString::from(format!("{kind}_test_1234"));
            check_key(provider, key, &key.fields[0], Some(&value))
        };
        assert!(check("rk").is_ok());
        let error = check("sk").unwrap_err();
        assert!(error.message().contains("can do everything in the account"), "{error}");
        assert!(error.message().contains("dashboard.stripe.com/apikeys/create?"), "{error}");
        assert!(!error.message().contains("1234"), "{error}");
        assert!(check("xx").unwrap_err().message().contains("begins with none of rk_"));
    }
}
