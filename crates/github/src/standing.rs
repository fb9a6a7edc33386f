//! Whether a repository's content is the business's own, or may be what outsiders wrote.

use std::time::Duration;

use resto_core::{Api, Result};
use serde::Deserialize;
use serde_json::json;

use crate::repos::Repo;

/// The collection of the repositories that were found to be the business's own, by account, owner and name.
const OWN: &str = "github_own_repositories";

/// How long that is believed.
const BELIEVED: Duration = Duration::from_mins(10);

/// How the connected account stands to a repository, as GitHub tells with it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Standing {
    fork: bool,
    permissions: Permissions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Permissions {
    push: bool,
}

impl Standing {
    /// Notes where outsiders may have written what the repository holds: anybody can have their own repository read, and
    /// a fork holds what its origin does. Into one that is not public, the business was let, or lets others.
    pub(crate) async fn note(&self, api: &Api, is_private: bool) -> Result<()> {
        if self.is_own(is_private) { Ok(()) } else { api.note_outsiders().await }
    }

    fn is_own(&self, is_private: bool) -> bool {
        is_private || (self.permissions.push && !self.fork)
    }
}

impl Repo {
    /// Notes, before it is read, where outsiders may have written what the repository holds.
    ///
    /// # Errors
    /// The repository cannot be asked for, or it cannot be noted.
    pub(crate) async fn note_outsiders(&self, api: &Api) -> Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            private: bool,
            #[serde(flatten)]
            standing: Standing,
        }
        let account = api.account().map_or("", |account| &account.id);
        let id = format!("{account}/{}/{}", self.owner, self.repo).to_lowercase();
        if api.records().get(OWN, &id).await?.is_some() {
            return Ok(());
        }
        // https://docs.github.com/rest/repos/repos#get-a-repository
        let Answer { private, standing } =
            api.get("/repos/{}/{}", &[&self.owner, &self.repo]).send().await?;
        if standing.is_own(private) {
            api.records().put(OWN, &id, &json!(true), Some(BELIEVED)).await?;
        }
        standing.note(api, private).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GITHUB;
    use crate::releases::ListReleases;
    use crate::repos::GetRepository;

    /// With the repository `o/r`, which nobody outside can write to.
    pub(crate) async fn own() -> FakeApi {
        FakeApi::new(&GITHUB).await.on("GET", "/repos/o/r", 200, json!({"private": true}))
    }

    fn repository(private: bool, fork: bool, push: bool) -> Value {
        json!({"full_name": "o/r", "private": private, "fork": fork, "default_branch": "main", "html_url": "u",
               "permissions": {"pull": true, "push": push}})
    }

    #[tokio::test]
    async fn d7_what_strangers_repositories_hold_is_marked() {
        let at = json!({"owner": "o", "repo": "r"});
        for (repository, marked) in [
            (repository(false, false, true), false),
            (repository(true, false, false), false),
            (repository(true, true, true), false),
            (repository(false, false, false), true),
            // What its origin holds, others wrote.
            (repository(false, true, true), true),
        ] {
            let fake = FakeApi::new(&GITHUB)
                .await
                .on("GET", "/repos/o/r", 200, repository.clone())
                .on("GET", "/repos/o/r/releases", 200, json!([]));
            fake.run::<ListReleases>(at.clone()).await.unwrap();
            assert_eq!(fake.noted_outsiders(), marked, "{repository}");
            let fake = FakeApi::new(&GITHUB).await.on("GET", "/repos/o/r", 200, repository.clone());
            fake.run::<GetRepository>(at.clone()).await.unwrap();
            assert_eq!(fake.noted_outsiders(), marked, "{repository}");
        }
    }

    #[tokio::test]
    async fn that_a_repository_is_own_is_believed_for_a_while() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/O/r", 200, repository(false, false, true))
            .on("GET", "/repos/o/r", 200, repository(false, false, false))
            .on("GET", "/repos/O/r/releases", 200, json!([]))
            .on("GET", "/repos/o/r/releases", 200, json!([]));
        let list = async |owner: &str| {
            fake.run::<ListReleases>(json!({"owner": owner, "repo": "r"})).await.unwrap();
            fake.requests().await.len()
        };
        assert_eq!([list("O").await, list("O").await, list("o").await], [2, 3, 4]);
        assert!(!fake.noted_outsiders());
        fake.pass(BELIEVED);
        assert_eq!(
            [list("o").await, list("o").await],
            [6, 8],
            "a stranger's is asked for each time"
        );
        assert!(fake.noted_outsiders());
    }
}
