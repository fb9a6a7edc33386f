//! Payouts: money on its way from Stripe to the bank.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mode::{InMode, in_mode};
use crate::permissions::PAYOUT_READ;
use crate::times::{At, Created};

/// Money on its way to the bank.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Payout {
    /// Its id, `po_...`.
    pub id: String,
    /// `paid`, `pending`, `in_transit`, `canceled` or `failed`.
    pub status: String,
    /// In the smallest unit of the currency; below 0 Stripe takes it from the bank.
    pub amount: i64,
    /// Three letters.
    pub currency: String,
    /// Whether Stripe made it by its schedule.
    pub automatic: bool,
    /// When it should arrive.
    #[serde(rename(deserialize = "arrival_date"))]
    pub arrives_at: At,
    /// Why it failed.
    #[serde(default)]
    pub failure_message: Option<String>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// How payouts stand.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Paid,
    Pending,
    InTransit,
    Canceled,
    Failed,
}

/// Lists payouts to the bank, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListPayouts {
    status: Option<Standing>,
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListPayouts {
    const NAME: &'static str = "list_payouts";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "when does the money reach our bank",
        "transfers to the bank account",
        "Auszahlungen",
        "virements",
        "transferencias",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PAYOUT_READ;
    type Output = InMode<Page<Payout>>;

    async fn run(self, api: &Api) -> Result<InMode<Page<Payout>>> {
        // https://docs.stripe.com/api/payouts/list
        let request = api.get("/v1/payouts", &[]).query("status", self.status);
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
    async fn tells_when_money_arrives() {
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/payouts", 200, json!({
            "object": "list", "has_more": false, "data": [{
                "id": "po_1", "object": "payout", "amount": 1100, "arrival_date": 1_769_904_000, "automatic": true,
                "created": 1_769_817_600, "currency": "eur", "destination": "ba_1", "failure_message": null, "livemode": false,
                "status": "in_transit", "type": "bank_account",
            }],
        }));
        let page = fake
            .run::<ListPayouts>(json!({"status": "in_transit", "created_from": "2026-01-01"}))
            .await
            .unwrap();
        assert_eq!(
            page["items"][0],
            json!({
                "id": "po_1", "status": "in_transit", "amount": 1100, "currency": "eur", "automatic": true,
                "arrives_at": "2026-02-01T00:00:00Z", "created_at": "2026-01-31T00:00:00Z",
            })
        );
        assert_eq!(fake.requests().await[0].query["status"], "in_transit");
    }
}
