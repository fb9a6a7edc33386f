//! Signing in and out, and the checks that stand before every page of a tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::Next;
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use http::{HeaderMap, Method, StatusCode, header};
use maud::html;
use resto_core::{Code, Error};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

use super::page::{leaving, page, problem};
use crate::host::Host;
use crate::identity::{Answer, SIGNING_IN};
use crate::sessions::{Person, SESSION, Who};

/// The cookie of a session, and that of a browser that was sent to the identity provider.
const SESSION_COOKIE: &str = "resto";
const COMING_COOKIE: &str = "resto-sign-in";

/// How long that browser may take, in seconds.
const COMING_S: u64 = SIGNING_IN.as_secs();

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
    let found = match cookie(host, headers, SESSION_COOKIE) {
        Some(cookie) => host.person(&cookie).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(person)) => Ok(person),
        Ok(None) => Err((StatusCode::UNAUTHORIZED, how(host)).into_response()),
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
pub(super) async fn explain(State(host): State<Arc<Host>>) -> impl IntoResponse {
    how(&host)
}

fn how(host: &Host) -> Html<String> {
    page(
        "Sign in",
        None,
        &html! {
            @if host.has_identity() {
                p { "This page belongs to somebody who is signed in. You sign in where your business does, and come back here; then open the page that you came for again." }
                form method="post" action="/sign-in/start" {
                    button { "Sign in" }
                }
                p.quiet { "Whoever runs this server can sign in with a link from its terminal: " code { "resto sign-in" } }
            } @else {
                p { "This page belongs to somebody who is signed in. Whoever runs this server gets a link to sign in at its terminal:" }
                pre { "resto sign-in" }
                p { "Open that link in this browser, then open the page that you came for again. Links that somebody else sent you do not sign you in here: do not follow them." }
            }
        },
    )
}

/// `POST /sign-in/start`: on to the identity provider.
pub(super) async fn start(State(host): State<Arc<Host>>) -> Response {
    match host.begin_sign_in().await {
        Ok((url, browser)) => {
            let content = html! {
                p { "You sign in at your identity provider, then come back here." }
                p { a.button href=(url) rel="noreferrer" { "Continue" } }
            };
            // EXPOSE: the browser brings it back.
            let cookie = set_cookie(&host, COMING_COOKIE, browser.expose_secret(), COMING_S);
            let page = leaving("On to your identity provider", None, &content, url.as_str());
            ([(header::SET_COOKIE, cookie)], page).into_response()
        }
        Err(error) => problem(None, "Sign in", &error),
    }
}

/// `GET /sign-in/callback`: the way back from there.
pub(super) async fn callback(
    State(host): State<Arc<Host>>,
    Query(answer): Query<Answer>,
    headers: HeaderMap,
) -> Response {
    let browser = cookie(&host, &headers, COMING_COOKIE);
    match host.finish_sign_in(browser, answer).await {
        Ok(session) => signed_in(&host, &session),
        Err(error) => problem(None, "Sign in", &error),
    }
}

/// The code leaves the address bar.
fn signed_in(host: &Host, session: &SecretString) -> Response {
    // EXPOSE: the browser keeps it.
    let kept = set_cookie(host, SESSION_COOKIE, session.expose_secret(), SESSION.as_secs());
    let gone = set_cookie(host, COMING_COOKIE, "", 0);
    let cookies = AppendHeaders([(header::SET_COOKIE, kept), (header::SET_COOKIE, gone)]);
    (cookies, Redirect::to("/connect")).into_response()
}

/// `GET /sign-in/{code}`: asks first, since whatever previews links opens them too.
pub(super) async fn confirm(
    State(host): State<Arc<Host>>,
    Path(code): Path<SecretString>,
    headers: HeaderMap,
) -> Response {
    match coming(&host, &code, &headers).await {
        Ok((who, other)) => ask(&who, other.as_ref(), &code).into_response(),
        Err(refused) => refused,
    }
}

/// Whom a link signs in, and who else is signed in at this browser.
async fn coming(
    host: &Host,
    code: &SecretString,
    headers: &HeaderMap,
) -> Result<(Who, Option<Person>), Response> {
    let who = match host.invited(code).await {
        Ok(Some(who)) => who,
        Ok(None) => {
            let why = "This link was used before, is older than 10 minutes, or is not one of this server. Get another: resto sign-in";
            return Err(problem(None, "Sign in", &Error::new(Code::Denied, why)));
        }
        Err(error) => return Err(problem(None, "Not now", &error)),
    };
    let other = person(host, headers).await.ok().filter(|person| !who.is(person));
    Ok((who, other))
}

/// Says as whom, and in whose place.
fn ask(who: &Who, other: Option<&Person>, code: &SecretString) -> Html<String> {
    page(
        "Sign in",
        None,
        &html! {
            p { "You will be signed in as " strong { (who.name()) } ". Whatever you connect then belongs to that business." }
            @if let Some(other) = other {
                p.told { "In this browser " strong { (other.name()) } " is signed in. That ends then. If somebody else sent you this link, do not follow it." }
            }
            form method="post" action="/sign-in" {
                // EXPOSE: it came with the address.
                input type="hidden" name="code" value=(code.expose_secret());
                @if let Some(other) = other {
                    input type="hidden" name="instead_of" value=(other.session);
                    button { "Sign in as " (who.name()) " instead" }
                } @else {
                    button { "Sign in" }
                }
            }
        },
    )
}

/// `POST /sign-in`.
pub(super) async fn sign_in(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(mut fields): Fields,
) -> Response {
    let code = fields.remove("code").unwrap_or_default();
    let (who, other) = match coming(&host, &code, &headers).await {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    if let Some(other) = &other {
        // EXPOSE: no secret. It shows that the page said in whose place.
        let told = fields.get("instead_of").map(ExposeSecret::expose_secret);
        if told != Some(other.session.as_str()) {
            return (StatusCode::CONFLICT, ask(&who, Some(other), &code)).into_response();
        }
    }
    let session = match host.sign_in(&code).await {
        Ok(Some(session)) => session,
        // Somebody else was faster.
        Ok(None) => return confirm(State(host), Path(code), headers).await,
        Err(error) => return problem(None, "Not now", &error),
    };
    // A session that no browser keeps any more is nobody's.
    if let Some(cookie) = cookie(&host, &headers, SESSION_COOKIE)
        && let Err(error) = host.sign_out(&cookie).await
    {
        tracing::warn!(%error, "a session that was replaced ends by itself");
    }
    signed_in(&host, &session)
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
    if let Some(cookie) = cookie(&host, &headers, SESSION_COOKIE)
        && let Err(error) = host.sign_out(&cookie).await
    {
        return problem(None, "Not now", &error);
    }
    ([(header::SET_COOKIE, set_cookie(&host, SESSION_COOKIE, "", 0))], Redirect::to("/"))
        .into_response()
}

/// With the prefix a browser keeps the cookie to HTTPS and to this very host.
fn cookie_name(host: &Host, name: &str) -> String {
    let prefix = if host.place.is_https() { "__Host-" } else { "" };
    format!("{prefix}{name}")
}

fn cookie(host: &Host, headers: &HeaderMap, name: &str) -> Option<SecretString> {
    let name = cookie_name(host, name);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| SecretString::from(value))
}

fn set_cookie(host: &Host, name: &str, value: &str, max_age_s: u64) -> String {
    let name = cookie_name(host, name);
    let secure = if host.place.is_https() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}")
}
