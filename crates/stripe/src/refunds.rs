//! Refunds: money back to a customer.

use resto_core::{Action, Api, Code, Error, Money, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::payments::Payment;
use crate::permissions::REFUND_WRITE;
use crate::times::At;

/// Money back to a customer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// Its id, `re_...`.
    pub id: String,
    /// Id of the payment.
    #[serde(default, rename(deserialize = "payment_intent"))]
    pub payment: Option<Id>,
    /// In the smallest unit of the currency.
    pub amount: i64,
    /// Three letters.
    pub currency: String,
    /// `succeeded`, `pending`, `requires_action`, `failed` or `canceled`.
    #[serde(default)]
    pub status: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// When it was made.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// Why money goes back.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Duplicate,
    /// Also blocks the card and the mail address.
    Fraudulent,
    RequestedByCustomer,
}

/// Pays a payment back to the customer, in whole or in part. It cannot be taken back; Stripe keeps its fee.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RefundPayment {
    /// `pi_...`.
    payment: String,
    /// In the smallest unit; default all that is left.
    #[schemars(range(min = 1))]
    amount: Option<i64>,
    /// That of the payment; needed with `amount`.
    currency: Option<String>,
    /// `fraudulent` also blocks the card and mail address.
    reason: Option<Reason>,
}

impl Action for RefundPayment {
    const NAME: &'static str = "refund_payment";
    const RISK: Risk = Risk::Spend;
    const PHRASES: &'static [&'static str] = &[
        "give money back",
        "refund an order",
        "return a payment",
        "Geld zurückgeben",
        "Rückerstattung",
        "rembourser un client",
        "reembolsar",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REFUND_WRITE;
    type Output = InMode<Refund>;

    async fn run(self, api: &Api) -> Result<InMode<Refund>> {
        // https://docs.stripe.com/api/payment_intents/retrieve
        let paid: Payment = api.get("/v1/payment_intents/{}", &[&self.payment]).send().await?;
        if paid.amount_received == 0 {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "Nothing was paid with {}: it is {}. Nothing was refunded.",
                    paid.id, paid.status
                ),
            ));
        }
        let same =
            self.currency.as_ref().is_some_and(|one| one.eq_ignore_ascii_case(&paid.currency));
        if !same && (self.amount.is_some() || self.currency.is_some()) {
            return Err(Error::invalid(
                "currency",
                format!(
                    "invalid input: this was paid in `{}`; `amount` needs `currency` to say the same. Nothing was refunded.",
                    paid.currency
                ),
            ));
        }
        let most = self.amount.unwrap_or(paid.amount_received);
        let currency = paid.currency.to_ascii_uppercase();
        api.spend(&Money { minor: u64::try_from(most).unwrap_or(u64::MAX), currency }).await?;
        // https://docs.stripe.com/api/refunds/create
        let refund = api.post("/v1/refunds", &[]).form(&json!({
            "payment_intent": self.payment,
            "amount": self.amount,
            "reason": self.reason,
        }));
        Ok(in_mode(api, refund.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::payments::tests::payment;

    async fn fake(status: &str) -> FakeApi {
        FakeApi::new(&STRIPE)
            .await
            .on("GET", "/v1/payment_intents/pi_1", 200, payment("pi_1", status, &Value::Null))
            .on("POST", "/v1/refunds", 200, json!({
                "id": "re_1", "object": "refund", "amount": 500, "charge": "ch_1", "created": 1_769_817_600, "currency": "eur",
                "payment_intent": "pi_1", "reason": "requested_by_customer", "status": "succeeded",
            }))
    }

    #[tokio::test]
    async fn pays_a_part_back() {
        let fake = fake("succeeded").await;
        let told = fake
            .run::<RefundPayment>(
                json!({"payment": "pi_1", "amount": 500, "currency": "EUR", "reason": "requested_by_customer"}),
            )
            .await
            .unwrap();
        assert_eq!(
            told,
            json!({
                "mode": "test", "id": "re_1", "payment": "pi_1", "amount": 500, "currency": "eur", "status": "succeeded",
                "created_at": "2026-01-31T00:00:00Z",
            })
        );
        let requests = fake.requests().await;
        assert_eq!(
            requests[1].body,
            json!({"payment_intent": "pi_1", "amount": "500", "reason": "requested_by_customer"})
        );
        assert!(requests[1].headers.contains_key("idempotency-key"));
    }

    #[tokio::test]
    async fn pays_everything_back_when_no_amount_is_given() {
        let fake = fake("succeeded").await;
        fake.run::<RefundPayment>(json!({"payment": "pi_1"})).await.unwrap();
        assert_eq!(fake.requests().await[1].body, json!({"payment_intent": "pi_1"}));
    }

    #[tokio::test]
    async fn an_amount_without_the_currency_of_the_payment_is_refused() {
        let fake = fake("succeeded").await;
        for input in [
            json!({"payment": "pi_1", "amount": 500}),
            json!({"payment": "pi_1", "amount": 500, "currency": "usd"}),
        ] {
            let error = fake.run::<RefundPayment>(input).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("currency"));
        }
        assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
    }

    #[tokio::test]
    async fn what_was_not_paid_cannot_go_back() {
        let fake = fake("requires_payment_method").await;
        let error = fake.run::<RefundPayment>(json!({"payment": "pi_1"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::Conflict, 1));
    }
}
