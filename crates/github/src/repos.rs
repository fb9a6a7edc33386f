//! Repositories.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::permissions::METADATA_READ;

/// Which repository. Actions flatten it into their input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Repo {
    /// User or organisation that owns the repository.
    pub owner: String,
    /// Name of the repository.
    pub repo: String,
}

/// A repository.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// `owner/name`.
    pub full_name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether only its members see it.
    pub private: bool,
    /// Whether it is read-only for everybody.
    #[serde(default)]
    pub archived: bool,
    /// The branch that others start from.
    pub default_branch: String,
    /// Its page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
    /// When it last received commits.
    #[serde(default)]
    pub pushed_at: Option<String>,
}

/// Lists the repositories that the connected account can reach, most recently pushed first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListRepositories {
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListRepositories {
    const NAME: &'static str = "list_repositories";
    const RISK: Risk = Risk::Read;
    const PERMISSIONS: &'static [&'static [&'static str]] = METADATA_READ;
    type Output = Page<Repository>;

    async fn run(self, api: &Api) -> Result<Page<Repository>> {
        // https://docs.github.com/rest/repos/repos#list-repositories-for-the-authenticated-user
        api.get("/user/repos", &[]).query("sort", "pushed").page(&self.page).list().await
    }
}

/// Gets one repository.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetRepository {
    #[serde(flatten)]
    at: Repo,
}

impl Action for GetRepository {
    const NAME: &'static str = "get_repository";
    const RISK: Risk = Risk::Read;
    const PERMISSIONS: &'static [&'static [&'static str]] = METADATA_READ;
    type Output = Repository;

    async fn run(self, api: &Api) -> Result<Repository> {
        // https://docs.github.com/rest/repos/repos#get-a-repository
        api.get("/repos/{}/{}", &[&self.at.owner, &self.at.repo]).send().await
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    fn hello() -> Value {
        json!({"id": 1, "full_name": "octocat/hello", "description": null, "private": false, "archived": false,
               "default_branch": "main", "html_url": "https://github.com/octocat/hello", "pushed_at": "2026-01-01T00:00:00Z",
               "owner": {"login": "octocat"}})
    }

    #[tokio::test]
    async fn lists_repositories_page_by_page() {
        let fake = FakeApi::new(&GITHUB).await.on_with(
            "GET",
            "/user/repos",
            200,
            &[("link", "<https://api.github.com/user/repos?per_page=1&page=3>; rel=\"next\", <https://api.github.com/user/repos?page=9>; rel=\"last\"")],
            json!([hello()]),
        );
        let page =
            fake.run::<ListRepositories>(json!({"limit": 1, "cursor": "page=2"})).await.unwrap();
        assert_eq!(page["next_cursor"], "page=3");
        assert_eq!(page["items"][0]["full_name"], "octocat/hello");
        let request = &fake.requests().await[0];
        assert_eq!(
            (request.query["per_page"].as_str(), request.query["page"].as_str()),
            ("1", "2")
        );
        assert_eq!(request.headers["x-github-api-version"], "2026-03-10");
    }

    #[tokio::test]
    async fn refuses_a_cursor_from_elsewhere() {
        let fake = FakeApi::new(&GITHUB).await;
        let error =
            fake.run::<ListRepositories>(json!({"cursor": "sort=pushed"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 0));
    }

    #[tokio::test]
    async fn explains_a_missing_repository() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", "/repos/octocat/hello", 200, hello()).on(
            "GET",
            "/repos/octocat/nope",
            404,
            json!({"message": "Not Found"}),
        );
        let found =
            fake.run::<GetRepository>(json!({"owner": "octocat", "repo": "hello"})).await.unwrap();
        assert_eq!(found["url"], "https://github.com/octocat/hello");
        let error = fake
            .run::<GetRepository>(json!({"owner": "octocat", "repo": "nope"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("may not see it"), "{error}");
    }
}
