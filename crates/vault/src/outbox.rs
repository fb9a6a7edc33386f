//! The outbox of alerts: where they are delivered, each is written with the job that delivers it, both or neither.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    AlertKind, Job, Next, Result, TenantId, TenantScope, Vault,
    database::{Tx, on},
};

/// How it stands with the delivery of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is tried until it succeeds.
    Due,
    /// The receiver has taken it.
    Done,
    /// The receiver did not take it for so long that it is not tried any more.
    GivenUp,
}

impl Delivery {
    /// `due`, `done` or `given_up`, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Done => "done",
            Self::GivenUp => "given_up",
        }
    }

    pub(crate) fn read(word: &str) -> Option<Self> {
        [Self::Due, Self::Done, Self::GivenUp].into_iter().find(|one| one.as_str() == word)
    }
}

impl Vault {
    /// From now on each alert that is written is also a job of this kind, whose subject is the alert's id: it is to be
    /// delivered. The first kind stands.
    #[must_use]
    pub fn delivering(self, job: &'static str) -> Self {
        self.inner.delivering.get_or_init(|| job);
        self
    }
}

impl TenantScope {
    /// Writes an alert within a transaction, and its job where alerts are delivered.
    pub(crate) async fn insert_alert(
        &self,
        tx: &mut Tx,
        kind: AlertKind,
        subject: &str,
        detail: Option<&str>,
    ) -> Result<()> {
        let id = Uuid::now_v7();
        let job = self.vault.inner.delivering.get();
        // Nobody waits for the alerts of a tenant that is deleted; they are still written.
        let exists: i64 = match job {
            Some(_) if self.tenant != TenantId::NONE => on!(&mut *tx, c => {
                sqlx::query_scalar("SELECT count(*) FROM tenants WHERE id = $1")
                    .bind(self.tenant.0)
                    .fetch_one(c)
                    .await
            })?,
            _ => 1,
        };
        let job = job.filter(|_| exists > 0);
        let delivery = job.map(|_| Delivery::Due.as_str());
        on!(&mut *tx, c => sqlx::query(
            "INSERT INTO alerts (id, tenant_id, kind, subject, detail, raised_at, delivery)
             VALUES ($1, $2, $3, $4, $5, (SELECT now_ms FROM clock), $6)",
        ).bind(id).bind(self.tenant.0).bind(kind.as_str()).bind(subject).bind(detail).bind(delivery)
         .execute(c).await.map(drop))?;
        match job {
            Some(job) => self.schedule(tx, job, &id.to_string(), Duration::ZERO).await,
            None => Ok(()),
        }
    }

    /// Notes that an alert was delivered, or is not delivered any more, and that its job is done; `false` when the hold
    /// was lost.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn finish_delivery(&self, job: &Job, id: Uuid, delivery: Delivery) -> Result<bool> {
        let mut tx = self.write().await?;
        if !self.finish_held(&mut tx, job, Next::Never).await? {
            return Ok(false);
        }
        on!(&mut tx, c => sqlx::query("UPDATE alerts SET delivery = $3 WHERE tenant_id = $1 AND id = $2")
            .bind(self.tenant.0).bind(id).bind(delivery.as_str()).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(true)
    }
}
