//! Taking back at the provider what a person allowed there. Nothing is called revoked before the provider has
//! refused the old credential.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode, header};
use resto_core::{
    Api, Auth, ClientAuth, Code, Endpoints, Error, Integration, Method, OAuthConfig, Proof,
    Provider, Result, Revoking, Risk, Signer,
};
use resto_vault::{Connection, Sealed, crash_point};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::client::OAuthClient;
use crate::around::{Around, Opening};
use crate::host::{Caller, Host, provider_of};

/// The secret under which the id of an installation is sealed.
pub(super) const INSTALLATION: &str = "installation";

/// What came of it.
pub(super) struct Taken {
    /// What shows that the credential is dead.
    pub proof: Option<String>,
    /// What a person still has to do, and where.
    pub left_to_do: Option<String>,
}

/// What a consent is taken back with.
struct Consent<'a> {
    provider: &'static Provider,
    facts: &'static OAuthConfig,
    ours: OAuthClient<'a>,
    endpoints: &'a Endpoints,
    connection: &'a Connection,
    opening: &'a Opening,
}

impl Host {
    /// Removes what we made at the provider, revokes the credential there, and asks whether it is dead.
    ///
    /// # Errors
    /// The provider cannot be reached, or did not prove it. It can be tried again, whatever was done already.
    pub(super) async fn take_back(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        connection: &Connection,
        sealed: Sealed,
    ) -> Result<Taken> {
        let (provider, auth) =
            provider_of(integration, &connection.provider, connection.auth_type.as_str())?;
        let endpoints = self.endpoints(integration, provider)?;
        let opening = Arc::new(Opening::new(sealed, &endpoints, integration));
        if !opening.opens() {
            return Ok(Taken { proof: None, left_to_do: Some(unopened(provider, auth)) });
        }
        let api = Api::new(
            self.http.clone(),
            provider,
            auth.scheme(),
            endpoints.clone(),
            opening.clone(),
            Arc::new(Around::quiet(&caller.scope, "disconnect")),
            Risk::Write,
        );
        let adapter = self.adapter(integration)?;
        let mut left = Vec::new();
        match adapter.clean_up(&api).await {
            Ok(()) => {}
            Err(error) if is_refused(&error) => left.push(format!(
                "{} no longer took the credential, so what was made there for this server could not be removed.",
                provider.name
            )),
            Err(error) => return Err(opening.redact_error(error)),
        }
        crash_point("disconnect.cleaned");
        let revoked = match auth {
            Auth::Key(_) => adapter.revoke(&api).await,
            Auth::OAuth(facts) => match self.known_client(integration).await? {
                Some(ours) if ours.gave(&opening.open()?.secrets) => {
                    let (endpoints, opening) = (&endpoints, &*opening);
                    let consent = Consent { provider, facts, ours, endpoints, connection, opening };
                    self.revoke_consent(caller, integration, &consent).await
                }
                _ => Ok(by_person(
                    facts,
                    &format!(
                        "This server no longer has the client with which a person signed in at {}, so nothing was revoked there.",
                        provider.name
                    ),
                )),
            },
        };
        let revoked = match revoked {
            Ok(revoked) => revoked,
            // Whether that is so is asked next.
            Err(error) if error.code() == Code::AuthExpired => Proof::Revoked,
            Err(error) if is_refused(&error) => Proof::PersonMust {
                instruction: format!(
                    "{} does not let the credential revoke itself. Delete it there; whoever holds it can still use it:",
                    provider.name
                ),
                url: place_of(auth).to_owned(),
            },
            Err(error) => return Err(opening.redact_error(error)),
        };
        crash_point("disconnect.revoke_sent");
        let asked = adapter.identify(&api).await.map_err(|error| opening.redact_error(error));
        // A token that ended by itself says nothing of what else was allowed with it.
        let ended = connection.expires_at.is_some_and(|end| end <= self.vault.now());
        let proof = match (revoked, asked) {
            (Proof::Revoked, Err(error)) if error.code() == Code::AuthExpired => Some(error),
            (Proof::PersonMust { .. }, Err(error))
                if error.code() == Code::AuthExpired && !ended =>
            {
                Some(error)
            }
            (Proof::PersonMust { instruction, url }, _) => {
                left.push(format!("{instruction} {url}").trim_end().to_owned());
                None
            }
            (Proof::Revoked, Err(error)) => return Err(error),
            (Proof::Revoked, Ok(_)) => {
                return Err(Error::new(
                    Code::ProviderDown,
                    format!(
                        "{} took the revocation, and still takes the credential.",
                        provider.name
                    ),
                ));
            }
        };
        let proof = proof.map(|error| {
            format!("{} no longer takes the old credential: {}", provider.name, error.message())
        });
        let left_to_do = (!left.is_empty()).then(|| left.join(" "));
        Ok(Taken { proof, left_to_do })
    }

    /// Revokes what a person allowed. While another connection lives on the same consent, only its own token goes, where
    /// the provider can do that.
    async fn revoke_consent(
        &self,
        caller: &Caller,
        integration: &Integration,
        consent: &Consent<'_>,
    ) -> Result<Proof> {
        let Consent { provider, facts, connection, .. } = consent;
        let others = self.beside(caller, integration, connection).await?;
        let revoking = if others.is_empty() {
            Some(&facts.revocation.grant)
        } else {
            facts.revocation.token.as_ref()
        };
        let Some(revoking) = revoking else {
            return Ok(by_person(
                facts,
                &format!(
                    "What was allowed at {} also serves {}, so it was not revoked there. It ends when that is disconnected too.",
                    provider.name,
                    others.join(" and ")
                ),
            ));
        };
        let standard = consent.ours.revoke_url.clone();
        let asked = match (revoking, standard) {
            (_, Some(url)) => self.http.exchange(consent.standard(&url)?).await?,
            (Revoking::Standard(_), None) => {
                return Ok(by_person(
                    facts,
                    &format!(
                        "Nobody told this server where {} revokes (revoke_url), so nothing was revoked there.",
                        provider.name
                    ),
                ));
            }
            (Revoking::Own { method, path, signer, names_token, find }, None) => {
                let found = match find {
                    Some((path, place)) => match self.found(consent, path, place, *signer).await? {
                        Some(found) => found,
                        None => return Ok(by_person(facts, &no_installation(provider))),
                    },
                    None => String::new(),
                };
                let Some(path) = consent.fill(path, &found) else {
                    return Ok(by_person(facts, &no_installation(provider)));
                };
                let request = consent.own(method.clone(), &path, *signer, *names_token)?;
                self.http.exchange(request).await?
            }
        };
        let signed_by_us = match revoking {
            Revoking::Standard(_) => true,
            Revoking::Own { signer, .. } => *signer != Signer::AccessToken,
        };
        consent.read(&asked, signed_by_us)
    }

    /// What else lives on the consent of this connection, for people.
    async fn beside(
        &self,
        caller: &Caller,
        integration: &Integration,
        connection: &Connection,
    ) -> Result<Vec<String>> {
        let all = self.vault.consents_of_account(&connection.provider, &connection.account_id);
        let all = all.await.map_err(crate::host::told)?;
        let mut names: Vec<String> = all
            .into_iter()
            // Of a remote server nobody tells whose account it is: each consent there is one of its own.
            .filter(|_| !self.is_remote(integration.id))
            .filter_map(|(scope, id)| match scope.tenant() == caller.scope.tenant() {
                true if id == integration.id => None,
                true => Some(self.integration(&id).map_or(id, |known| known.name.to_owned())),
                false => Some("another business on this server".to_owned()),
            })
            .collect();
        names.dedup();
        Ok(names)
    }

    /// What the provider says at a place of its answer.
    async fn found(
        &self,
        consent: &Consent<'_>,
        path: &str,
        place: &str,
        signer: Signer,
    ) -> Result<Option<String>> {
        let Some(path) = consent.fill(path, "") else { return Ok(None) };
        let answer = self.http.exchange(consent.own(Method::GET, &path, signer, false)?).await?;
        if consent.read(&answer, signer != Signer::AccessToken)? != Proof::Revoked {
            return Ok(None);
        }
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        Ok(body.pointer(place).and_then(Value::as_str).map(str::to_owned))
    }
}

impl Consent<'_> {
    /// The standard's request.
    fn standard(&self, url: &Url) -> Result<Request<Vec<u8>>> {
        let credential = self.opening.open()?;
        let secrets = &credential.secrets;
        // Revoking a refresh token ends its access tokens; the other way round is up to the provider.
        let (hint, token) = match secrets.get("refresh_token") {
            Some(token) => ("refresh_token", Some(token)),
            None => ("access_token", secrets.get("access_token")),
        };
        let is_public = self.ours.client_auth == ClientAuth::Public;
        let secret = (!is_public).then(|| self.ours.secret()).transpose()?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        // EXPOSE: the provider is told which token to revoke, by the client that it was given to.
        form.append_pair("token", token.map(ExposeSecret::expose_secret).unwrap_or_default())
            .append_pair("token_type_hint", hint)
            .append_pair("client_id", self.ours.id);
        if let Some(secret) = secret {
            form.append_pair("client_secret", secret.expose_secret());
        }
        Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form.finish().into_bytes())
            .map_err(|_| unbuilt())
    }

    /// A request of the provider's own.
    fn own(
        &self,
        method: Method,
        path: &str,
        signer: Signer,
        names_token: bool,
    ) -> Result<Request<Vec<u8>>> {
        let credential = self.opening.open()?;
        // EXPOSE: the provider is told which token to revoke.
        let token = credential.secrets.get("access_token").map(ExposeSecret::expose_secret);
        let signature = match signer {
            Signer::AccessToken => format!("Bearer {}", token.unwrap_or_default()),
            // EXPOSE: our client shows itself to its provider.
            Signer::ClientSecret => format!("Bearer {}", self.ours.secret()?.expose_secret()),
            Signer::Client => {
                let pair = format!("{}:{}", self.ours.id, self.ours.secret()?.expose_secret());
                format!("Basic {}", STANDARD.encode(pair))
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(self.endpoints.url(path)?.as_str())
            .header(header::AUTHORIZATION, signature);
        for (name, value) in self.provider.headers {
            request = request.header(*name, *value);
        }
        let body = if names_token {
            request = request.header(header::CONTENT_TYPE, "application/json");
            json!({ "access_token": token.unwrap_or_default() }).to_string().into_bytes()
        } else {
            Vec::new()
        };
        request.body(body).map_err(|_| unbuilt())
    }

    /// The path with what its names stand for; none where something is not known.
    fn fill(&self, path: &str, found: &str) -> Option<String> {
        let credential = self.opening.open().ok()?;
        // EXPOSE: an id, which is no secret.
        let installation = credential.secrets.get(INSTALLATION).map(ExposeSecret::expose_secret);
        let known = [
            ("{client_id}", Some(self.ours.id)),
            ("{account_id}", Some(self.connection.account_id.as_str())),
            ("{installation}", installation),
            ("{found}", Some(found)),
        ];
        known.into_iter().try_fold(path.to_owned(), |path, (name, value)| {
            if !path.contains(name) {
                return Some(path);
            }
            let value: String = byte_serialize(value?.as_bytes()).collect();
            Some(path.replace(name, &value))
        })
    }

    /// What an answer means.
    fn read(&self, answer: &http::Response<Vec<u8>>, signed_by_us: bool) -> Result<Proof> {
        let (name, status) = (self.provider.name, answer.status());
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let word = body.get("error").and_then(Value::as_str).unwrap_or_default();
        match status {
            status if status.is_success() => Ok(Proof::Revoked),
            // Google's way to say that there is nothing left to revoke.
            StatusCode::BAD_REQUEST if word == "invalid_token" => Ok(Proof::Revoked),
            StatusCode::UNAUTHORIZED if signed_by_us => Err(Error::new(
                Code::ProviderMisconfigured,
                format!(
                    "{name} does not know our OAuth client, so it revokes nothing for us. Whoever runs this server corrects client_id and client_secret_file."
                ),
            )),
            status
                if status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT]
                        .contains(&status) =>
            {
                Err(Error::new(
                    Code::ProviderDown,
                    format!("{name} cannot revoke now (it answered {}).", status.as_u16()),
                ))
            }
            status => Ok(by_person(
                self.facts,
                &format!("{name} did not take the revocation (it answered {}).", status.as_u16()),
            )),
        }
    }
}

fn is_refused(error: &Error) -> bool {
    matches!(error.code(), Code::AuthExpired | Code::PermissionDenied)
}

fn by_person(facts: &OAuthConfig, why: &str) -> Proof {
    Proof::PersonMust {
        instruction: format!(
            "{why} Until you remove this server's app in the settings of the account, what it was given may still be used:"
        ),
        url: facts.revocation.by_hand.to_owned(),
    }
}

fn no_installation(provider: &Provider) -> String {
    format!("{} knows no installation of this server's app in the account.", provider.name)
}

/// A credential that does not open cannot be revoked with, and must not be kept for that.
fn unopened(provider: &Provider, auth: &Auth) -> String {
    format!(
        "The stored credential could not be opened, so nothing was revoked at {}. End it there: {}",
        provider.name,
        place_of(auth)
    )
}

/// Where a person ends it.
fn place_of(auth: &Auth) -> &'static str {
    match auth {
        Auth::Key(key) => key.create_url,
        Auth::OAuth(facts) => facts.revocation.by_hand,
    }
}

fn unbuilt() -> Error {
    Error::new(Code::Internal, "The revocation cannot be asked for. Nothing was sent.")
}
