//! Releases.

use resto_core::{Action, Api, Code, Error, GitRef, Page, PageRequest, PathArg, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::excerpts::Excerpt;
use crate::made::is_since;
use crate::people::Login;
use crate::permissions::{CONTENTS_READ, CONTENTS_WRITE};
use crate::repos::Repo;

/// A release.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Its number.
    pub id: u64,
    /// The tag that it is made from.
    #[serde(rename(deserialize = "tag_name"))]
    pub tag: String,
    /// Title.
    #[serde(default)]
    pub name: Option<String>,
    /// Release notes.
    #[serde(default, rename(deserialize = "body"))]
    pub notes: Option<Excerpt<2000>>,
    /// Whether only the members of the repository see it.
    pub draft: bool,
    /// Whether it is marked as not ready for use.
    pub prerelease: bool,
    /// Who made it.
    #[serde(default)]
    pub author: Option<Login>,
    /// When it was published; absent for a draft.
    #[serde(default)]
    pub published_at: Option<String>,
    /// Its page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
}

/// Lists the releases of a repository, the newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListReleases {
    #[serde(flatten)]
    at: Repo,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListReleases {
    const NAME: &'static str = "list_releases";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["published versions", "latest release", "changelog of versions"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = Page<Release>;

    async fn run(self, api: &Api) -> Result<Page<Release>> {
        self.at.note_outsiders(api).await?;
        // https://docs.github.com/rest/releases/releases#list-releases
        api.get("/repos/{}/{}/releases", &[&self.at.owner, &self.at.repo])
            .page(&self.page)
            .list()
            .await
    }
}

/// Publishes a release, which notifies everybody who watches the repository; a draft does not.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PublishRelease {
    #[serde(flatten)]
    at: Repo,
    /// Such as `v1.2.0`; made if missing.
    tag: String,
    /// Branch or commit that a new tag gets.
    target: Option<GitRef>,
    /// Title.
    name: Option<String>,
    /// Markdown.
    notes: Option<String>,
    /// Adds GitHub's, from merged pull requests.
    #[serde(default)]
    generate_notes: bool,
    /// For a person to publish.
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
}

impl Action for PublishRelease {
    const NAME: &'static str = "publish_release";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "ship a version",
        "release notes",
        "tag a new version",
        "cut a release",
        "Version veröffentlichen",
        "publier une version",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_WRITE;
    type Output = Release;

    /// GitHub's notes have the titles that the authors of pull requests gave them.
    fn tells_outsiders(&self) -> bool {
        self.generate_notes
    }

    async fn run(self, api: &Api) -> Result<Release> {
        // https://docs.github.com/rest/releases/releases#create-a-release
        let published = api
            .post("/repos/{}/{}/releases", &[&self.at.owner, &self.at.repo])
            .fields(json!({
                "tag_name": self.tag,
                "target_commitish": self.target,
                "name": self.name,
                "body": self.notes,
                "generate_release_notes": self.generate_notes,
                "draft": self.draft,
                "prerelease": self.prerelease,
            }))
            .send_or_find(|| self.find(api))
            .await;
        published.map_err(|error: Error| match error.code() {
            Code::Conflict if error.message().contains("already") => Error::new(
                Code::Conflict,
                format!(
                    "GitHub has a release of the tag `{}` already. Choose another tag. Nothing was published.",
                    self.tag
                ),
            ),
            // The answer is the same where the commit changes workflows and the token may not.
            Code::NotFound => {
                let mut told = error;
                let details = told.details_mut();
                details.message = format!(
                    "{} If the commit changes files under .github/workflows, the token needs the permission Workflows: write too.",
                    details.message
                );
                told
            }
            _ => error,
        })
    }
}

impl PublishRelease {
    /// The release whose answer was lost; of a draft GitHub tells no time by which it is known.
    async fn find(&self, api: &Api) -> Result<Option<Release>> {
        // https://docs.github.com/rest/releases/releases#get-a-release-by-tag-name
        let path: [&dyn PathArg; 3] = [&self.at.owner, &self.at.repo, &GitRef(self.tag.clone())];
        let found: Option<Release> =
            api.get("/repos/{}/{}/releases/tags/{}", &path).send_optional().await?;
        Ok(found.filter(|release| {
            release.published_at.as_ref().is_some_and(|time| is_since(api, time))
        }))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GITHUB;
    use crate::standing::tests::own;

    fn release() -> Value {
        json!({"id": 7, "tag_name": "v1.0.0", "name": null, "body": "Fast.", "draft": false, "prerelease": false,
               "author": {"login": "mona"}, "published_at": "2026-01-01T00:00:00Z", "html_url": "https://github.com/o/r/releases/tag/v1.0.0"})
    }

    #[tokio::test]
    async fn lists_releases() {
        let fake = own().await.on("GET", "/repos/o/r/releases", 200, json!([release()]));
        let page = fake.run::<ListReleases>(json!({"owner": "o", "repo": "r"})).await.unwrap();
        assert_eq!(
            page["items"][0],
            json!({"id": 7, "tag": "v1.0.0", "notes": {"text": "Fast.", "truncated": false}, "draft": false,
                   "prerelease": false, "author": "mona", "published_at": "2026-01-01T00:00:00Z",
                   "url": "https://github.com/o/r/releases/tag/v1.0.0"})
        );
    }

    #[tokio::test]
    async fn publishes_a_release_of_a_branch() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", "/repos/o/r/releases", 201, release());
        let arguments = json!({"owner": "o", "repo": "r", "tag": "v1.0.0", "target": "main", "generate_notes": true});
        let published = fake.run::<PublishRelease>(arguments).await.unwrap();
        assert_eq!(published["url"], "https://github.com/o/r/releases/tag/v1.0.0");
        assert_eq!(
            fake.requests().await[0].body,
            json!({"tag_name": "v1.0.0", "target_commitish": "main", "generate_release_notes": true, "draft": false, "prerelease": false})
        );
    }

    #[tokio::test]
    async fn explains_why_it_cannot_be_published() {
        let exists = json!({"message": "Validation Failed", "errors": [{"resource": "Release", "code": "already_exists", "field": "tag_name"}]});
        for (status, body, code, told) in [
            (422, exists, Code::Conflict, "a release of the tag `v1` already"),
            (404, json!({"message": "Not Found"}), Code::NotFound, "Workflows: write"),
        ] {
            let fake = FakeApi::new(&GITHUB).await.on("POST", "/repos/o/r/releases", status, body);
            let error = fake
                .run::<PublishRelease>(json!({"owner": "o", "repo": "r", "tag": "v1"}))
                .await
                .unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.message().contains(told), "{error}");
        }
    }
}
