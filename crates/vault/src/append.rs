//! What one transaction adds to the audit trail and changes beside it: collected first, then written in one statement.

mod rows;

use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, QueryBuilder, Sqlite, SqliteConnection};
use time::Duration;
use uuid::Uuid;

use crate::{
    AuditEvent, Result, TenantId,
    database::{On, TxOn},
    lookup::Version,
    operations::KEPT_MS,
    timestamp::Timestamp,
    tokens::LAST_USED_EVERY_MS,
};
use rows::{Closed, EndOf, Entered, EntryRow, Hex, Left, Opened, Relied, UseRow, Withdrawn};

/// The columns of the entries, which are bound one by one: most of what is written, and JSON would cost as much again.
const SQLITE_ENTRIES: &str = "
    INSERT INTO integration_audit_log (id, tenant_id, integration_id, action, params_hash, result_status, executed_at,
        duration_ms, error_message, seq, phase, intent_id, actor, op_id, generation, key_id, prev_mac, mac) ";
/// Each other list becomes one JSON text, which both databases read as rows.
const SQLITE: [&str; 6] = [
    "
    DELETE FROM open_intents WHERE intent_id IN (SELECT unhex(value ->> 'intent') FROM json_each(?))",
    "
    INSERT INTO open_intents (intent_id, tenant_id, alive_at)
    SELECT unhex(value ->> 'intent'), unhex(value ->> 'tenant'), value ->> 'alive_at' FROM json_each(?)",
    "
    INSERT INTO integration_operations (tenant_id, op_id, integration_id, action, params_hash, state, started_at)
    SELECT unhex(value ->> 'tenant'), unhex(value ->> 'op'), value ->> 'integration', value ->> 'action',
        value ->> 'params_hash', 'executing', value ->> 'started_at'
    FROM json_each(?)",
    "
    UPDATE integration_operations
    SET state = l.value ->> 'state', outcome = unhex(l.value ->> 'outcome'), key_id = unhex(l.value ->> 'key_id'),
        expires_at = l.value ->> 'expires_at'
    FROM json_each(?) l
    WHERE tenant_id = unhex(l.value ->> 'tenant') AND op_id = unhex(l.value ->> 'op')",
    "
    DELETE FROM integration_operations WHERE (tenant_id, op_id) IN
        (SELECT unhex(value ->> 'tenant'), unhex(value ->> 'op') FROM json_each(?))",
    "
    UPDATE integration_credentials
    SET last_used_at = u.value ->> 'used_at', rate_limits = CASE WHEN u.value ->> 'rate_limits' IS NULL THEN rate_limits
            ELSE json_patch(coalesce(rate_limits, '{}'), u.value ->> 'rate_limits') END,
        permissions_granted = coalesce(u.value ->> 'permissions', permissions_granted),
        encrypted_credentials = coalesce(unhex(u.value ->> 'sealed'), encrypted_credentials)
    FROM json_each(?) u
    WHERE tenant_id = unhex(u.value ->> 'tenant') AND integration_credentials.id = unhex(u.value ->> 'id')
        AND generation = u.value ->> 'generation'
        AND (last_used_at IS NULL OR last_used_at <= u.value ->> 'stale_at' OR u.value ->> 'rate_limits' IS NOT NULL
            OR u.value ->> 'sealed' IS NOT NULL)",
];
const POSTGRES: &str = "SELECT append_audit($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// How many entries SQLite inserts by one statement, so that not too many and no large ones are kept prepared.
const CHUNK: usize = 32;

/// The rows of one transaction.
#[derive(Default)]
pub(crate) struct Additions {
    closed: Vec<Closed>,
    entries: Vec<(TenantId, AuditEvent)>,
    opened: Vec<Opened>,
    entered: Vec<Entered>,
    left: Vec<Left>,
    withdrawn: Vec<Withdrawn>,
    used: Vec<UseRow>,
    heads: Vec<EndOf>,
    relied: Vec<Relied>,
}

/// What came of it.
pub(crate) enum Committed {
    /// It is durable; the tenants were kept meanwhile.
    Kept,
    /// It is durable since this time of the database.
    At(i64),
    /// Another writer was faster, and nothing was written.
    Overtaken,
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
        self.entries.push((tenant, event));
    }

    /// Puts an intent on the list of those without a result.
    pub(crate) fn open(&mut self, tenant: TenantId, intent: Uuid, alive_at: i64) {
        self.opened.push(Opened { intent: intent.simple(), tenant: tenant.0.simple(), alive_at });
    }

    /// Takes an intent off that list, where it is on it.
    pub(crate) fn close(&mut self, tenant: TenantId, intent: Uuid, is_open: bool) {
        self.closed.push(Closed { intent: intent.simple(), tenant: tenant.0.simple(), is_open });
    }

    /// The entries of a tenant go on from this one, which was the last, at this time.
    pub(crate) fn go_on_from(&mut self, tenant: TenantId, seq: i64, now_ms: i64) {
        self.heads.push(EndOf { tenant: tenant.0.simple(), seq, now_ms });
    }

    /// The connection must be the same still, where it could have changed since it was looked up.
    pub(crate) fn rely(&mut self, tenant: TenantId, connection: Uuid, version: Option<Version>) {
        let row = |version| Relied { tenant: tenant.0.simple(), id: connection.simple(), version };
        self.relied.extend(version.map(row));
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
            tenant: tenant.0.simple(),
            op: op.simple(),
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
            tenant: tenant.0.simple(),
            op: op.simple(),
            state,
            outcome: Hex(outcome),
            key_id: Hex(key_id),
            expires_at: now_ms + KEPT_MS,
        });
    }

    /// Forgets an operation that never ran, so that it can be asked for again.
    pub(crate) fn withdraw(&mut self, tenant: TenantId, op: Uuid) {
        self.withdrawn.push(Withdrawn { tenant: tenant.0.simple(), op: op.simple() });
    }

    /// Notes the use of a connection, once for all calls of one transaction: the latest of each fact stands.
    pub(crate) fn used(&mut self, tenant: TenantId, latest: Use<'_>) {
        let rate_limits = latest.rate_limits.and_then(Value::as_object).cloned();
        let (permissions, sealed) =
            latest.permissions.map(|(value, sealed)| (value.to_string(), Hex(sealed))).unzip();
        let (id, generation) = (latest.id.simple(), latest.generation);
        let used_at = latest.at.text();
        let stale_at = stale_at(latest.at).text();
        match self.used.iter_mut().find(|row| row.id == id && row.generation == generation) {
            Some(row) => {
                // One width, so that the later text is the later time.
                row.used_at = used_at.max(std::mem::take(&mut row.used_at));
                row.stale_at = stale_at.max(std::mem::take(&mut row.stale_at));
                if let Some(news) = rate_limits {
                    row.rate_limits.get_or_insert_default().extend(news);
                }
                if permissions.is_some() {
                    (row.permissions, row.sealed) = (permissions, sealed);
                }
            }
            None => self.used.push(UseRow {
                tenant: tenant.0.simple(),
                id,
                generation,
                used_at,
                stale_at,
                rate_limits,
                permissions,
                sealed,
            }),
        }
    }

    /// Writes all of it; durable when the transaction commits.
    pub(crate) async fn write(&self, tx: &mut TxOn<'_>) -> Result<()> {
        match tx {
            TxOn::Sqlite(tx) => self.write_sqlite(tx, "").await,
            TxOn::Postgres(tx) => Ok(self.write_postgres(tx, true).await.map(drop)?),
        }
    }

    /// Writes all of it, and commits. `committing` tells what a failure, or giving up on it, leaves unsaid.
    pub(crate) async fn commit(&self, tx: TxOn<'_>, committing: &mut bool) -> Result<Committed> {
        match tx {
            TxOn::Sqlite(mut tx) => {
                // A round trip to the driver's thread less. Whoever gives up cannot know how far it came.
                *committing = true;
                let committed = self.write_sqlite(&mut tx, "; COMMIT").await;
                *committing = false;
                committed.map(|()| Committed::Kept)
            }
            TxOn::Postgres(On::Own(mut tx)) => {
                self.write_postgres(&mut tx, true).await?;
                *committing = true;
                tx.commit().await?;
                Ok(Committed::Kept)
            }
            TxOn::Postgres(mut alone) => {
                *committing = true;
                let written = self.write_postgres(&mut alone, false).await;
                *committing = written.as_ref().is_err_and(|error| !is_refusal(error));
                Ok(written?.map_or(Committed::Overtaken, Committed::At))
            }
        }
    }

    /// The lists, and the entries, whose number differs: few enough that not many statements are kept prepared.
    async fn write_sqlite(&self, to: &mut SqliteConnection, end: &'static str) -> Result<()> {
        let mut chunks = self.entries.chunks(CHUNK);
        let last = chunks.next_back().unwrap_or_default();
        for chunk in chunks {
            let mut query = QueryBuilder::new("");
            insert(&mut query, chunk);
            query.build().execute(&mut *to).await?;
        }
        let mut query = QueryBuilder::new("");
        for (statement, list) in SQLITE.into_iter().zip(self.lists()?) {
            let (before, after) = statement.split_once('?').unwrap_or((statement, ""));
            query.push(before).push_bind(list).push(after).push(";");
        }
        if !last.is_empty() {
            insert(&mut query, last);
        }
        query.push(end).build().execute(to).await?;
        Ok(())
    }

    /// The time by PostgreSQL's clock. None: nothing was written, because what it builds upon is not so any more; never where
    /// the tenants are kept.
    async fn write_postgres(
        &self,
        to: &mut PgConnection,
        keeping: bool,
    ) -> sqlx::Result<Option<i64>> {
        let entries: Vec<_> = self.entries.iter().map(EntryRow::new).collect();
        let heads = if keeping { "[]".to_owned() } else { json(&self.heads)? };
        let more = [json(&entries)?, heads, json(&self.relied)?];
        let lists = self.lists()?.into_iter().chain(more);
        let query = lists.fold(sqlx::query_scalar(POSTGRES), sqlx::query::QueryScalar::bind);
        query.fetch_one(to).await
    }

    /// All but the entries.
    fn lists(&self) -> sqlx::Result<[String; 6]> {
        Ok([
            json(&self.closed)?,
            json(&self.opened)?,
            json(&self.entered)?,
            json(&self.left)?,
            json(&self.withdrawn)?,
            json(&self.used)?,
        ])
    }
}

fn insert(query: &mut QueryBuilder<Sqlite>, entries: &[(TenantId, AuditEvent)]) {
    query.push(SQLITE_ENTRIES).push_values(entries, |mut row, (tenant, event)| {
        row.push_bind(event.id)
            .push_bind(tenant.0)
            .push_bind(&event.integration_id)
            .push_bind(&event.action)
            .push_bind(&event.params_hash)
            .push_bind(event.result_status.as_deref())
            .push_bind(Timestamp(event.executed_at))
            .push_bind(event.duration_ms)
            .push_bind(event.error_message.as_deref())
            .push_bind(event.seq)
            .push_bind(&event.phase)
            .push_bind(event.intent_id)
            .push_bind(&event.actor)
            .push_bind(event.op_id)
            .push_bind(event.generation)
            .push_bind(&event.key_id)
            .push_bind(&event.prev_mac)
            .push_bind(&event.mac);
    });
}

/// What PostgreSQL refuses it has not written. Of a line that broke nobody knows, whoever tells of it.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().map(|error| error.code().unwrap_or_default());
    code.is_some_and(|code| !code.starts_with("08"))
}

/// A use that was noted later than this need not be noted again.
fn stale_at(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - Duration::milliseconds(LAST_USED_EVERY_MS))
}

/// Whether a use that was last noted then is noted again.
pub(crate) fn is_stale(last: Timestamp, at: Timestamp) -> bool {
    last.0 <= stale_at(at).0
}

fn json<T: Serialize>(list: &[T]) -> sqlx::Result<String> {
    serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(error.into()))
}
