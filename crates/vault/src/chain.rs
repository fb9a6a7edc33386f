//! How the audit trail is written: each entry is keyed to the one before it.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    AuditEvent, Error, Result, ResultStatus, TenantScope,
    database::{Tx, on},
    envelope::push_prefixed,
    keyring::hex,
    timestamp::Timestamp,
};

/// The end of a tenant's chain, read in the transaction that will extend it.
pub(crate) struct Head {
    pub(crate) now_ms: i64,
    seq: i64,
    mac: Vec<u8>,
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

impl AuditEvent {
    /// What the mac covers: every column but the mac itself, and the mac before it first.
    fn message(&self, tenant: Uuid) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let bytes = |id: Option<Uuid>| id.map(Uuid::into_bytes);
        for part in [
            b"resto/audit/v1".as_slice(),
            &self.prev_mac,
            &self.seq.to_be_bytes(),
            tenant.as_bytes(),
        ] {
            push_prefixed(&mut out, part);
        }
        let executed_at = Timestamp::new(self.executed_at).micros();
        for part in [
            Some(self.id.as_bytes().as_slice()),
            Some(self.phase.as_bytes()),
            bytes(self.intent_id).as_ref().map(<[u8; 16]>::as_slice),
            Some(self.integration_id.as_bytes()),
            Some(self.action.as_bytes()),
            Some(self.params_hash.as_bytes()),
            self.result_status.as_deref().map(str::as_bytes),
            Some(&executed_at.to_be_bytes()),
            self.duration_ms.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice),
            self.error_message.as_deref().map(str::as_bytes),
            Some(self.actor.as_bytes()),
            bytes(self.op_id).as_ref().map(<[u8; 16]>::as_slice),
            self.generation.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice),
            Some(self.key_id.as_bytes()),
        ] {
            // A missing value differs from an empty one.
            out.push(u8::from(part.is_some()));
            push_prefixed(&mut out, part.unwrap_or_default());
        }
        out
    }
}

impl TenantScope {
    /// What the entry's mac must be, by the root key that it names; none when nothing is known of that key.
    pub(crate) fn expected_mac(&self, event: &AuditEvent) -> Result<Option<[u8; 32]>> {
        let message = event.message(self.tenant.0);
        self.keyring().audit_mac_by(&event.key_id, self.tenant.0, &message)
    }

    /// The end of the chain, and the time; inside a write transaction nobody else extends it.
    pub(crate) async fn head(&self, tx: &mut Tx) -> Result<Head> {
        let (now_ms, seq, mac): (i64, Option<i64>, Option<Vec<u8>>) = on!(tx, c => sqlx::query_as(
            "SELECT c.now_ms, h.seq, h.mac FROM clock c
             LEFT JOIN (SELECT seq, mac FROM integration_audit_log WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1) h ON true",
        ).bind(self.tenant.0).fetch_one(c).await)?;
        Ok(Head { now_ms, seq: seq.unwrap_or(0), mac: mac.unwrap_or_default() })
    }

    /// Adds an entry to the chain.
    pub(crate) async fn append(
        &self,
        tx: &mut Tx,
        head: &mut Head,
        entry: Entry<'_>,
    ) -> Result<()> {
        let mut event = AuditEvent {
            id: entry.id,
            seq: head.seq + 1,
            phase: entry.phase.to_owned(),
            intent_id: entry.intent_id,
            integration_id: entry.integration_id.to_owned(),
            action: entry.action.to_owned(),
            params_hash: entry.params_hash.to_owned(),
            result_status: entry.result_status.map(|status| status.as_str().to_owned()),
            executed_at: entry.executed_at.0,
            duration_ms: entry.duration_ms,
            error_message: entry.error_message.map(|text| clean(text, 512)),
            actor: clean(entry.actor, 200),
            op_id: entry.op_id,
            generation: entry.generation,
            key_id: self.keyring().id(),
            prev_mac: std::mem::take(&mut head.mac),
            mac: Vec::new(),
        };
        event.mac =
            self.keyring().audit_mac(self.tenant.0, &event.message(self.tenant.0))?.to_vec();
        on!(tx, c => sqlx::query(
            "INSERT INTO integration_audit_log (id, tenant_id, integration_id, action, params_hash, result_status,
                executed_at, duration_ms, error_message, seq, phase, intent_id, actor, op_id, generation, key_id,
                prev_mac, mac)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        ).bind(event.id).bind(self.tenant.0).bind(&event.integration_id).bind(&event.action).bind(&event.params_hash)
         .bind(&event.result_status).bind(entry.executed_at).bind(event.duration_ms).bind(&event.error_message)
         .bind(event.seq).bind(&event.phase).bind(event.intent_id).bind(&event.actor).bind(event.op_id)
         .bind(event.generation).bind(&event.key_id).bind(&event.prev_mac).bind(&event.mac)
         .execute(c).await.map(drop))?;
        (head.seq, head.mac) = (event.seq, event.mac);
        Ok(())
    }

    /// The keyed hash of an action's parameters: equal for equal parameters, whatever the order of their names.
    pub(crate) fn params_hash(&self, action: &str, params: &Value) -> Result<String> {
        Ok(self.params_hashes(action, params)?.swap_remove(0))
    }

    /// The keyed hashes of an action's parameters: with the current root key first, then with those before it.
    pub(crate) fn params_hashes(&self, action: &str, params: &Value) -> Result<Vec<String>> {
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
