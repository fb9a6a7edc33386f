//! The transport of the first revision of the protocol, for clients that know no other: events come at `/sse`, messages
//! go to `/messages`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _, stream};
use http::StatusCode;
use http::request::Parts;
use rmcp::ServiceExt as _;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions as _};
use rmcp::transport::streamable_http_server::SessionId;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sessions::{Owner, Sessions};
use crate::host::Caller;
use crate::mcp::Mcp;

/// Messages that may wait in each direction.
const WAITING: usize = 16;

/// What each stream needs.
#[derive(Clone)]
pub(super) struct Streams {
    pub mcp: Mcp,
    pub sessions: Arc<Sessions>,
    pub closed: CancellationToken,
}

pub(super) fn router(streams: Streams) -> Router {
    Router::new().route("/sse", get(open)).route("/messages", post(message)).with_state(streams)
}

/// Ends a session with its stream.
struct Ending(Arc<Sessions>, SessionId);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.forget(&self.1);
    }
}

/// `GET /sse`: first says where messages go.
async fn open(State(streams): State<Streams>, Extension(caller): Extension<Caller>) -> Response {
    let Streams { mcp, sessions, closed } = streams;
    let (answers, told) = mpsc::channel(WAITING);
    let (inbox, messages) = mpsc::channel(WAITING);
    let id = SessionId::from(Uuid::new_v4().simple().to_string());
    sessions.opened(&id, Owner::from(&caller), Some(inbox)).await;
    let ending = Ending(sessions.clone(), id.clone());
    let endpoint = Event::default().event("endpoint").data(format!("/messages?sessionId={id}"));
    let ended = closed.clone().cancelled_owned();
    // Of its own: rmcp cancels it when the session ends.
    let closed = closed.child_token();
    tokio::spawn(async move {
        let serving = async {
            match Box::pin(mcp.serve_with_ct((answers, messages), closed)).await {
                Ok(running) => drop(running.waiting().await),
                Err(error) => tracing::debug!(%error, "a client did not begin as clients do"),
            }
        };
        tokio::select! {
            () = serving => {}
            () = sessions.unused(&id) => {}
        }
        sessions.forget(&id);
    });
    let messages = told.filter_map(move |message| {
        let _ = &ending;
        std::future::ready(Event::default().event("message").json_data(message).ok())
    });
    let events = stream::iter([endpoint]).chain(messages).take_until(ended);
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default()).into_response()
}

#[derive(Deserialize)]
struct To {
    #[serde(rename = "sessionId")]
    session: String,
}

/// `POST /messages`: what is answered comes with the events.
async fn message(
    State(streams): State<Streams>,
    Query(to): Query<To>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Json(mut message): Json<ClientJsonRpcMessage>,
) -> Response {
    let inbox = streams.sessions.inbox(&to.session, &Owner::from(&caller));
    let Some(mut inbox) = inbox else { return super::no_session() };
    match &mut message {
        ClientJsonRpcMessage::Request(call) => {
            call.request.extensions_mut().insert(parts);
        }
        ClientJsonRpcMessage::Notification(notice) => {
            notice.notification.extensions_mut().insert(parts);
        }
        _ => {}
    }
    match inbox.send(message).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => super::no_session(),
    }
}
