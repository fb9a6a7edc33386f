//! What all pages for people have in common: their frame, and the headers with which they leave.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use resto_core::{Code, Error};
use secrecy::ExposeSecret;

use crate::sessions::Person;

/// The address of the style, which has no colour or font from elsewhere.
pub(super) const STYLE: &str = "/style.css";

/// No script, nothing from elsewhere, nobody's frame, no copy kept.
pub(super) const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// A page, for whoever is signed in.
pub(super) fn page(title: &str, person: Option<&Person>, content: &Markup) -> Html<String> {
    framed(title, person, content, None)
}

/// A page from which the browser goes on to another site by itself.
pub(super) fn leaving(
    title: &str,
    person: Option<&Person>,
    content: &Markup,
    to: &str,
) -> Html<String> {
    framed(title, person, content, Some(to))
}

fn framed(
    title: &str,
    person: Option<&Person>,
    content: &Markup,
    to: Option<&str>,
) -> Html<String> {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(to) = to {
                    meta http-equiv="refresh" content=(format!("0; url={to}"));
                }
                title { (title) " - Resto integrations" }
                link rel="stylesheet" href=(STYLE);
            }
            body {
                header {
                    nav aria-label="Main" {
                        a href="/" { "Resto integrations" }
                        a href="/connect" { "Services" }
                        a href="/approve" { "Approvals" }
                        @if let Some(person) = person {
                            a href="/alerts" {
                                "Alerts"
                                @if person.open_alerts > 0 { " (" (person.open_alerts) ")" }
                            }
                            form method="post" action="/sign-out" {
                                (csrf(person))
                                button.plain { "Sign out" }
                            }
                        }
                    }
                }
                main {
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    Html(whole.into_string())
}

/// What shows that a form is from a page of this session.
pub(super) fn csrf(person: &Person) -> Markup {
    // EXPOSE: the page of its own session carries it.
    html! { input type="hidden" name="csrf" value=(person.csrf.expose_secret()); }
}

/// A page that says what is wrong.
pub(super) fn problem(person: Option<&Person>, title: &str, error: &Error) -> Response {
    let content = html! { p.told role="alert" { (error.message()) } };
    (status(error), page(title, person, &content)).into_response()
}

/// The HTTP status of an error.
pub(super) fn status(error: &Error) -> StatusCode {
    match error.code() {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Denied | Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        Code::NotConnected | Code::AuthExpired | Code::ActionRequired | Code::Conflict => {
            StatusCode::CONFLICT
        }
        Code::ProviderDown | Code::ProviderMisconfigured | Code::RateLimited => {
            StatusCode::BAD_GATEWAY
        }
        _ => {
            tracing::error!(message = error.message(), "a page for people failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
