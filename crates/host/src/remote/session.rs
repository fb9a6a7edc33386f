//! One session with a remote MCP server: opened for one call, in whichever generation of the protocol the server speaks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use resto_core::{Channel, Code, Error, Result, quote};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
    ClientRequest, ElicitRequestParams, ElicitationAction, ErrorCode, ErrorData, InputRequests,
    InputResponses, JsonObject, PaginatedRequestParams, ProtocolVersion, ServerResult, Tool,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, Peer, PeerRequestOptions, RoleClient,
    RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio_util::sync::CancellationToken;

use super::asking::Ours;
use super::wire::Wire;

/// Tools and pages of them that are read.
const TOOLS: usize = 256;
const PAGES: usize = 32;

/// What it answers where a person has to go to a page first, in the generations that know it.
const PAGE_FIRST: ErrorCode = ErrorCode(-32042);

/// How often a server may want a call made again before it ends it, and how long it is waited first where it asks nothing.
const ROUNDS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

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
        let wire = Wire::new(channel);
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(wire.channel().url().as_str())
                .reinit_on_expired_session(false);
        config.allow_stateless = true;
        let transport = StreamableHttpClientTransport::with_client(wire.clone(), config);
        let ours = Ours::new(wire.channel().clone(), name);
        let mode = if is_legacy.load(Ordering::Relaxed) {
            ClientLifecycleMode::Initialize
        } else {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            ClientLifecycleMode::Auto { preferred_versions, legacy_version: None }
        };
        let opening = ours.serve_with_lifecycle(transport, mode);
        let Some(opened) = wire.channel().in_time(opening).await else { return Err(late(name)) };
        let running = opened
            .map_err(|error| wire.wrong().unwrap_or_else(|| stranger(name, &error.to_string())))?;
        let version = running.peer().peer_info().map(|info| info.protocol_version.clone());
        is_legacy.store(version.is_some_and(|version| version.has_initialize()), Ordering::Relaxed);
        wire.hears().await;
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
            let listed = self.in_time(listing).await?;
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

    /// Calls a tool, until the caller cancels; what it asks meanwhile is passed on.
    ///
    /// # Errors
    /// The tool or the server says why, or no answer came.
    pub async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        is_unsafe: bool,
        cancelled: &CancellationToken,
    ) -> Result<CallToolResult> {
        let name = self.name;
        // What it asks after that, nobody answers.
        let _ended = self.ours().ended.clone().drop_guard();
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        for round in 0..ROUNDS {
            match self.once(params.clone(), cancelled).await? {
                ServerResult::CallToolResult(result) => return self.ended(result),
                ServerResult::InputRequiredResult(more) => {
                    params.input_responses = match more.input_requests {
                        Some(requests) if !requests.is_empty() => {
                            Some(Box::pin(self.answers(requests)).await?)
                        }
                        _ => {
                            tokio::time::sleep(PAUSE * (round + 1)).await;
                            None
                        }
                    };
                    params.request_state = more.request_state;
                }
                ServerResult::CreateTaskResult(created) => {
                    // On the heap: it is rarely needed, and large.
                    return Box::pin(self.follow(created.task, is_unsafe, cancelled)).await;
                }
                ServerResult::CustomResult(other)
                    if other.0.get("resultType").is_some_and(|kind| kind == "input_required") =>
                {
                    let what = "something in a form that this server does not know";
                    return Err(self.ours().is_not_passed_on(what));
                }
                _ => return Err(stranger(name, "another answer than that of a call")),
            }
        }
        Err(Error::new(
            Code::ActionRequired,
            format!("{name} does not finish the call: it wanted it made again {ROUNDS} times."),
        ))
    }

    async fn once(
        &self,
        params: CallToolRequestParams,
        cancelled: &CancellationToken,
    ) -> Result<ServerResult> {
        let peer = self.peer();
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::no_options();
        let sent = peer.send_cancellable_request(request, options).await;
        let sent = sent.map_err(|error| self.failed(&error))?;
        let id = sent.id.clone();
        tokio::select! {
            answer = self.ours().channel.in_time(sent.await_response()) => match answer {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(ServiceError::McpError(told))) if told.code == PAGE_FIRST => {
                    Err(Box::pin(self.led(&told)).await)
                }
                Some(Err(error)) => Err(self.failed(&error)),
                None => Err(late(self.name)),
            },
            () = self.wire.lost() => {
                let (name, wrong) = (self.name, self.wire.wrong());
                let why = wrong.as_ref().map_or("it was lost", |wrong| wrong.message());
                let what = format!("{name} did not get the answer for which it waits: {why}");
                Err(Error::new(Code::ProviderDown, what))
            }
            () = cancelled.cancelled() => {
                let told = CancelledNotificationParam::new(Some(id), None);
                // Whether it heard of it or not, nobody waits for it any more.
                let _ = peer.notify_cancelled(told).await;
                Err(Error::new(Code::Cancelled, "The caller cancelled the call."))
            }
        }
    }

    /// It wants a person to have been on a page of its own before it is called.
    async fn led(&self, told: &ErrorData) -> Error {
        let name = self.name;
        let pages = told.data.as_ref().and_then(|data| data.get("elicitations"));
        let page = pages.and_then(|pages| pages.as_array()?.first()).cloned().unwrap_or_default();
        let Ok(page @ ElicitRequestParams::UrlElicitationParams { .. }) =
            serde_json::from_value(page)
        else {
            return stranger(name, "it names no page");
        };
        match self.ours().ask(page).await {
            Err(unasked) => unasked,
            Ok(result) if result.action == ElicitationAction::Accept => Error::new(
                Code::ActionRequired,
                format!(
                    "{name} wants a person to do something on a page of its own first, which they were shown. When they say that they are done, make the very same call again."
                ),
            ),
            Ok(_) => Error::new(
                Code::Denied,
                format!(
                    "The person did not want to open the page that {name} wants them to see first. Nothing was done. Do not ask again unless they say so."
                ),
            ),
        }
    }

    /// What a tool answered, unless it says that it failed.
    pub(super) fn ended(&self, result: CallToolResult) -> Result<CallToolResult> {
        if result.is_error != Some(true) {
            return Ok(result);
        }
        let words: Vec<&str> = result
            .content
            .iter()
            .filter_map(|block| Some(block.as_text()?.text.as_str()))
            .collect();
        Err(self.refused(&words.join(" ")))
    }

    /// It refused the call; because of a question that was not passed on, where there was one. What it says once it has
    /// asked something is the caller's alone.
    pub(super) fn refused(&self, said: &str) -> Error {
        let (name, said) = (self.name, quote(said));
        if let Some(mut unasked) = self.ours().unasked() {
            let details = unasked.details_mut();
            details.message.push_str(" It then ended the call.");
            let asked = details.said.take().unwrap_or_default();
            details.said = Some(format!("{asked}; then: {said}"));
            return unasked;
        }
        if !self.ours().has_asked() {
            return Error::new(Code::InvalidInput, format!("{name} refused the call: {said}."));
        }
        let mut error = Error::new(
            Code::InvalidInput,
            format!("{name} refused the call after it had asked the caller's person."),
        );
        error.details_mut().said = Some(said);
        error
    }

    /// The answers to all that it wants to know.
    pub(super) async fn answers(&self, requests: InputRequests) -> Result<InputResponses> {
        let mut answers = InputResponses::new();
        for (key, request) in requests {
            answers.insert(key, self.ours().answer(request).await?);
        }
        Ok(answers)
    }

    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        self.running.peer()
    }

    pub(super) fn ours(&self) -> &Ours {
        self.running.service()
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Waits for an answer as long as there is time.
    pub(super) async fn in_time<T>(
        &self,
        answer: impl Future<Output = std::result::Result<T, ServiceError>>,
    ) -> Result<T> {
        match self.ours().channel.in_time(answer).await {
            None => Err(late(self.name)),
            Some(answered) => answered.map_err(|error| self.failed(&error)),
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
            ServiceError::McpError(told) => self.refused(&told.message),
            other => stranger(name, &other.to_string()),
        }
    }
}

/// What became of a call that failed, where it may have changed something nevertheless.
pub(super) fn outcome(error: Error, may_have_happened: bool) -> Error {
    if !may_have_happened {
        return error;
    }
    let mut told = error;
    told.details_mut().code = Code::UnknownOutcome;
    let message = told.message().trim_end_matches(" Try again later.").to_owned();
    told.details_mut().message =
        format!("{message} The call was sent: it may have happened. Look before trying again.");
    told
}

pub(super) fn late(name: &str) -> Error {
    Error::new(Code::ProviderDown, format!("{name} did not answer in time. Try again later."))
}

pub(super) fn stranger(name: &str, what: &str) -> Error {
    Error::new(
        Code::ProviderDown,
        format!("{name} did not answer as an MCP server does ({}). Try again later.", quote(what)),
    )
}
