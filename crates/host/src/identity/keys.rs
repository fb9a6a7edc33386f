//! What an issuer publishes: who it is, the keys of its signatures, and where people sign in. What it signs is read here.

use std::sync::{Arc, PoisonError, RwLock};
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
    known: RwLock<Option<Arc<Known>>>,
    /// When it was asked last. Whoever asks it now holds this.
    asked: Mutex<Option<Instant>>,
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
    /// Whether the key of this id is published, if one is meant.
    fn has(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.keys.find(kid).is_some())
    }

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

impl Publisher {
    /// The issuer of this name, which describes itself at this page of `/.well-known/`.
    pub fn new(issuer: String, page: &'static str, http: Http) -> Self {
        Self { issuer, page, http, known: RwLock::default(), asked: Mutex::default() }
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

    /// What is known of the issuer, with the key of this id if it has published it. Of several who need it one asks, and
    /// whoever knows the key does not wait for that.
    ///
    /// # Errors
    /// `provider_down` where nothing is known, and it does not tell.
    pub(super) async fn known(&self, kid: Option<&str>) -> Result<Arc<Known>> {
        let known = self.usable().filter(|known| known.has(kid));
        let mut asked = match known {
            Some(known) if known.fetched.elapsed() < FRESH => return Ok(known),
            Some(known) => match self.asked.try_lock() {
                Ok(asked) => asked,
                Err(_) => return Ok(known),
            },
            None => self.asked.lock().await,
        };
        if asked.is_none_or(|asked| asked.elapsed() >= AGAIN) {
            *asked = Some(Instant::now());
            match self.ask().await {
                Ok(known) => {
                    let mut place = self.known.write().unwrap_or_else(PoisonError::into_inner);
                    *place = Some(Arc::new(known));
                }
                Err(error) => {
                    tracing::warn!(%error, issuer = self.issuer, "an issuer does not tell its keys");
                }
            }
        }
        self.usable().ok_or_else(|| {
            Error::new(
                Code::ProviderDown,
                format!("{} does not tell its keys. Try again later.", self.issuer),
            )
        })
    }

    fn usable(&self) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| known.fetched.elapsed() < USABLE)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::extract::State;
    use axum::routing::get;
    use axum::{Json, Router};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
    use futures::future::join_all;
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use rcgen::KeyPair;
    use resto_core::Bounds;
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;

    use super::*;

    /// An issuer that publishes these keys.
    struct Double {
        keys: RwLock<Vec<Value>>,
        asked: AtomicUsize,
        /// Whoever asks needs one.
        answers: Semaphore,
    }

    impl Double {
        async fn start() -> (Arc<Self>, Publisher) {
            let answers = Semaphore::new(1000);
            let double =
                Arc::new(Self { keys: RwLock::default(), asked: AtomicUsize::new(0), answers });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let issuer = format!("http://{}", listener.local_addr().unwrap());
            let told = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
            let published = async |State(double): State<Arc<Self>>| {
                double.asked.fetch_add(1, Ordering::SeqCst);
                double.answers.acquire().await.unwrap().forget();
                let keys = double.keys.read().unwrap().clone();
                Json(json!({ "keys": keys }))
            };
            let app = Router::new()
                .route("/.well-known/keys-of-a-test", get(async move || Json(told)))
                .route("/keys", get(published))
                .with_state(Arc::clone(&double));
            tokio::spawn(async { axum::serve(listener, app).await });
            let http = Http::new(Bounds::default()).unwrap();
            (double, Publisher::new(issuer, "keys-of-a-test", http))
        }

        /// Publishes a key, besides those before; a token that it signed.
        fn publish(&self, publisher: &Publisher, kid: &str) -> String {
            let key = KeyPair::generate().unwrap();
            let (x, y) = key.public_key_raw()[1..].split_at(32);
            let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
            let published =
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y});
            self.keys.write().unwrap().push(published);
            token(publisher, kid, &key)
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn token(publisher: &Publisher, kid: &str, key: &KeyPair) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.to_owned());
        let claims = json!({"iss": publisher.issuer, "exp": get_current_timestamp() + 600});
        encode(&header, &claims, &EncodingKey::from_ec_der(&key.serialize_der())).unwrap()
    }

    impl Publisher {
        /// Whether the token is one of the issuer's.
        async fn takes(&self, token: &str) -> bool {
            let read = self.read::<Value>(token, &[Algorithm::ES256], |_| {}).await;
            read.unwrap().is_some()
        }

        /// As if so much time had gone by.
        async fn age(&self, by: Duration) {
            let mut asked = self.asked.lock().await;
            *asked = asked.map(|asked| asked.checked_sub(by).unwrap());
            let mut known = self.known.write().unwrap();
            let known = Arc::get_mut(known.as_mut().unwrap()).unwrap();
            known.fetched = known.fetched.checked_sub(by).unwrap();
        }
    }

    #[tokio::test]
    async fn a4_a_new_key_is_asked_for_once_and_a_removed_one_ends_with_what_is_kept() {
        let (double, publisher) = Double::start().await;
        let old = double.publish(&publisher, "old");
        assert!(publisher.takes(&old).await && publisher.takes(&old).await);
        assert_eq!(double.asked(), 1);
        let new = double.publish(&publisher, "new");
        publisher.age(AGAIN).await;
        assert!(
            join_all((0..50).map(|_| publisher.takes(&new))).await.into_iter().all(|taken| taken)
        );
        assert!(publisher.takes(&old).await);
        assert_eq!(double.asked(), 2);
        double.keys.write().unwrap().remove(0);
        publisher.age(FRESH.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert!(publisher.takes(&old).await);
        publisher.age(Duration::from_secs(1)).await;
        assert!(!publisher.takes(&old).await && publisher.takes(&new).await);
        assert_eq!(double.asked(), 3);
    }

    #[tokio::test]
    async fn a4_keys_that_tokens_make_up_have_the_issuer_asked_twice_a_minute_at_most() {
        let (double, publisher) = Double::start().await;
        let right = double.publish(&publisher, "right");
        let stranger = KeyPair::generate().unwrap();
        assert!(publisher.takes(&right).await);
        for round in 1..4 {
            publisher.age(AGAIN).await;
            let made_up: Vec<String> = (0..100)
                .map(|one| token(&publisher, &format!("{round}-{one}"), &stranger))
                .collect();
            let taken = join_all(made_up.iter().map(|token| publisher.takes(token))).await;
            assert!(taken.into_iter().all(|taken| !taken));
            assert!(publisher.takes(&right).await);
            assert_eq!(double.asked(), 1 + round);
        }
    }

    #[tokio::test]
    async fn a4_an_issuer_that_hangs_keeps_nobody_waiting_whose_key_is_known() {
        let (double, publisher) = Double::start().await;
        let right = double.publish(&publisher, "right");
        assert!(publisher.takes(&right).await);
        double.answers.forget_permits(1000);
        publisher.age(FRESH).await;
        let made_up = token(&publisher, "made-up", &KeyPair::generate().unwrap());
        let mut waits = std::pin::pin!(publisher.takes(&made_up));
        while double.asked() < 2 {
            tokio::select! {
                _ = &mut waits => panic!("nobody has answered"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert!(publisher.takes(&right).await);
        double.answers.add_permits(1);
        assert!(!waits.await);
    }
}
