//! A link with which an agent's person connects an account. It is no key: it opens only for whoever
//! is signed in as the one in whose name it was asked for.

use std::time::Duration;

use resto_core::{Code, Error, Integration, Result};
use resto_vault::{AlertKind, TenantScope};
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

    /// Tells the business that asked for a link, when a person of another one comes with it.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(super) async fn tell_of_stranger(
        &self,
        scope: &TenantScope,
        kind: &str,
        handle: &SecretString,
        subject: &str,
    ) -> Result<()> {
        if let Some(theirs) = self.vault.scope_of_handle(handle)
            && theirs.tenant() != scope.tenant()
            && theirs.handle(kind, handle).await.map_err(told)?.is_some()
        {
            theirs.raise(AlertKind::ForeignLink, subject).await;
        }
        Ok(())
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
        let subject = format!("connect {}", integration.id);
        self.tell_of_stranger(scope, ASKED, request, &subject).await?;
        let asked = scope.handle(ASKED, request).await.map_err(told)?;
        let field = |name: &str| asked.as_ref().and_then(|asked| asked.get(name)?.as_str());
        if field("integration") != Some(integration.id) {
            return Err(Error::new(
                Code::Denied,
                "Nobody asked for this link in your name within the last hour. Do not go on if somebody sent it to you; else let your agent ask again.",
            ));
        }
        if field("principal") != Some(&person.caller.principal.id.to_string()) {
            scope.raise(AlertKind::ForeignLink, &subject).await;
            return Err(Error::new(
                Code::Denied,
                "Somebody else's agent asked for this link. Nothing was connected.",
            ));
        }
        Ok(())
    }
}
