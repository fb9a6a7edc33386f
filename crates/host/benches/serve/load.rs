//! Clients that keep their connections and ask one request after the other, in generation 2026-07-28.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The call that every server answers after it has asked the provider once.
pub const TOOL: &str = "github_get_account";

/// What is asked.
#[derive(Clone, Copy)]
pub enum Load {
    Call,
    List,
    Listen,
}

impl Load {
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::List => "lists",
            Self::Listen => "streams",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Call => "tools/call",
            Self::List => "tools/list",
            Self::Listen => "subscriptions/listen",
        }
    }
}

/// A server under load.
#[derive(Clone)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// The path for calls, and the one for lists of everything.
    pub paths: [String; 2],
    /// Access tokens; each connection has the next one.
    pub tokens: Vec<String>,
}

impl Target {
    /// A whole request.
    pub fn request(&self, load: Load, connection: usize) -> Vec<u8> {
        let mut params = match load {
            Load::Call => json!({"name": TOOL, "arguments": {}}),
            Load::List => json!({}),
            Load::Listen => json!({"notifications": {"toolsListChanged": true}}),
        };
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let method = load.method();
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(load, connection, &body.to_string())
    }

    /// A whole request with this body.
    pub fn post(&self, load: Load, connection: usize, body: &str) -> Vec<u8> {
        let token = &self.tokens[connection % self.tokens.len()];
        let named = match load {
            Load::Call => format!("mcp-name: {TOOL}\r\n"),
            _ => String::new(),
        };
        let path = &self.paths[usize::from(matches!(load, Load::List))];
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {}\r\n{named}\
             content-length: {}\r\n\r\n{body}",
            self.address,
            load.method(),
            body.len()
        )
        .into_bytes()
    }
}

/// Good answers in a second over so many connections.
pub async fn rate(target: &Target, load: Load, connections: usize, time: Duration) -> f64 {
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for n in 0..connections {
        let request = target.request(load, n);
        let address = target.address.clone();
        clients.spawn(async move {
            let mut client = Client::open(&address).await.unwrap();
            let mut answers = 0_u32;
            while start.elapsed() < time {
                client.ask(&request).await;
                let good = match load {
                    Load::Call => b"octocat".as_slice(),
                    Load::List => b"inputSchema",
                    Load::Listen => b"jsonrpc",
                };
                assert!(client.answered(good), "{}", String::from_utf8_lossy(&client.answer));
                answers += 1;
            }
            answers
        });
    }
    let answers: u32 = clients.join_all().await.into_iter().sum();
    f64::from(answers) / start.elapsed().as_secs_f64()
}

/// Where an answer ends.
#[derive(Clone, Copy)]
enum End {
    At(usize),
    LastChunk,
}

impl End {
    fn is_reached(self, answer: &[u8]) -> bool {
        match self {
            Self::At(end) => answer.len() >= end,
            Self::LastChunk => answer.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

/// One connection, with the last answer as it came.
pub struct Client {
    stream: TcpStream,
    pub answer: Vec<u8>,
    body: usize,
}

impl Client {
    pub async fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::new(), body: 0 })
    }

    /// Sends a request and reads its answer to the end.
    pub async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        let mut end = None;
        while !end.is_some_and(|end: End| end.is_reached(&self.answer)) {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the server closed a connection");
            if end.is_none()
                && let Some(head) = self.answer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                self.body = head + 4;
                let length = self.header("content-length").map(|length| length.parse().unwrap());
                end = Some(
                    length.map_or(End::LastChunk, |length: usize| End::At(self.body + length)),
                );
            }
        }
    }

    /// A header of the last answer, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.answer[..self.body]);
        head.lines().find_map(|line| {
            let (named, value) = line.split_once(':')?;
            named.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// Whether the answer is a result that has these bytes, and no error.
    pub fn answered(&self, good: &[u8]) -> bool {
        let has = |what: &[u8]| {
            self.answer[self.body..].windows(what.len()).take(4096).any(|bytes| bytes == what)
        };
        self.answer.starts_with(b"HTTP/1.1 200") && has(good) && !has(b"\"isError\":true")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.answer[self.body..]).unwrap()
    }
}
