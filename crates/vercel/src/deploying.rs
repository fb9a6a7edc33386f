//! New deployments: of the linked repository, or of files.

use resto_core::{Action, Api, Error, Page, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::deployments::{Deployment, Target};
use crate::permissions::DEPLOYMENT_WRITE_PROJECT_READ;
use crate::projects::{Project, ProjectIn};
use crate::uploads::{NewFile, store};

/// Under which a deployment keeps the id of the operation that asked for it.
const OPERATION: &str = "restoOperation";

/// Starts to build and deploy a branch of the linked repository, or given files; a preview or live.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeployProject {
    #[serde(flatten)]
    at: ProjectIn,
    /// `production` is public once ready; default preview.
    environment: Option<Target>,
    /// Branch or tag of the linked repository.
    git_ref: Option<String>,
    /// Default the newest.
    commit_sha: Option<String>,
    /// Instead of a repository: the whole site.
    #[schemars(length(min = 1, max = 300))]
    files: Option<Vec<NewFile>>,
    /// Even if unchanged, such as after a new variable.
    #[serde(default)]
    rebuild: bool,
}

impl Action for DeployProject {
    const NAME: &'static str = "deploy_project";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "deploy my app",
        "put the website online",
        "publish the site",
        "go live",
        "release to production",
        "App deployen",
        "Website veröffentlichen",
        "déployer le site",
        "mettre en ligne",
        "desplegar la web",
        "publicar",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_WRITE_PROJECT_READ;
    type Output = Deployment;

    async fn run(self, api: &Api) -> Result<Deployment> {
        let project = match (&self.git_ref, &self.files) {
            (Some(_), None) => self.at.find(api).await?,
            (None, Some(_)) if self.commit_sha.is_none() => self.at.find(api).await?,
            _ => {
                return Err(Error::invalid(
                    "git_ref",
                    "invalid input: give `git_ref`, perhaps with `commit_sha`, or `files`. Nothing was sent.",
                ));
            }
        };
        let (source, files) = match (&self.git_ref, &self.files) {
            (Some(reference), _) => {
                (Some(source(&project, reference, self.commit_sha.as_deref())?), None)
            }
            (None, files) => {
                let files = files.as_deref().unwrap_or_default();
                (None, Some(store(api, &self.at.scope, files).await?))
            }
        };
        let production = self.environment == Some(Target::Production);
        // https://vercel.com/docs/rest-api/deployments/create-a-new-deployment
        self.at
            .scope
            .on(api, api.post("/v13/deployments", &[]))
            .query("skipAutoDetectionConfirmation", "1")
            .query("forceNew", self.rebuild.then_some("1"))
            .fields(json!({
                "name": project.name,
                "project": project.id,
                "target": production.then_some("production"),
                "gitSource": source,
                "files": files,
                "meta": {OPERATION: api.op_id().to_string()},
            }))
            .send_or_find(|| self.started(api, &project))
            .await
            .map(Deployment::without_words)
    }
}

impl DeployProject {
    /// The deployment whose answer was lost, if it is there.
    async fn started(&self, api: &Api, project: &Project) -> Result<Option<Deployment>> {
        // https://vercel.com/docs/rest-api/deployments/list-deployments
        let newest: Page<Deployment> = self
            .at
            .scope
            .on(api, api.get("/v7/deployments", &[]))
            .query("projectId", &project.id)
            .query("limit", 20)
            .list_in("deployments")
            .await?;
        let operation = api.op_id().to_string();
        let is_it = |one: &Deployment| one.facts.meta.get(OPERATION) == Some(&operation);
        Ok(newest.items.into_iter().find(is_it))
    }
}

fn source(project: &Project, reference: &str, sha: Option<&str>) -> Result<serde_json::Value> {
    let source = project.repository.as_ref().and_then(|link| link.source(reference, sha));
    source.ok_or_else(|| {
        Error::invalid(
            "git_ref",
            format!(
                "invalid input: `{}` has no linked repository that can be deployed from here. A person links one in the project's settings, or give `files`. Nothing was sent.",
                project.name
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::VERCEL;
    use crate::deployments::tests::deployment;
    use crate::projects::tests::{SHOP, shop};

    const DEPLOYMENTS: &str = "/v13/deployments";
    const OPERATION_ID: &str = "00000000-0000-0000-0000-000000000007";

    async fn fake() -> FakeApi {
        FakeApi::new(&VERCEL).await.on("GET", SHOP, 200, shop()).on(
            "POST",
            DEPLOYMENTS,
            200,
            deployment("QUEUED"),
        )
    }

    #[tokio::test]
    async fn deploys_a_commit_of_the_linked_repository() {
        let fake = fake().await;
        let asked = json!({
            "project": "shop", "environment": "production", "git_ref": "main", "commit_sha": "aaa111", "rebuild": true,
        });
        let started = fake.run::<DeployProject>(asked).await.unwrap();
        assert_eq!((&started["id"], &started["state"]), (&json!("dpl_1"), &json!("QUEUED")));
        let request = &fake.requests().await[1];
        assert_eq!(
            request.body,
            json!({
                "name": "shop", "project": "prj_1", "target": "production", "meta": {"restoOperation": OPERATION_ID},
                "gitSource": {"type": "github", "repoId": 42, "ref": "main", "sha": "aaa111"},
            })
        );
        assert_eq!(request.query["forceNew"], "1");
    }

    #[tokio::test]
    async fn d7_tells_nothing_that_the_author_of_a_preview_wrote() {
        let mut preview = deployment("QUEUED");
        preview["target"] = Value::Null;
        let fake = FakeApi::new(&VERCEL).await.on("GET", SHOP, 200, shop());
        let fake = fake.on("POST", DEPLOYMENTS, 200, preview);
        let asked = json!({"project": "shop", "git_ref": "refs/pull/1/head"});
        let started = fake.run::<DeployProject>(asked).await.unwrap();
        assert_eq!(started["commit_sha"], "aaa111");
        assert!(started.get("commit_message").is_none(), "{started}");
    }

    #[tokio::test]
    async fn stores_each_content_once_and_deploys_files_by_their_digests() {
        let fake = fake().await.on("POST", "/v2/files", 200, json!({}));
        let asked = json!({"project": "shop", "files": [
            {"path": "index.html", "text": "<h1>Hello</h1>"},
            {"path": "logo.bin", "base64": "AAEC"},
            {"path": "copy/index.html", "text": "<h1>Hello</h1>"},
        ]});
        fake.run::<DeployProject>(asked).await.unwrap();
        let requests = fake.requests().await;
        let mut stored: Vec<&str> = requests
            .iter()
            .filter(|request| request.path == "/v2/files")
            .map(|request| request.headers["x-vercel-digest"].as_str())
            .collect();
        stored.sort_unstable();
        // From `printf '...' | sha1sum`.
        let (logo, page) = (
            "0c7a623fd2bbc05b06423be359e4021d36e721ad",
            "6b2825b8dc7d97d4dbfcf06e9139f899772f810f",
        );
        assert_eq!(stored, [logo, page]);
        let body = &requests.last().unwrap().body;
        assert_eq!(
            body["files"],
            json!([
                {"file": "copy/index.html", "sha": page, "size": 14},
                {"file": "index.html", "sha": page, "size": 14},
                {"file": "logo.bin", "sha": logo, "size": 3},
            ])
        );
        assert!(body.get("target").is_none());
        assert_eq!(fake.progress(), ["Storing files"]);
    }

    #[tokio::test]
    async fn deploys_nothing_when_a_file_was_not_stored() {
        let fake = fake().await.on("POST", "/v2/files", 502, json!({}));
        let asked = json!({"project": "shop", "files": [{"path": "a.txt", "text": "hello there"}]});
        let error = fake.run::<DeployProject>(asked).await.unwrap_err();
        assert_eq!(error.code(), Code::ProviderDown);
        assert!(fake.requests().await.iter().all(|request| request.path != DEPLOYMENTS));
    }

    #[tokio::test]
    async fn finds_its_deployment_when_the_answer_was_lost() {
        for (operation, succeeds) in [(OPERATION_ID, true), ("another", false)] {
            let listed = json!({"uid": "dpl_9", "name": "shop", "readyState": "QUEUED", "meta": {"restoOperation": operation}});
            let fake = FakeApi::new(&VERCEL)
                .await
                .formerly("/v7/deployments", "/v6/deployments")
                .on("GET", SHOP, 200, shop())
                .on("POST", DEPLOYMENTS, 504, json!({}))
                .on(
                    "GET",
                    "/v7/deployments",
                    200,
                    json!({"deployments": [listed], "pagination": {}}),
                );
            let asked = json!({"project": "shop", "git_ref": "main"});
            let result = fake.run::<DeployProject>(asked).await;
            match result {
                Ok(found) => assert!(succeeds && found["id"] == "dpl_9"),
                Err(error) => assert!(!succeeds && error.code() == Code::UnknownOutcome),
            }
            assert_eq!(fake.requests().await.iter().filter(|r| r.method == "POST").count(), 1);
        }
    }

    #[tokio::test]
    async fn refuses_what_cannot_be_deployed() {
        let mut unlinked = shop();
        unlinked["link"] = Value::Null;
        let fake = FakeApi::new(&VERCEL).await.on("GET", SHOP, 200, unlinked);
        for asked in [
            json!({"project": "shop"}),
            json!({"project": "shop", "git_ref": "main"}),
            json!({"project": "shop", "git_ref": "main", "files": [{"path": "a", "text": ""}]}),
            json!({"project": "shop", "commit_sha": "a", "files": [{"path": "a", "text": ""}]}),
            json!({"project": "shop", "files": [{"path": "a"}]}),
            json!({"project": "shop", "files": [{"path": "a", "base64": "?"}]}),
            json!({"project": "shop", "files": [{"path": "../a", "text": ""}]}),
            json!({"project": "shop", "files": [{"path": "a", "text": ""}, {"path": "a", "text": ""}]}),
        ] {
            let error = fake.run::<DeployProject>(asked).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidInput, "{error}");
        }
        assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
    }
}
