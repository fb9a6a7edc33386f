//! The binary under test, with a configuration, a key and data of the test's own.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Finished, Running, run};
use crate::standin::GitHub;

/// An installation of the product.
pub struct Product {
    folder: TempDir,
}

impl Product {
    /// An installation for which GitHub is `github`.
    pub fn new(github: &GitHub) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[integrations.github]\nbase_url = \"{}\"\n", github.url);
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        Self { folder }
    }

    /// An installation for which GitHub is `github`, with its account connected.
    pub fn connected(github: &GitHub) -> Self {
        let product = Self::new(github);
        let connected = product.run(&["connect", "github", "--key-stdin"], &github.token);
        assert!(connected.status.success(), "{connected:?}");
        product
    }

    /// The environment in which every command of this installation runs.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("HOME", path("home")),
            ("RESTO_CONFIG", path("config.toml")),
            ("RESTO_DATA_DIR", path("data")),
            ("RESTO_KEY_FILE", path("root.key")),
        ]
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().envs(self.environment()).args(arguments);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str], input: &str) -> Finished {
        run(&mut self.command(arguments), input)
    }

    /// Runs a command that must succeed and print JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.run(arguments, "");
        assert!(finished.status.success(), "{arguments:?}: {finished:?}");
        serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {finished:?}"))
    }

    /// Starts the server on a free port, with an access token of its own.
    pub fn serve(&self) -> Server<'_> {
        let created = self.json(&["token", "create", "--name", "tests", "--json"]);
        let token = created["token"].as_str().expect("a token").to_owned();
        let (process, url) =
            Running::start(&mut self.command(&["serve", "--bind", "127.0.0.1:0"]), address);
        Server { url: format!("{url}/mcp"), token, _process: process, _product: self }
    }
}

/// A server that runs, on its installation's files.
pub struct Server<'a> {
    /// Its MCP endpoint.
    pub url: String,
    /// An access token for it.
    pub token: String,
    _process: Running,
    _product: &'a Product,
}

/// The binary, beside the tests' own: the newest that `cargo build` made.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let binary = tests.ancestors().nth(2).unwrap().join("resto");
    assert!(binary.exists(), "{} is missing: run `cargo build` first", binary.display());
    binary
}

/// The address in a line like `listening on http://127.0.0.1:8787/mcp`, without its path.
fn address(line: &str) -> Option<String> {
    const START: &str = "http://127.0.0.1:";
    let rest = line.split_once(START)?.1;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then(|| format!("{START}{port}"))
}
