//! The page on which a person approves what an agent may not do alone.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use maud::{Markup, html};
use resto_core::{Code, Error};
use secrecy::ExposeSecret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::page::{csrf, page, problem, status};
use super::sign_in::{Fields, person, sender};
use crate::approve::{Answer, Approval, shown};
use crate::host::Host;
use crate::sessions::Person;

/// How much of the arguments and of the request is shown; a letter fits.
const SHOWN: usize = 20_000;

const TITLE: &str = "Approve";

/// `GET /approve`.
pub(super) async fn list(State(host): State<Arc<Host>>, headers: HeaderMap) -> Response {
    let person = match person(&host, &headers).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let all = match host.approvals(&person.caller).await {
        Ok(all) => all,
        Err(error) => return problem(Some(&person), TITLE, &error),
    };
    let open: Vec<_> = all.iter().filter(|(_, asked)| asked.decided.is_none()).collect();
    let content = html! {
        @if open.is_empty() {
            p { "Nothing waits for an approval." }
        } @else {
            ul {
                @for (print, asked) in &open {
                    li { a href=(format!("/approve/{print}")) { (asked.title) " on " (shown(&asked.subject, 200)) } }
                }
            }
        }
    };
    page(TITLE, Some(&person), &content).into_response()
}

/// `GET /approve/{print}`.
pub(super) async fn ask(
    State(host): State<Arc<Host>>,
    Path(print): Path<String>,
    headers: HeaderMap,
) -> Response {
    match person(&host, &headers).await {
        Ok(person) => show(&host, &person, &print, None).await,
        Err(refused) => refused,
    }
}

/// `POST /approve/{print}`.
pub(super) async fn decide(
    State(host): State<Arc<Host>>,
    Path(print): Path<String>,
    headers: HeaderMap,
    Form(fields): Fields,
) -> Response {
    let person = match sender(&host, &headers, &fields).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    // EXPOSE: no field of this form is secret but the one that was checked.
    let field = |name: &str| fields.get(name).map(ExposeSecret::expose_secret);
    let answer = match field("decision") {
        Some("approve") => Answer::Approve(field("name")),
        Some("decline") => Answer::Decline,
        _ => return show(&host, &person, &print, None).await,
    };
    let op_id = field("operation").and_then(|id| Uuid::parse_str(id).ok()).unwrap_or_default();
    match host.decide_approval(&person.caller, (&print, op_id), answer).await {
        Ok(_) => show(&host, &person, &print, None).await,
        Err(error) => show(&host, &person, &print, Some(error)).await,
    }
}

async fn show(host: &Host, person: &Person, print: &str, wrong: Option<Error>) -> Response {
    let found = match host.approval(&person.caller, print).await {
        Ok(found) => found,
        Err(error) => return problem(Some(person), TITLE, &error),
    };
    let Some(asked) = found else {
        let gone = Error::new(
            Code::NotFound,
            "Nobody asks for this approval (any more): it is older than five minutes, was used, or is another tenant's. Nothing was done.",
        );
        return problem(Some(person), TITLE, &wrong.unwrap_or(gone));
    };
    let content = html! {
        @if let Some(error) = &wrong { p.told role="alert" { (error.message()) } }
        (told(&asked))
        @match &asked.decided {
            Some(decided) if decided.approved => p.told role="status" { "Approved by " (decided.by) ". It runs when the agent makes the same call again; tell it that you approved." },
            Some(decided) => p.told role="status" { "Declined by " (decided.by) ". Nothing was done." },
            None => (form(person, print, &asked, host.vault.now())),
        }
    };
    let page = page(&asked.title, Some(person), &content);
    match &wrong {
        Some(error) => (status(error), page).into_response(),
        None => page.into_response(),
    }
}

/// What will happen.
fn told(asked: &Approval) -> Markup {
    let arguments = serde_json::to_string_pretty(&asked.arguments).unwrap_or_default();
    html! {
        p { (asked.what_happens()) }
        dl {
            dt { "Works on" } dd { (shown(&asked.subject, 500)) }
            @if let Some(price) = &asked.price { dt { "Costs" } dd { (price) } }
            dt { "Asked by" } dd { (asked.asked_by) ", under " (asked.rule) }
        }
        h2 { "Arguments" }
        pre { (shown(&arguments, SHOWN)) }
        h2 { "First request" }
        pre {
            (asked.draft.method) " " (shown(&asked.draft.url, 2000))
            @if let Some(body) = &asked.draft.body { "\n\n" (shown(body, SHOWN)) }
        }
    }
}

fn form(person: &Person, print: &str, asked: &Approval, now: OffsetDateTime) -> Markup {
    let left = asked.until - now.unix_timestamp();
    html! {
        form method="post" action=(format!("/approve/{print}")) {
            (csrf(person))
            input type="hidden" name="operation" value=(asked.op_id.to_string());
            @if let Some(name) = asked.typed() {
                label { "Type " code { (name) } " to approve"
                    input name="name" autocomplete="off";
                }
            }
            button name="decision" value="approve" { "Approve" }
            " "
            button.plain name="decision" value="decline" { "Decline" }
            p.quiet { "It can be approved for " (left.max(0) / 60 + 1) " minutes at most, and then runs once." }
        }
    }
}
