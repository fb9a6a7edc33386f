//! One issue with its comments, and commenting. Pull requests have their conversation here too.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::excerpts::Excerpt;
use crate::issues::Issue;
use crate::made::{found, since};
use crate::people::Login;
use crate::permissions::{COMMENTS_WRITE, ISSUES_READ};
use crate::repos::Repo;

/// A comment on an issue or a pull request.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// Stable id.
    pub id: u64,
    /// Who wrote it.
    #[serde(default, rename(deserialize = "user"))]
    pub author: Option<Login>,
    /// At most 2,000 characters of its text.
    #[serde(default)]
    pub body: Option<Excerpt<2_000>>,
    /// Its place on the page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
    /// When it was written.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

/// An issue with its text and comments.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IssueDetails {
    #[serde(flatten)]
    with_body: IssueWithBody,
    /// Its comments, oldest first.
    comments: Page<Comment>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct IssueWithBody {
    #[serde(flatten)]
    issue: Issue,
    /// At most 8,000 characters of its text.
    #[serde(default)]
    body: Option<Excerpt<8_000>>,
}

/// Gets an issue with its comments; for a pull request's number, its conversation.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetIssue {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    // The page is one of its comments.
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for GetIssue {
    const NAME: &'static str = "get_issue";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "read a ticket and its comments",
        "show one bug",
        "details of an issue",
        "what people say on an issue",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_READ;
    type Output = IssueDetails;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<IssueDetails> {
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/issues/issues#get-an-issue
        let with_body =
            api.get("/repos/{}/{}/issues/{}", &[owner, repo, &self.number]).send().await?;
        // https://docs.github.com/rest/issues/comments#list-issue-comments
        let comments = api
            .get("/repos/{}/{}/issues/{}/comments", &[owner, repo, &self.number])
            .page(&self.page)
            .list()
            .await?;
        Ok(IssueDetails { with_body, comments })
    }
}

/// Comments on an issue or a pull request; its participants are notified.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CommentIssue {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    /// Markdown.
    body: String,
}

impl Action for CommentIssue {
    const NAME: &'static str = "comment_issue";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "reply to a ticket",
        "write a comment on an issue or pull request",
        "respond to a bug report",
        "Ticket kommentieren",
        "commenter un ticket",
        "comentar un ticket",
        "answer a bug report on GitHub",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = COMMENTS_WRITE;
    type Output = Comment;

    async fn run(self, api: &Api) -> Result<Comment> {
        // https://docs.github.com/rest/issues/comments#create-an-issue-comment
        api.post("/repos/{}/{}/issues/{}/comments", &[&self.at.owner, &self.at.repo, &self.number])
            .json(&json!({"body": self.body}))
            .send_or_find(|| self.find(api))
            .await
    }
}

impl CommentIssue {
    /// The comment whose answer was lost.
    async fn find(&self, api: &Api) -> Result<Option<Comment>> {
        let newest: Page<Value> = api
            .get("/repos/{}/{}/issues/{}/comments", &[&self.at.owner, &self.at.repo, &self.number])
            .query("since", since(api))
            .query("per_page", 100)
            .list()
            .await?;
        let mut newest = newest.items.into_iter();
        Ok(newest.find_map(|one| found(api, one, "created_at", Some(&self.body))))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;
    use crate::issues::tests::{issue, pull};

    const ISSUE: &str = "/repos/octocat/hello/issues/7";
    const COMMENTS: &str = "/repos/octocat/hello/issues/7/comments";

    fn comment(body: &str) -> Value {
        json!({
            "id": 5, "node_id": "x", "user": {"login": "hubot"}, "body": body,
            "html_url": "https://github.com/octocat/hello/issues/7#issuecomment-5",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        })
    }

    #[tokio::test]
    async fn gets_an_issue_with_its_comments_cut() {
        let long = "ä".repeat(2_001);
        let fake = FakeApi::new(&GITHUB).await.on("GET", ISSUE, 200, issue(7)).on_with(
            "GET",
            COMMENTS,
            200,
            &[("link", "<https://api.github.com/x?page=2>; rel=\"next\"")],
            json!([comment("Mine too."), comment(&long)]),
        );
        let found = fake
            .run::<GetIssue>(json!({"owner": "octocat", "repo": "hello", "number": 7, "limit": 2}))
            .await
            .unwrap();
        assert_eq!(found["number"], 7);
        assert_eq!(found["body"], json!({"text": "See the page.", "truncated": false}));
        let comments = &found["comments"];
        assert_eq!(comments["next_cursor"], "page=2");
        assert_eq!(comments["items"][0]["author"], "hubot");
        assert_eq!(comments["items"][0]["body"]["truncated"], false);
        assert_eq!(comments["items"][1]["body"]["truncated"], true);
        assert_eq!(comments["items"][1]["body"]["text"].as_str().unwrap().chars().count(), 2_000);
        assert_eq!(fake.requests().await[1].query["per_page"], "2");
    }

    #[tokio::test]
    async fn tells_that_a_number_is_a_pull_request() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", ISSUE, 200, pull(7)).on(
            "GET",
            COMMENTS,
            200,
            json!([]),
        );
        let found = fake
            .run::<GetIssue>(json!({"owner": "octocat", "repo": "hello", "number": 7}))
            .await
            .unwrap();
        assert_eq!(found["is_pull_request"], true);
    }

    #[tokio::test]
    async fn says_that_an_issue_was_deleted() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            ISSUE,
            410,
            json!({"message": "This issue was deleted"}),
        );
        let error = fake
            .run::<GetIssue>(json!({"owner": "octocat", "repo": "hello", "number": 7}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("This issue was deleted"), "{error}");
    }

    #[tokio::test]
    async fn comments_on_an_issue() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", COMMENTS, 201, comment("On it."));
        let written = fake
            .run::<CommentIssue>(
                json!({"owner": "octocat", "repo": "hello", "number": 7, "body": "On it."}),
            )
            .await
            .unwrap();
        assert_eq!(written["url"], "https://github.com/octocat/hello/issues/7#issuecomment-5");
        assert_eq!(fake.requests().await[0].body, json!({"body": "On it."}));
    }
}
