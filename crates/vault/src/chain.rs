//! How the audit trail is written: each entry is keyed to the one before it.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Anchor, AuditEvent, Error, Result, ResultStatus, TenantScope,
    database::{Tx, on},
    envelope::push_prefixed,
    keyring::{AuditKey, hex},
    timestamp::{Timestamp, from_millis},
};

/// The end of a tenant's chain, as the transaction finds it that will extend it.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) now_ms: i64,
    pub(crate) seq: i64,
    pub(crate) mac: Vec<u8>,
}

/// What an entry says, before it has its place in the chain.
pub(crate) struct Entry<'a> {
    pub(crate) id: Uuid,
    pub(crate) phase: &'static str,
    pub(crate) intent_id: Option<Uuid>,
    pub(crate) integration_id: &'a str,
    pub(crate) action: &'a str,
    pub(crate) params_hash: &'a str,
    pub(crate) result_status: Option<ResultStatus>,
    pub(crate) executed_at: Timestamp,
    pub(crate) duration_ms: Option<i32>,
    pub(crate) error_message: Option<&'a str>,
    pub(crate) actor: &'a str,
    pub(crate) op_id: Option<Uuid>,
    pub(crate) generation: Option<i64>,
}

/// The columns of an entry that its mac covers: all but the mac itself.
#[derive(Clone, Copy)]
pub(crate) struct Covered<'a> {
    pub(crate) prev_mac: &'a [u8],
    pub(crate) seq: i64,
    pub(crate) id: Uuid,
    pub(crate) phase: &'a str,
    pub(crate) intent_id: Option<Uuid>,
    pub(crate) integration_id: &'a str,
    pub(crate) action: &'a str,
    pub(crate) params_hash: &'a str,
    pub(crate) result_status: Option<&'a str>,
    pub(crate) executed_at: Timestamp,
    pub(crate) duration_ms: Option<i32>,
    pub(crate) error_message: Option<&'a str>,
    pub(crate) actor: &'a str,
    pub(crate) op_id: Option<Uuid>,
    pub(crate) generation: Option<i64>,
    pub(crate) key_id: &'a str,
}

impl Covered<'_> {
    /// The mac of this entry in the tenant's chain. `buffer` spares an allocation for each entry.
    pub(crate) fn mac(&self, tenant: Uuid, key: &AuditKey, buffer: &mut Vec<u8>) -> [u8; 32] {
        buffer.clear();
        for part in [
            b"resto/audit/v1".as_slice(),
            self.prev_mac,
            &self.seq.to_be_bytes(),
            tenant.as_bytes(),
        ] {
            push_prefixed(buffer, part);
        }
        for part in [
            Some(self.id.as_bytes().as_slice()),
            Some(self.phase.as_bytes()),
            self.intent_id.as_ref().map(|id| id.as_bytes().as_slice()),
            Some(self.integration_id.as_bytes()),
            Some(self.action.as_bytes()),
            Some(self.params_hash.as_bytes()),
            self.result_status.map(str::as_bytes),
            Some(&self.executed_at.micros().to_be_bytes()),
            self.duration_ms.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice),
            self.error_message.map(str::as_bytes),
            Some(self.actor.as_bytes()),
            self.op_id.as_ref().map(|id| id.as_bytes().as_slice()),
            self.generation.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice),
            Some(self.key_id.as_bytes()),
        ] {
            // A missing value differs from an empty one.
            buffer.push(u8::from(part.is_some()));
            push_prefixed(buffer, part.unwrap_or_default());
        }
        key.mac(buffer)
    }
}

/// A tenant's chain while it is extended.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) head: Head,
    /// Where it ended before.
    start: i64,
    tenant: Uuid,
    key: AuditKey,
    key_id: String,
}

impl Chain {
    /// What was added: its first entry, and its last one as an anchor.
    pub(crate) fn added(&self) -> (i64, Anchor) {
        let (seq, mac) = (self.head.seq, hex(&self.head.mac));
        let at = from_millis(self.head.now_ms);
        (self.start + 1, Anchor { tenant: self.tenant, seq, mac, at })
    }

    /// Gives an entry its place at the end.
    pub(crate) fn link(&mut self, entry: &Entry<'_>) -> AuditEvent {
        let error_message = entry.error_message.map(|text| clean(text, 512));
        let actor = clean(entry.actor, 200);
        let covered = Covered {
            prev_mac: &self.head.mac,
            seq: self.head.seq + 1,
            id: entry.id,
            phase: entry.phase,
            intent_id: entry.intent_id,
            integration_id: entry.integration_id,
            action: entry.action,
            params_hash: entry.params_hash,
            result_status: entry.result_status.map(ResultStatus::as_str),
            executed_at: Timestamp::new(entry.executed_at.0),
            duration_ms: entry.duration_ms,
            error_message: error_message.as_deref(),
            actor: &actor,
            op_id: entry.op_id,
            generation: entry.generation,
            key_id: &self.key_id,
        };
        let mac = covered.mac(self.tenant, &self.key, &mut Vec::with_capacity(512)).to_vec();
        self.head.seq += 1;
        AuditEvent {
            id: entry.id,
            seq: self.head.seq,
            phase: entry.phase.to_owned(),
            intent_id: entry.intent_id,
            integration_id: entry.integration_id.to_owned(),
            action: entry.action.to_owned(),
            params_hash: entry.params_hash.to_owned(),
            result_status: entry.result_status.map(|status| status.as_str().to_owned()),
            executed_at: entry.executed_at.0,
            duration_ms: entry.duration_ms,
            error_message,
            actor,
            op_id: entry.op_id,
            generation: entry.generation,
            key_id: self.key_id.clone(),
            prev_mac: std::mem::replace(&mut self.head.mac, mac.clone()),
            mac,
        }
    }
}

impl TenantScope {
    /// The end of the chain, and the time; inside a write transaction nobody else extends it.
    pub(crate) async fn head(&self, tx: &mut Tx) -> Result<Head> {
        let (now_ms, seq, mac): (i64, Option<i64>, Option<Vec<u8>>) = on!(tx, c => sqlx::query_as(
            "SELECT c.now_ms, h.seq, h.mac FROM clock c
             LEFT JOIN (SELECT seq, mac FROM integration_audit_log WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1) h ON true",
        ).bind(self.tenant.0).fetch_one(c).await)?;
        Ok(Head { now_ms, seq: seq.unwrap_or(0), mac: mac.unwrap_or_default() })
    }

    /// The chain that ends here.
    pub(crate) fn chain(&self, head: Head) -> Result<Chain> {
        let key = self.keyring().audit_key(self.tenant.0)?;
        let start = head.seq;
        Ok(Chain { head, start, tenant: self.tenant.0, key, key_id: self.keyring().id() })
    }

    /// The keyed hashes of an action's parameters, as the audit trail holds them: with the current root key first, then with
    /// those before it. Whoever has the keys can so check a guess.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number that JSON cannot carry.
    pub fn params_hashes(&self, action: &str, params: &Value) -> Result<Vec<String>> {
        let canonical = serde_json_canonicalizer::to_vec(params).map_err(|_| {
            Error::Invalid("The parameters hold a number that JSON cannot carry.".into())
        })?;
        let mut message = Vec::with_capacity(64 + action.len() + canonical.len());
        push_prefixed(&mut message, b"resto/params/v1");
        push_prefixed(&mut message, self.tenant.0.as_bytes());
        push_prefixed(&mut message, action.as_bytes());
        message.extend_from_slice(&canonical);
        let macs = self.keyring().params_macs(self.tenant.0, &message)?;
        Ok(macs.iter().map(|mac| hex(mac)).collect())
    }
}

/// Cuts a text, and removes what could forge a line or turn its reading direction.
pub(crate) fn clean(text: &str, max_chars: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .filter(|c| !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .take(max_chars)
        .collect()
}
