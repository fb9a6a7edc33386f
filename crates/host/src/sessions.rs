//! Who sits at a browser: people sign in with a link that works once and that is printed at the
//! terminal of this server, or at the identity provider; after that, a cookie stands for their session.

use std::time::Duration;

use resto_core::{Integration, Result};
use resto_vault::TenantScope;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::alerts::MOST;
use crate::allowance::Allowance;
use crate::host::{Caller, Host, told};
use crate::identity::Entrant;
use crate::surface::Surface;

/// How long a sign-in link works.
pub(crate) const LINK: Duration = Duration::from_mins(10);
/// How long a session lasts.
pub(crate) const SESSION: Duration = Duration::from_hours(12);

/// How long a notice is kept for the page that shows it.
const NOTICED: Duration = Duration::from_mins(5);
/// The collection of notices.
const NOTICE: &str = "notice";

/// The kinds of handles.
const SIGN_IN: &str = "sign-in";
const BROWSER: &str = "session";

/// A person at a browser.
pub(crate) struct Person {
    pub caller: Caller,
    /// Which browser; no secret.
    pub session: String,
    /// How many alerts nobody has acknowledged; counted up to [`MOST`].
    pub open_alerts: usize,
    /// What every form of this session carries.
    pub csrf: SecretString,
}

/// Who signs in.
#[derive(Serialize, Deserialize)]
pub(crate) struct Who {
    /// The tenant, as people name it.
    tenant: String,
    issuer: String,
    subject: String,
}

impl Who {
    /// As people are told of them.
    pub fn name(&self) -> String {
        named(&self.subject, &self.tenant)
    }

    /// Whether it is the person of a session.
    pub fn is(&self, person: &Person) -> bool {
        let Caller { principal, tenant, .. } = &person.caller;
        (&self.issuer, &self.subject, &self.tenant)
            == (&principal.issuer, &principal.subject, tenant)
    }
}

impl Person {
    /// As people are told of them.
    pub fn name(&self) -> String {
        named(&self.caller.principal.subject, &self.caller.tenant)
    }
}

fn named(subject: &str, tenant: &str) -> String {
    format!("{subject} of {tenant}")
}

/// What the cookie stands for.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    who: Who,
    session: String,
    csrf: String,
}

async fn begin(scope: &TenantScope, who: Who) -> Result<SecretString> {
    let csrf = Uuid::new_v4().simple().to_string();
    let stored = Stored { who, session: Uuid::new_v4().simple().to_string(), csrf };
    let stored = serde_json::to_value(&stored).unwrap_or_default();
    scope.put_handle(BROWSER, &stored, SESSION).await.map_err(told)
}

impl Host {
    /// A link with which the caller's person signs in, once.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn sign_in_link(&self, caller: &Caller) -> Result<Url> {
        let who = Who {
            tenant: caller.tenant.clone(),
            issuer: caller.principal.issuer.clone(),
            subject: caller.principal.subject.clone(),
        };
        let who = serde_json::to_value(&who).unwrap_or_default();
        let handle = caller.scope.put_handle(SIGN_IN, &who, LINK).await.map_err(told)?;
        // EXPOSE: its owner sees it this once.
        self.place.page(&["sign-in", handle.expose_secret()])
    }

    /// Whom a sign-in link's code signs in, without using it up; `None` for one that is unknown, expired or used.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn invited(&self, code: &SecretString) -> Result<Option<Who>> {
        let Some(scope) = self.vault.scope_of_handle(code) else { return Ok(None) };
        let who = scope.handle(SIGN_IN, code).await.map_err(told)?;
        Ok(who.and_then(|who| serde_json::from_value(who).ok()))
    }

    /// Begins a session with a sign-in link's code; `None` for one that is unknown, expired or used.
    /// The session's handle is for the cookie.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn sign_in(&self, code: &SecretString) -> Result<Option<SecretString>> {
        let Some(scope) = self.vault.scope_of_handle(code) else { return Ok(None) };
        let Some(who) = scope.take_handle(SIGN_IN, code).await.map_err(told)? else {
            return Ok(None);
        };
        let Ok(who) = serde_json::from_value(who) else { return Ok(None) };
        begin(&scope, who).await.map(Some)
    }

    /// Begins a session of somebody whom the identity provider let in.
    ///
    /// # Errors
    /// As [`Host::sign_in`].
    pub(crate) async fn begin_session(&self, entrant: Entrant) -> Result<SecretString> {
        let Entrant { scope, tenant, principal } = entrant;
        let (issuer, subject) = (principal.issuer, principal.subject);
        begin(&scope, Who { tenant: tenant.external_id, issuer, subject }).await
    }

    /// The person behind a cookie; `None` where the session is unknown or over.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn person(&self, cookie: &SecretString) -> Result<Option<Person>> {
        let Some(scope) = self.vault.scope_of_handle(cookie) else { return Ok(None) };
        let stored = scope.handle(BROWSER, cookie).await.map_err(told)?;
        let Some(stored) = stored.and_then(|stored| serde_json::from_value(stored).ok()) else {
            return Ok(None);
        };
        let Stored { who, session, csrf } = stored;
        let principal = scope.principal(&who.issuer, &who.subject).await.map_err(told)?;
        let actor = format!("{} (web)", principal.subject);
        let (tenant, surface, allowance) = (who.tenant, Surface::default(), Allowance::all());
        let caller = Caller { scope, principal, actor, tenant, surface, allowance, token: None };
        let open_alerts = caller.scope.open_alerts(MOST).await.map_err(told)?.len();
        Ok(Some(Person { caller, session, open_alerts, csrf: csrf.into() }))
    }

    /// Leaves a sentence for the next page of an integration that this browser opens.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn leave_notice(
        &self,
        person: &Person,
        integration: &Integration,
        notice: &str,
    ) -> Result<()> {
        let id = format!("{} {}", person.session, integration.id);
        let scope = &person.caller.scope;
        scope.put_record(NOTICE, &id, &notice.into(), Some(NOTICED)).await.map_err(told)
    }

    /// Takes the sentence that was left.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn take_notice(
        &self,
        person: &Person,
        integration: &Integration,
    ) -> Result<Option<String>> {
        let id = format!("{} {}", person.session, integration.id);
        let scope = &person.caller.scope;
        // Most pages find none, and taking writes.
        if scope.record(NOTICE, &id).await.map_err(told)?.is_none() {
            return Ok(None);
        }
        let notice = scope.take_record(NOTICE, &id).await.map_err(told)?;
        Ok(notice.as_ref().and_then(|notice| notice.as_str()).map(str::to_owned))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn sign_out(&self, cookie: &SecretString) -> Result<()> {
        if let Some(scope) = self.vault.scope_of_handle(cookie) {
            scope.take_handle(BROWSER, cookie).await.map_err(told)?;
        }
        Ok(())
    }
}
