//! Whether what keeps the trail in SQLite's file, and shows it, is as this program makes it.

use std::collections::BTreeMap;

use sqlx::{ConnectOptions, SqliteExecutor, sqlite::SqliteConnectOptions};

use crate::{
    Result, Vault,
    database::{Database, lay_out},
};

/// The table with its indexes and triggers, the view of it, and the clock that its entries go by. What a trigger is of is there as
/// somebody wrote it.
const LAYOUT: &str = "
    SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema
    WHERE lower(tbl_name) IN ('integration_audit_log', 'integration_actions', 'clock')";

impl Vault {
    /// What is wrong with how all trails are stored, in one sentence each: definitions of the table, its indexes, its triggers and
    /// its view that are not this program's, and rows and indexes in which SQLite itself finds a fault. Entries alone do not
    /// tell: a view that somebody made anew shows others, and so does an index that leaves some out. None on PostgreSQL, where
    /// nobody but its owner can change any of that.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn audit_storage_faults(&self) -> Result<Vec<String>> {
        let Database::Sqlite { read, .. } = &self.inner.database else { return Ok(Vec::new()) };
        let mut own = SqliteConnectOptions::new().in_memory(true).connect().await?;
        lay_out(&mut own).await?;
        let mut expected = layout(&mut own).await?;
        let mut faults = Vec::new();
        for (name, sql) in layout(read).await? {
            match expected.remove(&name) {
                None => faults.push(format!("The {name} is none of this program's.")),
                Some(own) if own != sql => faults.push(format!("The {name} was changed.")),
                Some(_) => {}
            }
        }
        faults.extend(expected.into_keys().map(|name| format!("The {name} is gone.")));
        let told: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(integration_audit_log)")
            .fetch_all(read)
            .await?;
        faults.extend(
            told.into_iter()
                .filter(|told| told != "ok")
                .map(|told| format!("SQLite finds: {told}.")),
        );
        Ok(faults)
    }
}

async fn layout(of: impl SqliteExecutor<'_>) -> Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> = sqlx::query_as(LAYOUT).fetch_all(of).await?;
    Ok(rows.into_iter().collect())
}
