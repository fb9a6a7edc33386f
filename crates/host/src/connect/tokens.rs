//! What the token URL is asked for: the tokens of a code, and new ones in place of those that end.

use std::collections::BTreeSet;
use std::time::Duration;

use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenResponse,
    TokenUrl,
};
use resto_core::{BoxFuture, ClientAuth, Code, Error, Http, Integration, Result, Secrets};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::client::OAuthClient;
use super::revoke::INSTALLATION;
use crate::host::Host;

/// No token is said to live longer.
const LONGEST: Duration = Duration::from_hours(24 * 3660);

pub(crate) type Client = oauth2::Client<
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

/// What some providers tell besides the standard's fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extra {
    /// In how many seconds the refresh token ends; GitHub's and others' word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token_expires_in: Option<u64>,
    /// Whose account it is; Stripe's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stripe_user_id: Option<String>,
    /// Under which our app is installed; Vercel's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installation_id: Option<String>,
}

impl ExtraTokenFields for Extra {}

/// Tokens that came from a provider.
pub(crate) struct Tokens {
    pub access: SecretString,
    pub refresh: Option<SecretString>,
    /// The scopes that were told.
    pub scopes: Option<BTreeSet<String>>,
    /// When the access token ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When the refresh token ends.
    pub refresh_ends_at: Option<OffsetDateTime>,
    /// Whose account it is, where the answer says so.
    pub account_id: Option<String>,
    /// Under which our app is installed, where the answer says so.
    pub installation: Option<String>,
}

/// Why there are no tokens, without anything that the answer may repeat.
pub(crate) enum NoTokens {
    /// The provider gives none for this, in this word.
    Refused(String),
    /// It does not take our client.
    Misconfigured,
    /// It may have given some: the answer did not come, or cannot be understood.
    Lost(Error),
    /// Nothing was sent.
    Unasked(Error),
}

impl NoTokens {
    /// As an error; `refused` makes one of the provider's word.
    pub fn error(self, integration: &Integration, refused: impl FnOnce(&str) -> Error) -> Error {
        match self {
            Self::Refused(word) => refused(&word),
            Self::Misconfigured => misconfigured(integration),
            Self::Lost(error) | Self::Unasked(error) => error,
        }
    }
}

impl Tokens {
    /// The tokens, as secrets of a credential.
    pub fn put_into(&self, secrets: &mut Secrets) {
        secrets.insert("access_token".into(), self.access.clone());
        // One that is not told again is still the one.
        if let Some(refresh) = &self.refresh {
            secrets.insert("refresh_token".into(), refresh.clone());
        }
        if let Some(installation) = &self.installation {
            secrets.insert(INSTALLATION.into(), installation.as_str().into());
        }
    }

    fn read(
        told: &StandardTokenResponse<Extra, BasicTokenType>,
        lifetime: Option<Duration>,
        now: OffsetDateTime,
    ) -> Self {
        // Whoever says nothing, or nonsense, ends never as far as we know.
        let after =
            |rest: Duration| now.saturating_add(rest.min(LONGEST).try_into().unwrap_or_default());
        let extra = told.extra_fields();
        Self {
            // EXPOSE: to be sealed.
            access: told.access_token().secret().as_str().into(),
            refresh: told.refresh_token().map(|token| token.secret().as_str().into()),
            // The standard puts spaces between scopes, GitHub commas.
            scopes: told.scopes().map(|scopes| {
                let words = scopes.iter().flat_map(|scope| scope.split([' ', ',']));
                words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
            }),
            expires_at: told.expires_in().or(lifetime).map(after),
            refresh_ends_at: extra.refresh_token_expires_in.map(Duration::from_secs).map(after),
            account_id: extra.stripe_user_id.clone(),
            installation: extra.installation_id.clone(),
        }
    }
}

impl OAuthClient<'_> {
    /// The client without its secret, for the page of consent; people come back to this callback.
    pub fn public(&self, callback: Url) -> Client {
        self.client(ClientId::new(self.id.to_owned()))
            .set_redirect_uri(RedirectUrl::from_url(callback))
    }

    fn client(&self, id: ClientId) -> Client {
        oauth2::Client::new(id)
            .set_auth_uri(AuthUrl::from_url(self.authorize_url.clone()))
            .set_token_uri(TokenUrl::from_url(self.token_url.clone()))
    }

    fn authenticated(&self) -> Result<Client> {
        let ours = self.client(ClientId::new(self.id.to_owned()));
        if self.client_auth == ClientAuth::Public {
            return Ok(ours.set_auth_type(AuthType::RequestBody));
        }
        // EXPOSE: it goes to the token URL.
        let secret = self.secret()?.expose_secret().to_owned();
        Ok(match self.client_auth {
            ClientAuth::Body | ClientAuth::Public => ours
                .set_client_secret(ClientSecret::new(secret))
                .set_auth_type(AuthType::RequestBody),
            ClientAuth::Basic => {
                ours.set_client_secret(ClientSecret::new(secret)).set_auth_type(AuthType::BasicAuth)
            }
            ClientAuth::SecretAsUser => self
                .client(ClientId::new(secret))
                .set_client_secret(ClientSecret::new(String::new()))
                .set_auth_type(AuthType::BasicAuth),
        })
    }

    /// Exchanges a code for tokens, once.
    pub async fn redeem(
        &self,
        host: &Host,
        (code, callback): (AuthorizationCode, Url),
        verifier: Option<String>,
    ) -> Result<Tokens, NoTokens> {
        let client = self.authenticated().map_err(NoTokens::Unasked)?;
        let client = client.set_redirect_uri(RedirectUrl::from_url(callback));
        let mut request = client.exchange_code(code);
        if let Some(resource) = self.facts.resource {
            request = request.add_extra_param("resource", resource);
        }
        if let Some(verifier) = verifier {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        }
        let told = request.request_async(&self.door(&host.http)).await.map_err(unanswered)?;
        Ok(Tokens::read(&told, self.facts.access_lifetime, host.vault.now()))
    }

    /// Gets new tokens, once; the access before lived this long.
    pub async fn renew(
        &self,
        host: &Host,
        refresh: &SecretString,
        lifetime: Option<Duration>,
    ) -> Result<Tokens, NoTokens> {
        let client = self.authenticated().map_err(NoTokens::Unasked)?;
        // EXPOSE: it goes to the token URL.
        let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
        let mut request = client.exchange_refresh_token(&refresh);
        if let Some(resource) = self.facts.resource {
            request = request.add_extra_param("resource", resource);
        }
        let told = request.request_async(&self.door(&host.http)).await.map_err(unanswered)?;
        Ok(Tokens::read(&told, self.facts.access_lifetime.or(lifetime), host.vault.now()))
    }

    fn door<'a>(&'a self, http: &'a Http) -> TokenUrlOnly<'a> {
        TokenUrlOnly { http, url: &self.token_url }
    }
}

fn unanswered(error: RequestTokenError<Error, BasicErrorResponse>) -> NoTokens {
    match error {
        RequestTokenError::Request(error) => NoTokens::Lost(error),
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                NoTokens::Misconfigured
            }
            // GitHub's word for it.
            BasicErrorResponseType::Extension(word) if word == "incorrect_client_credentials" => {
                NoTokens::Misconfigured
            }
            word => NoTokens::Refused(word.as_ref().to_owned()),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => NoTokens::Lost(Error::new(
            Code::ProviderDown,
            "The tokens came in no form that we understand. Try again later.",
        )),
    }
}

fn misconfigured(integration: &Integration) -> Error {
    Error::new(
        Code::ProviderMisconfigured,
        format!(
            "{} does not know our OAuth client. Whoever runs this server corrects client_id and client_secret_file in [integrations.{}].",
            integration.name, integration.id
        ),
    )
}

/// The guarded HTTP client, for the token URL alone.
pub(crate) struct TokenUrlOnly<'a> {
    pub http: &'a Http,
    pub url: &'a Url,
}

impl<'c> AsyncHttpClient<'c> for TokenUrlOnly<'_> {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            if *request.uri() != *self.url.as_str() {
                return Err(Error::new(
                    Code::Internal,
                    "A request for tokens would have gone elsewhere. Nothing was sent.",
                ));
            }
            let mut response = self.http.exchange(request).await?;
            let status = response.status();
            if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
                let host = self.url.host_str().unwrap_or_default();
                return Err(Error::new(
                    Code::ProviderDown,
                    format!(
                        "{host} answered {} when asked for tokens. Try again later.",
                        status.as_u16()
                    ),
                ));
            }
            // GitHub answers 200 whatever it says.
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            if status.is_success() && body.get("error").is_some() {
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
            }
            Ok(response)
        })
    }
}
