//! New projects, with the repository whose pushes they deploy.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::PROJECT_WRITE;
use crate::projects::{Project, ProjectIn};
use crate::settings::Settings;
use crate::teams::Scope;

/// A repository to link.
#[derive(Debug, Deserialize, JsonSchema)]
struct Repository {
    #[serde(default)]
    host: RepositoryHost,
    /// `owner/name`.
    full_name: String,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RepositoryHost {
    #[default]
    Github,
    Gitlab,
    Bitbucket,
}

/// Creates a project, linked to a repository so that each push is deployed.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateProject {
    /// Lower-case letters, digits, `.`, `_`, `-`.
    name: String,
    /// Vercel's app must be installed on it.
    repository: Option<Repository>,
    #[serde(flatten)]
    settings: Settings,
    #[serde(flatten)]
    scope: Scope,
}

impl Action for CreateProject {
    const NAME: &'static str = "create_project";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["host a new website", "set up hosting", "import a repository into Vercel", "new app"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = Project;

    async fn run(self, api: &Api) -> Result<Project> {
        let mut fields = self.settings.fields();
        fields.insert("name".to_owned(), self.name.clone().into());
        if let Some(Repository { host, full_name }) = &self.repository {
            fields.insert("gitRepository".to_owned(), json!({"type": host, "repo": full_name}));
        }
        // https://vercel.com/docs/rest-api/projects/create-a-new-project
        let created = self.scope.on(api, api.post("/v11/projects", &[])).json(&fields).send().await;
        match created {
            Err(error) if error.code() == Code::Conflict => {
                Err(existing(api, ProjectIn { project: self.name, scope: self.scope })
                    .await
                    .unwrap_or(error))
            }
            other => other,
        }
    }
}

/// The conflict, with the project that has the name; `None` if it is not to be seen.
async fn existing(api: &Api, at: ProjectIn) -> Option<Error> {
    let found = at.find(api).await.ok()?;
    let repository = found.repository.and_then(|repository| repository.full_name);
    let linked = repository.map(|name| format!(", linked to {name}")).unwrap_or_default();
    Some(Error::new(
        Code::Conflict,
        format!(
            "Vercel has a project `{}` ({}) already{linked}. Use it, or choose another name. Nothing was created.",
            found.name, found.id
        ),
    ))
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::VERCEL;
    use crate::projects::tests::{SHOP, shop};

    #[tokio::test]
    async fn creates_a_project_that_deploys_a_repository() {
        let fake = FakeApi::new(&VERCEL).await.connected("team_1").on(
            "POST",
            "/v11/projects",
            200,
            shop(),
        );
        let created = fake
            .run::<CreateProject>(json!({
                "name": "shop", "framework": "nextjs", "repository": {"full_name": "acme/shop"},
            }))
            .await
            .unwrap();
        assert_eq!(created["repository"]["full_name"], "acme/shop");
        let request = &fake.requests().await[0];
        assert_eq!(request.query["teamId"], "team_1");
        assert_eq!(
            request.body,
            json!({"framework": "nextjs", "name": "shop", "gitRepository": {"type": "github", "repo": "acme/shop"}})
        );
    }

    #[tokio::test]
    async fn names_the_project_that_has_the_name_already() {
        let taken = json!({"error": {"code": "conflict", "message": "Project \"shop\" already exists, please use a new name."}});
        let fake = FakeApi::new(&VERCEL).await.on("POST", "/v11/projects", 409, taken).on(
            "GET",
            SHOP,
            200,
            shop(),
        );
        let error = fake.run::<CreateProject>(json!({"name": "shop"})).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("(prj_1) already, linked to acme/shop"), "{error}");
    }

    #[tokio::test]
    async fn says_that_vercel_cannot_reach_the_repository() {
        let body = json!({"error": {"code": "bad_request", "message": "The repository could not be accessed. Install the Vercel GitHub app."}});
        let fake = FakeApi::new(&VERCEL).await.on("POST", "/v11/projects", 400, body);
        let asked = json!({"name": "shop", "repository": {"full_name": "acme/shop"}});
        let error = fake.run::<CreateProject>(asked).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("Install the Vercel GitHub app"), "{error}");
    }
}
