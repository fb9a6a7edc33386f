//! Our OAuth client at an integration, as the configuration names it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use resto_core::{
    Auth, ClientAuth, Code, Error, Integration, OAuthConfig, Provider, Result, Revoking, Secrets,
    Signature, Webhooks,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::config::{Config, Overrides};
use crate::host::Host;

/// The secret under which the mark of the authorization server is sealed.
pub(super) const ISSUER: &str = "issuer";

/// More than a client's secret; what is longer is another file.
const LONGEST: u64 = 1024;

/// How people of this server consent at a provider.
pub(crate) struct OAuthClient<'a> {
    pub provider: &'static Provider,
    pub facts: &'static OAuthConfig,
    pub id: &'a str,
    secret_file: Option<&'a Path>,
    pub client_auth: ClientAuth,
    pub authorize_url: Url,
    pub token_url: Url,
    /// Where tokens are revoked by the standard's request, where that is so and known.
    pub revoke_url: Option<Url>,
    /// Who answers, where that is known.
    pub issuer: Option<&'a str>,
    /// Whether an answer that does not say who answers is refused.
    pub names_issuer: bool,
}

impl<'a> OAuthClient<'a> {
    /// The client, where the integration knows OAuth and the configuration names one.
    pub fn of(integration: &'static Integration, named: &'a Overrides) -> Result<Option<Self>> {
        let wrong = |what: &str| {
            Error::new(Code::InvalidInput, format!("integrations.{}: {what}", integration.id))
        };
        if named.client_id.is_none() && named.client_secret_file.is_none() {
            return Ok(None);
        }
        let mut known = integration.providers.iter().flat_map(|provider| {
            provider.auth.iter().filter_map(move |auth| match auth {
                Auth::OAuth(facts) => Some((provider, facts)),
                Auth::Key(_) => None,
            })
        });
        let (provider, facts) = known.next().ok_or_else(|| {
            wrong("it is connected with a key, and takes no client_id. Leave it out.")
        })?;
        let id = named.client_id.as_ref().filter(|id| !id.is_empty());
        let secret_file = named.client_secret_file.as_deref();
        let has_none = facts.client_auth == ClientAuth::Public;
        let Some(id) = id.filter(|_| secret_file.is_some() || has_none) else {
            return Err(wrong("client_id and client_secret_file belong together."));
        };
        let address = |name: &str, set: Option<&String>, own: &str| {
            let text = set.map_or(own, String::as_str);
            let hint = format!("{name} must be set: `{text}` is no whole address.");
            let whole = !text.is_empty() && !text.contains('{');
            whole.then(|| Url::parse(text).ok()).flatten().ok_or_else(|| wrong(&hint))
        };
        let authorize_url =
            address("authorize_url", named.authorize_url.as_ref(), facts.authorize_url)?;
        let token_url = address("token_url", named.token_url.as_ref(), facts.token_url)?;
        // Elsewhere answers somebody else.
        let own_revocation = match facts.revocation.grant {
            Revoking::Standard(url) if named.token_url.is_none() => Some(url),
            _ => None,
        };
        let revoke_url = named.revoke_url.as_deref().or(own_revocation);
        let revoke_url = revoke_url.map(|url| address("revoke_url", None, url)).transpose()?;
        let own_issuer = facts.issuer.filter(|_| named.authorize_url.is_none());
        Ok(Some(Self {
            provider,
            facts,
            id,
            secret_file,
            client_auth: facts.client_auth,
            authorize_url,
            token_url,
            revoke_url,
            issuer: named.issuer.as_deref().or(own_issuer),
            names_issuer: named.issuer.is_some() || (own_issuer.is_some() && facts.names_issuer),
        }))
    }

    /// What is sealed with tokens to know by whom they were given, where a remote server tells who that is.
    pub fn mark(&self) -> Option<SecretString> {
        let issuer = self.issuer.filter(|_| self.facts.resource.is_some())?;
        let digest = Sha256::digest(issuer);
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// Whether these tokens were given by the authorization server that is asked now. A remote server may name another
    /// one, which must not get them.
    pub fn gave(&self, secrets: &Secrets) -> bool {
        // EXPOSE: compared with another one, and no secret.
        let exposed = |mark: &SecretString| mark.expose_secret().to_owned();
        self.mark().as_ref().map(exposed) == secrets.get(ISSUER).map(exposed)
    }

    /// Reads the client's secret, which is kept nowhere else.
    pub fn secret(&self) -> Result<SecretString> {
        match self.secret_file {
            Some(file) => read_secret("client", file),
            None => Err(Error::new(
                Code::Internal,
                format!("Our client at {} has no secret.", self.provider.name),
            )),
        }
    }
}

/// Reads a secret of one line from a file that only this process's user can read. `what` it is: `client`, `webhook`.
pub(crate) fn read_secret(what: &str, file: &Path) -> Result<SecretString> {
    let refuse = |why: &str| {
        let name = file.display();
        Error::new(Code::InvalidInput, format!("The {what} secret file {name} {why}."))
    };
    let opened = File::open(file).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    let about = opened.metadata().map_err(|_| refuse("cannot be inspected"))?;
    if !about.is_file() {
        return Err(refuse("is not a file"));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(refuse(&format!(
            "can be read by other users (mode {mode:o}). Close it: chmod 600 {}",
            file.display()
        )));
    }
    if about.size() > LONGEST {
        return Err(refuse("is too long for a secret"));
    }
    let mut text = String::new();
    opened
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|_| refuse("does not hold one line of text"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("does not hold one line of text"));
    }
    Ok(SecretString::from(secret))
}

impl Host {
    /// Whether people can consent at an integration's provider.
    ///
    /// # Errors
    /// The configuration names half a client.
    pub fn has_oauth(&self, integration: &'static Integration) -> Result<bool> {
        match self.remote(integration) {
            Some(remote) => Ok(remote.has_oauth()),
            None => self.oauth_client(integration).map(|client| client.is_some()),
        }
    }

    /// As [`Host::oauth_client`], once a remote server was asked.
    ///
    /// # Errors
    /// It does not say where people sign in, or the configuration names half a client.
    pub(crate) async fn known_client(
        &self,
        integration: &'static Integration,
    ) -> Result<Option<OAuthClient<'_>>> {
        self.discover(integration).await?;
        self.oauth_client(integration)
    }

    /// How people consent at an integration's provider; `None` where the configuration names no client, and before a remote
    /// server was asked.
    pub(crate) fn oauth_client(
        &self,
        integration: &'static Integration,
    ) -> Result<Option<OAuthClient<'_>>> {
        if let Some(remote) = self.remote(integration) {
            let Some(found) = remote.discovered() else { return Ok(None) };
            let client = OAuthClient::of(integration, &found.named)?;
            return Ok(client.map(|client| OAuthClient {
                client_auth: found.client_auth,
                names_issuer: found.names_issuer,
                ..client
            }));
        }
        match self.overrides.get(integration.id) {
            Some(named) => OAuthClient::of(integration, named),
            None => Ok(None),
        }
    }
}

/// Holds what the configuration says of integrations against what they are. Tells how many OAuth
/// clients it names.
///
/// # Errors
/// The first thing that cannot be.
pub(crate) fn check_overrides(config: &Config, adapters: &[resto_core::Adapter]) -> Result<usize> {
    let mut clients = 0;
    for (id, named) in &config.integrations {
        let adapter =
            adapters.iter().find(|adapter| adapter.integration.id == id).ok_or_else(|| {
                Error::new(
                    Code::InvalidInput,
                    format!(
                        "The configuration names the integration `{id}`, which does not exist."
                    ),
                )
            })?;
        let provider = adapter.integration.providers.first().ok_or_else(|| {
            Error::new(Code::Internal, format!("The integration `{id}` has no provider."))
        })?;
        for (name, url) in named.urls() {
            resto_core::Endpoints::new(provider, Some(url)).map_err(|error| {
                Error::new(Code::InvalidInput, format!("integrations.{id}.{name}: {error}"))
            })?;
        }
        if let Some(file) = &named.webhook_secret_file {
            let is_secret =
                |webhooks: &Webhooks| !matches!(webhooks.signature, Signature::Published);
            let mut sent =
                adapter.integration.providers.iter().filter_map(|one| one.webhooks.as_ref());
            if !sent.any(is_secret) {
                return Err(Error::new(
                    Code::InvalidInput,
                    format!(
                        "integrations.{id}: it sends no messages that a secret signs, and takes no webhook_secret_file. Leave it out."
                    ),
                ));
            }
            read_secret("webhook", file)?;
        }
        if provider.auth.iter().any(is_discovered) {
            // Its addresses are asked for when a person connects it.
            let file = named.client_secret_file.as_deref();
            file.map(|file| read_secret("client", file)).transpose()?;
            continue;
        }
        if let Some(client) = OAuthClient::of(adapter.integration, named)? {
            client.secret()?;
            clients += 1;
        }
    }
    Ok(clients)
}

/// Whether the authorization server tells its addresses itself.
fn is_discovered(auth: &Auth) -> bool {
    matches!(auth, Auth::OAuth(facts) if facts.authorize_url.is_empty() && facts.resource.is_some())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_secret_that_others_can_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client-secret");
        let named = Overrides {
            client_id: Some("client".into()),
            client_secret_file: Some(file.clone()),
            ..Overrides::default()
        };
        let client = OAuthClient::of(&resto_github::GITHUB, &named).unwrap().unwrap();
        let refusal = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            client.secret().unwrap_err().to_string()
        };
        assert!(client.secret().unwrap_err().to_string().contains("cannot be read"));
        assert!(refusal("plainly-fake\n", 0o644).contains("chmod 600"));
        assert!(refusal("", 0o600).contains("one line"));
        assert!(refusal("two\nlines", 0o600).contains("one line"));
        assert!(refusal(&"x".repeat(1025), 0o600).contains("too long"));
        std::fs::write(&file, "plainly-fake\n").unwrap();
        assert!(client.secret().is_ok());
    }

    #[test]
    fn a_client_is_named_whole_and_only_where_it_can_be_used() {
        let half = Overrides { client_id: Some("client".into()), ..Overrides::default() };
        let told = |named: &Overrides| {
            OAuthClient::of(&resto_vercel::VERCEL, named).err().map(|error| error.to_string())
        };
        assert!(told(&half).unwrap().contains("belong together"));
        let mut whole = Overrides { client_secret_file: Some("/nowhere".into()), ..half };
        assert!(told(&whole).unwrap().contains("authorize_url must be set"));
        whole.authorize_url = Some("https://vercel.com/integrations/ours/new".into());
        assert_eq!(told(&whole), None);
    }

    #[test]
    fn another_address_is_another_issuer() {
        let mut named = Overrides {
            client_id: Some("client".into()),
            client_secret_file: Some("/nowhere".into()),
            ..Overrides::default()
        };
        let issuer = |named: &Overrides| {
            let client = OAuthClient::of(&resto_github::GITHUB, named).unwrap().unwrap();
            (client.issuer.map(str::to_owned), client.names_issuer)
        };
        assert_eq!(issuer(&named), (Some("https://github.com/login/oauth".into()), false));
        named.authorize_url = Some("https://git.example/authorize".into());
        assert_eq!(issuer(&named), (None, false));
        named.issuer = Some("https://git.example".into());
        assert_eq!(issuer(&named), (Some("https://git.example".into()), true));
    }
}
