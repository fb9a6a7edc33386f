//! Why a build failed: what Vercel says, and the part of the log that shows it.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build_logs::{LogLine, newest};
use crate::deployments::DeploymentIn;
use crate::permissions::DEPLOYMENT_READ;

/// Entries of the log that are looked through, from its end.
const LOOKED_AT: u32 = 1_000;
/// Lines shown before an error, where its cause mostly is.
const BEFORE: usize = 25;
/// Lines shown after an error.
const AFTER: usize = 2;
/// Lines shown at the end of a log that marks no error.
const TAIL: usize = 60;
/// Characters of the log that are shown.
const SHOWN: usize = 4_000;

/// A failed build.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailedBuild {
    /// Its id.
    deployment_id: String,
    /// `ERROR`, `CANCELED` or `BLOCKED`.
    state: String,
    /// Word for why, such as `BUILD_FAILED`.
    error_code: Option<String>,
    /// Why, in Vercel's words.
    error_message: Option<String>,
    /// The step at which it failed.
    failed_step: Option<String>,
    /// Page that explains it.
    help_url: Option<String>,
    /// The commit that was built.
    commit_sha: Option<String>,
    /// Page on which people see the whole log.
    inspector_url: Option<String>,
    /// The lines around the errors, oldest first; empty if nothing was built.
    log: String,
    /// Whether lines are left out; `get_build_logs` has them.
    truncated: bool,
}

/// Tells why a deployment failed, with the part of its build log around the errors.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExplainFailedBuild {
    #[serde(flatten)]
    at: DeploymentIn,
}

impl Action for ExplainFailedBuild {
    const NAME: &'static str = "explain_failed_build";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "why did the deployment fail",
        "build error",
        "warum ist das Deployment fehlgeschlagen",
        "échec du déploiement",
        "the deployment broke",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_READ;
    type Output = FailedBuild;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<FailedBuild> {
        let found = self.at.find(api).await?;
        if !matches!(found.state.as_str(), "ERROR" | "CANCELED" | "BLOCKED") {
            return Err(Error::new(
                Code::Conflict,
                format!("Vercel says that this deployment is {}: it did not fail.", found.state),
            ));
        }
        let log = newest(api, &self.at, LOOKED_AT, None).await?;
        let (log, truncated) = around_errors(&log.lines);
        Ok(FailedBuild {
            deployment_id: found.id,
            state: found.state,
            error_code: found.error_code,
            error_message: found.error_message,
            failed_step: found.facts.error_step,
            help_url: found.facts.error_link,
            commit_sha: found.commit_sha,
            inspector_url: found.inspector_url,
            log,
            truncated,
        })
    }
}

/// The lines around the errors, the last of them if they are too many, and whether any are missing.
fn around_errors(lines: &[LogLine]) -> (String, bool) {
    let errors: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.is_error || line.text.starts_with("Error: "))
        .map(|(at, _)| at)
        .collect();
    let is_shown = |at: usize| {
        if errors.is_empty() {
            at + TAIL >= lines.len()
        } else {
            // The first error that this line can still belong to is enough: they are in order.
            let next = errors.partition_point(|error| error + AFTER < at);
            errors.get(next).is_some_and(|error| at + BEFORE >= *error)
        }
    };
    let shown: Vec<&str> = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| is_shown(*at))
        .map(|(_, line)| line.text.as_str())
        .collect();
    let text = shown.join("\n");
    let skipped = text.chars().count().saturating_sub(SHOWN);
    let truncated = skipped > 0 || shown.len() < lines.len();
    (text.chars().skip(skipped).collect(), truncated)
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::VERCEL;
    use crate::build_logs::tests::{EVENTS, event};
    use crate::deployments::tests::{DPL, deployment};

    fn line(text: &str) -> LogLine {
        LogLine { at: None, text: text.to_owned(), is_error: false }
    }

    #[tokio::test]
    async fn tells_why_and_shows_the_lines_around_the_error() {
        let mut failed = deployment("ERROR");
        failed["errorCode"] = "BUILD_FAILED".into();
        failed["errorMessage"] = "Command \"npm run build\" exited with 1".into();
        failed["errorStep"] = "buildStep".into();
        let mut events: Vec<Value> =
            (1..=50).map(|at| event(at, "stdout", &format!("step {at}"))).collect();
        events.push(event(51, "stderr", "Type error: `x` is not a number"));
        events.push(event(52, "stderr", "Error: Command \"npm run build\" exited with 1"));
        events.reverse();
        let fake =
            FakeApi::new(&VERCEL).await.on("GET", DPL, 200, failed).on("GET", EVENTS, 200, events);
        let told = fake.run::<ExplainFailedBuild>(json!({"deployment": "dpl_1"})).await.unwrap();
        assert_eq!(told["error_code"], "BUILD_FAILED");
        assert_eq!(
            (&told["failed_step"], &told["commit_sha"]),
            (&json!("buildStep"), &json!("aaa111"))
        );
        let log = told["log"].as_str().unwrap();
        assert!(log.starts_with("step 27\n"), "{log}");
        assert!(
            log.ends_with("not a number\nError: Command \"npm run build\" exited with 1"),
            "{log}"
        );
        assert_eq!(told["truncated"], true);
    }

    #[tokio::test]
    async fn says_that_a_deployment_did_not_fail() {
        for state in ["READY", "BUILDING"] {
            let fake = FakeApi::new(&VERCEL).await.on("GET", DPL, 200, deployment(state));
            let asked = json!({"deployment": "dpl_1"});
            let error = fake.run::<ExplainFailedBuild>(asked).await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict);
            assert!(error.message().contains(state), "{error}");
        }
    }

    #[test]
    fn shows_the_end_of_a_log_without_marked_errors() {
        let lines: Vec<LogLine> = (0..100).map(|at| line(&format!("line {at}"))).collect();
        let (text, truncated) = around_errors(&lines);
        assert!(text.starts_with("line 40\n") && text.ends_with("line 99") && truncated);
        assert_eq!(around_errors(&[line("only")]), ("only".to_owned(), false));
    }

    #[test]
    fn keeps_within_its_bounds() {
        let long = format!("Error: {}", "x".repeat(490));
        let lines: Vec<LogLine> = (0..50).map(|_| line(&long)).collect();
        assert_eq!(around_errors(&lines).0.chars().count(), SHOWN);
    }
}
