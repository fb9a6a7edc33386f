//! Whose account it is, and the life of its connection.

use resto_core::{Account as Connecting, Action, Api, Lifecycle, Permissions, Proof, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::refused_key;
use crate::mode::{InMode, in_mode};
use crate::permissions::ACCOUNT_READ;

/// A business at Stripe.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Stable id, `acct_...`.
    pub id: String,
    /// Name of the business, as its customers see it.
    #[serde(default, rename(deserialize = "business_profile"))]
    pub name: BusinessName,
    /// Mail address of the account.
    #[serde(default)]
    pub email: Option<String>,
    /// Country, two letters.
    #[serde(default)]
    pub country: Option<String>,
    /// Currency in which it is paid out unless it says otherwise, three letters.
    #[serde(default)]
    pub default_currency: Option<String>,
    /// Whether it can take payments.
    #[serde(default)]
    pub charges_enabled: bool,
    /// Whether it can be paid out.
    #[serde(default)]
    pub payouts_enabled: bool,
    /// Whether its owner has told Stripe all about the business.
    #[serde(default)]
    pub details_submitted: bool,
    /// What Stripe wants to know now, in its own words.
    #[serde(default, rename(deserialize = "requirements"))]
    pub due: Due,
}

/// Name of a business.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Option<Profile>")]
pub struct BusinessName(Option<String>);

#[derive(Deserialize, JsonSchema)]
struct Profile {
    name: Option<String>,
}

impl From<Option<Profile>> for BusinessName {
    fn from(profile: Option<Profile>) -> Self {
        Self(profile.and_then(|profile| profile.name))
    }
}

/// What Stripe wants to know.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Option<Requirements>")]
pub struct Due(Vec<String>);

#[derive(Deserialize, JsonSchema)]
struct Requirements {
    #[serde(default)]
    currently_due: Vec<String>,
}

impl From<Option<Requirements>> for Due {
    fn from(requirements: Option<Requirements>) -> Self {
        Self(requirements.map(|requirements| requirements.currently_due).unwrap_or_default())
    }
}

/// Tells which Stripe account is connected, whether it can take payments, and what Stripe still wants to know.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetAccount {}

impl Action for GetAccount {
    const NAME: &'static str = "get_account";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "is our Stripe account ready",
        "can we take payments",
        "verification requirements",
        "can we accept payments",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ACCOUNT_READ;
    type Output = InMode<Account>;

    async fn run(self, api: &Api) -> Result<InMode<Account>> {
        // https://docs.stripe.com/api/accounts/retrieve
        Ok(in_mode(api, api.get("/v1/account", &[]).send().await?))
    }
}

/// The life of a connection by a restricted key.
pub(crate) struct Key;

#[derive(Deserialize)]
struct Livemode {
    livemode: bool,
}

impl Lifecycle for Key {
    /// A restricted key need not be able to read its own account or balance: a refusal still names
    /// the account and the mode.
    async fn identify(api: &Api) -> Result<Connecting> {
        let account: Result<Account> = api.get("/v1/account", &[]).send().await;
        let (id, name, told) = match account {
            Ok(account) => (account.id.clone(), account.name.0.unwrap_or(account.id), None),
            Err(error) => match refused_key(&error) {
                Some((id, mode)) => (id.clone(), id, Some(mode)),
                None => return Err(error),
            },
        };
        // The account does not say its mode; the balance does.
        let mode = match told {
            Some(mode) => mode,
            None => match api.get("/v1/balance", &[]).send::<Livemode>().await {
                Ok(Livemode { livemode: true }) => "live",
                Ok(Livemode { livemode: false }) => "test",
                Err(error) => refused_key(&error).map(|(_, mode)| mode).ok_or(error)?,
            },
        };
        // A key cannot be asked for its rights; each refusal tells one.
        let permissions = Permissions::Unknown;
        Ok(Connecting { id, name, mode: Some(mode.to_owned()), permissions, ends_at: None })
    }

    async fn revoke(_api: &Api) -> Result<Proof> {
        Ok(Proof::PersonMust {
            instruction: "Delete the key at Stripe; whoever holds it can still use it.".to_owned(),
            url: "https://dashboard.stripe.com/apikeys".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::{STRIPE, adapter};

    fn account() -> Value {
        json!({
            "id": "acct_1", "object": "account", "business_profile": {"name": "Bakery", "mcc": null},
            "email": "owner@example.com", "country": "DE", "default_currency": "eur",
            "charges_enabled": true, "payouts_enabled": false, "details_submitted": true,
            "requirements": {"currently_due": ["external_account"], "errors": []}, "tos_acceptance": {"ip": "192.0.2.1"},
        })
    }

    fn refusal(right: &str) -> Value {
        let key = format!("rk_{}_***abc", "live");
        json!({"error": {"type": "invalid_request_error", "message": format!("The provided key '{key}' does not have the required permissions for this endpoint on account 'acct_9'. Having the 'rak_{right}' permission would allow this request to continue.")}})
    }

    #[tokio::test]
    async fn tells_whose_account_it_is_and_what_stripe_wants_to_know() {
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/account", 200, account());
        let told = fake.run::<GetAccount>(json!({})).await.unwrap();
        assert_eq!(
            told,
            json!({
                "mode": "test", "id": "acct_1", "name": "Bakery", "email": "owner@example.com", "country": "DE",
                "default_currency": "eur", "charges_enabled": true, "payouts_enabled": false,
                "details_submitted": true, "due": ["external_account"],
            })
        );
        assert_eq!(fake.requests().await[0].headers["stripe-version"], "2026-10-28.endive");
    }

    #[tokio::test]
    async fn identifies_the_account_and_its_mode() {
        for (livemode, mode) in [(true, "live"), (false, "test")] {
            let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/account", 200, account()).on(
                "GET",
                "/v1/balance",
                200,
                json!({"livemode": livemode, "available": []}),
            );
            let found = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
            assert_eq!(
                found,
                Connecting {
                    id: "acct_1".into(),
                    name: "Bakery".into(),
                    mode: Some(mode.into()),
                    permissions: Permissions::Unknown,
                    ends_at: None
                }
            );
        }
    }

    #[tokio::test]
    async fn a_key_that_may_read_neither_account_nor_balance_is_identified_by_the_refusal() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/account",
            403,
            refusal("accounts_kyc_basic_read"),
        );
        let found = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!((found.id.as_str(), found.mode.as_deref()), ("acct_9", Some("live")));
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/account", 200, account()).on(
            "GET",
            "/v1/balance",
            403,
            refusal("balance_read"),
        );
        let found = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!((found.id.as_str(), found.mode.as_deref()), ("acct_1", Some("live")));
    }

    #[tokio::test]
    async fn a_wrong_key_is_refused() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/account",
            401,
            json!({"error": {"message": "Invalid API Key provided"}}),
        );
        let error = adapter().identify(&fake.api(Risk::Read)).await.unwrap_err();
        assert_eq!(error.code(), Code::AuthExpired);
    }

    #[tokio::test]
    async fn only_a_person_can_revoke_a_key() {
        let fake = FakeApi::new(&STRIPE).await;
        let proof = adapter().revoke(&fake.api(Risk::Write)).await.unwrap();
        assert!(matches!(proof, Proof::PersonMust { url, .. } if url.ends_with("/apikeys")));
        assert!(fake.requests().await.is_empty());
    }
}
