//! This program as a server: one that does nothing but answer, or one that also opens the caller's credential.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::serve::{Listener as _, ListenerExt as _};
use http::header::AUTHORIZATION;
use http::request::Parts;
use resto_core::{Bounds, Http};
use resto_host::{Config, Host};
use resto_vault::{Intent, Needs, Outcome, ResultStatus, Sealed};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::load::TOOL;
use crate::servers::{DATABASE, FOLDER, PROVIDER, TOOLS};

/// Runs as one of the servers.
pub fn serve(kind: &str) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let text = |name: &str| std::env::var(name).unwrap_or_default();
        let http = Http::new(Bounds::default()).unwrap();
        let mut bare = Bare { tools: Vec::new(), provider: text(PROVIDER), http, vault: None };
        if kind == "bare" {
            let tools = std::fs::read(text(TOOLS)).unwrap();
            bare.tools = serde_json::from_slice(&tools).unwrap();
        } else {
            let config = Config::load(Some(std::path::Path::new(&text("RESTO_CONFIG")))).unwrap();
            let folder = PathBuf::from(text(FOLDER));
            bare.provider = config.integrations["github"].base_url.clone().unwrap();
            let config = Config {
                data_dir: Some(folder.join("data")),
                key_file: Some(folder.join("root.key")),
                database: std::env::var(DATABASE).ok(),
                ..config
            };
            bare.vault = Some(Arc::new(Opened::new(Host::open(&config).await.unwrap())));
            bare.tools =
                serde_json::from_value(json!([{"name": TOOL, "inputSchema": {"type": "object"}}]))
                    .unwrap();
        }
        let config = StreamableHttpServerConfig::default().with_json_response(true);
        let service = StreamableHttpService::new(
            move || Ok(bare.clone()),
            Arc::new(LocalSessionManager::default()),
            config,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = listener.tap_io(|io| io.set_nodelay(true).unwrap());
        println!("http://{}/mcp", listener.local_addr().unwrap());
        axum::serve(listener, Router::new().route_service("/mcp", service)).await.unwrap();
    });
}

/// A server that does nothing but answer.
#[derive(Clone)]
struct Bare {
    tools: Vec<Tool>,
    provider: String,
    http: Http,
    vault: Option<Arc<Opened>>,
}

/// The vault, with the sealed credential of each token's tenant once it was used.
struct Opened {
    host: Host,
    sealed: Mutex<HashMap<String, Arc<Sealed>>>,
}

impl Opened {
    fn new(host: Host) -> Self {
        Self { host, sealed: Mutex::default() }
    }

    /// The credential of whoever brings this token.
    async fn credential(&self, token: &str) -> String {
        let caller = self.host.bearer(token, "bench").await.unwrap().unwrap();
        let connection = caller.scope.connection("github").await.unwrap().unwrap();
        let known = self.sealed.lock().unwrap().get(&connection.id.to_string()).cloned();
        let sealed = match known {
            Some(sealed) => sealed,
            None => {
                let intent = Intent {
                    integration_id: "github",
                    action: TOOL,
                    params: &json!({}),
                    actor: &caller.actor,
                    op_id: None,
                    unsafe_: false,
                    connection: Needs::Active,
                };
                let begun = caller.scope.begin(intent).await.unwrap();
                let outcome = Outcome::of(ResultStatus::Success);
                caller.scope.finish(begun.ticket, outcome).await.unwrap();
                let sealed = Arc::new(begun.connection.unwrap().1);
                self.sealed.lock().unwrap().insert(connection.id.to_string(), sealed.clone());
                sealed
            }
        };
        let credential = sealed.open().unwrap();
        // EXPOSE: it goes to the provider.
        credential.secrets["token"].expose_secret().to_owned()
    }
}

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut request = http::Request::get(format!("{}/user", self.provider));
        if let Some(vault) = &self.vault {
            let token = &context.extensions.get::<Parts>().unwrap().headers[AUTHORIZATION];
            let token = token.to_str().unwrap().trim_start_matches("Bearer ");
            let credential = vault.credential(token).await;
            request = request.header(AUTHORIZATION, format!("Bearer {credential}"));
        }
        let answer = self.http.exchange(request.body(Vec::new()).unwrap()).await.unwrap();
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        Ok(CallToolResult::structured(answer).into())
    }
}
