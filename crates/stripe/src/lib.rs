//! Stripe: products, customers, subscriptions, invoices, payments and what they bring in.

mod account;
mod balance;
mod cancellations;
mod changes;
mod checkout;
mod coupons;
mod customer_search;
mod customers;
mod declines;
mod disputes;
mod errors;
mod failures;
mod ids;
mod invoice_creation;
mod invoice_steps;
mod invoices;
mod mode;
mod mrr;
mod notices;
mod offers;
mod payment_links;
mod payments;
mod payouts;
mod permissions;
mod portal;
mod prices;
mod products;
mod prorations;
mod refunds;
mod revenue;
mod subscription_changes;
mod subscription_metrics;
mod subscription_start;
mod subscriptions;
mod times;
mod webhooks;
mod whole_lists;

use std::time::Duration;

use resto_core::{
    Adapter, Auth, Category, ClientAuth, Idempotency, Integration, KeyAuth, KeyField, Limits,
    Method, OAuthConfig, Paging, Provider, RateHeaders, Revocation, Revoking, Scheme, Signer,
};

/// The version of Stripe's API that all of this is written for.
const VERSION: &str = "2026-10-28.endive";

/// The facts about Stripe.
pub static STRIPE: Integration = Integration {
    id: "stripe",
    name: "Stripe",
    category: Category::Payments,
    purpose: "Takes payments, bills subscriptions, sends invoices, and tells what comes in.",
    providers: &[Provider {
        id: "stripe",
        name: "Stripe",
        base_url: "https://api.stripe.com",
        other_urls: &[],
        download_hosts: &[],
        auth: &[
            // A Stripe App: https://docs.stripe.com/stripe-apps/api-authentication/oauth
            Auth::OAuth(OAuthConfig {
                authorize_url: "https://marketplace.stripe.com/oauth/v2/authorize",
                token_url: "https://api.stripe.com/v1/oauth/token",
                issuer: None,
                names_issuer: false,
                // https://docs.stripe.com/api/apps
                revocation: Revocation {
                    grant: Revoking::Own {
                        method: Method::POST,
                        path: "/v1/apps/installs/{found}/uninstall",
                        signer: Signer::ClientSecret,
                        names_token: false,
                        find: Some(("/v1/apps/installs?account={account_id}", "/data/0/id")),
                    },
                    token: None,
                    by_hand: "https://dashboard.stripe.com/settings/apps",
                },
                rights_url: "https://dashboard.stripe.com/settings/apps",
                pkce: false,
                client_auth: ClientAuth::SecretAsUser,
                resource: None,
                // The app's manifest decides.
                scopes: &[],
                authorize_parameters: &[],
                access_lifetime: Some(Duration::from_hours(1)),
                rotates_refresh_token: true,
                scheme: Scheme::Bearer("access_token"),
            }),
            Auth::Key(KeyAuth {
                name: "restricted key",
                fields: &[KeyField {
                    name: "key",
                    label: "Restricted key",
                    hint: "rk_live_... or rk_test_...",
                    prefixes: &["rk_"],
                    refused: &[
                        (
                            "sk_",
                            "A secret key can do everything in the account, so we do not keep one; a restricted key can do only what it is given",
                        ),
                        ("pk_", "A publishable key is for browsers and can do nothing here"),
                    ],
                }],
                create_url: permissions::CREATE_KEY,
                scheme: Scheme::Bearer("key"),
            }),
        ],
        headers: &[("stripe-version", VERSION)],
        // Stripe does not tell a quota in headers.
        rate_headers: RateHeaders { limit: "", remaining: "", reset: "", resource: None },
        // The lower one, of test mode: https://docs.stripe.com/rate-limits
        limits: Limits {
            requests: 25,
            per: Duration::from_secs(1),
            burst: 10,
            concurrent: 25,
            overall: None,
        },
        request_id_header: "request-id",
        granted_header: None,
        end_header: None,
        paging: Paging::LastId {
            size: "limit",
            max: 100,
            cursor: "starting_after",
            more: "/has_more",
        },
        omits_empty_lists: false,
        // https://docs.stripe.com/api/idempotent_requests: for 24 hours at least.
        idempotency: Some(Idempotency {
            header: "idempotency-key",
            lives: Duration::from_hours(23),
        }),
        classify: errors::classify,
        webhooks: Some(notices::NOTICES),
    }],
    permissions: permissions::ALL,
};

/// The adapter: Stripe and all its actions.
#[must_use]
pub fn adapter() -> Adapter {
    Adapter::new::<account::Key>(&STRIPE)
        .skill(include_str!("../SKILL.md"))
        .action::<account::GetAccount>()
        .action::<balance::GetBalance>()
        .action::<products::ListProducts>()
        .action::<products::CreateProduct>()
        .action::<products::UpdateProduct>()
        .action::<prices::CreatePrice>()
        .action::<prices::ListPrices>()
        .action::<products::ArchiveProduct>()
        .action::<offers::CreateOffer>()
        .action::<customer_search::SearchCustomers>()
        .action::<customers::GetCustomer>()
        .action::<customers::CreateCustomer>()
        .action::<customers::UpdateCustomer>()
        .action::<customers::DeleteCustomer>()
        .action::<subscriptions::ListSubscriptions>()
        .action::<subscriptions::GetSubscription>()
        .action::<subscription_start::CreateSubscription>()
        .action::<prorations::PreviewSubscriptionChange>()
        .action::<subscription_changes::ChangeSubscription>()
        .action::<cancellations::CancelSubscription>()
        .action::<checkout::CreateCheckoutSession>()
        .action::<payment_links::CreatePaymentLink>()
        .action::<portal::CreateBillingPortalSession>()
        .action::<invoices::ListInvoices>()
        .action::<invoice_creation::CreateInvoice>()
        .action::<invoice_steps::SendInvoice>()
        .action::<invoice_steps::VoidInvoice>()
        .action::<payments::ListPayments>()
        .action::<failures::ExplainFailedPayment>()
        .action::<refunds::RefundPayment>()
        .action::<coupons::CreateCoupon>()
        .action::<coupons::ListCoupons>()
        .action::<coupons::DeleteCoupon>()
        .action::<disputes::ListDisputes>()
        .action::<payouts::ListPayouts>()
        .action::<revenue::GetRevenue>()
        .action::<subscription_metrics::GetSubscriptionMetrics>()
        .action::<webhooks::CreateWebhookEndpoint>()
}
