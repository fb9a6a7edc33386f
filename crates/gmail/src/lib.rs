//! Gmail and the contacts beside it: mail read, written, sent and organised, filters, the vacation
//! reply, and the people of the address book.

mod account;
mod answers;
mod attachments;
mod bodies;
mod bulk;
mod contacts;
mod drafts;
mod errors;
mod filters;
mod forwards;
mod labels;
mod letters;
mod mailboxes;
mod messages;
mod pages;
mod parts;
mod permissions;
mod sending;
mod threads;
mod times;
mod vacation_replies;

use std::time::Duration;

use resto_core::{
    Adapter, Auth, Category, ClientAuth, Integration, Limits, OAuthConfig, Paging, Provider,
    Revocation, Revoking, SECURITY_EVENTS, Scheme,
};

/// Where contacts live.
pub(crate) const PEOPLE: &str = "https://people.googleapis.com";
/// Where a token tells what it may do.
pub(crate) const TOKENS: &str = "https://oauth2.googleapis.com";

/// The facts about Gmail.
pub static GMAIL: Integration = Integration {
    id: "gmail",
    name: "Gmail",
    category: Category::Communication,
    purpose: "Reads, writes and sends your mail, keeps it in order, and knows your contacts.",
    providers: &[Provider {
        id: "google",
        name: "Google",
        base_url: "https://gmail.googleapis.com",
        other_urls: &[PEOPLE, TOKENS],
        // https://developers.google.com/identity/protocols/oauth2/web-server
        auth: &[Auth::OAuth(OAuthConfig {
            authorize_url: "https://accounts.google.com/o/oauth2/v2/auth",
            token_url: "https://oauth2.googleapis.com/token",
            issuer: Some("https://accounts.google.com"),
            names_issuer: false,
            // It ends all that this account allowed to the same project, Analytics too.
            revocation: Revocation {
                grant: Revoking::Standard("https://oauth2.googleapis.com/revoke"),
                token: None,
                by_hand: "https://myaccount.google.com/connections",
            },
            rights_url: "",
            pkce: true,
            client_auth: ClientAuth::Body,
            resource: None,
            scopes: &[
                "openid",
                "email",
                permissions::MODIFY,
                permissions::SETTINGS,
                permissions::CONTACTS,
            ],
            // A refresh token comes only with a consent, and only to those who ask for it.
            authorize_parameters: &[
                ("access_type", "offline"),
                ("prompt", "consent"),
                ("include_granted_scopes", "true"),
            ],
            access_lifetime: None,
            rotates_refresh_token: false,
            scheme: Scheme::Bearer("access_token"),
        })],
        // 6,000 units a minute and user, and 1,200,000 a minute and project; reading a message costs 20:
        // https://developers.google.com/workspace/gmail/api/reference/quota
        limits: Limits {
            requests: 300,
            per: Duration::from_mins(1),
            burst: 100,
            concurrent: 4,
            overall: Some(60_000),
        },
        paging: Paging::Cursor {
            size: "maxResults",
            max: 50,
            cursor: "pageToken",
            next: "/nextPageToken",
        },
        omits_empty_lists: true,
        classify: errors::classify,
        // https://developers.google.com/identity/protocols/risc
        webhooks: Some(SECURITY_EVENTS),
        ..Provider::REST
    }],
    permissions: permissions::ALL,
};

/// The adapter: Gmail and all its actions.
#[must_use]
pub fn adapter() -> Adapter {
    Adapter::new::<account::Consent>(&GMAIL)
        .skill(include_str!("../SKILL.md"))
        .action::<account::GetProfile>()
        .action::<messages::SearchMessages>()
        .action::<messages::GetMessage>()
        .action::<threads::ListThreads>()
        .action::<threads::GetThread>()
        .action::<threads::ListUnansweredThreads>()
        .action::<attachments::GetAttachment>()
        .action::<drafts::CreateDraft>()
        .action::<drafts::ListDrafts>()
        .action::<drafts::changes::UpdateDraft>()
        .action::<drafts::DeleteDraft>()
        .action::<sending::SendDraft>()
        .action::<sending::SendMessage>()
        .action::<answers::ReplyToThread>()
        .action::<forwards::ForwardMessage>()
        .action::<labels::ListLabels>()
        .action::<labels::CreateLabel>()
        .action::<threads::changes::OrganizeThreads>()
        .action::<threads::changes::TrashThread>()
        .action::<threads::changes::RestoreThread>()
        .action::<filters::ListFilters>()
        .action::<filters::CreateFilter>()
        .action::<filters::DeleteFilter>()
        .action::<vacation_replies::SetVacationReply>()
        .action::<contacts::ListContacts>()
        .action::<contacts::SearchContacts>()
        .action::<contacts::changes::CreateContact>()
        .action::<contacts::changes::UpdateContact>()
        .action::<contacts::changes::DeleteContact>()
}
