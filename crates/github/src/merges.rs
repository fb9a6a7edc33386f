//! Merging pull requests.

use resto_core::{Action, Api, Code, Error, Result, Risk, clean};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::CONTENTS_WRITE;
use crate::pulls::PullRequest;
use crate::repos::Repo;

/// How the commits of a pull request get into its base.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Method {
    Merge,
    Squash,
    Rebase,
}

/// A pull request that is merged.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Merge {
    /// The commit that merged it; absent if it was merged before.
    #[serde(default)]
    pub sha: Option<String>,
    /// Always true.
    pub merged: bool,
    /// Whether it was found merged: before this call, or by it though the answer was lost.
    #[serde(default)]
    pub already_merged: bool,
}

/// Merges a pull request if its head is still the commit that was read; says why where it cannot.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MergePullRequest {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    /// `head.sha` as it was read: newer commits are not merged unseen.
    head_sha: String,
    /// Default merge.
    method: Option<Method>,
    commit_title: Option<String>,
    commit_message: Option<String>,
}

impl Action for MergePullRequest {
    const NAME: &'static str = "merge_pull_request";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "merge a PR",
        "land a change",
        "accept a pull request",
        "Pull Request mergen",
        "fusionner",
        "zusammenführen",
        "fusionar",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_WRITE;
    type Output = Merge;

    async fn run(self, api: &Api) -> Result<Merge> {
        // https://docs.github.com/rest/pulls/pulls#merge-a-pull-request
        let merged = api
            .put("/repos/{}/{}/pulls/{}/merge", &[&self.at.owner, &self.at.repo, &self.number])
            .fields(json!({
                "sha": self.head_sha,
                "merge_method": self.method,
                "commit_title": self.commit_title,
                "commit_message": self.commit_message,
            }))
            .send()
            .await;
        match merged {
            Err(error) if matches!(error.code(), Code::Conflict | Code::UnknownOutcome) => {
                self.look(api, error).await
            }
            told => told,
        }
    }
}

#[derive(Deserialize)]
struct Mergeability {
    #[serde(flatten)]
    pull_request: PullRequest,
    merged: bool,
    #[serde(default)]
    mergeable_state: String,
}

impl MergePullRequest {
    /// Reads the pull request after a merge that did not succeed: it may be merged all the same,
    /// and if not, its state tells why.
    async fn look(&self, api: &Api, mut error: Error) -> Result<Merge> {
        let path: [&dyn resto_core::PathArg; 3] = [&self.at.owner, &self.at.repo, &self.number];
        let Ok(now) = api.get("/repos/{}/{}/pulls/{}", &path).send::<Mergeability>().await else {
            return Err(error);
        };
        let PullRequest { head, base, state, draft, .. } = &now.pull_request;
        let same_head = head.sha == self.head_sha;
        if now.merged && same_head {
            return Ok(Merge { sha: None, merged: true, already_merged: true });
        }
        if error.code() == Code::UnknownOutcome {
            return Err(error);
        }
        let (from, into) = (&head.branch, &base.branch);
        let why = if now.merged {
            format!("It is merged already, with another head: {}.", head.sha)
        } else if state != "open" {
            "It is closed: reopen it first.".to_owned()
        } else if !same_head {
            format!("Its head is {} now: read the new changes, then merge that.", head.sha)
        } else if *draft {
            "It is a draft: a person marks it ready for review first.".to_owned()
        } else {
            match now.mergeable_state.as_str() {
                "dirty" => format!("It conflicts with `{into}`: resolve that on `{from}` first."),
                "behind" => format!("`{from}` is behind `{into}`: bring it up to date first."),
                "blocked" => format!(
                    "The rules of `{into}` block it: reviews or checks are missing, or the method is not allowed."
                ),
                _ => "Read it with get_pull_request, then decide.".to_owned(),
            }
        };
        let told = format!("{} {why}", error.message());
        error.details_mut().message = clean(&told).into_owned();
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;
    use crate::pulls::tests::pull;

    const PULL: &str = "/repos/octocat/hello/pulls/3";
    const MERGE: &str = "/repos/octocat/hello/pulls/3/merge";

    fn asked() -> Value {
        json!({"owner": "octocat", "repo": "hello", "number": 3, "head_sha": "aaa111", "method": "squash"})
    }

    fn state(changes: &Value) -> Value {
        let mut state = pull(3);
        let fields = state.as_object_mut().unwrap();
        fields.insert("merged".into(), false.into());
        fields.extend(changes.as_object().unwrap().clone());
        state
    }

    async fn refused(status: u16, message: &str, state: Value) -> Error {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("PUT", MERGE, status, json!({"message": message}))
            .on("GET", PULL, 200, state);
        fake.run::<MergePullRequest>(asked()).await.unwrap_err()
    }

    #[tokio::test]
    async fn merges_what_was_read() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "PUT",
            MERGE,
            200,
            json!({"sha": "ccc333", "merged": true, "message": "Pull Request successfully merged"}),
        );
        let merge = fake.run::<MergePullRequest>(asked()).await.unwrap();
        assert_eq!(merge, json!({"sha": "ccc333", "merged": true, "already_merged": false}));
        assert_eq!(
            fake.requests().await[0].body,
            json!({"sha": "aaa111", "merge_method": "squash"})
        );
    }

    #[tokio::test]
    async fn explains_why_it_cannot_be_merged() {
        for (changes, words) in [
            (json!({"mergeable_state": "dirty"}), "conflicts with `main`"),
            (json!({"mergeable_state": "blocked"}), "reviews or checks are missing"),
            (json!({"mergeable_state": "behind"}), "`logo` is behind `main`"),
            (json!({"mergeable_state": "draft", "draft": true}), "It is a draft"),
            (json!({"state": "closed"}), "It is closed"),
        ] {
            let error = refused(405, "Pull Request is not mergeable", state(&changes)).await;
            assert_eq!(error.code(), Code::Conflict);
            assert!(error.message().contains("Pull Request is not mergeable"), "{error}");
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[tokio::test]
    async fn does_not_merge_commits_that_nobody_read() {
        let moved = state(&json!({"head": {"ref": "logo", "sha": "ddd444"}}));
        let error =
            refused(409, "Head branch was modified. Review and try the merge again.", moved).await;
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("Its head is ddd444 now"), "{error}");
    }

    #[tokio::test]
    async fn finds_it_merged_when_the_answer_was_lost() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("PUT", MERGE, 502, json!({"message": "Server Error"}))
            .on("GET", PULL, 200, state(&json!({"merged": true, "state": "closed"})));
        let merge = fake.run::<MergePullRequest>(asked()).await.unwrap();
        assert_eq!(merge, json!({"merged": true, "already_merged": true}));
        let lost = refused(502, "Server Error", state(&json!({}))).await;
        assert_eq!(lost.code(), Code::UnknownOutcome);
    }

    #[tokio::test]
    async fn tells_a_merge_of_another_head_from_ours() {
        let other = state(
            &json!({"merged": true, "state": "closed", "head": {"ref": "logo", "sha": "ddd444"}}),
        );
        let error = refused(405, "Pull Request is not mergeable", other).await;
        assert!(error.message().contains("merged already, with another head"), "{error}");
    }
}
