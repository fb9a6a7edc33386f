//! The states that issues and pull requests share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A state to put an issue or a pull request in.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Open,
    Closed,
}

/// The states to list; open ones if left out.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Listed {
    Open,
    Closed,
    All,
}
