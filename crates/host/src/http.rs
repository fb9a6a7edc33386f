//! The HTTP door: `/mcp` and `/sse` for agents with an access token, and the people's pages.

mod connections;
mod entry;
mod sessions;
mod sse;

use std::any::Any;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use resto_core::{Code, Error, Result};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::Config;
use crate::console;
use crate::host::{Caller, Host};
use crate::mcp::{self, Mcp};
use crate::observe::health;
use crate::origin::Origin;
use crate::webhooks;

pub(crate) use connections::answer;
use connections::{LAST_IN, MAX_BODY, whole};
use sessions::{OWNER, Owner, Sessions};
use sse::Streams;

/// Where a session is named.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// How long calls under way may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(30);

/// How long the answers of ended calls may take to leave, and streams to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A server that listens.
pub struct Server {
    pub(crate) listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let what = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "is taken by another program. Stop it, or".to_owned()
                }
                _ => format!("cannot be listened on ({error}). Please"),
            };
            Error::new(
                Code::Conflict,
                format!("{address} {what} name another: resto serve --bind 127.0.0.1:PORT"),
            )
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

/// Serves until `stop`, then lets calls under way end.
pub async fn serve(
    server: Server,
    host: Arc<Host>,
    config: &Config,
    stop: impl Future<Output = ()>,
) {
    let ending = CancellationToken::new();
    // Cancelled only when the calls have ended: it would take their answers from them.
    let closed = CancellationToken::new();
    let app = router(host.clone(), config, &closed);
    let mut served = tokio::spawn(answer(server.listener, app, ending.clone()));
    stop.await;
    ending.cancel();
    calls_ended(&host).await;
    if tokio::time::timeout(LAST_ANSWERS, &mut served).await.is_err() {
        // What is open still is a stream that its client keeps, and would hold the server for ever.
        closed.cancel();
        let _ = tokio::time::timeout(LAST_ANSWERS, served).await;
    }
}

/// Ends when the calls under way have, or had the time to.
async fn calls_ended(host: &Host) {
    host.tasks.close();
    // For those who are let in meanwhile.
    sleep(2 * LAST_IN).await;
    if tokio::time::timeout(DRAIN, host.tasks.wait()).await.is_err() {
        tracing::warn!("calls were still under way after 30 s; their outcome is marked unknown");
    }
}

fn router(host: Arc<Host>, config: &Config, closed: &CancellationToken) -> Router {
    let mcp = Mcp::http(host.clone());
    let names = names(config, host.place.name());
    let sessions = Arc::new(Sessions::new());
    let settings = StreamableHttpServerConfig::default()
        .with_json_response(true)
        // All paths are held against them, not only this one.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_max_request_body_bytes(MAX_BODY)
        .with_cancellation_token(closed.child_token());
    let served = mcp.clone();
    #[cfg(feature = "conformance")]
    let served = mcp::Fixture::over(served);
    let service =
        StreamableHttpService::new(move || Ok(served.clone()), sessions.clone(), settings);
    let mut agents =
        Router::new().route_service("/mcp", service).layer(from_fn(mcp::with_ready_list));
    if config.sse.unwrap_or(true) {
        let (sessions, closed) = (sessions.clone(), closed.clone());
        agents = agents.merge(sse::router(Streams { mcp, sessions, closed }));
    }
    let pages: Arc<[HeaderValue]> = config.allowed_origins.iter().map(Origin::header).collect();
    let others = webhooks::router(host.clone()).merge(console::router(host.clone()));
    let others = others.layer(from_fn(whole));
    // Those that follow each other are one layer: each is a copy of all below it, for each request.
    agents
        .layer((
            from_fn_with_state(host.clone(), entry::authenticate),
            from_fn(whole),
            from_fn_with_state(host.clone(), entry::step_up),
            from_fn_with_state(sessions, own_session),
        ))
        .merge(entry::metadata(host.clone()))
        .layer((readable(config), from_fn_with_state(pages, known_page)))
        .merge(others)
        .layer(from_fn_with_state(names, known_name))
        // Whoever looks after processes asks under no name.
        .merge(health(host))
        .layer(CatchPanicLayer::custom(faulty))
}

/// Whoever waits is told, and the connection is kept for the next request.
fn faulty(_: Box<dyn Any + Send>) -> Response {
    let why = "This server has an internal fault. It was logged; try again later.\n";
    (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
}

/// The names under which this server is reached.
fn names(config: &Config, public: Option<&str>) -> Arc<[String]> {
    let ours = ["localhost", "127.0.0.1", "[::1]"].into_iter().chain(public).map(str::to_owned);
    // Our own links lead there where no other name is known, and no stranger's name does.
    let bind = config.bind().ip();
    let bind = (!bind.is_unspecified()).then(|| match bind {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    ours.chain(bind).chain(config.allowed_hosts.iter().cloned()).collect()
}

/// Turns away requests under a name that is not ours: a page of a stranger whose name leads to this
/// machine (DNS rebinding) would pass for one of ours.
async fn known_name(State(names): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let mut told = request.headers().get_all(header::HOST).iter();
    let authority = match (told.next(), told.next()) {
        (Some(host), None) => {
            host.to_str().ok().and_then(|host| host.parse::<http::uri::Authority>().ok())
        }
        // HTTP/2 tells it in the address.
        (None, None) => request.uri().authority().cloned(),
        _ => None,
    };
    let known = authority.filter(|told| !told.as_str().contains('@')).is_some_and(|authority| {
        [authority.host(), authority.as_str()]
            .iter()
            .any(|told| names.iter().any(|name| name.eq_ignore_ascii_case(told)))
    });
    if known {
        return next.run(request).await;
    }
    let why = "This server does not go by that name. Whoever runs it can add the name to allowed_hosts in the configuration.\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

/// Turns away what web pages send that are not allowed to: their browsers say which page it is.
async fn known_page(
    State(pages): State<Arc<[HeaderValue]>>,
    request: Request,
    next: Next,
) -> Response {
    let mut told = request.headers().get_all(header::ORIGIN).iter();
    if told.all(|page| pages.contains(page)) {
        return next.run(request).await;
    }
    let why = "This web page may not call this server. Whoever runs it can add the page to allowed_origins in the configuration.\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

/// Tells the keeper of sessions who asks; nobody ends the session of another.
async fn own_session(
    State(sessions): State<Arc<Sessions>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let owner = Owner::from(&caller);
    if request.method() == Method::DELETE {
        let id = request.headers().get(SESSION).and_then(|id| id.to_str().ok());
        if id.is_some_and(|id| !sessions.is_used_by(id, &owner)) {
            return no_session();
        }
    }
    OWNER.scope(owner, next.run(request)).await
}

/// For a session that is over or another's.
fn no_session() -> Response {
    (StatusCode::NOT_FOUND, "There is no such session. Begin another one.\n").into_response()
}

/// Lets the allowed web pages read answers; their browsers ask first, without a token.
fn readable(config: &Config) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(config.allowed_origins.iter().map(Origin::header)))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE, SESSION])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What is served is listed, so that a path that is new is one that somebody has looked at: who may ask for it, and that
    /// it tells no secret.
    #[tokio::test]
    async fn a9_no_path_is_served_but_these() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            identity: Some(toml::from_str("issuer = \"https://id.example\"").unwrap()),
            ..Config::of_a_test(folder.path())
        };
        let host = Arc::new(Host::open(&config).await.unwrap());
        let router = format!("{:?}", router(host, &config, &CancellationToken::new()));
        let quoted = router.split('"').skip(1).step_by(2);
        // axum's own, for what is not found.
        let is_ours = |text: &&str| text.starts_with('/') && !text.contains("__private__");
        let paths: BTreeSet<&str> = quoted.filter(is_ours).collect();
        let known = [
            "/",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
            "/alerts",
            "/approve",
            "/approve/{print}",
            "/connect",
            "/connect/{integration}",
            "/connect/{integration}/disconnect",
            "/connect/{integration}/key",
            "/connect/{integration}/oauth",
            "/connect/{integration}/tools",
            "/healthz",
            "/mcp",
            "/messages",
            "/oauth/callback/{integration}",
            "/oauth/client.json",
            "/readyz",
            "/secrets/{link}",
            "/sign-in",
            "/sign-in/callback",
            "/sign-in/start",
            "/sign-in/{code}",
            "/sign-out",
            "/sse",
            "/style.css",
            "/webhooks/{integration}",
        ];
        assert_eq!(paths, BTreeSet::from(known));
    }
}
