//! Lists come in pages: what an agent asks, and what it gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which page of a list. An action flattens it into its input.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageRequest {
    /// A `next_cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Default 30.
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
