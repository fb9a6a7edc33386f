//! An external identity provider: what it signs lets agents and people in, as the tenant and the subject that it names.

mod keys;
mod sign_in;

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, AlgorithmFamily, Validation};
use resto_core::{Code, Error, Http, Result, quote};
use resto_vault::{Principal, Tenant, TenantScope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::allowance::Allowance;
use crate::host::{Host, told};
use crate::place::is_trusted;

pub(crate) use keys::Publisher;
pub(crate) use sign_in::{Answer, SIGNING_IN};

/// The identity provider, as the configuration names it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its issuer, as its discovery document has it, such as `https://id.example.com`.
    pub issuer: String,
    /// What its signatures may be made with.
    #[serde(default = "signatures")]
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the tenant by its external id.
    #[serde(default = "tenant_claim")]
    pub tenant_claim: String,
    /// The claim that says what an access token allows, as a list or with spaces between.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
    /// The id of our client there, with which people sign in.
    pub client_id: Option<String>,
    /// The file with its secret, which only this process's user can read.
    pub client_secret_file: Option<PathBuf>,
}

fn signatures() -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
    vec![RS256, PS256, ES256, ES384, EdDSA]
}

fn tenant_claim() -> String {
    "tenant".to_owned()
}

fn scope_claim() -> String {
    "scope".to_owned()
}

impl Identity {
    /// # Errors
    /// It names an address that strangers could answer at, a signature that anybody who can check it could make, or half a
    /// client.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::new(Code::InvalidInput, format!("identity: {what}")));
        let issuer = Url::parse(&self.issuer).ok();
        if issuer.is_none_or(|url| !is_trusted(&url) || url.query().or(url.fragment()).is_some()) {
            return wrong(
                "issuer must be the issuer's whole address and begin with https (plain http only for a loopback address).",
            );
        }
        if self.algorithms.is_empty() {
            return wrong("algorithms lets no signature through. Leave it out for the usual ones.");
        }
        if self.algorithms.iter().any(|one| one.family() == AlgorithmFamily::Hmac) {
            return wrong("algorithms must be such that who checks a signature cannot make one.");
        }
        if self.client_id.is_some() != self.client_secret_file.is_some() {
            return wrong("client_id and client_secret_file belong together.");
        }
        Ok(())
    }
}

/// What the provider says of whom it let in. It is signed, and meant for us.
#[derive(Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    nonce: Option<String>,
    azp: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Claims {
    /// What an access token allows.
    pub fn allowance(&self, named: &Identity) -> Allowance {
        match self.rest.get(&named.scope_claim) {
            Some(Value::String(scopes)) => Allowance::of_scopes(scopes.split(' ')),
            Some(Value::Array(scopes)) => {
                Allowance::of_scopes(scopes.iter().filter_map(Value::as_str))
            }
            _ => Allowance::default(),
        }
    }
}

/// The identity provider, as far as it has been asked.
pub(crate) struct Issuer {
    pub named: Identity,
    published: Publisher,
}

impl Issuer {
    pub fn new(named: Identity, http: Http) -> Self {
        let published = Publisher::new(named.issuer.clone(), "openid-configuration", http);
        Self { named, published }
    }

    /// What a token says; none where it is not one that the provider signed for this audience and that is valid now.
    ///
    /// # Errors
    /// The provider's keys are not known, and it does not tell them.
    pub async fn verify(&self, token: &str, audience: &str) -> Result<Option<Claims>> {
        let rule = |rules: &mut Validation| {
            rules.set_audience(&[audience]);
            rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        };
        self.published.read(token, &self.named.algorithms, rule).await
    }
}

/// Whom the provider let in.
pub(crate) struct Entrant {
    pub scope: TenantScope,
    pub tenant: Tenant,
    pub principal: Principal,
}

impl Host {
    /// Whom claims stand for here.
    ///
    /// # Errors
    /// `denied` where the tenant is not one of ours, or the claims name none.
    pub(crate) async fn entrant(&self, claims: &Claims, named: &Identity) -> Result<Entrant> {
        let claim = &named.tenant_claim;
        let refuse = |why: String| Error::new(Code::Denied, why);
        let id = claims.rest.get(claim).and_then(Value::as_str).ok_or_else(|| {
            refuse(format!(
                "The identity provider does not say which tenant you belong to: the claim `{claim}` is missing."
            ))
        })?;
        let tenant = self.vault.tenant(id).await.map_err(told)?.ok_or_else(|| {
            refuse(format!(
                "The identity provider says that you belong to the tenant `{0}`, which this server does not know. Whoever runs it creates it: resto tenant create {0}",
                quote(id)
            ))
        })?;
        let scope = self.vault.scope(tenant.id);
        let principal = scope.principal(&claims.iss, &claims.sub).await;
        let principal = principal.map_err(|error| match error {
            resto_vault::Error::Invalid(_) => {
                refuse("The identity provider names you in no way that we understand.".to_owned())
            }
            other => told(other),
        })?;
        Ok(Entrant { scope, tenant, principal })
    }
}
