//! The authorization code flow: a person consents at the provider and comes back with a code. What
//! ties the two ends together is used once, and bound to the person, the browser and the provider.

use std::sync::Arc;
use std::time::Duration;

use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, Scope};
use resto_core::{Code, Error, Integration, Result, Secrets, quote};
use resto_vault::{AlertKind, Outcome, ResultStatus, crash_point};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::client::{ISSUER, OAuthClient};
use super::tokens::Tokens;
use super::{Candidate, Report, lifecycle, recorded};
use crate::call::{fault, summary};
use crate::host::{Host, told};
use crate::learning::Learnt;
use crate::sessions::Person;

/// The kind of handle that `state` is.
const STATE: &str = "oauth.state";

/// How long a person may take to consent.
const CONSENT: Duration = Duration::from_mins(10);

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
    /// What was asked for.
    scopes: Vec<String>,
}

/// What a person comes back with, as the address holds it.
#[derive(Deserialize)]
pub(crate) struct Answer {
    state: Option<SecretString>,
    code: Option<SecretString>,
    iss: Option<String>,
    error: Option<String>,
}

impl Host {
    /// The page of the provider on which this person consents: to all that our actions need, or to what this tool lacks
    /// on top of what is granted. Whether another account may then take the place of the connected one.
    ///
    /// # Errors
    /// The configuration names no client for it.
    pub(crate) async fn begin_consent(
        &self,
        person: &Person,
        integration: &'static Integration,
        replaces: bool,
        tool: Option<&str>,
    ) -> Result<Url> {
        self.discover(integration).await?;
        let ours = self.our_client(integration)?;
        let lacking = match tool {
            Some(tool) => self.lacking(&person.caller, integration, tool).await?,
            None => None,
        };
        let scopes = match &lacking {
            Some(lacking) => lacking.scopes(integration, ours.facts),
            None => ours.facts.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
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
            scopes: scopes.clone(),
        };
        let waiting = serde_json::to_value(&waiting).unwrap_or_default();
        let scope = &person.caller.scope;
        let state = scope.put_handle(STATE, &waiting, CONSENT).await.map_err(told)?;
        crash_point("connect.state_saved");
        let client = ours.public(self.callback(integration)?);
        // EXPOSE: the browser carries it to the provider and back.
        let mut request = client.authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()));
        for scope in scopes {
            request = request.add_scope(Scope::new(scope));
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
        crash_point("connect.callback_received");
        let caller = &person.caller;
        self.discover(integration).await?;
        let ours = self.our_client(integration)?;
        let intent = lifecycle(caller, integration, "connect", &Value::Null);
        let (waiting, code) = match self.admit(person, integration, &ours, answer).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let message = summary(&refusal);
                let outcome =
                    Outcome { error_message: Some(&message), ..Outcome::of(ResultStatus::Denied) };
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
            Some(state) => {
                let subject = format!("consent {}", integration.id);
                self.tell_of_stranger(scope, STATE, state, &subject).await?;
                scope.take_handle(STATE, state).await.map_err(told)?
            }
            None => None,
        };
        crash_point("connect.state_consumed");
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
        let name = integration.name;
        let redeemed = (code, self.callback(integration)?);
        let tokens = ours.redeem(self, redeemed, waiting.verifier).await;
        crash_point("connect.tokens_received");
        let tokens = tokens.map_err(|none| {
            none.error(integration, |word| {
                let word = quote(word);
                Error::new(
                    Code::Denied,
                    format!("{name} gave no tokens: {word}. Nothing was connected. Begin again."),
                )
            })
        })?;
        Ok(candidate(ours, tokens, waiting.replaces, waiting.scopes))
    }

    /// Our client at an integration's provider.
    ///
    /// # Errors
    /// The configuration names none.
    pub(crate) fn our_client(&self, integration: &'static Integration) -> Result<OAuthClient<'_>> {
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

    fn callback(&self, integration: &Integration) -> Result<Url> {
        self.place.page(&["oauth", "callback", integration.id])
    }
}

/// The tokens as a credential.
fn candidate(
    ours: &OAuthClient<'_>,
    tokens: Tokens,
    replaces: bool,
    asked: Vec<String>,
) -> Candidate {
    let mut secrets = Secrets::new();
    tokens.put_into(&mut secrets);
    secrets.extend(ours.mark().map(|mark| (ISSUER.to_owned(), mark)));
    Candidate {
        provider: ours.provider,
        auth_type: resto_vault::AuthType::OAuth2,
        scheme: &ours.facts.scheme,
        secrets,
        expires_at: tokens.expires_at,
        // With nothing to renew it with, only a person can.
        reauthorize_by: tokens
            .refresh_ends_at
            .or(tokens.expires_at.filter(|_| tokens.refresh.is_none())),
        // What is not told is as it was asked for.
        scopes: Some(tokens.scopes.unwrap_or_else(|| asked.into_iter().collect())),
        replaces,
    }
}
