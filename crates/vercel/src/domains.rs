//! Domains under which the public reaches a project.

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::{PROJECT_READ, PROJECT_WRITE};
use crate::projects::ProjectIn;
use crate::times::At;

/// A domain of a project.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProjectDomain {
    /// Its name.
    pub name: String,
    /// The registered domain that it belongs to.
    #[serde(rename(deserialize = "apexName"))]
    pub apex: String,
    /// Whether it is shown to be yours; until then the project is not reached under it.
    pub verified: bool,
    /// Records that show that it is yours; one of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verification: Vec<Challenge>,
    /// The domain that it leads to, instead of showing the project.
    #[serde(default, rename(deserialize = "redirect"))]
    pub redirect_to: Option<String>,
    /// How it leads there: 307 and 302 temporarily, 308 and 301 permanently.
    #[serde(default, rename(deserialize = "redirectStatusCode"))]
    pub redirect_status: Option<u16>,
    /// The branch whose previews it shows; absent: production.
    #[serde(default, rename(deserialize = "gitBranch"))]
    pub git_branch: Option<String>,
    /// When it was added.
    #[serde(default, rename(deserialize = "createdAt"))]
    pub created_at: Option<At>,
}

/// A DNS record that shows that a domain is yours.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// Type of the record, such as `TXT`.
    #[serde(rename(deserialize = "type"))]
    pub record_type: String,
    /// Full name of the record.
    #[serde(rename(deserialize = "domain"))]
    pub record_name: String,
    /// What it holds.
    pub value: String,
}

/// Which domain of which project. Actions flatten it into their input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DomainIn {
    #[serde(flatten)]
    pub at: ProjectIn,
    /// Such as `www.example.com`.
    pub domain: String,
}

impl DomainIn {
    /// The domain as it is now.
    pub(crate) async fn find(&self, api: &Api) -> Result<ProjectDomain> {
        // https://vercel.com/docs/rest-api/projects/get-a-project-domain
        let path = "/v9/projects/{}/domains/{}";
        self.at.scope.on(api, api.get(path, &[&self.at.project, &self.domain])).send().await
    }
}

async fn list(api: &Api, at: &ProjectIn, page: &PageRequest) -> Result<Page<ProjectDomain>> {
    // https://vercel.com/docs/rest-api/projects/retrieve-project-domains-by-project-by-id-or-name
    at.scope
        .on(api, api.get("/v9/projects/{}/domains", &[&at.project]))
        .page(page)
        .list_in("domains")
        .await
}

/// Lists the domains of a project, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListProjectDomains {
    #[serde(flatten)]
    at: ProjectIn,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListProjectDomains {
    const NAME: &'static str = "list_project_domains";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "URLs of my site",
        "which domains does the app have",
        "under which addresses is the site reached",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_READ;
    type Output = Page<ProjectDomain>;

    async fn run(self, api: &Api) -> Result<Page<ProjectDomain>> {
        list(api, &self.at, &self.page).await
    }
}

/// How visitors are told to go to another domain.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Redirect {
    Permanent,
    Temporary,
}

/// Adds a domain to a project. Until it is verified and set up at the registrar, it leads nowhere.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AddProjectDomain {
    #[serde(flatten)]
    of: DomainIn,
    /// Whose previews it shows; default production.
    git_branch: Option<String>,
    /// Another domain of the project.
    redirect_to: Option<String>,
    /// Default permanent.
    redirect: Option<Redirect>,
}

impl Action for AddProjectDomain {
    const NAME: &'static str = "add_project_domain";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["use my own domain for the site", "attach a domain to a Vercel project", "custom domain"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = ProjectDomain;

    async fn run(self, api: &Api) -> Result<ProjectDomain> {
        let status = self.redirect_to.as_ref().map(|_| match self.redirect {
            Some(Redirect::Temporary) => 307,
            Some(Redirect::Permanent) | None => 308,
        });
        // https://vercel.com/docs/rest-api/projects/add-a-domain-to-a-project
        self.of
            .at
            .scope
            .on(api, api.post("/v10/projects/{}/domains", &[&self.of.at.project]))
            .fields(json!({
                "name": self.of.domain,
                "gitBranch": self.git_branch,
                "redirect": self.redirect_to,
                "redirectStatusCode": status,
            }))
            .send()
            .await
    }
}

/// Asks Vercel to look for the record that shows that a project's domain is yours.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct VerifyProjectDomain {
    #[serde(flatten)]
    of: DomainIn,
}

impl Action for VerifyProjectDomain {
    const NAME: &'static str = "verify_project_domain";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["prove that a domain is mine", "check domain ownership again", "domain is not verified"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = ProjectDomain;

    async fn run(self, api: &Api) -> Result<ProjectDomain> {
        let path = "/v9/projects/{}/domains/{}/verify";
        let DomainIn { at, domain } = &self.of;
        // https://vercel.com/docs/rest-api/projects/verify-project-domain
        let verified: Result<ProjectDomain> =
            at.scope.on(api, api.post(path, &[&at.project, domain])).send().await;
        match verified {
            Err(error) if error.code() == Code::InvalidInput => {
                Err(self.missing(api).await.unwrap_or(error))
            }
            other => other,
        }
    }
}

impl VerifyProjectDomain {
    /// What Vercel looks for; `None` where it does not say.
    async fn missing(&self, api: &Api) -> Option<Error> {
        let found = self.of.find(api).await.ok()?;
        let wanted = found.verification.first().filter(|_| !found.verified)?;
        Some(Error::new(
            Code::ActionRequired,
            format!(
                "Vercel does not see the record that shows that {} is yours: {} {} with the value {}. Set it at the registrar; it may take some time until Vercel sees it.",
                found.name, wanted.record_type, wanted.record_name, wanted.value
            ),
        ))
    }
}

/// Removes a domain from a project: the public no longer reaches it there. What it returns can be added again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RemoveProjectDomain {
    #[serde(flatten)]
    of: DomainIn,
    /// Also the domains that lead to it.
    #[serde(default)]
    remove_redirects: bool,
}

/// A domain that was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RemovedDomain {
    /// The project, as it was given.
    project: String,
    /// Name of the domain.
    domain: String,
    /// The domain as it was.
    was: ProjectDomain,
    /// The domains that led to it and were removed with it.
    redirects: Vec<ProjectDomain>,
}

impl Action for RemoveProjectDomain {
    const NAME: &'static str = "remove_project_domain";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "detach a domain from a site",
        "stop serving under an address",
        "the domain should no longer lead to the app",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PROJECT_WRITE;
    type Output = RemovedDomain;

    async fn run(self, api: &Api) -> Result<RemovedDomain> {
        // First: what nobody could tell any more is not removed.
        let was = self.of.find(api).await?;
        let redirects =
            if self.remove_redirects { leading_to(api, &self.of).await? } else { Vec::new() };
        let DomainIn { at, domain } = &self.of;
        let path = "/v9/projects/{}/domains/{}";
        // https://vercel.com/docs/rest-api/projects/remove-a-domain-from-a-project
        at.scope
            .on(api, api.delete(path, &[&at.project, domain]))
            .json(&json!({"removeRedirects": self.remove_redirects}))
            .send_or_gone(async || {
                let found = self.of.find(api).await.map(drop);
                let is_gone = found.as_ref().is_err_and(|error| error.code() == Code::NotFound);
                // What led to it went with it, or it is not known what went.
                if is_gone && self.remove_redirects && !leading_to(api, &self.of).await?.is_empty()
                {
                    return Ok(());
                }
                found
            })
            .await?;
        let DomainIn { at, domain } = self.of;
        Ok(RemovedDomain { project: at.project, domain, was, redirects })
    }
}

/// The domains of the project that lead to this one.
async fn leading_to(api: &Api, to: &DomainIn) -> Result<Vec<ProjectDomain>> {
    let mut page = PageRequest { cursor: None, limit: Some(100) };
    let mut found = Vec::new();
    for _ in 0..20 {
        let listed = list(api, &to.at, &page).await?;
        let leads = |one: &ProjectDomain| one.redirect_to.as_ref() == Some(&to.domain);
        found.extend(listed.items.into_iter().filter(leads));
        page.cursor = listed.next_cursor;
        if page.cursor.is_none() {
            return Ok(found);
        }
    }
    Err(Error::new(
        Code::Conflict,
        format!(
            "{} has too many domains to tell which of them lead to {}. Nothing was removed. Remove them one by one.",
            to.at.project, to.domain
        ),
    ))
}

#[cfg(test)]
#[path = "domains/tests.rs"]
pub(crate) mod tests;
