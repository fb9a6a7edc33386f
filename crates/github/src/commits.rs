//! Commits: the history of a branch, and what differs between two.

use resto_core::{Action, Api, GitRef, Page, PageRequest, PathSegments, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::branches::may_be_of_a_fork;
use crate::excerpts::Excerpt;
use crate::permissions::CONTENTS_READ;
use crate::repos::Repo;

/// Characters of all patches of one comparison.
const MAX_PATCHES: usize = 40_000;

/// A commit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Commit {
    /// Its id.
    pub sha: String,
    /// What changed, and why.
    pub message: Excerpt<1000>,
    /// Login of its author, or the name if the author has no account.
    pub author: Option<String>,
    /// When it was written.
    pub authored_at: Option<String>,
    /// Its page.
    pub url: String,
}

/// A commit as GitHub tells it. The account is `{}` where the address belongs to nobody.
#[derive(Deserialize)]
pub(crate) struct Answer {
    sha: String,
    html_url: String,
    commit: Git,
    author: Option<Account>,
}

#[derive(Deserialize)]
struct Git {
    message: String,
    author: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    name: Option<String>,
    date: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

impl From<Answer> for Commit {
    fn from(answer: Answer) -> Self {
        let (name, date) = match answer.commit.author {
            Some(signature) => (signature.name, signature.date),
            None => (None, None),
        };
        Self {
            sha: answer.sha,
            message: answer.commit.message.into(),
            author: answer.author.and_then(|account| account.login).or(name),
            authored_at: date,
            url: answer.html_url,
        }
    }
}

/// Lists the commits of a branch, the newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListCommits {
    #[serde(flatten)]
    at: Repo,
    /// Branch, tag or commit.
    r#ref: Option<GitRef>,
    /// A file or directory that they changed.
    path: Option<PathSegments>,
    /// Login or mail address.
    author: Option<String>,
    /// Such as `2026-01-31T00:00:00Z`.
    since: Option<String>,
    until: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListCommits {
    const NAME: &'static str = "list_commits";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["commit history", "recent changes to the code", "who changed what", "git log"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = Page<Commit>;

    fn tells_outsiders(&self) -> bool {
        self.r#ref.as_ref().is_some_and(may_be_of_a_fork)
    }

    async fn run(self, api: &Api) -> Result<Page<Commit>> {
        if !self.tells_outsiders() {
            self.at.note_outsiders(api).await?;
        }
        // https://docs.github.com/rest/commits/commits#list-commits
        let page: Page<Answer> = api
            .get("/repos/{}/{}/commits", &[&self.at.owner, &self.at.repo])
            .query("sha", &self.r#ref)
            .query("path", &self.path)
            .query("author", &self.author)
            .query("since", &self.since)
            .query("until", &self.until)
            .page(&self.page)
            .list()
            .await?;
        Ok(page.map(Commit::from))
    }
}

/// Compares two branches, tags or commits: the commits and file changes that `head` has on top.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CompareCommits {
    #[serde(flatten)]
    at: Repo,
    base: GitRef,
    head: GitRef,
}

/// What differs between two commits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    /// `identical`, `ahead`, `behind` or `diverged`.
    pub status: String,
    /// Commits that only the head has.
    pub ahead_by: u64,
    /// Commits that only the base has.
    pub behind_by: u64,
    /// The commits of the head alone, the oldest first, at most 100.
    pub commits: Vec<Commit>,
    /// The changed files, at most 300.
    pub files: Vec<ChangedFile>,
    /// Whether commits, files or parts of patches are left out.
    pub truncated: bool,
    /// Its page.
    pub url: String,
}

/// A file that changed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFile {
    /// From the root of the repository.
    #[serde(rename(deserialize = "filename"))]
    pub path: String,
    /// Path before it was renamed.
    #[serde(default, rename(deserialize = "previous_filename"))]
    pub previous_path: Option<String>,
    /// Such as `added`, `modified`, `removed` or `renamed`.
    pub status: String,
    /// Lines added.
    pub additions: u64,
    /// Lines removed.
    pub deletions: u64,
    /// The changed lines; absent for binary files and where they did not fit.
    #[serde(default)]
    pub patch: Option<String>,
}

impl Action for CompareCommits {
    const NAME: &'static str = "compare_commits";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "diff between branches",
        "changes since the last release",
        "difference between two versions",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = Comparison;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Comparison> {
        #[derive(Deserialize)]
        struct Compared {
            html_url: String,
            status: String,
            ahead_by: u64,
            behind_by: u64,
            total_commits: usize,
            commits: Vec<Answer>,
            #[serde(default)]
            files: Vec<ChangedFile>,
        }
        // https://docs.github.com/rest/commits/commits#compare-two-commits
        let mut compared: Compared = api
            .get(
                "/repos/{}/{}/compare/{}...{}",
                &[&self.at.owner, &self.at.repo, &self.base, &self.head],
            )
            .query("per_page", 100)
            .send()
            .await?;
        // GitHub lists 300 files, and does not say how many there are.
        let mut truncated =
            compared.total_commits > compared.commits.len() || compared.files.len() >= 300;
        let mut room = MAX_PATCHES;
        for file in &mut compared.files {
            let length = file.patch.as_deref().map_or(0, |patch| patch.chars().count());
            if length > room {
                file.patch = None;
                truncated = true;
            } else {
                room -= length;
            }
        }
        Ok(Comparison {
            status: compared.status,
            ahead_by: compared.ahead_by,
            behind_by: compared.behind_by,
            commits: compared.commits.into_iter().map(Commit::from).collect(),
            files: compared.files,
            truncated,
            url: compared.html_url,
        })
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;
    use crate::standing::tests::own;

    fn commit(author: &Value) -> Value {
        json!({"sha": "abc", "html_url": "https://github.com/o/r/commit/abc", "author": author,
               "commit": {"message": "Fix it", "author": {"name": "Mona", "email": "m@example.com", "date": "2026-01-01T00:00:00Z"}}})
    }

    #[tokio::test]
    async fn lists_the_commits_of_a_file() {
        let fake = own().await.on(
            "GET",
            "/repos/o/r/commits",
            200,
            json!([commit(&json!({"login": "mona"})), commit(&json!({})), commit(&Value::Null)]),
        );
        let page = fake
            .run::<ListCommits>(json!({"owner": "o", "repo": "r", "ref": "feat/x", "path": "src/a.rs", "since": "2026-01-01T00:00:00Z", "limit": 3}))
            .await
            .unwrap();
        assert_eq!(
            page["items"][0],
            json!({"sha": "abc", "message": {"text": "Fix it", "truncated": false}, "author": "mona",
                   "authored_at": "2026-01-01T00:00:00Z", "url": "https://github.com/o/r/commit/abc"})
        );
        assert_eq!(
            (&page["items"][1]["author"], &page["items"][2]["author"]),
            (&json!("Mona"), &json!("Mona"))
        );
        let query = &fake.requests().await[1].query;
        assert_eq!((query["sha"].as_str(), query["path"].as_str()), ("feat/x", "src/a.rs"));
        assert!(!query.contains_key("until"));
    }

    fn comparison(total: usize, patch: &str) -> Value {
        let file = |name: &str, patch: &str| json!({"filename": name, "status": "modified", "additions": 1, "deletions": 0, "changes": 1, "sha": "s", "patch": patch});
        json!({"html_url": "https://github.com/o/r/compare/main...v1", "status": "ahead", "ahead_by": total, "behind_by": 0,
               "total_commits": total, "commits": [commit(&Value::Null)], "files": [file("a", patch), file("b", "+b")]})
    }

    #[tokio::test]
    async fn compares_two_branches() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            "/repos/o/r/compare/main...feat%2Fx",
            200,
            comparison(1, "+a"),
        );
        let compared = fake
            .run::<CompareCommits>(
                json!({"owner": "o", "repo": "r", "base": "main", "head": "feat/x"}),
            )
            .await
            .unwrap();
        assert_eq!((&compared["ahead_by"], &compared["truncated"]), (&json!(1), &json!(false)));
        assert_eq!(
            compared["files"][0],
            json!({"path": "a", "status": "modified", "additions": 1, "deletions": 0, "patch": "+a"})
        );
    }

    #[tokio::test]
    async fn leaves_out_what_does_not_fit_and_says_so() {
        let long = "+".repeat(40_001);
        for (total, patch, kept) in [(1, long.as_str(), false), (101, "+a", true)] {
            let fake = FakeApi::new(&GITHUB).await.on(
                "GET",
                "/repos/o/r/compare/main...v1",
                200,
                comparison(total, patch),
            );
            let compared = fake
                .run::<CompareCommits>(
                    json!({"owner": "o", "repo": "r", "base": "main", "head": "v1"}),
                )
                .await
                .unwrap();
            assert_eq!(compared["truncated"], true);
            assert_eq!(compared["files"][0].get("patch").is_some(), kept);
            assert_eq!(compared["files"][1]["patch"], "+b");
        }
    }
}
