//! Where people sign in at a remote server: it names its authorization server (RFC 9728), which tells its addresses
//! (RFC 8414). Our client there is one that the configuration names, or this server's own description of itself.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use resto_core::{
    Auth, ClientAuth, Code, Error, Integration, Result, challenge, is_loopback, quote,
};
use serde_json::{Value, json};
use url::Url;

use super::Remote;
use crate::config::Overrides;
use crate::host::Host;

/// Where people sign in.
pub(crate) struct Discovered {
    /// The addresses, as a configuration would name them, and our client.
    pub named: Overrides,
    /// Whether the answers always say who answers.
    pub names_issuer: bool,
    /// How our client shows who it is.
    pub client_auth: ClientAuth,
}

impl Remote {
    /// Whether people sign in by OAuth.
    pub fn has_oauth(&self) -> bool {
        let mut auth = self.integration.providers.iter().flat_map(|provider| provider.auth);
        auth.any(|auth| matches!(auth, Auth::OAuth(_)))
    }

    /// Where people sign in, if that was asked for.
    pub fn discovered(&self) -> Option<&Discovered> {
        self.discovered.get()
    }
}

impl Host {
    /// Asks a remote server once where people sign in. Nothing for other integrations.
    ///
    /// # Errors
    /// The server or its authorization server does not say so, or not as the standards want it.
    pub(crate) async fn discover(&self, integration: &'static Integration) -> Result<()> {
        match self.remote(integration) {
            Some(remote) if remote.has_oauth() => {
                remote.discovered.get_or_try_init(|| self.look_up(remote)).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// What this server tells of itself as a client (an OAuth client id metadata document).
    ///
    /// # Errors
    /// It has no address.
    pub(crate) fn client_document(&self) -> Result<Value> {
        let callbacks = self.remotes.iter().filter(|remote| remote.has_oauth()).map(|remote| {
            self.place.page(&["oauth", "callback", remote.integration.id]).map(String::from)
        });
        Ok(json!({
            "client_id": self.client_id()?,
            "client_name": "Resto integrations",
            "client_uri": self.place.page(&[])?,
            "redirect_uris": callbacks.collect::<Result<Vec<_>>>()?,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }))
    }

    fn client_id(&self) -> Result<Url> {
        self.place.page(&["oauth", "client.json"])
    }

    async fn look_up(&self, remote: &Remote) -> Result<Discovered> {
        let name = remote.integration.name;
        let refuse = |why: &str| {
            Error::new(
                Code::ProviderMisconfigured,
                format!(
                    "{name} does not tell where people sign in as the standards want it: {why}."
                ),
            )
        };
        let base = remote.integration.providers.first().map(|provider| provider.base_url);
        let base = Url::parse(base.unwrap_or_default()).map_err(|_| refuse("it has no address"))?;
        let resource = self.description(&base).await?.ok_or_else(|| {
            refuse("there is no description of it as a protected resource (RFC 9728)")
        })?;
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let covers = |told: &str| {
            let (told, base) = (told.trim_end_matches('/'), base.as_str());
            base.strip_prefix(told).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !text(&resource, "resource").is_some_and(|told| covers(&told)) {
            return Err(refuse("its description is of another resource"));
        }
        let servers = resource.get("authorization_servers").and_then(Value::as_array);
        let mut servers = servers.into_iter().flatten().filter_map(Value::as_str);
        let issuer = match &remote.named.issuer {
            // Where our client was registered, and nowhere else.
            Some(named) => servers.find(|issuer| issuer == named).ok_or_else(|| {
                refuse("it does not name the authorization server that the configuration names")
            })?,
            None => servers.next().ok_or_else(|| refuse("it names no authorization server"))?,
        };
        let server = self.authorization_server(issuer, &base).await?.ok_or_else(|| {
            refuse("its authorization server does not describe itself (RFC 8414)")
        })?;
        let has = |key: &str, word: &str| {
            let list = server.get(key).and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|one| one == word))
        };
        let is_true = |key: &str| server.get(key) == Some(&Value::Bool(true));
        if !has("code_challenge_methods_supported", "S256") {
            return Err(refuse("its authorization server does not support PKCE with S256"));
        }
        let address = |key: &str| {
            let told = text(&server, key).and_then(|told| Url::parse(&told).ok());
            let safe = told.filter(|url| is_safe(url, &base)).map(String::from);
            safe.ok_or_else(|| refuse(&format!("its authorization server has no usable {key}")))
        };
        let client_id = match &remote.named.client_id {
            Some(id) => id.clone(),
            None if is_true("client_id_metadata_document_supported") && self.place.is_https() => {
                self.client_id()?.to_string()
            }
            None => {
                return Err(Error::new(
                    Code::ActionRequired,
                    format!(
                        "This server has no OAuth client at {}. Whoever runs it registers one there, with the callback {}, and sets client_id (and client_secret_file if it has a secret) in [integrations.{}].",
                        quote(issuer),
                        self.place.page(&["oauth", "callback", remote.integration.id])?,
                        remote.integration.id
                    ),
                ));
            }
        };
        let posts = has("token_endpoint_auth_methods_supported", "client_secret_post");
        let basic = has("token_endpoint_auth_methods_supported", "client_secret_basic");
        Ok(Discovered {
            named: Overrides {
                authorize_url: Some(address("authorization_endpoint")?),
                token_url: Some(address("token_endpoint")?),
                revoke_url: address("revocation_endpoint").ok(),
                issuer: Some(issuer.to_owned()),
                client_id: Some(client_id),
                ..remote.named.clone()
            },
            names_issuer: is_true("authorization_response_iss_parameter_supported"),
            client_auth: match &remote.named.client_secret_file {
                None => ClientAuth::Public,
                Some(_) if posts && !basic => ClientAuth::Body,
                Some(_) => ClientAuth::Basic,
            },
        })
    }

    /// How a server describes itself: where its refusal of a request without a credential says, or at the standard's place.
    async fn description(&self, base: &Url) -> Result<Option<Value>> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        let mut asked = request(Method::POST, base, body.into_bytes())?;
        asked.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let refused = self.http.exchange(asked).await?;
        if let Some(url) = told_place(&refused)
            && let Some(found) = self.document(&url, base).await?
        {
            return Ok(Some(found));
        }
        let place = "/.well-known/oauth-protected-resource";
        for url in [at(base, place, base.path()), at(base, place, "")] {
            if let Some(found) = self.document(&url, base).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// How an authorization server describes itself, at one of the places that the standards know.
    async fn authorization_server(&self, issuer: &str, base: &Url) -> Result<Option<Value>> {
        let Ok(url) = Url::parse(issuer) else { return Ok(None) };
        let path = url.path().trim_end_matches('/');
        let openid = "/.well-known/openid-configuration";
        for place in [
            at(&url, "/.well-known/oauth-authorization-server", path),
            at(&url, openid, path),
            at(&url, path, openid),
        ] {
            let found = self.document(&place, base).await?;
            // One that says it is another one may be anybody.
            let found = found.filter(|told| told.get("issuer").is_some_and(|told| told == issuer));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A JSON document, if there is one. What a server on the internet tells never leads to this machine.
    async fn document(&self, url: &Url, base: &Url) -> Result<Option<Value>> {
        if !is_safe(url, base) {
            return Ok(None);
        }
        let answer = self.http.exchange(request(Method::GET, url, Vec::new())?).await?;
        let document = answer.status().is_success().then(|| serde_json::from_slice(answer.body()));
        Ok(document.and_then(std::result::Result::ok))
    }
}

fn request(method: Method, url: &Url, body: Vec<u8>) -> Result<Request<Vec<u8>>> {
    let built = Request::builder().method(method).uri(url.as_str());
    let built = built.header(ACCEPT, "application/json, text/event-stream").body(body);
    built.map_err(|_| Error::new(Code::Internal, "The address makes no request."))
}

/// HTTPS; on this machine anything goes where the operator's own address is there too.
pub(super) fn is_safe(url: &Url, base: &Url) -> bool {
    if is_loopback(url) {
        is_loopback(base) && matches!(url.scheme(), "http" | "https")
    } else {
        url.scheme() == "https"
    }
}

fn at(url: &Url, place: &str, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(&format!("{place}{}", path.trim_end_matches('/')));
    url.set_query(None);
    url
}

/// The address in `WWW-Authenticate: Bearer resource_metadata="..."`.
fn told_place(refused: &Response<Vec<u8>>) -> Option<Url> {
    Url::parse(challenge(refused.headers(), "resource_metadata")?).ok()
}

#[cfg(test)]
mod tests {
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    #[test]
    fn e2_a_server_on_the_internet_leads_nobody_inside() {
        let [public, inside] = ["https://mcp.example/mcp", "http://127.0.0.1:7/mcp"]
            .map(|url| Url::parse(url).unwrap());
        for (url, from_public, from_inside) in [
            ("https://as.example/", true, true),
            ("http://as.example/", false, false),
            ("http://127.0.0.1:8/", false, true),
            ("https://localhost/", false, true),
            ("javascript:alert(1)", false, false),
            ("file:///etc/passwd", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_safe(&url, &public), from_public, "{url}");
            assert_eq!(is_safe(&url, &inside), from_inside, "{url}");
        }
    }

    #[test]
    fn reads_where_a_refusal_points() {
        let place = |header: &str| {
            let refused = Response::builder().header(WWW_AUTHENTICATE, header).body(Vec::new());
            told_place(&refused.unwrap()).map(String::from)
        };
        let url = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
        for header in [
            format!("Bearer scope=\"a b\", resource_metadata=\"{url}\", error=\"x\""),
            format!("Bearer resource_metadata={url}, scope=a"),
        ] {
            assert_eq!(place(&header).as_deref(), Some(url), "{header}");
        }
        assert_eq!(place("Bearer realm=\"x\""), None);
    }

    #[test]
    fn puts_the_well_known_place_where_the_standards_have_it() {
        let url = Url::parse("https://as.example/tenant/?x=1").unwrap();
        let path = url.path().trim_end_matches('/').to_owned();
        let place = "/.well-known/oauth-authorization-server";
        assert_eq!(at(&url, place, &path).as_str(), format!("https://as.example{place}/tenant"));
        assert_eq!(at(&url, place, "/").as_str(), format!("https://as.example{place}"));
    }
}
