//! This program as a server that does nothing but answer.

use std::sync::Arc;

use axum::Router;
use axum::serve::{Listener as _, ListenerExt as _};
use resto_core::{Bounds, Http};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::servers::{PROVIDER, TOOLS};

/// Runs as it.
pub fn serve() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let http = Http::new(Bounds::default()).unwrap();
        let tools = std::fs::read(std::env::var(TOOLS).unwrap()).unwrap();
        let tools: Vec<_> = serde_json::from_slice(&tools).unwrap();
        let bare =
            Bare { tools: tools.into(), provider: std::env::var(PROVIDER).unwrap().into(), http };
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

#[derive(Clone)]
struct Bare {
    tools: Arc<[Tool]>,
    provider: Arc<str>,
    http: Http,
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
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = http::Request::get(format!("{}/user", self.provider));
        let answer = self.http.exchange(request.body(Vec::new()).unwrap()).await.unwrap();
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        Ok(CallToolResult::structured(answer).into())
    }
}
