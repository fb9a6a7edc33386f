//! Whose account it is, and the life of its connection.

use resto_core::{Account, Action, Api, Lifecycle, Permissions, Proof, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::permissions::NOTHING;

/// The person or organisation behind a token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Stable id.
    pub id: u64,
    /// Name in addresses and mentions.
    pub login: String,
    /// Full name.
    #[serde(default)]
    pub name: Option<String>,
    /// `User` or `Organization`.
    #[serde(rename(deserialize = "type"))]
    pub kind: String,
    /// Profile page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
}

/// Tells whose GitHub account is connected.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetAccount {}

impl Action for GetAccount {
    const NAME: &'static str = "get_account";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["who is logged in at GitHub", "my GitHub user", "which GitHub account is connected"];
    const PERMISSIONS: &'static [&'static [&'static str]] = NOTHING;
    type Output = User;

    async fn run(self, api: &Api) -> Result<User> {
        // https://docs.github.com/rest/users/users#get-the-authenticated-user
        api.get("/user", &[]).send().await
    }
}

/// When a token ends, in seconds since 1970: GitHub writes it as `2027-01-31 09:00:00 UTC`, or with an offset for its zone.
fn end(text: &str) -> Option<i64> {
    const FORM: &[BorrowedFormatItem<'_>] = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    let text = text.replace("UTC", "+0000");
    OffsetDateTime::parse(text.trim(), FORM).ok().map(OffsetDateTime::unix_timestamp)
}

/// The life of a connection by a token that acts as a person.
pub(crate) struct Token;

impl Lifecycle for Token {
    async fn identify(api: &Api) -> Result<Account> {
        let user: User = api.get("/user", &[]).send().await?;
        // A classic token's scopes come with each answer; a fine-grained token cannot be asked.
        let permissions = match api.granted() {
            Some(scopes) => Permissions::Known(scopes),
            None => Permissions::Unknown,
        };
        let ends_at = api.end().as_deref().and_then(end);
        Ok(Account { id: user.id.to_string(), name: user.login, mode: None, permissions, ends_at })
    }

    async fn revoke(_api: &Api) -> Result<Proof> {
        Ok(Proof::PersonMust {
            instruction: "Delete the token at GitHub; whoever holds it can still use it."
                .to_owned(),
            url: "https://github.com/settings/tokens".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::{GITHUB, adapter};

    fn octocat() -> Value {
        json!({"id": 1, "login": "octocat", "name": null, "type": "User", "html_url": "https://github.com/octocat", "email": "private@example.com"})
    }

    #[tokio::test]
    async fn tells_whose_account_it_is() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", "/user", 200, octocat());
        let user = fake.run::<GetAccount>(json!({})).await.unwrap();
        assert_eq!(
            user,
            json!({"id": 1, "login": "octocat", "kind": "User", "url": "https://github.com/octocat"})
        );
    }

    /// Its refusal would pass for the provider's.
    #[tokio::test]
    #[should_panic(expected = "prepared no answer for [\"GET /user\"]")]
    async fn a_request_that_a_test_did_not_expect_fails_it() {
        let fake = FakeApi::new(&GITHUB).await;
        drop(fake.run::<GetAccount>(json!({})).await);
    }

    #[tokio::test]
    async fn a_token_that_ends_tells_when() {
        for (text, end) in [
            ("2027-01-31 09:00:00 UTC", Some(1_801_386_000)),
            ("2027-01-31 09:00:00 -0700", Some(1_801_411_200)),
            ("in a while", None),
        ] {
            let headers = [("github-authentication-token-expiration", text)];
            let fake = FakeApi::new(&GITHUB).await;
            let fake = fake.on_with("GET", "/user", 200, &headers, octocat());
            let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
            assert_eq!(account.ends_at, end, "{text}");
        }
        let endless = FakeApi::new(&GITHUB).await.on("GET", "/user", 200, octocat());
        assert_eq!(adapter().identify(&endless.api(Risk::Read)).await.unwrap().ends_at, None);
    }

    #[tokio::test]
    async fn a_classic_token_tells_its_scopes_and_a_fine_grained_one_does_not() {
        let classic = FakeApi::new(&GITHUB).await.on_with(
            "GET",
            "/user",
            200,
            &[("x-oauth-scopes", "repo, workflow")],
            octocat(),
        );
        let account = adapter().identify(&classic.api(Risk::Read)).await.unwrap();
        assert_eq!(
            account.permissions,
            Permissions::Known(BTreeSet::from(["repo".into(), "workflow".into()]))
        );
        let fine = FakeApi::new(&GITHUB).await.on("GET", "/user", 200, octocat());
        let account = adapter().identify(&fine.api(Risk::Read)).await.unwrap();
        assert_eq!(account.permissions, Permissions::Unknown);
    }
}
