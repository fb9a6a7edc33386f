//! Checkout: a payment page for one purchase.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::CHECKOUT_WRITE;
use crate::prices::Priced;
use crate::products::Metadata;
use crate::times::At;

/// A payment page for one purchase.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutSession {
    /// Its id, `cs_...`.
    pub id: String,
    /// The page; send the customer there.
    #[serde(default)]
    pub url: Option<String>,
    /// `open`, `complete` or `expired`.
    #[serde(default)]
    pub status: Option<String>,
    /// What is to be paid, in the smallest unit of the currency.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// Three letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// Id of the customer, if it is known already.
    #[serde(default)]
    pub customer: Option<Id>,
    /// When the page closes.
    pub expires_at: At,
}

/// What a customer does on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Purpose {
    /// Pays once.
    Payment,
    /// Starts a subscription.
    Subscription,
    /// Saves a way to pay for later.
    Setup,
}

/// Opens a payment page for one customer, to pay once, subscribe, or save a card. Pays nothing by itself.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateCheckoutSession {
    /// `payment` once, `subscription` recurring, `setup` saves a card.
    purpose: Purpose,
    /// Empty with `setup`.
    #[serde(default)]
    #[schemars(length(max = 20))]
    items: Vec<Priced>,
    success_url: String,
    cancel_url: Option<String>,
    /// Left out, the page asks.
    customer: Option<String>,
    /// To fill in, without `customer`.
    customer_email: Option<String>,
    /// Only with `setup`.
    currency: Option<String>,
    allow_promotion_codes: Option<bool>,
    /// With `subscription`.
    trial_days: Option<u32>,
    /// The business's own, such as an order's.
    client_reference_id: Option<String>,
    metadata: Option<Metadata>,
}

impl Action for CreateCheckoutSession {
    const NAME: &'static str = "create_checkout_session";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["payment page for one customer", "take a single payment", "save a card", "checkout"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHECKOUT_WRITE;
    type Output = InMode<CheckoutSession>;

    async fn run(self, api: &Api) -> Result<InMode<CheckoutSession>> {
        if (self.purpose == Purpose::Setup) != self.items.is_empty() {
            return Err(Error::invalid(
                "items",
                "invalid input: `items` says what is bought; only `setup` goes without. Nothing was sent.",
            ));
        }
        // https://docs.stripe.com/api/checkout/sessions/create
        let session = api.post("/v1/checkout/sessions", &[]).form(&json!({
            "mode": self.purpose,
            "line_items": self.items,
            "success_url": self.success_url,
            "cancel_url": self.cancel_url,
            "customer": self.customer,
            "customer_email": self.customer_email,
            "currency": self.currency.map(|currency| currency.to_ascii_lowercase()),
            "allow_promotion_codes": self.allow_promotion_codes,
            "subscription_data": self.trial_days.map(|days| json!({"trial_period_days": days})),
            "client_reference_id": self.client_reference_id,
            "metadata": self.metadata,
        }));
        Ok(in_mode(api, session.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;

    #[tokio::test]
    async fn opens_a_page_to_subscribe() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", "/v1/checkout/sessions", 200, json!({
            "id": "cs_test_1", "object": "checkout.session", "amount_total": 3800, "currency": "eur", "customer": null,
            "expires_at": 1_769_904_000, "livemode": false, "mode": "subscription", "status": "open", "client_secret": null,
            "url": "https://checkout.stripe.com/c/pay/cs_test_1",
        }));
        let told = fake
            .run::<CreateCheckoutSession>(json!({
                "purpose": "subscription", "items": [{"price": "price_1", "quantity": 2}], "trial_days": 7,
                "success_url": "https://shop.example/thanks", "customer_email": "jenny@example.com", "allow_promotion_codes": true,
            }))
            .await
            .unwrap();
        assert_eq!(
            told,
            json!({
                "mode": "test", "id": "cs_test_1", "url": "https://checkout.stripe.com/c/pay/cs_test_1", "status": "open",
                "amount_total": 3800, "currency": "eur", "expires_at": "2026-02-01T00:00:00Z",
            })
        );
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "mode": "subscription", "line_items": [{"price": "price_1", "quantity": "2"}],
                "success_url": "https://shop.example/thanks", "customer_email": "jenny@example.com",
                "allow_promotion_codes": "true", "subscription_data": {"trial_period_days": "7"},
            })
        );
    }

    #[tokio::test]
    async fn only_saving_a_card_goes_without_items() {
        let fake = FakeApi::new(&STRIPE).await;
        for input in [
            json!({"purpose": "payment", "success_url": "https://shop.example"}),
            json!({"purpose": "setup", "success_url": "https://shop.example", "items": [{"price": "price_1"}]}),
        ] {
            let error = fake.run::<CreateCheckoutSession>(input).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("items"));
        }
        assert!(fake.requests().await.is_empty());
    }
}
