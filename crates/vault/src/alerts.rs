//! Alert records: what a person must look at. What is noticed where nothing can be written is noted, and written soon after.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Delivery, Error, Job, Next, Result, TenantId, TenantScope, Vault,
    database::{Tx, on},
    timestamp::from_millis,
};

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
    /// A provider renews the access no more: a person has to sign in again.
    RefreshFailed,
    /// A credential is to be revoked, and its provider has not confirmed that it is.
    RevocationPending,
    /// A key is old enough to be exchanged.
    KeyDue,
    /// A credential ends soon, and only a person can renew it.
    AccessEnds,
    /// Once a quarter: what is connected, and how old the keys are.
    QuarterlySummary,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Tampered,
        Self::UnknownOutcome,
        Self::MassOpening,
        Self::ForeignLink,
        Self::AccountChanged,
        Self::PermissionsChanged,
        Self::ConnectionFailed,
        Self::RefreshFailed,
        Self::RevocationPending,
        Self::KeyDue,
        Self::AccessEnds,
        Self::QuarterlySummary,
    ];

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
            Self::RefreshFailed => "refresh_failed",
            Self::RevocationPending => "revocation_pending",
            Self::KeyDue => "key_due",
            Self::AccessEnds => "access_ends",
            Self::QuarterlySummary => "quarterly_summary",
        }
    }

    /// The kind of a stored word; `None` for one that a newer program wrote.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether nothing is wrong: people are reminded of something.
    #[must_use]
    pub const fn is_reminder(self) -> bool {
        matches!(self, Self::KeyDue | Self::AccessEnds | Self::QuarterlySummary)
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
    /// Its id; later ones are greater.
    pub id: Uuid,
    /// What it is about, as [`AlertKind::as_str`] says it.
    pub kind: String,
    /// Which thing, such as `credential github`; empty where the kind says it all.
    pub subject: String,
    /// What is known beyond that, in words.
    pub detail: Option<String>,
    /// When it was first noticed.
    pub raised_at: OffsetDateTime,
    /// When a person said that they saw it, and who.
    pub acknowledged: Option<(OffsetDateTime, String)>,
    /// How it stands with the webhook; `None` where there was none.
    pub delivery: Option<Delivery>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    subject: String,
    detail: Option<String>,
    raised_at: i64,
    acknowledged_at: Option<i64>,
    acknowledged_by: Option<String>,
    delivery: Option<String>,
}

impl From<Row> for Alert {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            detail: row.detail,
            raised_at: from_millis(row.raised_at),
            acknowledged: row.acknowledged_at.map(from_millis).zip(row.acknowledged_by),
            delivery: row.delivery.as_deref().and_then(Delivery::read),
        }
    }
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
        say(kind, tenant, subject);
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
            if let Err(error) = Box::pin(self.raise(&alert)).await {
                tracing::warn!(%error, "an alert could not be written yet");
                return;
            }
            self.inner.noted.lock().retain(|other| *other != alert);
        }
    }

    async fn raise(&self, (kind, tenant, subject): &(AlertKind, TenantId, String)) -> Result<()> {
        let scope = self.scope(*tenant);
        let mut tx = scope.write().await?;
        scope.write_alert(&mut tx, *kind, subject).await?;
        tx.commit().await
    }

    /// The scope of the alerts that concern no tenant but the whole vault.
    #[must_use]
    pub fn whole(&self) -> TenantScope {
        self.scope(TenantId::NONE)
    }

    /// The newest alerts that concern no tenant but the whole vault, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Alert>> {
        self.whole().alerts(limit).await
    }
}

/// Tells an alert to whoever reads the log.
pub(crate) fn say(kind: AlertKind, tenant: TenantId, subject: &str) {
    if kind.is_reminder() {
        tracing::info!(%kind, %tenant, subject, "reminder");
    } else {
        tracing::error!(%kind, %tenant, subject, "alert");
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

    /// Lets a job go and raises an alert, both or neither: `false`, and no alert, when the hold was lost.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn finish_raising(
        &self,
        job: &Job,
        next: Next,
        (kind, subject): (AlertKind, &str),
    ) -> Result<bool> {
        let mut tx = self.write().await?;
        if !self.finish_held(&mut tx, job, next).await? {
            return Ok(false);
        }
        self.write_alert(&mut tx, kind, subject).await?;
        tx.commit().await?;
        say(kind, self.tenant, subject);
        Ok(true)
    }

    /// Writes an alert within a transaction, unless the same was written within the hour.
    pub(crate) async fn write_alert(
        &self,
        tx: &mut Tx,
        kind: AlertKind,
        subject: &str,
    ) -> Result<()> {
        let recent: Option<i64> = on!(&mut *tx, c => sqlx::query_scalar(
            "SELECT raised_at FROM alerts, clock
             WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND raised_at > now_ms - $4 LIMIT 1",
        ).bind(self.tenant.0).bind(kind.as_str()).bind(subject).bind(REPEATED_AFTER_MS).fetch_optional(c).await)?;
        match recent {
            Some(_) => Ok(()),
            None => self.insert_alert(tx, kind, subject, None).await,
        }
    }

    /// The tenant's newest alerts, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Alert>> {
        self.select_alerts(false, None, limit).await
    }

    /// The newest alerts that nobody has acknowledged, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn open_alerts(&self, limit: u32) -> Result<Vec<Alert>> {
        self.select_alerts(true, None, limit).await
    }

    /// One alert.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn alert(&self, id: Uuid) -> Result<Option<Alert>> {
        Ok(self.select_alerts(false, Some(id), 1).await?.pop())
    }

    async fn select_alerts(
        &self,
        only_open: bool,
        one: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Alert>> {
        let mut tx = self.read().await?;
        let rows: Vec<Row> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, kind, subject, detail, raised_at, acknowledged_at, acknowledged_by, delivery FROM alerts
             WHERE tenant_id = $1 AND (acknowledged_at IS NULL OR NOT $2) AND ($3 IS NULL OR id = $3)
             ORDER BY raised_at DESC, id DESC LIMIT $4",
        ).bind(self.tenant.0).bind(only_open).bind(one).bind(i64::from(limit)).fetch_all(c).await)?;
        Ok(rows.into_iter().map(Alert::from).collect())
    }

    /// Notes that a person saw an alert, and the older ones too if they say so. Returns how many were open until then.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn acknowledge_alerts(&self, id: Uuid, and_older: bool, by: &str) -> Result<u64> {
        let mut tx = self.write().await?;
        let done = on!(&mut tx, c => sqlx::query(
            "UPDATE alerts SET acknowledged_at = (SELECT now_ms FROM clock), acknowledged_by = $2
             WHERE tenant_id = $1 AND acknowledged_at IS NULL AND (id = $3
                OR ($4 AND raised_at <= (SELECT raised_at FROM alerts WHERE tenant_id = $1 AND id = $3)))",
        ).bind(self.tenant.0).bind(by).bind(id).bind(and_older).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(done)
    }
}
