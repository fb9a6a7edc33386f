//! The audit trail: append-only, each entry keyed to the one before it, so that a change shows.

use serde_json::Value;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Error, Result, ResultStatus, TenantScope,
    database::{Tx, on},
    envelope::push_prefixed,
    keyring::hex,
    timestamp::Timestamp,
};

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

/// How many entries [`TenantScope::verify_audit`] reads at a time.
const BATCH: u32 = 1000;

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
            self.duration_ms
                .map(i32::to_be_bytes)
                .as_ref()
                .map(<[u8; 4]>::as_slice),
            self.error_message.as_deref().map(str::as_bytes),
            Some(self.actor.as_bytes()),
            bytes(self.op_id).as_ref().map(<[u8; 16]>::as_slice),
            self.generation
                .map(i64::to_be_bytes)
                .as_ref()
                .map(<[u8; 8]>::as_slice),
            Some(self.key_id.as_bytes()),
        ] {
            // A missing value differs from an empty one.
            out.push(u8::from(part.is_some()));
            push_prefixed(&mut out, part.unwrap_or_default());
        }
        out
    }

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
    /// [`Error::Database`].
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
    /// [`Error::Database`].
    pub async fn audit_events(&self, after_seq: i64, limit: u32) -> Result<Vec<AuditEvent>> {
        let mut tx = self.read().await?;
        let rows: Vec<EventRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, seq, phase, intent_id, integration_id, action, params_hash, result_status, executed_at,
                duration_ms, error_message, actor, op_id, generation, key_id, prev_mac, mac
             FROM integration_audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        ).bind(self.tenant.0).bind(after_seq).bind(i64::from(limit)).fetch_all(c).await)?;
        Ok(rows.into_iter().map(AuditEvent::from_row).collect())
    }

    /// Recomputes the whole chain. It finds changed, removed, added and moved entries; entries cut off the end
    /// it cannot see, because nothing after them remembers them.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn verify_audit(&self) -> Result<Verification> {
        let mut found = Verification {
            events: 0,
            problems: Vec::new(),
        };
        let (mut seq, mut mac) = (0, Vec::new());
        loop {
            let events = self.audit_events(seq, BATCH).await?;
            if events.is_empty() {
                return Ok(found);
            }
            for event in events {
                found.events += 1;
                for what in self.problems(&event, seq, &mac)? {
                    found.problems.push(Problem {
                        seq: event.seq,
                        what,
                    });
                }
                (seq, mac) = (event.seq, event.mac);
            }
        }
    }

    fn problems(&self, event: &AuditEvent, last_seq: i64, last_mac: &[u8]) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        if event.seq != last_seq + 1 {
            let (from, to) = (last_seq + 1, event.seq - 1);
            problems.push(format!("Entries {from} to {to} are missing."));
        } else if event.prev_mac != last_mac {
            problems.push("It does not follow the entry before it.".into());
        }
        if event.key_id != self.keyring().id() {
            problems.push(format!(
                "It was made with another root key, {}, and cannot be checked.",
                event.key_id
            ));
        } else if !bool::from(self.mac(event)?.as_slice().ct_eq(&event.mac)) {
            problems.push("It was changed, or not written by this program.".into());
        }
        Ok(problems)
    }

    fn mac(&self, event: &AuditEvent) -> Result<[u8; 32]> {
        self.keyring()
            .audit_mac(self.tenant.0, &event.message(self.tenant.0))
    }

    /// The end of the chain, and the time; inside a write transaction nobody else extends it.
    pub(crate) async fn head(&self, tx: &mut Tx) -> Result<Head> {
        let (now_ms, seq, mac): (i64, Option<i64>, Option<Vec<u8>>) = on!(tx, c => sqlx::query_as(
            "SELECT c.now_ms, h.seq, h.mac FROM clock c
             LEFT JOIN (SELECT seq, mac FROM integration_audit_log WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1) h ON true",
        ).bind(self.tenant.0).fetch_one(c).await)?;
        Ok(Head {
            now_ms,
            seq: seq.unwrap_or(0),
            mac: mac.unwrap_or_default(),
        })
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
        event.mac = self.mac(&event)?.to_vec();
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
        let canonical = serde_json_canonicalizer::to_vec(params).map_err(|_| {
            Error::Invalid("The parameters hold a number that JSON cannot carry.".into())
        })?;
        let mut message = Vec::with_capacity(64 + action.len() + canonical.len());
        push_prefixed(&mut message, b"resto/params/v1");
        push_prefixed(&mut message, self.tenant.0.as_bytes());
        push_prefixed(&mut message, action.as_bytes());
        message.extend_from_slice(&canonical);
        Ok(hex(&self.keyring().params_mac(self.tenant.0, &message)?))
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
