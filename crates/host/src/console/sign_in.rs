//! Signing in and out, and the checks that stand before every page of a tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderMap, Method, StatusCode, header};
use maud::html;
use resto_core::{Code, Error};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

use super::page::{page, problem};
use crate::host::Host;
use crate::sessions::{Person, SESSION};

/// The fields of a form; any of them may be secret.
pub(super) type Fields = Form<BTreeMap<String, SecretString>>;

/// Turns away forms that another site sends. A browser says from where a form comes; what comes from
/// elsewhere than a browser has no session to abuse.
pub(super) async fn own_forms(request: Request, next: Next) -> Response {
    let from = request.headers().get("sec-fetch-site");
    let foreign = from.is_some_and(|from| from != "same-origin" && from != "none");
    if request.method() == Method::POST && foreign {
        return problem(None, "Refused", &forged());
    }
    next.run(request).await
}

/// The person at this browser, or the page that says how to sign in.
pub(super) async fn person(host: &Host, headers: &HeaderMap) -> Result<Person, Response> {
    let found = match cookie(host, headers) {
        Some(cookie) => host.person(&cookie).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(person)) => Ok(person),
        Ok(None) => Err((StatusCode::UNAUTHORIZED, how()).into_response()),
        Err(error) => Err(problem(None, "Not now", &error)),
    }
}

/// As [`person`], for a form, which must be from a page of the same session.
pub(super) async fn sender(
    host: &Host,
    headers: &HeaderMap,
    fields: &BTreeMap<String, SecretString>,
) -> Result<Person, Response> {
    let person = person(host, headers).await?;
    // EXPOSE: compared in constant time.
    let known = person.csrf.expose_secret().as_bytes();
    let told = fields.get("csrf").map(ExposeSecret::expose_secret).unwrap_or_default().as_bytes();
    if known.ct_eq(told).into() { Ok(person) } else { Err(problem(None, "Refused", &forged())) }
}

fn forged() -> Error {
    Error::new(
        Code::Denied,
        "This form does not come from a page of your session. Nothing was done. Open the page again and send it from there.",
    )
}

/// `GET /sign-in`.
pub(super) async fn explain() -> impl IntoResponse {
    how()
}

fn how() -> Html<String> {
    page(
        "Sign in",
        None,
        &html! {
            p { "This page belongs to somebody who is signed in. Whoever runs this server gets a link to sign in at its terminal:" }
            pre { "resto sign-in" }
            p { "Open that link in this browser, then open the page that you came for again. Links that somebody else sent you do not sign you in here: do not follow them." }
        },
    )
}

/// `GET /sign-in/{code}`: asks first, since whatever previews links opens them too.
pub(super) async fn confirm(Path(code): Path<SecretString>) -> impl IntoResponse {
    page(
        "Sign in",
        None,
        &html! {
            p { "Sign in at this server with the link from its terminal." }
            form method="post" action="/sign-in" {
                // EXPOSE: it came with the address.
                input type="hidden" name="code" value=(code.expose_secret());
                button { "Sign in" }
            }
        },
    )
}

/// `POST /sign-in`.
pub(super) async fn sign_in(State(host): State<Arc<Host>>, Form(fields): Fields) -> Response {
    let session = match fields.get("code") {
        Some(code) => host.sign_in(code).await,
        None => Ok(None),
    };
    match session {
        Ok(Some(session)) => {
            // EXPOSE: the browser keeps it.
            let cookie = set_cookie(&host, session.expose_secret(), SESSION.as_secs());
            ([(header::SET_COOKIE, cookie)], Redirect::to("/connect")).into_response()
        }
        Ok(None) => {
            let why = "This link was used before, is older than 10 minutes, or is not one of this server. Get another: resto sign-in";
            problem(None, "Sign in", &Error::new(Code::Denied, why))
        }
        Err(error) => problem(None, "Not now", &error),
    }
}

/// `POST /sign-out`.
pub(super) async fn sign_out(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(fields): Fields,
) -> Response {
    if let Err(refused) = sender(&host, &headers, &fields).await {
        return refused;
    }
    if let Some(cookie) = cookie(&host, &headers)
        && let Err(error) = host.sign_out(&cookie).await
    {
        return problem(None, "Not now", &error);
    }
    ([(header::SET_COOKIE, set_cookie(&host, "", 0))], Redirect::to("/")).into_response()
}

/// With the prefix a browser keeps the cookie to HTTPS and to this very host.
fn cookie_name(host: &Host) -> &'static str {
    if host.place.is_https() { "__Host-resto" } else { "resto" }
}

fn cookie(host: &Host, headers: &HeaderMap) -> Option<SecretString> {
    let name = cookie_name(host);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| SecretString::from(value))
}

fn set_cookie(host: &Host, value: &str, max_age_s: u64) -> String {
    let name = cookie_name(host);
    let secure = if host.place.is_https() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}")
}
