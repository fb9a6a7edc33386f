//! Deployments: one build of a project, under an address of its own.

use std::collections::BTreeMap;

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Part, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::permissions::{DEPLOYMENT_READ, DEPLOYMENT_WRITE};
use crate::projects::ProjectIn;
use crate::teams::Scope;
use crate::times::At;

/// Which deployment. Actions flatten it into their input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeploymentIn {
    /// Id or host name.
    pub deployment: String,
    #[serde(flatten)]
    pub scope: Scope,
}

impl DeploymentIn {
    /// The deployment as it is now.
    pub(crate) async fn find(&self, api: &Api) -> Result<Deployment> {
        // https://vercel.com/docs/rest-api/deployments/get-a-deployment-by-id-or-url
        self.scope.on(api, api.get("/v13/deployments/{}", &[&self.deployment])).send().await
    }
}

/// A deployment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Answer")]
pub struct Deployment {
    /// Stable id, such as `dpl_...`.
    pub id: String,
    /// Name of its project.
    pub project: String,
    /// `QUEUED`, `INITIALIZING`, `BUILDING`, `READY`, `ERROR`, `CANCELED`, `BLOCKED`, ...
    pub state: String,
    /// Of a ready one for production: `STAGED` (not live yet), `ROLLING` or `PROMOTED`.
    pub stage: Option<String>,
    /// `production`, `preview` or a custom environment.
    pub environment: String,
    /// Its own address; absent while its files are not complete.
    pub url: Option<String>,
    /// Host names that were given to it; only told of a single deployment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub domains: Vec<String>,
    /// Page on which people follow it.
    pub inspector_url: Option<String>,
    /// Branch that was deployed.
    pub branch: Option<String>,
    /// Commit that was deployed.
    pub commit_sha: Option<String>,
    /// First line of the commit's message.
    pub commit_message: Option<String>,
    /// Word for why it failed.
    pub error_code: Option<String>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it was asked for.
    pub created_at: Option<At>,
    /// When it became ready.
    pub ready_at: Option<At>,
    #[serde(skip)]
    pub(crate) facts: Facts,
}

/// What only our own code reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub project_id: Option<String>,
    pub error_step: Option<String>,
    pub error_link: Option<String>,
    pub meta: BTreeMap<String, String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    id: Option<String>,
    /// What a list says instead.
    #[serde(default)]
    uid: Option<String>,
    name: String,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    ready_state: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    ready_substate: Option<String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    custom_environment: Option<CustomEnvironment>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    alias: Option<Vec<String>>,
    #[serde(default)]
    inspector_url: Option<String>,
    #[serde(default)]
    meta: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default)]
    error_step: Option<String>,
    #[serde(default)]
    error_link: Option<String>,
    #[serde(default)]
    created_at: Option<At>,
    #[serde(default)]
    ready: Option<At>,
}

#[derive(Deserialize, JsonSchema)]
struct CustomEnvironment {
    #[serde(default)]
    slug: Option<String>,
}

impl TryFrom<Answer> for Deployment {
    type Error = &'static str;

    fn try_from(answer: Answer) -> Result<Self, Self::Error> {
        let meta: BTreeMap<String, String> = answer
            .meta
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect();
        // Each host of repositories has its own words, such as `githubCommitRef`.
        let of_git = |what: &str| {
            ["github", "gitlab", "bitbucket", "git"]
                .iter()
                .find_map(|host| meta.get(&format!("{host}Commit{what}")))
                .cloned()
        };
        Ok(Self {
            branch: of_git("Ref"),
            commit_sha: of_git("Sha"),
            commit_message: of_git("Message")
                .and_then(|message| message.lines().next().map(str::to_owned)),
            id: answer.id.or(answer.uid).ok_or("a deployment without an id")?,
            project: answer.name,
            state: answer.ready_state.or(answer.state).unwrap_or_else(|| "UNKNOWN".to_owned()),
            stage: answer.ready_substate,
            environment: answer
                .custom_environment
                .and_then(|custom| custom.slug)
                .or(answer.target)
                .unwrap_or_else(|| "preview".to_owned()),
            url: answer.url.filter(|host| !host.is_empty()).map(|host| format!("https://{host}")),
            domains: answer.alias.unwrap_or_default(),
            inspector_url: answer.inspector_url,
            error_code: answer.error_code,
            error_message: answer.error_message,
            created_at: answer.created_at,
            ready_at: answer.ready,
            facts: Facts {
                project_id: answer.project_id,
                error_step: answer.error_step,
                error_link: answer.error_link,
                meta,
            },
        })
    }
}

impl Deployment {
    /// Without what whoever made its commit could write: anybody may have one built, by a pull request. Its error tells the
    /// command that the commit gives, and the domains of a preview have the name of the branch in them.
    pub(crate) fn without_words(self) -> Self {
        let is_public = self.environment == "production";
        let domains = if is_public { self.domains } else { Vec::new() };
        Self { branch: None, commit_message: None, error_message: None, domains, ..self }
    }

    /// Whether nothing more happens to it by itself.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "READY" | "ERROR" | "CANCELED" | "BLOCKED" | "DELETED")
    }
}

/// How far a deployment is, or how it ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum State {
    Queued,
    Initializing,
    Building,
    Ready,
    Error,
    Canceled,
    Blocked,
}

/// For whom a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Production,
    Preview,
}

/// Lists deployments, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDeployments {
    /// Name or id.
    project: Option<String>,
    environment: Option<Target>,
    state: Option<State>,
    branch: Option<String>,
    commit_sha: Option<String>,
    #[serde(flatten)]
    scope: Scope,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDeployments {
    const NAME: &'static str = "list_deployments";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "recent deployments",
        "deployment history",
        "when was the last deploy",
        "latest deployments",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_READ;
    const VIEW: &'static [Part] = &[Part::table(
        "Deployments",
        "items",
        &["project", "state", "environment", "url", "commit_message", "created_at", "branch"],
    )];
    type Output = Page<Deployment>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<Deployment>> {
        // https://vercel.com/docs/rest-api/deployments/list-deployments
        self.scope
            .on(api, api.get("/v7/deployments", &[]))
            .query("projectId", self.project)
            .query("target", self.environment)
            .query("state", self.state)
            .query("branch", self.branch)
            .query("sha", self.commit_sha)
            .page(&self.page)
            .list_in("deployments")
            .await
    }
}

/// Gets a deployment: how far it is, what was deployed, and where it is reached.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetDeployment {
    #[serde(flatten)]
    at: DeploymentIn,
}

impl Action for GetDeployment {
    const NAME: &'static str = "get_deployment";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["status of a deployment", "is it live yet", "preview URL", "what was deployed"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_READ;
    type Output = Deployment;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Deployment> {
        self.at.find(api).await
    }
}

/// Cancels a deployment that is still being built.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CancelDeployment {
    #[serde(flatten)]
    at: DeploymentIn,
}

impl Action for CancelDeployment {
    const NAME: &'static str = "cancel_deployment";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["stop a deployment", "abort a build in progress", "stop the build"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_WRITE;
    type Output = Deployment;

    /// It has the message of a commit.
    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Deployment> {
        let found = self.at.find(api).await?;
        if found.is_final() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "Vercel has ended this deployment already: it is {}. Nothing was cancelled.",
                    found.state
                ),
            ));
        }
        // https://vercel.com/docs/rest-api/deployments/cancel-a-deployment
        self.at.scope.on(api, api.patch("/v12/deployments/{}/cancel", &[&found.id])).send().await
    }
}

/// Deletes a deployment; its addresses stop working, and it cannot be rolled back to.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteDeployment {
    /// Such as `dpl_...`.
    deployment_id: String,
    #[serde(flatten)]
    scope: Scope,
}

/// A deployment that is gone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeletedDeployment {
    /// Its id.
    #[serde(rename(deserialize = "uid"))]
    deployment_id: String,
}

impl Action for DeleteDeployment {
    const NAME: &'static str = "delete_deployment";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["remove an old preview", "delete a deployment for good", "get rid of an old deployment"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_WRITE;
    type Output = DeletedDeployment;

    async fn run(self, api: &Api) -> Result<DeletedDeployment> {
        let at = DeploymentIn { deployment: self.deployment_id, scope: self.scope };
        // First: whoever was never shown it is told the same as after the deletion.
        let was = at.find(api).await?;
        if was.id != at.deployment {
            return Err(Error::invalid(
                "deployment_id",
                format!(
                    "invalid input: `{}` leads to the deployment {} now. Give that id, if it is meant. Nothing was deleted.",
                    at.deployment, was.id
                ),
            ));
        }
        let gone = || DeletedDeployment { deployment_id: was.id.clone() };
        // https://vercel.com/docs/rest-api/deployments/delete-a-deployment
        at.scope
            .on(api, api.delete("/v13/deployments/{}", &[&was.id]))
            .send_or_find(async || match at.find(api).await {
                Ok(now) => Ok((now.state == "DELETED").then(gone)),
                Err(error) if error.code() == Code::NotFound => {
                    let Some(id) = &was.facts.project_id else { return Ok(None) };
                    // The rights are there still.
                    let project = ProjectIn { project: id.clone(), scope: at.scope.clone() };
                    project.find(api).await?;
                    Ok(Some(gone()))
                }
                Err(error) => Err(error),
            })
            .await
    }
}

#[cfg(test)]
#[path = "deployments/tests.rs"]
pub(crate) mod tests;
