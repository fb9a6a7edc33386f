//! How a project is built: the same for a new project and a changed one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Settings that are detected unless given. Actions flatten them into their input.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// What it is built with, such as `nextjs`, `vite` or `astro`; empty: none.
    framework: Option<String>,
    /// Folder of the repository in which it lives; empty: the whole repository.
    root_directory: Option<String>,
    /// Command that installs its dependencies; empty: detected.
    install_command: Option<String>,
    /// Command that builds it; empty: the framework's.
    build_command: Option<String>,
    /// Folder that the build writes; empty: the framework's.
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
