//! The binary under test, with a configuration, a key and data of the test's own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Finished, Running, run, tool};
use crate::wire::{Message, answer, open};

/// An installation of the product.
pub struct Product {
    folder: TempDir,
    /// The URL of its database where that is not the file in `data`.
    database: Option<String>,
}

impl Product {
    /// An installation for which GitHub's API is at `url`.
    pub fn at(url: &str) -> Self {
        let product = Self { folder: tempfile::tempdir().unwrap(), database: None };
        product.configure(&format!("[integrations.github]\nbase_url = \"{url}\"\n"));
        product
    }

    /// An installation for which GitHub's API is at `url`, with an account connected by this token.
    pub fn connected(url: &str, token: &str) -> Self {
        let product = Self::at(url);
        product.must(&["connect", "github", "--key-stdin"], token);
        product
    }

    /// The same with its data on a database server.
    pub fn on(self, database: String) -> Self {
        Self { database: Some(database), ..self }
    }

    /// Whether its database is PostgreSQL.
    pub fn is_on_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// Replaces its configuration file.
    pub fn configure(&self, toml: &str) {
        std::fs::write(self.path("config.toml"), toml).unwrap();
    }

    /// A file of this installation: `config.toml`, `root.key`, or one in `data`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The environment in which every command of this installation runs.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        let mut variables = vec![
            ("HOME", path("home")),
            ("RESTO_CONFIG", path("config.toml")),
            ("RESTO_DATA_DIR", path("data")),
            ("RESTO_KEY_FILE", path("root.key")),
        ];
        variables.extend(self.database.clone().map(|url| ("RESTO_DATABASE_URL", url)));
        variables
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

    /// Runs a command that must succeed.
    pub fn must(&self, arguments: &[&str], input: &str) -> Finished {
        let finished = self.run(arguments, input);
        assert!(finished.status.success(), "{arguments:?}: {finished:?}");
        finished
    }

    /// Runs a command that must succeed and print JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.must(arguments, "");
        serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {finished:?}"))
    }

    /// A new access token of a tenant.
    pub fn token(&self, tenant: &str, name: &str) -> String {
        let created = self.json(&["--tenant", tenant, "token", "create", "--name", name, "--json"]);
        created["token"].as_str().expect("a token").to_owned()
    }

    /// The audit trail of a tenant: the phase, the action and the result of each event of GitHub.
    pub fn trail(&self, tenant: &str) -> Vec<(String, String, String)> {
        let events = self.json(&["--tenant", tenant, "audit", "--json"]);
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("-").to_owned();
        let events = events.as_array().unwrap().iter();
        let events = events.filter(|event| event["integration_id"] == "github");
        events
            .map(|event| {
                (text(event, "phase"), text(event, "action"), text(event, "result_status"))
            })
            .collect()
    }

    /// Carries out a statement in its SQLite database, behind its back; what it gives, one row a line.
    pub fn sql(&self, statement: &str) -> String {
        let program = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1])
for row in db.execute(sys.argv[2]): print(*row, sep='|')
db.commit()";
        let mut python = Command::new(tool("python/bin/python"));
        python.args(["-c", program]).arg(self.path("data/resto.db")).arg(statement);
        let finished = run(&mut python, "");
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout
    }

    /// Starts the server on a free port, with an access token of its own.
    pub fn serve(&self) -> Server<'_> {
        self.serve_with(&[])
    }

    /// As [`Product::serve`], with more in its environment.
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> Server<'_> {
        self.start(&binary(), environment)
    }

    /// As [`Product::serve`], of another build of the program.
    pub fn serve_as(&self, program: &Path) -> Server<'_> {
        self.start(program, &[])
    }

    fn start(&self, program: &Path, environment: &[(&str, &str)]) -> Server<'_> {
        // An installation may have several servers.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tests-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let token = self.token("local", &name);
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment()).args(["serve", "--bind", "127.0.0.1:0"]);
        let (process, url) = Running::start(command.envs(environment.iter().copied()), address);
        Server { url: format!("{url}/mcp"), token, process, _product: self }
    }
}

/// A server that runs, on its installation's files.
pub struct Server<'a> {
    /// Its MCP endpoint.
    pub url: String,
    /// An access token for it.
    pub token: String,
    pub process: Running,
    _product: &'a Product,
}

impl Server<'_> {
    /// The address of another path than that of its MCP endpoint.
    pub fn at(&self, path: &str) -> String {
        self.url.replace("/mcp", path)
    }

    /// Calls a tool with a request of our own in generation 2026-07-28, with these headers besides.
    pub fn call(&self, headers: &[(&str, &str)], name: &str, arguments: &Value) -> Message {
        let authorization = format!("Bearer {}", self.token);
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        answer(self.open(&headers, name, arguments))
    }

    /// Sends the call of a tool with these headers, and leaves the answer on the connection.
    pub fn open(&self, headers: &[(&str, &str)], name: &str, arguments: &Value) -> TcpStream {
        self.send(headers, &json!({}), json!({"name": name, "arguments": arguments}))
    }

    /// As [`Server::call`], of a client that can do this, with these parameters.
    pub fn call_with(&self, headers: &[(&str, &str)], can: &Value, params: Value) -> Message {
        let authorization = format!("Bearer {}", self.token);
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        answer(self.send(&headers, can, params))
    }

    /// Asks for a task in the name of the bearer of this token, who can do this.
    pub fn task(&self, token: &str, method: &str, can: &Value, params: Value) -> Message {
        let authorization = format!("Bearer {token}");
        let id = params["taskId"].as_str().unwrap_or_default().to_owned();
        answer(self.post(&[("authorization", &authorization)], (method, &id), can, params))
    }

    /// Reads a resource as whoever has this token.
    pub fn read(&self, token: &str, uri: &str) -> Value {
        answer(self.ask(token, "resources/read", uri, json!({ "uri": uri }))).json()
    }

    /// Sends a request other than a call, about what `name` says, and leaves the answer on the connection.
    pub fn ask(&self, token: &str, method: &str, name: &str, params: Value) -> TcpStream {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        self.post(&headers, (method, name), &json!({}), params)
    }

    /// As [`Server::call_with`], and leaves the answer on the connection.
    pub fn send(&self, headers: &[(&str, &str)], can: &Value, params: Value) -> TcpStream {
        let name = params["name"].as_str().unwrap().to_owned();
        self.post(headers, ("tools/call", &name), can, params)
    }

    fn post(
        &self,
        headers: &[(&str, &str)],
        (method, name): (&str, &str),
        can: &Value,
        mut params: Value,
    ) -> TcpStream {
        let op_id = params.as_object_mut().unwrap().remove("op_id");
        params["_meta"] = meta(can);
        if let Some(op_id) = op_id {
            params["_meta"]["dev.resto/op_id"] = op_id;
        }
        for name in ["traceparent", "tracestate", "progressToken"] {
            if let Some(value) = params.as_object_mut().unwrap().remove(name) {
                params["_meta"][name] = value;
            }
        }
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let standard = [
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("mcp-name", name),
        ];
        open("POST", &self.url, &[&standard[..], headers].concat(), &call.to_string())
    }
}

/// What a client that can do this says of itself with each request.
fn meta(can: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": can,
    })
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
