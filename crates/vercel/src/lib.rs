//! Vercel: projects, deployments and their logs, environment variables, domains and DNS records.

mod account;
mod build_logs;
mod creation;
mod deploying;
mod deployments;
mod dns_records;
mod domain_configuration;
mod domains;
mod errors;
mod failures;
mod links;
mod notices;
mod permissions;
mod production;
mod projects;
mod runtime_logs;
mod settings;
mod teams;
mod times;
mod uploads;
mod variables;
mod waits;

use std::time::Duration;

use resto_core::{
    Adapter, Auth, Category, ClientAuth, Integration, KeyAuth, KeyField, Limits, Method,
    OAuthConfig, Paging, Provider, Revocation, Revoking, Scheme, Signer,
};

/// The facts about Vercel.
pub static VERCEL: Integration = Integration {
    id: "vercel",
    name: "Vercel",
    category: Category::Hosting,
    purpose: "Builds your site from its source code and shows it to the public under your domains.",
    providers: &[Provider {
        id: "vercel",
        name: "Vercel",
        base_url: "https://api.vercel.com",
        auth: &[
            // An installed integration: https://vercel.com/docs/integrations/create-integration
            Auth::OAuth(OAuthConfig {
                // `{slug}` is the integration's own name in Vercel's addresses.
                authorize_url: "https://vercel.com/integrations/{slug}/new",
                token_url: "https://api.vercel.com/v2/oauth/access_token",
                issuer: None,
                names_issuer: false,
                // https://vercel.com/docs/rest-api/integrations/delete-an-integration-configuration
                revocation: Revocation {
                    grant: Revoking::Own {
                        method: Method::DELETE,
                        path: "/v1/integrations/configuration/{installation}",
                        signer: Signer::AccessToken,
                        names_token: false,
                        find: None,
                    },
                    token: None,
                    by_hand: "https://vercel.com/dashboard/integrations",
                },
                rights_url: "https://vercel.com/dashboard/integrations",
                pkce: false,
                client_auth: ClientAuth::Body,
                resource: None,
                // The integration's settings decide.
                scopes: &[],
                authorize_parameters: &[],
                access_lifetime: None,
                // There is none: the access token lives until the integration is uninstalled.
                rotates_refresh_token: false,
                scheme: Scheme::Bearer("access_token"),
            }),
            Auth::Key(KeyAuth {
                name: "token",
                fields: &[KeyField {
                    name: "token",
                    label: "Token",
                    // Older ones begin with anything.
                    hint: "vcp_...",
                    ..KeyField::KEY
                }],
                create_url: "https://vercel.com/account/tokens",
                scheme: Scheme::Bearer("token"),
            }),
        ],
        // https://vercel.com/docs/limits counts by kind of request; most kinds have 500 a minute.
        limits: Limits {
            requests: 500,
            per: Duration::from_mins(1),
            burst: 100,
            concurrent: 20,
            overall: None,
        },
        request_id_header: "x-vercel-id",
        paging: Paging::Cursor {
            size: "limit",
            max: 100,
            cursor: "until",
            next: "/pagination/next",
        },
        classify: errors::classify,
        webhooks: Some(notices::NOTICES),
        ..Provider::REST
    }],
    permissions: permissions::ALL,
};

/// The adapter: Vercel and all its actions.
#[must_use]
pub fn adapter() -> Adapter {
    Adapter::new::<account::Token>(&VERCEL)
        .skill(include_str!("../SKILL.md"))
        .action::<account::GetAccount>()
        .action::<projects::ListProjects>()
        .action::<projects::GetProject>()
        .action::<creation::CreateProject>()
        .action::<projects::UpdateProject>()
        .action::<projects::DeleteProject>()
        .action::<deploying::DeployProject>()
        .action::<deployments::ListDeployments>()
        .action::<deployments::GetDeployment>()
        .action::<waits::WaitForDeployment>()
        .action::<deployments::CancelDeployment>()
        .action::<deployments::DeleteDeployment>()
        .action::<production::PromoteDeployment>()
        .action::<production::RollBackProduction>()
        .action::<build_logs::GetBuildLogs>()
        .action::<failures::ExplainFailedBuild>()
        .action::<runtime_logs::GetRuntimeLogs>()
        .action::<variables::ListEnvironmentVariables>()
        .action::<variables::SetEnvironmentVariable>()
        .action::<variables::RemoveEnvironmentVariable>()
        .action::<domains::ListProjectDomains>()
        .action::<domains::AddProjectDomain>()
        .action::<domains::VerifyProjectDomain>()
        .action::<domains::RemoveProjectDomain>()
        .action::<domain_configuration::GetDomainConfiguration>()
        .action::<dns_records::ListDnsRecords>()
        .action::<dns_records::CreateDnsRecord>()
        .action::<dns_records::DeleteDnsRecord>()
}
