//! Tools of a remote server that changed since they were approved: what a person sees of each, and the approval.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use maud::{Markup, html};
use resto_core::{Code, Error, Integration};
use secrecy::ExposeSecret;

use super::connect::{after, from};
use super::page::csrf;
use super::sign_in::Fields;
use crate::call::fault;
use crate::host::Host;
use crate::remote::{Definition, Offer, Pin};
use crate::sessions::Person;

/// What waits for a person's approval; nothing where nothing does.
pub(super) fn waiting(person: &Person, integration: &Integration, offer: &Offer) -> Markup {
    let waiting: Vec<(&str, &Pin)> = offer.waiting().collect();
    html! {
        @if !waiting.is_empty() {
            section.box aria-labelledby="changed" {
                h2 id="changed" { "Tools that changed" }
                p { (integration.name) " describes these in other words than those that were approved. Agents do not see the new words, and cannot call the tool, until you approve it. Words that tell an agent what else to do are a reason not to." }
                @for (name, pin) in waiting { (tool(person, integration, name, pin)) }
            }
        }
    }
}

fn tool(person: &Person, integration: &Integration, name: &str, pin: &Pin) -> Markup {
    html! {
        h3 { code { (name) } }
        @if let Some(before) = &pin.approved { (words("As it was approved", before)) }
        @if let Some(now) = &pin.offered {
            (words("As it is now", now))
            form method="post" action=(format!("/connect/{}/tools", integration.id)) {
                (csrf(person))
                input type="hidden" name="tool" value=(name);
                input type="hidden" name="hash" value=(now.hash);
                button { "Approve " (name) }
            }
        }
    }
}

fn words(when: &str, definition: &Definition) -> Markup {
    let arguments = serde_json::to_string_pretty(&definition.input_schema).unwrap_or_default();
    html! {
        h4 { (when) }
        p { (definition.description) }
        details {
            summary { "Its arguments" }
            pre { (arguments) }
        }
    }
}

/// `POST /connect/{integration}/tools`.
pub(super) async fn approve(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(fields): Fields,
) -> Response {
    let (person, integration) = match from(&host, &headers, &id, &fields).await {
        Ok(from) => from,
        Err(refused) => return refused,
    };
    // EXPOSE: what the form names.
    let field = |name: &str| fields.get(name).map(|value| value.expose_secret().to_owned());
    let approved = match field("tool").zip(field("hash")) {
        Some((tool, hash)) => {
            let (ours, caller) = (Arc::clone(&host), person.caller.clone());
            let approving = host
                .tasks
                .spawn(async move { ours.approve_tool(&caller, integration, &tool, &hash).await });
            approving.await.unwrap_or_else(|_| Err(fault()))
        }
        None => Err(Error::new(Code::InvalidInput, "The form names no tool.")),
    };
    after(&host, &person, integration, approved).await
}
