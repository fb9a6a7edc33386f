//! The audit trail: append-only, each entry keyed to the one before it, so that a change shows.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Result, ResultStatus, TenantScope, later};

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

/// What [`TenantScope::verify_audit`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many entries were read.
    pub events: u64,
    /// What is wrong; empty when the trail is whole.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry where it shows.
    pub seq: i64,
    /// What is wrong, in one sentence.
    pub what: String,
}

impl TenantScope {
    /// The tenant's actions, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>> {
        let _ = filter;
        later()
    }

    /// The entries after `after_seq` in order, as stored, for an export.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn audit_events(&self, after_seq: i64, limit: u32) -> Result<Vec<AuditEvent>> {
        let _ = (after_seq, limit);
        later()
    }

    /// Recomputes the whole chain. It finds changed, removed, added and moved entries; entries cut off the end
    /// it cannot see, because nothing after them remembers them.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn verify_audit(&self) -> Result<Verification> {
        later()
    }
}
