//! The parts of a running server, put together once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use resto_core::{Auth, Bounds, Code, Endpoints, Error, Http, Integration, Provider, Result, Risk};
use resto_vault::{AnchorFile, Principal, Spill, TenantScope, Vault};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::allowance::Allowance;
use crate::approve::Caps;
use crate::catalog::Catalog;
use crate::checks::checked;
use crate::config::{Config, Overrides};
use crate::connect::Confirmed;
use crate::identity::{Entrant, Issuer};
use crate::limits::Gates;
use crate::maintain::{Kind, Renewing, Sink, replay};
use crate::place::Place;
use crate::plan::Rules;
use crate::policy::Rule;
use crate::remote::{Offers, Remote};
use crate::root_keys;
use crate::surface::Surface;
use crate::tools::{OwnTool, own_tools};
use crate::webhooks::{Senders, senders};

/// The tenant that exists without configuration, and its only principal.
pub const LOCAL_TENANT: &str = "local";
const LOCAL_ISSUER: &str = "local";
const LOCAL_OWNER: &str = "owner";

/// How often a process looks after the audit trail, and how long an intent of which no process says that it is under way
/// stays without a result.
const UPKEEP: Duration = Duration::from_secs(20);
const UNFINISHED: Duration = Duration::from_mins(1);
/// How long a program that ends waits for calls that were not waited for before.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// Everything that a call needs.
pub struct Host {
    pub(crate) vault: Vault,
    /// What every tenant has.
    pub(crate) catalog: Arc<Catalog>,
    /// Servers of others, and what each tenant has of them.
    pub(crate) remotes: Vec<Arc<Remote>>,
    pub(crate) offers: Offers,
    pub(crate) http: Http,
    /// Calls under way: a client that goes away does not cut them in half.
    pub(crate) tasks: TaskTracker,
    pub(crate) place: Place,
    pub(crate) overrides: BTreeMap<String, Overrides>,
    pub(crate) own_tools: Vec<OwnTool>,
    pub(crate) policy: Vec<Rule>,
    pub(crate) caps: Caps,
    /// The resolvers that the operator wants asked; mostly none.
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) gates: Gates,
    /// What planning goes by.
    pub(crate) rules: Rules,
    /// The webhook that is told of alerts.
    pub(crate) sink: Option<Sink>,
    /// The identity provider, where there is one.
    pub(crate) issuer: Option<Issuer>,
    /// Who signs its messages with keys of its own.
    pub(crate) senders: Senders,
    pub(crate) closing: CancellationToken,
    /// Who waits for an access that is being renewed.
    pub(crate) renewing: Renewing,
    /// Where new tokens wait that the database does not take.
    pub(crate) spill: Spill,
    pub(crate) confirmed: Confirmed,
}

/// In whose name something happens.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant's part of the vault.
    pub scope: TenantScope,
    /// Who.
    pub principal: Principal,
    /// Who, and by which door, for the audit trail: `owner (mcp)`.
    pub actor: String,
    /// The tenant, as people name it.
    pub tenant: String,
    /// Which tools there are for them.
    pub surface: Surface,
    /// What it may do at most.
    pub allowance: Allowance,
    /// The name of the access token of ours with which it came, if with one.
    pub token: Option<String>,
}

impl Caller {
    /// Whether it is shown what is of this risk, at this integration or at none: what its token of ours allows. Whoever
    /// comes with one of the identity provider can get another one there.
    pub(crate) fn sees(&self, integration: Option<&str>, risk: Risk) -> bool {
        self.token.is_none() || self.allowance.allows(integration, risk)
    }

    /// What a person types for the caller's tenant.
    pub(crate) fn command(&self, words: &str) -> String {
        match self.tenant.as_str() {
            LOCAL_TENANT => format!("resto {words}"),
            tenant => format!("resto --tenant {tenant} {words}"),
        }
    }
}

/// Every adapter of this build. A new one is one line here and one in Cargo.toml.
pub(crate) fn adapters() -> Vec<resto_core::Adapter> {
    vec![
        resto_analytics::adapter(),
        resto_github::adapter(),
        resto_gmail::adapter(),
        resto_registrar::adapter(),
        resto_stripe::adapter(),
        resto_vercel::adapter(),
    ]
}

impl Host {
    /// Opens the vault and builds the catalog. At the first start it creates the data folder and the
    /// key file.
    ///
    /// # Errors
    /// The configuration, the key file or the database is not right; the sentence says what to do.
    pub async fn open(config: &Config) -> Result<Self> {
        let (catalog, remotes, place) = checked(config)?;
        if let Some(dir) = config.database_folder()? {
            root_keys::private_dir(&dir)?;
        }
        let keyring = root_keys::keyring(config).await?;
        let mut vault =
            Vault::open(&config.database()?, keyring, config.cipher).await.map_err(told)?;
        if let Some(anchors) = anchors(config)? {
            vault = vault.anchored(Arc::new(anchors));
        }
        let spill = Spill::new(config.data_dir()?.join("renewed"));
        replay(&vault, &spill).await;
        let sink = Sink::of(config)?;
        if sink.is_some() {
            vault = vault.delivering(Kind::Deliver.word());
        }
        let http = Http::new(Bounds::default())?;
        let senders = senders(catalog.adapters().iter(), &config.integrations, &http)?;
        Ok(Self {
            vault,
            senders,
            catalog: Arc::new(catalog),
            remotes,
            offers: Offers::default(),
            issuer: config.identity.clone().map(|named| Issuer::new(named, http.clone())),
            http,
            tasks: TaskTracker::new(),
            place,
            overrides: config.integrations.clone(),
            own_tools: own_tools(),
            policy: config.rules.clone(),
            caps: config.spend.clone(),
            dns: config.dns_servers.clone(),
            gates: Gates::default(),
            rules: Rules::read()?,
            sink,
            closing: CancellationToken::new(),
            renewing: Renewing::default(),
            spill,
            confirmed: Confirmed::default(),
        })
    }

    /// Looks after the audit trail, now and as long as the process runs, whatever it was started for: says which actions
    /// are under way, and marks those of which nobody says so as unknown.
    pub async fn look_after(&self) {
        let (vault, closing) = (self.vault.clone(), self.closing.clone());
        sweep(&vault).await;
        tokio::spawn(async move {
            while closing.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
                sweep(&vault).await;
            }
        });
    }

    /// Waits for calls under way, though not for one that hangs, and writes what waits to be written, the last anchors of the
    /// audit trail too. Nothing can be called afterwards.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        if timeout(LAST_CALLS, self.tasks.wait()).await.is_err() {
            tracing::warn!("calls are under way still; their outcome is marked unknown");
        }
        self.vault.close().await;
    }

    /// The owner of a tenant. The tenant `local` is created when it is first needed.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn owner(&self, tenant: &str, door: &str) -> Result<Caller> {
        let found = match self.vault.tenant(tenant).await.map_err(told)? {
            Some(found) => found,
            None if tenant == LOCAL_TENANT => match self.vault.create_tenant(tenant, "Local").await
            {
                Ok(created) => created,
                // Another process was faster.
                Err(error) => {
                    self.vault.tenant(tenant).await.map_err(told)?.ok_or_else(|| told(error))?
                }
            },
            None => return Err(no_tenant(tenant)),
        };
        let scope = self.vault.scope(found.id);
        let principal = scope.principal(LOCAL_ISSUER, LOCAL_OWNER).await.map_err(told)?;
        let actor = format!("{} ({door})", principal.subject);
        let (tenant, surface) = (found.external_id, Surface::default());
        let allowance = Allowance::all();
        Ok(Caller { scope, principal, actor, tenant, surface, allowance, token: None })
    }

    /// Whoever an access token belongs to, one of ours or of the identity provider; `None` for a token that is unknown,
    /// expired or revoked.
    ///
    /// # Errors
    /// The database cannot be read, the identity provider does not answer, or it speaks of a tenant that is none.
    pub async fn bearer(&self, token: &str, door: &str) -> Result<Option<Caller>> {
        if let Some(caller) = self.vault.authenticate(token).await.map_err(told)? {
            return Ok(Some(Caller {
                scope: self.vault.scope(caller.tenant.id),
                actor: format!("{} ({door})", caller.principal.subject),
                principal: caller.principal,
                tenant: caller.tenant.external_id,
                surface: Surface::default(),
                allowance: Allowance::of_scopes(caller.scopes.split(' ')),
                token: Some(caller.token),
            }));
        }
        let Some(issuer) = &self.issuer else { return Ok(None) };
        let claims = Box::pin(issuer.verify(token, self.resource()?.as_str())).await?;
        let Some(claims) = claims else { return Ok(None) };
        let entrant = Box::pin(self.entrant(&claims, &issuer.named)).await?;
        let Entrant { scope, tenant, principal } = entrant;
        Ok(Some(Caller {
            scope,
            actor: format!("{} ({door})", principal.subject),
            principal,
            tenant: tenant.external_id,
            surface: Surface::default(),
            allowance: claims.allowance(&issuer.named),
            token: None,
        }))
    }

    /// What access tokens of the identity provider are for.
    ///
    /// # Errors
    /// This server has no address.
    pub(crate) fn resource(&self) -> Result<Url> {
        self.place.page(&["mcp"])
    }

    /// An integration of the catalog.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn integration(&self, id: &str) -> Result<&'static Integration> {
        self.catalog.adapter(id).map(|adapter| adapter.integration).ok_or_else(|| {
            let known: Vec<&str> =
                self.catalog.adapters().iter().map(|adapter| adapter.integration.id).collect();
            Error::new(
                Code::InvalidInput,
                format!("There is no integration `{id}`. There are: {}.", known.join(", ")),
            )
        })
    }

    /// Where a provider of an integration is reached.
    pub(crate) fn endpoints(
        &self,
        integration: &Integration,
        provider: &Provider,
    ) -> Result<Endpoints> {
        let named = self.overrides.get(integration.id);
        Endpoints::new(provider, named.and_then(|named| named.base_url.as_deref()))
    }
}

async fn sweep(vault: &Vault) {
    match vault.sweep_unfinished(UNFINISHED).await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "actions without a result were marked unknown"),
        Err(error) => tracing::warn!(%error, "the audit trail could not be swept"),
    }
}

/// The file of anchors. Where nobody named one, its place may be one that cannot be written.
fn anchors(config: &Config) -> Result<Option<AnchorFile>> {
    let path = config.audit_anchors()?;
    if let (None, Some(folder)) = (&config.audit_anchors, path.parent()) {
        // What is wrong with it shows when the file is opened.
        let _ = root_keys::private_dir(folder);
    }
    match AnchorFile::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if config.audit_anchors.is_some() => Err(Error::new(
            Code::InvalidInput,
            format!(
                "The file of the audit trail's anchors, {}, cannot be written: {error}. Make it writable, or name another one: `audit_anchors` in the configuration.",
                path.display()
            ),
        )),
        Err(error) => {
            tracing::warn!(
                file = %path.display(), %error,
                "the audit trail has no anchors, so a cut tail would not show; name a file that can be written: `audit_anchors` in the configuration"
            );
            Ok(None)
        }
    }
}

/// The provider that a connection uses, and how requests to it are signed.
pub(crate) fn provider_of(
    integration: &'static Integration,
    provider: &str,
    auth_type: &str,
) -> Result<(&'static Provider, &'static Auth)> {
    let gone = || {
        Error::new(
            Code::Internal,
            format!(
                "The stored {} connection is of a kind that this version does not know. Reconnect: resto connect {}",
                integration.name, integration.id
            ),
        )
    };
    let provider = integration.providers.iter().find(|one| one.id == provider).ok_or_else(gone)?;
    let auth = provider.auth.iter().find(|auth| auth.kind() == auth_type).ok_or_else(gone)?;
    Ok((provider, auth))
}

fn no_tenant(tenant: &str) -> Error {
    Error::new(
        Code::NotFound,
        format!("There is no tenant `{tenant}`. Create it: resto tenant create {tenant}"),
    )
}

/// What the vault refused, in the words of an agent's error.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(crate) fn told(error: resto_vault::Error) -> Error {
    use resto_vault::Error as Vault;
    let code = match &error {
        Vault::NotConnected { .. } => Code::NotConnected,
        Vault::Inactive { .. } => Code::AuthExpired,
        Vault::AnotherAccount { .. }
        | Vault::OperationInProgress { .. }
        | Vault::OperationMismatch { .. } => Code::Conflict,
        Vault::UnknownTenant => Code::NotFound,
        Vault::Invalid(_) | Vault::RootKey(_) => Code::InvalidInput,
        _ => Code::Internal,
    };
    Error::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use resto_vault::{Anchors, Intent, Needs, Outcome, ResultStatus};
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn f6_a_call_that_hangs_does_not_keep_the_last_anchors_from_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let anchors = folder.path().join("anchors.jsonl");
        let config =
            Config { audit_anchors: Some(anchors.clone()), ..Config::of_a_test(folder.path()) };
        let host = Host::open(&config).await.unwrap();
        let caller = host.owner(LOCAL_TENANT, "test").await.unwrap();
        let intent = Intent {
            integration_id: "resto",
            action: "test",
            params: &Value::Null,
            actor: &caller.actor,
            op_id: None,
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let outcome = Outcome::of(ResultStatus::Denied);
        caller.scope.record_event(intent, outcome).await.unwrap();
        let anchors = AnchorFile::open(&anchors).unwrap();
        assert_eq!(anchors.kept(caller.scope.tenant()).unwrap(), []);
        host.tasks.spawn(std::future::pending::<()>());
        timeout(3 * LAST_CALLS, host.close()).await.unwrap();
        assert_eq!(anchors.kept(caller.scope.tenant()).unwrap().len(), 1);
    }
}
