//! The page of alerts: what happened, what it means, and what to do.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use maud::{Markup, html};
use secrecy::ExposeSecret;

use super::page::{csrf, page, problem};
use super::sign_in::{Fields, person, sender};
use crate::alerts::Told;
use crate::host::Host;
use crate::sessions::Person;

const TITLE: &str = "Alerts";

/// The field that says that the older ones were seen too.
const OLDER: &str = "older";

/// `GET /alerts`.
pub(super) async fn list(State(host): State<Arc<Host>>, headers: HeaderMap) -> Response {
    let person = match person(&host, &headers).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let (open, more) = match host.open_alerts(&person.caller).await {
        Ok(found) => found,
        Err(error) => return problem(Some(&person), TITLE, &error),
    };
    let content = html! {
        @if open.is_empty() {
            p { "There is nothing to look at." }
        } @else {
            p { "Each stays here until somebody of your business says that it was seen." }
            @for alert in &open { (section(&person, alert)) }
            @if more { p.quiet { "There are more, older ones." } }
            @if let Some(newest) = open.first() {
                form method="post" action="/alerts" {
                    (csrf(&person))
                    input type="hidden" name="alert" value=(newest.id);
                    button name=(OLDER) value="yes" { "I saw all of them" }
                }
            }
        }
    };
    page(TITLE, Some(&person), &content).into_response()
}

/// `POST /alerts`.
pub(super) async fn acknowledge(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(fields): Fields,
) -> Response {
    let person = match sender(&host, &headers, &fields).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    // EXPOSE: the id of an alert.
    let id = fields.get("alert").and_then(|id| id.expose_secret().parse().ok());
    let and_older = fields.contains_key(OLDER);
    let done = match id {
        Some(id) => host.acknowledge(&person.caller, id, and_older).await,
        // There is no such alert.
        None => Ok(0),
    };
    match done {
        Ok(_) => Redirect::to("/alerts").into_response(),
        Err(error) => problem(Some(&person), TITLE, &error),
    }
}

fn section(person: &Person, alert: &Told) -> Markup {
    let heading = format!("about-{}", alert.id);
    // To the minute, in UTC.
    let at = alert.raised_at.get(..16).unwrap_or(&alert.raised_at).replace('T', " ");
    html! {
        section.box id=(alert.id) aria-labelledby=(heading) {
            h2 id=(heading) { (alert.title()) }
            p { (alert.message) }
            @if alert.is_given_up() {
                p.bad { "The webhook of this server did not take it for days, and is not told any more." }
            }
            p.quiet { (at) " UTC" }
            form method="post" action="/alerts" {
                (csrf(person))
                input type="hidden" name="alert" value=(alert.id);
                button.plain aria-describedby=(heading) { "I saw this" }
            }
        }
    }
}
