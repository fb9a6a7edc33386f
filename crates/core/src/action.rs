//! One thing to do at a service. The struct that implements [`Action`] is its input.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Api, Part, Result};

/// The worst that an action can do. Ordered: policy compares.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Reads, and sends nothing but safe requests.
    Read,
    /// Changes something inside the customer's account that can be changed back.
    Write,
    /// Leaves the building: mail, an invitation, a public comment, what a repository shows that may be public, the DNS.
    Outward,
    /// Cannot be undone.
    Irreversible,
    /// Moves or commits money.
    Spend,
}

impl Risk {
    /// Whether an action of this risk changes something, so that it must not run twice by accident.
    #[must_use]
    pub fn is_unsafe(self) -> bool {
        self > Self::Read
    }
}

/// One thing to do at a service, published as one MCP tool.
///
/// The fields of the struct are the input schema, its doc comment is the description of the tool,
/// the doc comment of a field describes that field to the agent.
pub trait Action: DeserializeOwned + JsonSchema + Send + 'static {
    /// `verb_object`, without the integration's prefix. Agents call it, so it is never renamed.
    const NAME: &'static str;
    /// The worst that it can do.
    const RISK: Risk;
    /// What a business says when it wants this, in words that the name and the description lack: `who owes us money`.
    /// `find_actions` looks in them; in any language.
    const PHRASES: &'static [&'static str] = &[];
    /// The least that the credential needs: any one of these sets, each set whole. The sets differ
    /// by kind of credential. Names are the provider's, as `Integration::permissions` lists them.
    const PERMISSIONS: &'static [&'static [&'static str]];
    /// What a person sees of the result, where their client shows more than text; nothing: the text alone.
    const VIEW: &'static [Part] = &[];
    /// The fields that an agent needs, never the provider's whole answer. It serves as the shape of
    /// the provider's answer (deserialised) and of ours (serialised).
    type Output: Serialize + JsonSchema + Send;

    /// Whether its result, or the request that a preview of it shows, may hold what people outside the business wrote, such
    /// as an issue or a mail: for a while after it, a person is asked before this agent does what reaches others.
    fn tells_outsiders(&self) -> bool {
        false
    }

    /// Does it.
    ///
    /// # Errors
    /// Whatever [`Api`] reports of the provider, or what the action itself finds wrong.
    fn run(self, api: &Api) -> impl Future<Output = Result<Self::Output>> + Send;
}
