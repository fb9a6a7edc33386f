//! What a caller waits for: the list of tools, and one audited call against a provider on loopback.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use axum::routing::get;
use axum::serve::{Listener as _, ListenerExt as _};
use axum::{Json, Router};
use divan::Bencher;
use resto_core::{Adapter, Bounds, Category, Http, Risk, Secrets};
use resto_host::{
    Caller, Calls, Catalog, Config, Host, LimitOverrides, Line, Overrides, RemoteServer, SignIn,
    tool,
};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// As the product has it.
#[global_allocator]
static MEMORY: resto_host::Wiping = resto_host::WIPING;

fn main() {
    divan::main();
}

/// Every tool as `tools/list` publishes it, from the actions to the bytes; several catalogs' worth,
/// since a full server has more than a hundred.
#[divan::bench]
fn list_over_100_tools(bencher: Bencher<'_, '_>) {
    let adapters = || -> Vec<Adapter> { vec![resto_github::adapter()] };
    let catalog = Catalog::new(adapters());
    let copies = 100_usize.div_ceil(catalog.entries().count());
    bencher.bench(|| {
        let tools: Vec<_> =
            (0..copies).flat_map(|_| catalog.entries().map(|entry| tool(&entry))).collect();
        serde_json::to_vec(&tools).unwrap().len()
    });
}

/// A reading call: checked, its intent durable on SQLite, the credential opened, the provider asked,
/// its result durable.
#[divan::bench]
fn call_audited(bencher: Bencher<'_, '_>) {
    let bench = Bench::start();
    bencher.bench(|| bench.call());
}

/// As `call_audited`, of a tool of a remote MCP server: a session is opened for it, its answer bounded and cleaned.
#[divan::bench]
fn call_of_a_remote_server(bencher: Bencher<'_, '_>) {
    let bench = Bench::start();
    bencher.bench(|| bench.run("remote_echo"));
}

/// The same tool, asked directly with one request.
#[divan::bench]
fn call_of_a_remote_server_directly(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().unwrap();
    let url = runtime.block_on(remote());
    let http = Http::new(Bounds::default()).unwrap();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "echo", "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    bencher.bench(|| {
        let request = http::Request::post(&url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "echo")
            .body(body.to_string().into_bytes())
            .unwrap();
        let answer = runtime.block_on(http.exchange(request)).unwrap();
        assert!(answer.status().is_success());
    });
}

struct Bench {
    runtime: Runtime,
    host: Arc<Host>,
    caller: Caller,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let base_url = runtime.block_on(provider());
        let mut config = Config {
            data_dir: Some(folder.path().join("data")),
            key_file: Some(folder.path().join("keys/root.key")),
            ..Config::default()
        };
        let overrides = Overrides { base_url: Some(base_url), ..Overrides::default() };
        config.integrations.insert("github".into(), overrides);
        let server = RemoteServer {
            name: "Remote".into(),
            category: Category::Code,
            purpose: "Is measured.".into(),
            url: runtime.block_on(remote()),
            auth: SignIn::Key,
            key_url: Some("https://remote.example".into()),
            scopes: Vec::new(),
            allowed_tools: None,
            risks: [("echo".into(), Risk::Read)].into(),
        };
        config.remote.insert("remote".into(), server);
        // What is measured is not how long one waits for a turn.
        let limits = LimitOverrides {
            requests: Some(1_000_000),
            burst: Some(1_000_000),
            ..LimitOverrides::default()
        };
        let overrides = Overrides { limits: Some(limits), ..Overrides::default() };
        config.integrations.insert("remote".into(), overrides);
        let (host, caller) = runtime.block_on(async {
            let host = Arc::new(Host::open(&config).await.unwrap());
            let caller = host.owner("local", "bench").await.unwrap();
            let github = host.integration("github").unwrap();
            let secrets = Secrets::from([("token".into(), "github_pat_bench".into())]);
            host.connect_key(&caller, github, None, secrets, false).await.unwrap();
            let remote = host.integration("remote").unwrap();
            let secrets = Secrets::from([("key".into(), "key-of-the-bench".into())]);
            host.connect_key(&caller, remote, None, secrets, false).await.unwrap();
            (host, caller)
        });
        Self { runtime, host, caller, _folder: folder }
    }

    fn call(&self) -> serde_json::Value {
        self.run("github_get_account")
    }

    fn run(&self, tool: &str) -> serde_json::Value {
        let call = self.host.call(&self.caller, tool, json!({}), Line::new(Calls::Agent));
        self.runtime.block_on(call).unwrap().output
    }
}

async fn provider() -> String {
    let user = || async {
        Json(
            json!({"id": 1, "login": "octocat", "type": "User", "html_url": "https://github.com/octocat"}),
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/user", get(user))).await },
    );
    format!("http://{address}")
}

/// A server of one tool, as others write it.
#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({"type": "object"}).as_object().cloned().unwrap();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "Answers.", Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text("said")]).into())
    }
}

async fn remote() -> String {
    let config = StreamableHttpServerConfig::default().with_json_response(true);
    let service =
        StreamableHttpService::new(|| Ok(Echo), Arc::new(LocalSessionManager::default()), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = listener.tap_io(|io| io.set_nodelay(true).unwrap());
    let address = *listener.local_addr().as_ref().unwrap();
    let router = Router::new().route_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/mcp")
}
