//! Lists come in pages: what an agent asks, and what it gets.

use reqwest::header::{HeaderMap, LINK};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Api, Paging};

/// Which page of a list. An action flattens it into its input.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageRequest {
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Items wanted, 1 to 100; 30 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<u32>,
}

impl PageRequest {
    /// Items wanted when the caller did not say.
    pub const DEFAULT_LIMIT: u32 = 30;

    /// Items wanted, within 1 to `max`.
    #[must_use]
    pub fn size(&self, max: u32) -> u32 {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT).clamp(1, max)
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items, in the provider's order.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Keeps the items that `keep` accepts. A page may so become shorter than was asked.
    #[must_use]
    pub fn filter(mut self, keep: impl FnMut(&T) -> bool) -> Self {
        self.items.retain(keep);
        self
    }

    /// Changes each item.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}

/// The cursor of the page after the one that came with these headers.
pub(crate) fn next_cursor(api: &Api, headers: &HeaderMap) -> Option<String> {
    let Paging::Link { cursors, .. } = &api.provider.paging;
    let next = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        // An address may hold commas, so links are told apart by their `<`.
        .flat_map(|value| value.split('<').skip(1))
        .filter_map(|link| link.split_once('>'))
        .find(|(_, parameters)| is_next(parameters))?
        .0;
    let url = api.endpoints.base_url.join(next).ok()?;
    cursors.iter().find_map(|wanted| {
        url.query_pairs()
            .find(|(name, _)| name == wanted)
            .map(|(name, value)| format!("{name}={value}"))
    })
}

/// Whether the parameters of a link say `rel="next"`, as RFC 8288 writes it.
fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('=')).any(
        |(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|relation| relation == "next")
        },
    )
}
