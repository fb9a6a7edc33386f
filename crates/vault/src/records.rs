//! Records: sealed JSON documents of a tenant, by collection and id, with an optional end.

use std::time::Duration;

use serde_json::Value;

use crate::{Result, TenantScope, later};

impl TenantScope {
    /// Stores a document, in place of the one that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an empty or over-long collection or id.
    pub async fn put_record(
        &self,
        collection: &str,
        id: &str,
        value: &Value,
        expires_in: Option<Duration>,
    ) -> Result<()> {
        let _ = (collection, id, value, expires_in);
        later()
    }

    /// Reads a document; none when it has expired.
    ///
    /// # Errors
    /// [`Error::CannotOpen`](crate::Error::CannotOpen).
    pub async fn record(&self, collection: &str, id: &str) -> Result<Option<Value>> {
        let _ = (collection, id);
        later()
    }

    /// The documents of a collection in the order of their ids, after the id `after`.
    ///
    /// # Errors
    /// [`Error::CannotOpen`](crate::Error::CannotOpen).
    pub async fn records(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Value)>> {
        let _ = (collection, after, limit);
        later()
    }

    /// Takes a document out: of several who try, one gets it.
    ///
    /// # Errors
    /// [`Error::CannotOpen`](crate::Error::CannotOpen); the document is gone all the same.
    pub async fn take_record(&self, collection: &str, id: &str) -> Result<Option<Value>> {
        let _ = (collection, id);
        later()
    }

    /// Deletes a document; `false` when there is none.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn delete_record(&self, collection: &str, id: &str) -> Result<bool> {
        let _ = (collection, id);
        later()
    }
}
