//! The billing portal: a page where a customer manages its own subscriptions and cards.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::PORTAL_WRITE;

/// A page for one customer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BillingPortalSession {
    /// The page, for this customer's eyes only; it must be opened within minutes.
    pub url: String,
    /// Id of the customer.
    pub customer: String,
}

/// Opens a page where one customer manages its subscriptions, cards and invoices; give the link to nobody else.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateBillingPortalSession {
    customer: String,
    return_url: Option<String>,
}

impl Action for CreateBillingPortalSession {
    const NAME: &'static str = "create_billing_portal_session";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "customer portal",
        "let a customer update the card or manage billing",
        "self-service page",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PORTAL_WRITE;
    type Output = InMode<BillingPortalSession>;

    async fn run(self, api: &Api) -> Result<InMode<BillingPortalSession>> {
        // https://docs.stripe.com/api/customer_portal/sessions/create
        let session = api
            .post("/v1/billing_portal/sessions", &[])
            .form(&json!({"customer": self.customer, "return_url": self.return_url}));
        Ok(in_mode(api, session.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;

    const PATH: &str = "/v1/billing_portal/sessions";

    #[tokio::test]
    async fn opens_a_page_for_one_customer() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 200, json!({
            "id": "bps_1", "object": "billing_portal.session", "customer": "cus_1", "livemode": false,
            "url": "https://billing.stripe.com/p/session/1", "return_url": "https://shop.example",
        }));
        let told = fake
            .run::<CreateBillingPortalSession>(
                json!({"customer": "cus_1", "return_url": "https://shop.example"}),
            )
            .await
            .unwrap();
        assert_eq!(
            told,
            json!({"mode": "test", "url": "https://billing.stripe.com/p/session/1", "customer": "cus_1"})
        );
        assert_eq!(
            fake.requests().await[0].body,
            json!({"customer": "cus_1", "return_url": "https://shop.example"})
        );
    }

    #[tokio::test]
    async fn says_that_the_portal_is_not_set_up() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 400, json!({"error": {
            "type": "invalid_request_error",
            "message": "You can't create a portal session in test mode until you save your customer portal settings in test mode at https://dashboard.stripe.com/test/settings/billing/portal.",
        }}));
        let error =
            fake.run::<CreateBillingPortalSession>(json!({"customer": "cus_1"})).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("/settings/billing/portal"), "{error}");
    }
}
