//! Projects: each one is a site or an application, with its settings and its linked repository.

use resto_core::{Action, Api, Error, Page, PageRequest, Paging, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::links::Link;
use crate::permissions::{PROJECT_READ, PROJECT_WRITE};
use crate::settings::Settings;
use crate::teams::Scope;
use crate::times::At;

/// Projects go on by a continuation token of their own.
static PAGING: Paging =
    Paging::Cursor { size: "limit", max: 100, cursor: "from", next: "/pagination/next" };

/// Which project. Actions flatten it into their input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProjectIn {
    /// Name or id.
    pub project: String,
    #[serde(flatten)]
    pub scope: Scope,
}

impl ProjectIn {
    /// The project, with its id, its name and what is linked to it.
    pub(crate) async fn find(&self, api: &Api) -> Result<Project> {
        // https://vercel.com/docs/rest-api/projects/find-a-project-by-id-or-name
        self.scope.on(api, api.get("/v9/projects/{}", &[&self.project])).send().await
    }
}

/// A project.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Stable id.
    pub id: String,
    /// Its name, also in the addresses of its deployments.
    pub name: String,
    /// What it is built with, such as `nextjs`; absent if none was chosen.
    #[serde(default)]
    pub framework: Option<String>,
    /// The linked repository, whose pushes are deployed.
    #[serde(default, rename(deserialize = "link"))]
    pub repository: Option<Link>,
    /// Folder of the repository in which it lives; absent: the whole repository.
    #[serde(default, rename(deserialize = "rootDirectory"))]
    pub root_directory: Option<String>,
    /// Command that builds it; absent: the framework's.
    #[serde(default, rename(deserialize = "buildCommand"))]
    pub build_command: Option<String>,
    /// Command that installs its dependencies; absent: detected.
    #[serde(default, rename(deserialize = "installCommand"))]
    pub install_command: Option<String>,
    /// Folder that the build writes; absent: the framework's.
    #[serde(default, rename(deserialize = "outputDirectory"))]
    pub output_directory: Option<String>,
    /// Version of Node.js, such as `22.x`.
    #[serde(default, rename(deserialize = "nodeVersion"))]
    pub node_version: Option<String>,
    /// What the public sees; absent: nothing yet.
    #[serde(default, rename(deserialize = "targets"), deserialize_with = "production")]
    pub production: Option<Live>,
    /// When it was created.
    #[serde(default, rename(deserialize = "createdAt"))]
    pub created_at: Option<At>,
    /// When it last changed.
    #[serde(default, rename(deserialize = "updatedAt"))]
    pub updated_at: Option<At>,
}

/// The deployment that the public sees.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// Its id.
    #[serde(rename(deserialize = "id"))]
    pub deployment_id: String,
    /// Host names under which it is reached.
    #[serde(default, rename(deserialize = "alias"))]
    pub domains: Vec<String>,
    /// When it was asked for, in milliseconds since 1970.
    #[serde(default, rename(deserialize = "createdAt"), skip_serializing)]
    pub(crate) created: Option<i64>,
}

/// The deployments of a project are told by environment; only the public's one matters here.
fn production<'de, D: serde::Deserializer<'de>>(targets: D) -> Result<Option<Live>, D::Error> {
    #[derive(Deserialize)]
    struct Targets {
        #[serde(default)]
        production: Option<Live>,
    }
    Ok(Option::<Targets>::deserialize(targets)?.and_then(|targets| targets.production))
}

/// Lists projects, most recently changed first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListProjects {
    /// In the name.
    search: Option<String>,
    #[serde(flatten)]
    scope: Scope,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListProjects {
    const NAME: &'static str = "list_projects";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["my hosted apps", "all websites at Vercel", "Projekte bei Vercel"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_READ;
    type Output = Page<Project>;

    async fn run(self, api: &Api) -> Result<Page<Project>> {
        // https://vercel.com/docs/rest-api/projects/retrieve-a-list-of-projects
        self.scope
            .on(api, api.get("/v10/projects", &[]))
            .query("search", self.search)
            .page_by(&PAGING, &self.page)
            .list_in("projects")
            .await
    }
}

/// Gets a project: its settings, its repository and what is live.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetProject {
    #[serde(flatten)]
    at: ProjectIn,
}

impl Action for GetProject {
    const NAME: &'static str = "get_project";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["settings of an app", "build command and framework", "what is in production"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_READ;
    type Output = Project;

    async fn run(self, api: &Api) -> Result<Project> {
        self.at.find(api).await
    }
}

/// Changes a project's name or how it is built. It takes effect with the next deployment.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateProject {
    #[serde(flatten)]
    at: ProjectIn,
    new_name: Option<String>,
    /// Such as `22.x`.
    node_version: Option<String>,
    /// False: production deployments wait to be promoted.
    go_live_automatically: Option<bool>,
    #[serde(flatten)]
    settings: Settings,
}

impl Action for UpdateProject {
    const NAME: &'static str = "update_project";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["rename an app", "change the build command or framework", "project settings"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = Project;

    async fn run(self, api: &Api) -> Result<Project> {
        let mut changes = self.settings.fields();
        let mut given = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                changes.insert(name.to_owned(), value);
            }
        };
        given("name", self.new_name.map(Into::into));
        given("nodeVersion", self.node_version.map(Into::into));
        given("autoAssignCustomDomains", self.go_live_automatically.map(Into::into));
        if changes.is_empty() {
            return Err(Error::new(
                resto_core::Code::InvalidInput,
                "invalid input: no field to change was given. Nothing was sent.",
            ));
        }
        // https://vercel.com/docs/rest-api/projects/update-an-existing-project
        self.at
            .scope
            .on(api, api.patch("/v9/projects/{}", &[&self.at.project]))
            .json(&changes)
            .send()
            .await
    }
}

/// Deletes a project with all its deployments, domains and variables; its site goes offline.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteProject {
    #[serde(flatten)]
    at: ProjectIn,
}

/// A project that is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeletedProject {
    /// Its name or id, as it was given.
    project: String,
}

impl Action for DeleteProject {
    const NAME: &'static str = "delete_project";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["take a website down for good", "remove an app from Vercel", "Projekt löschen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = DeletedProject;

    async fn run(self, api: &Api) -> Result<DeletedProject> {
        let ProjectIn { project, scope } = &self.at;
        let path = "/v9/projects/{}";
        let look = || scope.on(api, api.get(path, &[project])).send_empty();
        // https://vercel.com/docs/rest-api/projects/delete-a-project
        scope.on(api, api.delete(path, &[project])).send_or_gone(look).await?;
        Ok(DeletedProject { project: self.at.project })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::VERCEL;

    pub(crate) const SHOP: &str = "/v9/projects/shop";

    /// A project as Vercel answers it, trimmed.
    pub(crate) fn shop() -> Value {
        json!({
            "id": "prj_1", "name": "shop", "accountId": "team_1", "framework": "nextjs", "directoryListing": false,
            "nodeVersion": "22.x", "buildCommand": null, "rootDirectory": null, "env": [{"key": "A", "value": "hidden"}],
            "link": {"type": "github", "org": "acme", "repo": "shop", "repoId": 42, "productionBranch": "main",
                "gitCredentialId": "c", "deployHooks": [{"id": "h", "name": "n", "ref": "main", "url": "https://hook"}]},
            "targets": {"production": {"id": "dpl_live", "alias": ["shop.example.com"], "readyState": "READY",
                "createdAt": 1_767_225_600_000_i64}},
            "createdAt": 1_767_225_600_000_i64, "updatedAt": 1_767_225_601_000_i64,
        })
    }

    #[tokio::test]
    async fn lists_projects_page_by_page() {
        let fake = FakeApi::new(&VERCEL).await.on(
            "GET",
            "/v10/projects",
            200,
            json!({"projects": [shop()], "pagination": {"count": 1, "next": "token2"}}),
        );
        let asked = json!({"limit": 1, "cursor": "token1", "search": "sho", "team": "acme"});
        let page = fake.run::<ListProjects>(asked).await.unwrap();
        assert_eq!(page["next_cursor"], "token2");
        assert_eq!(page["items"][0]["name"], "shop");
        let query = &fake.requests().await[0].query;
        assert_eq!(
            (query["from"].as_str(), query["limit"].as_str(), query["search"].as_str()),
            ("token1", "1", "sho")
        );
    }

    #[tokio::test]
    async fn tells_what_is_live_and_no_values_of_variables() {
        let fake = FakeApi::new(&VERCEL).await.on("GET", SHOP, 200, shop());
        let project = fake.run::<GetProject>(json!({"project": "shop"})).await.unwrap();
        assert_eq!(
            project,
            json!({
                "id": "prj_1", "name": "shop", "framework": "nextjs", "node_version": "22.x",
                "repository": {"host": "github", "full_name": "acme/shop", "production_branch": "main"},
                "production": {"deployment_id": "dpl_live", "domains": ["shop.example.com"]},
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:01Z",
            })
        );
    }

    #[tokio::test]
    async fn a_project_that_was_never_deployed_has_nothing_live() {
        for targets in [json!({}), Value::Null, json!({"production": null})] {
            let mut project = shop();
            project["targets"] = targets;
            project["link"] = Value::Null;
            let fake = FakeApi::new(&VERCEL).await.on("GET", SHOP, 200, project);
            let project = fake.run::<GetProject>(json!({"project": "shop"})).await.unwrap();
            assert!(project.get("production").is_none() && project.get("repository").is_none());
        }
    }

    #[tokio::test]
    async fn changes_only_what_was_given() {
        let fake = FakeApi::new(&VERCEL).await.on("PATCH", SHOP, 200, shop());
        let error = fake.run::<UpdateProject>(json!({"project": "shop"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 0));
        fake.run::<UpdateProject>(json!({
            "project": "shop", "new_name": "store", "build_command": "make", "root_directory": "",
            "go_live_automatically": false,
        }))
        .await
        .unwrap();
        assert_eq!(
            fake.requests().await[0].body,
            json!({"name": "store", "buildCommand": "make", "rootDirectory": null, "autoAssignCustomDomains": false})
        );
    }

    #[tokio::test]
    async fn deletes_a_project() {
        let fake = FakeApi::new(&VERCEL).await.on("DELETE", SHOP, 204, Value::Null);
        let gone = fake.run::<DeleteProject>(json!({"project": "shop"})).await.unwrap();
        assert_eq!(gone, json!({"project": "shop"}));
        assert_eq!(fake.requests().await[0].method, "DELETE");
        // Where the answer is lost, the project is looked for.
        let fake = FakeApi::new(&VERCEL).await.on("DELETE", SHOP, 502, json!({})).on(
            "GET",
            SHOP,
            404,
            json!({"error": {"code": "not_found"}}),
        );
        assert_eq!(fake.run::<DeleteProject>(json!({"project": "shop"})).await.unwrap(), gone);
    }
}
