//! Connecting an account, and disconnecting it: tested at the provider, sealed, its rights mapped to
//! actions, and in the audit trail.

mod check;
mod client;
mod disconnect;
mod key;
mod oauth;
mod report;
mod request;
mod revoke;
mod rights;
mod stopping;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use resto_core::{
    Account, Api, Code, Credentials, Error, HttpRequest, Integration, Permissions, Provider,
    Result, Risk, Scheme, Secrets,
};
use resto_vault::{AuthType, Connection, Credential, Intent, Needs, NewConnection, Status};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::around::Around;
use crate::catalog::Catalog;
use crate::grants::{Grants, Standing};
use crate::host::{Caller, Host, told};
use crate::maintain::{DAILY, Kind, due_in, is_renewed, jittered};
use crate::redact::{redact, redact_error, redact_name};

pub(crate) use check::stop;
pub(crate) use client::{OAuthClient, check_overrides, read_secret};
pub use disconnect::Receipt;
pub(crate) use oauth::Answer;
use report::called;
pub use report::{Replaced, Report};
pub(crate) use rights::{Confirmed, Lacking};
pub(crate) use tokens::{NoTokens, TokenUrlOnly, Tokens};

/// A credential that is not stored yet.
struct Candidate {
    provider: &'static Provider,
    auth_type: AuthType,
    scheme: &'static Scheme,
    secrets: Secrets,
    /// The scopes that came with tokens; none where the app's registration decides. A key has no scopes.
    scopes: Option<BTreeSet<String>>,
    expires_at: Option<OffsetDateTime>,
    reauthorize_by: Option<OffsetDateTime>,
    /// Whether it may take the place of another account's.
    replaces: bool,
}

impl Host {
    /// The tenant's connections.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn connections(&self, caller: &Caller) -> Result<Vec<Report>> {
        let found = caller.scope.connections().await.map_err(told)?;
        let catalog = self.catalog_of(&caller.scope).await?;
        found.iter().map(|connection| self.report(&catalog, connection)).collect()
    }

    /// The tenant's connection to an integration, if there is one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn connection(
        &self,
        caller: &Caller,
        integration: &Integration,
    ) -> Result<Option<Report>> {
        let found = caller.scope.connection(integration.id).await.map_err(told)?;
        let catalog = self.catalog_of(&caller.scope).await?;
        found.map(|connection| self.report(&catalog, &connection)).transpose()
    }

    /// Tests a credential at its provider, and stores it sealed with what it may do.
    async fn adopt(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        candidate: Candidate,
    ) -> Result<Report> {
        let secrets = candidate.secrets.clone();
        let adopted = self.try_adopt(caller, integration, candidate).await;
        adopted.map_err(|error| redact_error(&secrets, error))
    }

    async fn try_adopt(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        candidate: Candidate,
    ) -> Result<Report> {
        let Candidate { provider, auth_type, scheme, secrets, scopes, .. } = candidate;
        let endpoints = self.endpoints(integration, provider)?;
        let host = endpoints.host();
        let adapter = self.adapter(integration)?;
        let api = Api::new(
            self.http.clone(),
            provider,
            scheme,
            endpoints,
            Arc::new(Unsealed(secrets.clone())),
            Arc::new(Around::quiet(&caller.scope, "connect")),
            Risk::Read,
        );
        let Account { id, name, mode, permissions, ends_at } = adapter.identify(&api).await?;
        let plain = |text: &str| redact_name(&secrets, text);
        let granted = scopes.clone();
        let grants = Grants::from(match permissions {
            // An app whose registration decides has no scopes to tell, which does not mean no rights.
            Permissions::Known(rights) if !rights.is_empty() || scopes.is_none() => {
                Permissions::Known(rights.iter().map(|right| plain(right)).collect())
            }
            _ => match scopes {
                Some(scopes) if !scopes.is_empty() => {
                    Permissions::Known(scopes.iter().map(|scope| plain(scope)).collect())
                }
                _ => Permissions::Unknown,
            },
        });
        let (id, name, mode) = (plain(&id), plain(&name), mode.as_deref().map(plain));
        let before = caller.scope.connection(integration.id).await.map_err(told)?;
        let is_another = before.as_ref().is_some_and(|before| {
            (before.provider.as_str(), before.account_id.as_str(), &before.mode)
                != (provider.id, id.as_str(), &mode)
        });
        if let Some(before) = &before
            && is_another
            && !candidate.replaces
        {
            return Err(another(integration, before, &called(&name, mode.as_deref())));
        }
        let credential = Credential {
            auth_type,
            provider: provider.id.to_owned(),
            host,
            account_id: id,
            account_name: name,
            mode,
            permissions: serde_json::to_value(&grants).unwrap_or_default(),
            secrets,
        };
        let mut jobs =
            vec![(Kind::Probe.word(), jittered(DAILY)), (Kind::Remind.word(), Duration::ZERO)];
        let renews_at =
            candidate.expires_at.filter(|_| credential.secrets.contains_key("refresh_token"));
        if let Some(end) = renews_at {
            let life = (end - self.vault.now()).try_into().unwrap_or_default();
            jobs.push((Kind::Refresh.word(), due_in(life, life)));
        }
        let new = NewConnection {
            integration_id: integration.id.to_owned(),
            credential,
            expires_at: match auth_type {
                AuthType::ApiKey => check::end_of(ends_at),
                AuthType::OAuth2 => candidate.expires_at,
            },
            reauthorize_by: candidate.reauthorize_by,
            jobs,
            replaces_account: candidate.replaces,
        };
        let connected = caller.scope.connect(new).await.map_err(told)?;
        let granted = granted.iter().flatten().map(String::as_str);
        self.note_granted(caller, integration, granted).await?;
        let is_another = connected.is_another_account();
        if is_another {
            self.forget_made(caller, adapter).await;
        }
        self.forget_receipt(caller, integration).await;
        self.confirmed.note(&connected.connection);
        let catalog = self.catalog_of(&caller.scope).await?;
        let report = self.report(&catalog, &connected.connection)?;
        let replaced = connected.before.map(|before| Replaced {
            account: called(&before.account_name, before.mode.as_deref()),
            is_another,
            was_leaving: before.status == Status::RevocationPending,
        });
        Ok(Report { replaced, ..report })
    }

    /// Forgets what was made at an account that is connected no longer: nobody can remove it there any more.
    async fn forget_made(&self, caller: &Caller, adapter: &resto_core::Adapter) {
        for collection in adapter.made {
            let forgotten = async {
                for (id, _) in caller.scope.records(collection, None, 100).await? {
                    caller.scope.delete_record(collection, &id).await?;
                }
                Ok::<(), resto_vault::Error>(())
            };
            if let Err(error) = forgotten.await {
                tracing::warn!(%error, collection, "what was made at a former account is not forgotten");
            }
        }
    }

    fn adapter(&self, integration: &Integration) -> Result<&resto_core::Adapter> {
        self.catalog.adapter(integration.id).ok_or_else(|| {
            Error::new(Code::Internal, format!("{} has no adapter.", integration.name))
        })
    }

    fn report(&self, catalog: &Catalog, connection: &Connection) -> Result<Report> {
        let integration = self.integration(&connection.integration_id)?;
        let permissions = Grants::read(&connection.permissions);
        let mut by_standing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let adapter = catalog.adapter(integration.id);
        for action in adapter.map(resto_core::Adapter::actions).unwrap_or_default() {
            let key = match permissions.standing(action) {
                _ if action.held.is_some() => "refused",
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
            key_age_days: connection.key_age_days(OffsetDateTime::now_utc()),
            expires_at: connection.expires_at,
            renewed: is_renewed(connection, self.vault.now()),
            replaced: None,
        })
    }
}

/// Another account takes the place of one only when a person says so.
fn another(integration: &Integration, before: &Connection, name: &str) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "This is the account of {name}, but {} is connected as {}. Nothing was changed. To replace it, say so: tick the box on the page, or add --replace.",
            integration.name,
            called(&before.account_name, before.mode.as_deref())
        ),
    )
}

/// A credential that is not stored yet.
struct Unsealed(Secrets);

impl Credentials for Unsealed {
    fn sign(&self, scheme: &Scheme, request: &mut HttpRequest) -> Result<()> {
        scheme.sign(request, &self.0)
    }

    fn redact(&self, value: Value) -> Value {
        redact(&self.0, Ok(value)).unwrap_or_default()
    }
}

/// The intent of what is done about a connection, and not over it, such as connecting or disconnecting.
pub(crate) fn lifecycle<'a>(
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
pub(crate) fn recorded<T: Serialize>(result: &Result<T>) -> Result<Value> {
    result
        .as_ref()
        .map(|value| serde_json::to_value(value).unwrap_or_default())
        .map_err(Clone::clone)
}
