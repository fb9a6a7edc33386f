//! Teams. A token may reach several, so each request says in which one it acts: without that,
//! Vercel looks in the person's own account and does not find what a team owns.

use resto_core::{Api, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the id of a team begins with; a slug has no `_`.
const TEAM: &str = "team_";

/// A team.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    /// Stable id, such as `team_...`.
    pub id: String,
    /// Name in addresses.
    pub slug: String,
    /// As people write it.
    #[serde(default)]
    pub name: Option<String>,
}

/// In which team. Actions flatten it into their input.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Scope {
    /// Id or slug.
    pub team: Option<String>,
}

impl Scope {
    /// The request, in this team.
    pub(crate) fn on<'a>(&self, api: &Api, request: Request<'a>) -> Request<'a> {
        match &self.team {
            Some(team) if team.starts_with(TEAM) => request.query("teamId", team),
            Some(slug) => request.query("slug", slug),
            None => request.query("teamId", own_team(api)),
        }
    }
}

/// The team that the connection operates; none where it is a person's own account.
pub(crate) fn own_team(api: &Api) -> Option<&str> {
    api.account().map(|account| account.id.as_str()).filter(|id| id.starts_with(TEAM))
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use crate::VERCEL;
    use crate::projects::GetProject;

    async fn query(account: &str, arguments: Value) -> Vec<(String, String)> {
        let fake = FakeApi::new(&VERCEL).await.connected(account).on(
            "GET",
            "/v9/projects/shop",
            404,
            json!({"error": {"code": "not_found", "message": "Project not found"}}),
        );
        fake.run::<GetProject>(arguments).await.unwrap_err();
        fake.requests().await[0].query.clone().into_iter().collect()
    }

    #[tokio::test]
    async fn acts_in_the_team_that_was_given_or_else_in_the_connected_one() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let project = json!({"project": "shop"});
        assert_eq!(query("team_1", project.clone()).await, pair("teamId", "team_1"));
        assert_eq!(query("a1b2", project).await, []);
        let by_id = json!({"project": "shop", "team": "team_2"});
        assert_eq!(query("team_1", by_id).await, pair("teamId", "team_2"));
        let by_slug = json!({"project": "shop", "team": "acme"});
        assert_eq!(query("team_1", by_slug).await, pair("slug", "acme"));
    }
}
