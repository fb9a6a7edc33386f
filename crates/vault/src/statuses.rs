//! How a connection stands: whether it may be used. A change counts for every action that begins after it.

use std::{fmt, time::Duration};

use crate::{
    AlertKind, Error, Result, TenantScope,
    alerts::say,
    database::{Tx, on},
};

/// Whether a connection may be used. A disconnected one has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It may be used.
    Active,
    /// A person stopped it.
    Frozen,
    /// The provider no longer takes the credential.
    NeedsReauth,
    /// It is being disconnected, and the provider has not yet confirmed the revocation.
    RevocationPending,
}

impl Status {
    /// `active`, `frozen`, `needs_reauth` or `revocation_pending`, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::NeedsReauth => "needs_reauth",
            Self::RevocationPending => "revocation_pending",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::Active, Self::Frozen, Self::NeedsReauth, Self::RevocationPending]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(Error::CannotOpen)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TenantScope {
    /// Allows or stops the use of this generation of a connection; `false` when there is none, or another one, or it is being
    /// disconnected. An action that begins afterwards sees it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn set_status(
        &self,
        integration_id: &str,
        generation: i64,
        status: Status,
    ) -> Result<bool> {
        let mut tx = self.write().await?;
        let changed = self.put_status(&mut tx, integration_id, generation, status).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Stops a connection that is to be disconnected, whichever generation it has, and in one step with it says what is to be
    /// done about it, and in how long. Only whoever connects again ends that. `false` when there is none.
    ///
    /// # Errors
    /// As [`Self::schedule_job`].
    pub async fn stop_for_good(
        &self,
        integration_id: &str,
        (kind, in_): (&str, Duration),
    ) -> Result<bool> {
        let mut tx = self.write().await?;
        let stopped = on!(&mut tx, c => sqlx::query(
            "UPDATE integration_credentials SET status = $3 WHERE tenant_id = $1 AND integration_id = $2",
        ).bind(self.tenant.0).bind(integration_id).bind(Status::RevocationPending.as_str()).execute(c).await
         .map(|done| done.rows_affected()))?;
        if stopped == 0 {
            return Ok(false);
        }
        self.schedule_unless(&mut tx, kind, integration_id, in_).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// As [`Self::set_status`], and alerts people to it, both or neither.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn set_status_raising(
        &self,
        integration_id: &str,
        generation: i64,
        status: Status,
        alert: AlertKind,
    ) -> Result<bool> {
        let mut tx = self.write().await?;
        if !self.put_status(&mut tx, integration_id, generation, status).await? {
            return Ok(false);
        }
        self.write_alert(&mut tx, alert, integration_id).await?;
        tx.commit().await?;
        say(alert, self.tenant, integration_id);
        Ok(true)
    }

    async fn put_status(
        &self,
        tx: &mut Tx,
        integration_id: &str,
        generation: i64,
        status: Status,
    ) -> Result<bool> {
        let changed = on!(tx, c => sqlx::query(
            "UPDATE integration_credentials SET status = $4
             WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3 AND status <> $5",
        ).bind(self.tenant.0).bind(integration_id).bind(generation).bind(status.as_str())
         .bind(Status::RevocationPending.as_str()).execute(c).await
         .map(|done| done.rows_affected()))?;
        Ok(changed > 0)
    }

    /// Moves all connections that are `from`, or that to one integration, to the status `to`. An action that begins
    /// afterwards sees it. Tells which moved.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn move_status(
        &self,
        integration_id: Option<&str>,
        from: Status,
        to: Status,
    ) -> Result<Vec<String>> {
        let mut tx = self.write().await?;
        let mut moved: Vec<String> = on!(&mut tx, c => sqlx::query_scalar(
            "UPDATE integration_credentials SET status = $4
             WHERE tenant_id = $1 AND ($2 = '' OR integration_id = $2) AND status = $3 RETURNING integration_id",
        ).bind(self.tenant.0).bind(integration_id.unwrap_or_default()).bind(from.as_str()).bind(to.as_str())
         .fetch_all(c).await)?;
        tx.commit().await?;
        moved.sort_unstable();
        Ok(moved)
    }
}
