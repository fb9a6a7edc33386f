//! Branches.

use resto_core::{Action, Api, Code, Error, GitRef, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::{CONTENTS_READ, CONTENTS_WRITE};
use crate::repos::{Repo, Repository};

/// A branch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// The commit that it points to.
    pub sha: String,
    /// Whether rules protect it; absent where that was not asked.
    pub protected: Option<bool>,
}

/// Lists the branches of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListBranches {
    #[serde(flatten)]
    at: Repo,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListBranches {
    const NAME: &'static str = "list_branches";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which branches are there", "show all branches", "names of the branches"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = Page<Branch>;

    async fn run(self, api: &Api) -> Result<Page<Branch>> {
        #[derive(Deserialize)]
        struct Answer {
            name: String,
            commit: Tip,
            protected: bool,
        }
        self.at.note_outsiders(api).await?;
        // https://docs.github.com/rest/branches/branches#list-branches
        let page: Page<Answer> = api
            .get("/repos/{}/{}/branches", &[&self.at.owner, &self.at.repo])
            .page(&self.page)
            .list()
            .await?;
        Ok(page.map(|branch| Branch {
            name: branch.name,
            sha: branch.commit.sha,
            protected: Some(branch.protected),
        }))
    }
}

/// Creates a branch at the tip of another one, or at a tag or commit.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateBranch {
    #[serde(flatten)]
    at: Repo,
    name: GitRef,
    /// Branch, tag or commit.
    from: Option<GitRef>,
}

impl Action for CreateBranch {
    const NAME: &'static str = "create_branch";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["start a new branch", "branch off", "make a feature branch"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_WRITE;
    type Output = Branch;

    async fn run(self, api: &Api) -> Result<Branch> {
        let from = self.from.unwrap_or_else(|| GitRef("HEAD".to_owned()));
        let start = resolve(api, &self.at, &from).await?;
        start_branch(api, &self.at, &self.name, &start.sha).await?;
        Ok(Branch { name: self.name.0, sha: start.sha, protected: None })
    }
}

/// Deletes a branch, not the default one. The `sha` it returns restores it, by `create_branch` from it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteBranch {
    #[serde(flatten)]
    at: Repo,
    name: GitRef,
}

impl Action for DeleteBranch {
    const NAME: &'static str = "delete_branch";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "remove a merged branch",
        "clean up old branches",
        "get rid of a branch that is no longer used",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_WRITE;
    type Output = Branch;

    async fn run(self, api: &Api) -> Result<Branch> {
        let repository: Repository =
            api.get("/repos/{}/{}", &[&self.at.owner, &self.at.repo]).send().await?;
        if repository.default_branch == self.name.0 {
            return Err(Error::invalid(
                "name",
                format!(
                    "invalid input: `{}` is the default branch of {}. Make another one the default first. Nothing was deleted.",
                    self.name.0, repository.full_name
                ),
            ));
        }
        let read = || tip(api, &self.at, &self.name);
        let sha = read().await?;
        // https://docs.github.com/rest/git/refs#delete-a-reference
        api.delete("/repos/{}/{}/git/refs/heads/{}", &[&self.at.owner, &self.at.repo, &self.name])
            .send_or_gone(read)
            .await?;
        Ok(Branch { name: self.name.0, sha, protected: None })
    }
}

#[derive(Deserialize)]
struct Tip {
    sha: String,
}

/// A commit and its tree.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub sha: String,
    pub tree: String,
}

/// The commit that a branch, tag or commit id names.
pub(crate) async fn resolve(api: &Api, at: &Repo, reference: &GitRef) -> Result<Start> {
    #[derive(Deserialize)]
    struct Answer {
        sha: String,
        commit: Git,
    }
    #[derive(Deserialize)]
    struct Git {
        tree: Tip,
    }
    // https://docs.github.com/rest/commits/commits#get-a-commit
    let answer: Answer = api
        .get("/repos/{}/{}/commits/{}", &[&at.owner, &at.repo, reference])
        // Its files are not wanted, and come in pages.
        .query("per_page", 1)
        .send()
        .await?;
    Ok(Start { sha: answer.sha, tree: answer.commit.tree.sha })
}

/// Whether a name may lead to what people outside wrote: to a pull request, or to a commit of a fork, which GitHub serves
/// through the repository that it came from. Every other name is a branch or a tag, which only members of the repository set.
pub(crate) fn may_be_of_a_fork(reference: &GitRef) -> bool {
    let name = reference.0.to_lowercase();
    let is_id = |word: &str| word.len() >= 4 && word.bytes().all(|b| b.is_ascii_hexdigit());
    // As `git describe` names a commit.
    let id = name.rsplit_once("-g").map_or(name.as_str(), |(_, id)| id);
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || "-_./+#@".contains(c));
    is_id(&name) || is_id(id) || name.split('/').any(|part| part == "pull") || !is_plain
}

/// The commit that a branch points to.
pub(crate) async fn tip(api: &Api, at: &Repo, branch: &GitRef) -> Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        object: Tip,
    }
    // https://docs.github.com/rest/git/refs#get-a-reference
    let answer: Answer =
        api.get("/repos/{}/{}/git/ref/heads/{}", &[&at.owner, &at.repo, branch]).send().await?;
    Ok(answer.object.sha)
}

/// Creates a branch at a commit.
pub(crate) async fn start_branch(api: &Api, at: &Repo, name: &GitRef, sha: &str) -> Result<()> {
    // https://docs.github.com/rest/git/refs#create-a-reference
    let created = api
        .post("/repos/{}/{}/git/refs", &[&at.owner, &at.repo])
        .json(&json!({"ref": format!("refs/heads/{}", name.0), "sha": sha}))
        .send_empty()
        .await;
    match created {
        Err(error)
            if error.code() == Code::Conflict && error.message().contains("already exists") =>
        {
            Err(Error::new(
                Code::Conflict,
                format!(
                    "The branch `{}` exists already at GitHub. Choose another name, or work on that one. It was not changed.",
                    name.0
                ),
            ))
        }
        // The answer was lost; whether the branch is there can be read.
        Err(error) if error.code() == Code::UnknownOutcome => match tip(api, at, name).await {
            Ok(found) if found == sha => Ok(()),
            _ => Err(error),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GITHUB;
    use crate::standing::tests::own;

    #[test]
    fn d7_what_is_read_at_a_reference_is_marked_by_it() {
        let adapter = crate::adapter();
        for tool in ["github_read_file", "github_list_files", "github_list_commits"] {
            let action = adapter.actions().iter().find(|action| action.tool == tool).unwrap();
            let at = |reference: Value| json!({"owner": "o", "repo": "r", "path": "a", "ref": reference});
            for (arguments, marked) in [
                (at(Value::Null), false),
                (at("main".into()), false),
                (at("refs/pull/1/head".into()), true),
                (at("9fceb02".into()), true),
                // What cannot be read is held for the worst.
                (at(7.into()), true),
                (Value::Null, true),
            ] {
                assert_eq!((action.outsiders)(&arguments), marked, "{tool} {arguments}");
            }
        }
    }

    #[test]
    fn d7_pull_requests_and_bare_commits_may_be_of_a_fork() {
        let id = "9fceb02d0ae598e95dc970b74767f19372d61af8";
        for name in [
            "refs/pull/1/head",
            "refs/pull/1/merge",
            "pull/1/head",
            "PULL/1/head",
            id,
            &id[..7],
            &id.to_uppercase(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "v1.2-14-g2414721",
            "mallory:main",
            "main^2",
            "main~1",
            "main@{1}",
            " pull/1/head",
            "%70ull/1/head",
        ] {
            assert!(may_be_of_a_fork(&GitRef(name.to_owned())), "{name}");
        }
        for name in [
            "main",
            "HEAD",
            "refs/heads/main",
            "feat/pulling",
            "v1.2.0",
            "release-2026-01",
            "fix-gauge",
            "café",
            "dependabot/npm/@types/node-22.1",
            "a1",
        ] {
            assert!(!may_be_of_a_fork(&GitRef(name.to_owned())), "{name}");
        }
    }

    const SHA: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";

    fn start() -> Value {
        json!({"sha": SHA, "commit": {"tree": {"sha": "t"}}, "files": []})
    }

    fn points_to(sha: &str) -> Value {
        json!({"ref": "refs/heads/feat/x", "object": {"type": "commit", "sha": sha}})
    }

    #[tokio::test]
    async fn lists_branches() {
        let fake = own().await.on(
            "GET",
            "/repos/o/r/branches",
            200,
            json!([{"name": "main", "commit": {"sha": SHA, "url": "x"}, "protected": true}]),
        );
        let page = fake.run::<ListBranches>(json!({"owner": "o", "repo": "r"})).await.unwrap();
        assert_eq!(page["items"], json!([{"name": "main", "sha": SHA, "protected": true}]));
    }

    #[tokio::test]
    async fn creates_a_branch_from_the_default_one() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/o/r/commits/HEAD", 200, start())
            .on("POST", "/repos/o/r/git/refs", 201, points_to(SHA));
        let branch = fake
            .run::<CreateBranch>(json!({"owner": "o", "repo": "r", "name": "feat/x"}))
            .await
            .unwrap();
        assert_eq!(branch, json!({"name": "feat/x", "sha": SHA}));
        assert_eq!(fake.requests().await[1].body, json!({"ref": "refs/heads/feat/x", "sha": SHA}));
    }

    #[tokio::test]
    async fn leaves_a_branch_that_exists_alone() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", "/repos/o/r/commits/v1", 200, start()).on(
            "POST",
            "/repos/o/r/git/refs",
            422,
            json!({"message": "Reference already exists"}),
        );
        let error = fake
            .run::<CreateBranch>(json!({"owner": "o", "repo": "r", "name": "main", "from": "v1"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("`main` exists already"), "{error}");
    }

    #[tokio::test]
    async fn looks_whether_the_branch_is_there_when_the_answer_was_lost() {
        for (found, succeeds) in [(SHA, true), ("another", false)] {
            let fake = FakeApi::new(&GITHUB)
                .await
                .on("GET", "/repos/o/r/commits/HEAD", 200, start())
                .on("POST", "/repos/o/r/git/refs", 502, json!({"message": "Server Error"}))
                .on("GET", "/repos/o/r/git/ref/heads/feat%2Fx", 200, points_to(found));
            let result = fake
                .run::<CreateBranch>(json!({"owner": "o", "repo": "r", "name": "feat/x"}))
                .await;
            assert_eq!(result.is_ok(), succeeds);
            assert_eq!(fake.requests().await.iter().filter(|r| r.method == "POST").count(), 1);
        }
    }

    #[tokio::test]
    async fn looks_for_a_branch_whose_deletion_was_not_answered() {
        let repository = json!({"full_name": "o/r", "private": false, "default_branch": "main", "html_url": "u"});
        let tip = "/repos/o/r/git/ref/heads/x";
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/o/r", 200, repository)
            .on("GET", tip, 200, points_to(SHA))
            .on("GET", tip, 404, json!({"message": "Not Found"}))
            .on("DELETE", "/repos/o/r/git/refs/heads/x", 502, json!({"message": "Server Error"}));
        let input = json!({"owner": "o", "repo": "r", "name": "x"});
        assert_eq!(fake.run::<DeleteBranch>(input).await.unwrap()["sha"], SHA);
    }

    #[tokio::test]
    async fn deletes_a_branch_and_tells_how_to_restore_it() {
        let repository = json!({"full_name": "o/r", "private": false, "default_branch": "main", "html_url": "u"});
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/o/r", 200, repository)
            .on("GET", "/repos/o/r/git/ref/heads/feat%2Fx", 200, points_to(SHA))
            .on("DELETE", "/repos/o/r/git/refs/heads/feat%2Fx", 204, Value::Null);
        let gone = fake
            .run::<DeleteBranch>(json!({"owner": "o", "repo": "r", "name": "feat/x"}))
            .await
            .unwrap();
        assert_eq!(gone, json!({"name": "feat/x", "sha": SHA}));
        assert_eq!(fake.requests().await[2].method, "DELETE");
        let error = fake
            .run::<DeleteBranch>(json!({"owner": "o", "repo": "r", "name": "main"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert_eq!(fake.requests().await.iter().filter(|r| r.method == "DELETE").count(), 1);
    }
}
