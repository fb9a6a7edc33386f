//! The balance: what has arrived, what is on its way.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mode::{InMode, in_mode};
use crate::permissions::BALANCE_READ;

/// An amount of money.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// In the smallest unit of the currency, such as cents; some currencies have none smaller.
    pub amount: i64,
    /// Three letters.
    pub currency: String,
}

/// Money at Stripe, one amount per currency.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Balance {
    /// Can be paid out now.
    pub available: Vec<Money>,
    /// Still on its way from the customers.
    pub pending: Vec<Money>,
}

/// Tells how much money is at Stripe: available for payout, and still pending.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetBalance {}

impl Action for GetBalance {
    const NAME: &'static str = "get_balance";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "how much money is at Stripe",
        "available funds",
        "balance",
        "Kontostand",
        "Guthaben",
        "solde",
        "saldo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = BALANCE_READ;
    type Output = InMode<Balance>;

    async fn run(self, api: &Api) -> Result<InMode<Balance>> {
        // https://docs.stripe.com/api/balance/balance_retrieve
        Ok(in_mode(api, api.get("/v1/balance", &[]).send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;

    #[tokio::test]
    async fn tells_each_currency_apart() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/balance",
            200,
            json!({
                "object": "balance", "livemode": false,
                "available": [{"amount": 1250, "currency": "eur", "source_types": {"card": 1250}}, {"amount": -3, "currency": "jpy"}],
                "pending": [{"amount": 0, "currency": "eur"}], "connect_reserved": [{"amount": 0, "currency": "eur"}],
            }),
        );
        assert_eq!(
            fake.run::<GetBalance>(json!({})).await.unwrap(),
            json!({
                "mode": "test", "available": [{"amount": 1250, "currency": "eur"}, {"amount": -3, "currency": "jpy"}],
                "pending": [{"amount": 0, "currency": "eur"}],
            })
        );
    }
}
