//! MCP clients that others wrote: the Inspector and the official Python client, each in its two generations, those of Node,
//! and `LangChain`'s.

use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Conversation, Finished, run, tool, top};
use crate::product::{Product, Server, binary};

/// Which revisions of the protocol a client speaks.
#[derive(Clone, Copy, Debug)]
pub enum Era {
    /// Revisions with a handshake, the newest 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// How a client reaches the product.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    Http(&'a Server<'a>),
    Sse(&'a Server<'a>),
    Stdio(&'a Product),
    /// With these flags.
    Flagged(&'a Product, &'a [&'a str]),
}

/// What a tool answered.
#[derive(Debug)]
pub struct Answer(Value);

impl From<Value> for Answer {
    /// Reads the result of `tools/call`.
    fn from(result: Value) -> Self {
        Self(result)
    }
}

impl Answer {
    /// The structured output of a call that must have succeeded.
    pub fn output(&self) -> &Value {
        assert_eq!(self.0["isError"], json!(false), "{}", self.0);
        &self.0["structuredContent"]
    }

    /// The sentence of a call that must have failed.
    pub fn error(&self) -> &str {
        assert_eq!(self.0["isError"], json!(true), "{}", self.0);
        self.0["content"][0]["text"].as_str().expect("a sentence")
    }
}

/// Calls a tool with the Inspector's command line.
pub fn inspector_call(era: Era, way: Way<'_>, name: &str, arguments: &Value) -> Answer {
    let arguments = arguments.to_string();
    Answer(inspector(
        era,
        way,
        &["tools/call", "--tool-name", name, "--tool-args-json", &arguments],
    ))
}

/// Lists the tools with the Inspector's command line.
pub fn inspector_tools(era: Era, way: Way<'_>) -> Vec<Value> {
    tools(&inspector(era, way, &["tools/list"]))
}

/// Has the Inspector's command line hold every skill against its extension's rules, and each file against its digest; what
/// it reports of each.
pub fn inspector_skills(era: Era, way: Way<'_>) -> Vec<Value> {
    let finished = inspect(era, way, &["skills/list", "--verify", "--require-digests"]);
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn inspector(era: Era, way: Way<'_>, method: &[&str]) -> Value {
    let finished = inspect(era, way, method);
    // A tool that answers with an error ends the Inspector with 5, its result printed all the same.
    let answered: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("the Inspector printed no JSON ({error}): {finished:?}"));
    answered["result"].clone()
}

fn inspect(era: Era, way: Way<'_>, method: &[&str]) -> Finished {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool("bin/node"));
    // It keeps its state in the home folder, which must not be the developer's.
    command.env("HOME", home.path());
    command.arg(tool(
        "npm/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js",
    ));
    command.arg("--cli");
    match way {
        Way::Http(server) | Way::Sse(server) => {
            let header = format!("Authorization: Bearer {}", server.token);
            command.args([&url(way, server), "--stored-auth-only", "--header", &header]);
            if let Way::Sse(_) = way {
                command.args(["--transport", "sse"]);
            }
        }
        Way::Stdio(product) | Way::Flagged(product, _) => {
            command.arg(binary()).arg("stdio");
            for (name, value) in product.environment() {
                command.args(["-e", &format!("{name}={value}")]);
            }
        }
    }
    let era = match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    };
    command.args(["--protocol-era", era, "--format", "json", "--quiet", "--method"]).args(method);
    run(&mut command, "")
}

fn url(way: Way<'_>, server: &Server<'_>) -> String {
    match way {
        Way::Sse(_) => server.at("/sse"),
        _ => server.url.clone(),
    }
}

/// One connection of a client.
pub struct Agent(Conversation);

impl Agent {
    fn start(mut command: Command, way: Way<'_>, has_person: bool) -> Self {
        lead(&mut command, way);
        if has_person {
            command.env("MCP_ELICITS", "1");
        }
        Self(Conversation::start(&mut command))
    }

    /// Begins a call during which the person is asked; tells what for.
    pub fn begin(&mut self, name: &str, arguments: &Value) -> Value {
        self.ask(&json!({"method": "tools/call", "name": name, "arguments": arguments}))["asked"]
            .clone()
    }

    /// What the person does, and what the call then answers.
    pub fn act(&mut self, action: &str) -> Answer {
        Answer(self.ask(&json!({ "action": action })))
    }

    /// As [`Agent::act`], with what the person entered.
    pub fn act_with(&mut self, action: &str, content: &Value) -> Answer {
        Answer(self.ask(&json!({"action": action, "content": content})))
    }

    /// A call whose person approves what they are asked, as they are asked to: by typing a name, or by saying yes. Tells
    /// what for, if they were.
    pub fn call_approved(&mut self, name: &str, arguments: &Value) -> (Answer, Option<Value>) {
        let call = json!({"method": "tools/call", "name": name, "arguments": arguments});
        let answer = self.ask(&call);
        let Some(asked) = answer.get("asked") else { return (Answer(answer), None) };
        let fields = &asked["requestedSchema"]["properties"];
        let typed = fields["name"]["title"].as_str().map(|title| {
            title.strip_prefix("Type ").unwrap().strip_suffix(" to approve").unwrap().to_owned()
        });
        let content = typed.map_or_else(|| json!({"approve": true}), |name| json!({"name": name}));
        (self.act_with("accept", &content), Some(asked.clone()))
    }

    pub fn call(&mut self, name: &str, arguments: &Value) -> Answer {
        Answer(self.ask(&json!({"method": "tools/call", "name": name, "arguments": arguments})))
    }

    pub fn tools(&mut self) -> Vec<Value> {
        tools(&self.ask(&json!({"method": "tools/list"})))
    }

    /// Another request than for tools; of the official clients for Node.
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        self.ask(&json!({"method": method, "params": params}))
    }

    fn ask(&mut self, call: &Value) -> Value {
        serde_json::from_str(&self.0.ask(&call.to_string())).expect("an answer in JSON")
    }
}

/// The official Python client.
pub struct Python;

impl Python {
    pub fn connect(era: Era, way: Way<'_>) -> Agent {
        Self::start(era, way, &[])
    }

    /// One whose person can be asked: [`Agent::begin`] and [`Agent::act`].
    pub fn with_person(era: Era, way: Way<'_>) -> Agent {
        Self::start(era, way, &[("MCP_ELICITS", "1")])
    }

    fn start(era: Era, way: Way<'_>, environment: &[(&str, &str)]) -> Agent {
        let mut command = Command::new(tool("python/bin/python"));
        command.env_clear().arg(top().join("tests/tools/mcp_client.py"));
        command.arg(match era {
            Era::Legacy => "legacy",
            Era::Modern => "2026-07-28",
        });
        lead(&mut command, way);
        command.envs(environment.iter().copied());
        Agent(Conversation::start(&mut command))
    }
}

/// The clients for Node, by the names that `node_client.mjs` has for them.
pub struct Node;

impl Node {
    pub fn connect(client: &str, url: &str, token: &str) -> Agent {
        let mut command = Self::command(client);
        Agent(Conversation::start(command.arg(url).env("MCP_TOKEN", token)))
    }

    /// One that comes in by this way; whose person can be asked, if so.
    pub fn by(client: &str, way: Way<'_>, has_person: bool) -> Agent {
        Agent::start(Self::command(client), way, has_person)
    }

    fn command(client: &str) -> Command {
        let mut command = Command::new(tool("bin/node"));
        command.env_clear().arg(top().join("tests/tools/node_client.mjs")).arg(client);
        command
    }
}

/// `LangChain`'s client for Python.
pub struct LangChain;

impl LangChain {
    /// As [`Node::by`].
    pub fn by(way: Way<'_>, has_person: bool) -> Agent {
        let mut command = Command::new(tool("langchain/bin/python"));
        command.env_clear().arg(top().join("tests/tools/langchain_client.py"));
        Agent::start(command, way, has_person)
    }
}

/// Tells a program where the server is.
fn lead(command: &mut Command, way: Way<'_>) {
    match way {
        Way::Http(server) | Way::Sse(server) => {
            command.arg(url(way, server)).env("MCP_TOKEN", &server.token);
        }
        Way::Stdio(product) | Way::Flagged(product, _) => {
            let flags = if let Way::Flagged(_, flags) = way { flags } else { &[] };
            command.arg("--").arg(binary()).arg("stdio").args(flags);
            command.envs(product.environment());
        }
    }
}

fn tools(result: &Value) -> Vec<Value> {
    result["tools"].as_array().unwrap_or_else(|| panic!("no tools: {result}")).clone()
}
