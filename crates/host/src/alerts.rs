//! What an alert means and what to do about it, in the words that pages, agents, the terminal and the webhook share.

use resto_core::{Result, clean};
use resto_vault::{Alert, AlertKind, Delivery};
use schemars::JsonSchema;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::host::{Caller, Host, told};

/// How many alerts are told at once.
pub(crate) const MOST: u32 = 50;

/// An alert as people and programs are told of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Told {
    /// Names it.
    pub id: String,
    /// Such as `connection_failed`, `unknown_outcome` or `key_due`.
    pub kind: String,
    /// Which thing, such as an integration.
    pub subject: String,
    /// What it means and what to do.
    pub message: String,
    /// When it was first noticed.
    pub raised_at: String,
    /// The page that shows it to a person.
    pub link: String,
    /// Who saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// `due`, `done` or `given_up`, where a webhook is told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<&'static str>,
}

impl Told {
    /// Its heading.
    pub(crate) fn title(&self) -> &'static str {
        title(AlertKind::read(&self.kind))
    }

    /// Whether the webhook never took it.
    pub(crate) fn is_given_up(&self) -> bool {
        self.delivery == Some(Delivery::GivenUp.as_str())
    }
}

impl Host {
    /// An alert in words, of a tenant who has these actions.
    ///
    /// # Errors
    /// This server has no address.
    pub(crate) fn tell(&self, catalog: &Catalog, alert: &Alert) -> Result<Told> {
        let id = alert.id.to_string();
        let mut link = self.place.page(&["alerts"])?;
        link.set_fragment(Some(&id));
        Ok(Told {
            id,
            kind: alert.kind.clone(),
            subject: clean(&alert.subject).into_owned(),
            message: self.sentence(catalog, alert),
            raised_at: alert.raised_at.format(&Rfc3339).unwrap_or_default(),
            link: link.to_string(),
            acknowledged_by: alert.acknowledged.as_ref().map(|(_, by)| by.clone()),
            delivery: alert.delivery.map(Delivery::as_str),
        })
    }

    /// The alerts of the caller's tenant that nobody has acknowledged, newest first, and whether there are more.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn open_alerts(&self, caller: &Caller) -> Result<(Vec<Told>, bool)> {
        let mut found = caller.scope.open_alerts(MOST + 1).await.map_err(told)?;
        let more = found.len() > MOST as usize;
        found.truncate(MOST as usize);
        let catalog = self.catalog_of(&caller.scope).await?;
        let all = found.iter().map(|alert| self.tell(&catalog, alert)).collect::<Result<_>>()?;
        Ok((all, more))
    }

    /// Notes that the caller saw an alert, and the older ones too if they say so. Returns how many were open until then.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(crate) async fn acknowledge(
        &self,
        caller: &Caller,
        id: Uuid,
        and_older: bool,
    ) -> Result<u64> {
        caller.scope.acknowledge_alerts(id, and_older, &caller.actor).await.map_err(told)
    }

    /// What it means and what to do.
    fn sentence(&self, catalog: &Catalog, alert: &Alert) -> String {
        let subject = clean(&alert.subject);
        let first = subject.split(' ').next().unwrap_or_default();
        let service = |id: &str| {
            let known = catalog.adapter(id).map(|adapter| adapter.integration.name);
            known.unwrap_or(id).to_owned()
        };
        let name = service(first);
        let detail = alert.detail.as_deref().map(clean).unwrap_or_default();
        match AlertKind::read(&alert.kind) {
            Some(AlertKind::Tampered) => format!(
                "Something stored here (`{subject}`) does not open or was changed from outside, so it is not used: find out who can write to the database, and connect or enter it again."
            ),
            Some(AlertKind::UnknownOutcome) => {
                let at = catalog.find(first).map(|entry| entry.integration().name);
                format!(
                    "Nobody knows whether `{first}` happened, because its answer was lost or its process died: look at {} before it is done again.",
                    at.unwrap_or("the service")
                )
            }
            Some(AlertKind::MassOpening) => "Credentials of unusually many businesses were opened within a minute, so this server opens none until it is restarted: find out who did that first.".to_owned(),
            Some(AlertKind::ForeignLink) => format!(
                "Somebody opened a link ({subject}) that another person's agent had asked for, and nothing was done: ask your people whether somebody sent it around."
            ),
            Some(AlertKind::AccountChanged) => format!(
                "{name} is, or was about to be, operated with another account than before: if nobody meant that, disconnect it and connect the right account."
            ),
            Some(AlertKind::PermissionsChanged) if self.is_remote(first) => format!(
                "{name} offers other tools than those that were approved, and what changed waits until a person has looked at it: on its page here, or with resto review {first}."
            ),
            Some(AlertKind::PermissionsChanged) => format!(
                "{name} tells other rights for the connected account than before, so some actions may stop or start to work: look at them, and connect it again if a right is missing."
            ),
            Some(AlertKind::ConnectionFailed) => format!(
                "{name} no longer takes the stored credential or has not answered for long: look at its status page, and connect it again."
            ),
            Some(AlertKind::RefreshFailed) => format!(
                "{name} no longer renews the access that it gave, so its actions stop: a person signs in there again."
            ),
            Some(AlertKind::RevocationPending) => format!(
                "The access to {name} is to be ended, and {name} has not confirmed that it is: nothing uses it here any more, and it is asked again until it does; to be sure at once, end the access in the account's own settings there."
            ),
            Some(AlertKind::KeyDue) => format!(
                "The key of {name} is {detail}; make a new one there, connect it here, and delete the old one there."
            ),
            Some(AlertKind::AccessEnds) => format!(
                "The access to {name} ends {detail}: connect it again before that, or its actions stop."
            ),
            Some(AlertKind::QuarterlySummary) => {
                format!("The state of your connections at the beginning of {subject}: {detail}.")
            }
            None => format!(
                "A newer version of this server raised this about `{subject}`; look at it there."
            ),
        }
    }
}

const fn title(kind: Option<AlertKind>) -> &'static str {
    match kind {
        Some(AlertKind::Tampered) => "Changed from outside",
        Some(AlertKind::UnknownOutcome) => "Outcome unknown",
        Some(AlertKind::MassOpening) => "Unusually many credentials opened",
        Some(AlertKind::ForeignLink) => "Link of another person",
        Some(AlertKind::AccountChanged) => "Another account",
        Some(AlertKind::PermissionsChanged) => "Rights changed",
        Some(AlertKind::ConnectionFailed) => "Connection failed",
        Some(AlertKind::RefreshFailed) => "Access no longer renewed",
        Some(AlertKind::RevocationPending) => "Revocation not confirmed",
        Some(AlertKind::KeyDue) => "Key due to be exchanged",
        Some(AlertKind::AccessEnds) => "Access ends",
        Some(AlertKind::QuarterlySummary) => "Quarterly summary",
        None => "Something to look at",
    }
}
