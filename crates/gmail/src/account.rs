//! Whose mailbox it is, and the life of its connection.

use std::collections::BTreeSet;

use resto_core::{Account, Action, Api, Code, Error, Lifecycle, Permissions, Proof, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TOKENS;
use crate::permissions::DRAFTS_READ;

/// A mailbox.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Profile {
    /// Its address.
    pub email_address: String,
    /// Messages in it.
    #[serde(default)]
    pub messages_total: u64,
    /// Conversations in it.
    #[serde(default)]
    pub threads_total: u64,
}

/// Tells whose mailbox is connected, and how much it holds.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetProfile {}

impl Action for GetProfile {
    const NAME: &'static str = "get_profile";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "which mailbox is connected",
        "my Gmail address",
        "size of the mailbox",
        "which Gmail account",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_READ;
    type Output = Profile;

    async fn run(self, api: &Api) -> Result<Profile> {
        profile(api).await
    }
}

async fn profile(api: &Api) -> Result<Profile> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/getProfile
    api.get("/gmail/v1/users/me/profile", &[]).send().await
}

/// The life of a connection that a person allowed at Google.
pub(crate) struct Consent;

impl Lifecycle for Consent {
    async fn identify(api: &Api) -> Result<Account> {
        #[derive(Deserialize)]
        struct Token {
            #[serde(default)]
            scope: String,
            #[serde(default)]
            email: Option<String>,
            #[serde(default)]
            sub: Option<String>,
        }
        // As `getTokenInfo` of google-auth-library asks: the token is in the header, not in the address.
        let token: Token = api.post("/tokeninfo", &[]).at(TOKENS).reads().send().await?;
        let email = match token.email {
            Some(email) => email,
            None => profile(api).await.map_err(explain)?.email_address,
        };
        let scopes: BTreeSet<String> = token.scope.split_whitespace().map(str::to_owned).collect();
        Ok(Account {
            // What Google itself calls the account: an address may change.
            id: token.sub.unwrap_or_else(|| email.clone()),
            name: email,
            mode: None,
            permissions: Permissions::Known(scopes),
            ends_at: None,
        })
    }

    async fn revoke(_api: &Api) -> Result<Proof> {
        Ok(Proof::PersonMust {
            instruction: "Remove this app's access to the Google account; that ends all its connections to the account.".to_owned(),
            url: "https://myaccount.google.com/connections".to_owned(),
        })
    }
}

/// Whoever unticks every box of the consent can do nothing.
fn explain(error: Error) -> Error {
    if error.code() != Code::PermissionDenied {
        return error;
    }
    let mut told = error;
    let details = told.details_mut();
    details.message = format!("{} So far it may not even tell whose it is.", details.message);
    told
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::{GMAIL, adapter};

    const PROFILE: &str = "/gmail/v1/users/me/profile";

    fn ada() -> Value {
        json!({"emailAddress": "ada@example.com", "messagesTotal": 7, "threadsTotal": 3, "historyId": "9"})
    }

    #[tokio::test]
    async fn tells_whose_mailbox_it_is() {
        let fake = FakeApi::new(&GMAIL).await.on("GET", PROFILE, 200, ada());
        assert_eq!(
            fake.run::<GetProfile>(json!({})).await.unwrap(),
            json!({"email_address": "ada@example.com", "messages_total": 7, "threads_total": 3})
        );
    }

    #[tokio::test]
    async fn learns_what_the_person_ticked() {
        let fake = FakeApi::new(&GMAIL).await.on(
            "POST",
            "/tokeninfo",
            200,
            json!({"azp": "7.apps", "aud": "7.apps", "sub": "1", "expires_in": "3599", "email": "ada@example.com",
                "scope": "openid https://www.googleapis.com/auth/gmail.modify https://www.googleapis.com/auth/contacts"}),
        );
        let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!((account.id.as_str(), account.name.as_str()), ("1", "ada@example.com"));
        let Permissions::Known(scopes) = account.permissions else { panic!("unknown") };
        assert!(scopes.contains("https://www.googleapis.com/auth/contacts"), "{scopes:?}");
        // The token is in the header, not in the address.
        let request = &fake.requests().await[0];
        assert!(request.headers["authorization"].starts_with("Bearer "));
        assert!(request.query.is_empty() && request.body.is_null());
    }

    #[tokio::test]
    async fn asks_the_mailbox_where_the_token_does_not_tell() {
        let fake = FakeApi::new(&GMAIL)
            .await
            .on(
                "POST",
                "/tokeninfo",
                200,
                json!({"scope": "https://www.googleapis.com/auth/gmail.modify"}),
            )
            .on("GET", PROFILE, 200, ada());
        let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!(account.id, "ada@example.com");
    }

    #[tokio::test]
    async fn explains_a_consent_without_rights() {
        let fake = FakeApi::new(&GMAIL)
            .await
            .on("POST", "/tokeninfo", 200, json!({"scope": "openid"}))
            .on(
                "GET",
                PROFILE,
                403,
                json!({"error": {"code": 403, "message": "Insufficient Permission",
                "errors": [{"reason": "insufficientPermissions"}]}}),
            );
        let error = adapter().identify(&fake.api(Risk::Read)).await.unwrap_err();
        assert!(
            error.message().contains("every box") && error.message().contains("whose it is"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn says_where_a_person_ends_the_access() {
        let fake = FakeApi::new(&GMAIL).await;
        let Proof::PersonMust { url, .. } = adapter().revoke(&fake.api(Risk::Write)).await.unwrap()
        else {
            panic!("nothing was revoked")
        };
        assert_eq!(url, "https://myaccount.google.com/connections");
        assert!(fake.requests().await.is_empty());
    }
}
