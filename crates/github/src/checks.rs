//! What the checks of a commit say: check runs, and the statuses that other services report.

use resto_core::{Api, Code, Error, Page, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::repos::Repo;

/// Check runs, and as many statuses, that are shown of one commit.
const SHOWN: u32 = 50;

/// One check of a commit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    /// Its name.
    name: String,
    /// `completed`, or how far it is, such as `queued` or `in_progress`.
    status: String,
    /// How it ended: `success`, `failure`, `neutral`, `cancelled`, `skipped`, `timed_out`, ...
    conclusion: Option<String>,
    /// Its page.
    url: Option<String>,
}

/// The checks of a commit.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Checks {
    /// At most 50 check runs and 50 statuses.
    items: Vec<Check>,
    /// Whether there are more.
    truncated: bool,
    /// Why some cannot be read, where the token may not.
    unreadable: Option<String>,
}

#[derive(Deserialize)]
struct CheckRun {
    name: String,
    status: String,
    conclusion: Option<String>,
    html_url: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    state: String,
    target_url: Option<String>,
}

impl From<CheckRun> for Check {
    fn from(run: CheckRun) -> Self {
        Self { name: run.name, status: run.status, conclusion: run.conclusion, url: run.html_url }
    }
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        let pending = status.state == "pending";
        Self {
            name: status.context,
            status: if pending { "pending" } else { "completed" }.to_owned(),
            conclusion: (!pending).then_some(status.state),
            url: status.target_url,
        }
    }
}

impl Checks {
    fn add<T: Into<Check>>(&mut self, page: Result<Page<T>>) -> Result<()> {
        match page {
            Ok(page) => {
                self.truncated |= page.next_cursor.is_some();
                self.items.extend(page.items.into_iter().map(Into::into));
            }
            Err(error) if is_refused(&error) => {
                self.unreadable.get_or_insert(error.message().to_owned());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_refused(error: &Error) -> bool {
    matches!(error.code(), Code::PermissionDenied | Code::NotFound)
}

/// The checks of a commit. A missing right is told in the answer, since fine-grained tokens cannot
/// be given the one for check runs.
pub(crate) async fn of(api: &Api, at: &Repo, sha: &str) -> Result<Checks> {
    // https://docs.github.com/rest/checks/runs#list-check-runs-for-a-git-reference
    let runs = api
        .get("/repos/{}/{}/commits/{}/check-runs", &[&at.owner, &at.repo, &sha])
        .query("per_page", SHOWN)
        .list_in::<CheckRun>("check_runs");
    // https://docs.github.com/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
    let statuses = api
        .get("/repos/{}/{}/commits/{}/status", &[&at.owner, &at.repo, &sha])
        .query("per_page", SHOWN)
        .list_in::<Status>("statuses");
    let (runs, statuses) = futures::join!(runs, statuses);
    let mut checks = Checks::default();
    checks.add(runs)?;
    checks.add(statuses)?;
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::GITHUB;

    const RUNS: &str = "/repos/octocat/hello/commits/aaa111/check-runs";
    const STATUS: &str = "/repos/octocat/hello/commits/aaa111/status";

    async fn read(fake: &FakeApi) -> Result<Checks> {
        let at = Repo { owner: "octocat".into(), repo: "hello".into() };
        of(&fake.api(Risk::Read), &at, "aaa111").await
    }

    #[tokio::test]
    async fn reads_check_runs_and_statuses_alike() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on_with("GET", RUNS, 200, &[("link", "<https://api.github.com/x?page=2>; rel=\"next\"")], json!({"total_count": 60, "check_runs": [
                {"id": 1, "name": "test", "status": "completed", "conclusion": "failure", "html_url": "https://github.com/octocat/hello/runs/1"},
                {"id": 2, "name": "lint", "status": "in_progress", "conclusion": null, "html_url": null},
            ]}))
            .on("GET", STATUS, 200, json!({"state": "pending", "statuses": [
                {"id": 3, "context": "deploy", "state": "success", "target_url": "https://example.com/3"},
                {"id": 4, "context": "audit", "state": "pending", "target_url": null},
            ]}));
        let checks = read(&fake).await.unwrap();
        let told: Vec<_> = checks
            .items
            .iter()
            .map(|check| (check.name.as_str(), check.status.as_str(), check.conclusion.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("test", "completed", Some("failure")),
                ("lint", "in_progress", None),
                ("deploy", "completed", Some("success")),
                ("audit", "pending", None),
            ]
        );
        assert!(checks.truncated && checks.unreadable.is_none());
    }

    #[tokio::test]
    async fn a_missing_right_hides_only_what_it_would_show() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", RUNS, 403, json!({"message": "Resource not accessible by personal access token"}))
            .on("GET", STATUS, 200, json!({"state": "success", "statuses": [{"context": "deploy", "state": "success"}]}));
        let checks = read(&fake).await.unwrap();
        assert_eq!(checks.items.len(), 1);
        assert!(checks.unreadable.unwrap().contains("not accessible by personal access token"));
    }
}
