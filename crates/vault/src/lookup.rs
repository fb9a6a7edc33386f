//! What the decisions about a batch of calls depend on: found in one statement, within the transaction that writes them or,
//! on PostgreSQL, just before it.

use serde::Serialize;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::{
    Result, TenantId,
    chain::Head,
    connections,
    database::{BusyWait, TxOn, on},
    keys::WrappedKey,
    operations::StoredOperation,
};

/// Begins a transaction that has the whole of SQLite's database to itself. The first number changes whenever another connection
/// changes something.
const BEGIN: &str = "BEGIN IMMEDIATE; SELECT v.data_version, c.now_ms FROM pragma_data_version v CROSS JOIN clock c";

/// Within a transaction of PostgreSQL the function takes the locks of the tenants, in their order; a call whose tenant stays
/// locked has no row. Outside one, what it finds may be overtaken.
const KEEPING: &str = "SELECT * FROM look_up_calls($1, true)";
const ALONE: &str = "SELECT * FROM look_up_calls($1, false)";
const SQLITE: &str = "
    WITH asked AS MATERIALIZED (
        SELECT value ->> 'n' AS n, unhex(value ->> 'tenant') AS tenant, value ->> 'integration' AS integration,
            unhex(value ->> 'intent') AS intent, unhex(value ->> 'result') AS result, unhex(value ->> 'op') AS op
        FROM json_each($1))
    SELECT a.n, t.now_ms, h.seq, h.mac, i.intent_id IS NOT NULL AS is_open, w.id IS NOT NULL AS is_written,
        s.kek_id AS active_id, s.wrapped AS active_wrapped,
        c.id, c.integration_id, c.auth_type, c.provider, c.host, c.account_id, c.account_name, c.mode, c.status,
        c.permissions_granted, c.rate_limits, c.generation, c.connected_at, c.last_used_at, c.expires_at,
        c.reauthorize_by, c.renewed_at, c.former_until, c.encrypted_credentials, NULL AS version, c.key_id, k.wrapped, NULL AS key_version,
        o.integration_id AS op_integration, o.action AS op_action, o.params_hash AS op_params_hash, o.state AS op_state,
        o.outcome AS op_outcome, o.key_id AS op_key_id, q.wrapped AS op_wrapped
    FROM asked a CROSS JOIN clock t
    LEFT JOIN integration_audit_log h ON h.tenant_id = a.tenant
        AND h.seq = (SELECT max(m.seq) FROM integration_audit_log m WHERE m.tenant_id = a.tenant)
    LEFT JOIN open_intents i ON i.intent_id = a.intent AND i.tenant_id = a.tenant
    LEFT JOIN integration_audit_log w ON w.id = a.result AND w.tenant_id = a.tenant
    LEFT JOIN tenant_keys s ON s.tenant_id = a.tenant AND s.state = 'active' AND a.op IS NOT NULL
    LEFT JOIN integration_credentials c ON c.tenant_id = a.tenant AND c.integration_id = a.integration
    LEFT JOIN tenant_keys k ON k.tenant_id = c.tenant_id AND k.kek_id = c.key_id
    LEFT JOIN integration_operations o ON o.tenant_id = a.tenant AND o.op_id = a.op
    LEFT JOIN tenant_keys q ON q.tenant_id = o.tenant_id AND q.kek_id = o.key_id";

/// What one call needs to know.
#[derive(Serialize)]
pub(crate) struct Question<'a> {
    /// The call's place in the batch.
    pub(crate) n: i32,
    #[serde(serialize_with = "simple")]
    pub(crate) tenant: TenantId,
    /// The connection to find.
    pub(crate) integration: Option<&'a str>,
    /// The intent that may be open.
    pub(crate) intent: Option<uuid::fmt::Simple>,
    /// The result that an earlier attempt may have written.
    pub(crate) result: Option<uuid::fmt::Simple>,
    /// The operation that may have run before.
    pub(crate) op: Option<uuid::fmt::Simple>,
}

fn simple<S: serde::Serializer>(tenant: &TenantId, to: S) -> std::result::Result<S::Ok, S::Error> {
    tenant.0.simple().serialize(to)
}

/// What PostgreSQL changes whenever it changes the row of a connection, or that of its key.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Version {
    version: i64,
    key_version: Option<i64>,
}

/// A connection as it is stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) row: connections::Row,
    /// The key that sealed it, wrapped; none when that is gone.
    pub(crate) key: Option<WrappedKey>,
    /// As it was when it was found; none on SQLite, where nothing is overtaken.
    pub(crate) version: Option<Version>,
    /// Whether its columns were held against what is sealed, since they are what they are.
    pub(crate) is_checked: bool,
}

/// What was found for one call.
pub(crate) struct Found {
    /// The call's place in the batch.
    pub(crate) n: i32,
    pub(crate) head: Head,
    pub(crate) is_open: bool,
    pub(crate) is_written: bool,
    /// The key that seals new values; looked up with an operation only.
    pub(crate) active_key: Option<WrappedKey>,
    pub(crate) connection: Option<Stored>,
    /// Whether a use of it that is as late as the call's is noted.
    pub(crate) is_use_noted: bool,
    pub(crate) operation: Option<StoredOperation>,
}

impl Found {
    /// No more than the end of the tenant's trail.
    pub(crate) fn at(n: i32, head: Head) -> Self {
        Self {
            n,
            head,
            is_open: false,
            is_written: false,
            active_key: None,
            connection: None,
            is_use_noted: false,
            operation: None,
        }
    }
}

/// How a database stands in whose one transaction this is.
#[derive(Clone, Copy)]
pub(crate) struct Stand {
    /// As long as no other connection has changed it, this stays.
    pub(crate) version: i64,
    pub(crate) now_ms: i64,
}

/// Begins the transaction of a batch on SQLite. None on PostgreSQL, where it has begun or is none.
pub(crate) async fn begin(tx: &mut TxOn<'_>) -> Result<Option<Stand>> {
    let TxOn::Sqlite(connection) = tx else { return Ok(None) };
    let waiting = BusyWait::new();
    loop {
        match sqlx::query_as(BEGIN).fetch_one(&mut **connection).await {
            Ok((version, now_ms)) => return Ok(Some(Stand { version, now_ms })),
            Err(error) => waiting.go_on(error)?,
        }
    }
}

/// Looks up calls of a batch. None for a call whose tenant stays locked; the others are told by their place.
pub(crate) async fn look_up(tx: &mut TxOn<'_>, questions: &[&Question<'_>]) -> Result<Vec<Found>> {
    let text = tx.text(SQLITE, if tx.is_transaction() { KEEPING } else { ALONE });
    let asked = serde_json::to_string(questions).map_err(|_| crate::Error::CannotOpen)?;
    let rows: Vec<Found> = on!(tx, c => {
        let rows = sqlx::query(text).bind(&asked).fetch_all(c).await?;
        rows.iter().map(|row| {
            let key = |id: &str, wrapped: &str| -> sqlx::Result<Option<WrappedKey>> {
                let (id, wrapped) = (row.try_get(id)?, row.try_get(wrapped)?);
                Ok(Option::zip(id, wrapped).map(|(id, wrapped)| WrappedKey { id, wrapped }))
            };
            Ok(Found {
                n: row.try_get("n")?,
                head: Head {
                    now_ms: row.try_get("now_ms")?,
                    seq: row.try_get::<Option<i64>, _>("seq")?.unwrap_or_default(),
                    mac: row.try_get::<Option<Vec<u8>>, _>("mac")?.unwrap_or_default(),
                },
                is_open: row.try_get("is_open")?,
                is_written: row.try_get("is_written")?,
                active_key: key("active_id", "active_wrapped")?,
                connection: match row.try_get::<Option<Uuid>, _>("id")? {
                    Some(_) => Some(Stored {
                        row: connections::Row::from_row(row)?,
                        key: key("key_id", "wrapped")?,
                        version: match row.try_get("version")? {
                            Some(version) => Some(Version { version, key_version: row.try_get("key_version")? }),
                            None => None,
                        },
                        is_checked: false,
                    }),
                    None => None,
                },
                is_use_noted: false,
                operation: match row.try_get::<Option<String>, _>("op_integration")? {
                    Some(integration_id) => Some(StoredOperation {
                        integration_id,
                        action: row.try_get("op_action")?,
                        params_hash: row.try_get("op_params_hash")?,
                        state: row.try_get("op_state")?,
                        outcome: row.try_get("op_outcome")?,
                        key: key("op_key_id", "op_wrapped")?,
                    }),
                    None => None,
                },
            })
        }).collect::<sqlx::Result<_>>()
    })?;
    Ok(rows)
}
