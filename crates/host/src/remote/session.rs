//! One session with a remote MCP server: opened for one call, in whichever generation of the protocol the server speaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resto_core::{Channel, Code, Error, Result, quote};
use rmcp::ClientHandler;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
    ClientCapabilities, ClientConfig, ClientRequest, ElicitRequestParams, ElicitResult, ErrorCode,
    ErrorData, Implementation, JsonObject, PaginatedRequestParams, ProgressNotificationParam,
    ProtocolVersion, ServerResult, Tool,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions,
    RequestContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::wire::{Wire, is_lost};

/// Tools and pages of them that are read.
const TOOLS: usize = 256;
const PAGES: usize = 32;

/// What becomes of a question in the middle of a call.
const UNASKED: &str =
    "It asked for a person's input in the middle of the call, which this server does not pass on.";

/// A session.
pub(super) struct Session {
    running: RunningService<RoleClient, Ours>,
    wire: Wire,
    name: &'static str,
}

impl Session {
    /// Opens a session. Whether the server is of the older generation is remembered in `is_legacy`, to be asked once.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the credential, or does not speak the protocol.
    pub async fn open(
        channel: Channel,
        name: &'static str,
        is_legacy: &AtomicBool,
    ) -> Result<Self> {
        let until = channel.until();
        let wire = Wire::new(channel);
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(wire.channel().url().as_str())
                .reinit_on_expired_session(false);
        config.allow_stateless = true;
        let transport = StreamableHttpClientTransport::with_client(wire.clone(), config);
        let ours = Ours { channel: wire.channel().clone(), asked: Arc::default() };
        let mode = if is_legacy.load(Ordering::Relaxed) {
            ClientLifecycleMode::Initialize
        } else {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            ClientLifecycleMode::Auto { preferred_versions, legacy_version: None }
        };
        let opening = ours.serve_with_lifecycle(transport, mode);
        let Ok(opened) = timeout_at(until, opening).await else { return Err(late(name)) };
        let running = opened
            .map_err(|error| wire.wrong().unwrap_or_else(|| stranger(name, &error.to_string())))?;
        let version = running.peer().peer_info().map(|info| info.protocol_version.clone());
        is_legacy.store(version.is_some_and(|version| version.has_initialize()), Ordering::Relaxed);
        Ok(Self { running, wire, name })
    }

    /// How the server calls itself.
    pub fn server(&self) -> Option<String> {
        let info = self.running.peer().peer_info()?;
        let server = info.server_info.clone()?;
        Some(quote(&server.title.unwrap_or(server.name))).filter(|name| !name.is_empty())
    }

    /// The server's tools.
    ///
    /// # Errors
    /// It lists more than we take, or does not answer.
    pub async fn tools(&self) -> Result<Vec<Tool>> {
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let listing = self.running.peer().list_tools(Some(page));
            let Ok(listed) = timeout_at(self.wire.channel().until(), listing).await else {
                return Err(late(self.name));
            };
            let listed = listed.map_err(|error| self.failed(&error))?;
            tools.extend(listed.tools);
            if tools.len() > TOOLS {
                break;
            }
            cursor = listed.next_cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(Error::new(
            Code::ProviderDown,
            format!(
                "{} lists more than the {TOOLS} tools that are taken of one server. Nothing was taken over.",
                self.name
            ),
        ))
    }

    /// Calls a tool, until the caller cancels.
    ///
    /// # Errors
    /// The tool or the server says why, or no answer came.
    pub async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        cancelled: CancellationToken,
    ) -> Result<CallToolResult> {
        let (peer, name) = (self.running.peer(), self.name);
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::no_options();
        let sent = peer.send_cancellable_request(request, options).await;
        let sent = sent.map_err(|error| self.failed(&error))?;
        let id = sent.id.clone();
        let answer = tokio::select! {
            answer = timeout_at(self.wire.channel().until(), sent.await_response()) => answer,
            () = cancelled.cancelled() => {
                let told = CancelledNotificationParam::new(Some(id), None);
                // Whether it heard of it or not, nobody waits for it any more.
                let _ = peer.notify_cancelled(told).await;
                return Err(Error::new(Code::Cancelled, "The caller cancelled the call."));
            }
        };
        let Ok(answer) = answer else { return Err(late(name)) };
        match answer.map_err(|error| self.failed(&error))? {
            ServerResult::CallToolResult(result) if result.is_error == Some(true) => {
                let words: Vec<&str> = result
                    .content
                    .iter()
                    .filter_map(|block| Some(block.as_text()?.text.as_str()))
                    .collect();
                let said = quote(&words.join(" "));
                let asked = self.running.service().asked.load(Ordering::Relaxed);
                let asked = if asked { UNASKED } else { "" };
                Err(Error::new(
                    Code::InvalidInput,
                    format!("{name} refused the call: {said}. {asked}").trim_end(),
                ))
            }
            ServerResult::CallToolResult(result) => Ok(result),
            ServerResult::InputRequiredResult(_) => Err(Error::new(
                Code::ActionRequired,
                format!("{name} does not finish the call. {UNASKED}"),
            )),
            ServerResult::CreateTaskResult(_) => Err(Error::new(
                Code::ActionRequired,
                format!(
                    "{name} answered with a task that goes on by itself, which this server does not follow. It may have begun. Look there before trying again."
                ),
            )),
            _ => Err(stranger(name, "another answer than that of a call")),
        }
    }

    /// Ends the session; nobody waits for it.
    pub fn close(self) {
        tokio::spawn(async move {
            // A server that does not hear of it forgets the session by itself.
            let _ = self.running.cancel().await;
        });
    }

    fn failed(&self, error: &ServiceError) -> Error {
        let name = self.name;
        if let Some(wrong) = self.wire.wrong() {
            return wrong;
        }
        match error {
            ServiceError::McpError(told) => Error::new(
                Code::InvalidInput,
                format!("{name} refused the call: {}.", quote(&told.message)),
            ),
            other => stranger(name, &other.to_string()),
        }
    }
}

/// What the host of a call makes of its failure: whether a change that was asked for happened may not be known.
pub(super) fn outcome(error: Error, is_unsafe: bool) -> Error {
    if !is_unsafe || !is_lost(&error) {
        return error;
    }
    let mut told = error;
    told.details_mut().code = Code::UnknownOutcome;
    let message = told.message().trim_end_matches(" Try again later.").to_owned();
    told.details_mut().message =
        format!("{message} The call was sent: it may have happened. Look before trying again.");
    told
}

fn late(name: &str) -> Error {
    Error::new(Code::ProviderDown, format!("{name} did not answer in time. Try again later."))
}

fn stranger(name: &str, what: &str) -> Error {
    Error::new(
        Code::ProviderDown,
        format!("{name} did not answer as an MCP server does ({}). Try again later.", quote(what)),
    )
}

/// What a server may ask of us: to be told how far it is, and nothing else.
#[derive(Clone)]
struct Ours {
    channel: Channel,
    /// Whether the server asked for a person's input.
    asked: Arc<AtomicBool>,
}

impl ClientHandler for Ours {
    fn get_info(&self) -> ClientConfig {
        let ours = Implementation::new("resto", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), ours)
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.asked.store(true, Ordering::Relaxed);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, UNASKED, None))
    }

    async fn on_progress(
        &self,
        told: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a progress is a small number, and one that is none becomes zero"
        )]
        let count = |number: f64| number as u64;
        let message = quote(told.message.as_deref().unwrap_or_default());
        self.channel.progress(count(told.progress), told.total.map(count), &message);
    }
}
