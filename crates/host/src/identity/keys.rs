//! What the identity provider publishes: where its pages are, and the keys of its signatures.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use resto_core::{Code, Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::Issuer;
use crate::place::is_trusted;

/// How long keys are used before the provider is asked again.
const FRESH: Duration = Duration::from_hours(1);

/// How long they are used where it does not answer.
const USABLE: Duration = Duration::from_hours(24);

/// It is not asked again sooner, whatever keys tokens name.
const AGAIN: Duration = Duration::from_secs(30);

/// What the provider says of itself.
#[derive(Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What is known of it.
pub(super) struct Known {
    pub metadata: Metadata,
    pub keys: JwkSet,
    fetched: Instant,
}

#[derive(Default)]
pub(super) struct Keys {
    known: Option<Arc<Known>>,
    asked: Option<Instant>,
}

impl Issuer {
    /// What is known of the provider, with the key of this id if it has published it. Of several who need it one asks.
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
                    tracing::warn!(%error, "the identity provider does not tell its keys");
                }
            }
        }
        let usable = keys.known.as_ref().filter(|known| known.fetched.elapsed() < USABLE);
        usable.map(Arc::clone).ok_or_else(|| {
            Error::new(
                Code::ProviderDown,
                "The identity provider does not answer. Try again later.",
            )
        })
    }

    async fn ask(&self) -> Result<Known> {
        let issuer = &self.named.issuer;
        let page = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = self.get(&page).await?;
        let addresses =
            [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        if metadata.issuer != *issuer || !addresses.into_iter().all(is_trusted) {
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
