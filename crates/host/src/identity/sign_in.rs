//! People sign in at the identity provider and come back with a code. What ties the two ends together is used once, and
//! bound to the browser.

use std::time::Duration;

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use resto_core::{Code, Error, Result, quote};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;
use uuid::Uuid;

use super::Issuer;
use super::keys::Endpoints;
use crate::connect::{TokenUrlOnly, read_secret};
use crate::host::{Host, LOCAL_TENANT, told};

/// The kind of handle that `state` is.
const STATE: &str = "identity.state";

/// How long a person may take to sign in.
pub(crate) const SIGNING_IN: Duration = Duration::from_mins(10);

/// What waits, sealed, for a person to come back.
#[derive(Serialize, Deserialize)]
struct Waiting {
    /// What the browser's cookie holds.
    browser: String,
    nonce: String,
    /// PKCE's secret.
    verifier: String,
}

/// Who came, besides the tokens, which are not kept.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    id_token: Option<String>,
}

impl ExtraTokenFields for Extra {}

type Client = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<Extra, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What a person comes back with, as the address holds it.
#[derive(Deserialize)]
pub(crate) struct Answer {
    state: Option<SecretString>,
    code: Option<SecretString>,
    iss: Option<String>,
    error: Option<String>,
}

impl Host {
    /// The identity provider's page on which a person signs in, and what this browser has to bring back as a cookie.
    ///
    /// # Errors
    /// The configuration names no client there, or it does not answer.
    pub(crate) async fn begin_sign_in(&self) -> Result<(Url, SecretString)> {
        let (issuer, id) = self.signing_in()?;
        let known = issuer.published.known(None).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let random = || Uuid::new_v4().simple().to_string();
        let browser = SecretString::from(random());
        let nonce = random();
        let waiting = Waiting {
            // EXPOSE: to be sealed.
            browser: browser.expose_secret().to_owned(),
            nonce: nonce.clone(),
            verifier: verifier.into_secret(),
        };
        let waiting = serde_json::to_value(&waiting).unwrap_or_default();
        // Whose tenant it is shows afterwards.
        let scope = self.owner(LOCAL_TENANT, "web").await?.scope;
        let state = scope.put_handle(STATE, &waiting, SIGNING_IN).await.map_err(told)?;
        let client = self.identity_client(id, known.endpoints()?)?;
        let request = client
            // EXPOSE: the browser carries it there and back.
            .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
            .add_scope(Scope::new("openid".to_owned()))
            .add_extra_param("nonce", nonce)
            .set_pkce_challenge(challenge);
        Ok((request.url().0, browser))
    }

    /// Begins the session of a person who came back; its handle is for the cookie.
    ///
    /// # Errors
    /// The answer is not one that this browser was sent for, or the provider does not say who it is.
    pub(crate) async fn finish_sign_in(
        &self,
        browser: Option<SecretString>,
        answer: Answer,
    ) -> Result<SecretString> {
        let refuse = |why: &str| Error::new(Code::Denied, format!("{why} Begin again: sign in."));
        let (issuer, id) = self.signing_in()?;
        let known = issuer.published.known(None).await?;
        let scope = answer.state.as_ref().and_then(|state| self.vault.scope_of_handle(state));
        let waiting = match (scope, &answer.state) {
            (Some(scope), Some(state)) => scope.take_handle(STATE, state).await.map_err(told)?,
            _ => None,
        };
        let waiting = waiting.and_then(|waiting| serde_json::from_value::<Waiting>(waiting).ok());
        let waiting = waiting.ok_or_else(|| {
            refuse("This way back is not one that you were sent on, was used before, or is older than 10 minutes.")
        })?;
        // EXPOSE: compared in constant time.
        let told_by_browser = browser.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        if !bool::from(waiting.browser.as_bytes().ct_eq(told_by_browser.as_bytes())) {
            return Err(refuse("Another browser was sent to the identity provider."));
        }
        let from_elsewhere = match answer.iss.as_deref() {
            Some(told) => told != issuer.named.issuer,
            None => known.endpoints()?.authorization_response_iss_parameter_supported,
        };
        if from_elsewhere {
            return Err(refuse("The answer is not from the identity provider."));
        }
        let code = match (answer.error, answer.code) {
            (Some(error), _) => {
                let why = format!("The identity provider let nobody in: {}.", quote(&error));
                return Err(refuse(&why));
            }
            (None, Some(code)) => code,
            (None, None) => return Err(refuse("The identity provider sent no code.")),
        };
        let token = self.id_token(issuer, id, known.endpoints()?, &code, waiting.verifier).await?;
        let claims = issuer.verify(&token, id).await?;
        let claims = claims.filter(|claims| {
            claims.nonce.as_ref() == Some(&waiting.nonce)
                && claims.azp.as_ref().is_none_or(|party| party == id)
        });
        let claims = claims.ok_or_else(|| {
            refuse(
                "What the identity provider sent does not say who you are in a way that we trust.",
            )
        })?;
        let entrant = self.entrant(&claims, &issuer.named).await?;
        self.begin_session(entrant).await
    }

    /// Exchanges a code for the token that says who it is, once.
    async fn id_token(
        &self,
        issuer: &Issuer,
        id: &str,
        endpoints: &Endpoints,
        code: &SecretString,
        verifier: String,
    ) -> Result<String> {
        let file = issuer.named.client_secret_file.as_ref().ok_or_else(no_client)?;
        // EXPOSE: they go to the token URL.
        let secret = ClientSecret::new(read_secret("client", file)?.expose_secret().to_owned());
        let code = AuthorizationCode::new(code.expose_secret().to_owned());
        let client = self.identity_client(id, endpoints)?.set_client_secret(secret);
        let request = client.exchange_code(code).set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let door = TokenUrlOnly { http: &self.http, url: &endpoints.token_endpoint };
        let answered = request.request_async(&door).await.map_err(|error| match error {
            RequestTokenError::Request(error) => error,
            RequestTokenError::ServerResponse(answer) => Error::new(
                Code::ProviderMisconfigured,
                format!(
                    "The identity provider did not say who you are: {}. Sign in again; if that does not help, whoever runs this server looks at client_id and client_secret_file in [identity].",
                    quote(answer.error().as_ref())
                ),
            ),
            _ => Error::new(
                Code::ProviderDown,
                "The identity provider's answer is not understood. Sign in again.",
            ),
        })?;
        answered.extra_fields().id_token.clone().ok_or_else(|| {
            Error::new(Code::ProviderMisconfigured, "The identity provider sent no id_token.")
        })
    }

    /// Whether people can sign in at an identity provider.
    pub(crate) fn has_identity(&self) -> bool {
        self.signing_in().is_ok()
    }

    fn signing_in(&self) -> Result<(&Issuer, &str)> {
        let issuer = self.issuer.as_ref().ok_or_else(no_client)?;
        let id = issuer.named.client_id.as_deref().ok_or_else(no_client)?;
        Ok((issuer, id))
    }

    fn identity_client(&self, id: &str, endpoints: &Endpoints) -> Result<Client> {
        let back = self.place.page(&["sign-in", "callback"])?;
        Ok(oauth2::Client::new(ClientId::new(id.to_owned()))
            .set_auth_uri(AuthUrl::from_url(endpoints.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(endpoints.token_endpoint.clone()))
            .set_redirect_uri(RedirectUrl::from_url(back)))
    }
}

fn no_client() -> Error {
    Error::new(
        Code::ActionRequired,
        "People do not sign in at an identity provider here. Whoever runs this server gets a link: resto sign-in",
    )
}
