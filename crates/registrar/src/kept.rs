//! What is kept between calls, among the tenant's records, and for which account it holds.

use std::time::Duration;

use resto_core::{Api, Code, Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The registrar and the account that something was kept for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    provider: String,
    account: String,
}

impl Owner {
    /// The account that is operated.
    pub fn of(api: &Api) -> Self {
        Self {
            provider: api.provider().id.to_owned(),
            account: api.account().map(|account| account.id.clone()).unwrap_or_default(),
        }
    }

    /// Whether it is the account that is operated.
    ///
    /// # Errors
    /// Another one was connected since.
    pub fn check(&self, api: &Api, what: &str) -> Result<()> {
        if *self == Self::of(api) {
            return Ok(());
        }
        Err(Error::new(
            Code::Conflict,
            format!(
                "The {what} was made for another account than the one that is connected now. Nothing was done."
            ),
        ))
    }
}

/// A mark that no other operation has: the random end of its id.
pub(crate) fn mark(api: &Api) -> String {
    let id = api.op_id().simple().to_string();
    id.get(24..).unwrap_or(&id).to_owned()
}

/// Writes a document.
pub(crate) async fn put(
    api: &Api,
    collection: &str,
    id: &str,
    value: &impl Serialize,
    expires_in: Option<Duration>,
) -> Result<()> {
    api.records().put(collection, id, &written(value)?, expires_in).await
}

/// Writes a document where there is none: of many writers one does.
pub(crate) async fn put_new(
    api: &Api,
    collection: &str,
    id: &str,
    value: &impl Serialize,
    expires_in: Duration,
) -> Result<bool> {
    api.records().put_new(collection, id, &written(value)?, Some(expires_in)).await
}

/// Reads a document.
pub(crate) async fn get<T: DeserializeOwned>(
    api: &Api,
    collection: &str,
    id: &str,
) -> Result<Option<T>> {
    if !plausible(id) {
        return Ok(None);
    }
    api.records().get(collection, id).await?.map(read).transpose()
}

/// Takes a document out: of many takers one gets it.
pub(crate) async fn take<T: DeserializeOwned>(
    api: &Api,
    collection: &str,
    id: &str,
) -> Result<Option<T>> {
    if !plausible(id) {
        return Ok(None);
    }
    api.records().take(collection, id).await?.map(read).transpose()
}

/// Whether an id can be one that we gave.
fn plausible(id: &str) -> bool {
    !id.is_empty() && id.len() <= 300
}

fn written(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::new(Code::Internal, format!("a record cannot be written: {error}")))
}

fn read<T: DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| Error::new(Code::Internal, format!("a record cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;

    use super::*;
    use crate::REGISTRAR;

    #[tokio::test]
    async fn holds_only_for_the_account_it_was_kept_for() {
        let cloudflare = FakeApi::of(&REGISTRAR, "cloudflare").await.api(Risk::Read);
        let namecom = FakeApi::of(&REGISTRAR, "namecom").await.api(Risk::Read);
        let owner = Owner::of(&cloudflare);
        assert!(owner.check(&cloudflare, "quote").is_ok());
        let error = owner.check(&namecom, "quote").unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().starts_with("The quote was made for another account"), "{error}");
    }

    #[tokio::test]
    async fn looks_up_no_id_that_it_never_gave() {
        let api = FakeApi::of(&REGISTRAR, "porkbun").await.api(Risk::Write);
        for id in [String::new(), "x".repeat(301)] {
            assert_eq!(get::<u8>(&api, "c", &id).await.unwrap(), None);
            assert_eq!(take::<u8>(&api, "c", &id).await.unwrap(), None);
        }
        put(&api, "c", "id", &7, None).await.unwrap();
        assert_eq!(take::<u8>(&api, "c", "id").await.unwrap(), Some(7));
        assert_eq!(get::<u8>(&api, "c", "id").await.unwrap(), None);
    }
}
