//! Every result says whether it is about real money.

use resto_core::Api;
use schemars::JsonSchema;
use serde::Serialize;

/// A result, and the mode of the account that it is about.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InMode<T> {
    /// `live` is real money, `test` is none.
    mode: Option<String>,
    #[serde(flatten)]
    value: T,
}

/// Tells the mode of the connected account with a result.
pub(crate) fn in_mode<T>(api: &Api, value: T) -> InMode<T> {
    InMode { mode: api.account().and_then(|account| account.mode.clone()), value }
}
