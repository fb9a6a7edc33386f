//! How a project is built: the same for a new project and a changed one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Settings that are detected unless given. Actions flatten them into their input.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// Such as `nextjs`; empty: none.
    framework: Option<String>,
    /// Empty: the whole repository.
    root_directory: Option<String>,
    /// Empty: detected, as the next two.
    install_command: Option<String>,
    build_command: Option<String>,
    output_directory: Option<String>,
}

impl Settings {
    /// Those that were given, in Vercel's words; an empty one becomes `null`, which resets it.
    pub(crate) fn fields(self) -> Map<String, Value> {
        [
            ("framework", self.framework),
            ("rootDirectory", self.root_directory),
            ("installCommand", self.install_command),
            ("buildCommand", self.build_command),
            ("outputDirectory", self.output_directory),
        ]
        .into_iter()
        .filter_map(|(name, value)| {
            let value = value?;
            let value = if value.is_empty() { Value::Null } else { value.into() };
            Some((name.to_owned(), value))
        })
        .collect()
    }
}
