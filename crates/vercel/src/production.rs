//! What the public sees: putting a deployment live, and going back to an earlier one.

use resto_core::{Action, Api, Code, Error, Page, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployments::Deployment;
use crate::permissions::{PROJECT_WRITE, PROJECT_WRITE_DEPLOYMENT_READ};
use crate::projects::{Project, ProjectIn};

/// What goes live.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GoesLive {
    /// Name of the project.
    project: String,
    /// The deployment that the public is going to see; `get_project` tells when it does.
    deployment_id: String,
    /// The deployment that the public saw before.
    previous_deployment_id: Option<String>,
}

impl GoesLive {
    fn new(project: Project, deployment_id: String) -> Self {
        let previous_deployment_id = project.production.map(|live| live.deployment_id);
        Self { project: project.name, deployment_id, previous_deployment_id }
    }
}

/// Puts a finished deployment live under the project's domains, without building it again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PromoteDeployment {
    #[serde(flatten)]
    at: ProjectIn,
    /// Such as `dpl_...`.
    deployment_id: String,
}

impl Action for PromoteDeployment {
    const NAME: &'static str = "promote_deployment";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "make a preview live",
        "promote staging to production",
        "put this deployment live",
        "use the preview in production",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = GoesLive;

    async fn run(self, api: &Api) -> Result<GoesLive> {
        let project = self.at.find(api).await?;
        // https://vercel.com/docs/rest-api/projects/points-all-production-domains-for-a-project-to-the-given-deploy
        let asked = self
            .at
            .scope
            .on(api, api.post("/v10/projects/{}/promote/{}", &[&project.id, &self.deployment_id]))
            .send_empty()
            .await;
        confirm(api, &self.at, &self.deployment_id, asked).await?;
        Ok(GoesLive::new(project, self.deployment_id))
    }
}

/// Shows the public an earlier production deployment again, without building it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RollBackProduction {
    #[serde(flatten)]
    at: ProjectIn,
    /// Default the one before the present one.
    deployment_id: Option<String>,
    /// Shown to people of the project.
    reason: Option<String>,
}

impl Action for RollBackProduction {
    const NAME: &'static str = "roll_back_production";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "undo a release",
        "go back to the previous version",
        "the site is broken, revert",
        "vorherige Version zurück",
        "revenir à la version précédente",
        "volver a la versión anterior",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE_DEPLOYMENT_READ;
    type Output = GoesLive;

    async fn run(self, api: &Api) -> Result<GoesLive> {
        let project = self.at.find(api).await?;
        let target = match self.deployment_id {
            Some(id) => id,
            None => earlier(api, &self.at, &project).await?,
        };
        // https://vercel.com/docs/rest-api/projects/points-all-production-domains-for-a-project-to-the-given-deploy
        let asked = self
            .at
            .scope
            .on(api, api.post("/v1/projects/{}/rollback/{}", &[&project.id, &target]))
            .query("description", self.reason)
            .send_empty()
            .await;
        confirm(api, &self.at, &target, asked).await?;
        Ok(GoesLive::new(project, target))
    }
}

/// The newest deployment that was live before the present one.
async fn earlier(api: &Api, at: &ProjectIn, project: &Project) -> Result<String> {
    let nothing = |why: &str| {
        Error::new(
            Code::Conflict,
            format!(
                "Vercel has no deployment of `{}` to go back to: {why}. Nothing was changed.",
                project.name
            ),
        )
    };
    let Some(live) = &project.production else { return Err(nothing("nothing is live")) };
    // https://vercel.com/docs/rest-api/deployments/list-deployments
    let candidates: Page<Deployment> = at
        .scope
        .on(api, api.get("/v7/deployments", &[]))
        .query("projectId", &project.id)
        .query("target", "production")
        .query("rollbackCandidate", true)
        // What is newer than the present one was rolled back from.
        .query("until", live.created)
        .query("limit", 20)
        .list_in("deployments")
        .await?;
    let mut earlier = candidates.items.into_iter().filter(|one| one.id != live.deployment_id);
    earlier.next().map(|one| one.id).ok_or_else(|| nothing("no earlier one was live"))
}

/// Where the answer was lost, the project tells whether the deployment is live.
async fn confirm(api: &Api, at: &ProjectIn, id: &str, asked: Result<()>) -> Result<()> {
    match asked {
        Err(error) if error.code() == Code::UnknownOutcome => {
            let live = at.find(api).await.ok().and_then(|project| project.production);
            if live.is_some_and(|live| live.deployment_id == id) { Ok(()) } else { Err(error) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::VERCEL;
    use crate::projects::tests::{SHOP, shop};

    const PROMOTE: &str = "/v10/projects/prj_1/promote/dpl_new";
    const ROLLBACK: &str = "/v1/projects/prj_1/rollback/dpl_old";

    fn promotes() -> Value {
        json!({"project": "shop", "deployment_id": "dpl_new", "team": "team_2"})
    }

    fn live(id: &str) -> Value {
        let mut project = shop();
        project["targets"]["production"]["id"] = id.into();
        project
    }

    #[tokio::test]
    async fn puts_a_deployment_live() {
        let fake = FakeApi::new(&VERCEL).await.on("GET", SHOP, 200, shop()).on(
            "POST",
            PROMOTE,
            202,
            Value::Null,
        );
        let told = fake.run::<PromoteDeployment>(promotes()).await.unwrap();
        assert_eq!(
            told,
            json!({"project": "shop", "deployment_id": "dpl_new", "previous_deployment_id": "dpl_live"})
        );
        assert_eq!(fake.requests().await[1].query["teamId"], "team_2");
    }

    #[tokio::test]
    async fn looks_whether_it_is_live_when_the_answer_was_lost() {
        for (now, succeeds) in [("dpl_new", true), ("dpl_live", false)] {
            let fake = FakeApi::new(&VERCEL)
                .await
                .on("GET", SHOP, 200, shop())
                .on("GET", SHOP, 200, live(now))
                .on("POST", PROMOTE, 502, json!({}));
            let result = fake.run::<PromoteDeployment>(promotes()).await;
            assert_eq!(result.is_ok(), succeeds);
            assert_eq!(fake.requests().await.iter().filter(|r| r.method == "POST").count(), 1);
        }
    }

    /// The official description has no rollback.
    async fn rolls_back(candidates: &[&str]) -> FakeApi {
        let candidates: Vec<Value> = candidates
            .iter()
            .map(|id| json!({"uid": id, "name": "shop", "readyState": "READY", "target": "production"}))
            .collect();
        FakeApi::new(&VERCEL)
            .await
            .formerly("/v7/deployments", "/v6/deployments")
            .unofficial("POST", ROLLBACK)
            .on("GET", SHOP, 200, shop())
            .on(
                "GET",
                "/v7/deployments",
                200,
                json!({"deployments": candidates, "pagination": {"next": null}}),
            )
            .on("POST", ROLLBACK, 201, Value::Null)
    }

    #[tokio::test]
    async fn goes_back_to_the_deployment_before_the_present_one() {
        let fake = rolls_back(&["dpl_live", "dpl_old", "dpl_older"]).await;
        let asked = json!({"project": "shop", "reason": "Checkout fails"});
        let told = fake.run::<RollBackProduction>(asked).await.unwrap();
        assert_eq!(told["deployment_id"], "dpl_old");
        let requests = fake.requests().await;
        let query = &requests[1].query;
        for (name, value) in
            [("projectId", "prj_1"), ("rollbackCandidate", "true"), ("until", "1767225600000")]
        {
            assert_eq!(query[name], value);
        }
        assert_eq!(requests[2].query["description"], "Checkout fails");
    }

    #[tokio::test]
    async fn goes_back_to_the_one_that_was_named() {
        let fake = rolls_back(&[]).await;
        let asked = json!({"project": "shop", "deployment_id": "dpl_old"});
        fake.run::<RollBackProduction>(asked).await.unwrap();
        assert_eq!(fake.requests().await[1].path, ROLLBACK);
    }

    #[tokio::test]
    async fn says_that_there_is_nothing_to_go_back_to() {
        for candidates in [&["dpl_live"][..], &[]] {
            let fake = rolls_back(candidates).await;
            let asked = json!({"project": "shop"});
            let error = fake.run::<RollBackProduction>(asked).await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict);
            assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
        }
    }
}
