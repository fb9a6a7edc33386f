//! The people's pages: what this server is and can operate, signing in, connecting accounts. They
//! work without a script.

mod alerts;
mod approve;
mod connect;
mod page;
mod secrets;
mod service;
mod sign_in;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, header};
use maud::html;
use resto_core::Risk;

use crate::host::Host;

/// The most that a form may hold: a key has a few lines at most.
const MAX_FORM: usize = 64 << 10;

pub(crate) fn router(host: Arc<Host>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in::explain).post(sign_in::sign_in))
        .route("/sign-in/start", post(sign_in::start))
        .route("/sign-in/callback", get(sign_in::callback))
        .route("/sign-in/{code}", get(sign_in::confirm))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/alerts", get(alerts::list).post(alerts::acknowledge))
        .route("/approve", get(approve::list))
        .route("/approve/{print}", get(approve::ask).post(approve::decide))
        .route("/connect", get(connect::services))
        .route("/connect/{integration}", get(connect::service))
        .route("/connect/{integration}/key", post(connect::key))
        .route("/connect/{integration}/oauth", post(connect::consent))
        .route("/connect/{integration}/tools", post(tools::approve))
        .route("/connect/{integration}/disconnect", post(connect::disconnect))
        .route("/secrets/{link}", get(secrets::ask).post(secrets::enter))
        .route("/oauth/callback/{integration}", get(connect::callback))
        .route("/oauth/client.json", get(connect::client))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn(sign_in::own_forms))
        .layer(from_fn(guarded))
        .route(page::STYLE, get(style))
        .with_state(host)
}

/// Puts the headers of pages on whatever is answered.
async fn guarded(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in page::HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("style.css"))
}

/// Shows nothing of any tenant.
async fn home(State(host): State<Arc<Host>>) -> Html<String> {
    page::page(
        "What this server does",
        None,
        &html! {
            p { "It lets AI agents operate your business's own accounts. Their credentials are sealed; each action is checked and written to an audit trail." }
            h2 { "Services" }
            dl {
                @for adapter in host.catalog.adapters() {
                    @let all = adapter.actions().len();
                    @let reads = adapter.actions().iter().filter(|action| action.risk == Risk::Read).count();
                    dt { (adapter.integration.name) }
                    dd {
                        (adapter.integration.purpose)
                        " " span.quiet { (all) " actions, " (reads) " of them only read." }
                    }
                }
            }
            p { a.button href="/connect" { "Connect an account" } }
            p.quiet { "In a terminal: " code { "resto connect github" } ". A key never passes through an agent. " code { "resto connections" } " shows what is connected, " code { "resto audit" } " what was done." }
            h2 { "Connect an agent" }
            p { "Agents come in at " code { "/mcp" } " of this address, with an access token:" }
            pre { "resto token create --name my-agent" }
        },
    )
}
