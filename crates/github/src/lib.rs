//! GitHub: repositories, files, pull requests, issues, Actions and releases.

mod account;
mod alerts;
mod branches;
mod changes;
mod checks;
mod ci;
mod code_search;
mod collaborators;
mod comments;
mod commit;
mod commits;
mod creation;
mod errors;
mod excerpts;
mod files;
mod issue_search;
mod issues;
mod labels;
mod logs;
mod made;
mod merges;
mod notices;
mod objects;
mod people;
mod permissions;
mod protections;
mod pull_details;
mod pulls;
mod releases;
mod repos;
mod reviews;
mod run_details;
mod runs;
mod secrets;
mod standing;
mod states;
mod trees;
mod variables;

use resto_core::{
    Adapter, Auth, Category, ClientAuth, Integration, KeyAuth, KeyField, Limits, Method,
    OAuthConfig, Paging, Provider, RateHeaders, Revocation, Revoking, Scheme, Signer,
};

/// The facts about GitHub.
pub static GITHUB: Integration = Integration {
    id: "github",
    name: "GitHub",
    category: Category::Code,
    purpose: "Keeps your source code, reviews changes to it, and runs its tests.",
    providers: &[Provider {
        id: "github",
        name: "GitHub",
        base_url: "https://api.github.com",
        other_urls: &[],
        // Job logs and release files are served from here.
        download_hosts: &["*.blob.core.windows.net", "*.actions.githubusercontent.com"],
        auth: &[
            // A GitHub App's user token: https://docs.github.com/apps/creating-github-apps
            Auth::OAuth(OAuthConfig {
                authorize_url: "https://github.com/login/oauth/authorize",
                token_url: "https://github.com/login/oauth/access_token",
                issuer: Some("https://github.com/login/oauth"),
                names_issuer: false,
                // https://docs.github.com/rest/apps/oauth-applications
                revocation: Revocation {
                    grant: Revoking::Own {
                        method: Method::DELETE,
                        path: "/applications/{client_id}/grant",
                        signer: Signer::Client,
                        names_token: true,
                        find: None,
                    },
                    token: Some(Revoking::Own {
                        method: Method::DELETE,
                        path: "/applications/{client_id}/token",
                        signer: Signer::Client,
                        names_token: true,
                        find: None,
                    }),
                    by_hand: "https://github.com/settings/apps/authorizations",
                },
                rights_url: "https://github.com/settings/installations",
                pkce: true,
                client_auth: ClientAuth::Body,
                resource: None,
                // The app's registration decides.
                scopes: &[],
                authorize_parameters: &[],
                access_lifetime: None,
                rotates_refresh_token: true,
                scheme: Scheme::Bearer("access_token"),
            }),
            Auth::Key(KeyAuth {
                name: "fine-grained personal access token",
                fields: &[KeyField {
                    name: "token",
                    label: "Token",
                    hint: "github_pat_...",
                    prefixes: &["github_pat_", "ghp_", "gho_", "ghu_"],
                    ..KeyField::KEY
                }],
                create_url: permissions::CREATE_TOKEN,
                scheme: Scheme::Bearer("token"),
            }),
        ],
        headers: &[
            ("accept", "application/vnd.github+json"),
            ("x-github-api-version", "2026-03-10"),
        ],
        rate_headers: RateHeaders {
            limit: "x-ratelimit-limit",
            remaining: "x-ratelimit-remaining",
            reset: "x-ratelimit-reset",
            resource: Some("x-ratelimit-resource"),
        },
        // https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
        limits: Limits::per_hour(5000, 100),
        request_id_header: "x-github-request-id",
        granted_header: Some("x-oauth-scopes"),
        end_header: Some("github-authentication-token-expiration"),
        paging: Paging::Link { size: "per_page", max: 100, cursors: &["page", "after"] },
        omits_empty_lists: false,
        idempotency: None,
        classify: errors::classify,
        webhooks: Some(notices::NOTICES),
    }],
    permissions: permissions::ALL,
};

/// The adapter: GitHub and all its actions.
#[must_use]
pub fn adapter() -> Adapter {
    Adapter::new::<account::Token>(&GITHUB)
        .skill(include_str!("../SKILL.md"))
        .action::<account::GetAccount>()
        .action::<repos::ListRepositories>()
        .action::<repos::GetRepository>()
        .action::<creation::CreateRepository>()
        .action::<repos::UpdateRepository>()
        .action::<repos::ArchiveRepository>()
        .action::<repos::DeleteRepository>()
        .action::<trees::ListFiles>()
        .action::<files::ReadFile>()
        .action::<code_search::SearchCode>()
        .action::<pulls::ListPullRequests>()
        .action::<pull_details::GetPullRequest>()
        .action::<pulls::CreatePullRequest>()
        .action::<pulls::UpdatePullRequest>()
        .action::<reviews::ReviewPullRequest>()
        .action::<merges::MergePullRequest>()
        .action::<issues::ListIssues>()
        .action::<issue_search::SearchIssues>()
        .action::<comments::GetIssue>()
        .action::<issues::CreateIssue>()
        .action::<issues::UpdateIssue>()
        .action::<comments::CommentIssue>()
        .action::<labels::ListLabels>()
        .action::<labels::CreateLabel>()
        .action::<commit::CommitFiles>()
        .action::<branches::ListBranches>()
        .action::<branches::CreateBranch>()
        .action::<branches::DeleteBranch>()
        .action::<commits::ListCommits>()
        .action::<commits::CompareCommits>()
        .action::<runs::ListWorkflowRuns>()
        .action::<run_details::GetWorkflowRun>()
        .action::<runs::RunWorkflow>()
        .action::<runs::RerunWorkflow>()
        .action::<runs::CancelWorkflowRun>()
        .action::<secrets::ListWorkflowSecrets>()
        .action::<secrets::SetWorkflowSecret>()
        .action::<variables::SetWorkflowVariable>()
        .action::<protections::ProtectBranch>()
        .action::<releases::ListReleases>()
        .action::<releases::PublishRelease>()
        .action::<collaborators::ListCollaborators>()
        .action::<collaborators::InviteCollaborator>()
        .action::<collaborators::RemoveCollaborator>()
        .action::<alerts::ListSecurityAlerts>()
        .action::<ci::ConfigureCi>()
}
