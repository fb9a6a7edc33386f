//! Rights that an action lacks: asked of the provider before what is dangerous, and offered to a person to grant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use resto_core::{Auth, Code, Error, Integration, OAuthConfig, Result, Risk, covers};
use resto_vault::Connection;
use uuid::Uuid;

use crate::catalog::Entry;
use crate::grants::Grants;
use crate::host::{Caller, Host, provider_of, told};

/// How long what a provider said of a credential is believed before a dangerous action.
const FRESH: Duration = Duration::from_mins(5);

/// When the provider last confirmed each generation of a connection, for this process.
#[derive(Default)]
pub(crate) struct Confirmed(Mutex<HashMap<(Uuid, i64), Instant>>);

impl Confirmed {
    fn is_fresh(&self, connection: &Connection) -> bool {
        let confirmed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = confirmed.get(&(connection.id, connection.generation));
        at.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// The provider has just said whose it is, and what it may do.
    pub fn note(&self, connection: &Connection) {
        let mut confirmed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.retain(|_, at| at.elapsed() < FRESH);
        confirmed.insert((connection.id, connection.generation), Instant::now());
    }

    /// The provider has just refused something.
    pub fn forget(&self, connection: &Connection) {
        let mut confirmed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.remove(&(connection.id, connection.generation));
    }
}

/// What an action lacks.
pub(crate) struct Lacking {
    /// As a person reads it: `Send message`.
    pub title: String,
    /// The fewest rights that would do.
    pub rights: Vec<String>,
    granted: Grants,
    /// What a consent asks for besides what our actions need.
    more: Vec<String>,
}

impl Lacking {
    /// What a consent asks for: what is granted already, and the missing rights on top. The new tokens take the place of
    /// those that are there.
    pub fn scopes(&self, integration: &Integration, facts: &OAuthConfig) -> Vec<String> {
        let is_right =
            |scope: &str| integration.permissions.iter().any(|permission| permission.id == scope);
        let lacks = |scope: &str| self.rights.iter().any(|right| right == scope);
        let wanted = |scope: &&str| {
            // Those that are no right tell whose account it is.
            !is_right(scope) || self.granted.granted.contains(*scope) || lacks(scope)
        };
        let scopes = facts.scopes.iter().copied().filter(wanted);
        let more = self.more.iter().map(String::as_str).filter(|more| !facts.scopes.contains(more));
        scopes.chain(more).map(str::to_owned).collect()
    }
}

impl Host {
    /// Before what leaves the building, cannot be undone or spends money, asks the provider what the credential may do
    /// now, unless it said so within minutes.
    ///
    /// # Errors
    /// The provider refuses the credential or tells another account, which stops the connection; it no longer grants a
    /// right, or cannot be asked.
    pub(crate) async fn verify(self: &Arc<Self>, caller: &Caller, entry: &Entry<'_>) -> Result<()> {
        let integration = entry.integration();
        if entry.action.risk <= Risk::Write {
            return Ok(());
        }
        let connection = caller.scope.connection(integration.id).await.map_err(told)?;
        if connection.is_none_or(|connection| self.confirmed.is_fresh(&connection)) {
            return Ok(());
        }
        Box::pin(self.test_connection(caller, integration)).await?;
        self.allow(caller, entry).await
    }

    /// A refusal for want of a right, with the page on which a person grants it.
    pub(crate) async fn offer_consent(
        &self,
        caller: &Caller,
        entry: &Entry<'_>,
        error: Error,
    ) -> Error {
        if error.code() != Code::PermissionDenied {
            return error;
        }
        let integration = entry.integration();
        if self.is_remote(integration.id)
            && let Some(scope) = &error.details().missing_permission
        {
            self.note_wanted(caller, (integration, &entry.action.tool), scope).await;
        }
        match self.connect_link(caller, entry.integration()).await {
            Ok(mut url) => {
                url.query_pairs_mut().append_pair("for", &entry.action.tool);
                error.url(url)
            }
            Err(_) => error,
        }
    }

    /// What this tool lacks at the connection; none where it lacks nothing that is known, or is no tool of this
    /// integration.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn lacking(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        tool: &str,
    ) -> Result<Option<Lacking>> {
        let catalog = self.catalog_of(&caller.scope).await?;
        let Some(entry) =
            catalog.find(tool).filter(|entry| entry.integration().id == integration.id)
        else {
            return Ok(None);
        };
        let connection = caller.scope.connection(integration.id).await.map_err(told)?;
        let Some(connection) = connection else { return Ok(None) };
        let granted = Grants::read(&connection.permissions);
        let title = entry.action.title.clone();
        if self.is_remote(integration.id) {
            let rights = self.wanted(caller, integration, tool).await?;
            let mut more = self.granted(caller, integration).await?;
            more.extend(rights.iter().cloned());
            let lacking = Lacking { title, rights, granted, more };
            return Ok(Some(lacking).filter(|lacking| !lacking.rights.is_empty()));
        }
        let has = |right: &str| granted.granted.iter().any(|granted| covers(granted, right));
        let missing = |set: &&[&'static str]| -> Vec<&'static str> {
            set.iter().copied().filter(|right| !has(right)).collect()
        };
        let (_, auth) =
            provider_of(integration, &connection.provider, connection.auth_type.as_str())?;
        // Of rights that do as well, a consent asks for those that our actions ask for.
        let cannot_be_asked = |rights: &Vec<&'static str>| match auth {
            Auth::OAuth(facts) => rights.iter().any(|right| !facts.scopes.contains(right)),
            Auth::Key(_) => false,
        };
        let sets = entry.action.permissions.iter().map(missing);
        let rights = sets
            .min_by_key(|rights| (cannot_be_asked(rights), rights.len()))
            .filter(|rights| !rights.is_empty());
        Ok(rights.map(|rights| {
            let rights = rights.into_iter().map(str::to_owned).collect();
            Lacking { title, rights, granted, more: Vec::new() }
        }))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Permissions;

    use super::*;

    #[test]
    fn a_consent_asks_for_what_is_missing_on_top_of_what_is_granted() {
        let gmail = &resto_gmail::GMAIL;
        let Auth::OAuth(facts) = &gmail.providers[0].auth[0] else { panic!("no consent") };
        let google = |name: &str| format!("https://www.googleapis.com/auth/{name}");
        let granted = [google("gmail.modify"), google("userinfo.email"), "openid".to_owned()];
        let contacts = facts.scopes.iter().find(|scope| scope.ends_with("/contacts")).unwrap();
        let lacking = Lacking {
            title: String::new(),
            rights: vec![(*contacts).to_owned()],
            more: Vec::new(),
            granted: Grants::from(Permissions::Known(granted.into())),
        };
        let asked = lacking.scopes(gmail, facts).join(" ");
        let expected = ["openid", "email", &google("gmail.modify"), &google("contacts")].join(" ");
        assert_eq!(asked, expected);
    }
}
