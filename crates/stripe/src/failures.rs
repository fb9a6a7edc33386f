//! Why a payment failed, and what the business can do about it.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::declines::advice;
use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::FAILURE_READ;
use crate::times::At;

/// Why a payment failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// Id of the payment.
    payment: String,
    /// As it stands now.
    status: String,
    /// Whether its last try failed, and it was not paid since.
    failed: bool,
    /// What is to be paid, in the smallest unit of the currency.
    amount: i64,
    /// Three letters.
    currency: String,
    /// Id of the customer.
    customer: Option<Id>,
    /// Stripe's word for it, such as `card_declined`.
    code: Option<String>,
    /// The bank's reason, such as `insufficient_funds`.
    decline_code: Option<String>,
    /// What the customer was told.
    told_customer: Option<String>,
    /// What Stripe tells the business only.
    told_business: Option<String>,
    /// Who stopped it: `issuer_declined` the bank, `blocked` Stripe, `invalid` a mistake.
    stopped_by: Option<String>,
    /// How risky Stripe finds it: `normal`, `elevated` or `highest`.
    risk_level: Option<String>,
    /// What to do about it.
    advice: String,
    /// When the payment was created.
    created_at: At,
}

#[derive(Deserialize)]
struct Intent {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    customer: Option<Id>,
    last_payment_error: Option<LastError>,
    latest_charge: Option<Charge>,
    created: At,
}

#[derive(Default, Deserialize)]
struct LastError {
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Charge {
    outcome: Option<Outcome>,
}

#[derive(Default, Deserialize)]
struct Outcome {
    reason: Option<String>,
    risk_level: Option<String>,
    seller_message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Explains why a payment failed and what to do about it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExplainFailedPayment {
    /// `pi_...`.
    payment: String,
}

impl Action for ExplainFailedPayment {
    const NAME: &'static str = "explain_failed_payment";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "why was a card declined",
        "payment did not work",
        "failed charge",
        "Zahlung fehlgeschlagen",
        "paiement refusé",
        "pago rechazado",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = FAILURE_READ;
    type Output = InMode<Explanation>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<InMode<Explanation>> {
        // https://docs.stripe.com/api/payment_intents/retrieve
        let intent: Intent = api
            .get("/v1/payment_intents/{}", &[&self.payment])
            .query("expand[0]", "latest_charge")
            .send()
            .await?;
        Ok(in_mode(api, explain(intent)))
    }
}

fn explain(intent: Intent) -> Explanation {
    let failed = intent.last_payment_error.is_some() && intent.status != "succeeded";
    // An older failure says nothing about a payment that went well since.
    let error = intent.last_payment_error.filter(|_| failed).unwrap_or_default();
    let outcome = intent
        .latest_charge
        .and_then(|charge| charge.outcome)
        .filter(|_| failed)
        .unwrap_or_default();
    let reason = error.decline_code.as_ref().or(outcome.reason.as_ref()).or(error.code.as_ref());
    let advice = match (failed, intent.status.as_str()) {
        (true, _) => advice(reason.map(String::as_str).unwrap_or_default()),
        (_, "succeeded") => "It was paid; nothing is to be done.",
        (_, "processing") => "It is on its way; some ways to pay take days. Look again later.",
        (_, "requires_action") => {
            "The customer has to confirm it at the bank: send a link to the payment page."
        }
        (_, "requires_payment_method" | "requires_confirmation") => {
            "The customer has not paid yet: nothing was tried so far."
        }
        (_, "requires_capture") => {
            "The amount is reserved: a person captures it in the dashboard before it lapses."
        }
        (_, "canceled") => "It was cancelled: start a new payment.",
        _ => "It did not fail; look at its status.",
    };
    Explanation {
        payment: intent.id,
        failed,
        status: intent.status,
        amount: intent.amount,
        currency: intent.currency,
        customer: intent.customer,
        code: error.code,
        decline_code: error.decline_code,
        told_customer: error.message,
        told_business: outcome.seller_message,
        stopped_by: outcome.kind,
        risk_level: outcome.risk_level,
        advice: advice.to_owned(),
        created_at: intent.created,
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::payments::tests::payment;

    async fn explained(mut payment: Value, outcome: Value) -> Value {
        payment["latest_charge"] = json!({"id": "ch_1", "object": "charge", "outcome": outcome, "payment_method_details": {}});
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/payment_intents/pi_1", 200, payment);
        let told = fake.run::<ExplainFailedPayment>(json!({"payment": "pi_1"})).await.unwrap();
        assert_eq!(fake.requests().await[0].query["expand[0]"], "latest_charge");
        told
    }

    #[tokio::test]
    async fn explains_a_decline_by_the_bank() {
        let error = json!({"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "Your card has insufficient funds.", "payment_method": {"id": "pm_1", "card": {"last4": "9995"}}});
        let outcome = json!({
            "type": "issuer_declined", "reason": "insufficient_funds", "risk_level": "normal", "risk_score": 3,
            "seller_message": "The bank returned the decline code `insufficient_funds`.", "network_status": "declined_by_network",
        });
        assert_eq!(
            explained(payment("pi_1", "requires_payment_method", &error), outcome).await,
            json!({
                "mode": "test", "payment": "pi_1", "status": "requires_payment_method", "failed": true, "amount": 2500,
                "currency": "eur", "customer": "cus_1", "code": "card_declined", "decline_code": "insufficient_funds",
                "told_customer": "Your card has insufficient funds.",
                "told_business": "The bank returned the decline code `insufficient_funds`.",
                "stopped_by": "issuer_declined", "risk_level": "normal", "created_at": "2026-01-31T00:00:00Z",
                "advice": "The customer pays with another card or tries again in some days.",
            })
        );
    }

    #[tokio::test]
    async fn explains_what_stripe_itself_blocked() {
        let error = json!({"type": "card_error", "code": "card_declined", "message": "Your card was declined."});
        let told = explained(
            payment("pi_1", "requires_payment_method", &error),
            json!({"type": "blocked", "reason": "highest_risk_level", "risk_level": "highest", "seller_message": "Stripe blocked this payment."}),
        )
        .await;
        assert!(told["advice"].as_str().unwrap().contains("fraud"), "{told}");
        let unknown =
            json!({"type": "card_error", "code": "card_declined", "decline_code": "new_reason"});
        let told =
            explained(payment("pi_1", "requires_payment_method", &unknown), Value::Null).await;
        assert_eq!(told["advice"], "The customer tries another way to pay.");
    }

    #[tokio::test]
    async fn a_payment_that_went_well_in_the_end_did_not_fail() {
        let error = json!({"type": "card_error", "code": "card_declined", "decline_code": "do_not_honor", "message": "No."});
        let told = explained(
            payment("pi_1", "succeeded", &error),
            json!({"type": "authorized", "seller_message": "Payment complete."}),
        )
        .await;
        assert_eq!(told["failed"], false);
        assert_eq!(told.get("decline_code"), None);
        assert!(told["advice"].as_str().unwrap().contains("paid"), "{told}");
    }
}
