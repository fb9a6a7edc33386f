//! What a person reads of a service: why it is connected, what will be granted, what that allows,
//! and what came of it.

use std::sync::Arc;

use maud::{Markup, html};
use resto_core::{ActionSpec, Auth, Error, Integration, KeyAuth, Provider, Risk};
use time::OffsetDateTime;
use time::macros::format_description;

use super::page::csrf;
use super::tools::waiting;
use crate::catalog::Catalog;
use crate::connect::{Lacking, OAuthClient, Receipt, Report};
use crate::host::Host;
use crate::remote::Offer;
use crate::sessions::Person;

/// The field with which a person lets another account take the place of the connected one.
pub(super) const REPLACE: &str = "replace";

/// The field that names the tool for which a person grants more.
pub(super) const FOR: &str = "for";

/// The list of services and how each stands.
pub(super) fn list(host: &Host, connections: &[Report]) -> Markup {
    html! {
        p { "Connect the accounts that your agents may operate. You can disconnect each at any time." }
        ul.services {
            @for adapter in host.catalog.adapters() {
                @let facts = adapter.integration;
                @let connection = connections.iter().find(|one| one.integration == facts.id);
                li {
                    h2 { a href=(format!("/connect/{}", facts.id)) { (facts.name) } }
                    p { (facts.purpose) }
                    p { (standing(connection)) }
                }
            }
        }
    }
}

fn standing(connection: Option<&Report>) -> Markup {
    match connection {
        None => html! { span.quiet { "Not connected" } },
        Some(report) if report.status != "active" => html! {
            strong.bad { (status_words(&report.status)) } " as " (report.account)
        },
        Some(report) if report.has_expired() => html! {
            strong.bad { "Access expired" } " for " (report.account)
        },
        Some(report) => html! {
            strong.good { "Connected" } " as " (report.account)
            @if let Some(mode) = &report.mode { ", " (mode) " mode" }
        },
    }
}

fn status_words(status: &str) -> &str {
    match status {
        "frozen" => "Stopped",
        "needs_reauth" => "Must be connected again",
        "revocation_pending" => "Being disconnected",
        other => other,
    }
}

/// The page of one service.
pub(super) struct Service<'a> {
    pub host: &'a Host,
    pub person: &'a Person,
    pub integration: &'static Integration,
    pub client: Option<OAuthClient<'a>>,
    pub connection: Option<Report>,
    /// The actions that there are for the person.
    pub catalog: Arc<Catalog>,
    /// The tools of a remote server.
    pub offer: Option<Offer>,
    /// What was done just now.
    pub notice: Option<String>,
    /// What came of disconnecting, where nothing is connected.
    pub receipt: Option<Receipt>,
    /// What a tool of this name lacks.
    pub lacking: Option<(Lacking, String)>,
    /// What went wrong just now.
    pub wrong: Option<&'a Error>,
}

impl Service<'_> {
    pub fn render(&self) -> Markup {
        let name = self.integration.name;
        html! {
            p { (self.integration.purpose) }
            @if let Some(notice) = &self.notice {
                p.done role="status" { (notice) }
            }
            @if let Some(error) = self.wrong {
                p.told role="alert" { (error.message()) }
            }
            @if let Some(report) = &self.connection {
                (self.connected(report))
                @if let Some(offer) = &self.offer { (waiting(self.person, self.integration, offer)) }
            }
            @if let Some(receipt) = &self.receipt {
                section.box aria-labelledby="receipt" {
                    h2 id="receipt" { "Disconnected" }
                    p.quiet { (day(receipt.disconnected_at)) }
                    (told_of(receipt))
                }
            }
            @if let Some((lacking, _)) = &self.lacking {
                (self.missing(lacking))
            }
            @if self.connection.is_some() {
                h2 { "Connect " (name) " again" }
                p { "To renew the access, or to change what it may do. It takes the place of the one above once it has been tested." }
            } @else {
                h2 { "Connect " (name) }
            }
            @for provider in self.integration.providers { (self.provider(provider)) }
            p.quiet { "What cannot be undone or spends money is refused to agents, whatever you grant. The credential is stored encrypted, is never shown to an agent, and is used for nothing but these actions, each of which is in the audit trail." }
            (self.disconnect())
        }
    }

    /// What is granted at a provider, in plain words, and the ways to grant it.
    fn provider(&self, provider: &Provider) -> Markup {
        let several = self.integration.providers.len() > 1;
        let part = format!("grants-{}", provider.id);
        let client = self.client.as_ref().filter(|client| client.provider.id == provider.id);
        html! {
            section aria-labelledby=(part) {
                h3 id=(part) {
                    "What you grant" @if several { " at " (provider.name) }
                }
                @let needed = self.host.needed(self.integration, provider);
                @if needed.is_empty() {
                    p { "Whatever the credential may do, as far as the tools of " (provider.name) " use it. Give it the least that you need." }
                } @else {
                    p { "All actions together need these rights. Leave out what you do not want agents to do: the actions that need it are then refused." }
                    dl {
                        @for (right, allows) in &needed {
                            dt { (capital(allows)) }
                            dd { code { (right) } }
                        }
                    }
                }
                @if let Some(client) = client { (self.oauth(client)) }
                @for auth in provider.auth {
                    @if let Auth::Key(key) = auth { (self.key(provider, key)) }
                }
            }
        }
    }

    fn oauth(&self, client: &OAuthClient<'_>) -> Markup {
        let name = client.provider.name;
        let scopes = match &self.lacking {
            Some((lacking, _)) => lacking.scopes(self.integration, client.facts),
            None => client.facts.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        html! {
            section.box aria-labelledby="oauth" {
                h4 id="oauth" { "Sign in at " (name) }
                @if scopes.is_empty() {
                    p { (name) " shows what this server's app asks for, and you choose there what it may reach." }
                } @else {
                    p { (name) " asks you to allow exactly this:" }
                    ul {
                        @for scope in &scopes {
                            li { code { (scope) } " " (self.allows(scope)) }
                        }
                    }
                }
                form method="post" action=(format!("/connect/{}/oauth", self.integration.id)) {
                    (csrf(self.person))
                    @if let Some((_, tool)) = &self.lacking {
                        input type="hidden" name=(FOR) value=(tool);
                    }
                    (self.replaces("oauth"))
                    button { "Continue to " (name) }
                }
            }
        }
    }

    /// Which right is missing for what, and where it is granted.
    fn missing(&self, lacking: &Lacking) -> Markup {
        let elsewhere = self.client.as_ref().map(|client| client.facts.rights_url);
        html! {
            section.box aria-labelledby="missing" {
                h2 id="missing" { "A right is missing" }
                p { "\u{201c}" (lacking.title) "\u{201d} needs what was not granted so far:" }
                ul {
                    @for right in &lacking.rights {
                        li { code { (right) } " " (self.allows(right)) }
                    }
                }
                @match elsewhere {
                    Some(url) if !url.is_empty() => p {
                        "What this server's app may do is decided at " (self.integration.name) ": "
                        a href=(url) rel="noreferrer" { "grant it there" } ", then connect again here."
                    },
                    _ => p { "Connect again below, if you want to grant it." },
                }
            }
        }
    }

    /// The explicit yes to another account.
    fn replaces(&self, part: &str) -> Markup {
        let id = format!("{part}-replace");
        html! {
            @if let Some(report) = &self.connection {
                p.choice {
                    input id=(id) name=(REPLACE) type="checkbox" value="yes";
                    label for=(id) { "If it is another account, it takes the place of the account of " (report.account) }
                }
            }
        }
    }

    fn allows(&self, right: &str) -> &'static str {
        let known = self.integration.permissions.iter().find(|permission| permission.id == right);
        known.map_or("", |permission| permission.allows)
    }

    fn key(&self, provider: &Provider, key: &KeyAuth) -> Markup {
        let part = format!("key-{}", provider.id);
        html! {
            section.box aria-labelledby=(part) {
                h4 id=(part) { "With a " (key.name) " of " (provider.name) }
                p { "Create it at " a href=(key.create_url) rel="noreferrer" { (provider.name) } ", with the rights above, and paste it here. It goes to this server only; never give it to an agent." }
                form method="post" action=(format!("/connect/{}/key", self.integration.id)) autocomplete="off" {
                    (csrf(self.person))
                    input type="hidden" name="provider" value=(provider.id);
                    @for field in key.fields {
                        @let id = format!("{part}-{}", field.name);
                        @let hint = format!("{id}-hint");
                        label for=(id) { (field.label) }
                        input id=(id) name=(field.name) type="password" required autocomplete="off" spellcheck="false" aria-describedby=(hint);
                        p.quiet id=(hint) {
                            @if field.hint.is_empty() { "As " (provider.name) " shows it, whole." }
                            @else { "It looks like " code { (field.hint) } }
                            @for (prefix, why) in field.refused {
                                " One that begins with " code { (prefix) } " is not taken: " (why) "."
                            }
                        }
                    }
                    (self.replaces(&part))
                    button { "Test and connect" }
                }
            }
        }
    }

    /// How the account stands, and what agents can do with it.
    fn connected(&self, report: &Report) -> Markup {
        html! {
            section.box aria-labelledby="account" {
                h2 id="account" { (standing(Some(report))) }
                p.quiet {
                    "Since " (day(report.connected_at)) "."
                    @match report.key_age_days {
                        None => {}
                        Some(1) => { " The key is 1 day old." }
                        Some(days) => { " The key is " (days) " days old." }
                    }
                    @if report.renewed { " The access is renewed by itself." }
                    @else if let Some(end) = report.ends_at() {
                        @if report.key_age_days.is_some() { " The key works until " } @else { " The access works until " }
                        (day(end)) "."
                    }
                }
                @if let Some(why) = report.standing() { p.told { (why) } }
                (self.actions("What will work", &report.allowed, ""))
                (self.actions("What will not work", &report.refused, "The credential lacks the rights for these. Connect again with more, if you want them."))
                (self.actions("Unknown until tried", &report.unknown, "The provider does not tell what the credential may do; each of these shows it when it is first used."))
            }
        }
    }

    fn actions(&self, title: &str, tools: &[String], why: &str) -> Markup {
        let adapter = self.catalog.adapter(self.integration.id);
        let known: Vec<&ActionSpec> = adapter
            .map(resto_core::Adapter::actions)
            .unwrap_or_default()
            .iter()
            .filter(|action| tools.contains(&action.tool))
            .collect();
        html! {
            @if !known.is_empty() {
                details {
                    summary { (title) ": " (known.len()) (if known.len() == 1 { " action" } else { " actions" }) }
                    @if !why.is_empty() { p { (why) } }
                    ul {
                        @for action in known {
                            li {
                                (action.title)
                                @if action.risk >= Risk::Irreversible { span.quiet { " (a person approves)" } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn disconnect(&self) -> Markup {
        html! {
            @if self.connection.is_some() {
                section aria-labelledby="disconnect" {
                    h2 id="disconnect" { "Disconnect " (self.integration.name) }
                    p { "Agents can no longer reach the account, and our copy of the credential is destroyed." }
                    form method="post" action=(format!("/connect/{}/disconnect", self.integration.id)) {
                        (csrf(self.person))
                        button.plain { "Disconnect" }
                    }
                }
            }
        }
    }
}

/// What came of disconnecting.
pub(super) fn told_of(receipt: &Receipt) -> Markup {
    html! {
        p { "The account of " (receipt.account) " is disconnected; our copy of its credential is destroyed." }
        @if let Some(proof) = &receipt.proof { p { (proof) } }
        @if let Some(left) = &receipt.left_to_do {
            p.told role="alert" { (left) }
        }
    }
}

fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn day(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default()
}
