//! Repositories.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes::given;
use crate::permissions::{ADMINISTRATION_WRITE, METADATA_READ, REPOSITORY_DELETION};
use crate::standing::Standing;

/// Which repository. Actions flatten it into their input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Repo {
    pub owner: String,
    pub repo: String,
}

/// A repository.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// `owner/name`.
    pub full_name: String,
    /// What it is for; a list leaves it out where outsiders may have written it.
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

/// A repository, and how the account stands to it.
#[derive(Deserialize)]
struct Told {
    #[serde(flatten)]
    repository: Repository,
    #[serde(flatten)]
    standing: Standing,
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
    const PHRASES: &'static [&'static str] = &[
        "my repos",
        "all our code projects",
        "meine Repositories",
        "mes dépôts",
        "mis repositorios",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = METADATA_READ;
    type Output = Page<Repository>;

    async fn run(self, api: &Api) -> Result<Page<Repository>> {
        // https://docs.github.com/rest/repos/repos#list-repositories-for-the-authenticated-user
        let page: Page<Told> =
            api.get("/user/repos", &[]).query("sort", "pushed").page(&self.page).list().await?;
        Ok(page.map(|Told { repository, standing }| {
            let is_own = standing.is_own(repository.private);
            Repository { description: repository.description.filter(|_| is_own), ..repository }
        }))
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
    const PHRASES: &'static [&'static str] = &[
        "info about one repo",
        "default branch and settings of a project",
        "is the repo private or public",
        "size, language and description of a repo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = METADATA_READ;
    type Output = Repository;

    async fn run(self, api: &Api) -> Result<Repository> {
        // https://docs.github.com/rest/repos/repos#get-a-repository
        let Told { repository, standing } =
            api.get("/repos/{}/{}", &[&self.at.owner, &self.at.repo]).send().await?;
        if !standing.is_own(repository.private) {
            api.note_outsiders().await?;
        }
        Ok(repository)
    }
}

/// Changes a repository's name, description, default branch or merge settings; not its visibility.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateRepository {
    #[serde(flatten)]
    at: Repo,
    new_name: Option<String>,
    description: Option<String>,
    homepage: Option<String>,
    /// An existing one.
    default_branch: Option<String>,
    has_issues: Option<bool>,
    has_wiki: Option<bool>,
    is_template: Option<bool>,
    allow_merge_commit: Option<bool>,
    allow_squash_merge: Option<bool>,
    allow_rebase_merge: Option<bool>,
    allow_auto_merge: Option<bool>,
    delete_branch_on_merge: Option<bool>,
}

impl Action for UpdateRepository {
    const NAME: &'static str = "update_repository";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "rename a repo",
        "change the project description",
        "repository settings",
        "merge settings",
        "squash only",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ADMINISTRATION_WRITE;
    type Output = Repository;

    async fn run(self, api: &Api) -> Result<Repository> {
        let changes = given(json!({
            "name": self.new_name,
            "description": self.description,
            "homepage": self.homepage,
            "default_branch": self.default_branch,
            "has_issues": self.has_issues,
            "has_wiki": self.has_wiki,
            "is_template": self.is_template,
            "allow_merge_commit": self.allow_merge_commit,
            "allow_squash_merge": self.allow_squash_merge,
            "allow_rebase_merge": self.allow_rebase_merge,
            "allow_auto_merge": self.allow_auto_merge,
            "delete_branch_on_merge": self.delete_branch_on_merge,
        }))?;
        // https://docs.github.com/rest/repos/repos#update-a-repository
        api.patch("/repos/{}/{}", &[&self.at.owner, &self.at.repo]).json(&changes).send().await
    }
}

/// Makes a repository read-only for everybody, or writable again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ArchiveRepository {
    #[serde(flatten)]
    at: Repo,
    /// False makes it writable again.
    #[serde(default = "yes")]
    archived: bool,
}

fn yes() -> bool {
    true
}

impl Action for ArchiveRepository {
    const NAME: &'static str = "archive_repository";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "archive a project",
        "freeze a repository",
        "set read-only",
        "retire old code",
        "unarchive",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ADMINISTRATION_WRITE;
    type Output = Repository;

    async fn run(self, api: &Api) -> Result<Repository> {
        // https://docs.github.com/rest/repos/repos#update-a-repository
        api.patch("/repos/{}/{}", &[&self.at.owner, &self.at.repo])
            .json(&json!({"archived": self.archived}))
            .send()
            .await
    }
}

/// Deletes a repository with its issues, pull requests and releases.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteRepository {
    #[serde(flatten)]
    at: Repo,
}

/// A repository that is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeletedRepository {
    /// `owner/name`.
    pub full_name: String,
}

impl Action for DeleteRepository {
    const NAME: &'static str = "delete_repository";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] = &[
        "destroy a repo",
        "remove a code project for ever",
        "Repository löschen",
        "supprimer le dépôt",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPOSITORY_DELETION;
    type Output = DeletedRepository;

    async fn run(self, api: &Api) -> Result<DeletedRepository> {
        let Repo { owner, repo } = &self.at;
        let look = || api.get("/repos/{}/{}", &[owner, repo]).send_empty();
        // First: whoever may not see it is told the same as after the deletion.
        look().await?;
        // https://docs.github.com/rest/repos/repos#delete-a-repository
        api.delete("/repos/{}/{}", &[owner, repo]).send_or_gone(look).await?;
        Ok(DeletedRepository { full_name: format!("{}/{}", self.at.owner, self.at.repo) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[tokio::test]
    async fn changes_only_what_was_given() {
        let fake = FakeApi::new(&GITHUB).await.on("PATCH", "/repos/octocat/hello", 200, hello());
        let at = json!({"owner": "octocat", "repo": "hello"});
        let error = fake.run::<UpdateRepository>(at).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 0));
        let changed = fake
            .run::<UpdateRepository>(
                json!({"owner": "octocat", "repo": "hello", "new_name": "hi", "has_wiki": false}),
            )
            .await
            .unwrap();
        assert_eq!(fake.requests().await[0].body, json!({"name": "hi", "has_wiki": false}));
        assert_eq!(changed["default_branch"], "main");
    }

    #[tokio::test]
    async fn archives_and_brings_back() {
        let mut archived = hello();
        archived["archived"] = true.into();
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("PATCH", "/repos/octocat/hello", 200, archived)
            .on("PATCH", "/repos/octocat/hello", 200, hello());
        let at = json!({"owner": "octocat", "repo": "hello"});
        let back = json!({"owner": "octocat", "repo": "hello", "archived": false});
        assert_eq!(fake.run::<ArchiveRepository>(at).await.unwrap()["archived"], true);
        assert_eq!(fake.run::<ArchiveRepository>(back).await.unwrap()["archived"], false);
        let sent: Vec<Value> = fake.requests().await.into_iter().map(|r| r.body).collect();
        assert_eq!(sent, [json!({"archived": true}), json!({"archived": false})]);
    }

    #[tokio::test]
    async fn deletes_a_repository_unless_the_organisation_forbids_it() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/octocat/hello", 200, hello())
            .on("DELETE", "/repos/octocat/hello", 204, Value::Null)
            .on("GET", "/repos/acme/shop", 200, hello())
            .on(
                "DELETE",
                "/repos/acme/shop",
                403,
                json!({"message": "Organization members cannot delete repositories."}),
            );
        let gone = fake
            .run::<DeleteRepository>(json!({"owner": "octocat", "repo": "hello"}))
            .await
            .unwrap();
        assert_eq!(gone, json!({"full_name": "octocat/hello"}));
        let error = fake
            .run::<DeleteRepository>(json!({"owner": "acme", "repo": "shop"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied);
        assert!(error.message().contains("members cannot delete"), "{error}");
    }

    #[tokio::test]
    async fn looks_whether_a_repository_was_deleted_where_the_answer_is_lost() {
        let at = json!({"owner": "octocat", "repo": "hello"});
        let path = "/repos/octocat/hello";
        let hidden = json!({"message": "Not Found"});
        for (status, shown, is_gone) in
            [(404, hidden.clone(), true), (200, hello(), false), (403, hidden.clone(), false)]
        {
            let fake = FakeApi::new(&GITHUB)
                .await
                .on("GET", path, 200, hello())
                .on("GET", path, status, shown)
                .on("DELETE", path, 502, json!({"message": "Server Error"}));
            match fake.run::<DeleteRepository>(at.clone()).await {
                Ok(told) => assert!(is_gone && told == json!({"full_name": "octocat/hello"})),
                Err(error) => assert!(!is_gone && error.code() == Code::UnknownOutcome, "{error}"),
            }
            let sent = fake.requests().await.iter().filter(|one| one.method == "DELETE").count();
            assert_eq!(sent, 1);
        }
        // Long after, it may be the rights that are gone.
        let fake = FakeApi::new(&GITHUB)
            .await
            .reconciling(Duration::from_mins(3))
            .on("GET", path, 404, hidden);
        let error = fake.run::<DeleteRepository>(at).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::NotFound, 1));
    }
}
