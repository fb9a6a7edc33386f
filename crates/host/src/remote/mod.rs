//! MCP servers that others run, as integrations: one entry of the configuration makes one, and its tools are actions.

mod asking;
mod discovery;
mod following;
mod offer;
mod output;
mod question;
mod schema;
mod scopes;
mod session;
mod tenant;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use resto_core::{
    Account, ActionSpec, Adapter, Api, Auth, BoxFuture, Category, ClientAuth, Code, Draft,
    Endpoints, Error, Integration, KeyAuth, OAuthConfig, Permissions, Proof, Provider, Result,
    Revocation, Revoking, Risk, Scheme,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Overrides};
use discovery::Discovered;

pub(crate) use offer::{Definition, Offer, Pin, Standing};
use session::{Session, outcome};
pub(crate) use tenant::Offers;
use wire::is_lost;

/// The collection of records in which the tools of each server are kept.
const OFFERS: &str = "remote.tools";

/// How long a server may take to list its tools, and to answer a call.
const LISTING: Duration = Duration::from_secs(30);
const CALL: Duration = Duration::from_mins(1);

/// An MCP server that becomes an integration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteServer {
    /// As people write it.
    pub name: String,
    /// What it is for: `code`, `hosting`, `payments`, `communication`, `analytics` or `domains`.
    pub category: Category,
    /// Why a business connects it, in one sentence.
    pub purpose: String,
    /// Where it speaks MCP over Streamable HTTP.
    pub url: String,
    /// `key`: a person pastes one, which is sent as a bearer token. `oauth`: a person signs in where the server says.
    pub auth: SignIn,
    /// With `key`: the page where a person creates it.
    pub key_url: Option<String>,
    /// With `oauth`: what is asked for; as the authorization server sees fit if left out.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The tools that are taken, by the server's own names; all if left out.
    pub allowed_tools: Option<BTreeSet<String>>,
    /// The worst that each tool can do: `read`, `write`, `outward`, `irreversible` or `spend`. One that is left out counts
    /// as irreversible, whatever the server says of it.
    #[serde(default)]
    pub risks: BTreeMap<String, Risk>,
}

/// How people sign in at a remote server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// With a key that they paste.
    Key,
    /// By OAuth, at the authorization server that the server names.
    OAuth,
}

/// A remote server of this process.
pub(crate) struct Remote {
    pub integration: &'static Integration,
    /// Our OAuth client there, as far as the configuration names one.
    named: Overrides,
    /// Where people sign in, once the server was asked.
    discovered: OnceCell<Discovered>,
    allowed: Option<BTreeSet<String>>,
    risks: BTreeMap<String, Risk>,
    /// Whether it was found to speak the older generation of the protocol.
    is_legacy: AtomicBool,
}

/// The remote servers that the configuration names, beside the integrations that there are anyhow.
///
/// # Errors
/// The first entry that cannot be.
pub(crate) fn servers(config: &Config, ours: &[Adapter]) -> Result<Vec<Arc<Remote>>> {
    let named = |id: &str| config.integrations.get(id).cloned().unwrap_or_default();
    let providers = ours.iter().flat_map(|adapter| adapter.integration.providers);
    let integrations = ours.iter().map(|adapter| adapter.integration.id);
    let taken: Vec<&str> = integrations
        .chain(providers.map(|provider| provider.id))
        .chain(["resto", "unknown"])
        .collect();
    let all: Vec<&str> =
        taken.iter().copied().chain(config.remote.keys().map(String::as_str)).collect();
    let servers = config.remote.iter().map(|(id, entry)| {
        if taken.contains(&id.as_str()) {
            return Err(wrong(id, "its id is taken by this server itself. Take another one."));
        }
        // What it calls its own tools must not make them look like those of another integration.
        let longer = all.iter().find(|other| *other != id && prefix(other).starts_with(&prefix(id)));
        if let Some(other) = longer {
            let why = format!(
                "its tools could be taken for those of {other}, whose id begins alike. Take another one."
            );
            return Err(wrong(id, &why));
        }
        Remote::new(id, entry, named(id)).map(Arc::new)
    });
    servers.collect()
}

/// What stands before the names of an integration's tools.
fn prefix(integration: &str) -> String {
    format!("{}_", integration.replace('-', "_"))
}

fn wrong(id: &str, what: &str) -> Error {
    Error::new(Code::InvalidInput, format!("remote.{id}: {what}"))
}

impl Remote {
    fn new(id: &str, entry: &RemoteServer, named: Overrides) -> Result<Self> {
        let wrong = |what: &str| wrong(id, what);
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=20).contains(&id.len()) || !id.bytes().all(is_plain) {
            return Err(wrong("its id is not 1 to 20 lower-case letters, digits and hyphens."));
        }
        let allows =
            |tool: &String| entry.allowed_tools.as_ref().is_none_or(|all| all.contains(tool));
        if let Some(tool) = entry.risks.keys().find(|tool| !allows(tool)) {
            return Err(wrong(&format!("risks names `{tool}`, which allowed_tools leaves out.")));
        }
        if (entry.auth == SignIn::Key) != entry.key_url.is_some() {
            return Err(wrong("key_url belongs to `auth = \"key\"`, and only there."));
        }
        if named.client_secret_file.is_some() && named.issuer.is_none() {
            return Err(wrong(
                "a client_secret_file belongs to one authorization server: say which one with issuer.",
            ));
        }
        let integration = integration(id, entry, named.client_secret_file.is_some());
        if let Some(provider) = integration.providers.first() {
            Endpoints::new(provider, None).map_err(|error| wrong(&format!("url: {error}")))?;
        }
        Ok(Self {
            integration,
            named,
            discovered: OnceCell::new(),
            allowed: entry.allowed_tools.clone(),
            risks: entry.risks.clone(),
            is_legacy: AtomicBool::new(false),
        })
    }

    /// The integration with the tools that a person has approved.
    pub fn adapter(self: &Arc<Self>, offer: &Offer) -> Adapter {
        let actions = offer.tools.iter().filter_map(|(name, pin)| self.action(name, pin)).collect();
        let steps = (
            step(Arc::clone(self), |ours, api| Box::pin(async move { ours.identify(api).await })),
            step(Arc::clone(self), |_, _| Box::pin(async { Ok(()) })),
            step(Arc::clone(self), |ours, _| Box::pin(async move { Ok(ours.proof()) })),
        );
        Adapter::with(self.integration, steps, actions)
    }

    /// Whether a tool of this published name may come to be offered, as far as the configuration says.
    pub fn may_publish(&self, tool: &str) -> bool {
        match &self.allowed {
            Some(allowed) => {
                allowed.iter().any(|name| offer::published(self.integration.id, name) == tool)
            }
            None => tool.starts_with(&prefix(self.integration.id)),
        }
    }

    fn action(self: &Arc<Self>, name: &str, pin: &Pin) -> Option<ActionSpec> {
        let told = pin.approved.as_ref()?;
        let risk = self.risks.get(name).copied().unwrap_or(Risk::Irreversible);
        let (ours, theirs) = (Arc::clone(self), name.to_owned());
        Some(ActionSpec {
            tool: offer::published(self.integration.id, name),
            title: told.title.clone(),
            description: format!("{} says: {}", self.integration.name, told.description),
            risk,
            phrases: &[],
            outsiders: |_| true,
            view: &[],
            permissions: &[],
            input_schema: told.input_schema.clone(),
            output_schema: output::schema,
            held: self.held(name, pin.standing()),
            runs: run(move |arguments, api| {
                let (ours, theirs) = (Arc::clone(&ours), theirs.clone());
                Box::pin(async move { ours.call(&theirs, risk, arguments, api).await })
            }),
        })
    }

    fn held(&self, name: &str, standing: Standing) -> Option<String> {
        let server = self.integration.name;
        match standing {
            Standing::Usable => None,
            Standing::Gone => Some(format!(
                "{server} no longer offers `{name}`. Nothing was sent. Use another tool."
            )),
            Standing::Changed | Standing::New => Some(format!(
                "{server} has changed its tool `{name}` since it was approved. Nothing was sent. A person looks at the change and approves it on this server's page of {server}."
            )),
        }
    }

    /// The tools as they are kept; none before the first connection.
    async fn known(&self, api: &Api) -> Result<Option<Offer>> {
        let kept = api.records().get(OFFERS, self.integration.id).await?;
        kept.map(serde_json::from_value).transpose().map_err(|_| unreadable())
    }

    async fn identify(&self, api: &Api) -> Result<Account> {
        let (id, name) = (self.integration.id, self.integration.name);
        let session = Session::open(api.channel(LISTING), name, &self.is_legacy).await?;
        let (listed, server) = (session.tools().await, session.server());
        session.close();
        let is_allowed = |tool: &str| self.allowed.as_ref().is_none_or(|all| all.contains(tool));
        let listed = offer::definitions(&listed?, is_allowed)?;
        // A server may say whatever it was told.
        let listed = api.redact(serde_json::to_value(listed).unwrap_or_default());
        let listed = serde_json::from_value(listed).map_err(|_| unreadable())?;
        let offer = Offer::seen(self.known(api).await?, listed);
        let value = serde_json::to_value(&offer).map_err(|_| unreadable())?;
        api.records().put(OFFERS, id, &value, None).await?;
        Ok(Account {
            // The protocol has no name for whose account it is.
            id: api.provider().base_url.to_owned(),
            name: server.unwrap_or_else(|| name.to_owned()),
            mode: None,
            permissions: Permissions::Known(offer.usable().map(str::to_owned).collect()),
            ends_at: None,
        })
    }

    async fn call(&self, tool: &str, risk: Risk, arguments: Value, api: &Api) -> Result<Value> {
        // It may have been found changed since the call was allowed.
        let standing = self.known(api).await?.and_then(|mut offer| offer.tools.remove(tool));
        let standing = standing.map_or(Standing::Gone, |pin| pin.standing());
        if let Some(why) = self.held(tool, standing) {
            return Err(Error::new(Code::ActionRequired, why));
        }
        if risk.is_unsafe() {
            api.withhold(|| Draft {
                method: "tools/call".to_owned(),
                url: api.provider().base_url.to_owned(),
                body: Some(json!({"name": tool, "arguments": arguments}).to_string()),
            })?;
        }
        let Value::Object(arguments) = arguments else {
            return Err(Error::new(Code::InvalidInput, "The arguments are no object."));
        };
        let name = self.integration.name;
        let session = Session::open(api.channel(CALL), name, &self.is_legacy).await?;
        // A change goes on whatever the caller does, so that its outcome is known.
        let cancelled = if risk == Risk::Read { api.cancelled() } else { CancellationToken::new() };
        let called = session.call(tool, arguments, risk.is_unsafe(), &cancelled).await;
        session.close();
        called.map(|result| output::of(&result)).map_err(|error| {
            let may_have_happened = risk.is_unsafe() && is_lost(&error);
            outcome(error, may_have_happened)
        })
    }

    fn proof(&self) -> Proof {
        let key = self.integration.providers.iter().flat_map(|provider| provider.auth);
        let mut url = key.filter_map(|auth| match auth {
            Auth::Key(key) => Some(key.create_url.to_owned()),
            Auth::OAuth(_) => None,
        });
        Proof::PersonMust {
            instruction: format!(
                "Delete the key of {}, where it was created:",
                self.integration.name
            ),
            url: url.next().unwrap_or_default(),
        }
    }
}

fn unreadable() -> Error {
    Error::new(Code::Internal, "What is kept of the server's tools cannot be read.")
}

/// A step of the life of an account at this server.
fn step<T>(
    ours: Arc<Remote>,
    step: impl for<'a> Fn(Arc<Remote>, &'a Api) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
) -> resto_core::Step<T> {
    Box::new(move |api| step(Arc::clone(&ours), api))
}

fn run(
    run: impl for<'a> Fn(Value, &'a Api) -> BoxFuture<'a, Result<Value>> + Send + Sync + 'static,
) -> resto_core::Run {
    Box::new(run)
}

/// The facts, for as long as the process lives: a configuration is read once.
fn integration(id: &str, entry: &RemoteServer, has_secret: bool) -> &'static Integration {
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let (id, name, url) = (keep(id), keep(&entry.name), keep(&entry.url));
    let auth = match &entry.key_url {
        Some(page) => Auth::Key(KeyAuth { name: "key", create_url: keep(page), ..KeyAuth::BEARER }),
        None => {
            let scopes: Vec<&'static str> = entry.scopes.iter().map(|scope| keep(scope)).collect();
            Auth::OAuth(OAuthConfig {
                // The server says where; see `discovery`.
                authorize_url: "",
                token_url: "",
                issuer: None,
                names_issuer: false,
                revocation: Revocation { grant: Revoking::Standard(""), token: None, by_hand: "" },
                rights_url: "",
                pkce: true,
                client_auth: if has_secret { ClientAuth::Basic } else { ClientAuth::Public },
                resource: Some(url),
                scopes: Box::leak(scopes.into_boxed_slice()),
                authorize_parameters: &[],
                access_lifetime: None,
                // OAuth 2.1 has public clients' tokens rotate; whoever does not loses nothing by it.
                rotates_refresh_token: true,
                scheme: Scheme::Bearer("access_token"),
            })
        }
    };
    let provider = Provider {
        id,
        name,
        base_url: url,
        auth: Box::leak(Box::new([auth])),
        headers: &[],
        ..Provider::REST
    };
    Box::leak(Box::new(Integration {
        id,
        name,
        category: entry.category,
        purpose: keep(&entry.purpose),
        providers: Box::leak(Box::new([provider])),
        permissions: &[],
    }))
}
