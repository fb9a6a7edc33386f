//! The parts of a running server, put together once.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use resto_core::{Auth, Bounds, Code, Endpoints, Error, Http, Integration, Provider, Result};
use resto_vault::{Keyring, TenantScope, Vault};
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::config::{Config, unusable};

/// The tenant that exists without configuration, and its only principal.
pub const LOCAL_TENANT: &str = "local";
const LOCAL_ISSUER: &str = "local";
const LOCAL_OWNER: &str = "owner";

/// Everything that a call needs.
pub struct Host {
    pub(crate) vault: Vault,
    pub(crate) catalog: Catalog,
    pub(crate) http: Http,
    /// Calls under way: a client that goes away does not cut them in half.
    pub(crate) tasks: TaskTracker,
    base_urls: BTreeMap<String, String>,
}

/// In whose name something happens.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant's part of the vault.
    pub scope: TenantScope,
    /// Who, and by which door, for the audit trail: `owner (mcp)`.
    pub actor: String,
}

/// Every adapter of this build. A new one is one line here and one in Cargo.toml.
fn adapters() -> Vec<resto_core::Adapter> {
    vec![resto_analytics::adapter(), resto_github::adapter(), resto_stripe::adapter(), resto_vercel::adapter()]
}

impl Host {
    /// Opens the vault and builds the catalog. At the first start it creates the data folder and the
    /// key file.
    ///
    /// # Errors
    /// The configuration, the key file or the database is not right; the sentence says what to do.
    pub async fn open(config: &Config) -> Result<Self> {
        let catalog = Catalog::new(adapters())?;
        let base_urls = checked_urls(config, &catalog)?;
        let keyring = keyring(config)?;
        let vault = Vault::open(&config.database()?, keyring, config.cipher).await.map_err(told)?;
        Ok(Self {
            vault,
            catalog,
            http: Http::new(Bounds::default())?,
            tasks: TaskTracker::new(),
            base_urls,
        })
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
                Err(_) => self
                    .vault
                    .tenant(tenant)
                    .await
                    .map_err(told)?
                    .ok_or_else(|| no_tenant(tenant))?,
            },
            None => return Err(no_tenant(tenant)),
        };
        let scope = self.vault.scope(found.id);
        let owner = scope.principal(LOCAL_ISSUER, LOCAL_OWNER).await.map_err(told)?;
        Ok(Caller { scope, actor: format!("{} ({door})", owner.subject) })
    }

    /// Whoever an access token belongs to; `None` for a token that is unknown, expired or revoked.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn bearer(&self, token: &str, door: &str) -> Result<Option<Caller>> {
        let found = self.vault.authenticate(token).await.map_err(told)?;
        Ok(found.map(|caller| Caller {
            scope: self.vault.scope(caller.tenant.id),
            actor: format!("{} ({door})", caller.principal.subject),
        }))
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
        Endpoints::new(provider, self.base_urls.get(integration.id).map(String::as_str))
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

/// Creates the data folder and the key file where they are missing, and reads the key.
fn keyring(config: &Config) -> Result<Keyring> {
    let key_file = config.key_file()?;
    let folder = config.database_folder()?;
    if let Some(folder) = &folder {
        private_dir(folder)?;
    }
    if key_file.exists() {
        return Keyring::from_file(&key_file, folder.as_deref()).map_err(told);
    }
    if let Some(lost) = lost_key(config)? {
        return Err(lost);
    }
    // Two processes may start at once: whoever comes second reads the first one's key.
    let created = match Keyring::create_file(&key_file) {
        Ok(_) => true,
        Err(_) if key_file.exists() => false,
        Err(error) => return Err(told(error)),
    };
    // Where a file lies is known for sure only when it is there.
    Keyring::from_file(&key_file, folder.as_deref()).map_err(|error| {
        if created {
            let _ = std::fs::remove_file(&key_file);
        }
        told(error)
    })
}

/// Why a missing key file must not be created anew: there is a database that was sealed with it.
pub(crate) fn lost_key(config: &Config) -> Result<Option<Error>> {
    let url = config.database()?;
    if !url.strip_prefix("sqlite://").is_some_and(|file| Path::new(file).exists()) {
        return Ok(None);
    }
    let key_file = config.key_file()?;
    Ok(Some(Error::new(
        Code::NotFound,
        format!(
            "The key file {} is missing, and without it the stored credentials cannot be opened. Bring it back, or name it: --key-file FILE",
            key_file.display()
        ),
    )))
}

fn private_dir(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| unusable(dir, &error))
}

fn checked_urls(config: &Config, catalog: &Catalog) -> Result<BTreeMap<String, String>> {
    let mut base_urls = BTreeMap::new();
    for (id, overrides) in &config.integrations {
        let Some(adapter) = catalog.adapter(id) else {
            return Err(Error::new(
                Code::InvalidInput,
                format!("The configuration names the integration `{id}`, which does not exist."),
            ));
        };
        for (name, url) in overrides.urls() {
            let provider = adapter.integration.providers.first().ok_or_else(|| {
                Error::new(Code::Internal, format!("The integration `{id}` has no provider."))
            })?;
            Endpoints::new(provider, Some(url)).map_err(|error| {
                Error::new(Code::InvalidInput, format!("integrations.{id}.{name}: {error}"))
            })?;
            if name == "base_url" {
                base_urls.insert(id.clone(), url.to_owned());
            }
        }
    }
    Ok(base_urls)
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
        Vault::OperationInProgress { .. } | Vault::OperationMismatch { .. } => Code::Conflict,
        Vault::UnknownTenant => Code::NotFound,
        Vault::Invalid(_) | Vault::KeyFile(_) => Code::InvalidInput,
        _ => Code::Internal,
    };
    Error::new(code, error.to_string())
}
