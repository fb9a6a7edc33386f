//! Google Analytics: traffic and any other report, why it changed, key events, custom dimensions, data
//! streams and their tags, annotations, and dashboards that are kept here.

mod account;
mod annotations;
mod changes;
mod custom_definitions;
mod dashboards;
mod days;
mod errors;
mod event_rules;
mod events;
mod fields;
mod figures;
mod filters;
mod funnels;
mod ids;
mod key_events;
mod permissions;
mod properties;
mod questions;
mod quota;
mod reports;
mod streams;
mod tables;
mod traffic;

use resto_core::{
    Adapter, Auth, Category, ClientAuth, Integration, Limits, OAuthConfig, Paging, Provider,
    Revocation, Revoking, SECURITY_EVENTS, Scheme,
};

/// How properties are set up.
const ADMIN: &str = "https://analyticsadmin.googleapis.com";
/// Where events are collected.
const COLLECT: &str = "https://www.google-analytics.com";
/// What a token is for.
const TOKENS: &str = "https://oauth2.googleapis.com";

/// The facts about Google Analytics.
pub static ANALYTICS: Integration = Integration {
    id: "analytics",
    name: "Google Analytics",
    category: Category::Analytics,
    purpose: "Tells who visits your site, where they come from and what they do there.",
    providers: &[Provider {
        id: "google",
        name: "Google",
        base_url: "https://analyticsdata.googleapis.com",
        other_urls: &[ADMIN, COLLECT, TOKENS],
        auth: &[Auth::OAuth(OAuthConfig {
            // https://developers.google.com/identity/protocols/oauth2/web-server
            authorize_url: "https://accounts.google.com/o/oauth2/v2/auth",
            token_url: "https://oauth2.googleapis.com/token",
            issuer: Some("https://accounts.google.com"),
            names_issuer: false,
            // It ends all that the person granted to this Google Cloud project, Gmail too.
            revocation: Revocation {
                grant: Revoking::Standard("https://oauth2.googleapis.com/revoke"),
                token: None,
                by_hand: "https://myaccount.google.com/connections",
            },
            rights_url: "",
            pkce: true,
            client_auth: ClientAuth::Body,
            resource: None,
            scopes: permissions::SCOPES,
            // Without them Google gives no refresh token the second time. Scopes that were granted
            // for Gmail are not asked for again: this connection is its own.
            authorize_parameters: &[("access_type", "offline"), ("prompt", "consent")],
            access_lifetime: None,
            rotates_refresh_token: false,
            scheme: Scheme::Bearer("access_token"),
        })],
        // The quota is the property's, in tokens: https://developers.google.com/analytics/devguides/reporting/data/v1/quotas
        limits: Limits::per_hour(1400, 10),
        paging: Paging::Cursor {
            size: "pageSize",
            max: 200,
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

/// The adapter: Google Analytics and all its actions.
#[must_use]
pub fn adapter() -> Adapter {
    Adapter::new::<account::SignIn>(&ANALYTICS)
        .skill(include_str!("../SKILL.md"))
        .action::<properties::ListProperties>()
        .action::<properties::GetProperty>()
        .action::<traffic::GetTraffic>()
        .action::<reports::RunReport>()
        .action::<reports::RunRealtimeReport>()
        .action::<funnels::RunFunnelReport>()
        .action::<fields::ListMetricsAndDimensions>()
        .action::<fields::CheckCompatibility>()
        .action::<changes::ExplainTrafficChange>()
        .action::<quota::GetQuota>()
        .action::<streams::ListDataStreams>()
        .action::<streams::GetTagSnippet>()
        .action::<properties::CreateProperty>()
        .action::<streams::CreateWebStream>()
        .action::<key_events::ListKeyEvents>()
        .action::<key_events::CreateKeyEvent>()
        .action::<key_events::DeleteKeyEvent>()
        .action::<event_rules::CreateEventRule>()
        .action::<custom_definitions::ListCustomDimensions>()
        .action::<custom_definitions::CreateCustomDimension>()
        .action::<custom_definitions::CreateCustomMetric>()
        .action::<events::SendEvent>()
        .action::<dashboards::CreateDashboard>()
        .action::<dashboards::ListDashboards>()
        .action::<dashboards::ViewDashboard>()
        .action::<dashboards::UpdateDashboard>()
        .action::<dashboards::DeleteDashboard>()
        .action::<annotations::AnnotateProperty>()
}
