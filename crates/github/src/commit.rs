//! Many files in one commit: the branch moves once, or not at all.

use std::collections::BTreeSet;

use resto_core::{
    Action, Api, Code, Error, GitRef, Page, PathArg as _, PathSegments, Result, Risk,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::branches::{Start, resolve, start_branch, tip};
use crate::made::{is_ours, is_same, since};
use crate::objects::{NewFile, changes, holds, store_commit, store_files, store_tree};
use crate::permissions::CONTENTS_WRITE;
use crate::repos::Repo;
use crate::trees::is_empty_repository;

/// How often it begins again because somebody pushed in between.
const MAX_RESTARTS: u32 = 3;

/// Adds, replaces and deletes files in one commit; all of them or none. Makes a branch if asked to.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CommitFiles {
    #[serde(flatten)]
    pub(crate) at: Repo,
    pub(crate) branch: GitRef,
    /// Branch, tag or commit from which to create `branch`.
    pub(crate) create_branch_from: Option<GitRef>,
    pub(crate) message: String,
    /// To add or replace; those under .github/workflows need the permission Workflows: write.
    #[serde(default)]
    #[schemars(length(max = 300))]
    pub(crate) files: Vec<NewFile>,
    /// Paths.
    #[serde(default)]
    #[schemars(length(max = 300))]
    pub(crate) deletions: Vec<PathSegments>,
}

/// What became of the branch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Committed {
    /// The branch.
    pub branch: String,
    /// The commit that it points to now.
    pub sha: String,
    /// Page of the commit; absent if nothing changed.
    pub url: Option<String>,
    /// False if all files were like that already: there is no new commit, and no new branch.
    pub changed: bool,
    /// An empty repository needs a commit with one file before it takes several: that commit.
    pub first_sha: Option<String>,
}

impl Action for CommitFiles {
    const NAME: &'static str = "commit_files";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "commit and push code",
        "save file changes to a branch",
        "edit a file in the repository",
        "upload source files",
        "Dateien committen",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_WRITE;
    type Output = Committed;

    async fn run(self, api: &Api) -> Result<Committed> {
        self.check()?;
        api.make_or_find(self.make(api), || self.find(api)).await
    }
}

impl CommitFiles {
    async fn make(&self, api: &Api) -> Result<Committed> {
        let files: Vec<&NewFile> = self.files.iter().collect();
        let Some(from) = &self.create_branch_from else {
            return match self.head(api).await {
                Ok(head) => self.commit(api, head, &files).await,
                Err(error) if is_empty_repository(&error) => self.commit_first(api).await,
                Err(error) => Err(error),
            };
        };
        let head = resolve(api, &self.at, from).await?;
        self.commit(api, head, &files).await
    }

    /// The commit whose answer was lost, if the branch has it: it says the same, and these files are in it as they were given.
    async fn find(&self, api: &Api) -> Result<Option<Committed>> {
        #[derive(Deserialize)]
        struct Listed {
            sha: String,
            html_url: String,
            commit: Git,
            author: Option<Value>,
            parents: Vec<Object>,
        }
        #[derive(Deserialize)]
        struct Git {
            message: String,
            tree: Object,
        }
        // https://docs.github.com/rest/commits/commits#list-commits
        let newest: Page<Listed> = api
            .get("/repos/{}/{}/commits", &[&self.at.owner, &self.at.repo])
            .query("sha", &self.branch)
            .query("since", since(api))
            .query("per_page", 100)
            .list()
            .await?;
        let says_it = |one: &&Listed| {
            is_ours(api, one.author.as_ref()) && is_same(&one.commit.message, &self.message)
        };
        for one in newest.items.iter().filter(says_it).filter(|one| one.parents.len() < 2) {
            let tree = &one.commit.tree.sha;
            if !holds(api, &self.at, tree, &self.files, &self.deletions).await? {
                continue;
            }
            let is_first = |first: &&Listed| {
                first.parents.is_empty() && one.parents.iter().any(|one| one.sha == first.sha)
            };
            let first = newest.items.iter().filter(says_it).find(is_first);
            return Ok(Some(Committed {
                branch: self.branch.0.clone(),
                sha: one.sha.clone(),
                url: Some(one.html_url.clone()),
                changed: true,
                first_sha: first.map(|first| first.sha.clone()),
            }));
        }
        Ok(None)
    }

    fn check(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for file in &self.files {
            file.encoded()?;
        }
        for path in &self.deletions {
            path.append(&mut String::new())?;
        }
        let paths = self.files.iter().map(|file| &file.path).chain(&self.deletions);
        for path in paths {
            if !seen.insert(path.0.as_str()) {
                return Err(Error::invalid(
                    "files",
                    format!("invalid input: `{}` is there twice. Nothing was sent.", path.0),
                ));
            }
        }
        if seen.is_empty() {
            return Err(Error::invalid(
                "files",
                "invalid input: no file was given. Nothing was sent.",
            ));
        }
        Ok(())
    }

    /// Where the branch is.
    async fn head(&self, api: &Api) -> Result<Start> {
        #[derive(Deserialize)]
        struct Answer {
            tree: Object,
        }
        let sha = tip(api, &self.at, &self.branch).await.map_err(|error| {
            if error.code() != Code::NotFound {
                return error;
            }
            let mut told = error.clone();
            told.details_mut().message = format!(
                "{} If it is only the branch that is missing, give `create_branch_from`.",
                error.message()
            );
            told
        })?;
        // https://docs.github.com/rest/git/commits#get-a-commit-object
        let commit: Answer = api
            .get("/repos/{}/{}/git/commits/{}", &[&self.at.owner, &self.at.repo, &sha])
            .send()
            .await?;
        Ok(Start { sha, tree: commit.tree.sha })
    }

    /// Commits to a repository without commits. The git data API refuses it until it has one.
    async fn commit_first(&self, api: &Api) -> Result<Committed> {
        #[derive(Deserialize)]
        struct Answer {
            commit: First,
        }
        #[derive(Deserialize)]
        struct First {
            sha: String,
            html_url: String,
            tree: Object,
        }
        // This way sets no executable bit.
        let plain = self.files.iter().find(|file| file.executable != Some(true));
        let Some(first) = plain.or(self.files.first()).filter(|_| self.deletions.is_empty()) else {
            return Err(Error::invalid(
                "deletions",
                "invalid input: the repository is empty, there is nothing to delete. Nothing was committed.",
            ));
        };
        api.progress(0, None, "Making the first commit of the empty repository");
        // https://docs.github.com/rest/repos/contents#create-or-update-file-contents
        let commit = api
            .put("/repos/{}/{}/contents/{}", &[&self.at.owner, &self.at.repo, &first.path])
            .json(&json!({"message": self.message, "content": first.encoded()?, "branch": self.branch}))
            .send::<Answer>()
            .await
            .map_err(|error| self.explained(error))?
            .commit;
        let rest: Vec<&NewFile> =
            self.files.iter().filter(|file| file.path != first.path || plain.is_none()).collect();
        if rest.is_empty() {
            return Ok(Committed {
                branch: self.branch.0.clone(),
                sha: commit.sha,
                url: Some(commit.html_url),
                changed: true,
                first_sha: None,
            });
        }
        let head = Start { sha: commit.sha.clone(), tree: commit.tree.sha };
        match self.commit(api, head, &rest).await {
            Ok(committed) => Ok(Committed { first_sha: Some(commit.sha), ..committed }),
            Err(mut error) => {
                let details = error.details_mut();
                details.message = format!(
                    "{} The repository was empty and now has a first commit with `{}` alone.",
                    details.message, first.path.0
                );
                Err(error)
            }
        }
    }

    async fn commit(&self, api: &Api, head: Start, files: &[&NewFile]) -> Result<Committed> {
        self.commit_after(api, head, files).await.map_err(|error| self.explained(error))
    }

    async fn commit_after(
        &self,
        api: &Api,
        mut head: Start,
        files: &[&NewFile],
    ) -> Result<Committed> {
        let total = u64::try_from(files.len() + 2).ok();
        let progress = |done: usize, what: &str| {
            api.progress(u64::try_from(done).unwrap_or_default(), total, what);
        };
        let stored = store_files(api, &self.at, files, |index, path| {
            progress(index, &format!("Storing {path}"));
        })
        .await?;
        let mut restarts = 0;
        loop {
            progress(files.len(), "Making the commit");
            let entries = changes(api, &self.at, &head, &stored, &self.deletions).await?;
            let tree = store_tree(api, &self.at, &head, &entries).await?;
            let changed = tree != head.tree;
            let (sha, url) = if changed {
                let commit = store_commit(api, &self.at, &head, &tree, &self.message).await?;
                (commit.sha, Some(commit.html_url))
            } else {
                (head.sha.clone(), None)
            };
            progress(files.len() + 1, "Moving the branch");
            let moved = match &self.create_branch_from {
                _ if !changed => Ok(()),
                Some(_) => start_branch(api, &self.at, &self.branch, &sha).await,
                None => self.advance(api, &sha).await,
            };
            match moved {
                Ok(()) => {
                    let branch = self.branch.0.clone();
                    return Ok(Committed { branch, sha, url, changed, first_sha: None });
                }
                Err(error) if !was_overtaken(&error) => return Err(error),
                Err(error) if restarts == MAX_RESTARTS => {
                    let mut told = error;
                    told.details_mut().message = format!(
                        "Others push to `{}` at GitHub all the time: {} tries were refused, and nothing was committed. Try again later.",
                        self.branch.0,
                        restarts + 1
                    );
                    return Err(told);
                }
                Err(_) => {
                    restarts += 1;
                    progress(files.len(), "Somebody pushed in between: beginning again after it");
                    head = self.head(api).await?;
                }
            }
        }
    }

    /// Moves the branch to the commit that follows it.
    async fn advance(&self, api: &Api, sha: &str) -> Result<()> {
        // https://docs.github.com/rest/git/refs#update-a-reference
        let moved = api
            .patch("/repos/{}/{}/git/refs/heads/{}", &[&self.at.owner, &self.at.repo, &self.branch])
            .json(&json!({"sha": sha, "force": false}))
            .send_empty()
            .await;
        match moved {
            // The answer was lost; whether the branch moved can be read.
            Err(error) if error.code() == Code::UnknownOutcome => {
                match tip(api, &self.at, &self.branch).await {
                    Ok(found) if found == sha => Ok(()),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    /// GitHub answers 403 or 404 where only the right to change workflows is missing.
    fn explained(&self, error: Error) -> Error {
        let paths = self.files.iter().map(|file| &file.path).chain(&self.deletions);
        let Some(path) = paths.map(|path| &path.0).find(|p| p.starts_with(".github/workflows/"))
        else {
            return error;
        };
        let details = error.details();
        let about_a_right = match details.http_status {
            Some(403) => details.missing_permission.is_some(),
            status => status == Some(404),
        };
        if !about_a_right {
            return error;
        }
        let mut told = Error::new(
            Code::PermissionDenied,
            format!(
                "GitHub refused the commit. It changes `{path}`, and for files under .github/workflows the token needs the permission Workflows: write (a classic token: the scope `workflow`) besides Contents: write. Add it to the token, then try again."
            ),
        )
        .missing("workflows:write");
        let also = told.details_mut();
        also.provider.clone_from(&details.provider);
        also.http_status = details.http_status;
        also.request_id.clone_from(&details.request_id);
        told
    }
}

/// Whether the branch moved before we could move it.
fn was_overtaken(error: &Error) -> bool {
    error.details().http_status == Some(422)
        && error.message().to_ascii_lowercase().contains("not a fast forward")
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

#[cfg(test)]
mod tests;
