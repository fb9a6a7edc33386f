//! Jobs: what is to be done for a tenant at a time, whether or not anybody calls. Of all processes on one database one
//! holds a job at a time; when that one dies, its hold ends and another takes the job over.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    Result, TenantId, TenantScope, Vault,
    database::{Tx, on},
    vault::check_name,
};

/// A job that this process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What is to be done, such as `probe`; the words are the host's.
    pub kind: String,
    /// About what, such as an integration.
    pub subject: String,
    /// How often it was begun since it last succeeded, this time included.
    pub attempts: i64,
    due_at: i64,
    holder: Uuid,
}

/// What becomes of a job that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is gone.
    Never,
    /// It succeeded, and is due again.
    In(Duration),
    /// It failed, and is due again.
    Retry(Duration),
    /// It was let go already, in the transaction that wrote what it came to.
    Done,
}

type ClaimedRow = (Uuid, String, String, i64, i64);

impl Vault {
    /// Takes at most so many jobs that are due and that nobody holds, the longest overdue first, and holds each for this
    /// long.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn claim_jobs(
        &self,
        at_most: u32,
        hold: Duration,
    ) -> Result<Vec<(TenantScope, Job)>> {
        if !self.is_work_due().await? {
            return Ok(Vec::new());
        }
        let holder = Uuid::now_v7();
        let mut tx = self.inner.database.write_shared().await?;
        let text = tx.text(
            "UPDATE jobs SET holder = $1, held_until = (SELECT now_ms FROM clock) + $3, attempts = attempts + 1
             WHERE (tenant_id, kind, subject) IN (
                SELECT tenant_id, kind, subject FROM jobs CROSS JOIN clock
                WHERE due_at <= now_ms AND (held_until IS NULL OR held_until <= now_ms)
                ORDER BY due_at LIMIT $2)
             RETURNING tenant_id, kind, subject, attempts, due_at",
            "SELECT * FROM claim_jobs($1, $2, $3)",
        );
        let rows: Vec<ClaimedRow> = on!(&mut tx, c => sqlx::query_as(text)
            .bind(holder).bind(i64::from(at_most)).bind(millis(hold)).fetch_all(c).await)?;
        tx.commit().await?;
        Ok(rows
            .into_iter()
            .map(|(tenant, kind, subject, attempts, due_at)| {
                (self.scope(TenantId(tenant)), Job { kind, subject, attempts, due_at, holder })
            })
            .collect())
    }

    /// Spares an idle server the lock of a write.
    async fn is_work_due(&self) -> Result<bool> {
        let mut tx = self.inner.database.look().await?;
        let text = tx.text(
            "SELECT EXISTS (SELECT 1 FROM jobs CROSS JOIN clock
                WHERE due_at <= now_ms AND (held_until IS NULL OR held_until <= now_ms))",
            "SELECT is_work_due()",
        );
        Ok(on!(&mut tx, c => sqlx::query_scalar(text).fetch_one(c).await)?)
    }
}

impl TenantScope {
    /// Says that something is to be done in this time, in place of when it was to be done before.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a kind (50 characters) or subject (300) that is empty or too long;
    /// [`Error::UnknownTenant`](crate::Error::UnknownTenant).
    pub async fn schedule_job(&self, kind: &str, subject: &str, in_: Duration) -> Result<()> {
        let mut tx = self.write().await?;
        self.schedule(&mut tx, kind, subject, in_).await?;
        tx.commit().await
    }

    /// As [`Self::schedule_job`], within a transaction.
    pub(crate) async fn schedule(
        &self,
        tx: &mut Tx,
        kind: &str,
        subject: &str,
        in_: Duration,
    ) -> Result<()> {
        check_name("job's kind", kind, 50)?;
        check_name("job's subject", subject, 300)?;
        Ok(on!(tx, c => sqlx::query(
            "INSERT INTO jobs (tenant_id, kind, subject, due_at, attempts)
             VALUES ($1, $2, $3, (SELECT now_ms FROM clock) + $4, 0)
             ON CONFLICT (tenant_id, kind, subject) DO UPDATE SET due_at = excluded.due_at, attempts = 0",
        ).bind(self.tenant.0).bind(kind).bind(subject).bind(millis(in_)).execute(c).await.map(drop))?)
    }

    /// As [`Self::schedule`], unless it is scheduled.
    pub(crate) async fn schedule_unless(
        &self,
        tx: &mut Tx,
        kind: &str,
        subject: &str,
        in_: Duration,
    ) -> Result<()> {
        Ok(on!(tx, c => sqlx::query(
            "INSERT INTO jobs (tenant_id, kind, subject, due_at, attempts)
             VALUES ($1, $2, $3, (SELECT now_ms FROM clock) + $4, 0)
             ON CONFLICT (tenant_id, kind, subject) DO NOTHING",
        ).bind(self.tenant.0).bind(kind).bind(subject).bind(millis(in_)).execute(c).await.map(drop))?)
    }

    /// Nothing more is to be done about this, within a transaction.
    pub(crate) async fn unschedule(&self, tx: &mut Tx, subject: &str) -> Result<()> {
        Ok(on!(tx, c => sqlx::query("DELETE FROM jobs WHERE tenant_id = $1 AND subject = $2")
            .bind(self.tenant.0).bind(subject).execute(c).await.map(drop))?)
    }

    /// Takes one job whether or not it is due, and whether or not it was scheduled; none while somebody holds it. It is due
    /// from now on: when this process dies, another takes it over.
    ///
    /// # Errors
    /// As [`Self::schedule_job`].
    pub async fn claim_job(
        &self,
        kind: &str,
        subject: &str,
        hold: Duration,
    ) -> Result<Option<Job>> {
        check_name("job's kind", kind, 50)?;
        check_name("job's subject", subject, 300)?;
        let holder = Uuid::now_v7();
        let mut tx = self.write().await?;
        let row: Option<(i64, i64)> = on!(&mut tx, c => sqlx::query_as(
            "INSERT INTO jobs (tenant_id, kind, subject, due_at, attempts, holder, held_until)
             SELECT $1, $2, $3, k.now_ms, 1, $4, k.now_ms + $5 FROM clock k WHERE true
             ON CONFLICT (tenant_id, kind, subject) DO UPDATE
             SET holder = excluded.holder, held_until = excluded.held_until, attempts = jobs.attempts + 1,
                due_at = CASE WHEN jobs.due_at < excluded.due_at THEN jobs.due_at ELSE excluded.due_at END
             WHERE jobs.held_until IS NULL OR jobs.held_until <= excluded.due_at
             RETURNING attempts, due_at",
        ).bind(self.tenant.0).bind(kind).bind(subject).bind(holder).bind(millis(hold)).fetch_optional(c).await)?;
        tx.commit().await?;
        Ok(row.map(|(attempts, due_at)| Job {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            attempts,
            due_at,
            holder,
        }))
    }

    /// Holds a job for longer; `false` when the hold was lost.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn renew_job(&self, job: &Job, hold: Duration) -> Result<bool> {
        let mut tx = self.write().await?;
        let renewed = on!(&mut tx, c => sqlx::query(
            "UPDATE jobs SET held_until = (SELECT now_ms FROM clock) + $5
             WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND holder = $4",
        ).bind(self.tenant.0).bind(&job.kind).bind(&job.subject).bind(job.holder).bind(millis(hold))
         .execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(renewed > 0)
    }

    /// Lets a job go. When it was scheduled anew meanwhile, that stands. `false` when the hold was lost.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn finish_job(&self, job: &Job, next: Next) -> Result<bool> {
        if next == Next::Done {
            return Ok(true);
        }
        let mut tx = self.write().await?;
        let released = self.finish_held(&mut tx, job, next).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// As [`Self::finish_job`], within the transaction that writes what the job came to.
    pub(crate) async fn finish_held(&self, tx: &mut Tx, job: &Job, next: Next) -> Result<bool> {
        let (wait, attempts) = match next {
            Next::Never => {
                let deleted = on!(&mut *tx, c => sqlx::query(
                    "DELETE FROM jobs WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND holder = $4 AND due_at = $5",
                ).bind(self.tenant.0).bind(&job.kind).bind(&job.subject).bind(job.holder).bind(job.due_at)
                 .execute(c).await.map(|done| done.rows_affected()))?;
                if deleted > 0 {
                    return Ok(true);
                }
                (0, 0)
            }
            Next::In(wait) => (millis(wait), 0),
            Next::Retry(wait) => (millis(wait), job.attempts),
            Next::Done => return Ok(true),
        };
        let released = on!(tx, c => sqlx::query(
            "UPDATE jobs SET holder = NULL, held_until = NULL,
                attempts = CASE WHEN due_at = $5 THEN $7 ELSE attempts END,
                due_at = CASE WHEN due_at = $5 THEN (SELECT now_ms FROM clock) + $6 ELSE due_at END
             WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND holder = $4",
        ).bind(self.tenant.0).bind(&job.kind).bind(&job.subject).bind(job.holder).bind(job.due_at).bind(wait)
         .bind(attempts).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(released > 0)
    }
}

fn millis(time: Duration) -> i64 {
    // A century is as good as any longer time, and adds up with the clock.
    const LONGEST: i64 = 100 * 366 * 24 * 3600 * 1000;
    i64::try_from(time.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}
