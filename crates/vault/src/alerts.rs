//! Alert records: what a person must look at. What is noticed where nothing can be written is noted, and written soon after.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Result, TenantId, TenantScope, Vault, database::on, timestamp::from_millis};

/// The same alert about the same thing is written once an hour, so that a loop does not fill the database.
const REPEATED_AFTER_MS: i64 = 60 * 60 * 1000;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A sealed value did not open, or a connection's columns disagree with it: someone writes to the database.
    Tampered,
    /// Nobody knows whether an action happened: its process died, or its answer was lost.
    UnknownOutcome,
    /// Values of unusually many tenants were opened within a minute, and the vault froze itself.
    MassOpening,
    /// Someone came with a link or a consent that another person of the tenant had asked for.
    ForeignLink,
    /// A connection was replaced by one to another account.
    AccountChanged,
    /// The provider tells other rights of a credential than before.
    PermissionsChanged,
    /// The provider no longer takes a credential, or cannot be reached for long.
    ConnectionFailed,
}

impl AlertKind {
    /// The word that is stored, such as `tampered`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tampered => "tampered",
            Self::UnknownOutcome => "unknown_outcome",
            Self::MassOpening => "mass_opening",
            Self::ForeignLink => "foreign_link",
            Self::AccountChanged => "account_changed",
            Self::PermissionsChanged => "permissions_changed",
            Self::ConnectionFailed => "connection_failed",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An alert record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about, as [`AlertKind::as_str`] says it.
    pub kind: String,
    /// Which thing, such as `credential github`; empty where the kind says it all.
    pub subject: String,
    /// When it was first noticed.
    pub raised_at: OffsetDateTime,
}

/// Alerts that are not yet written.
#[derive(Default)]
pub(crate) struct Noted(Mutex<Vec<(AlertKind, TenantId, String)>>);

impl Noted {
    fn lock(&self) -> MutexGuard<'_, Vec<(AlertKind, TenantId, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Notes an alert, to be written by [`Vault::raise_noted`]. An alert of no tenant is the whole vault's.
    pub(crate) fn note(&self, kind: AlertKind, tenant: TenantId, subject: &str) {
        tracing::error!(%kind, %tenant, subject, "alert");
        let alert = (kind, tenant, subject.to_owned());
        let mut noted = self.inner.noted.lock();
        if !noted.contains(&alert) {
            noted.push(alert);
        }
    }

    /// Writes what was noted. Outside a transaction: the writer would wait for itself. What cannot be written is kept.
    pub(crate) async fn raise_noted(&self) {
        // Each leaves the list when it is written: whoever waits here may go away. To write one twice does no harm.
        let noted = self.inner.noted.lock().clone();
        for alert in noted {
            if let Err(error) = self.raise(&alert).await {
                tracing::warn!(%error, "an alert could not be written yet");
                return;
            }
            self.inner.noted.lock().retain(|other| *other != alert);
        }
    }

    async fn raise(&self, (kind, tenant, subject): &(AlertKind, TenantId, String)) -> Result<()> {
        let mut tx = self.scope(*tenant).write().await?;
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO alerts (id, tenant_id, kind, subject, raised_at)
             SELECT $1, $2, $3, $4, c.now_ms FROM clock c WHERE NOT EXISTS (
                SELECT 1 FROM alerts WHERE tenant_id = $2 AND kind = $3 AND subject = $4 AND raised_at > c.now_ms - $5)",
        ).bind(Uuid::now_v7()).bind(tenant.0).bind(kind.as_str()).bind(subject).bind(REPEATED_AFTER_MS)
         .execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// The newest alerts that concern no tenant but the whole vault, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Alert>> {
        self.scope(TenantId::NONE).alerts(limit).await
    }
}

impl TenantScope {
    /// Passes a result on. That a value did not open is an alert, written here and now.
    pub(crate) async fn alerting<T>(
        &self,
        result: Result<T>,
        purpose: &str,
        name: &str,
    ) -> Result<T> {
        let result = self.noting(result, purpose, name);
        self.vault.raise_noted().await;
        result
    }

    /// As [`Self::alerting`], inside a transaction: the alert is only noted.
    pub(crate) fn noting<T>(&self, result: Result<T>, purpose: &str, name: &str) -> Result<T> {
        if matches!(result, Err(Error::CannotOpen)) {
            self.vault.note(AlertKind::Tampered, self.tenant, &format!("{purpose} {name}"));
        }
        result
    }

    /// Raises an alert about something of this tenant.
    pub async fn raise(&self, kind: AlertKind, subject: &str) {
        self.vault.note(kind, self.tenant, subject);
        self.vault.raise_noted().await;
    }

    /// The tenant's newest alerts, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Alert>> {
        let mut tx = self.read().await?;
        let rows: Vec<(String, String, i64)> = on!(&mut tx, c => sqlx::query_as(
            "SELECT kind, subject, raised_at FROM alerts WHERE tenant_id = $1 ORDER BY raised_at DESC, id DESC LIMIT $2",
        ).bind(self.tenant.0).bind(i64::from(limit)).fetch_all(c).await)?;
        Ok(rows
            .into_iter()
            .map(|(kind, subject, raised_at)| Alert {
                kind,
                subject,
                raised_at: from_millis(raised_at),
            })
            .collect())
    }
}
