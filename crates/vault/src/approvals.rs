//! What keeps an action from happening more often, or costing more, than was meant: calls that are the same call again,
//! and the money spent of late.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Result, TenantScope,
    database::{Tx, on},
    operations::KEPT_MS,
};

/// How long after its end the same call again is taken for the same operation.
const SAME_MS: i64 = 120_000;

/// What a call is known by: keyed hashes, with the current root key first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPrint(Vec<String>);

impl CallPrint {
    /// The hash under the current root key, 64 hexadecimal digits.
    #[must_use]
    pub fn current(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The hashes under the current root key and those before it.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Whether money may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// It is noted as spent.
    Noted,
    /// It would be more than may be spent in the time; so much was before.
    Over {
        /// What others have spent, in the smallest unit of the currency.
        spent: i64,
    },
}

impl TenantScope {
    /// What the call of `action` with `params` is known by, within `whose`.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for parameters that JSON cannot carry.
    pub fn call_print(&self, whose: &str, action: &str, params: &Value) -> Result<CallPrint> {
        self.params_hashes(&format!("call/{whose}/{action}"), params).map(CallPrint)
    }

    /// The operation that the same call is, if it runs, ended well within two minutes, or has an unknown outcome.
    ///
    /// # Errors
    /// [`crate::Error::Database`].
    pub async fn same_call(&self, print: &CallPrint) -> Result<Option<Uuid>> {
        let mut tx = self.read().await?;
        self.find_same(&mut tx, print).await
    }

    /// Whether this operation was begun, and is kept.
    ///
    /// # Errors
    /// [`crate::Error::Database`].
    pub async fn has_operation(&self, op_id: Uuid) -> Result<bool> {
        let mut tx = self.read().await?;
        let found: Option<i32> = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT 1 FROM integration_operations WHERE tenant_id = $1 AND op_id = $2",
        ).bind(self.tenant.0).bind(op_id).fetch_optional(c).await)?;
        Ok(found.is_some())
    }

    /// Makes `op_id` the operation of this call, unless the same call is one already; which one it is.
    ///
    /// # Errors
    /// [`crate::Error::Database`].
    pub async fn claim_call(&self, print: &CallPrint, op_id: Uuid) -> Result<Uuid> {
        let mut tx = self.write().await?;
        if let Some(same) = self.find_same(&mut tx, print).await? {
            return Ok(same);
        }
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO recent_calls (tenant_id, call_hash, op_id, called_at)
             VALUES ($1, $2, $3, (SELECT now_ms FROM clock))
             ON CONFLICT (tenant_id, call_hash) DO UPDATE SET op_id = excluded.op_id, called_at = excluded.called_at",
        ).bind(self.tenant.0).bind(print.current()).bind(op_id).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(op_id)
    }

    async fn find_same(&self, tx: &mut Tx, print: &CallPrint) -> Result<Option<Uuid>> {
        for hash in print.all() {
            let same: Option<Uuid> = on!(&mut *tx, c => sqlx::query_scalar(
                "SELECT r.op_id FROM recent_calls r CROSS JOIN clock t
                 LEFT JOIN integration_operations o ON o.tenant_id = r.tenant_id AND o.op_id = r.op_id
                 WHERE r.tenant_id = $1 AND r.call_hash = $2
                    AND ((o.state IS NULL AND r.called_at > t.now_ms - $3) OR o.state IN ('executing', 'unknown')
                        OR (o.state IN ('succeeded', 'reconciled') AND o.expires_at > t.now_ms + $4))",
            ).bind(self.tenant.0).bind(hash).bind(SAME_MS).bind(KEPT_MS - SAME_MS).fetch_optional(c).await)?;
            if same.is_some() {
                return Ok(same);
            }
        }
        Ok(None)
    }

    /// What was spent within the last `time` in a currency, in its smallest unit.
    ///
    /// # Errors
    /// [`crate::Error::Database`].
    pub async fn spent(&self, currency: &str, time: Duration) -> Result<i64> {
        let mut tx = self.read().await?;
        self.sum_spent(&mut tx, currency, time).await
    }

    /// Notes that an operation spends this much, unless it then were more than `limit` within the last `time`. Of several
    /// who spend at once, no two pass the limit together.
    ///
    /// # Errors
    /// [`crate::Error::Database`]; then nothing may be spent.
    pub async fn spend(
        &self,
        op_id: Uuid,
        (integration_id, action): (&str, &str),
        (minor, currency): (i64, &str),
        (limit, time): (i64, Duration),
    ) -> Result<Spending> {
        let mut tx = self.write().await?;
        let spent = self.sum_spent(&mut tx, currency, time).await?;
        if spent.saturating_add(minor) > limit {
            return Ok(Spending::Over { spent });
        }
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO spending (tenant_id, op_id, currency, minor, integration_id, action, spent_at)
             VALUES ($1, $2, $3, $4, $5, $6, (SELECT now_ms FROM clock))
             ON CONFLICT (tenant_id, op_id, currency) DO UPDATE SET minor = spending.minor + excluded.minor",
        ).bind(self.tenant.0).bind(op_id).bind(currency).bind(minor).bind(integration_id).bind(action)
         .execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(Spending::Noted)
    }

    /// What an operation noted as spent: in the smallest unit, with the currency.
    ///
    /// # Errors
    /// [`crate::Error::Database`].
    pub async fn spent_by(&self, op_id: Uuid) -> Result<Vec<(i64, String)>> {
        let mut tx = self.read().await?;
        Ok(on!(&mut tx, c => sqlx::query_as(
            "SELECT minor, currency FROM spending WHERE tenant_id = $1 AND op_id = $2",
        ).bind(self.tenant.0).bind(op_id).fetch_all(c).await)?)
    }

    /// Takes back what an operation noted as spent, when it is known that it spent nothing.
    ///
    /// # Errors
    /// [`crate::Error::Database`]; it then counts as spent.
    pub async fn unspend(&self, op_id: Uuid) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx, c => sqlx::query("DELETE FROM spending WHERE tenant_id = $1 AND op_id = $2")
            .bind(self.tenant.0).bind(op_id).execute(c).await.map(drop))?;
        tx.commit().await
    }

    async fn sum_spent(&self, tx: &mut Tx, currency: &str, time: Duration) -> Result<i64> {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Ok(on!(tx, c => sqlx::query_scalar(
            "SELECT CAST(coalesce(sum(minor), 0) AS BIGINT) FROM spending
             WHERE tenant_id = $1 AND currency = $2 AND spent_at > (SELECT now_ms FROM clock) - $3",
        ).bind(self.tenant.0).bind(currency).bind(time).fetch_one(c).await)?)
    }

    /// Forgets calls and spending that no longer count.
    pub(crate) async fn forget_old_calls(&self, tx: &mut Tx, now: i64) -> Result<()> {
        on!(&mut *tx, c => sqlx::query("DELETE FROM recent_calls WHERE tenant_id = $1 AND called_at <= $2")
            .bind(self.tenant.0).bind(now - KEPT_MS).execute(c).await.map(drop))?;
        on!(tx, c => sqlx::query("DELETE FROM spending WHERE tenant_id = $1 AND spent_at <= $2")
            .bind(self.tenant.0).bind(now - KEPT_MS).execute(c).await.map(drop))?;
        Ok(())
    }
}
