//! Payments: which came in, which did not.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::PAYMENT_READ;
use crate::times::{At, Created};

/// Why the last try of a payment failed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Stripe's word for it, such as `card_declined`.
    #[serde(default)]
    pub code: Option<String>,
    /// The bank's reason, such as `insufficient_funds`.
    #[serde(default)]
    pub decline_code: Option<String>,
}

/// A payment. Amounts are in the smallest unit of the currency.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    /// Its id, `pi_...`.
    pub id: String,
    /// `succeeded`, `processing`, `requires_payment_method` (not tried, or failed), `requires_action` (waits for the customer), `requires_confirmation`, `requires_capture` or `canceled`.
    pub status: String,
    /// What is to be paid.
    pub amount: i64,
    /// What came in.
    #[serde(default)]
    pub amount_received: i64,
    /// Three letters.
    pub currency: String,
    /// Id of the customer.
    #[serde(default)]
    pub customer: Option<Id>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Why the last try failed.
    #[serde(default, rename(deserialize = "last_payment_error"))]
    pub failure: Option<Failure>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// Lists payments, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListPayments {
    customer: Option<String>,
    /// At the last try; pages may be shorter.
    #[serde(default)]
    failed: bool,
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListPayments {
    const NAME: &'static str = "list_payments";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "latest payments",
        "who paid",
        "recent charges and orders",
        "Zahlungen",
        "paiements",
        "pagos",
        "who paid us",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PAYMENT_READ;
    type Output = InMode<Page<Payment>>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<InMode<Page<Payment>>> {
        // https://docs.stripe.com/api/payment_intents/list
        let request = api.get("/v1/payment_intents", &[]).query("customer", self.customer);
        let page: Page<Payment> =
            self.created.ask(request)?.page(&self.page).list_in("data").await?;
        let only_failed = self.failed;
        Ok(in_mode(
            api,
            page.filter(|payment| {
                !only_failed || (payment.failure.is_some() && payment.status != "succeeded")
            }),
        ))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    /// A payment as Stripe answers it, trimmed.
    pub(crate) fn payment(id: &str, status: &str, error: &Value) -> Value {
        json!({
            "id": id, "object": "payment_intent", "amount": 2500, "amount_received": if status == "succeeded" { 2500 } else { 0 },
            "client_secret": "hidden", "created": 1_769_817_600, "currency": "eur", "customer": "cus_1", "description": "Bread",
            "last_payment_error": error, "latest_charge": "ch_1", "livemode": false, "status": status,
        })
    }

    #[tokio::test]
    async fn lists_payments_or_only_those_that_failed() {
        let declined = json!({"type": "card_error", "code": "card_declined", "decline_code": "do_not_honor", "message": "Declined", "payment_method": {"id": "pm_1"}});
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/payment_intents",
            200,
            json!({
                "object": "list", "has_more": true,
                "data": [
                    payment("pi_1", "succeeded", &Value::Null),
                    payment("pi_2", "requires_payment_method", &declined),
                    payment("pi_3", "succeeded", &declined),
                ],
            }),
        );
        let all = fake.run::<ListPayments>(json!({"customer": "cus_1"})).await.unwrap();
        assert_eq!(all["items"].as_array().unwrap().len(), 3);
        let failed = fake
            .run::<ListPayments>(json!({"failed": true, "created_from": "2026-01-01"}))
            .await
            .unwrap();
        assert_eq!(
            failed,
            json!({
                "mode": "test", "next_cursor": "pi_3",
                "items": [{
                    "id": "pi_2", "status": "requires_payment_method", "amount": 2500, "amount_received": 0, "currency": "eur",
                    "customer": "cus_1", "description": "Bread", "created_at": "2026-01-31T00:00:00Z",
                    "failure": {"code": "card_declined", "decline_code": "do_not_honor"},
                }],
            })
        );
    }
}
