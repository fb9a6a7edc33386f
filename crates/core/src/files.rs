//! Files that an action hands out: too large for its result, which tells a link in their place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file as an action has it.
#[derive(Debug)]
pub struct File {
    /// Its file name.
    pub name: String,
    /// Such as `application/pdf`.
    pub media_type: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl File {
    /// The most that a file may have that is handed out, in bytes.
    pub const MAX: usize = 1 << 20;
}

/// Where the caller of an action reads a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileLink {
    /// A resource of this server: MCP's `resources/read` gives its bytes, for ten minutes, to whoever made this call.
    pub uri: String,
    /// Its file name.
    pub name: String,
    /// Such as `application/pdf`.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}
