//! Pull requests: listing, opening and changing them.

use resto_core::{Action, Api, Code, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes::given;
use crate::labels::LabelName;
use crate::people::Login;
use crate::permissions::{PULL_REQUESTS_READ, PULL_REQUESTS_WRITE};
use crate::repos::Repo;
use crate::states::{Listed, State};

/// One end of a pull request.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct End {
    /// `owner:branch`.
    #[serde(default)]
    pub label: Option<String>,
    /// The branch.
    #[serde(rename(deserialize = "ref"))]
    pub branch: String,
    /// Its newest commit.
    pub sha: String,
}

/// A pull request.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// What it is about.
    pub title: String,
    /// `open` or `closed`.
    pub state: String,
    /// Whether it is not ready for review.
    #[serde(default)]
    pub draft: bool,
    /// Who opened it.
    #[serde(default, rename(deserialize = "user"))]
    pub author: Option<Login>,
    /// The changes.
    pub head: End,
    /// Where they are to go.
    pub base: End,
    /// Its labels.
    #[serde(default)]
    pub labels: Vec<LabelName>,
    /// Its page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
    /// When it was opened.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// When it was merged.
    #[serde(default)]
    pub merged_at: Option<String>,
}

/// Lists a repository's pull requests, last changed first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListPullRequests {
    #[serde(flatten)]
    at: Repo,
    /// Default open.
    state: Option<Listed>,
    /// As `owner:branch`.
    head: Option<String>,
    base: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListPullRequests {
    const NAME: &'static str = "list_pull_requests";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "open PRs",
        "pending code reviews",
        "changes waiting to be merged",
        "all open pull requests",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PULL_REQUESTS_READ;
    type Output = Page<PullRequest>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<PullRequest>> {
        // https://docs.github.com/rest/pulls/pulls#list-pull-requests
        api.get("/repos/{}/{}/pulls", &[&self.at.owner, &self.at.repo])
            .query("state", self.state)
            .query("head", self.head)
            .query("base", self.base)
            .query("sort", "updated")
            .query("direction", "desc")
            .page(&self.page)
            .list()
            .await
    }
}

/// A pull request that was opened, or was open before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CreatedPullRequest {
    #[serde(flatten)]
    pub(crate) pull_request: PullRequest,
    /// Whether an open one for the same branches was found instead; it keeps its own text.
    already_existed: bool,
}

/// Opens a pull request; reviewers and watchers are notified. An open one for the same branches is returned instead.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreatePullRequest {
    #[serde(flatten)]
    pub(crate) at: Repo,
    pub(crate) title: String,
    /// `owner:branch` if in a fork.
    pub(crate) head: String,
    pub(crate) base: String,
    /// Markdown.
    pub(crate) body: Option<String>,
    pub(crate) draft: Option<bool>,
}

impl CreatePullRequest {
    async fn existing(&self, api: &Api) -> Result<Option<PullRequest>> {
        let head = if self.head.contains(':') {
            self.head.clone()
        } else {
            format!("{}:{}", self.at.owner, self.head)
        };
        let page: Page<PullRequest> = api
            .get("/repos/{}/{}/pulls", &[&self.at.owner, &self.at.repo])
            .query("state", "open")
            .query("head", head)
            .query("base", &self.base)
            .list()
            .await?;
        Ok(page.items.into_iter().next())
    }
}

impl Action for CreatePullRequest {
    const NAME: &'static str = "create_pull_request";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "open a PR",
        "submit changes for review",
        "merge request",
        "propose a change",
        "Pull Request öffnen",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PULL_REQUESTS_WRITE;
    type Output = CreatedPullRequest;

    /// One that is open already, from somebody else's fork, has their title.
    fn tells_outsiders(&self) -> bool {
        let owner = self.head.split_once(':').map(|(owner, _)| owner);
        owner.is_some_and(|owner| !owner.eq_ignore_ascii_case(&self.at.owner))
    }

    async fn run(self, api: &Api) -> Result<CreatedPullRequest> {
        // https://docs.github.com/rest/pulls/pulls#create-a-pull-request
        let created = api
            .post("/repos/{}/{}/pulls", &[&self.at.owner, &self.at.repo])
            .fields(json!({
                "title": self.title,
                "head": self.head,
                "base": self.base,
                "body": self.body,
                "draft": self.draft,
            }))
            .send()
            .await;
        match created {
            Ok(pull_request) => Ok(CreatedPullRequest { pull_request, already_existed: false }),
            // There is at most one open for two branches: found is as good as created.
            Err(error) if matches!(error.code(), Code::Conflict | Code::UnknownOutcome) => {
                match self.existing(api).await {
                    Ok(Some(pull_request)) => {
                        Ok(CreatedPullRequest { pull_request, already_existed: true })
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Changes, closes or reopens a pull request; what is left out stays. Cannot turn a draft into a ready one.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdatePullRequest {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    title: Option<String>,
    /// Markdown.
    body: Option<String>,
    state: Option<State>,
    base: Option<String>,
}

impl Action for UpdatePullRequest {
    const NAME: &'static str = "update_pull_request";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "close a PR",
        "edit the title or description of a pull request",
        "reopen",
        "change the base branch",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PULL_REQUESTS_WRITE;
    type Output = PullRequest;

    /// The branch may be one that a stranger named.
    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<PullRequest> {
        let changes = given(json!({
            "title": self.title,
            "body": self.body,
            "state": self.state,
            "base": self.base,
        }))?;
        // https://docs.github.com/rest/pulls/pulls#update-a-pull-request
        api.patch("/repos/{}/{}/pulls/{}", &[&self.at.owner, &self.at.repo, &self.number])
            .fields(changes)
            .send()
            .await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    const PULLS: &str = "/repos/octocat/hello/pulls";

    /// A pull request as GitHub answers it, trimmed.
    pub(crate) fn pull(number: u64) -> Value {
        json!({
            "id": 200 + number, "node_id": "x", "number": number, "title": "Sharpen the logo", "state": "open",
            "draft": false, "body": "Larger now.", "user": {"login": "octocat", "id": 1},
            "labels": [{"id": 1, "name": "design", "color": "d73a4a"}],
            "head": {"label": "octocat:logo", "ref": "logo", "sha": "aaa111", "user": {"login": "octocat"}},
            "base": {"label": "octocat:main", "ref": "main", "sha": "bbb222", "user": {"login": "octocat"}},
            "html_url": format!("https://github.com/octocat/hello/pull/{number}"),
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z", "merged_at": null,
        })
    }

    #[tokio::test]
    async fn lists_pull_requests_last_changed_first() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", PULLS, 200, json!([pull(3)]));
        let page = fake
            .run::<ListPullRequests>(
                json!({"owner": "octocat", "repo": "hello", "state": "closed", "base": "main"}),
            )
            .await
            .unwrap();
        assert_eq!(
            page["items"][0],
            json!({
                "number": 3, "title": "Sharpen the logo", "state": "open", "draft": false, "author": "octocat",
                "head": {"label": "octocat:logo", "branch": "logo", "sha": "aaa111"},
                "base": {"label": "octocat:main", "branch": "main", "sha": "bbb222"},
                "labels": ["design"], "url": "https://github.com/octocat/hello/pull/3",
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z",
            })
        );
        let query = &fake.requests().await[0].query;
        assert_eq!(
            (query["state"].as_str(), query["base"].as_str(), query["direction"].as_str()),
            ("closed", "main", "desc")
        );
        assert!(!query.contains_key("head"));
    }

    fn opening() -> Value {
        json!({"owner": "octocat", "repo": "hello", "title": "Sharpen the logo", "head": "logo", "base": "main"})
    }

    #[tokio::test]
    async fn opens_a_pull_request() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", PULLS, 201, pull(3));
        let opened = fake.run::<CreatePullRequest>(opening()).await.unwrap();
        assert_eq!((&opened["number"], &opened["already_existed"]), (&json!(3), &json!(false)));
        assert_eq!(
            fake.requests().await[0].body,
            json!({"title": "Sharpen the logo", "head": "logo", "base": "main"})
        );
    }

    #[tokio::test]
    async fn returns_the_one_that_is_open_already() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", PULLS, 422, json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for octocat:logo."}]}))
            .on("GET", PULLS, 200, json!([pull(3)]));
        let found = fake.run::<CreatePullRequest>(opening()).await.unwrap();
        assert_eq!((&found["number"], &found["already_existed"]), (&json!(3), &json!(true)));
        let requests = fake.requests().await;
        assert_eq!(requests.len(), 2);
        let query = &requests[1].query;
        assert_eq!(
            (query["head"].as_str(), query["base"].as_str(), query["state"].as_str()),
            ("octocat:logo", "main", "open")
        );
    }

    #[test]
    fn d7_one_that_is_open_already_may_have_the_title_of_a_stranger() {
        let adapter = crate::adapter();
        let tool = "github_create_pull_request";
        let action = adapter.actions().iter().find(|action| action.tool == tool).unwrap();
        for (head, marked) in [("logo", false), ("Octocat:logo", false), ("mallory:logo", true)] {
            let mut arguments = opening();
            arguments["head"] = head.into();
            assert_eq!((action.outsiders)(&arguments), marked, "{head}");
        }
    }

    #[tokio::test]
    async fn finds_the_one_whose_answer_was_lost() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", PULLS, 502, json!({"message": "Server Error"}))
            .on("GET", PULLS, 200, json!([pull(3)]));
        let found = fake.run::<CreatePullRequest>(opening()).await.unwrap();
        assert_eq!(found["already_existed"], true);
        let sent: Vec<String> =
            fake.requests().await.into_iter().map(|request| request.method).collect();
        assert_eq!(sent, ["POST", "GET"]);
    }

    #[tokio::test]
    async fn an_answer_that_was_lost_stays_unknown_when_none_is_open() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", PULLS, 502, json!({"message": "Server Error"}))
            .on("GET", PULLS, 200, json!([]));
        let error = fake.run::<CreatePullRequest>(opening()).await.unwrap_err();
        assert_eq!(error.code(), Code::UnknownOutcome);
    }

    #[tokio::test]
    async fn says_that_there_is_nothing_to_merge() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", PULLS, 422, json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": "No commits between main and logo"}]}));
        let error = fake.run::<CreatePullRequest>(opening()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("No commits between main and logo"), "{error}");
    }

    #[tokio::test]
    async fn closes_a_pull_request_and_changes_nothing_else() {
        let mut closed = pull(3);
        closed["state"] = "closed".into();
        let fake =
            FakeApi::new(&GITHUB).await.on("PATCH", "/repos/octocat/hello/pulls/3", 200, closed);
        let updated = fake
            .run::<UpdatePullRequest>(
                json!({"owner": "octocat", "repo": "hello", "number": 3, "state": "closed"}),
            )
            .await
            .unwrap();
        assert_eq!(updated["state"], "closed");
        assert_eq!(fake.requests().await[0].body, json!({"state": "closed"}));
    }

    #[tokio::test]
    async fn refuses_an_update_that_changes_nothing() {
        let fake = FakeApi::new(&GITHUB).await;
        let error = fake
            .run::<UpdatePullRequest>(json!({"owner": "octocat", "repo": "hello", "number": 3}))
            .await
            .unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 0));
    }
}
