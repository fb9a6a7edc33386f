//! Records: sealed JSON documents of a tenant, by collection and id, with an optional end.

use std::time::Duration;

use serde_json::Value;

use crate::{
    Error, Result, TenantScope,
    database::{Tx, on},
    vault::check_name,
};

const PURPOSE: &str = "record";

/// `sealed`, `key_id`, `expires_at`.
type RecordRow = (Vec<u8>, Vec<u8>, Option<i64>);

/// `id`, `sealed`, `key_id`, `expires_at`.
type ListedRow = (String, Vec<u8>, Vec<u8>, Option<i64>);

/// The name in the sealed context. No collection holds a slash, so no two documents share one.
pub(crate) fn sealed_name(collection: &str, id: &str) -> String {
    format!("{collection}/{id}")
}

/// What a document is written over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    All,
    Expired,
}

fn check_key(collection: &str, id: &str) -> Result<()> {
    check_name("record's collection", collection, 100)?;
    check_name("record's id", id, 500)?;
    if collection.contains('/') {
        return Err(Error::Invalid("The record's collection must not contain a slash.".into()));
    }
    Ok(())
}

impl TenantScope {
    /// Stores a document, in place of the one that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a collection (100 characters, no slash) or id (500) that is empty or too long;
    /// [`Error::UnknownTenant`].
    pub async fn put_record(
        &self,
        collection: &str,
        id: &str,
        value: &Value,
        expires_in: Option<Duration>,
    ) -> Result<()> {
        self.write_record((collection, id), value, expires_in, Over::All).await.map(drop)
    }

    /// Stores a document where there is none, or one that has expired; whether it did. Of several who store at once, one
    /// does.
    ///
    /// # Errors
    /// As [`Self::put_record`].
    pub async fn put_new_record(
        &self,
        collection: &str,
        id: &str,
        value: &Value,
        expires_in: Option<Duration>,
    ) -> Result<bool> {
        self.write_record((collection, id), value, expires_in, Over::Expired).await
    }

    async fn write_record(
        &self,
        (collection, id): (&str, &str),
        value: &Value,
        expires_in: Option<Duration>,
        over: Over,
    ) -> Result<bool> {
        check_key(collection, id)?;
        let mut tx = self.write().await?;
        let key = self.active_key(&mut tx).await?;
        let expires_at = match expires_in {
            None => None,
            Some(rest) => {
                let rest = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
                Some(tx.now_ms().await?.saturating_add(rest))
            }
        };
        // The end is part of what is sealed: a record cannot be given more time by a change in the database.
        let sealed = key.seal(
            PURPOSE,
            &sealed_name(collection, id),
            expires_at.unwrap_or(0),
            value.to_string().as_bytes(),
        )?;
        let written = on!(&mut tx, c => sqlx::query(
            "INSERT INTO records (tenant_id, collection, id, sealed, key_id, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant_id, collection, id) DO UPDATE
             SET sealed = excluded.sealed, key_id = excluded.key_id, expires_at = excluded.expires_at
             WHERE $7 OR records.expires_at <= (SELECT now_ms FROM clock)",
        ).bind(self.tenant.0).bind(collection).bind(id).bind(&sealed).bind(key.key_id()).bind(expires_at)
         .bind(over == Over::All).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(written > 0)
    }

    /// Reads a document; none when it has expired.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Frozen`].
    pub async fn record(&self, collection: &str, id: &str) -> Result<Option<Value>> {
        let read = self.read_record(collection, id).await;
        self.alerting(read, PURPOSE, &sealed_name(collection, id)).await
    }

    async fn read_record(&self, collection: &str, id: &str) -> Result<Option<Value>> {
        let mut tx = self.read().await?;
        let row: Option<RecordRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT sealed, key_id, expires_at FROM records WHERE tenant_id = $1 AND collection = $2 AND id = $3
             AND (expires_at IS NULL OR expires_at > (SELECT now_ms FROM clock))",
        ).bind(self.tenant.0).bind(collection).bind(id).fetch_optional(c).await)?;
        match row {
            None => Ok(None),
            Some(row) => self.open_record(&mut tx, collection, id, &row).await.map(Some),
        }
    }

    /// The documents of a collection in the order of their ids, after the id `after`.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Frozen`].
    pub async fn records(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Value)>> {
        let read = self.read_records(collection, after, limit).await;
        self.alerting(read, PURPOSE, collection).await
    }

    async fn read_records(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Value)>> {
        let mut tx = self.read().await?;
        let rows: Vec<ListedRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT id, sealed, key_id, expires_at FROM records WHERE tenant_id = $1 AND collection = $2 AND id > $3
             AND (expires_at IS NULL OR expires_at > (SELECT now_ms FROM clock)) ORDER BY id LIMIT $4",
        ).bind(self.tenant.0).bind(collection).bind(after.unwrap_or("")).bind(i64::from(limit)).fetch_all(c).await)?;
        let mut records = Vec::with_capacity(rows.len());
        for (id, sealed, key_id, expires_at) in rows {
            let row = (sealed, key_id, expires_at);
            let value = self.open_record(&mut tx, collection, &id, &row).await?;
            records.push((id, value));
        }
        Ok(records)
    }

    /// How many documents a collection has.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count_records(&self, collection: &str) -> Result<u64> {
        let mut tx = self.read().await?;
        let count: i64 = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT count(*) FROM records WHERE tenant_id = $1 AND collection = $2
             AND (expires_at IS NULL OR expires_at > (SELECT now_ms FROM clock))",
        ).bind(self.tenant.0).bind(collection).fetch_one(c).await)?;
        Ok(count.unsigned_abs())
    }

    /// Changes a document where it is, with its end: of several who do, each sees what the one before left. What `change`
    /// returns says whether it is written back. None when there is no document.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Frozen`].
    pub async fn change_record(
        &self,
        collection: &str,
        id: &str,
        change: impl FnOnce(&mut Value) -> bool + Send,
    ) -> Result<Option<bool>> {
        let changed = self.try_change_record(collection, id, change).await;
        self.alerting(changed, PURPOSE, &sealed_name(collection, id)).await
    }

    async fn try_change_record(
        &self,
        collection: &str,
        id: &str,
        change: impl FnOnce(&mut Value) -> bool + Send,
    ) -> Result<Option<bool>> {
        let mut tx = self.write().await?;
        let row: Option<RecordRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT sealed, key_id, expires_at FROM records WHERE tenant_id = $1 AND collection = $2 AND id = $3
             AND (expires_at IS NULL OR expires_at > (SELECT now_ms FROM clock))",
        ).bind(self.tenant.0).bind(collection).bind(id).fetch_optional(c).await)?;
        let Some(row) = row else { return Ok(None) };
        let mut value = self.open_record(&mut tx, collection, id, &row).await?;
        if !change(&mut value) {
            return Ok(Some(false));
        }
        let key = self.active_key(&mut tx).await?;
        let name = sealed_name(collection, id);
        let sealed = key.seal(PURPOSE, &name, row.2.unwrap_or(0), value.to_string().as_bytes())?;
        on!(&mut tx, c => sqlx::query(
            "UPDATE records SET sealed = $4, key_id = $5 WHERE tenant_id = $1 AND collection = $2 AND id = $3",
        ).bind(self.tenant.0).bind(collection).bind(id).bind(&sealed).bind(key.key_id()).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(Some(true))
    }

    /// Takes a document out: of several who try, one gets it.
    ///
    /// # Errors
    /// [`Error::CannotOpen`]; the document is gone all the same. [`Error::Frozen`]; it is still there.
    pub async fn take_record(&self, collection: &str, id: &str) -> Result<Option<Value>> {
        let taken = self.try_take_record(collection, id).await;
        self.alerting(taken, PURPOSE, &sealed_name(collection, id)).await
    }

    async fn try_take_record(&self, collection: &str, id: &str) -> Result<Option<Value>> {
        self.vault.admit_opening(self.tenant)?;
        let mut tx = self.write().await?;
        let row: Option<RecordRow> = on!(&mut tx, c => sqlx::query_as(
            "DELETE FROM records WHERE tenant_id = $1 AND collection = $2 AND id = $3
             AND (expires_at IS NULL OR expires_at > (SELECT now_ms FROM clock))
             RETURNING sealed, key_id, expires_at",
        ).bind(self.tenant.0).bind(collection).bind(id).fetch_optional(c).await)?;
        let Some(row) = row else { return Ok(None) };
        let value = self.open_record(&mut tx, collection, id, &row).await;
        tx.commit().await?;
        value.map(Some)
    }

    /// Deletes a document; `false` when there is none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_record(&self, collection: &str, id: &str) -> Result<bool> {
        let mut tx = self.write().await?;
        let deleted = on!(&mut tx, c => sqlx::query(
            "DELETE FROM records WHERE tenant_id = $1 AND collection = $2 AND id = $3",
        ).bind(self.tenant.0).bind(collection).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(deleted > 0)
    }

    async fn open_record(
        &self,
        tx: &mut Tx,
        collection: &str,
        id: &str,
        (sealed, key_id, expires_at): &RecordRow,
    ) -> Result<Value> {
        let key = self.key(tx, key_id).await?;
        let name = sealed_name(collection, id);
        let plaintext = key.open(PURPOSE, &name, expires_at.unwrap_or(0), sealed)?;
        serde_json::from_slice(&plaintext).map_err(|_| Error::CannotOpen)
    }
}
