//! Connecting an account, and disconnecting it: tested at the provider, sealed, its rights mapped to
//! actions, and in the audit trail.

mod check;
mod client;
mod disconnect;
mod key;
mod oauth;
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
pub(crate) use rights::{Confirmed, Lacking};
pub(crate) use tokens::{NoTokens, TokenUrlOnly, Tokens};

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
    pub connected_at: OffsetDateTime,
    /// When it was last used.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// How many days ago the key was stored; none where a person signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_age_days: Option<i64>,
    /// When its access token or key stops working.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it is then renewed without a person.
    pub renewed: bool,
    /// What took the place of what, told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
}

/// What was connected before.
#[derive(Debug, Serialize)]
pub struct Replaced {
    /// Whose account it was.
    pub account: String,
    /// Whether it is another one now.
    pub is_another: bool,
    /// Whether it was being disconnected, and its credential not revoked yet.
    pub was_leaving: bool,
}

impl Report {
    /// What connecting came to, in a sentence.
    #[must_use]
    pub fn outcome(&self) -> String {
        let account = &called(&self.account, self.mode.as_deref());
        let provider = &self.provider;
        let Some(Replaced { account: before, is_another, was_leaving }) = &self.replaced else {
            return format!("The account of {account} at {provider} is connected.");
        };
        let what = if *is_another {
            format!(
                "The account of {account} at {provider} has taken the place of the account of {before}."
            )
        } else {
            format!("The access to the account of {account} at {provider} is renewed.")
        };
        let old = match (*was_leaving, *is_another) {
            (true, _) => {
                " The credential of before was being revoked, and is not: our copy is destroyed, so end it there yourself."
            }
            (false, true) => " Delete the old key there if nothing else uses it.",
            (false, false) => "",
        };
        format!("{what}{old}")
    }

    /// What its status means and what happens next, where that is not plain.
    #[must_use]
    pub fn standing(&self) -> Option<String> {
        let provider = &self.provider;
        match self.status.as_str() {
            "revocation_pending" => Some(format!(
                "It is being disconnected. Agents can no longer use it; {provider} has not confirmed yet that the credential is revoked, and a server that runs tries again until it has. Whoever connects again ends that, and revokes the old credential there themselves."
            )),
            "frozen" => Some(
                "It is stopped: agents cannot use it. A person lets it go on with `resto unfreeze`, or connects again."
                    .to_owned(),
            ),
            "needs_reauth" => Some(format!(
                "{provider} no longer takes the credential. A person connects again."
            )),
            _ => None,
        }
    }

    /// Whether its access token or key has stopped working, and only a person can renew it.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        !self.renewed && self.expires_at.is_some_and(|end| end <= OffsetDateTime::now_utc())
    }
}

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
        let Account { id, name, mode, permissions } = adapter.identify(&api).await?;
        let plain = |text: &str| redact_name(&secrets, text);
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
            let life = (end - OffsetDateTime::now_utc()).try_into().unwrap_or_default();
            jobs.push((Kind::Refresh.word(), due_in(life, life)));
        }
        let new = NewConnection {
            integration_id: integration.id.to_owned(),
            credential,
            expires_at: candidate.expires_at,
            reauthorize_by: candidate.reauthorize_by,
            jobs,
            replaces_account: candidate.replaces,
        };
        let connected = caller.scope.connect(new).await.map_err(told)?;
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
            renewed: is_renewed(connection),
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

/// An account as people are told of it: what runs in a test mode is not what runs for real.
fn called(name: &str, mode: Option<&str>) -> String {
    mode.map_or_else(|| name.to_owned(), |mode| format!("{name} ({mode} mode)"))
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

/// The intent of connecting or disconnecting.
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
