//! Domain registrars: finding, buying and renewing domains, and their DNS.

mod account;
mod changes;
mod cloudflare;
mod conflicts;
mod contract;
mod diff;
mod domains;
mod email;
mod errors;
#[cfg(test)]
mod fixtures;
mod hosting;
mod ideas;
mod kept;
mod namecom;
mod names;
mod offers;
mod orders;
mod permissions;
mod plans;
mod porkbun;
mod propagation;
mod purchases;
mod quotes;
mod records;
mod resolve;
mod spf;
mod turns;
mod zone;

pub use names::DomainName;
pub use resolve::{Content, Resolvers, Said};

use std::time::Duration;

use resto_core::{
    Adapter, Auth, Category, Idempotency, Integration, KeyAuth, KeyField, Limits, Paging, Provider,
    RateHeaders, Scheme,
};

/// The facts about domain registrars. A connection is with one of the providers.
pub static REGISTRAR: Integration = Integration {
    id: "registrar",
    name: "Domain registrar",
    category: Category::Domains,
    purpose: "Finds and buys your domain names, keeps them renewed, and points them to your website and mail.",
    providers: &[
        Provider {
            id: "cloudflare",
            name: "Cloudflare",
            base_url: "https://api.cloudflare.com/client/v4",
            other_urls: &[],
            download_hosts: &[],
            auth: &[Auth::Key(KeyAuth {
                name: "token",
                fields: &[KeyField {
                    name: "token",
                    label: "Token",
                    hint: "40 letters and digits",
                    ..KeyField::KEY
                }],
                create_url: "https://dash.cloudflare.com/profile/api-tokens",
                scheme: Scheme::Bearer("token"),
            })],
            // Registrations take longer than an answer may: they are accepted first, and looked up.
            headers: &[("prefer", "respond-async")],
            rate_headers: RATE_HEADERS,
            // https://developers.cloudflare.com/fundamentals/api/reference/limits/
            limits: Limits {
                requests: 1200,
                per: Duration::from_mins(5),
                burst: 200,
                concurrent: 10,
                overall: None,
            },
            request_id_header: "cf-ray",
            granted_header: None,
            end_header: None,
            paging: Paging::Cursor {
                size: "per_page",
                max: 50,
                cursor: "cursor",
                next: "/result_info/cursor",
            },
            omits_empty_lists: false,
            idempotency: None,
            classify: errors::cloudflare,
            webhooks: None,
        },
        Provider {
            id: "porkbun",
            name: "Porkbun",
            base_url: "https://api.porkbun.com/api/json/v3",
            other_urls: &[],
            download_hosts: &[],
            auth: &[Auth::Key(KeyAuth {
                name: "key pair",
                fields: &[
                    KeyField {
                        name: "api_key",
                        label: "API key",
                        hint: "pk1_...",
                        prefixes: &["pk1_"],
                        ..KeyField::KEY
                    },
                    KeyField {
                        name: "secret_api_key",
                        label: "Secret API key",
                        hint: "sk1_...",
                        prefixes: &["sk1_"],
                        ..KeyField::KEY
                    },
                ],
                create_url: "https://porkbun.com/account/api",
                scheme: Scheme::Headers(&[
                    ("x-api-key", "api_key"),
                    ("x-secret-api-key", "secret_api_key"),
                ]),
            })],
            headers: &[],
            rate_headers: RATE_HEADERS,
            limits: Limits { burst: 30, ..Limits::per_hour(3600, 2) },
            request_id_header: "x-request-id",
            granted_header: None,
            end_header: None,
            // Its one long list has pages of a thousand, which the list of domains cuts itself.
            paging: Paging::Cursor { size: "count", max: 100, cursor: "start", next: "" },
            omits_empty_lists: false,
            // For 24 hours.
            idempotency: Some(Idempotency {
                header: "idempotency-key",
                lives: Duration::from_hours(23),
            }),
            classify: errors::porkbun,
            webhooks: None,
        },
        Provider {
            id: "namecom",
            name: "name.com",
            base_url: "https://api.name.com",
            other_urls: &[],
            download_hosts: &[],
            auth: &[Auth::Key(KeyAuth {
                name: "token",
                fields: &[
                    KeyField {
                        name: "username",
                        label: "User name",
                        hint: "as you sign in",
                        ..KeyField::KEY
                    },
                    KeyField {
                        name: "token",
                        label: "Token",
                        hint: "40 letters and digits",
                        ..KeyField::KEY
                    },
                ],
                create_url: "https://www.name.com/account/settings/api",
                scheme: Scheme::Basic { user: "username", password: "token" },
            })],
            headers: &[],
            rate_headers: RATE_HEADERS,
            // https://docs.name.com: 20 requests in a second, 3,000 in an hour.
            // 20 a second as well.
            limits: Limits { burst: 20, ..Limits::per_hour(3000, 5) },
            request_id_header: "x-request-id",
            granted_header: None,
            end_header: None,
            paging: Paging::Cursor { size: "perPage", max: 100, cursor: "page", next: "/nextPage" },
            omits_empty_lists: false,
            // For 12 hours.
            idempotency: Some(Idempotency {
                header: "x-idempotency-key",
                lives: Duration::from_hours(11),
            }),
            classify: errors::namecom,
            webhooks: None,
        },
    ],
    permissions: permissions::ALL,
};

const RATE_HEADERS: RateHeaders = RateHeaders {
    limit: "x-ratelimit-limit",
    remaining: "x-ratelimit-remaining",
    reset: "x-ratelimit-reset",
    resource: None,
};

/// The adapter: registrars and all their actions.
#[must_use]
pub fn adapter() -> Adapter {
    Adapter::new::<account::Key>(&REGISTRAR)
        .skill(include_str!("../SKILL.md"))
        .action::<offers::SuggestDomains>()
        .action::<offers::SearchDomains>()
        .action::<offers::CheckAvailability>()
        .action::<quotes::QuoteDomain>()
        .action::<purchases::PurchaseDomain>()
        .action::<orders::GetOrder>()
        .action::<domains::ListDomains>()
        .action::<domains::GetDomain>()
        .action::<purchases::RenewDomain>()
        .action::<domains::SetAutoRenew>()
        .action::<domains::SetPrivacy>()
        .action::<domains::SetNameservers>()
        .action::<records::ListDnsRecords>()
        .action::<plans::PlanDnsChange>()
        .action::<changes::ApplyDnsChange>()
        .action::<changes::RestoreDnsSnapshot>()
        .action::<email::SetUpEmailDns>()
        .action::<hosting::SetUpHostingDns>()
        .action::<propagation::CheckPropagation>()
}
