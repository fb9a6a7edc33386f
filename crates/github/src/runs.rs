//! Workflow runs: listing, starting, repeating and cancelling them.

use std::collections::BTreeMap;

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::people::Login;
use crate::permissions::{ACTIONS_READ, ACTIONS_WRITE};
use crate::repos::Repo;

/// A run of a workflow.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowRun {
    /// Stable id.
    pub id: u64,
    /// Name of the workflow.
    #[serde(default, rename(deserialize = "name"))]
    pub workflow: Option<String>,
    /// File of the workflow, such as `.github/workflows/ci.yml`.
    pub path: String,
    /// What it ran for, such as the title of a commit or a pull request.
    #[serde(rename(deserialize = "display_title"))]
    pub title: String,
    /// What started it, such as `push` or `workflow_dispatch`.
    pub event: String,
    /// `completed`, or how far it is, such as `queued` or `in_progress`.
    #[serde(default)]
    pub status: Option<String>,
    /// How it ended: `success`, `failure`, `cancelled`, `timed_out`, `action_required`, ...
    #[serde(default)]
    pub conclusion: Option<String>,
    /// Which try it is, from 1.
    #[serde(default, rename(deserialize = "run_attempt"))]
    pub attempt: Option<u64>,
    /// The branch.
    #[serde(default, rename(deserialize = "head_branch"))]
    pub branch: Option<String>,
    /// The commit.
    #[serde(rename(deserialize = "head_sha"))]
    pub commit_sha: String,
    /// Who started it.
    #[serde(default)]
    pub actor: Option<Login>,
    /// Its page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
    /// When it was asked for.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

/// How far a run is, or how it ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RunState {
    Queued,
    InProgress,
    Waiting,
    Pending,
    Completed,
    Success,
    Failure,
    Cancelled,
    TimedOut,
    ActionRequired,
    Skipped,
}

/// Lists a repository's workflow runs, such as tests and deployments, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListWorkflowRuns {
    #[serde(flatten)]
    at: Repo,
    branch: Option<String>,
    status: Option<RunState>,
    /// Such as `push`.
    event: Option<String>,
    commit_sha: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListWorkflowRuns {
    const NAME: &'static str = "list_workflow_runs";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "recent builds",
        "CI status",
        "did the tests pass",
        "pipeline history",
        "GitHub Actions runs",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACTIONS_READ;
    type Output = Page<WorkflowRun>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<WorkflowRun>> {
        // https://docs.github.com/rest/actions/workflow-runs#list-workflow-runs-for-a-repository
        api.get("/repos/{}/{}/actions/runs", &[&self.at.owner, &self.at.repo])
            .query("branch", self.branch)
            .query("status", self.status)
            .query("event", self.event)
            .query("head_sha", self.commit_sha)
            .page(&self.page)
            .list_in("workflow_runs")
            .await
    }
}

/// A run that was started.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StartedRun {
    /// Its id, for `get_workflow_run`.
    #[serde(rename(deserialize = "workflow_run_id"))]
    pub run_id: u64,
    /// Its page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
}

/// Starts a workflow, such as a deployment; its file must have the trigger `workflow_dispatch`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RunWorkflow {
    #[serde(flatten)]
    at: Repo,
    /// File name, such as `deploy.yml`, or id.
    workflow: String,
    /// Branch or tag.
    #[serde(rename = "ref")]
    git_ref: String,
    inputs: Option<BTreeMap<String, String>>,
}

impl Action for RunWorkflow {
    const NAME: &'static str = "run_workflow";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["trigger a workflow by hand", "start a pipeline", "dispatch a GitHub Actions job"];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACTIONS_WRITE;
    type Output = StartedRun;

    async fn run(self, api: &Api) -> Result<StartedRun> {
        // The API takes the file name alone.
        let workflow = self.workflow.trim_start_matches(".github/workflows/");
        // https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event
        api.post(
            "/repos/{}/{}/actions/workflows/{}/dispatches",
            &[&self.at.owner, &self.at.repo, &workflow],
        )
        .fields(json!({"ref": self.git_ref, "inputs": self.inputs}))
        .send()
        .await
    }
}

/// What GitHub was asked to do with a run. It does so a little later.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestedChange {
    /// Id of the run.
    run_id: u64,
    /// `rerun`, `rerun_failed_jobs` or `cancel`.
    requested: &'static str,
}

/// Repeats a workflow run of the last month: all its jobs, or the failed ones only.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RerunWorkflow {
    #[serde(flatten)]
    at: Repo,
    run_id: u64,
    only_failed: Option<bool>,
}

impl Action for RerunWorkflow {
    const NAME: &'static str = "rerun_workflow";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["retry CI", "restart a failed build", "run the tests again"];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACTIONS_WRITE;
    type Output = RequestedChange;

    async fn run(self, api: &Api) -> Result<RequestedChange> {
        // https://docs.github.com/rest/actions/workflow-runs#re-run-a-workflow
        // https://docs.github.com/rest/actions/workflow-runs#re-run-failed-jobs-from-a-workflow-run
        let (path, requested) = if self.only_failed == Some(true) {
            ("/repos/{}/{}/actions/runs/{}/rerun-failed-jobs", "rerun_failed_jobs")
        } else {
            ("/repos/{}/{}/actions/runs/{}/rerun", "rerun")
        };
        api.post(path, &[&self.at.owner, &self.at.repo, &self.run_id]).send_empty().await?;
        Ok(RequestedChange { run_id: self.run_id, requested })
    }
}

/// Cancels a workflow run that is not completed.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CancelWorkflowRun {
    #[serde(flatten)]
    at: Repo,
    run_id: u64,
}

impl Action for CancelWorkflowRun {
    const NAME: &'static str = "cancel_workflow_run";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["stop a build", "abort a running pipeline", "cancel CI", "stop a CI job that runs"];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACTIONS_WRITE;
    type Output = RequestedChange;

    async fn run(self, api: &Api) -> Result<RequestedChange> {
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/actions/workflow-runs#cancel-a-workflow-run
        api.post("/repos/{}/{}/actions/runs/{}/cancel", &[owner, repo, &self.run_id])
            .send_empty()
            .await?;
        Ok(RequestedChange { run_id: self.run_id, requested: "cancel" })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    /// A run as GitHub answers it, trimmed.
    pub(crate) fn run(id: u64, conclusion: &str) -> Value {
        json!({
            "id": id, "name": "CI", "path": ".github/workflows/ci.yml", "display_title": "Sharpen the logo",
            "event": "push", "status": "completed", "conclusion": conclusion, "run_number": 12, "run_attempt": 1,
            "workflow_id": 5, "head_branch": "logo", "head_sha": "aaa111", "actor": {"login": "octocat", "id": 1},
            "html_url": format!("https://github.com/octocat/hello/actions/runs/{id}"),
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:05:00Z",
        })
    }

    fn asked() -> Value {
        json!({"owner": "octocat", "repo": "hello", "run_id": 77})
    }

    #[tokio::test]
    async fn lists_runs() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            "/repos/octocat/hello/actions/runs",
            200,
            json!({"total_count": 1, "workflow_runs": [run(77, "failure")]}),
        );
        let page = fake
            .run::<ListWorkflowRuns>(json!({
                "owner": "octocat", "repo": "hello", "branch": "logo", "status": "failure", "commit_sha": "aaa111",
            }))
            .await
            .unwrap();
        assert_eq!(
            page["items"][0],
            json!({
                "id": 77, "workflow": "CI", "path": ".github/workflows/ci.yml", "title": "Sharpen the logo",
                "event": "push", "status": "completed", "conclusion": "failure", "attempt": 1, "branch": "logo",
                "commit_sha": "aaa111", "actor": "octocat", "url": "https://github.com/octocat/hello/actions/runs/77",
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:05:00Z",
            })
        );
        let query = &fake.requests().await[0].query;
        assert_eq!((query["status"].as_str(), query["head_sha"].as_str()), ("failure", "aaa111"));
    }

    #[tokio::test]
    async fn starts_a_workflow_and_tells_its_run() {
        let path = "/repos/octocat/hello/actions/workflows/deploy.yml/dispatches";
        let fake = FakeApi::new(&GITHUB).await.on(
            "POST",
            path,
            200,
            json!({"workflow_run_id": 78, "run_url": "https://api.github.com/x", "html_url": "https://github.com/octocat/hello/actions/runs/78"}),
        );
        for workflow in ["deploy.yml", ".github/workflows/deploy.yml"] {
            let started = fake
                .run::<RunWorkflow>(json!({
                    "owner": "octocat", "repo": "hello", "workflow": workflow, "ref": "main",
                    "inputs": {"to": "production"},
                }))
                .await
                .unwrap();
            assert_eq!(
                started,
                json!({"run_id": 78, "url": "https://github.com/octocat/hello/actions/runs/78"})
            );
        }
        for request in fake.requests().await {
            assert_eq!(request.body, json!({"ref": "main", "inputs": {"to": "production"}}));
        }
    }

    #[tokio::test]
    async fn says_that_a_workflow_cannot_be_started_by_hand() {
        let path = "/repos/octocat/hello/actions/workflows/ci.yml/dispatches";
        let fake = FakeApi::new(&GITHUB).await.on(
            "POST",
            path,
            422,
            json!({"message": "Workflow does not have 'workflow_dispatch' trigger"}),
        );
        let error = fake
            .run::<RunWorkflow>(
                json!({"owner": "octocat", "repo": "hello", "workflow": "ci.yml", "ref": "main"}),
            )
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("'workflow_dispatch' trigger"), "{error}");
        assert_eq!(fake.requests().await[0].body, json!({"ref": "main"}));
    }

    #[tokio::test]
    async fn repeats_a_run() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "POST",
            "/repos/octocat/hello/actions/runs/77/rerun",
            201,
            json!({}),
        );
        let told = fake.run::<RerunWorkflow>(asked()).await.unwrap();
        assert_eq!(told, json!({"run_id": 77, "requested": "rerun"}));
    }

    #[tokio::test]
    async fn repeats_only_the_failed_jobs() {
        let path = "/repos/octocat/hello/actions/runs/77/rerun-failed-jobs";
        // The trimmed official description lacks this operation.
        let fake = FakeApi::new(&GITHUB).await.on("POST", path, 201, json!({}));
        let mut asked = asked();
        asked["only_failed"] = true.into();
        let told = fake.run::<RerunWorkflow>(asked).await.unwrap();
        assert_eq!(told["requested"], "rerun_failed_jobs");
        assert_eq!(fake.requests().await[0].path, path);
    }

    #[tokio::test]
    async fn tells_a_run_that_cannot_be_repeated_from_a_missing_right() {
        for message in [
            "This workflow is already running",
            "This workflow run cannot be retried",
            "Unable to retry this workflow run because it was created over a month ago",
        ] {
            let fake = FakeApi::new(&GITHUB).await.on(
                "POST",
                "/repos/octocat/hello/actions/runs/77/rerun",
                403,
                json!({"message": message}),
            );
            let error = fake.run::<RerunWorkflow>(asked()).await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict);
            assert!(error.message().contains(message), "{error}");
        }
    }

    #[tokio::test]
    async fn cancels_a_run_that_is_not_completed() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", "/repos/octocat/hello/actions/runs/77/cancel", 202, json!({}))
            .on(
                "POST",
                "/repos/octocat/hello/actions/runs/77/cancel",
                409,
                json!({"message": "Cannot cancel a workflow run that is completed."}),
            );
        let told = fake.run::<CancelWorkflowRun>(asked()).await.unwrap();
        assert_eq!(told, json!({"run_id": 77, "requested": "cancel"}));
        let error = fake.run::<CancelWorkflowRun>(asked()).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("that is completed"), "{error}");
    }
}
