//! Changes of subscriptions, at exactly the cost that was computed for them.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mode::{InMode, in_mode};
use crate::permissions::SUBSCRIPTION_CHANGE;
use crate::prorations::{Change, Preview};
use crate::subscriptions::Subscription;

/// A subscription that was changed, and what the change costs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Changed {
    /// What was computed just before the change.
    cost: Preview,
    /// As it is now.
    subscription: Subscription,
}

/// Moves a subscription to another price or quantity. Preview it first; a failed payment changes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ChangeSubscription {
    #[serde(flatten)]
    change: Change,
    /// Of the preview: refused above it.
    max_amount_due: Option<i64>,
}

impl Action for ChangeSubscription {
    const NAME: &'static str = "change_subscription";
    const RISK: Risk = Risk::Spend;
    const PHRASES: &'static [&'static str] = &[
        "upgrade or downgrade a customer",
        "switch plan",
        "change the number of seats",
        "Abo ändern",
        "changer d'abonnement",
        "cambiar suscripción",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SUBSCRIPTION_CHANGE;
    type Output = InMode<Changed>;

    async fn run(self, api: &Api) -> Result<InMode<Changed>> {
        self.change.check_time()?;
        let computed = self.change.preview(api).await?;
        let cost = computed.preview;
        if self.max_amount_due.is_some_and(|most| cost.amount_due > most) {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "The invoice would ask {} in the smallest unit of {}, more than allowed. Nothing was changed.",
                    cost.amount_due, cost.currency
                ),
            ));
        }
        api.spend(&computed.price).await?;
        let mut terms = computed.terms;
        if let Some(terms) = terms.as_object_mut() {
            terms.insert("payment_behavior".to_owned(), "error_if_incomplete".into());
        }
        // https://docs.stripe.com/api/subscriptions/update
        let subscription = api
            .post("/v1/subscriptions/{}", &[&self.change.subscription])
            .form(&terms)
            .send()
            .await?;
        Ok(in_mode(api, Changed { cost, subscription }))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Money;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;
    use crate::prorations::tests::{PREVIEW, upcoming};
    use crate::subscriptions::tests::subscription;

    const PATH: &str = "/v1/subscriptions/sub_1";

    async fn fake() -> FakeApi {
        FakeApi::new(&STRIPE)
            .await
            .unofficial("POST", PREVIEW)
            .on("GET", PATH, 200, subscription("active"))
            .on("POST", PREVIEW, 200, upcoming())
            .on("POST", PATH, 200, subscription("active"))
    }

    #[tokio::test]
    async fn changes_at_the_cost_that_was_computed() {
        let fake = fake().await;
        let told = fake
            .run::<ChangeSubscription>(json!({
                "subscription": "sub_1", "price": "price_big", "quantity": 2, "difference": "now", "max_amount_due": 6000,
                "computed_at": "2026-02-02T02:40:00Z",
            }))
            .await
            .unwrap();
        assert_eq!(
            (&told["cost"]["difference"], &told["subscription"]["id"]),
            (&json!(1000), &json!("sub_1"))
        );
        assert_eq!(fake.spent(), [Money { minor: 6000, currency: "EUR".to_owned() }]);
        assert_eq!(
            fake.requests().await[2].body,
            json!({
                "items": [{"id": "si_1", "price": "price_big", "quantity": "2"}], "proration_behavior": "always_invoice",
                "proration_date": "1770000000", "payment_behavior": "error_if_incomplete",
            })
        );
    }

    #[tokio::test]
    async fn the_cost_may_not_be_higher_than_allowed() {
        let fake = fake().await;
        let error = fake
            .run::<ChangeSubscription>(
                json!({"subscription": "sub_1", "price": "price_big", "difference": "waived", "max_amount_due": 5999}),
            )
            .await
            .unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::Conflict, 2));
        assert!(fake.spent().is_empty());
    }

    #[tokio::test]
    async fn what_it_costs_depends_on_no_time_but_the_one_that_was_previewed() {
        let fake = fake().await;
        let error = fake
            .run::<ChangeSubscription>(json!({"subscription": "sub_1", "price": "price_big"}))
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("computed_at"));
        assert!(fake.requests().await.is_empty());
    }
}
