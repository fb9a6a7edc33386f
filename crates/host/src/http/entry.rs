//! Who may come in, and what whoever may not is told: by what, and where an access token is to be had.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use futures::StreamExt as _;
use http::{HeaderValue, Method, StatusCode, header};
use resto_core::{Code, Risk};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::MAX_BODY;
use crate::allowance::{RISKS, scope};
use crate::around::Line;
use crate::host::{Caller, Host};
use crate::policy::Calls;

/// Where it is said which authorization server gives access tokens for `/mcp` (RFC 9728).
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// What an agent asks for first.
const FIRST: &str = "read";

/// Finds whose access token a request carries; without one it goes no further.
pub(super) async fn authenticate(
    State(host): State<Arc<Host>>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        let why = "This server wants an access token. Create one: resto token create --name NAME";
        return refused(&host, None, why);
    };
    let is_stream = request.method() == Method::GET || listens(&request);
    if host.is_full_for(token, is_stream) {
        return crowded();
    }
    match host.bearer(token, "mcp").await {
        Ok(Some(caller)) => {
            let Some(place) = host.let_in(&caller, token, is_stream) else { return crowded() };
            request.extensions_mut().insert(caller);
            held(next.run(request).await, place)
        }
        Ok(None) => {
            let why = "The access token is unknown, expired or revoked. Create one: resto token create --name NAME";
            refused(&host, Some("invalid_token"), why)
        }
        Err(error) if error.code() == Code::Denied => {
            (StatusCode::FORBIDDEN, format!("{}\n", error.message())).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an access token could not be checked");
            (StatusCode::SERVICE_UNAVAILABLE, "The token cannot be checked now. Try again later.\n")
                .into_response()
        }
    }
}

/// Whether it asks for a stream of what happens; a header that says otherwise than the message is refused later.
fn listens(request: &Request) -> bool {
    request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen")
}

/// For one too many of a tenant.
fn crowded() -> Response {
    let why =
        "Too many requests of yours are open here. Nothing was done. Come back in a few seconds.\n";
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "5")], why).into_response()
}

/// Keeps the place as long as the answer goes on.
fn held(answer: Response, place: OwnedSemaphorePermit) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "text/event-stream") {
        return answer;
    }
    answer.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            let _ = &place;
        }))
    })
}

fn refused(host: &Host, error: Option<&str>, why: &str) -> Response {
    challenge(host, StatusCode::UNAUTHORIZED, error, FIRST, why)
}

/// Says how to come in. Without an identity provider, that is no more than a token of ours.
fn challenge(
    host: &Host,
    status: StatusCode,
    error: Option<&str>,
    scopes: &str,
    why: &str,
) -> Response {
    let path = METADATA.trim_start_matches('/').split('/').chain(["mcp"]).collect::<Vec<_>>();
    let told = match (&host.issuer, host.place.page(&path)) {
        (Some(_), Ok(metadata)) => {
            let error = error.map(|error| format!("error=\"{error}\", ")).unwrap_or_default();
            format!("Bearer {error}scope=\"{scopes}\", resource_metadata=\"{metadata}\"")
        }
        _ => "Bearer".to_owned(),
    };
    let told = HeaderValue::try_from(told).unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    (status, [(header::WWW_AUTHENTICATE, told)], format!("{why}\n")).into_response()
}

/// As far as this needs to know a message.
#[derive(Deserialize)]
struct Call {
    method: String,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// Where an access token of the identity provider does not allow what is called, says which scopes would: its client can
/// get a token with them. One of ours stays as it is.
pub(super) async fn step_up(
    State(host): State<Arc<Host>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if caller.token.is_some() || request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // It was waited for.
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let call = serde_json::from_slice::<Call>(&body).ok();
    let params = call.filter(|call| call.method == "tools/call").and_then(|call| call.params);
    if let Some(Params { name, arguments }) = params
        // A database that cannot be read is told of by the call itself.
        && let Ok(Some(scope)) = Box::pin(host.lacking_scope(&caller, &name, &arguments)).await
    {
        // It is refused, and the refusal is in the trail.
        let call = host.call(&caller, &name, arguments, Line::new(Calls::Agent));
        let failed = Box::pin(call).await.err();
        let why = failed.map(|failed| failed.error().message().to_owned()).unwrap_or_default();
        let scopes = format!("{} {scope}", caller.allowance);
        let scopes = scopes.trim_start();
        return challenge(&host, StatusCode::FORBIDDEN, Some("insufficient_scope"), scopes, &why);
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// What clients are told before they have a token; nothing where no identity provider gives any.
pub(super) fn metadata(host: Arc<Host>) -> Router {
    if host.issuer.is_none() {
        return Router::new();
    }
    Router::new()
        .route(METADATA, get(resource))
        .route(&format!("{METADATA}/mcp"), get(resource))
        .with_state(host)
}

async fn resource(State(host): State<Arc<Host>>) -> Response {
    let (Some(issuer), Ok(resource)) = (&host.issuer, host.resource()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let everywhere = RISKS.map(|(_, risk)| scope(None, risk));
    let adapters = host.catalog.adapters().iter();
    let at_one = adapters.flat_map(|adapter| {
        RISKS.map(|(_, risk): (_, Risk)| scope(Some(adapter.integration.id), risk))
    });
    let scopes: Vec<String> = everywhere.into_iter().chain(at_one).collect();
    Json(json!({
        "resource": resource,
        "resource_name": "Resto integrations",
        "authorization_servers": [issuer.named.issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    }))
    .into_response()
}
