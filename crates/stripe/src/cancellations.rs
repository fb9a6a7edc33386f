//! The end of subscriptions: with the period that is paid, or at once.

use resto_core::{Action, Api, Code, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::SUBSCRIPTION_WRITE;
use crate::subscriptions::{Subscription, read};

/// When a subscription ends.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum When {
    /// With the period that is paid; can be taken back until then.
    #[default]
    PeriodEnd,
    /// At once; cannot be taken back.
    Now,
    /// Not at all: takes back an end with the period.
    Never,
}

/// Ends a subscription with the period that is paid, or at once if told so; can take the former back.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CancelSubscription {
    subscription: String,
    /// `now` cannot be taken back; `never` takes back `period_end`.
    #[serde(default)]
    when: When,
    /// With `now`: credit unused days.
    prorate: Option<bool>,
    /// The customer's reason.
    comment: Option<String>,
}

impl Action for CancelSubscription {
    const NAME: &'static str = "cancel_subscription";
    // The worst that it can do, which is `now`.
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] = &[
        "cancel a customer's plan",
        "end a membership",
        "stop recurring billing",
        "Abo kündigen",
        "résilier un abonnement",
        "cancelar suscripción",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SUBSCRIPTION_WRITE;
    type Output = InMode<Subscription>;

    async fn run(self, api: &Api) -> Result<InMode<Subscription>> {
        let id = &self.subscription;
        let details = json!({"comment": self.comment});
        let ended = match self.when {
            // https://docs.stripe.com/api/subscriptions/cancel
            When::Now => {
                read(api, id).await?;
                let find = async || {
                    let now = read(api, id).await?;
                    Ok((now.status == "canceled").then_some(now))
                };
                let canceled = api
                    .delete("/v1/subscriptions/{}", &[id])
                    .form(&json!({"prorate": self.prorate, "cancellation_details": details}))
                    .send_or_find(find)
                    .await;
                match canceled {
                    // It was there a moment ago: a first try, whose answer was lost, may have ended it.
                    Err(error) if error.code() == Code::NotFound => find().await?.ok_or(error)?,
                    answered => answered?,
                }
            }
            // https://docs.stripe.com/api/subscriptions/update
            When::PeriodEnd | When::Never => {
                let ends = matches!(self.when, When::PeriodEnd);
                let change = api.post("/v1/subscriptions/{}", &[id]);
                change
                    .form(&json!({"cancel_at_period_end": ends, "cancellation_details": details}))
                    .send()
                    .await?
            }
        };
        Ok(in_mode(api, ended))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;
    use crate::subscriptions::tests::subscription;

    const PATH: &str = "/v1/subscriptions/sub_1";

    #[tokio::test]
    async fn ends_with_the_period_unless_told_otherwise() {
        let mut ending = subscription("active");
        ending["cancel_at_period_end"] = true.into();
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 200, ending);
        let told = fake
            .run::<CancelSubscription>(json!({"subscription": "sub_1", "comment": "Moved away"}))
            .await
            .unwrap();
        assert_eq!(
            (&told["status"], &told["cancel_at_period_end"]),
            (&json!("active"), &json!(true))
        );
        assert_eq!(
            fake.requests().await[0].body,
            json!({"cancel_at_period_end": "true", "cancellation_details": {"comment": "Moved away"}})
        );
    }

    #[tokio::test]
    async fn takes_an_end_with_the_period_back() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 200, subscription("active"));
        fake.run::<CancelSubscription>(json!({"subscription": "sub_1", "when": "never"}))
            .await
            .unwrap();
        assert_eq!(fake.requests().await[0].body, json!({"cancel_at_period_end": "false"}));
    }

    #[tokio::test]
    async fn ends_at_once_when_told_so() {
        let fake = FakeApi::new(&STRIPE).await.on("GET", PATH, 200, subscription("active")).on(
            "DELETE",
            PATH,
            200,
            subscription("canceled"),
        );
        let told = fake
            .run::<CancelSubscription>(
                json!({"subscription": "sub_1", "when": "now", "prorate": true}),
            )
            .await
            .unwrap();
        assert_eq!(told["status"], "canceled");
        assert_eq!(fake.requests().await[1].body, json!({"prorate": "true"}));
    }

    #[tokio::test]
    async fn looks_whether_it_ended_where_every_answer_is_lost() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .on("GET", PATH, 200, subscription("active"))
            .on("GET", PATH, 200, subscription("canceled"))
            .on("DELETE", PATH, 503, json!({"error": {"type": "api_error"}}));
        let told = fake
            .run::<CancelSubscription>(json!({"subscription": "sub_1", "when": "now"}))
            .await
            .unwrap();
        assert_eq!(told["status"], "canceled");
    }

    #[tokio::test]
    async fn knows_that_it_ended_when_the_first_answer_is_lost() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .on("GET", PATH, 200, subscription("active"))
            .on("GET", PATH, 200, subscription("canceled"))
            .on("DELETE", PATH, 503, json!({"error": {"type": "api_error"}}))
            .on(
                "DELETE",
                PATH,
                404,
                json!({"error": {"code": "resource_missing", "message": "No such subscription"}}),
            );
        let told = fake
            .run::<CancelSubscription>(json!({"subscription": "sub_1", "when": "now"}))
            .await
            .unwrap();
        assert_eq!(told["status"], "canceled");
    }
}
