//! The entries of a part of a trail, as either database hands them over: without a copy of any.

use std::path::Path;

use futures::TryStreamExt;
use rusqlite::{Connection, OpenFlags};
use sqlx::{Row, postgres::PgRow};
use tokio::task::spawn_blocking;
use uuid::Uuid;

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
            checked.await.map_err(|_| sqlx::Error::WorkerCrashed)?
        }
        Database::Postgres(_) => in_postgres(check, place).await,
    }
}

fn in_sqlite(file: &Path, mut check: Check, (after, until): (i64, i64)) -> Result<Part> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    let mut entries = connection.prepare(ENTRIES)?;
    let mut rows = entries.query((check.scope.tenant.0.as_bytes(), after, until))?;
    while let Some(row) = rows.next()? {
        check.entry(row.get(SEQ)?, entry(row).ok().as_ref())?;
    }
    Ok(check.done())
}

async fn in_postgres(mut check: Check, (after, until): (i64, i64)) -> Result<Part> {
    let mut tx = check.scope.read().await?;
    if let TxOn::Postgres(tx) = &mut tx {
        let entries = sqlx::query(ENTRIES).bind(check.scope.tenant.0).bind(after).bind(until);
        let mut rows = entries.fetch(&mut **tx);
        while let Some(row) = rows.try_next().await? {
            check.entry(row.try_get(SEQ)?, entry(&row).ok().as_ref())?;
        }
    }
    Ok(check.done())
}

/// A column holds what no version of this program wrote.
struct Strange;

impl<E: std::error::Error> From<E> for Strange {
    fn from(_: E) -> Self {
        Self
    }
}

type Value<T> = std::result::Result<T, Strange>;

/// The columns of a row.
trait Columns {
    fn bytes(&self, n: usize) -> Value<&[u8]>;
    fn text(&self, n: usize) -> Value<Option<&str>>;
    fn id(&self, n: usize) -> Value<Option<Uuid>>;
    fn long(&self, n: usize) -> Value<Option<i64>>;
    fn short(&self, n: usize) -> Value<Option<i32>>;
    fn time(&self, n: usize) -> Value<Timestamp>;
}

/// The entry of a row, with its mac.
fn entry(row: &impl Columns) -> Value<(Covered<'_>, &[u8])> {
    let covered = Covered {
        prev_mac: row.bytes(0)?,
        seq: there(row.long(SEQ))?,
        id: there(row.id(2))?,
        phase: there(row.text(3))?,
        intent_id: row.id(4)?,
        integration_id: there(row.text(5))?,
        action: there(row.text(6))?,
        params_hash: row.text(7)?.unwrap_or_default(),
        result_status: row.text(8)?,
        executed_at: row.time(9)?,
        duration_ms: row.short(10)?,
        error_message: row.text(11)?,
        actor: there(row.text(12))?,
        op_id: row.id(13)?,
        generation: row.long(14)?,
        key_id: there(row.text(15))?,
    };
    Ok((covered, row.bytes(16)?))
}

/// Of a column that nothing of ours leaves empty.
fn there<T>(value: Value<Option<T>>) -> Value<T> {
    value?.ok_or(Strange)
}

impl Columns for rusqlite::Row<'_> {
    fn bytes(&self, n: usize) -> Value<&[u8]> {
        Ok(self.get_ref(n)?.as_blob()?)
    }

    fn text(&self, n: usize) -> Value<Option<&str>> {
        Ok(self.get_ref(n)?.as_str_or_null()?)
    }

    fn id(&self, n: usize) -> Value<Option<Uuid>> {
        let bytes = self.get_ref(n)?.as_blob_or_null()?;
        Ok(bytes.map(Uuid::from_slice).transpose()?)
    }

    fn long(&self, n: usize) -> Value<Option<i64>> {
        Ok(self.get_ref(n)?.as_i64_or_null()?)
    }

    fn short(&self, n: usize) -> Value<Option<i32>> {
        Ok(self.long(n)?.map(i32::try_from).transpose()?)
    }

    fn time(&self, n: usize) -> Value<Timestamp> {
        Ok(Timestamp::parse(there(self.text(n))?)?)
    }
}

// Unchecked: whether a column's type is ours, too, its mac tells at less cost than a look at each type.
impl Columns for PgRow {
    fn bytes(&self, n: usize) -> Value<&[u8]> {
        Ok(self.try_get_unchecked(n)?)
    }

    fn text(&self, n: usize) -> Value<Option<&str>> {
        Ok(self.try_get_unchecked(n)?)
    }

    fn id(&self, n: usize) -> Value<Option<Uuid>> {
        Ok(self.try_get_unchecked(n)?)
    }

    fn long(&self, n: usize) -> Value<Option<i64>> {
        Ok(self.try_get_unchecked(n)?)
    }

    fn short(&self, n: usize) -> Value<Option<i32>> {
        Ok(self.try_get_unchecked(n)?)
    }

    fn time(&self, n: usize) -> Value<Timestamp> {
        Ok(self.try_get_unchecked(n)?)
    }
}
