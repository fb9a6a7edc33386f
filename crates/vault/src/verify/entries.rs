//! The entries of a part of a trail, as either database hands them over: without a copy of any.

use std::{panic::resume_unwind, path::Path};

use futures::TryStreamExt;
use rusqlite::{Connection, OpenFlags, types::FromSqlError};
use sqlx::{Executor, Row, postgres::PgRow};
use tokio::task::spawn_blocking;

use super::part::{Check, Part};
use crate::{
    Result,
    chain::Covered,
    database::{BUSY, Database, TxOn},
    timestamp::Timestamp,
};

const ENTRIES: &str = "
    SELECT prev_mac, seq, id, phase, intent_id, integration_id, action, params_hash, result_status, executed_at,
        duration_ms, error_message, actor, op_id, generation, key_id, mac
    FROM integration_audit_log WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq";
const SEQ: usize = 1;

/// Checks the entries after the first number, up to the second.
pub(super) async fn checked(check: Check, place: (i64, i64)) -> Result<Part> {
    match &check.scope.vault.inner.database {
        Database::Sqlite { read, .. } => {
            let file = read.connect_options().get_filename().to_owned();
            let checked = spawn_blocking(move || in_sqlite(&file, check, place));
            checked.await.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The program ends.
                Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
            })
        }
        Database::Postgres(_) => in_postgres(check, place).await,
    }
}

fn in_sqlite(file: &Path, mut check: Check, (after, until): (i64, i64)) -> Result<Part> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    let mut entries = connection.prepare(ENTRIES)?;
    let mut rows = entries.query((check.scope.tenant.0, after, until))?;
    while let Some(row) = rows.next()? {
        check.entry(row.get(SEQ)?, of_sqlite(row).ok().as_ref())?;
    }
    Ok(check.done())
}

async fn in_postgres(mut check: Check, (after, until): (i64, i64)) -> Result<Part> {
    let mut tx = check.scope.read().await?;
    if let TxOn::Postgres(tx) = &mut tx {
        // It takes as long as the trail is.
        tx.execute("SET LOCAL statement_timeout = 0").await?;
        let entries = sqlx::query(ENTRIES).bind(check.scope.tenant.0).bind(after).bind(until);
        let mut rows = entries.fetch(&mut **tx);
        while let Some(row) = rows.try_next().await? {
            check.entry(row.try_get(SEQ)?, of_postgres(&row).ok().as_ref())?;
        }
    }
    Ok(check.done())
}

/// An entry, with its mac. An error: it holds what no version of this program wrote.
fn of_sqlite<'r>(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<(Covered<'r>, &'r [u8])> {
    let executed_at = Timestamp::parse(row.get_ref(9)?.as_str()?).map_err(FromSqlError::other)?;
    let entry = Covered {
        prev_mac: row.get_ref(0)?.as_blob()?,
        seq: row.get(SEQ)?,
        id: row.get(2)?,
        phase: row.get_ref(3)?.as_str()?,
        intent_id: row.get(4)?,
        integration_id: row.get_ref(5)?.as_str()?,
        action: row.get_ref(6)?.as_str()?,
        params_hash: row.get_ref(7)?.as_str_or_null()?.unwrap_or_default(),
        result_status: row.get_ref(8)?.as_str_or_null()?,
        executed_at,
        duration_ms: row.get(10)?,
        error_message: row.get_ref(11)?.as_str_or_null()?,
        actor: row.get_ref(12)?.as_str()?,
        op_id: row.get(13)?,
        generation: row.get(14)?,
        key_id: row.get_ref(15)?.as_str()?,
    };
    Ok((entry, row.get_ref(16)?.as_blob()?))
}

/// As [`of_sqlite`]. Whether a column's type is ours, too, its mac tells at less cost than a look at each type.
fn of_postgres(row: &PgRow) -> sqlx::Result<(Covered<'_>, &[u8])> {
    let entry = Covered {
        prev_mac: row.try_get_unchecked(0)?,
        seq: row.try_get_unchecked(SEQ)?,
        id: row.try_get_unchecked(2)?,
        phase: row.try_get_unchecked(3)?,
        intent_id: row.try_get_unchecked(4)?,
        integration_id: row.try_get_unchecked(5)?,
        action: row.try_get_unchecked(6)?,
        params_hash: row.try_get_unchecked::<Option<_>, _>(7)?.unwrap_or_default(),
        result_status: row.try_get_unchecked(8)?,
        executed_at: row.try_get_unchecked(9)?,
        duration_ms: row.try_get_unchecked(10)?,
        error_message: row.try_get_unchecked(11)?,
        actor: row.try_get_unchecked(12)?,
        op_id: row.try_get_unchecked(13)?,
        generation: row.try_get_unchecked(14)?,
        key_id: row.try_get_unchecked(15)?,
    };
    Ok((entry, row.try_get_unchecked(16)?))
}
