//! Lists that are read to their end, within a bound, and answers from them that are kept for a
//! while: Stripe allows an account only so many reads a month.

use std::future::Future;
use std::time::Duration;

use resto_core::{Api, Page, PageRequest, Request, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most pages of 100 that are read of one list.
pub(crate) const MAX_PAGES: u32 = 100;
/// How long an answer is kept.
const KEPT: Duration = Duration::from_mins(15);

/// Visits each item of a list. Returns whether that was all of it.
///
/// # Errors
/// As the request's.
pub(crate) async fn each<'a, T: DeserializeOwned>(
    api: &'a Api,
    what: &str,
    request: impl Fn() -> Result<Request<'a>>,
    mut visit: impl FnMut(T),
) -> Result<bool> {
    let mut page = PageRequest { cursor: None, limit: Some(100) };
    let mut read: u64 = 0;
    for _ in 0..MAX_PAGES {
        let listed: Page<T> = request()?.page(&page).list_in("data").await?;
        read += listed.items.len() as u64;
        listed.items.into_iter().for_each(&mut visit);
        if listed.next_cursor.is_none() {
            return Ok(true);
        }
        page.cursor = listed.next_cursor;
        api.progress(read, None, &format!("Read {read} {what}"));
    }
    Ok(false)
}

/// An answer from the last minutes, or a new one. Returns whether it was kept.
///
/// # Errors
/// What `compute` reports.
pub(crate) async fn kept<T: Serialize + DeserializeOwned>(
    api: &Api,
    collection: &str,
    question: &str,
    fresh: bool,
    compute: impl Future<Output = Result<T>>,
) -> Result<(T, bool)> {
    let account = api.account().map(|account| account.id.as_str()).unwrap_or_default();
    let mode = api.account().and_then(|account| account.mode.as_deref()).unwrap_or_default();
    let id = format!("{account} {mode} {question}");
    if !fresh
        && let Some(stored) = api.records().get(collection, &id).await?
        && let Ok(answer) = serde_json::from_value(stored)
    {
        return Ok((answer, true));
    }
    let answer = compute.await?;
    if let Ok(value) = serde_json::to_value(&answer) {
        api.records().put(collection, &id, &value, Some(KEPT)).await?;
    }
    Ok((answer, false))
}
