//! An action wants the value of a secret that nobody has stored: a person enters it on a page of ours, and it never
//! passes through the agent.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use resto_core::{Code, Error, Result};
use resto_vault::{AlertKind, Intent, Needs, Outcome, ResultStatus};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::approve::shown;
use crate::around::Line;
use crate::call::{Called, Failed};
use crate::host::{Caller, Host, told};
use crate::sessions::Person;

/// The kinds of handles: the link to the page, and the state of a request.
const LINK: &str = "secret.link";
const STATE: &str = "secret.state";

/// How long both work.
const KEPT: Duration = Duration::from_hours(1);

/// How long a call is held back for a person who has opened the page, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(250);

/// What a person is asked to enter, and why.
#[derive(Serialize, Deserialize)]
pub(crate) struct Wish {
    principal: String,
    tool: String,
    /// The secret's name.
    pub name: String,
    /// What the action does, and on what.
    pub title: String,
    pub subject: String,
    pub service: String,
    /// Who asks, as the audit trail names them.
    pub asked_by: String,
}

/// A value that an action wants has to be entered first.
#[derive(Debug)]
pub struct Lacking {
    /// The page on which it is entered. The link carries no secret, and opens for nobody else.
    pub url: Url,
    /// What for, for the person.
    pub what: String,
    pub(crate) name: String,
}

impl Lacking {
    /// For a client that cannot lead its person to a page.
    #[must_use]
    pub fn error(&self) -> Error {
        Error::new(
            Code::ActionRequired,
            format!(
                "{} Give the person this link: {} It opens for who is signed in there, within an hour. When they say that they entered it, make the very same call again.",
                self.what, self.url
            ),
        )
        .url(self.url.as_str())
    }
}

impl Host {
    /// Runs a tool for a caller, from the check of its arguments to the second audit entry.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn call(
        self: &Arc<Self>,
        caller: &Caller,
        tool: &str,
        arguments: Value,
        line: Line,
    ) -> Result<Called, Failed> {
        let lacking = Arc::clone(&line.lacking);
        let subject = self.catalog.find(tool).map(|entry| entry.subject(&arguments));
        let called = self.call_now(caller, tool, arguments, line).await;
        let lacking = lacking.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (called, lacking) {
            (Err(Failed::Tool(_)), Some(name)) => {
                let subject = subject.unwrap_or_default();
                let lacking = Box::pin(self.ask_value(caller, tool, &subject, &name)).await?;
                Err(Failed::Secret(Box::new(lacking)))
            }
            (called, _) => called,
        }
    }

    /// Asks the caller's person for the value of a secret.
    ///
    /// # Errors
    /// The link cannot be stored.
    pub(crate) async fn ask_value(
        &self,
        caller: &Caller,
        tool: &str,
        subject: &str,
        name: &str,
    ) -> Result<Lacking> {
        let entry = self.catalog.find(tool);
        let title = entry.as_ref().map_or(tool, |entry| &entry.action.title).to_owned();
        let service = entry.as_ref().map_or("", |entry| entry.integration().name).to_owned();
        let what = format!(
            "The value of the secret `{}` is not stored here, and it must not pass through an agent: a person enters it on a page of this server. {service} gets it for: {title} ({}).",
            shown(name, 200),
            shown(subject, 200)
        );
        let wish = Wish {
            principal: caller.principal.id.to_string(),
            tool: tool.to_owned(),
            name: name.to_owned(),
            title,
            subject: subject.to_owned(),
            service,
            asked_by: caller.actor.clone(),
        };
        let link = self.keep_wish(caller, LINK, &wish).await?;
        // EXPOSE: it opens nothing by itself.
        let url = self.place.page(&["secrets", link.expose_secret()])?;
        Ok(Lacking { url, what, name: name.to_owned() })
    }

    /// The state with which a client comes back that led its person to the page.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn value_state(
        &self,
        caller: &Caller,
        tool: &str,
        lacking: &Lacking,
    ) -> Result<SecretString> {
        let state = json!({
            "principal": caller.principal.id.to_string(), "tool": tool, "name": lacking.name,
        });
        caller.scope.put_handle(STATE, &state, KEPT).await.map_err(told)
    }

    /// The name of the secret that a client comes back about, once; `None` for what is no such state of this caller and
    /// tool.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn value_brought(
        &self,
        caller: &Caller,
        tool: &str,
        state: &str,
    ) -> Result<Option<String>> {
        let state = SecretString::from(state);
        let stored = caller.scope.take_handle(STATE, &state).await.map_err(told)?;
        let field = |name: &str| stored.as_ref().and_then(|stored| stored.get(name)?.as_str());
        let ours = field("principal") == Some(&caller.principal.id.to_string())
            && field("tool") == Some(tool);
        Ok(field("name").filter(|_| ours).map(str::to_owned))
    }

    /// Waits a little until the value is there.
    ///
    /// # Errors
    /// It is not, or the database cannot be read.
    pub(crate) async fn wait_for_value(&self, caller: &Caller, name: &str) -> Result<()> {
        let until = tokio::time::Instant::now() + PATIENCE;
        while !caller.scope.has_secret(name).await.map_err(told)? {
            if tokio::time::Instant::now() >= until {
                return Err(Error::new(
                    Code::ActionRequired,
                    "The person has opened the page and has not entered the value yet. Make the same call again when they say that they did; do not ask again at once.",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn keep_wish(&self, caller: &Caller, kind: &str, wish: &Wish) -> Result<SecretString> {
        let stored = serde_json::to_value(wish).unwrap_or_default();
        caller.scope.put_handle(kind, &stored, KEPT).await.map_err(told)
    }

    /// What a link asks this person for.
    ///
    /// # Errors
    /// Nobody asked in their name, or it was entered before.
    pub(crate) async fn wish(&self, person: &Person, link: &SecretString) -> Result<Wish> {
        let scope = &person.caller.scope;
        let stored = scope.handle(LINK, link).await.map_err(told)?;
        let wish = stored.and_then(|stored| serde_json::from_value::<Wish>(stored).ok());
        let wish = wish.ok_or_else(|| {
            Error::new(
                Code::NotFound,
                "Nobody asks for this value in your name (any more): it was entered, or is older than an hour. Do not go on if somebody sent you this link; else let your agent ask again.",
            )
        })?;
        if wish.principal != person.caller.principal.id.to_string() {
            scope.raise(AlertKind::ForeignLink, &format!("secret {}", wish.name)).await;
            return Err(Error::new(
                Code::Denied,
                "Somebody else's agent asked for this value. Nothing was stored.",
            ));
        }
        Ok(wish)
    }

    /// Stores what the person entered, and uses the link up.
    ///
    /// # Errors
    /// As [`Host::wish`], or it cannot be stored.
    pub(crate) async fn enter_value(
        &self,
        person: &Person,
        link: &SecretString,
        value: &SecretString,
    ) -> Result<Wish> {
        let wish = self.wish(person, link).await?;
        let caller = &person.caller;
        let intent = Intent {
            integration_id: "resto",
            action: "secret.enter",
            params: &json!({"name": wish.name, "tool": wish.tool}),
            actor: &caller.actor,
            op_id: None,
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let outcome = Outcome::of(ResultStatus::Success);
        caller.scope.record_event(intent, outcome).await.map_err(told)?;
        caller.scope.put_secret(&wish.name, value).await.map_err(told)?;
        caller.scope.take_handle(LINK, link).await.map_err(told)?;
        Ok(wish)
    }
}

/// A value as it was meant; none where there is none. Browsers send other line ends, and a value of one line often comes
/// with one more.
pub(crate) fn as_meant(typed: &str) -> Option<SecretString> {
    let text = typed.replace("\r\n", "\n");
    let text = match text.strip_suffix('\n') {
        Some(line) if !line.contains('\n') => line,
        _ => &text,
    };
    (!text.is_empty()).then(|| SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_was_typed_and_not_what_a_browser_makes_of_it() {
        let meant = |typed| as_meant(typed).map(|value| value.expose_secret().to_owned());
        for (typed, value) in [
            ("one", "one"),
            ("one\r\n", "one"),
            ("-----BEGIN\r\nabc\r\nEND-----\r\n", "-----BEGIN\nabc\nEND-----\n"),
            (" spaces ", " spaces "),
        ] {
            assert_eq!(meant(typed).as_deref(), Some(value));
        }
        assert_eq!(meant("\r\n"), None);
    }
}
