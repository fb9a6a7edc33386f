//! Whose Google account is connected, what its owner consented to, and the end of the connection.

use std::collections::BTreeSet;

use resto_core::{Account, Api, Code, Error, Lifecycle, PageRequest, Permissions, Proof, Result};
use serde::Deserialize;

use crate::{TOKENS, events, properties};

/// The life of a connection by consent.
pub(crate) struct SignIn;

impl Lifecycle for SignIn {
    const MADE: &'static [&'static str] = &[events::CREATED];

    async fn identify(api: &Api) -> Result<Account> {
        #[derive(Deserialize)]
        struct Token {
            sub: String,
            #[serde(default)]
            email: Option<String>,
            #[serde(default)]
            scope: String,
        }
        // Google's own libraries ask so: https://docs.cloud.google.com/nodejs/docs/reference/google-auth-library/latest
        let token: Token = api.post("/tokeninfo", &[]).at(TOKENS).reads().send().await?;
        let first = PageRequest { cursor: None, limit: Some(1) };
        if properties::accounts(api, &first).await?.items.is_empty() {
            return Err(Error::new(
                Code::ActionRequired,
                "The sign-in works, but this Google account sees no Google Analytics account. A person sets one up, or is given access to one, and connects again.",
            )
            .url("https://analytics.google.com"));
        }
        Ok(Account {
            name: token.email.unwrap_or_else(|| format!("Google account {}", token.sub)),
            id: token.sub,
            mode: None,
            permissions: Permissions::Known(
                token.scope.split_whitespace().map(str::to_owned).collect::<BTreeSet<String>>(),
            ),
            ends_at: None,
        })
    }

    async fn clean_up(api: &Api) -> Result<()> {
        events::delete_secrets(api).await
    }

    async fn revoke(_: &Api) -> Result<Proof> {
        // Revoking a token would end every other connection of this person to the same project too.
        Ok(Proof::PersonMust {
            instruction: "Remove this product from the Google account; that also ends its other connections to it, such as Gmail.".to_owned(),
            url: "https://myaccount.google.com/connections".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::{ANALYTICS, adapter};

    const READONLY: &str = "https://www.googleapis.com/auth/analytics.readonly";

    async fn signed_in(accounts: Value) -> FakeApi {
        let token = json!({"azp": "7.apps.example", "aud": "7.apps.example", "sub": "1089", "expires_in": "3599",
            "scope": format!("openid {READONLY}"), "email": "ann@shop.example", "email_verified": "true"});
        FakeApi::new(&ANALYTICS).await.on("POST", "/tokeninfo", 200, token).on(
            "GET",
            "/v1beta/accountSummaries",
            200,
            accounts,
        )
    }

    #[tokio::test]
    async fn tells_whose_account_it_is_and_what_was_consented_to() {
        let fake = signed_in(
            json!({"accountSummaries": [{"account": "accounts/7", "displayName": "Acme"}]}),
        )
        .await;
        let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!((account.id.as_str(), account.name.as_str()), ("1089", "ann@shop.example"));
        let consented = ["openid".to_owned(), READONLY.to_owned()].into();
        assert_eq!(account.permissions, Permissions::Known(consented));
        // The token is in the header, not in the address.
        assert!(fake.requests().await[0].query.is_empty());
    }

    #[tokio::test]
    async fn explains_a_google_account_without_analytics() {
        let fake = signed_in(json!({})).await;
        let error = adapter().identify(&fake.api(Risk::Read)).await.unwrap_err();
        assert_eq!(error.code(), Code::ActionRequired);
        assert!(error.message().contains("sees no Google Analytics account"), "{error}");
    }

    #[tokio::test]
    async fn a_person_ends_the_connection_at_google() {
        let fake = FakeApi::new(&ANALYTICS).await;
        let proof = adapter().revoke(&fake.api(Risk::Write)).await.unwrap();
        assert!(matches!(proof, Proof::PersonMust { .. }), "{proof:?}");
    }
}
