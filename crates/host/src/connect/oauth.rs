//! The authorization code flow: a person consents at the provider and comes back with a code. What
//! ties the two ends together is used once, and bound to the person, the browser and the provider.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, StandardRevocableToken,
    StandardTokenResponse, TokenResponse, TokenUrl,
};
use resto_core::{BoxFuture, ClientAuth, Code, Error, Http, Integration, Result, Secrets, quote};
use resto_vault::{AlertKind, Outcome, ResultStatus};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::client::OAuthClient;
use super::{Candidate, Report, lifecycle, recorded};
use crate::call::{Learnt, fault, summary};
use crate::host::{Host, told};
use crate::sessions::Person;

/// The kind of handle that `state` is.
const STATE: &str = "oauth.state";

/// How long a person may take to consent.
const CONSENT: Duration = Duration::from_mins(10);

/// No token is said to live longer.
const LONGEST: Duration = Duration::from_hours(24 * 3660);

type Client = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What waits, sealed, for a person to come back.
#[derive(Serialize, Deserialize)]
struct Waiting {
    principal: String,
    /// The browser's session.
    session: String,
    integration: String,
    provider: String,
    /// PKCE's secret, where the provider knows PKCE.
    verifier: Option<String>,
    /// Whether another account may take the place of the connected one.
    replaces: bool,
}

/// What some providers tell besides the standard's fields.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    /// In how many seconds the refresh token ends; GitHub's and others' word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token_expires_in: Option<u64>,
}

impl ExtraTokenFields for Extra {}

type Tokens = StandardTokenResponse<Extra, BasicTokenType>;

/// What a person comes back with, as the address holds it.
#[derive(Deserialize)]
pub(crate) struct Answer {
    state: Option<SecretString>,
    code: Option<SecretString>,
    iss: Option<String>,
    error: Option<String>,
}

impl Host {
    /// The page of the provider on which this person consents; whether another account may then take the
    /// place of the connected one.
    ///
    /// # Errors
    /// The configuration names no client for it.
    pub(crate) async fn begin_consent(
        &self,
        person: &Person,
        integration: &'static Integration,
        replaces: bool,
    ) -> Result<Url> {
        self.discover(integration).await?;
        let ours = self.our_client(integration)?;
        let (challenge, verifier) = if ours.facts.pkce {
            let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
            (Some(challenge), Some(verifier.into_secret()))
        } else {
            (None, None)
        };
        let waiting = Waiting {
            principal: person.caller.principal.id.to_string(),
            session: person.session.clone(),
            integration: integration.id.to_owned(),
            provider: ours.provider.id.to_owned(),
            verifier,
            replaces,
        };
        let waiting = serde_json::to_value(&waiting).unwrap_or_default();
        let scope = &person.caller.scope;
        let state = scope.put_handle(STATE, &waiting, CONSENT).await.map_err(told)?;
        let client = self.client(&ours, integration)?;
        // EXPOSE: the browser carries it to the provider and back.
        let mut request = client.authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()));
        for scope in ours.facts.scopes {
            request = request.add_scope(Scope::new((*scope).to_owned()));
        }
        for (name, value) in ours.facts.authorize_parameters {
            request = request.add_extra_param(*name, *value);
        }
        if let Some(resource) = ours.facts.resource {
            request = request.add_extra_param("resource", resource);
        }
        if let Some(challenge) = challenge {
            request = request.set_pkce_challenge(challenge);
        }
        Ok(request.url().0)
    }

    /// Connects the account for which a person came back from the provider, at the callback of this
    /// integration. It goes on to its end when the browser goes away.
    ///
    /// # Errors
    /// The answer is not one that this person in this browser was sent for, the person refused, or
    /// the provider gives no tokens for it.
    pub(crate) async fn finish_consent(
        self: &Arc<Self>,
        person: Arc<Person>,
        integration: &'static Integration,
        answer: Answer,
    ) -> Result<Report> {
        let host = Arc::clone(self);
        let connecting = self
            .tasks
            .spawn(async move { host.try_finish_consent(&person, integration, answer).await });
        connecting.await.unwrap_or_else(|_| Err(fault()))
    }

    async fn try_finish_consent(
        &self,
        person: &Person,
        integration: &'static Integration,
        answer: Answer,
    ) -> Result<Report> {
        let caller = &person.caller;
        self.discover(integration).await?;
        let ours = self.our_client(integration)?;
        let intent = lifecycle(caller, integration, "connect", &Value::Null);
        let (waiting, code) = match self.admit(person, integration, &ours, answer).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let message = summary(&refusal);
                let outcome = Outcome {
                    status: ResultStatus::Denied,
                    error_message: Some(&message),
                    output: None,
                    permissions: None,
                    rate_limits: None,
                };
                caller.scope.record_event(intent, outcome).await.map_err(told)?;
                return Err(refusal);
            }
        };
        let ticket = caller.scope.begin(intent).await.map_err(told)?.ticket;
        let connected = match self.exchange(&ours, integration, code, waiting).await {
            Ok(candidate) => self.adopt(caller, integration, candidate).await,
            Err(error) => Err(error),
        };
        self.finish(caller, ticket, &recorded(&connected), Learnt::default()).await;
        connected
    }

    /// Uses up what waited for this answer, and holds the answer against it. Nothing was sent yet.
    async fn admit(
        &self,
        person: &Person,
        integration: &Integration,
        ours: &OAuthClient<'_>,
        answer: Answer,
    ) -> Result<(Waiting, AuthorizationCode)> {
        let name = integration.name;
        let refuse = |why: &str| Err(Error::new(Code::Denied, why));
        let again = "Nothing was connected. Begin again on this server's page of the service.";
        let scope = &person.caller.scope;
        let waiting = match &answer.state {
            Some(state) => scope.take_handle(STATE, state).await.map_err(told)?,
            None => None,
        };
        let waiting: Option<Waiting> =
            waiting.and_then(|waiting| serde_json::from_value(waiting).ok());
        let Some(waiting) = waiting else {
            return refuse(&format!(
                "This way back from {name} is not one that you were sent on, was used before, or is older than 10 minutes. {again}"
            ));
        };
        if waiting.principal != person.caller.principal.id.to_string()
            || waiting.session != person.session
        {
            scope.raise(AlertKind::ForeignLink, &format!("consent {}", integration.id)).await;
            return refuse(&format!("Another person or browser was sent to {name}. {again}"));
        }
        if waiting.integration != integration.id || waiting.provider != ours.provider.id {
            return refuse(&format!("You were sent elsewhere than to {name}. {again}"));
        }
        let from_elsewhere = match (answer.iss.as_deref(), ours.issuer) {
            (Some(told), Some(known)) => told != known,
            (Some(_), None) => true,
            (None, _) => ours.names_issuer,
        };
        if from_elsewhere {
            return refuse(&format!("The answer is not from {name}. {again}"));
        }
        match (answer.error, answer.code) {
            (Some(error), _) if error == "access_denied" => {
                refuse(&format!("You did not consent at {name}. Nothing was connected."))
            }
            (Some(error), _) => refuse(&format!("{name} refused: {}. {again}", quote(&error))),
            // EXPOSE: it goes to the token URL.
            (None, Some(code)) => {
                let code = AuthorizationCode::new(code.expose_secret().to_owned());
                Ok((waiting, code))
            }
            (None, None) => refuse(&format!("{name} sent no code. {again}")),
        }
    }

    /// Exchanges a code for tokens, once.
    async fn exchange(
        &self,
        ours: &OAuthClient<'_>,
        integration: &Integration,
        code: AuthorizationCode,
        waiting: Waiting,
    ) -> Result<Candidate> {
        let mut client = self.client(ours, integration)?.set_auth_type(match ours.client_auth {
            ClientAuth::Body | ClientAuth::Public => AuthType::RequestBody,
            ClientAuth::Basic => AuthType::BasicAuth,
        });
        if let Some(secret) = ours.secret()? {
            // EXPOSE: it goes to the token URL.
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        let mut request = client.exchange_code(code);
        if let Some(resource) = ours.facts.resource {
            request = request.add_extra_param("resource", resource);
        }
        if let Some(verifier) = waiting.verifier {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        }
        let door = TokenUrlOnly { http: &self.http, url: &ours.token_url };
        let answered = request.request_async(&door).await;
        let tokens = answered.map_err(|error| refused(integration, &error))?;
        Ok(candidate(ours, &tokens, waiting.replaces))
    }

    fn our_client(&self, integration: &'static Integration) -> Result<OAuthClient<'_>> {
        self.oauth_client(integration)?.ok_or_else(|| {
            Error::new(
                Code::ActionRequired,
                format!(
                    "This server has no OAuth client at {}. Whoever runs it sets client_id and client_secret_file in [integrations.{}].",
                    integration.name, integration.id
                ),
            )
        })
    }

    fn client(&self, ours: &OAuthClient<'_>, integration: &Integration) -> Result<Client> {
        let callback = self.place.page(&["oauth", "callback", integration.id])?;
        Ok(oauth2::Client::new(ClientId::new(ours.id.to_owned()))
            .set_auth_uri(AuthUrl::from_url(ours.authorize_url.clone()))
            .set_token_uri(TokenUrl::from_url(ours.token_url.clone()))
            .set_redirect_uri(RedirectUrl::from_url(callback)))
    }
}

/// The tokens as a credential. Refreshing them needs the refresh token and the end.
fn candidate(ours: &OAuthClient<'_>, tokens: &Tokens, replaces: bool) -> Candidate {
    let mut secrets = Secrets::new();
    // EXPOSE: to be sealed.
    secrets.insert("access_token".into(), tokens.access_token().secret().as_str().into());
    if let Some(refresh) = tokens.refresh_token() {
        secrets.insert("refresh_token".into(), refresh.secret().as_str().into());
    }
    // The standard puts spaces between scopes, GitHub commas.
    let told = tokens.scopes().into_iter().flatten();
    let mut scopes: BTreeSet<String> = told
        .flat_map(|scope| scope.split([' ', ',']).map(str::to_owned).collect::<Vec<_>>())
        .filter(|scope| !scope.is_empty())
        .collect();
    if tokens.scopes().is_none() {
        // What is not told is as it was asked for.
        scopes.extend(ours.facts.scopes.iter().map(|scope| (*scope).to_owned()));
    }
    // Whoever says nothing, or nonsense, ends never as far as we know.
    let after = |rest: Duration| {
        OffsetDateTime::now_utc().saturating_add(rest.min(LONGEST).try_into().unwrap_or_default())
    };
    let refresh_ends = tokens.extra_fields().refresh_token_expires_in;
    Candidate {
        provider: ours.provider,
        auth_type: resto_vault::AuthType::OAuth2,
        scheme: &ours.facts.scheme,
        secrets,
        scopes: Some(scopes),
        expires_at: tokens.expires_in().or(ours.facts.access_lifetime).map(after),
        reauthorize_by: refresh_ends.map(Duration::from_secs).map(after),
        replaces,
    }
}

/// Why there are no tokens, without anything that the answer may repeat.
fn refused(
    integration: &Integration,
    error: &RequestTokenError<Error, BasicErrorResponse>,
) -> Error {
    let name = integration.name;
    match error {
        RequestTokenError::Request(error) => error.clone(),
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                misconfigured(integration)
            }
            // GitHub's word for it.
            BasicErrorResponseType::Extension(word) if word == "incorrect_client_credentials" => {
                misconfigured(integration)
            }
            word => Error::new(
                Code::Denied,
                format!(
                    "{name} gave no tokens: {}. Nothing was connected. Begin again.",
                    quote(word.as_ref())
                ),
            ),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Error::new(
            Code::ProviderDown,
            format!("{name} sent tokens in no form that we understand. Nothing was connected."),
        ),
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
struct TokenUrlOnly<'a> {
    http: &'a Http,
    url: &'a Url,
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
            // GitHub answers 200 whatever it says.
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            if response.status().is_success() && body.get("error").is_some() {
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
            }
            Ok(response)
        })
    }
}
