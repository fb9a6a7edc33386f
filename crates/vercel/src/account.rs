//! Whose account it is, in which team the connection works, and the life of its token.

use resto_core::{Account, Action, Api, Code, Error, Lifecycle, Permissions, Proof, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::permissions::ACCOUNT_READ;
use crate::teams::{Team, own_team};

/// The person behind a token, as Vercel tells it.
#[derive(Debug, Deserialize)]
struct User {
    id: String,
    username: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "defaultTeamId")]
    default_team_id: Option<String>,
}

async fn user(api: &Api) -> Result<User> {
    #[derive(Deserialize)]
    struct Answer {
        user: User,
    }
    // https://vercel.com/docs/rest-api/user/get-the-user
    api.get("/v2/user", &[]).send().await.map(|answer: Answer| answer.user)
}

/// A person and the teams that the token reaches.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Person {
    /// Stable id.
    pub id: String,
    /// Name in addresses.
    pub username: String,
    /// Full name.
    pub name: Option<String>,
    /// Team in which actions work when none is given; absent: the person's own account.
    pub default_team_id: Option<String>,
    /// Teams that `team` may name, at most 100.
    pub teams: Vec<Team>,
}

/// Tells whose Vercel account is connected, and which teams it reaches.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetAccount {}

impl Action for GetAccount {
    const NAME: &'static str = "get_account";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "which Vercel account or team",
        "who is logged in at the host",
        "which team are we in at Vercel",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACCOUNT_READ;
    type Output = Person;

    async fn run(self, api: &Api) -> Result<Person> {
        let user = user(api).await?;
        // https://vercel.com/docs/rest-api/teams/list-all-teams
        let teams = api.get("/v2/teams", &[]).query("limit", 100).list_in("teams").await?;
        Ok(Person {
            id: user.id,
            username: user.username,
            name: user.name,
            default_team_id: own_team(api).map(str::to_owned),
            teams: teams.items,
        })
    }
}

/// What a token was created for.
#[derive(Debug, Deserialize)]
struct Reach {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "teamId")]
    team_id: Option<String>,
}

/// What Vercel says of the token in use: nothing, where it hides that.
#[derive(Default, Deserialize)]
struct Metadata {
    /// What it was created for.
    #[serde(default)]
    scopes: Vec<Reach>,
    /// In milliseconds since 1970.
    #[serde(default, rename = "expiresAt")]
    expires_at: Option<i64>,
}

async fn metadata(api: &Api) -> Result<Metadata> {
    #[derive(Deserialize)]
    struct Answer {
        token: Metadata,
    }
    // https://vercel.com/docs/rest-api/authentication/get-auth-token-metadata
    let answer: Result<Answer> = api.get("/v5/user/tokens/current", &[]).send().await;
    match answer {
        Ok(answer) => Ok(answer.token),
        Err(error) if is_hidden(&error) => Ok(Metadata::default()),
        Err(error) => Err(error),
    }
}

fn is_hidden(error: &Error) -> bool {
    matches!(error.code(), Code::PermissionDenied | Code::NotFound)
}

/// The team that a connection works in: the one that the token was created for, or else the one
/// that its owner sees first.
fn team_of(user: &User, reach: &[Reach]) -> Option<String> {
    let mut teams = reach.iter().filter_map(|scope| scope.team_id.as_ref());
    let whole = reach.is_empty() || reach.iter().any(|scope| scope.kind == "user");
    let default = user.default_team_id.as_ref();
    let own = default.filter(|id| whole || teams.clone().any(|team| team == *id));
    own.or_else(|| teams.next().filter(|_| !whole)).cloned()
}

/// The life of a connection by a pasted access token.
pub(crate) struct Token;

impl Lifecycle for Token {
    async fn identify(api: &Api) -> Result<Account> {
        let user = user(api).await.map_err(explain)?;
        let token = metadata(api).await?;
        let mut account = Account {
            id: user.id.clone(),
            name: user.username.clone(),
            mode: None,
            // Its owner's role decides, which no answer tells.
            permissions: Permissions::Unknown,
            ends_at: token.expires_at.map(|end| end.div_euclid(1000)),
        };
        let Some(id) = team_of(&user, &token.scopes) else { return Ok(account) };
        // https://vercel.com/docs/rest-api/teams/get-a-team
        let team: Result<Team> = api.get("/v2/teams/{}", &[&id]).send().await;
        match team {
            Ok(team) => {
                account.id = team.id;
                account.name = format!("{} ({})", team.slug, user.username);
                Ok(account)
            }
            // The team that its owner sees first may be closed to the token.
            Err(error) if is_hidden(&error) => Ok(account),
            Err(error) => Err(error),
        }
    }

    async fn revoke(api: &Api) -> Result<Proof> {
        // https://vercel.com/docs/rest-api/authentication/delete-an-authentication-token
        let deleted = api.delete("/v3/user/tokens/current", &[]).send_empty().await;
        match deleted {
            Ok(()) => Ok(Proof::Revoked),
            // It is dead already.
            Err(error) if error.code() == Code::AuthExpired => Ok(Proof::Revoked),
            Err(error) if is_hidden(&error) => Ok(Proof::PersonMust {
                instruction: "Delete the token at Vercel; whoever holds it can still use it."
                    .to_owned(),
                url: "https://vercel.com/account/tokens".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }
}

/// A token for one project sees nothing else, not even its owner.
fn explain(error: Error) -> Error {
    if error.code() != Code::PermissionDenied {
        return error;
    }
    let mut told = error;
    let details = told.details_mut();
    details.message = format!(
        "{} A token for a single project cannot be connected: create one for a team or the whole account.",
        details.message
    );
    told
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::{VERCEL, adapter};

    const CURRENT: &str = "/v5/user/tokens/current";

    fn octocat(default_team: &Value) -> Value {
        json!({"user": {"id": "u1", "username": "octocat", "name": null, "email": "private@example.com",
            "avatar": null, "limited": true, "defaultTeamId": default_team}})
    }

    fn acme(id: &str) -> Value {
        json!({"id": id, "slug": "acme", "name": "Acme", "avatar": null, "limited": true})
    }

    fn created_for(scopes: &Value) -> Value {
        json!({"token": {"id": "t1", "name": "resto", "type": "oauth2-token", "scopes": scopes}})
    }

    async fn identified(default_team: &Value, scopes: &Value) -> Account {
        let fake = FakeApi::new(&VERCEL)
            .await
            .on("GET", "/v2/user", 200, octocat(default_team))
            .on("GET", CURRENT, 200, created_for(scopes))
            .on("GET", "/v2/teams/team_1", 200, acme("team_1"))
            .on("GET", "/v2/teams/team_2", 200, acme("team_2"));
        adapter().identify(&fake.api(Risk::Read)).await.unwrap()
    }

    #[tokio::test]
    async fn tells_whose_account_it_is_and_its_teams() {
        let fake = FakeApi::new(&VERCEL)
            .await
            .connected("team_1")
            .on("GET", "/v2/user", 200, octocat(&json!("team_1")))
            .on(
                "GET",
                "/v2/teams",
                200,
                json!({"teams": [acme("team_1")], "pagination": {"count": 1, "next": null, "prev": null}}),
            );
        let account = fake.run::<GetAccount>(json!({})).await.unwrap();
        assert_eq!(
            account,
            json!({"id": "u1", "username": "octocat", "default_team_id": "team_1",
                "teams": [{"id": "team_1", "slug": "acme", "name": "Acme"}]})
        );
    }

    #[tokio::test]
    async fn works_in_the_team_that_the_token_was_created_for() {
        let team = json!([{"type": "team", "teamId": "team_2", "createdAt": 1}]);
        let account = identified(&json!("team_1"), &team).await;
        assert_eq!((account.id.as_str(), account.name.as_str()), ("team_2", "acme (octocat)"));
        assert_eq!(account.permissions, Permissions::Unknown);
    }

    #[tokio::test]
    async fn a_token_for_everything_works_where_its_owner_does() {
        let all = json!([{"type": "user", "createdAt": 1}]);
        assert_eq!(identified(&json!("team_1"), &all).await.id, "team_1");
        let account = identified(&Value::Null, &all).await;
        assert_eq!((account.id.as_str(), account.name.as_str()), ("u1", "octocat"));
    }

    #[tokio::test]
    async fn a_token_that_ends_tells_when() {
        let ending = |end: Value| json!({"token": {"id": "t1", "name": "resto", "type": "oauth2-token", "scopes": [], "expiresAt": end}});
        for (end, seconds) in
            [(json!(1_801_386_000_999_i64), Some(1_801_386_000)), (Value::Null, None)]
        {
            let fake = FakeApi::new(&VERCEL)
                .await
                .on("GET", "/v2/user", 200, octocat(&Value::Null))
                .on("GET", CURRENT, 200, ending(end));
            let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
            assert_eq!(account.ends_at, seconds);
        }
    }

    #[tokio::test]
    async fn a_token_that_does_not_tell_its_reach_is_tried() {
        let hidden = json!({"error": {"code": "forbidden", "message": "Not authorized"}});
        let fake = FakeApi::new(&VERCEL)
            .await
            .on("GET", "/v2/user", 200, octocat(&json!("team_1")))
            .on("GET", CURRENT, 403, hidden.clone())
            .on("GET", "/v2/teams/team_1", 403, hidden);
        let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!(account.id, "u1");
    }

    #[tokio::test]
    async fn explains_a_token_for_one_project() {
        let fake = FakeApi::new(&VERCEL).await.on(
            "GET",
            "/v2/user",
            403,
            json!({"error": {"code": "forbidden", "message": "Not authorized"}}),
        );
        let error = adapter().identify(&fake.api(Risk::Read)).await.unwrap_err();
        assert!(error.message().contains("for a single project"), "{error}");
    }

    #[tokio::test]
    async fn deletes_its_own_token_or_says_who_must() {
        let refused = |invalid: bool| json!({"error": {"code": "forbidden", "message": "Not authorized", "invalidToken": invalid}});
        let person = Proof::PersonMust {
            instruction: "Delete the token at Vercel; whoever holds it can still use it.".into(),
            url: "https://vercel.com/account/tokens".into(),
        };
        for (status, body, proof) in [
            (200, json!({"tokenId": "t1"}), Proof::Revoked),
            (403, refused(true), Proof::Revoked),
            (403, refused(false), person),
        ] {
            let fake =
                FakeApi::new(&VERCEL).await.on("DELETE", "/v3/user/tokens/current", status, body);
            assert_eq!(adapter().revoke(&fake.api(Risk::Write)).await.unwrap(), proof);
        }
    }
}
