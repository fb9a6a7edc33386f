//! Reviews of pull requests.

use resto_core::{Action, Api, Error, Page, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::excerpts::Excerpt;
use crate::made::found;
use crate::people::Login;
use crate::permissions::PULL_REQUESTS_WRITE;
use crate::repos::Repo;

/// Reviews that are shown of one pull request.
const SHOWN: usize = 20;

/// A review.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    /// Stable id.
    pub id: u64,
    /// Who reviewed.
    #[serde(default, rename(deserialize = "user"))]
    pub author: Option<Login>,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `DISMISSED` or `PENDING`.
    pub state: String,
    /// At most 1,000 characters of its text.
    #[serde(default)]
    pub body: Option<Excerpt<1_000>>,
    /// The commit that was reviewed.
    #[serde(default, rename(deserialize = "commit_id"))]
    pub commit_sha: Option<String>,
    /// Its place on the page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
    /// When it was submitted.
    #[serde(default)]
    pub submitted_at: Option<String>,
}

/// The reviews of a pull request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reviews {
    /// The last 20 of the first 100, oldest first.
    items: Vec<Review>,
    /// Whether there are others.
    truncated: bool,
}

/// The reviews of the pull request with this number.
pub(crate) async fn of(api: &Api, at: &Repo, number: u64) -> Result<Reviews> {
    // https://docs.github.com/rest/pulls/reviews#list-reviews-for-a-pull-request
    let page: Page<Review> = api
        .get("/repos/{}/{}/pulls/{}/reviews", &[&at.owner, &at.repo, &number])
        .query("per_page", 100)
        .list()
        .await?;
    let mut items = page.items;
    let before = items.len().saturating_sub(SHOWN);
    items.drain(..before);
    Ok(Reviews { items, truncated: before > 0 || page.next_cursor.is_some() })
}

/// What the review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "SCREAMING_SNAKE_CASE"))]
enum Verdict {
    Approve,
    RequestChanges,
    Comment,
}

/// Before or after the change.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "SCREAMING_SNAKE_CASE"))]
enum DiffSide {
    Left,
    Right,
}

/// A comment on lines of the diff.
#[derive(Debug, Deserialize, JsonSchema)]
struct LineComment {
    path: String,
    /// In the diff; of several, the last.
    line: u32,
    /// Of several, the first.
    start_line: Option<u32>,
    /// `left`: as it was before. Default right.
    side: Option<DiffSide>,
    /// Markdown.
    body: String,
}

impl LineComment {
    fn to_json(&self) -> Value {
        let side = self.side.unwrap_or(DiffSide::Right);
        let mut comment =
            json!({"path": self.path, "line": self.line, "side": side, "body": self.body});
        if let (Some(first), Value::Object(fields)) = (self.start_line, &mut comment) {
            fields.insert("start_line".into(), first.into());
            fields.insert("start_side".into(), json!(side));
        }
        comment
    }
}

/// Reviews a pull request: approves it, asks for changes or comments; its author is notified.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReviewPullRequest {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    /// Nobody can approve their own.
    verdict: Verdict,
    /// Markdown; needed to request changes.
    body: Option<String>,
    comments: Option<Vec<LineComment>>,
    /// The commit that was read.
    commit_sha: Option<String>,
}

impl Action for ReviewPullRequest {
    const NAME: &'static str = "review_pull_request";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "approve a PR",
        "request changes",
        "code review comment",
        "give feedback on a pull request",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PULL_REQUESTS_WRITE;
    type Output = Review;

    async fn run(self, api: &Api) -> Result<Review> {
        let has_body = self.body.as_ref().is_some_and(|body| !body.trim().is_empty());
        let has_comments = self.comments.as_ref().is_some_and(|comments| !comments.is_empty());
        let wants_body = match self.verdict {
            Verdict::Approve => false,
            Verdict::RequestChanges => true,
            Verdict::Comment => !has_comments,
        };
        if wants_body && !has_body {
            return Err(Error::invalid(
                "body",
                "invalid input: this review needs a `body`. Nothing was sent.",
            ));
        }
        let comments: Option<Vec<Value>> =
            self.comments.as_ref().map(|all| all.iter().map(LineComment::to_json).collect());
        // https://docs.github.com/rest/pulls/reviews#create-a-review-for-a-pull-request
        api.post("/repos/{}/{}/pulls/{}/reviews", &[&self.at.owner, &self.at.repo, &self.number])
            .fields(json!({
                "event": self.verdict,
                "body": self.body,
                "comments": comments,
                "commit_id": self.commit_sha,
            }))
            .send_or_find(|| self.find(api))
            .await
    }
}

impl ReviewPullRequest {
    /// The review whose answer was lost.
    async fn find(&self, api: &Api) -> Result<Option<Review>> {
        let page: Page<Value> = api
            .get("/repos/{}/{}/pulls/{}/reviews", &[&self.at.owner, &self.at.repo, &self.number])
            .query("per_page", 100)
            .list()
            .await?;
        let state = match self.verdict {
            Verdict::Approve => "APPROVED",
            Verdict::RequestChanges => "CHANGES_REQUESTED",
            Verdict::Comment => "COMMENTED",
        };
        let text = self.body.as_deref();
        let is_of_commit = |one: &Value| {
            self.commit_sha
                .as_deref()
                .is_none_or(|sha| one.get("commit_id").and_then(Value::as_str) == Some(sha))
        };
        let of_commit = page.items.into_iter().rev().filter(is_of_commit);
        let mut newest = of_commit.filter_map(|one| found(api, one, "submitted_at", text));
        Ok(newest.find(|review: &Review| review.state == state))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    const REVIEWS: &str = "/repos/octocat/hello/pulls/3/reviews";

    /// A review as GitHub answers it, trimmed.
    pub(crate) fn review(id: u64, state: &str) -> Value {
        json!({
            "id": id, "node_id": "x", "user": {"login": "hubot", "id": 2}, "body": "Fine.", "state": state,
            "html_url": format!("https://github.com/octocat/hello/pull/3#pullrequestreview-{id}"),
            "submitted_at": "2026-01-02T00:00:00Z", "commit_id": "aaa111", "author_association": "MEMBER",
        })
    }

    fn asked(more: &Value) -> Value {
        let mut asked = json!({"owner": "octocat", "repo": "hello", "number": 3});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    }

    #[tokio::test]
    async fn approves() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", REVIEWS, 200, review(9, "APPROVED"));
        let written =
            fake.run::<ReviewPullRequest>(asked(&json!({"verdict": "approve"}))).await.unwrap();
        assert_eq!(
            written,
            json!({
                "id": 9, "author": "hubot", "state": "APPROVED", "body": {"text": "Fine.", "truncated": false},
                "commit_sha": "aaa111", "url": "https://github.com/octocat/hello/pull/3#pullrequestreview-9",
                "submitted_at": "2026-01-02T00:00:00Z",
            })
        );
        assert_eq!(fake.requests().await[0].body, json!({"event": "APPROVE"}));
    }

    #[tokio::test]
    async fn requests_changes_on_lines() {
        let fake =
            FakeApi::new(&GITHUB).await.on("POST", REVIEWS, 200, review(9, "CHANGES_REQUESTED"));
        fake.run::<ReviewPullRequest>(asked(&json!({
            "verdict": "request_changes", "body": "Two things.", "commit_sha": "aaa111",
            "comments": [
                {"path": "logo.svg", "line": 4, "body": "Why?"},
                {"path": "logo.svg", "line": 9, "start_line": 7, "side": "left", "body": "Keep these."},
            ],
        })))
        .await
        .unwrap();
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "event": "REQUEST_CHANGES", "body": "Two things.", "commit_id": "aaa111",
                "comments": [
                    {"path": "logo.svg", "line": 4, "side": "RIGHT", "body": "Why?"},
                    {"path": "logo.svg", "line": 9, "side": "LEFT", "body": "Keep these.", "start_line": 7, "start_side": "LEFT"},
                ],
            })
        );
    }

    #[tokio::test]
    async fn refuses_a_review_that_says_nothing() {
        let fake = FakeApi::new(&GITHUB).await;
        for verdict in ["request_changes", "comment"] {
            let error = fake
                .run::<ReviewPullRequest>(asked(&json!({"verdict": verdict, "body": " "})))
                .await
                .unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("body"));
        }
        assert!(fake.requests().await.is_empty());
    }

    #[tokio::test]
    async fn says_that_nobody_approves_their_own() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", REVIEWS, 422, json!({"message": "Unprocessable Entity", "errors": ["Can not approve your own pull request"]}));
        let error =
            fake.run::<ReviewPullRequest>(asked(&json!({"verdict": "approve"}))).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("Can not approve your own pull request"), "{error}");
    }

    #[tokio::test]
    async fn keeps_the_last_reviews_of_many() {
        let many: Vec<Value> = (1..=25).map(|id| review(id, "COMMENTED")).collect();
        let fake = FakeApi::new(&GITHUB).await.on("GET", REVIEWS, 200, many);
        let at = Repo { owner: "octocat".into(), repo: "hello".into() };
        let reviews = of(&fake.api(Risk::Read), &at, 3).await.unwrap();
        assert_eq!((reviews.items.len(), reviews.items[0].id, reviews.truncated), (20, 6, true));
    }
}
