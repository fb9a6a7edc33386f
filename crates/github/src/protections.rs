//! Protections: what must hold before a branch changes.

use resto_core::{Action, Api, Code, Error, GitRef, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::ADMINISTRATION_WRITE;
use crate::repos::Repo;

/// Protects a branch: reviews, checks, no force pushes. Replaces all earlier protection of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own at GitHub")]
pub struct ProtectBranch {
    #[serde(flatten)]
    at: Repo,
    branch: GitRef,
    /// 0 asks for a pull request only. The next two need it.
    #[schemars(range(max = 6))]
    required_approvals: Option<u8>,
    #[serde(default)]
    dismiss_stale_approvals: bool,
    #[serde(default)]
    require_code_owners: bool,
    /// Names of checks that must pass.
    #[serde(default)]
    required_checks: Vec<String>,
    /// Needs `required_checks`.
    #[serde(default)]
    require_up_to_date: bool,
    #[serde(default)]
    include_administrators: bool,
    #[serde(default)]
    require_linear_history: bool,
    #[serde(default)]
    require_resolved_conversations: bool,
}

/// What protects a branch now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Protection {
    /// The branch.
    pub branch: String,
    /// Approvals that a pull request needs; absent if none is asked for.
    pub required_approvals: Option<u64>,
    /// Checks that must pass.
    pub required_checks: Vec<String>,
    /// Whether administrators are bound too.
    pub include_administrators: bool,
    /// Whether it may be force-pushed.
    pub allow_force_pushes: bool,
    /// Whether it may be deleted.
    pub allow_deletions: bool,
}

#[derive(Deserialize)]
struct Answer {
    required_status_checks: Option<Checks>,
    required_pull_request_reviews: Option<Reviews>,
    #[serde(default)]
    enforce_admins: Switch,
    #[serde(default)]
    allow_force_pushes: Switch,
    #[serde(default)]
    allow_deletions: Switch,
}

#[derive(Deserialize)]
struct Checks {
    contexts: Vec<String>,
}

#[derive(Deserialize)]
struct Reviews {
    #[serde(default)]
    required_approving_review_count: u64,
}

#[derive(Default, Deserialize)]
struct Switch {
    #[serde(default)]
    enabled: bool,
}

impl Action for ProtectBranch {
    const NAME: &'static str = "protect_branch";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "require code review before merging",
        "no direct pushes to main",
        "forbid force push",
        "branch rules",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ADMINISTRATION_WRITE;
    type Output = Protection;

    async fn run(self, api: &Api) -> Result<Protection> {
        let reviews = self.required_approvals.map(|count| {
            json!({
                "required_approving_review_count": count,
                "dismiss_stale_reviews": self.dismiss_stale_approvals,
                "require_code_owner_reviews": self.require_code_owners,
            })
        });
        if reviews.is_none() && (self.dismiss_stale_approvals || self.require_code_owners) {
            return Err(needs("required_approvals"));
        }
        let checks = (!self.required_checks.is_empty())
            .then(|| json!({"strict": self.require_up_to_date, "contexts": self.required_checks}));
        if checks.is_none() && self.require_up_to_date {
            return Err(needs("required_checks"));
        }
        // Members that are null switch a rule off, and must be there.
        // https://docs.github.com/rest/branches/branch-protection#update-branch-protection
        let answer: Answer = api
            .put(
                "/repos/{}/{}/branches/{}/protection",
                &[&self.at.owner, &self.at.repo, &self.branch],
            )
            .json(&json!({
                "required_pull_request_reviews": reviews,
                "required_status_checks": checks,
                "enforce_admins": self.include_administrators,
                "restrictions": null,
                "required_linear_history": self.require_linear_history,
                "required_conversation_resolution": self.require_resolved_conversations,
                "allow_force_pushes": false,
                "allow_deletions": false,
            }))
            .send()
            .await
            .map_err(paid_plan)?;
        Ok(Protection {
            branch: self.branch.0,
            required_approvals: answer
                .required_pull_request_reviews
                .map(|reviews| reviews.required_approving_review_count),
            required_checks: answer
                .required_status_checks
                .map(|checks| checks.contexts)
                .unwrap_or_default(),
            include_administrators: answer.enforce_admins.enabled,
            allow_force_pushes: answer.allow_force_pushes.enabled,
            allow_deletions: answer.allow_deletions.enabled,
        })
    }
}

fn needs(field: &str) -> Error {
    Error::invalid(
        field,
        format!("invalid input: what was asked for needs `{field}`. Nothing was sent."),
    )
}

/// A free plan protects branches of public repositories only; GitHub answers 403.
fn paid_plan(error: Error) -> Error {
    if !error.message().contains("Upgrade to GitHub") {
        return error;
    }
    Error::new(
        Code::PaymentRequired,
        "GitHub protects branches of private repositories on paid plans only. Upgrade the plan, or make the repository public. Nothing was changed.",
    )
    .url("https://github.com/pricing")
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GITHUB;

    const PATH: &str = "/repos/o/r/branches/release%2F1/protection";

    fn arguments(more: Value) -> Value {
        let mut arguments = json!({"owner": "o", "repo": "r", "branch": "release/1"});
        if let Value::Object(more) = more {
            arguments.as_object_mut().unwrap().extend(more);
        }
        arguments
    }

    #[tokio::test]
    async fn asks_for_reviews_and_checks() {
        let answer = json!({"url": "u",
            "required_status_checks": {"strict": true, "contexts": ["test"]},
            "required_pull_request_reviews": {"required_approving_review_count": 2},
            "enforce_admins": {"enabled": false, "url": "u"},
            "allow_force_pushes": {"enabled": false}, "allow_deletions": {"enabled": false}});
        let fake = FakeApi::new(&GITHUB).await.on("PUT", PATH, 200, answer);
        let more = json!({"required_approvals": 2, "required_checks": ["test"], "require_up_to_date": true});
        let protection = fake.run::<ProtectBranch>(arguments(more)).await.unwrap();
        assert_eq!(
            protection,
            json!({"branch": "release/1", "required_approvals": 2, "required_checks": ["test"],
                   "include_administrators": false, "allow_force_pushes": false, "allow_deletions": false})
        );
        let sent = &fake.requests().await[0].body;
        assert_eq!(
            sent["required_pull_request_reviews"],
            json!({"required_approving_review_count": 2, "dismiss_stale_reviews": false, "require_code_owner_reviews": false})
        );
        assert_eq!(sent["required_status_checks"], json!({"strict": true, "contexts": ["test"]}));
    }

    #[tokio::test]
    async fn rules_that_are_not_asked_for_are_sent_as_null() {
        let fake = FakeApi::new(&GITHUB).await.on("PUT", PATH, 200, json!({"url": "u"}));
        let protection = fake.run::<ProtectBranch>(arguments(json!({}))).await.unwrap();
        assert_eq!(protection.get("required_approvals"), None);
        let sent = fake.requests().await[0].body.clone();
        let fields = sent.as_object().unwrap();
        for rule in ["required_pull_request_reviews", "required_status_checks", "restrictions"] {
            assert_eq!(fields.get(rule), Some(&Value::Null), "{rule}");
        }
        assert_eq!(fields["enforce_admins"], false);
    }

    #[tokio::test]
    async fn refuses_a_condition_without_its_rule() {
        let fake = FakeApi::new(&GITHUB).await;
        for more in [json!({"require_up_to_date": true}), json!({"require_code_owners": true})] {
            let error = fake.run::<ProtectBranch>(arguments(more)).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidInput);
        }
        assert!(fake.requests().await.is_empty());
    }

    #[tokio::test]
    async fn says_that_a_private_repository_needs_a_paid_plan() {
        let fake = FakeApi::new(&GITHUB).await.on_with(
            "PUT",
            PATH,
            403,
            &[("x-accepted-github-permissions", "administration=write")],
            json!({"message": "Upgrade to GitHub Pro or make this repository public to enable this feature."}),
        );
        let error = fake.run::<ProtectBranch>(arguments(json!({}))).await.unwrap_err();
        assert_eq!(error.code(), Code::PaymentRequired);
    }
}
