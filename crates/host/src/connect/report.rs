//! How a connection stands, as people and programs are told of it.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::grants::Grants;

/// A connection as people and programs are told of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The integration's id.
    pub integration: String,
    /// The company that it is with, as people write it.
    pub provider: String,
    /// Whose account it is.
    pub account: String,
    /// `active`, `frozen`, `needs_reauth` or `revocation_pending`.
    pub status: String,
    /// Such as `test` or `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// What is known of its rights.
    pub permissions: Grants,
    /// Actions that it may do.
    pub allowed: Vec<String>,
    /// Actions that it may not do.
    pub refused: Vec<String>,
    /// Actions that have to be tried.
    pub unknown: Vec<String>,
    /// The provider's quotas, as last told; what is left of them to a twentieth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<Value>,
    /// When the credential was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub connected_at: OffsetDateTime,
    /// When it was last used.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// How many days ago the key was stored; none where a person signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_age_days: Option<i64>,
    /// When its access token or key stops working.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it is then renewed without a person.
    pub renewed: bool,
    /// What took the place of what, told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
}

/// What was connected before.
#[derive(Debug, Serialize)]
pub struct Replaced {
    /// Whose account it was.
    pub account: String,
    /// Whether it is another one now.
    pub is_another: bool,
    /// Whether it was being disconnected, and its credential not revoked yet.
    pub was_leaving: bool,
}

impl Report {
    /// What connecting came to, in a sentence.
    #[must_use]
    pub fn outcome(&self) -> String {
        let account = &called(&self.account, self.mode.as_deref());
        let provider = &self.provider;
        let Some(Replaced { account: before, is_another, was_leaving }) = &self.replaced else {
            return format!("The account of {account} at {provider} is connected.");
        };
        let what = if *is_another {
            format!(
                "The account of {account} at {provider} has taken the place of the account of {before}."
            )
        } else {
            format!("The access to the account of {account} at {provider} is renewed.")
        };
        let old = match (*was_leaving, *is_another) {
            (true, _) => {
                " The credential of before was being revoked, and is not: our copy is destroyed, so end it there yourself."
            }
            (false, true) => " Delete the old key there if nothing else uses it.",
            (false, false) => "",
        };
        format!("{what}{old}")
    }

    /// What its status means and what happens next, where that is not plain.
    #[must_use]
    pub fn standing(&self) -> Option<String> {
        let provider = &self.provider;
        match self.status.as_str() {
            "revocation_pending" => Some(format!(
                "It is being disconnected. Agents can no longer use it; {provider} has not confirmed yet that the credential is revoked, and a server that runs tries again until it has. Whoever connects again ends that, and revokes the old credential there themselves."
            )),
            "frozen" => Some(
                "It is stopped: agents cannot use it. A person lets it go on with `resto unfreeze`, or connects again."
                    .to_owned(),
            ),
            "needs_reauth" => Some(format!(
                "{provider} no longer takes the credential. A person connects again."
            )),
            _ => None,
        }
    }

    /// When it stops working, where only a person can renew it.
    #[must_use]
    pub fn ends_at(&self) -> Option<OffsetDateTime> {
        self.expires_at.filter(|_| !self.renewed)
    }

    /// Whether its access token or key has stopped working, and only a person can renew it.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.ends_at().is_some_and(|end| end <= OffsetDateTime::now_utc())
    }
}

/// An account as people are told of it: what runs in a test mode is not what runs for real.
pub(super) fn called(name: &str, mode: Option<&str>) -> String {
    mode.map_or_else(|| name.to_owned(), |mode| format!("{name} ({mode} mode)"))
}
