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
    /// Whether outsiders wrote nothing of what the repository holds, as far as that shows: anybody can have their own read,
    /// and a fork holds what its origin does. Into one that is not public, the business was let, or lets others.
    pub(crate) fn is_own(&self, is_private: bool) -> bool {
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
            full_name: String,
            private: bool,
            #[serde(flatten)]
            standing: Standing,
        }
        let account = api.account().map_or("", |account| &account.id);
        let name = format!("{}/{}", self.owner, self.repo).to_ascii_lowercase();
        let id = format!("{account}/{name}");
        if api.records().get(OWN, &id).await?.is_some() {
            return Ok(());
        }
        // https://docs.github.com/rest/repos/repos#get-a-repository
        let Answer { full_name, private, standing } =
            api.get("/repos/{}/{}", &[&self.owner, &self.repo]).send().await?;
        if !standing.is_own(private) {
            return api.note_outsiders().await;
        }
        // One that moved is told under its new name; its old one is anybody's.
        if full_name.eq_ignore_ascii_case(&name) {
            // Without it, GitHub is asked again.
            drop(api.records().put(OWN, &id, &json!(true), Some(BELIEVED)).await);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GITHUB;
    use crate::branches::ListBranches;
    use crate::labels::ListLabels;
    use crate::releases::ListReleases;
    use crate::repos::{GetRepository, ListRepositories};

    /// With the repository `o/r`, which nobody outside can write to.
    pub(crate) async fn own() -> FakeApi {
        FakeApi::new(&GITHUB).await.on(
            "GET",
            "/repos/o/r",
            200,
            json!({"full_name": "o/r", "private": true}),
        )
    }

    fn repository(private: bool, fork: bool, push: bool) -> Value {
        json!({"full_name": "o/r", "private": private, "fork": fork, "default_branch": "main", "html_url": "u",
               "permissions": {"pull": true, "push": push}})
    }

    #[tokio::test]
    async fn d7_what_strangers_repositories_hold_is_marked() {
        let at = json!({"owner": "o", "repo": "r"});
        for (told, marked) in [
            (repository(false, false, true), false),
            (repository(true, false, false), false),
            (repository(true, true, true), false),
            (repository(false, false, false), true),
            // What its origin holds, others wrote.
            (repository(false, true, true), true),
        ] {
            let fake = async || {
                FakeApi::new(&GITHUB)
                    .await
                    .on("GET", "/repos/o/r", 200, told.clone())
                    .on("GET", "/repos/o/r/releases", 200, json!([]))
                    .on("GET", "/repos/o/r/labels", 200, json!([]))
                    .on("GET", "/repos/o/r/branches", 200, json!([]))
            };
            let [releases, labels, branches, one] =
                [fake().await, fake().await, fake().await, fake().await];
            releases.run::<ListReleases>(at.clone()).await.unwrap();
            labels.run::<ListLabels>(at.clone()).await.unwrap();
            branches.run::<ListBranches>(at.clone()).await.unwrap();
            one.run::<GetRepository>(at.clone()).await.unwrap();
            for fake in [releases, labels, branches, one] {
                assert_eq!(fake.noted_outsiders(), marked, "{:?} {told}", fake.requests().await);
            }
        }
    }

    #[tokio::test]
    async fn d7_a_list_of_repositories_tells_nothing_that_strangers_wrote() {
        let described = |private, fork, push| {
            let mut repository = repository(private, fork, push);
            repository["description"] = json!("Bread.");
            repository
        };
        let all = [described(false, false, true), described(true, false, false)];
        let strange = [described(false, false, false), described(false, true, true)];
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            "/user/repos",
            200,
            json!([all, strange].concat()),
        );
        let listed = fake.run::<ListRepositories>(json!({})).await.unwrap();
        let told: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|one| &one["description"]).collect();
        assert_eq!(told, [&json!("Bread."), &json!("Bread."), &Value::Null, &Value::Null]);
        assert!(!fake.noted_outsiders());
    }

    #[tokio::test]
    async fn d7_what_cannot_be_marked_is_not_read() {
        let strange = repository(false, false, false);
        let fake =
            FakeApi::new(&GITHUB).await.on("GET", "/repos/o/r", 200, strange).that_notes_nothing();
        let at = json!({"owner": "o", "repo": "r"});
        assert!(fake.run::<ListReleases>(at).await.is_err());
        assert_eq!(fake.requests().await.len(), 1);
    }

    #[tokio::test]
    async fn that_a_repository_is_own_is_believed_for_a_while() {
        let list = async |fake: &FakeApi| {
            fake.run::<ListReleases>(json!({"owner": "O", "repo": "r"})).await.unwrap();
            fake.requests().await.len()
        };
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", "/repos/O/r", 200, repository(false, false, true))
            .on("GET", "/repos/O/r", 200, repository(false, false, false))
            .on("GET", "/repos/O/r/releases", 200, json!([]));
        assert_eq!([list(&fake).await, list(&fake).await], [2, 3]);
        assert!(!fake.noted_outsiders());
        fake.pass(BELIEVED);
        assert_eq!(
            [list(&fake).await, list(&fake).await],
            [5, 7],
            "a stranger's is never believed"
        );
        assert!(fake.noted_outsiders());
        // Under its old name, another one may be there at any time.
        let mut moved = repository(false, false, true);
        moved["full_name"] = json!("o/another");
        let fake = FakeApi::new(&GITHUB).await.on("GET", "/repos/O/r", 200, moved).on(
            "GET",
            "/repos/O/r/releases",
            200,
            json!([]),
        );
        assert_eq!([list(&fake).await, list(&fake).await], [2, 4]);
    }
}
