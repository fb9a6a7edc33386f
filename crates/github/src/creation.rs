//! New repositories: of a person, of an organisation, or from a template.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::made::is_since;
use crate::people::own_login;
use crate::permissions::REPOSITORY_CREATION;
use crate::repos::{Repo, Repository};

/// Creates a repository, private unless said otherwise, with a README so that files can follow.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateRepository {
    name: String,
    /// The owner, if not the connected account.
    organization: Option<String>,
    description: Option<String>,
    #[serde(default = "yes")]
    private: bool,
    /// With a README; an empty one has no branch.
    #[serde(default = "yes")]
    auto_init: bool,
    /// Such as `Node`.
    gitignore_template: Option<String>,
    /// Such as `mit`.
    license_template: Option<String>,
    /// Repository to copy, with its own README, licence and ignored files.
    template: Option<Repo>,
}

fn yes() -> bool {
    true
}

/// A repository that was just created.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CreatedRepository {
    /// The repository.
    pub repository: Repository,
    /// Whether the token sees it. If false, a person adds it to the repositories that were selected
    /// for the token or the app.
    pub reachable: Option<bool>,
}

impl Action for CreateRepository {
    const NAME: &'static str = "create_repository";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "new repo",
        "start a code project",
        "host source code",
        "neues Repository anlegen",
        "créer un dépôt",
        "crear repositorio",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPOSITORY_CREATION;
    type Output = CreatedRepository;

    async fn run(self, api: &Api) -> Result<CreatedRepository> {
        let created = if let Some(template) = &self.template {
            // https://docs.github.com/rest/repos/repos#create-a-repository-using-a-template
            api.post("/repos/{}/{}/generate", &[&template.owner, &template.repo]).fields(json!({
                "owner": self.organization,
                "name": self.name,
                "description": self.description,
                "private": self.private,
            }))
        } else {
            let fields = json!({
                "name": self.name,
                "description": self.description,
                "private": self.private,
                "auto_init": self.auto_init,
                "gitignore_template": self.gitignore_template,
                "license_template": self.license_template,
            });
            match &self.organization {
                // https://docs.github.com/rest/repos/repos#create-an-organization-repository
                Some(organization) => api.post("/orgs/{}/repos", &[organization]).fields(fields),
                // https://docs.github.com/rest/repos/repos#create-a-repository-for-the-authenticated-user
                None => api.post("/user/repos", &[]).fields(fields),
            }
        };
        let repository = match created.send_or_find(|| self.find(api)).await {
            Ok(created) => created,
            Err(error) if error.code() == Code::Conflict => {
                return Err(self.existing(api).await.unwrap_or(error));
            }
            Err(error) => return Err(error),
        };
        // A token that was limited to selected repositories may not see the new one.
        let seen = match repository.full_name.split_once('/') {
            Some((owner, name)) => {
                api.get("/repos/{}/{}", &[&owner, &name]).send_optional::<IgnoredAny>().await.ok()
            }
            None => None,
        };
        Ok(CreatedRepository { repository, reachable: seen.map(|found| found.is_some()) })
    }
}

impl CreateRepository {
    /// The repository that has the name, if it is to be seen, as GitHub tells it.
    async fn named(&self, api: &Api) -> Result<Option<Value>> {
        let owner = match &self.organization {
            Some(organization) => organization.clone(),
            None => own_login(api).await?,
        };
        api.get("/repos/{}/{}", &[&owner, &self.name]).send_optional().await
    }

    /// The repository whose answer was lost.
    async fn find(&self, api: &Api) -> Result<Option<Repository>> {
        let named = self.named(api).await?;
        let made = named.filter(|one| {
            one.get("created_at").and_then(Value::as_str).is_some_and(|at| is_since(api, at))
        });
        Ok(made.and_then(|made| serde_json::from_value(made).ok()))
    }

    /// The conflict, with the repository that has the name; `None` if it is not to be seen.
    async fn existing(&self, api: &Api) -> Option<Error> {
        let found = self.named(api).await.ok()??;
        let found: Repository = serde_json::from_value(found).ok()?;
        let message = format!(
            "GitHub has a repository `{}` already: {}. Use it, or choose another name. Nothing was created.",
            found.full_name, found.url
        );
        Some(Error::new(Code::Conflict, message).url(found.url))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GITHUB;

    fn shop(owner: &str) -> Value {
        json!({"full_name": format!("{owner}/shop"), "private": true, "default_branch": "main",
               "html_url": format!("https://github.com/{owner}/shop")})
    }

    #[tokio::test]
    async fn creates_a_private_repository_with_a_first_commit() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", "/user/repos", 201, shop("octocat")).on(
            "GET",
            "/repos/octocat/shop",
            200,
            shop("octocat"),
        );
        let created = fake
            .run::<CreateRepository>(json!({"name": "shop", "license_template": "mit"}))
            .await
            .unwrap();
        assert_eq!(
            fake.requests().await[0].body,
            json!({"name": "shop", "private": true, "auto_init": true, "license_template": "mit"})
        );
        assert_eq!(created["repository"]["full_name"], "octocat/shop");
        assert_eq!(created["reachable"], true);
    }

    #[tokio::test]
    async fn says_when_the_token_does_not_see_the_new_repository() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", "/orgs/acme/repos", 201, shop("acme"))
            .on("GET", "/repos/acme/shop", 404, json!({"message": "Not Found"}));
        let created = fake
            .run::<CreateRepository>(
                json!({"name": "shop", "organization": "acme", "private": false, "auto_init": false}),
            )
            .await
            .unwrap();
        assert_eq!(
            fake.requests().await[0].body,
            json!({"name": "shop", "private": false, "auto_init": false})
        );
        assert_eq!(created["reachable"], false);
    }

    #[tokio::test]
    async fn creates_from_a_template() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", "/repos/acme/starter/generate", 201, shop("acme"))
            .on("GET", "/repos/acme/shop", 200, shop("acme"));
        fake.run::<CreateRepository>(json!({"name": "shop", "organization": "acme", "template": {"owner": "acme", "repo": "starter"}}))
            .await
            .unwrap();
        assert_eq!(
            fake.requests().await[0].body,
            json!({"owner": "acme", "name": "shop", "private": true})
        );
    }

    #[tokio::test]
    async fn names_the_repository_that_has_the_name_already() {
        let taken = json!({"message": "Repository creation failed.", "errors": [{"resource": "Repository", "code": "custom", "field": "name", "message": "name already exists on this account"}]});
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("POST", "/user/repos", 422, taken)
            .on("GET", "/user", 200, json!({"login": "octocat"}))
            .on("GET", "/repos/octocat/shop", 200, shop("octocat"));
        let error = fake.run::<CreateRepository>(json!({"name": "shop"})).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert_eq!(error.details().url.as_deref(), Some("https://github.com/octocat/shop"));
        assert_eq!(fake.requests().await.iter().filter(|r| r.method == "POST").count(), 1);
    }
}
