//! Search for issues and pull requests over many repositories.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::issues::Issue;
use crate::permissions::ISSUES_READ;

/// What to search for.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Issue,
    PullRequest,
}

/// Searches issues or pull requests in all repositories that the account sees; finds 1,000 at most.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchIssues {
    /// Words and qualifiers, such as `logo repo:octocat/hello is:open`.
    query: String,
    /// Default issue.
    kind: Option<Kind>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for SearchIssues {
    const NAME: &'static str = "search_issues";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "find tickets about a topic",
        "is there already a bug report",
        "search pull requests across repos",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_READ;
    type Output = Page<Issue>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<Issue>> {
        // Without one of these GitHub refuses the tokens of apps.
        let kind = match self.kind.unwrap_or_default() {
            Kind::Issue => "is:issue",
            Kind::PullRequest => "is:pull-request",
        };
        // AND binds tighter than OR.
        let query = if self.query.contains(" OR ") {
            format!("{kind} ({})", self.query)
        } else {
            format!("{kind} {}", self.query)
        };
        // https://docs.github.com/rest/search/search#search-issues-and-pull-requests
        api.get("/search/issues", &[]).query("q", query).page(&self.page).list_in("items").await
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::GITHUB;
    use crate::issues::tests::{issue, pull};

    #[tokio::test]
    async fn searches_issues_unless_told_otherwise() {
        let fake = FakeApi::new(&GITHUB).await.on_with(
            "GET",
            "/search/issues",
            200,
            &[("link", "<https://api.github.com/search/issues?q=x&page=2>; rel=\"next\"")],
            json!({"total_count": 40, "incomplete_results": false, "items": [issue(7)], "search_type": "lexical"}),
        );
        let page =
            fake.run::<SearchIssues>(json!({"query": "logo repo:octocat/hello"})).await.unwrap();
        assert_eq!(page["items"][0]["url"], "https://github.com/octocat/hello/issues/7");
        assert_eq!(page["next_cursor"], "page=2");
        assert_eq!(fake.requests().await[0].query["q"], "is:issue logo repo:octocat/hello");
    }

    #[tokio::test]
    async fn searches_pull_requests_and_keeps_alternatives_together() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            "/search/issues",
            200,
            json!({"total_count": 1, "incomplete_results": false, "items": [pull(8)]}),
        );
        let page = fake
            .run::<SearchIssues>(json!({"query": "logo OR icon", "kind": "pull_request"}))
            .await
            .unwrap();
        assert_eq!(page["items"][0]["is_pull_request"], true);
        assert_eq!(fake.requests().await[0].query["q"], "is:pull-request (logo OR icon)");
    }

    #[tokio::test]
    async fn says_what_is_wrong_with_a_query() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            "/search/issues",
            422,
            json!({"message": "Validation Failed", "errors": [{"message": "The listed repositories cannot be searched", "resource": "Search", "field": "q", "code": "invalid"}]}),
        );
        let error =
            fake.run::<SearchIssues>(json!({"query": "repo:octocat/nope"})).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("cannot be searched"), "{error}");
    }
}
