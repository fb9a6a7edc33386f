//! The rows that an addition consists of, as both databases read them: lists of objects in JSON.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::{Uuid, fmt::Simple};

use crate::{AuditEvent, TenantId, keyring::hex, lookup::Version, timestamp::Timestamp};

/// Bytes are hexadecimal digits in JSON, as ids are.
pub(super) struct Hex(pub(super) Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

#[derive(Serialize)]
pub(super) struct Closed {
    pub(super) intent: Simple,
    pub(super) tenant: Simple,
    pub(super) is_open: bool,
}

/// Where a trail ends that is extended.
#[derive(Serialize)]
pub(super) struct EndOf {
    pub(super) tenant: Simple,
    pub(super) seq: i64,
    pub(super) now_ms: i64,
}

/// A connection of which more was used than what cannot change.
#[derive(Serialize)]
pub(super) struct Relied {
    pub(super) tenant: Simple,
    pub(super) id: Simple,
    #[serde(flatten)]
    pub(super) version: Version,
}

/// An entry on its way to PostgreSQL.
#[derive(Serialize)]
pub(super) struct EntryRow<'a> {
    pub(super) id: Simple,
    pub(super) tenant: Simple,
    pub(super) integration: &'a str,
    pub(super) action: &'a str,
    pub(super) params_hash: &'a str,
    pub(super) status: Option<&'a str>,
    pub(super) executed_at: String,
    pub(super) duration_ms: Option<i32>,
    pub(super) error: Option<&'a str>,
    pub(super) seq: i64,
    pub(super) phase: &'a str,
    pub(super) intent: Option<Simple>,
    pub(super) actor: &'a str,
    pub(super) op: Option<Simple>,
    pub(super) generation: Option<i64>,
    pub(super) key_id: &'a str,
    pub(super) prev_mac: Hex,
    pub(super) mac: Hex,
}

impl<'a> EntryRow<'a> {
    pub(super) fn new((tenant, event): &'a (TenantId, AuditEvent)) -> Self {
        Self {
            id: event.id.simple(),
            tenant: tenant.0.simple(),
            integration: &event.integration_id,
            action: &event.action,
            params_hash: &event.params_hash,
            status: event.result_status.as_deref(),
            executed_at: Timestamp(event.executed_at).text(),
            duration_ms: event.duration_ms,
            error: event.error_message.as_deref(),
            seq: event.seq,
            phase: &event.phase,
            intent: event.intent_id.map(Uuid::simple),
            actor: &event.actor,
            op: event.op_id.map(Uuid::simple),
            generation: event.generation,
            key_id: &event.key_id,
            prev_mac: Hex(event.prev_mac.clone()),
            mac: Hex(event.mac.clone()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Opened {
    pub(super) intent: Simple,
    pub(super) tenant: Simple,
    pub(super) alive_at: i64,
}

#[derive(Serialize)]
pub(super) struct Entered {
    pub(super) tenant: Simple,
    pub(super) op: Simple,
    pub(super) integration: String,
    pub(super) action: String,
    pub(super) params_hash: String,
    pub(super) started_at: i64,
}

#[derive(Serialize)]
pub(super) struct Left {
    pub(super) tenant: Simple,
    pub(super) op: Simple,
    pub(super) state: &'static str,
    pub(super) outcome: Hex,
    pub(super) key_id: Hex,
    pub(super) expires_at: i64,
}

#[derive(Serialize)]
pub(super) struct Withdrawn {
    pub(super) tenant: Simple,
    pub(super) op: Simple,
}

#[derive(Serialize)]
pub(super) struct UseRow {
    pub(super) tenant: Simple,
    pub(super) id: Simple,
    pub(super) generation: i64,
    pub(super) used_at: String,
    /// A use that was noted later than this need not be noted again.
    pub(super) stale_at: String,
    /// By resource; what is stored of others stays.
    #[serde(serialize_with = "text")]
    pub(super) rate_limits: Option<Map<String, Value>>,
    pub(super) permissions: Option<String>,
    pub(super) sealed: Option<Hex>,
}

/// A document within a document of the database is a text there.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn text<S: Serializer>(
    value: &Option<Map<String, Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => {
            let text = serde_json::to_string(value).map_err(serde::ser::Error::custom)?;
            serializer.serialize_some(&text)
        }
        None => serializer.serialize_none(),
    }
}
