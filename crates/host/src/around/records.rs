//! The tenant's documents, as an action sees them: as they are where it is only tried, or only found out what came of it.

use std::time::Duration;

use resto_core::{BoxFuture, Code, Error, Records, Result};
use serde_json::Value;

use super::Around;
use crate::host::told;

/// What is kept here is changed no more than what the provider has, where it is only found out what came of a call.
fn in_doubt() -> Error {
    Error::new(
        Code::UnknownOutcome,
        "Whether this was done is not known, and it was not done again.",
    )
}

impl Records for Around {
    fn put<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.purse.is_trial() {
                return Ok(());
            }
            if self.reconciles.is_some() {
                let is_there = self.get(collection, id).await?.as_ref() == Some(value);
                return if is_there { Ok(()) } else { Err(in_doubt()) };
            }
            self.scope.put_record(collection, id, value, expires_in).await.map_err(told)
        })
    }

    fn put_new<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            if self.purse.is_trial() {
                return Ok(self.get(collection, id).await?.is_none());
            }
            if self.reconciles.is_some() {
                let is_there = self.get(collection, id).await?.is_some();
                return if is_there { Ok(false) } else { Err(in_doubt()) };
            }
            self.scope.put_new_record(collection, id, value, expires_in).await.map_err(told)
        })
    }

    fn get<'a>(&'a self, collection: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Value>>> {
        Box::pin(async move { self.scope.record(collection, id).await.map_err(told) })
    }

    fn take<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>>> {
        if self.purse.is_trial() {
            return self.get(collection, id);
        }
        Box::pin(async move {
            if self.reconciles.is_some() {
                let is_there = self.get(collection, id).await?.is_some();
                return if is_there { Err(in_doubt()) } else { Ok(None) };
            }
            self.scope.take_record(collection, id).await.map_err(told)
        })
    }

    fn list<'a>(
        &'a self,
        collection: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, Value)>>> {
        Box::pin(async move { self.scope.records(collection, after, limit).await.map_err(told) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use resto_core::Began;
    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::host::{Host, LOCAL_TENANT};

    #[tokio::test]
    async fn what_is_found_out_changes_no_document() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&Config::of_a_test(folder.path())).await.unwrap();
        let caller = host.owner(LOCAL_TENANT, "test").await.unwrap();
        let first = Around::quiet(&caller.scope, "test");
        let again = Around {
            reconciles: Some(Began { at: SystemTime::now(), ago: Some(Duration::ZERO) }),
            ..Around::quiet(&caller.scope, "test")
        };
        let (kept, other) = (json!("kept"), json!("other"));
        first.put("c", "a", &kept, None).await.unwrap();
        // What was written is known to be written.
        again.put("c", "a", &kept, None).await.unwrap();
        assert!(!again.put_new("c", "a", &kept, None).await.unwrap());
        assert_eq!(again.take("c", "none").await.unwrap(), None);
        let unknown = [
            again.put("c", "a", &other, None).await.unwrap_err(),
            again.put("c", "b", &other, None).await.unwrap_err(),
            again.put_new("c", "b", &other, None).await.map(drop).unwrap_err(),
            again.take("c", "a").await.map(drop).unwrap_err(),
        ];
        assert!(unknown.iter().all(|error| error.code() == Code::UnknownOutcome), "{unknown:?}");
        let all = first.list("c", None, 9).await.unwrap();
        assert_eq!(all, [("a".to_owned(), kept)]);
    }
}
