//! One pull request with its files, reviews and checks.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks::{self, Checks};
use crate::excerpts::Excerpt;
use crate::people::Login;
use crate::permissions::PULL_REQUESTS_AND_CHECKS_READ;
use crate::pulls::PullRequest;
use crate::repos::Repo;
use crate::reviews::{self, Reviews};

/// Whether a pull request can be merged without conflicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", from = "Option<bool>")]
enum Mergeable {
    Yes,
    No,
    /// GitHub is still computing it.
    #[default]
    Unknown,
}

impl From<Option<bool>> for Mergeable {
    fn from(answer: Option<bool>) -> Self {
        match answer {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

/// A pull request as it stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Standing {
    #[serde(flatten)]
    pull_request: PullRequest,
    /// At most 8,000 characters of its text.
    #[serde(default)]
    body: Option<Excerpt<8_000>>,
    /// Whether it is merged.
    merged: bool,
    /// Whether it merges without conflicts; `unknown` while GitHub computes it: ask again later.
    #[serde(default)]
    mergeable: Mergeable,
    /// What stands in the way: `clean` is nothing; `dirty` conflicts, `blocked` reviews or checks.
    #[serde(default)]
    mergeable_state: Option<String>,
    /// Who was asked to review it.
    #[serde(default)]
    requested_reviewers: Vec<Login>,
    /// How many commits it has.
    commits: u64,
    /// Lines added.
    additions: u64,
    /// Lines removed.
    deletions: u64,
    /// How many files it changes.
    changed_files: u64,
}

/// A file that a pull request changes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFile {
    /// Its path.
    #[serde(rename(deserialize = "filename"))]
    path: String,
    /// Its path before, if it was renamed.
    #[serde(default, rename(deserialize = "previous_filename"))]
    previous_path: Option<String>,
    /// `added`, `removed`, `modified`, `renamed`, ...
    status: String,
    /// Lines added.
    additions: u64,
    /// Lines removed.
    deletions: u64,
    /// At most 2,000 characters of its diff; absent if it is binary or too large for GitHub.
    #[serde(default)]
    patch: Option<Excerpt<2_000>>,
}

/// A pull request with its files, reviews and checks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PullRequestDetails {
    #[serde(flatten)]
    standing: Standing,
    /// The files that it changes.
    files: Page<ChangedFile>,
    /// Its reviews.
    reviews: Reviews,
    /// The checks of its newest commit.
    checks: Checks,
}

/// Gets a pull request with its reviews and checks, whether it can be merged, and its diff by pages of files.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetPullRequest {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    // The page is one of its files.
    #[serde(flatten)]
    page: PageRequest,
}

impl GetPullRequest {
    async fn standing(&self, api: &Api) -> Result<Standing> {
        // https://docs.github.com/rest/pulls/pulls#get-a-pull-request
        api.get("/repos/{}/{}/pulls/{}", &[&self.at.owner, &self.at.repo, &self.number])
            .send()
            .await
    }
}

impl Action for GetPullRequest {
    const NAME: &'static str = "get_pull_request";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "show one PR",
        "is it mergeable",
        "review status and checks of a pull request",
        "see the diff of a PR",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PULL_REQUESTS_AND_CHECKS_READ;
    type Output = PullRequestDetails;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<PullRequestDetails> {
        let mut standing = self.standing(api).await?;
        // https://docs.github.com/rest/pulls/pulls#list-pull-requests-files
        let files = api
            .get("/repos/{}/{}/pulls/{}/files", &[&self.at.owner, &self.at.repo, &self.number])
            .page(&self.page)
            .list();
        let (files, reviews, checks) = futures::try_join!(
            files,
            reviews::of(api, &self.at, self.number),
            checks::of(api, &self.at, &standing.pull_request.head.sha),
        )?;
        // The first read makes GitHub compute it; meanwhile the others took their time.
        if standing.mergeable == Mergeable::Unknown && !standing.merged {
            let again = self.standing(api).await?;
            if again.pull_request.head.sha == standing.pull_request.head.sha {
                standing = again;
            }
        }
        Ok(PullRequestDetails { standing, files, reviews, checks })
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;
    use crate::pulls::tests::pull;
    use crate::reviews::tests::review;

    const PULL: &str = "/repos/octocat/hello/pulls/3";

    fn standing(mergeable: Option<bool>) -> Value {
        let mut standing = pull(3);
        standing.as_object_mut().unwrap().extend(
            json!({
                "merged": false, "mergeable": mergeable, "mergeable_state": if mergeable.is_some() { "clean" } else { "unknown" },
                "requested_reviewers": [{"login": "hubot"}], "comments": 1, "review_comments": 0,
                "commits": 2, "additions": 10, "deletions": 4, "changed_files": 2,
            })
            .as_object()
            .unwrap()
            .clone(),
        );
        standing
    }

    async fn fake(answers: &[Option<bool>]) -> FakeApi {
        let mut fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/octocat/hello/pulls/3/files", 200, json!([
                {"sha": "f1", "filename": "logo.svg", "status": "modified", "additions": 9, "deletions": 4, "changes": 13, "patch": "@".repeat(2_001)},
                {"sha": "f2", "filename": "new.png", "previous_filename": "old.png", "status": "renamed", "additions": 0, "deletions": 0, "changes": 0},
            ]))
            .on("GET", "/repos/octocat/hello/pulls/3/reviews", 200, json!([review(9, "APPROVED")]))
            .on("GET", "/repos/octocat/hello/commits/aaa111/check-runs", 200, json!({"total_count": 1, "check_runs": [{"name": "test", "status": "completed", "conclusion": "success", "html_url": null}]}))
            .on("GET", "/repos/octocat/hello/commits/aaa111/status", 200, json!({"state": "pending", "statuses": [], "total_count": 0}));
        for answer in answers {
            fake = fake.on("GET", PULL, 200, standing(*answer));
        }
        fake
    }

    fn asked() -> Value {
        json!({"owner": "octocat", "repo": "hello", "number": 3, "limit": 2})
    }

    #[tokio::test]
    async fn gets_everything_needed_to_decide() {
        let fake = fake(&[Some(true)]).await;
        let found = fake.run::<GetPullRequest>(asked()).await.unwrap();
        assert_eq!(
            (&found["mergeable"], &found["mergeable_state"]),
            (&json!("yes"), &json!("clean"))
        );
        assert_eq!(found["head"]["sha"], "aaa111");
        assert_eq!(found["requested_reviewers"], json!(["hubot"]));
        assert_eq!(found["body"], json!({"text": "Larger now.", "truncated": false}));
        let files = &found["files"]["items"];
        assert_eq!(files[0]["patch"]["truncated"], true);
        assert_eq!(
            files[1],
            json!({"path": "new.png", "previous_path": "old.png", "status": "renamed", "additions": 0, "deletions": 0})
        );
        assert_eq!(found["reviews"]["items"][0]["state"], "APPROVED");
        assert_eq!(
            found["checks"],
            json!({"items": [{"name": "test", "status": "completed", "conclusion": "success"}], "truncated": false})
        );
        let requests = fake.requests().await;
        assert_eq!(requests.len(), 5);
        let of_files = requests.iter().find(|request| request.path.ends_with("/files")).unwrap();
        assert_eq!(of_files.query["per_page"], "2");
    }

    #[tokio::test]
    async fn reads_once_more_while_github_computes() {
        let fake = fake(&[None, Some(false)]).await;
        let found = fake.run::<GetPullRequest>(asked()).await.unwrap();
        assert_eq!(found["mergeable"], "no");
    }

    #[tokio::test]
    async fn says_unknown_when_github_is_not_done() {
        let fake = fake(&[None]).await;
        let found = fake.run::<GetPullRequest>(asked()).await.unwrap();
        assert_eq!(found["mergeable"], "unknown");
        let reads = fake.requests().await.iter().filter(|request| request.path == PULL).count();
        assert_eq!(reads, 2);
    }
}
