//! Disputes: customers who ask their bank for the money back.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::DISPUTE_READ;
use crate::times::{At, Created};

/// A customer's claim at the bank.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Dispute {
    /// Its id, `du_...` or `dp_...`.
    pub id: String,
    /// `needs_response`, `under_review`, `won`, `lost`, `warning_needs_response`, `warning_under_review`, `warning_closed` or `prevented`.
    pub status: String,
    /// Why, such as `fraudulent`, `product_not_received` or `subscription_canceled`.
    pub reason: String,
    /// What the customer wants back, in the smallest unit of the currency.
    pub amount: i64,
    /// Three letters.
    pub currency: String,
    /// Id of the payment.
    #[serde(default, rename(deserialize = "payment_intent"))]
    pub payment: Option<Id>,
    /// By when and whether the business answered.
    #[serde(default, rename(deserialize = "evidence_details"))]
    pub answer: Option<Answer>,
    /// Whether a refund still ends it.
    #[serde(default, rename(deserialize = "is_charge_refundable"))]
    pub refundable: bool,
    /// When it was raised.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// The business's answer to a dispute.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// By when it must be there.
    #[serde(default, rename(deserialize = "due_by"))]
    pub due_at: Option<At>,
    /// Whether that time has passed.
    #[serde(default)]
    pub past_due: bool,
    /// How often evidence was handed in.
    #[serde(default)]
    pub submission_count: u32,
}

/// Lists disputes, newest first, with the time by which each must be answered in the dashboard.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDisputes {
    /// Its id.
    payment: Option<String>,
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDisputes {
    const NAME: &'static str = "list_disputes";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["chargebacks", "disputed payments", "customers who contest a charge"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DISPUTE_READ;
    type Output = InMode<Page<Dispute>>;

    async fn run(self, api: &Api) -> Result<InMode<Page<Dispute>>> {
        // https://docs.stripe.com/api/disputes/list
        let request = api.get("/v1/disputes", &[]).query("payment_intent", self.payment);
        Ok(in_mode(api, self.created.ask(request)?.page(&self.page).list_in("data").await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;

    #[tokio::test]
    async fn tells_by_when_a_dispute_must_be_answered() {
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/disputes", 200, json!({
            "object": "list", "has_more": false, "data": [{
                "id": "du_1", "object": "dispute", "amount": 2500, "charge": "ch_1", "created": 1_769_817_600, "currency": "eur",
                "evidence": {"customer_name": "Jenny Rosen", "customer_purchase_ip": "192.0.2.1"},
                "evidence_details": {"due_by": 1_772_236_800, "has_evidence": false, "past_due": false, "submission_count": 0},
                "is_charge_refundable": true, "livemode": false, "payment_intent": "pi_1", "reason": "product_not_received",
                "status": "needs_response",
            }],
        }));
        let page = fake
            .run::<ListDisputes>(json!({"payment": "pi_1", "created_from": "2026-01-01"}))
            .await
            .unwrap();
        assert_eq!(
            page["items"][0],
            json!({
                "id": "du_1", "status": "needs_response", "reason": "product_not_received", "amount": 2500, "currency": "eur",
                "payment": "pi_1", "refundable": true, "created_at": "2026-01-31T00:00:00Z",
                "answer": {"due_at": "2026-02-28T00:00:00Z", "past_due": false, "submission_count": 0},
            })
        );
        assert_eq!(fake.requests().await[0].query["payment_intent"], "pi_1");
    }
}
