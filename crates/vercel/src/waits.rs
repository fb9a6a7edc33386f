//! Waiting for a deployment: its state is asked again, ever less often, until nothing more happens.

use std::time::Duration;

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployments::{Deployment, DeploymentIn};
use crate::permissions::DEPLOYMENT_READ;

/// The first pause.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// How long it waits when the caller did not say, in seconds.
const USUAL: u64 = 300;

/// Waits until a deployment is ready or failed, and tells its progress. It can be called again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WaitForDeployment {
    #[serde(flatten)]
    at: DeploymentIn,
    /// Default 300.
    #[schemars(range(min = 0, max = 2700))]
    wait_seconds: Option<u64>,
}

/// How the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is built and reachable.
    Ready,
    /// It will not be: `explain_failed_build` tells why.
    Failed,
    /// Somebody cancelled or deleted it.
    Canceled,
    /// The time was up first: wait again.
    StillRunning,
}

/// A deployment after waiting.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Waited {
    /// How the waiting ended.
    pub outcome: Ending,
    /// The deployment as it is now; `get_deployment` tells its branch, its message and why it failed.
    pub deployment: Deployment,
}

impl Action for WaitForDeployment {
    const NAME: &'static str = "wait_for_deployment";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["tell me when the deploy is done", "wait until the site is up", "deployment progress"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_READ;
    type Output = Waited;

    async fn run(self, api: &Api) -> Result<Waited> {
        let limit = Duration::from_secs(self.wait_seconds.unwrap_or(USUAL));
        wait(api, &self.at, pauses(limit)).await
    }
}

/// Pauses that grow to the longest one and are `limit` together.
fn pauses(limit: Duration) -> impl Iterator<Item = Duration> + Clone {
    let mut left = limit;
    let mut next = FIRST;
    std::iter::from_fn(move || {
        let pause = next.min(left);
        left -= pause;
        next = (next * 3 / 2).min(LONGEST);
        (!pause.is_zero()).then_some(pause)
    })
}

/// Looks before the first pause and after each one.
async fn wait(
    api: &Api,
    at: &DeploymentIn,
    pauses: impl Iterator<Item = Duration> + Clone,
) -> Result<Waited> {
    let total = pauses.clone().sum::<Duration>().as_secs();
    let mut waited = Duration::ZERO;
    for pause in pauses {
        let deployment = at.find(api).await?;
        if deployment.is_final() {
            return Ok(ended(deployment));
        }
        let done = waited.as_secs();
        api.progress(done, Some(total), &format!("{} after {done} s", deployment.state));
        if api.cancelled().run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Err(Error::new(
                Code::Cancelled,
                "The caller stopped waiting; the deployment goes on at Vercel.",
            ));
        }
        waited += pause;
    }
    Ok(ended(at.find(api).await?))
}

fn ended(deployment: Deployment) -> Waited {
    let outcome = match deployment.state.as_str() {
        "READY" => Ending::Ready,
        "ERROR" | "BLOCKED" => Ending::Failed,
        "CANCELED" | "DELETED" => Ending::Canceled,
        _ => Ending::StillRunning,
    };
    Waited { outcome, deployment: deployment.without_words() }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::VERCEL;
    use crate::deployments::tests::{DPL, deployment};
    use crate::teams::Scope;

    async fn fake(states: &[&str]) -> FakeApi {
        let mut fake = FakeApi::new(&VERCEL).await;
        for state in states {
            fake = fake.on("GET", DPL, 200, deployment(state));
        }
        fake
    }

    async fn waited(fake: &FakeApi, looks: usize) -> Result<Waited> {
        let at = DeploymentIn { deployment: "dpl_1".into(), scope: Scope::default() };
        wait(&fake.api(Risk::Read), &at, std::iter::repeat_n(Duration::ZERO, looks)).await
    }

    #[tokio::test]
    async fn tells_each_step_until_it_is_ready() {
        let fake = fake(&["QUEUED", "BUILDING", "BUILDING", "READY"]).await;
        let waited = waited(&fake, 9).await.unwrap();
        assert_eq!(waited.outcome, Ending::Ready);
        let steps = ["QUEUED after 0 s", "BUILDING after 0 s", "BUILDING after 0 s"];
        assert_eq!(fake.progress(), steps);
    }

    #[tokio::test]
    async fn stops_at_any_end() {
        for (state, outcome) in [
            ("READY", "ready"),
            ("ERROR", "failed"),
            ("BLOCKED", "failed"),
            ("CANCELED", "canceled"),
        ] {
            let fake = fake(&[state]).await;
            let told = fake.run::<WaitForDeployment>(json!({"deployment": "dpl_1"})).await.unwrap();
            assert_eq!(
                (&told["outcome"], &told["deployment"]["id"]),
                (&json!(outcome), &json!("dpl_1"))
            );
            assert_eq!(fake.requests().await.len(), 1);
        }
    }

    #[tokio::test]
    async fn d7_tells_nothing_that_the_author_of_a_preview_wrote() {
        let mut preview = deployment("READY");
        preview["target"] = json!(null);
        let fake = FakeApi::new(&VERCEL).await.on("GET", DPL, 200, preview);
        let told = fake.run::<WaitForDeployment>(json!({"deployment": "dpl_1"})).await.unwrap();
        assert_eq!(told["deployment"]["commit_sha"], "aaa111");
        assert!(told["deployment"].get("commit_message").is_none(), "{told}");
    }

    #[tokio::test]
    async fn gives_up_when_the_time_is_up() {
        let fake = fake(&["BUILDING"]).await;
        assert_eq!(waited(&fake, 2).await.unwrap().outcome, Ending::StillRunning);
        assert_eq!(fake.requests().await.len(), 3);
        let asked = json!({"deployment": "dpl_1", "wait_seconds": 0});
        let told = fake.run::<WaitForDeployment>(asked).await.unwrap();
        assert_eq!(told["outcome"], "still_running");
        assert_eq!(fake.requests().await.len(), 4);
    }

    #[tokio::test]
    async fn stops_in_a_pause_when_the_caller_gives_up() {
        let fake = fake(&["BUILDING"]).await;
        let api = fake.api(Risk::Read);
        let at = DeploymentIn { deployment: "dpl_1".into(), scope: Scope::default() };
        let waiting = wait(&api, &at, std::iter::once(Duration::MAX));
        let stopping = async {
            while fake.progress().is_empty() {
                tokio::task::yield_now().await;
            }
            fake.cancel();
        };
        let (waited, ()) = futures::join!(waiting, stopping);
        assert_eq!(waited.unwrap_err().code(), Code::Cancelled);
        assert_eq!(fake.requests().await.len(), 1);
    }

    #[test]
    fn asks_ever_less_often_and_keeps_to_the_limit() {
        let seconds: Vec<f32> =
            pauses(Duration::from_secs(40)).map(|pause| pause.as_secs_f32()).collect();
        assert_eq!(seconds, [2.0, 3.0, 4.5, 6.75, 10.0, 10.0, 3.75]);
        assert_eq!(pauses(Duration::ZERO).count(), 0);
    }
}
