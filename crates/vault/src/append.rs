//! What one transaction adds to the audit trail and changes beside it: collected first, then written in one statement.

use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    AuditEvent, Error, Result, TenantId,
    database::{TxOn, on},
    keyring::hex,
    operations::KEPT_MS,
    timestamp::Timestamp,
};

/// Each list becomes one JSON text, which both databases read as rows.
const SQLITE: &str = "
    DELETE FROM open_intents WHERE intent_id IN (SELECT unhex(value ->> 'intent') FROM json_each($1));
    INSERT INTO integration_audit_log (id, tenant_id, integration_id, action, params_hash, result_status, executed_at,
        duration_ms, error_message, seq, phase, intent_id, actor, op_id, generation, key_id, prev_mac, mac)
    SELECT unhex(value ->> 'id'), unhex(value ->> 'tenant'), value ->> 'integration', value ->> 'action',
        value ->> 'params_hash', value ->> 'status', value ->> 'executed_at', value ->> 'duration_ms', value ->> 'error',
        value ->> 'seq', value ->> 'phase', unhex(value ->> 'intent'), value ->> 'actor', unhex(value ->> 'op'),
        value ->> 'generation', value ->> 'key_id', unhex(value ->> 'prev_mac'), unhex(value ->> 'mac')
    FROM json_each($2);
    INSERT INTO open_intents (intent_id, tenant_id, started_at)
    SELECT unhex(value ->> 'intent'), unhex(value ->> 'tenant'), value ->> 'started_at' FROM json_each($3);
    INSERT INTO integration_operations (tenant_id, op_id, integration_id, action, params_hash, state, started_at)
    SELECT unhex(value ->> 'tenant'), unhex(value ->> 'op'), value ->> 'integration', value ->> 'action',
        value ->> 'params_hash', 'executing', value ->> 'started_at'
    FROM json_each($4);
    UPDATE integration_operations
    SET state = l.value ->> 'state', outcome = unhex(l.value ->> 'outcome'), key_id = unhex(l.value ->> 'key_id'),
        expires_at = l.value ->> 'expires_at'
    FROM json_each($5) l
    WHERE tenant_id = unhex(l.value ->> 'tenant') AND op_id = unhex(l.value ->> 'op');
    DELETE FROM integration_operations WHERE (tenant_id, op_id) IN
        (SELECT unhex(value ->> 'tenant'), unhex(value ->> 'op') FROM json_each($6));
    UPDATE integration_credentials
    SET last_used_at = u.value ->> 'used_at', rate_limits = coalesce(u.value ->> 'rate_limits', rate_limits),
        permissions_granted = coalesce(u.value ->> 'permissions', permissions_granted),
        encrypted_credentials = coalesce(unhex(u.value ->> 'sealed'), encrypted_credentials)
    FROM json_each($7) u
    WHERE tenant_id = unhex(u.value ->> 'tenant') AND integration_credentials.id = unhex(u.value ->> 'id')
        AND generation = u.value ->> 'generation'";
const POSTGRES: &str = "SELECT append_audit($1, $2, $3, $4, $5, $6, $7)";

/// The rows of one transaction.
#[derive(Default)]
pub(crate) struct Additions {
    closed: Vec<Closed>,
    entries: Vec<EntryRow>,
    opened: Vec<Opened>,
    entered: Vec<Entered>,
    left: Vec<Left>,
    withdrawn: Vec<Withdrawn>,
    used: Vec<Used>,
}

/// Bytes and ids are hexadecimal digits in JSON.
struct Hex(Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl From<Uuid> for Hex {
    fn from(id: Uuid) -> Self {
        Self(id.as_bytes().to_vec())
    }
}

impl From<TenantId> for Hex {
    fn from(tenant: TenantId) -> Self {
        tenant.0.into()
    }
}

#[derive(Serialize)]
struct Closed {
    intent: Hex,
}

#[derive(Serialize)]
struct EntryRow {
    id: Hex,
    tenant: Hex,
    integration: String,
    action: String,
    params_hash: String,
    status: Option<String>,
    executed_at: String,
    duration_ms: Option<i32>,
    error: Option<String>,
    seq: i64,
    phase: String,
    intent: Option<Hex>,
    actor: String,
    op: Option<Hex>,
    generation: Option<i64>,
    key_id: String,
    prev_mac: Hex,
    mac: Hex,
}

#[derive(Serialize)]
struct Opened {
    intent: Hex,
    tenant: Hex,
    started_at: i64,
}

#[derive(Serialize)]
struct Entered {
    tenant: Hex,
    op: Hex,
    integration: String,
    action: String,
    params_hash: String,
    started_at: i64,
}

#[derive(Serialize)]
struct Left {
    tenant: Hex,
    op: Hex,
    state: &'static str,
    outcome: Hex,
    key_id: Hex,
    expires_at: i64,
}

#[derive(Serialize)]
struct Withdrawn {
    tenant: Hex,
    op: Hex,
}

#[derive(Serialize)]
struct Used {
    tenant: Hex,
    id: Hex,
    generation: i64,
    used_at: String,
    rate_limits: Option<String>,
    permissions: Option<String>,
    sealed: Option<Hex>,
}

/// What became of a connection in use.
pub(crate) struct Use<'a> {
    pub(crate) id: Uuid,
    pub(crate) generation: i64,
    pub(crate) at: Timestamp,
    pub(crate) rate_limits: Option<&'a Value>,
    /// Changed permissions, with the credential sealed anew.
    pub(crate) permissions: Option<(&'a Value, Vec<u8>)>,
}

impl Additions {
    pub(crate) fn entry(&mut self, tenant: TenantId, event: AuditEvent) {
        self.entries.push(EntryRow {
            id: event.id.into(),
            tenant: tenant.into(),
            integration: event.integration_id,
            action: event.action,
            params_hash: event.params_hash,
            status: event.result_status,
            executed_at: Timestamp(event.executed_at).text(),
            duration_ms: event.duration_ms,
            error: event.error_message,
            seq: event.seq,
            phase: event.phase,
            intent: event.intent_id.map(Hex::from),
            actor: event.actor,
            op: event.op_id.map(Hex::from),
            generation: event.generation,
            key_id: event.key_id,
            prev_mac: Hex(event.prev_mac),
            mac: Hex(event.mac),
        });
    }

    /// Puts an intent on the list of those without a result.
    pub(crate) fn open(&mut self, tenant: TenantId, intent: Uuid, started_at: i64) {
        self.opened.push(Opened { intent: intent.into(), tenant: tenant.into(), started_at });
    }

    /// Takes an intent off that list.
    pub(crate) fn close(&mut self, intent: Uuid) {
        self.closed.push(Closed { intent: intent.into() });
    }

    /// Enters an operation as executing.
    pub(crate) fn enter(
        &mut self,
        tenant: TenantId,
        op: Uuid,
        (integration, action, params_hash): (&str, &str, &str),
        started_at: i64,
    ) {
        self.entered.push(Entered {
            tenant: tenant.into(),
            op: op.into(),
            integration: integration.to_owned(),
            action: action.to_owned(),
            params_hash: params_hash.to_owned(),
            started_at,
        });
    }

    /// Stores an operation's sealed outcome for those who repeat the call.
    pub(crate) fn leave(
        &mut self,
        tenant: TenantId,
        op: Uuid,
        state: &'static str,
        (outcome, key_id): (Vec<u8>, Vec<u8>),
        now_ms: i64,
    ) {
        self.left.push(Left {
            tenant: tenant.into(),
            op: op.into(),
            state,
            outcome: Hex(outcome),
            key_id: Hex(key_id),
            expires_at: now_ms + KEPT_MS,
        });
    }

    /// Forgets an operation that never ran, so that it can be asked for again.
    pub(crate) fn withdraw(&mut self, tenant: TenantId, op: Uuid) {
        self.withdrawn.push(Withdrawn { tenant: tenant.into(), op: op.into() });
    }

    /// Notes the use of a connection, once for all calls of one transaction: the latest of each fact stands.
    pub(crate) fn used(&mut self, tenant: TenantId, latest: Use<'_>) {
        let text = |value: &Value| value.to_string();
        let rate_limits = latest.rate_limits.map(text);
        let (permissions, sealed) =
            latest.permissions.map(|(value, sealed)| (text(value), Hex(sealed))).unzip();
        let (id, generation) = (Hex::from(latest.id), latest.generation);
        let used_at = latest.at.text();
        match self.used.iter_mut().find(|row| row.id.0 == id.0 && row.generation == generation) {
            Some(row) => {
                // One width, so that the later text is the later time.
                row.used_at = used_at.max(std::mem::take(&mut row.used_at));
                row.rate_limits = rate_limits.or_else(|| row.rate_limits.take());
                if permissions.is_some() {
                    (row.permissions, row.sealed) = (permissions, sealed);
                }
            }
            None => self.used.push(Used {
                tenant: tenant.into(),
                id,
                generation,
                used_at,
                rate_limits,
                permissions,
                sealed,
            }),
        }
    }

    /// Writes all of it; durable when the transaction commits.
    pub(crate) async fn write(&self, tx: &mut TxOn<'_>) -> Result<()> {
        let text = tx.text(SQLITE, POSTGRES);
        let lists = [
            json(&self.closed)?,
            json(&self.entries)?,
            json(&self.opened)?,
            json(&self.entered)?,
            json(&self.left)?,
            json(&self.withdrawn)?,
            json(&self.used)?,
        ];
        on!(tx, c => {
            let mut query = sqlx::query(text);
            for list in &lists {
                query = query.bind(list);
            }
            query.execute(c).await.map(drop)
        })?;
        Ok(())
    }
}

fn json<T: Serialize>(list: &[T]) -> Result<String> {
    serde_json::to_string(list).map_err(|_| Error::CannotOpen)
}
