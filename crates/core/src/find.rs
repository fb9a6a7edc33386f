//! A change whose answer was lost is looked for at the provider: what it made tells that it happened, or what it deleted.

use std::future::Future;

use backon::{ExponentialBuilder, Retryable as _};
use serde::de::DeserializeOwned;

use crate::reply::in_doubt;
use crate::{Api, Code, Request, Result};

impl Api {
    /// As [`Request::send_or_find`], for what takes several requests: where the answer to one of them is lost, `find` looks
    /// for the whole. A call that reconciles does not begin it and only looks.
    ///
    /// # Errors
    /// As `making`; `unknown_outcome` where it is not found.
    pub async fn make_or_find<T, Found: Future<Output = Result<Option<T>>>>(
        &self,
        making: impl Future<Output = Result<T>>,
        find: impl Fn() -> Found,
    ) -> Result<T> {
        sent_or_found(self, making, find, SHOWS_NOT).await
    }
}

impl Request<'_> {
    /// Sends a change and reads the answer as `T`. Where the answer is lost, `find` looks for what the change made, by
    /// reading only; `None`: the provider does not show it. A call that reconciles sends nothing and only looks.
    ///
    /// # Errors
    /// As [`Request::send`]; `unknown_outcome` where it is not found.
    pub async fn send_or_find<T, Found>(self, find: impl Fn() -> Found) -> Result<T>
    where
        T: DeserializeOwned,
        Found: Future<Output = Result<Option<T>>>,
    {
        let api = self.api;
        sent_or_found(api, self.send(), find, SHOWS_NOT).await
    }

    /// Sends a deletion and ignores the body of the answer. Where the answer is lost, `look` reads what was to be deleted:
    /// it was where that is not found. A call that reconciles sends nothing and only looks.
    ///
    /// # Errors
    /// As [`Request::send`]; `unknown_outcome` where it is still there.
    pub async fn send_or_gone<T, Looked>(self, look: impl Fn() -> Looked) -> Result<()>
    where
        Looked: Future<Output = Result<T>>,
    {
        let api = self.api;
        let find = async || match look().await {
            Ok(_) => Ok(None),
            Err(error) if error.code() == Code::NotFound => Ok(Some(())),
            Err(error) => Err(error),
        };
        sent_or_found(api, self.send_empty(), find, "still shows what was to be deleted").await
    }
}

const SHOWS_NOT: &str = "was asked for it and does not show it so far";

async fn sent_or_found<T, Found: Future<Output = Result<Option<T>>>>(
    api: &Api,
    sending: impl Future<Output = Result<T>>,
    find: impl Fn() -> Found,
    still: &str,
) -> Result<T> {
    let lost = if api.reconciles() {
        in_doubt(api.provider)
    } else {
        match sending.await {
            Err(error) if error.code() == Code::UnknownOutcome => error,
            answered => return answered,
        }
    };
    // What is under way shows a little later, if at all.
    let again = ExponentialBuilder::default()
        .with_min_delay(api.http.bounds.retry_pause)
        .with_max_times(2)
        .with_jitter();
    let name = api.provider.name;
    let found = (|| async { find().await?.ok_or_else(|| lost.clone()) })
        .retry(again)
        .when(|error| error.code() == Code::UnknownOutcome)
        .await;
    found.map_err(|error| {
        let looked = match error.code() {
            Code::UnknownOutcome => format!("{name} {still}."),
            _ => format!("{name} could not be asked for it: {}", error.message()),
        };
        let mut lost = lost;
        let details = lost.details_mut();
        details.message = format!("{} {looked}", details.message);
        lost
    })
}
