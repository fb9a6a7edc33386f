//! The audit trail: append-only, each entry keyed to the one before it, so that a change shows.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Result, ResultStatus, TenantScope, database::on, timestamp::Timestamp};

/// Which actions to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only this integration.
    pub integration: Option<String>,
    /// At most this many.
    pub limit: u32,
    /// Only entries before this `seq`, to read on.
    pub before_seq: Option<i64>,
}

/// One action as people read it: the intent with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The intent's id.
    pub id: Uuid,
    /// The intent's place in the tenant's trail.
    pub seq: i64,
    /// The integration.
    pub integration_id: String,
    /// The action.
    pub action: String,
    /// Keyed hash of the parameters, 64 hexadecimal digits.
    pub params_hash: String,
    /// How it ended; none while it runs.
    pub result_status: Option<ResultStatus>,
    /// When it began.
    pub executed_at: OffsetDateTime,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i32>,
    /// The code and short text of a failure.
    pub error_message: Option<String>,
    /// Who acted.
    pub actor: String,
    /// The operation, for unsafe actions.
    pub op_id: Option<Uuid>,
}

/// One entry of the trail as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The entry's id.
    pub id: Uuid,
    /// Its place in the tenant's trail, from 1 without gaps.
    pub seq: i64,
    /// `intent`, `result` or `reconciled`.
    pub phase: String,
    /// The intent that a result belongs to.
    pub intent_id: Option<Uuid>,
    /// The integration.
    pub integration_id: String,
    /// The action.
    pub action: String,
    /// Keyed hash of the parameters, 64 hexadecimal digits.
    pub params_hash: String,
    /// `success`, `error`, `denied` or `unknown`; none for an intent.
    pub result_status: Option<String>,
    /// When the action began.
    pub executed_at: OffsetDateTime,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i32>,
    /// The code and short text of a failure.
    pub error_message: Option<String>,
    /// Who acted.
    pub actor: String,
    /// The operation, for unsafe actions.
    pub op_id: Option<Uuid>,
    /// The generation of the credential in use.
    pub generation: Option<i64>,
    /// The id of the root key that `mac` was made with.
    pub key_id: String,
    /// The `mac` of the entry before; empty for the first.
    pub prev_mac: Vec<u8>,
    /// HMAC-SHA256 over the entry and `prev_mac`.
    pub mac: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    id: Uuid,
    seq: i64,
    phase: String,
    intent_id: Option<Uuid>,
    integration_id: String,
    action: String,
    params_hash: Option<String>,
    result_status: Option<String>,
    executed_at: Timestamp,
    duration_ms: Option<i32>,
    error_message: Option<String>,
    actor: String,
    op_id: Option<Uuid>,
    generation: Option<i64>,
    key_id: String,
    prev_mac: Vec<u8>,
    mac: Vec<u8>,
}

/// The columns that the view shows.
#[derive(sqlx::FromRow)]
struct EntryRow {
    id: Uuid,
    seq: i64,
    integration_id: String,
    action: String,
    params_hash: Option<String>,
    result_status: Option<String>,
    executed_at: Timestamp,
    duration_ms: Option<i32>,
    error_message: Option<String>,
    actor: String,
    op_id: Option<Uuid>,
}

impl AuditEvent {
    fn from_row(row: EventRow) -> Self {
        Self {
            id: row.id,
            seq: row.seq,
            phase: row.phase,
            intent_id: row.intent_id,
            integration_id: row.integration_id,
            action: row.action,
            params_hash: row.params_hash.unwrap_or_default(),
            result_status: row.result_status,
            executed_at: row.executed_at.0,
            duration_ms: row.duration_ms,
            error_message: row.error_message,
            actor: row.actor,
            op_id: row.op_id,
            generation: row.generation,
            key_id: row.key_id,
            prev_mac: row.prev_mac,
            mac: row.mac,
        }
    }
}

impl TenantScope {
    /// The tenant's actions, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>> {
        let mut tx = self.read().await?;
        let rows: Vec<EntryRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, seq, integration_id, action, params_hash, result_status, executed_at, duration_ms, error_message,
                actor, op_id
             FROM integration_actions
             WHERE tenant_id = $1 AND seq < $2 AND ($3 IS NULL OR integration_id = $3)
             ORDER BY seq DESC LIMIT $4",
        ).bind(self.tenant.0).bind(filter.before_seq.unwrap_or(i64::MAX)).bind(&filter.integration)
         .bind(i64::from(filter.limit)).fetch_all(c).await)?;
        rows.into_iter()
            .map(|row| {
                Ok(AuditEntry {
                    id: row.id,
                    seq: row.seq,
                    integration_id: row.integration_id,
                    action: row.action,
                    params_hash: row.params_hash.unwrap_or_default(),
                    result_status: row
                        .result_status
                        .as_deref()
                        .map(ResultStatus::parse)
                        .transpose()?,
                    executed_at: row.executed_at.0,
                    duration_ms: row.duration_ms,
                    error_message: row.error_message,
                    actor: row.actor,
                    op_id: row.op_id,
                })
            })
            .collect()
    }

    /// The entries after `after_seq` in order, as stored, for an export.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn audit_events(&self, after_seq: i64, limit: u32) -> Result<Vec<AuditEvent>> {
        let mut tx = self.read().await?;
        let rows: Vec<EventRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, seq, phase, intent_id, integration_id, action, params_hash, result_status, executed_at,
                duration_ms, error_message, actor, op_id, generation, key_id, prev_mac, mac
             FROM integration_audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        ).bind(self.tenant.0).bind(after_seq).bind(i64::from(limit)).fetch_all(c).await)?;
        Ok(rows.into_iter().map(AuditEvent::from_row).collect())
    }
}
