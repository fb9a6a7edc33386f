//! A link with which an agent's person connects an account. It is no key: it opens only for whoever
//! is signed in as the one in whose name it was asked for.

use std::time::Duration;

use resto_core::{Code, Error, Integration, Result};
use resto_vault::AlertKind;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use crate::host::{Caller, Host, told};
use crate::sessions::Person;

/// The kind of handle.
const ASKED: &str = "connect.request";

/// How long the link works.
const LINK: Duration = Duration::from_hours(1);

impl Host {
    /// A link to the page of an integration, for the caller's person.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn connect_link(
        &self,
        caller: &Caller,
        integration: &Integration,
    ) -> Result<Url> {
        let asked =
            json!({"principal": caller.principal.id.to_string(), "integration": integration.id});
        let request = caller.scope.put_handle(ASKED, &asked, LINK).await.map_err(told)?;
        let mut url = self.place.page(&["connect", integration.id])?;
        // EXPOSE: it opens nothing by itself.
        url.query_pairs_mut().append_pair("request", request.expose_secret());
        Ok(url)
    }

    /// Whether a link was asked for in the name of this person, and for this integration.
    ///
    /// # Errors
    /// It was not, or no longer.
    pub(crate) async fn check_request(
        &self,
        person: &Person,
        integration: &Integration,
        request: &SecretString,
    ) -> Result<()> {
        let scope = &person.caller.scope;
        let asked = scope.handle(ASKED, request).await.map_err(told)?;
        let field = |name: &str| asked.as_ref().and_then(|asked| asked.get(name)?.as_str());
        if field("integration") != Some(integration.id) {
            return Err(Error::new(
                Code::Denied,
                "Nobody asked for this link in your name within the last hour. Do not go on if somebody sent it to you; else let your agent ask again.",
            ));
        }
        if field("principal") != Some(&person.caller.principal.id.to_string()) {
            let subject = format!("connect {}", integration.id);
            scope.raise(AlertKind::ForeignLink, &subject).await;
            return Err(Error::new(
                Code::Denied,
                "Somebody else's agent asked for this link. Nothing was connected.",
            ));
        }
        Ok(())
    }
}
