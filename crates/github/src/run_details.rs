//! One workflow run with its jobs, and why the failed ones failed.

use futures::future::join_all;
use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::excerpts::Excerpt;
use crate::logs::{self, SHOWN};
use crate::permissions::ACTIONS_READ;
use crate::repos::Repo;
use crate::runs::WorkflowRun;

/// Jobs of which the log is read: the first failures mostly tell it all.
const LOGS: usize = 3;

/// A step of a job.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Step {
    /// Its place in the job, from 1.
    number: u64,
    /// Its name.
    name: String,
    /// `completed`, or how far it is.
    status: String,
    /// How it ended.
    #[serde(default)]
    conclusion: Option<String>,
}

/// A job of a run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Stable id.
    id: u64,
    /// Its name.
    name: String,
    /// `completed`, or how far it is, such as `queued` or `in_progress`.
    status: String,
    /// How it ended: `success`, `failure`, `cancelled`, `skipped`, `timed_out`, ...
    #[serde(default)]
    conclusion: Option<String>,
    /// Its page.
    #[serde(default, rename(deserialize = "html_url"))]
    url: Option<String>,
    /// When it started.
    #[serde(default)]
    started_at: Option<String>,
    /// When it ended.
    #[serde(default)]
    completed_at: Option<String>,
    /// Its steps; left out of a job that succeeded or was skipped.
    #[serde(default)]
    steps: Vec<Step>,
    /// At most 4,000 characters of its log around the errors, if it failed; for the first 3 of the page.
    #[serde(default, skip_deserializing)]
    log: Option<Excerpt<SHOWN>>,
    /// Why its log cannot be read, such as that it is deleted.
    #[serde(default, skip_deserializing)]
    log_missing: Option<String>,
}

impl Job {
    fn failed(&self) -> bool {
        matches!(self.conclusion.as_deref(), Some("failure" | "timed_out"))
    }

    fn is_unremarkable(&self) -> bool {
        matches!(self.conclusion.as_deref(), Some("success" | "skipped"))
    }
}

/// A run with its jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorkflowRunDetails {
    #[serde(flatten)]
    run: WorkflowRun,
    /// The jobs of its last try.
    jobs: Page<Job>,
}

/// Gets a workflow run with its jobs (paged) and, for failed jobs, the log around the errors: why CI failed.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetWorkflowRun {
    #[serde(flatten)]
    at: Repo,
    run_id: u64,
    // The page is one of its jobs.
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for GetWorkflowRun {
    const NAME: &'static str = "get_workflow_run";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "why did CI break",
        "failing test log",
        "error of the build on GitHub Actions",
        "warum ist die Pipeline fehlgeschlagen",
        "pourquoi la CI a échoué",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACTIONS_READ;
    type Output = WorkflowRunDetails;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<WorkflowRunDetails> {
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/actions/workflow-runs#get-a-workflow-run
        let run = api.get("/repos/{}/{}/actions/runs/{}", &[owner, repo, &self.run_id]).send();
        // https://docs.github.com/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run
        let jobs = api
            .get("/repos/{}/{}/actions/runs/{}/jobs", &[owner, repo, &self.run_id])
            .page(&self.page)
            .list_in::<Job>("jobs");
        let (run, mut jobs) = futures::try_join!(run, jobs)?;
        for job in jobs.items.iter_mut().filter(|job| job.is_unremarkable()) {
            job.steps.clear();
        }
        let failed = jobs.items.iter_mut().filter(|job| job.failed()).take(LOGS);
        join_all(failed.map(|job| async {
            // Logs are deleted after a while; the rest of the answer stands without them.
            match logs::of_job(api, &self.at, job.id).await {
                Ok(log) => job.log = Some(log),
                Err(error) => job.log_missing = Some(error.message().to_owned()),
            }
        }))
        .await;
        Ok(WorkflowRunDetails { run, jobs })
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};
    use wiremock::ResponseTemplate;

    use super::*;
    use crate::GITHUB;
    use crate::runs::tests::run;

    const RUN: &str = "/repos/octocat/hello/actions/runs/77";
    const JOBS: &str = "/repos/octocat/hello/actions/runs/77/jobs";

    fn job(id: u64, name: &str, conclusion: &str) -> Value {
        json!({
            "id": id, "run_id": 77, "name": name, "status": "completed", "conclusion": conclusion, "html_url": null,
            "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:00Z",
            "steps": [{"number": 1, "name": "Run tests", "status": "completed", "conclusion": conclusion}],
        })
    }

    fn asked() -> Value {
        json!({"owner": "octocat", "repo": "hello", "run_id": 77})
    }

    #[tokio::test]
    async fn a_run_that_succeeded_needs_no_logs() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", RUN, 200, run(77, "success")).on(
            "GET",
            JOBS,
            200,
            json!({"total_count": 1, "jobs": [job(1, "test", "success")]}),
        );
        let found = fake.run::<GetWorkflowRun>(asked()).await.unwrap();
        assert_eq!((&found["id"], &found["conclusion"]), (&json!(77), &json!("success")));
        assert_eq!(
            found["jobs"]["items"],
            json!([{
                "id": 1, "name": "test", "status": "completed", "conclusion": "success",
                "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:00Z", "steps": [],
            }])
        );
        assert_eq!(fake.requests().await.len(), 2);
    }

    #[tokio::test]
    async fn shows_why_jobs_failed_and_survives_a_deleted_log() {
        // The trimmed official description lacks the logs of a job.
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", RUN, 200, run(77, "failure"))
            .on("GET", JOBS, 200, json!({"total_count": 3, "jobs": [
                job(1, "lint", "success"), job(2, "test", "failure"), job(3, "slow", "timed_out"),
            ]}))
            .on_answer(
                "GET",
                "/repos/octocat/hello/actions/jobs/2/logs",
                ResponseTemplate::new(200).set_body_string(
                    "2026-01-01T00:00:00.1Z 1 is not 2\n2026-01-01T00:00:00.2Z ##[error]Process completed with exit code 1.\n",
                ),
            )
            .on("GET", "/repos/octocat/hello/actions/jobs/3/logs", 410, json!({"message": "Server Error"}));
        let found = fake.run::<GetWorkflowRun>(asked()).await.unwrap();
        let jobs = &found["jobs"]["items"];
        assert_eq!(jobs[0]["steps"], json!([]));
        assert!(jobs[0].get("log").is_none());
        assert_eq!(jobs[1]["steps"][0]["name"], "Run tests");
        assert_eq!(
            jobs[1]["log"],
            json!({"text": "1 is not 2\n##[error]Process completed with exit code 1.", "truncated": false})
        );
        assert!(
            jobs[2]["log_missing"]
                .as_str()
                .unwrap()
                .contains("GitHub has this switched off or deleted")
        );
    }

    #[tokio::test]
    async fn reads_the_logs_of_the_first_failures_only() {
        let jobs: Vec<Value> = (1..=5).map(|id| job(id, "test", "failure")).collect();
        let mut fake = FakeApi::new(&GITHUB).await.on("GET", RUN, 200, run(77, "failure")).on(
            "GET",
            JOBS,
            200,
            json!({"total_count": 5, "jobs": jobs}),
        );
        for id in 1..=5 {
            let path = format!("/repos/octocat/hello/actions/jobs/{id}/logs");
            fake = fake.on_answer("GET", &path, ResponseTemplate::new(200).set_body_string("x"));
        }
        let found = fake.run::<GetWorkflowRun>(asked()).await.unwrap();
        let with_log: Vec<bool> = found["jobs"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job.get("log").is_some())
            .collect();
        assert_eq!(with_log, [true, true, true, false, false]);
    }
}
