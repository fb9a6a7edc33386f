//! The pages on which people connect accounts, and the way back from a provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, Json};
use http::HeaderMap;
use maud::html;
use resto_core::{Code, Error, Integration, Result, Secrets};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::page::{leaving, page, problem, status};
use super::service::{FOR, REPLACE, Service, list, told_of};
use super::sign_in::{Fields, person, sender};
use crate::call::fault;
use crate::connect::{Answer, Report};
use crate::host::Host;
use crate::sessions::Person;

/// `GET /connect`.
pub(super) async fn services(State(host): State<Arc<Host>>, headers: HeaderMap) -> Response {
    let person = match person(&host, &headers).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    match host.connections(&person.caller).await {
        Ok(connections) => {
            page("Services", Some(&person), &list(&host, &connections)).into_response()
        }
        Err(error) => problem(Some(&person), "Services", &error),
    }
}

/// What a link from an agent carries.
#[derive(Deserialize)]
pub(super) struct Asked {
    request: Option<SecretString>,
    /// The tool that lacks a right.
    r#for: Option<String>,
}

/// `GET /connect/{integration}`.
pub(super) async fn service(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let (person, integration) = match at(&host, &headers, &id).await {
        Ok(at) => at,
        Err(refused) => return refused,
    };
    if let Some(request) = asked.request
        && let Err(error) = host.check_request(&person, integration, &request).await
    {
        return problem(Some(&person), "This link is not for you", &error);
    }
    let shown = Shown { wrong: None, tool: asked.r#for };
    show(&host, &person, integration, shown).await
}

/// `POST /connect/{integration}/key`.
pub(super) async fn key(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(mut fields): Fields,
) -> Response {
    let (person, integration) = match from(&host, &headers, &id, &fields).await {
        Ok(from) => from,
        Err(refused) => return refused,
    };
    fields.remove("csrf");
    let provider = fields.remove("provider");
    let replaces = fields.remove(REPLACE).is_some();
    let connected = connect(&host, &person, integration, provider, fields, replaces).await;
    after(&host, &person, integration, connected).await
}

/// In a task of its own: a browser that goes away does not stop it half way.
async fn connect(
    host: &Arc<Host>,
    person: &Person,
    integration: &'static Integration,
    provider: Option<SecretString>,
    secrets: Secrets,
    replaces: bool,
) -> Result<Report> {
    let (ours, caller) = (Arc::clone(host), person.caller.clone());
    let connecting = host.tasks.spawn(async move {
        // EXPOSE: the name of a provider.
        let provider = provider.as_ref().map(ExposeSecret::expose_secret);
        ours.connect_key(&caller, integration, provider, secrets, replaces).await
    });
    connecting.await.unwrap_or_else(|_| Err(fault()))
}

/// `POST /connect/{integration}/oauth`.
pub(super) async fn consent(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(fields): Fields,
) -> Response {
    let (person, integration) = match from(&host, &headers, &id, &fields).await {
        Ok(from) => from,
        Err(refused) => return refused,
    };
    // EXPOSE: the name of a tool.
    let tool = fields.get(FOR).map(ExposeSecret::expose_secret);
    let replaces = fields.contains_key(REPLACE);
    match host.begin_consent(&person, integration, replaces, tool).await {
        // Not a redirect: where a form may lead, our policy and some browsers hold all the
        // redirects of the provider against.
        Ok(url) => {
            let title = format!("On to {}", integration.name);
            let content = html! {
                p { "You consent at " (integration.name) ", then come back here." }
                p { a.button href=(url) rel="noreferrer" { "Continue to " (integration.name) } }
            };
            leaving(&title, Some(&person), &content, url.as_str()).into_response()
        }
        Err(error) => show(&host, &person, integration, error.into()).await,
    }
}

/// `GET /oauth/client.json`.
pub(super) async fn client(State(host): State<Arc<Host>>) -> Response {
    match host.client_document() {
        Ok(document) => Json(document).into_response(),
        Err(error) => problem(None, "This server as a client", &error),
    }
}

/// `GET /oauth/callback/{integration}`.
pub(super) async fn callback(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    Query(answer): Query<Answer>,
    headers: HeaderMap,
) -> Response {
    let (person, integration) = match at(&host, &headers, &id).await {
        Ok(at) => at,
        Err(refused) => return refused,
    };
    let person = Arc::new(person);
    match host.finish_consent(Arc::clone(&person), integration, answer).await {
        // The code leaves the address bar.
        Ok(report) => done(&host, &person, integration, &report).await,
        Err(error) => {
            tracing::info!(integration = integration.id, actor = person.caller.actor, code = %error.code(), "a consent did not lead to a connection");
            problem(Some(&person), &format!("{} was not connected", integration.name), &error)
        }
    }
}

/// `POST /connect/{integration}/disconnect`.
pub(super) async fn disconnect(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(fields): Fields,
) -> Response {
    let (person, integration) = match from(&host, &headers, &id, &fields).await {
        Ok(from) => from,
        Err(refused) => return refused,
    };
    let (ours, caller) = (Arc::clone(&host), person.caller.clone());
    let done = host.tasks.spawn(async move { ours.disconnect(&caller, integration).await });
    match done.await.unwrap_or_else(|_| Err(fault())) {
        Ok(receipt) => {
            let content = html! {
                (told_of(&receipt))
                p { a href=(format!("/connect/{}", integration.id)) { "Back to " (integration.name) } }
            };
            page(&format!("{} is disconnected", integration.name), Some(&person), &content)
                .into_response()
        }
        Err(error) => show(&host, &person, integration, error.into()).await,
    }
}

/// The person, and the integration of the page.
async fn at(
    host: &Host,
    headers: &HeaderMap,
    id: &str,
) -> std::result::Result<(Person, &'static Integration), Response> {
    let person = person(host, headers).await?;
    match host.integration(id) {
        Ok(integration) => Ok((person, integration)),
        Err(error) => Err(no_service(&person, error)),
    }
}

/// The sender of a form, and the integration that it is about.
pub(super) async fn from(
    host: &Host,
    headers: &HeaderMap,
    id: &str,
    fields: &BTreeMap<String, SecretString>,
) -> std::result::Result<(Person, &'static Integration), Response> {
    let person = sender(host, headers, fields).await?;
    match host.integration(id) {
        Ok(integration) => Ok((person, integration)),
        Err(error) => Err(no_service(&person, error)),
    }
}

fn no_service(person: &Person, mut error: Error) -> Response {
    error.details_mut().code = Code::NotFound;
    problem(Some(person), "No such service", &error)
}

/// Back to the page of the integration, which shows what came of it; or what is wrong.
pub(super) async fn after(
    host: &Host,
    person: &Person,
    integration: &'static Integration,
    connected: Result<Report>,
) -> Response {
    match connected {
        Ok(report) => done(host, person, integration, &report).await,
        Err(error) => show(host, person, integration, error.into()).await,
    }
}

/// To the page of the integration, which tells once what was done.
async fn done(
    host: &Host,
    person: &Person,
    integration: &Integration,
    report: &Report,
) -> Response {
    if let Err(error) = host.leave_notice(person, integration, &report.outcome()).await {
        return problem(Some(person), integration.name, &error);
    }
    Redirect::to(&format!("/connect/{}", integration.id)).into_response()
}

/// What brings a person to the page of an integration.
struct Shown {
    /// What went wrong just now.
    wrong: Option<Error>,
    /// The tool that lacks a right.
    tool: Option<String>,
}

impl From<Error> for Shown {
    fn from(error: Error) -> Self {
        Self { wrong: Some(error), tool: None }
    }
}

/// The page of an integration.
async fn show(
    host: &Host,
    person: &Person,
    integration: &'static Integration,
    Shown { wrong, tool }: Shown,
) -> Response {
    // One that cannot be asked can still be looked at, and disconnected.
    let wrong = match host.discover(integration).await {
        Ok(()) => wrong,
        Err(error) => wrong.or(Some(error)),
    };
    let view = async {
        let client = host.oauth_client(integration)?;
        let connection = host.connection(&person.caller, integration).await?;
        let notice = host.take_notice(person, integration).await?;
        let catalog = host.catalog_of(&person.caller.scope).await?;
        let offer = host.offer_of(&person.caller, integration).await?;
        let receipt = match &connection {
            None => host.receipt(&person.caller, integration).await?,
            Some(_) => None,
        };
        let lacking = match &tool {
            Some(tool) => host.lacking(&person.caller, integration, tool).await?,
            None => None,
        };
        let lacking = lacking.zip(tool);
        let wrong = wrong.as_ref();
        Ok(Service {
            host,
            person,
            integration,
            client,
            connection,
            catalog,
            offer,
            notice,
            receipt,
            lacking,
            wrong,
        })
    };
    match view.await {
        Ok(view) => {
            let page = page(integration.name, Some(person), &view.render());
            match &wrong {
                Some(error) => (status(error), page).into_response(),
                None => page.into_response(),
            }
        }
        Err(error) => problem(Some(person), integration.name, &error),
    }
}
