//! rmcp's client over our guarded HTTP: every request of a session signed just in time, every answer bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use resto_core::{Channel, Code, Error, Streamed};
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ClientResult, ErrorData, ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const SESSION: &str = "mcp-session-id";

/// Events in one answer; progress is told less often.
const EVENTS: usize = 10_000;

/// How long is waited until a server lets us listen.
const HEARING: Duration = Duration::from_secs(2);

/// Bytes of a refusal that are read, to know what is meant.
const REFUSAL: usize = 64 << 10;

type Failed = StreamableHttpError<Error>;
type Posted = Result<StreamableHttpPostResponse, Failed>;

/// The way to one server for one call.
#[derive(Clone)]
pub(super) struct Wire {
    channel: Channel,
    /// What went wrong, in our own words: rmcp passes on a text of it only.
    wrong: Arc<Mutex<Option<Error>>>,
    /// Cancelled when an answer for which the server waits did not reach it.
    lost: CancellationToken,
    session: Arc<Listening>,
}

/// How it stands with what a server of the older generation sends beside its answers.
#[derive(Default)]
struct Listening {
    /// Whether there is a session, in which it could.
    is_open: AtomicBool,
    has_begun: AtomicBool,
    /// Cancelled once it is known whether it does.
    is_known: CancellationToken,
}

impl Wire {
    pub fn new(channel: Channel) -> Self {
        let (wrong, session) = (Arc::default(), Arc::default());
        Self { channel, wrong, lost: CancellationToken::new(), session }
    }

    /// Waits until what the server asks is heard, wherever it asks: some ask at once, and to nobody.
    pub async fn hears(&self) {
        if self.channel.can_ask() && self.session.is_open.load(Ordering::Relaxed) {
            let _ = timeout(HEARING, self.session.is_known.cancelled()).await;
        }
    }

    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Ends when the server waits for an answer in vain.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// What went wrong on the way, if something did.
    pub fn wrong(&self) -> Option<Error> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, error: Error) -> Failed {
        StreamableHttpError::Client(self.note(error))
    }

    fn note(&self, error: Error) -> Error {
        *self.wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        error
    }

    async fn send(
        &self,
        method: Method,
        body: Vec<u8>,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Streamed, Error> {
        self.channel.send(self.request(method, body, session, headers)).await
    }

    fn request(
        &self,
        method: Method,
        body: Vec<u8>,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Request<Vec<u8>> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        if let Ok(uri) = self.channel.url().as_str().parse() {
            *request.uri_mut() = uri;
        }
        let fields = request.headers_mut();
        fields.extend(
            headers.into_iter().map(|(name, value)| (Some(name), value)).collect::<Vec<_>>(),
        );
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(id) = session.and_then(|id| HeaderValue::from_str(&id).ok()) {
            fields.insert(HeaderName::from_static(SESSION), id);
        }
        request
    }

    /// The whole body, or its beginning.
    async fn body(&self, answer: Streamed, most: usize) -> Result<Vec<u8>, Failed> {
        let mut stream = answer.body;
        let mut body = Vec::new();
        while body.len() < most
            && let Some(chunk) = stream.try_next().await.map_err(|error| self.failed(error))?
        {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn events(&self, answer: Streamed) -> BoxStream<'static, Result<Sse, SseError>> {
        let wire = self.clone();
        let bytes = answer.body.map_err(move |error| wire.note(error));
        SseStream::from_bytes_stream(bytes).take(EVENTS).boxed()
    }
}

impl StreamableHttpClient for Wire {
    type Error = Error;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Posted {
        let body = serde_json::to_vec(&message)?;
        let has_session = session.is_some();
        let sent = self.send(Method::POST, body, session, headers).await;
        let answer = sent.map_err(|error| match &message {
            ClientJsonRpcMessage::Response(answer)
                if matches!(answer.result, ClientResult::ElicitResult(_)) =>
            {
                let failed = self.failed(error);
                self.lost.cancel();
                failed
            }
            // What becomes of our answer to a question of theirs says nothing of the call.
            ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_) => {
                StreamableHttpError::Client(error)
            }
            _ => self.failed(error),
        })?;
        let status = answer.status;
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && has_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        if !status.is_success() {
            let body = self.body(answer, REFUSAL).await?;
            return refusal(&message, status, &body);
        }
        if !matches!(message, ClientJsonRpcMessage::Request(_)) {
            // Nothing of an answer to it matters.
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let header = |name: &str| {
            answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let session = header(SESSION);
        self.session.is_open.fetch_or(session.is_some(), Ordering::Relaxed);
        let kind = header(CONTENT_TYPE.as_str());
        let essence = kind.as_deref().and_then(|kind| kind.split(';').next()).unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => {
                Ok(StreamableHttpPostResponse::Sse(self.events(answer), session))
            }
            "application/json" => {
                // The channel bounds it.
                let body = self.body(answer, usize::MAX).await?;
                Ok(StreamableHttpPostResponse::Json(serde_json::from_slice(&body)?, session))
            }
            _ => Err(StreamableHttpError::UnexpectedContentType(kind)),
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session: Arc<str>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        let sent = self.send(Method::DELETE, Vec::new(), Some(session), headers).await;
        sent.map(drop).map_err(StreamableHttpError::Client)
    }

    /// A session lasts for one call, whose answer comes with its request. Beside it comes what some servers ask a person: it
    /// is listened to once, where there is somebody who could be asked.
    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        if !self.channel.can_ask() || last_event_id.is_some() {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        if self.session.has_begun.swap(true, Ordering::Relaxed) {
            return Ok(futures::stream::pending().boxed());
        }
        let request = self.request(Method::GET, Vec::new(), session, headers);
        let answered = self.channel.listen(request).await;
        self.session.is_known.cancel();
        match answered {
            Ok(answer) if answer.status.is_success() => Ok(self.events(answer)),
            // Not all have it.
            _ => Err(StreamableHttpError::ServerDoesNotSupportSse),
        }
    }
}

/// A refusal in the protocol's own words, where it has any. That of a question which older servers do not know is no
/// failure: it says that the server is an older one.
fn refusal(message: &ClientJsonRpcMessage, status: StatusCode, body: &[u8]) -> Posted {
    let told = match serde_json::from_slice(body) {
        Ok(ServerJsonRpcMessage::Error(error)) => Some(error.error),
        _ => None,
    };
    match message {
        ClientJsonRpcMessage::Request(asked) => {
            let is_discovery = matches!(asked.request, ClientRequest::DiscoverRequest(_));
            let unknown = || ErrorData::invalid_request(format!("HTTP {status}"), None);
            match told.or_else(|| is_discovery.then(unknown)) {
                Some(error) => Ok(StreamableHttpPostResponse::Json(
                    ServerJsonRpcMessage::error(error, Some(asked.id.clone())),
                    None,
                )),
                None => Err(StreamableHttpError::UnexpectedServerResponse(
                    format!("HTTP {status}").into(),
                )),
            }
        }
        _ => Err(StreamableHttpError::UnexpectedServerResponse(format!("HTTP {status}").into())),
    }
}

/// Whether an answer could not be had because of where we are, not of what was asked.
pub(super) fn is_lost(error: &Error) -> bool {
    error.code() == Code::ProviderDown
}
