//! Budgets: how many requests may still be made of a kind, counted for all processes on one database.
//! Each is one moment (the cell-rate algorithm, as in ATM and in many API gateways): when it will be unused again.

use std::time::Duration;

use crate::{Result, TenantScope, database::on, vault::check_name};

/// How many requests may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In any time of this length, at the most so many.
    pub requests: u32,
    /// The time.
    pub per: Duration,
    /// At once after a pause; less than `requests`. The rest is spread over the time.
    pub burst: u32,
}

/// What became of a wish for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They may be made.
    Granted,
    /// They may be made in this time, if nobody else takes them first.
    In(Duration),
}

impl Rate {
    /// Microseconds from one request to the next, when the burst is used up.
    fn interval(&self) -> i64 {
        let spread = self.requests.saturating_sub(self.burst).max(1);
        i64::try_from(self.per.as_micros() / u128::from(spread)).unwrap_or(i64::MAX).max(1)
    }
}

impl TenantScope {
    /// Takes so many requests, at the most the burst, from the tenant's budget of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that is empty or over 100 characters,
    /// [`Error::Database`](crate::Error::Database).
    pub async fn take(&self, name: &str, rate: &Rate, requests: u32) -> Result<Taken> {
        check_name("budget's name", name, 100)?;
        let interval = rate.interval();
        let cost = interval.saturating_mul(i64::from(requests.min(rate.burst).max(1)));
        let room = interval.saturating_mul(i64::from(rate.burst.max(1)));
        let mut tx = self.write().await?;
        // It is never later than the whole room from now, unless the clock was set back.
        let taken: Option<i64> = on!(&mut tx, c => sqlx::query_scalar(
            "INSERT INTO budgets (tenant_id, name, full_at)
             SELECT $1, $2, k.now_ms * 1000 + $3 FROM clock k WHERE true
             ON CONFLICT (tenant_id, name) DO UPDATE SET full_at = CASE
                WHEN budgets.full_at BETWEEN excluded.full_at - $3 AND excluded.full_at - $3 + $4
                THEN budgets.full_at + $3 ELSE excluded.full_at END
             WHERE budgets.full_at + $3 <= excluded.full_at - $3 + $4
                OR budgets.full_at > excluded.full_at - $3 + $4
             RETURNING full_at",
        ).bind(self.tenant.0).bind(name).bind(cost).bind(room).fetch_optional(c).await)?;
        if taken.is_some() {
            tx.commit().await?;
            return Ok(Taken::Granted);
        }
        let wait: i64 = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT full_at + $3 - $4 - k.now_ms * 1000 FROM budgets CROSS JOIN clock k
             WHERE tenant_id = $1 AND name = $2",
        ).bind(self.tenant.0).bind(name).bind(cost).bind(room).fetch_one(c).await)?;
        Ok(Taken::In(Duration::from_micros(u64::try_from(wait).unwrap_or_default().max(1000))))
    }
}
