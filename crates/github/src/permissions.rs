//! The rights that the actions need, as sets: first what a fine-grained token or a GitHub App
//! needs, then the scope of a classic token that allows the same.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

pub(crate) const NOTHING: Needs = &[];
pub(crate) const METADATA_READ: Needs = &[&["metadata:read"], &["repo"], &["public_repo"]];
pub(crate) const CONTENTS_READ: Needs = &[&["contents:read"], &["repo"], &["public_repo"]];
pub(crate) const CONTENTS_WRITE: Needs = &[&["contents:write"], &["repo"], &["public_repo"]];
/// The narrower right is younger than the wider one, and some tokens lack it.
pub(crate) const REPOSITORY_CREATION: Needs =
    &[&["repository_creation:write"], &["administration:write"], &["repo"], &["public_repo"]];
pub(crate) const ADMINISTRATION_WRITE: Needs =
    &[&["administration:write"], &["repo"], &["public_repo"]];
pub(crate) const REPOSITORY_DELETION: Needs = &[&["administration:write"], &["delete_repo"]];
pub(crate) const COLLABORATORS_READ: Needs = &[&["metadata:read"], &["repo"]];
pub(crate) const ALERTS_READ: Needs =
    &[&["vulnerability_alerts:read"], &["repo"], &["security_events"], &["public_repo"]];
/// A workflow file, and the pull request that brings it.
pub(crate) const CI_WRITE: Needs = &[
    &["contents:write", "workflows:write", "pull_requests:write"],
    &["repo", "workflow"],
    &["public_repo", "workflow"],
];
pub(crate) const PULL_REQUESTS_READ: Needs =
    &[&["pull_requests:read"], &["repo"], &["public_repo"]];
pub(crate) const PULL_REQUESTS_WRITE: Needs =
    &[&["pull_requests:write"], &["repo"], &["public_repo"]];
/// Checks are shown where they may be read; fine-grained tokens have no such permission.
pub(crate) const PULL_REQUESTS_AND_CHECKS_READ: Needs = &[
    &["pull_requests:read", "checks:read", "statuses:read"],
    &["pull_requests:read"],
    &["repo"],
    &["public_repo"],
];
pub(crate) const ISSUES_READ: Needs = &[&["issues:read"], &["repo"], &["public_repo"]];
pub(crate) const ISSUES_WRITE: Needs = &[&["issues:write"], &["repo"], &["public_repo"]];
/// Pull requests are commented on as issues are.
pub(crate) const COMMENTS_WRITE: Needs =
    &[&["issues:write"], &["pull_requests:write"], &["repo"], &["public_repo"]];
pub(crate) const ACTIONS_READ: Needs = &[&["actions:read"], &["repo"], &["public_repo"]];
pub(crate) const ACTIONS_WRITE: Needs = &[&["actions:write"], &["repo"]];
pub(crate) const SECRETS_READ: Needs = &[&["secrets:read"], &["repo"]];
pub(crate) const SECRETS_WRITE: Needs = &[&["secrets:write"], &["repo"]];
pub(crate) const VARIABLES_WRITE: Needs = &[&["actions_variables:write"], &["repo"]];

/// Where a person creates a fine-grained token, with what all actions need filled in. It knows neither
/// `checks`, which are shown where they may be read, nor the creation of repositories by itself, which
/// `administration` allows.
// https://docs.github.com/authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens
pub(crate) const CREATE_TOKEN: &str = concat!(
    "https://github.com/settings/personal-access-tokens/new?name=Resto&expires_in=90",
    "&actions=write",
    "&actions_variables=write",
    "&administration=write",
    "&contents=write",
    "&issues=write",
    "&metadata=read",
    "&pull_requests=write",
    "&secrets=write",
    "&statuses=read",
    "&vulnerability_alerts=read",
    "&workflows=write",
);

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission { id: "metadata:read", allows: "see your repositories" },
    Permission { id: "contents:read", allows: "read files, branches, commits and releases" },
    Permission {
        id: "contents:write",
        allows: "change files, branches and releases, merge pull requests",
    },
    Permission { id: "workflows:write", allows: "change the workflows that test and deploy" },
    Permission { id: "repository_creation:write", allows: "create repositories" },
    Permission {
        id: "administration:write",
        allows: "change settings, protect branches, manage collaborators, delete repositories",
    },
    Permission { id: "vulnerability_alerts:read", allows: "see alerts about unsafe dependencies" },
    Permission { id: "pull_requests:read", allows: "read pull requests and their reviews" },
    Permission { id: "pull_requests:write", allows: "open, change and review pull requests" },
    Permission { id: "checks:read", allows: "see whether the checks of a commit passed" },
    Permission { id: "statuses:read", allows: "see the results that other services reported" },
    Permission { id: "issues:read", allows: "read issues, their comments and labels" },
    Permission { id: "issues:write", allows: "open, change and comment on issues" },
    Permission { id: "actions:read", allows: "see workflow runs and why they failed" },
    Permission { id: "actions:write", allows: "start, repeat and cancel workflow runs" },
    Permission { id: "secrets:read", allows: "see the names of workflow secrets" },
    Permission { id: "secrets:write", allows: "set workflow secrets" },
    Permission { id: "actions_variables:write", allows: "set workflow variables" },
    Permission { id: "repo", allows: "everything in your repositories (classic token)" },
    Permission {
        id: "public_repo",
        allows: "everything in your public repositories (classic token)",
    },
    Permission { id: "workflow", allows: "change workflow files (classic token)" },
    Permission { id: "delete_repo", allows: "delete your repositories (classic token)" },
    Permission { id: "security_events", allows: "see security alerts (classic token)" },
];

#[cfg(test)]
mod tests {
    use resto_core::least;

    use super::*;
    use crate::adapter;

    #[test]
    fn the_token_page_is_filled_in_with_exactly_what_all_actions_need() {
        let pairs = CREATE_TOKEN.split('&').skip(2).filter_map(|pair| pair.split_once('='));
        let asked: Vec<String> = pairs.map(|(name, level)| format!("{name}:{level}")).collect();
        let adapter = adapter();
        let first_sets = adapter.actions().iter().filter_map(|action| action.permissions.first());
        let mut needed = least(first_sets.flat_map(|set| set.iter().copied()));
        // The page has no boxes for these.
        needed.retain(|right| !["checks:read", "repository_creation:write"].contains(right));
        assert_eq!(asked, needed);
    }
}
