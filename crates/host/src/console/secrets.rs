//! The page on which a person enters the value of a secret that an action wants.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use maud::{Markup, html};
use resto_core::Error;
use secrecy::{ExposeSecret, SecretString};

use super::page::{csrf, page, problem, status};
use super::sign_in::{Fields, person, sender};
use crate::approve::shown;
use crate::entering::{Wish, as_meant};
use crate::host::Host;
use crate::sessions::Person;

const TITLE: &str = "Enter a secret value";

/// `GET /secrets/{link}`.
pub(super) async fn ask(
    State(host): State<Arc<Host>>,
    Path(link): Path<SecretString>,
    headers: HeaderMap,
) -> Response {
    let person = match person(&host, &headers).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    show(&host, &person, &link, None).await
}

/// `POST /secrets/{link}`.
pub(super) async fn enter(
    State(host): State<Arc<Host>>,
    Path(link): Path<SecretString>,
    headers: HeaderMap,
    Form(mut fields): Fields,
) -> Response {
    let person = match sender(&host, &headers, &fields).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    // EXPOSE: to be stored.
    let value = fields.remove("value").and_then(|value| as_meant(value.expose_secret()));
    let Some(value) = value else {
        let none = Error::invalid("value", "No value was entered. Nothing was stored.");
        return show(&host, &person, &link, Some(none)).await;
    };
    match host.enter_value(&person, &link, &value).await {
        Ok(wish) => page(TITLE, Some(&person), &stored(&wish)).into_response(),
        Err(error) => problem(Some(&person), TITLE, &error),
    }
}

async fn show(host: &Host, person: &Person, link: &SecretString, wrong: Option<Error>) -> Response {
    let wish = match host.wish(person, link).await {
        Ok(wish) => wish,
        Err(error) => return problem(Some(person), TITLE, &error),
    };
    let content = html! {
        @if let Some(error) = &wrong { p.told role="alert" { (error.message()) } }
        (form(person, link, &wish))
    };
    let page = page(TITLE, Some(person), &content);
    match &wrong {
        Some(error) => (status(error), page).into_response(),
        None => page.into_response(),
    }
}

fn form(person: &Person, link: &SecretString, wish: &Wish) -> Markup {
    // EXPOSE: it came with the address.
    let action = format!("/secrets/{}", link.expose_secret());
    html! {
        p { "Your agent needs a value that it must not see." }
        dl {
            dt { "Gets it" } dd { (wish.service) }
            dt { "For" } dd { (wish.title) " on " (shown(&wish.subject, 500)) }
            dt { "Asked by" } dd { (wish.asked_by) }
        }
        p { "Do not enter a key with which one of your accounts is connected here, or a password of yours: whoever may use the secret there gets it." }
        form method="post" action=(action) autocomplete="off" {
            (csrf(person))
            label for="value" { "Value of " code { (shown(&wish.name, 200)) } }
            textarea.hidden-text id="value" name="value" rows="3" required autocomplete="off" spellcheck="false" aria-describedby="kept" {}
            p.quiet id="kept" { "It is stored encrypted under this name, and the agents of your business can use it by the name for such actions; none of them sees it. " code { "resto secret delete" } " removes it." }
            button { "Store it" }
        }
    }
}

fn stored(wish: &Wish) -> Markup {
    html! {
        p.done role="status" { "The value of " code { (shown(&wish.name, 200)) } " is stored." }
        p { "The action runs when the agent makes the same call again; tell it that you entered the value." }
    }
}
