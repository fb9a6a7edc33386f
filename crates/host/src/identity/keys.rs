//! What an issuer publishes: who it is, the keys of its signatures, and where people sign in. What it signs is read here.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use resto_core::{Code, Error, Http, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::place::is_trusted;

/// No token is longer.
const LONGEST: usize = 16 << 10;

/// By how much the clocks of an issuer and of this machine may differ, in seconds.
const SKEW: u64 = 60;

/// How long keys are used before the provider is asked again.
const FRESH: Duration = Duration::from_hours(1);

/// How long they are used where it does not answer.
const USABLE: Duration = Duration::from_hours(24);

/// It is not asked again sooner, whatever keys tokens name.
const AGAIN: Duration = Duration::from_secs(30);

/// An issuer, as far as it has been asked.
pub(crate) struct Publisher {
    issuer: String,
    page: &'static str,
    http: Http,
    keys: Mutex<Keys>,
}

/// What it says of itself.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Url,
    #[serde(flatten)]
    endpoints: Option<Endpoints>,
}

/// Where people sign in at it.
#[derive(Deserialize)]
pub(super) struct Endpoints {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What is known of it.
pub(super) struct Known {
    metadata: Metadata,
    keys: JwkSet,
    fetched: Instant,
}

impl Known {
    /// Where people sign in.
    ///
    /// # Errors
    /// `provider_misconfigured`: it does not say.
    pub fn endpoints(&self) -> Result<&Endpoints> {
        self.metadata.endpoints.as_ref().ok_or_else(|| {
            Error::new(
                Code::ProviderMisconfigured,
                format!("{} does not say where people sign in.", self.metadata.issuer),
            )
        })
    }
}

#[derive(Default)]
struct Keys {
    known: Option<Arc<Known>>,
    asked: Option<Instant>,
}

impl Publisher {
    /// The issuer of this name, which describes itself at this page of `/.well-known/`.
    pub fn new(issuer: String, page: &'static str, http: Http) -> Self {
        Self { issuer, page, http, keys: Mutex::default() }
    }

    /// What a token of the issuer says; none where it is not one, or does not follow these rules.
    ///
    /// # Errors
    /// The issuer's keys are not known, and it does not tell them.
    pub async fn read<C: DeserializeOwned>(
        &self,
        token: &str,
        algorithms: &[Algorithm],
        rule: impl FnOnce(&mut Validation),
    ) -> Result<Option<C>> {
        if token.len() > LONGEST {
            return Ok(None);
        }
        let Ok(header) = decode_header(token) else { return Ok(None) };
        // What the header says of keys elsewhere (`jku`, `jwk`, `x5u`) is not read: only the issuer's own count.
        let Some(kid) = header.kid.filter(|_| header.crit.is_none()) else { return Ok(None) };
        if !algorithms.contains(&header.alg) {
            return Ok(None);
        }
        let known = self.known(Some(&kid)).await?;
        let fitting = known.keys.find(&kid).filter(|key| fits(key, header.alg));
        let Some(key) = fitting.and_then(|key| DecodingKey::from_jwk(key).ok()) else {
            return Ok(None);
        };
        let mut rules = Validation::new(header.alg);
        rules.leeway = SKEW;
        rules.validate_nbf = true;
        rules.set_issuer(&[&self.issuer]);
        rule(&mut rules);
        Ok(decode::<C>(token, &key, &rules).ok().map(|token| token.claims))
    }

    /// What is known of the issuer, with the key of this id if it has published it. Of several who need it one asks.
    ///
    /// # Errors
    /// `provider_down` where nothing is known, and it does not tell.
    pub(super) async fn known(&self, kid: Option<&str>) -> Result<Arc<Known>> {
        let mut keys = self.keys.lock().await;
        let is_fresh = |known: &&Arc<Known>| {
            known.fetched.elapsed() < FRESH && kid.is_none_or(|kid| known.keys.find(kid).is_some())
        };
        if let Some(known) = keys.known.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(known));
        }
        if keys.asked.is_none_or(|asked| asked.elapsed() >= AGAIN) {
            keys.asked = Some(Instant::now());
            match self.ask().await {
                Ok(known) => keys.known = Some(Arc::new(known)),
                Err(error) => {
                    tracing::warn!(%error, issuer = self.issuer, "an issuer does not tell its keys");
                }
            }
        }
        let usable = keys.known.as_ref().filter(|known| known.fetched.elapsed() < USABLE);
        usable.map(Arc::clone).ok_or_else(|| {
            Error::new(
                Code::ProviderDown,
                format!("{} does not tell its keys. Try again later.", self.issuer),
            )
        })
    }

    async fn ask(&self) -> Result<Known> {
        let issuer = &self.issuer;
        let page = format!("{}/.well-known/{}", issuer.trim_end_matches('/'), self.page);
        let metadata: Metadata = self.get(&page).await?;
        let pages = metadata.endpoints.as_ref();
        let are_trusted = is_trusted(&metadata.jwks_uri)
            && pages.is_none_or(|pages| {
                is_trusted(&pages.authorization_endpoint) && is_trusted(&pages.token_endpoint)
            });
        if metadata.issuer != *issuer || !are_trusted {
            return Err(Error::new(
                Code::ProviderMisconfigured,
                format!(
                    "{page} speaks for another issuer than `{issuer}`, or of addresses without https."
                ),
            ));
        }
        let keys = self.get(metadata.jwks_uri.as_str()).await?;
        Ok(Known { metadata, keys, fetched: Instant::now() })
    }

    async fn get<T: DeserializeOwned>(&self, page: &str) -> Result<T> {
        let not_understood = |what: &str| Error::new(Code::ProviderDown, format!("{page} {what}."));
        let request = http::Request::get(page)
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| not_understood("is no address"))?;
        let answer = self.http.exchange(request).await?;
        if !answer.status().is_success() {
            return Err(not_understood(&format!("answers {}", answer.status())));
        }
        serde_json::from_slice(answer.body()).map_err(|_| not_understood("is not understood"))
    }
}

/// Whether a key may check signatures of this kind: one and the same key for two kinds is a way to forge.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let about = &key.common;
    about.public_key_use.as_ref().is_none_or(|told| *told == PublicKeyUse::Signature)
        && about.key_algorithm.is_none_or(|told| told.to_string() == format!("{algorithm:?}"))
}
