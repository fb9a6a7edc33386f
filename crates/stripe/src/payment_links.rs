//! Payment links: pages where anybody can buy, again and again.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::PAYMENT_LINK_WRITE;
use crate::prices::Priced;
use crate::products::Metadata;

/// A page where anybody can buy.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PaymentLink {
    /// Its id, `plink_...`.
    pub id: String,
    /// The page; share it with customers.
    pub url: String,
    /// Whether it can be used.
    pub active: bool,
}

/// Creates a lasting link where anybody can buy, to share by mail or on a website.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreatePaymentLink {
    #[schemars(length(min = 1, max = 20))]
    items: Vec<Priced>,
    success_url: Option<String>,
    allow_promotion_codes: Option<bool>,
    trial_days: Option<u32>,
    metadata: Option<Metadata>,
}

impl Action for CreatePaymentLink {
    const NAME: &'static str = "create_payment_link";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "link to pay",
        "sell on a website without code",
        "share a buy link",
        "Zahlungslink",
        "lien de paiement",
        "enlace de pago",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PAYMENT_LINK_WRITE;
    type Output = InMode<PaymentLink>;

    async fn run(self, api: &Api) -> Result<InMode<PaymentLink>> {
        // https://docs.stripe.com/api/payment-link/create
        let link = api.post("/v1/payment_links", &[]).form(&json!({
            "line_items": self.items,
            "after_completion": self.success_url.map(|url| json!({"type": "redirect", "redirect": {"url": url}})),
            "allow_promotion_codes": self.allow_promotion_codes,
            "subscription_data": self.trial_days.map(|days| json!({"trial_period_days": days})),
            "metadata": self.metadata,
        }));
        Ok(in_mode(api, link.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;

    #[tokio::test]
    async fn creates_a_link_that_leads_back_to_the_shop() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", "/v1/payment_links", 200, json!({
            "id": "plink_1", "object": "payment_link", "active": true, "livemode": false, "url": "https://buy.stripe.com/test_1",
        }));
        let told = fake
            .run::<CreatePaymentLink>(json!({
                "items": [{"price": "price_1"}], "success_url": "https://shop.example/thanks", "trial_days": 7,
            }))
            .await
            .unwrap();
        assert_eq!(
            told,
            json!({"mode": "test", "id": "plink_1", "url": "https://buy.stripe.com/test_1", "active": true})
        );
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "line_items": [{"price": "price_1", "quantity": "1"}], "subscription_data": {"trial_period_days": "7"},
                "after_completion": {"type": "redirect", "redirect": {"url": "https://shop.example/thanks"}},
            })
        );
    }
}
