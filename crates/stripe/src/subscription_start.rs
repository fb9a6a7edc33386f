//! New subscriptions, and how their first payment is made.

use resto_core::{Action, Api, Error, Money, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::SUBSCRIPTION_CHANGE;
use crate::prices::Priced;
use crate::products::Metadata;
use crate::prorations::Upcoming;
use crate::subscriptions::Subscription;

/// The first invoice of a subscription.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct FirstInvoice {
    /// Its id, `in_...`.
    pub id: String,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[serde(default)]
    pub status: Option<String>,
    /// What is to be paid, in the smallest unit of the currency.
    pub amount_due: i64,
    /// Three letters.
    pub currency: String,
    /// Page where the customer pays it.
    #[serde(default, rename(deserialize = "hosted_invoice_url"))]
    pub payment_page: Option<String>,
}

/// A subscription that was started.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// The first invoice, where there is one.
    #[serde(default, rename(deserialize = "latest_invoice"))]
    pub invoice: Option<FirstInvoice>,
    #[serde(flatten)]
    subscription: Subscription,
}

/// How a subscription is paid.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Payment {
    /// Nothing is taken: the customer pays the first invoice on a page, then it starts.
    #[default]
    CustomerPaysFirst,
    /// The customer's saved way to pay is charged now; if that fails, nothing is started.
    ChargeSaved,
    /// Starts now; each invoice is mailed to the customer.
    SendInvoice,
}

/// Starts a subscription. By default nothing is charged: the customer pays on the page in the result.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateSubscription {
    customer: String,
    #[schemars(length(min = 1, max = 20))]
    items: Vec<Priced>,
    /// `charge_saved` takes money now; `send_invoice` mails invoices.
    #[serde(default)]
    payment: Payment,
    /// With `send_invoice`.
    days_until_due: Option<u32>,
    trial_days: Option<u32>,
    coupon: Option<String>,
    metadata: Option<Metadata>,
}

impl Action for CreateSubscription {
    const NAME: &'static str = "create_subscription";
    const RISK: Risk = Risk::Spend;
    const PHRASES: &'static [&'static str] = &[
        "subscribe a customer",
        "start recurring billing",
        "put a client on a plan",
        "Abo abschließen",
        "abonner un client",
        "suscribir",
        "monthly or yearly subscription for a customer",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SUBSCRIPTION_CHANGE;
    type Output = InMode<Started>;

    async fn run(self, api: &Api) -> Result<InMode<Started>> {
        let mailed = matches!(self.payment, Payment::SendInvoice);
        if mailed != self.days_until_due.is_some() {
            return Err(Error::invalid(
                "days_until_due",
                "invalid input: `days_until_due` goes with `payment: send_invoice`, which needs it. Nothing was sent.",
            ));
        }
        let behavior = match self.payment {
            Payment::CustomerPaysFirst => Some("default_incomplete"),
            Payment::ChargeSaved => Some("error_if_incomplete"),
            Payment::SendInvoice => None,
        };
        let discounts = self.coupon.map(|coupon| json!([{"coupon": coupon}]));
        // As if there were no trial: it is charged when that ends.
        let first = json!({
            "customer": self.customer,
            "subscription_details": {"items": self.items},
            "discounts": discounts,
        });
        match self.payment {
            Payment::ChargeSaved => api.spend(&Upcoming::of(api, &first).await?.price()).await?,
            // What begins without a payment is charged by itself later, to a way to pay that may be saved.
            Payment::CustomerPaysFirst if self.trial_days.is_some() || discounts.is_some() => {}
            Payment::CustomerPaysFirst => {
                if Upcoming::of(api, &first).await?.price().minor > 0 {
                    api.spend(&Money::nothing()).await?;
                }
            }
            Payment::SendInvoice => api.spend(&Money::nothing()).await?,
        }
        // https://docs.stripe.com/api/subscriptions/create
        let started = api.post("/v1/subscriptions", &[]).form(&json!({
            "customer": self.customer,
            "items": self.items,
            "payment_behavior": behavior,
            "collection_method": mailed.then_some("send_invoice"),
            "days_until_due": self.days_until_due,
            "trial_period_days": self.trial_days,
            "discounts": discounts,
            "metadata": self.metadata,
            "expand": ["latest_invoice"],
        }));
        Ok(in_mode(api, started.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::prorations::tests::{PREVIEW, upcoming};
    use crate::subscriptions::tests::subscription;

    fn started(status: &str) -> Value {
        let mut started = subscription(status);
        started["latest_invoice"] = json!({
            "id": "in_1", "object": "invoice", "status": "open", "amount_due": 2000, "currency": "eur",
            "hosted_invoice_url": "https://invoice.stripe.com/i/1", "confirmation_secret": {"client_secret": "hidden"},
        });
        started
    }

    #[tokio::test]
    async fn the_customer_pays_first_unless_told_otherwise() {
        let fake = FakeApi::new(&STRIPE)
            .await
            // The description is older than this way to ask.
            .unofficial("POST", PREVIEW)
            .on("POST", PREVIEW, 200, upcoming())
            .on("POST", "/v1/subscriptions", 200, started("incomplete"));
        let told = fake
            .run::<CreateSubscription>(
                json!({"customer": "cus_1", "items": [{"price": "price_1"}]}),
            )
            .await
            .unwrap();
        assert_eq!(told["status"], "incomplete");
        assert_eq!(fake.spent(), [Money::nothing()]);
        assert_eq!(
            told["invoice"],
            json!({
                "id": "in_1", "status": "open", "amount_due": 2000, "currency": "eur",
                "payment_page": "https://invoice.stripe.com/i/1",
            })
        );
        assert_eq!(
            fake.requests().await[1].body,
            json!({
                "customer": "cus_1", "items": [{"price": "price_1", "quantity": "1"}],
                "payment_behavior": "default_incomplete", "expand": ["latest_invoice"],
            })
        );
    }

    #[tokio::test]
    async fn d1_what_is_free_at_first_is_not_told_to_cost_nothing() {
        let mut free = upcoming();
        free["amount_due"] = json!(0);
        let fake = FakeApi::new(&STRIPE)
            .await
            .unofficial("POST", PREVIEW)
            .on("POST", PREVIEW, 200, free)
            .on("POST", "/v1/subscriptions", 200, started("active"));
        let arguments = json!({"customer": "cus_1", "items": [{"price": "price_1"}]});
        fake.run::<CreateSubscription>(arguments).await.unwrap();
        assert!(fake.spent().is_empty());
    }

    #[tokio::test]
    async fn d1_what_begins_before_it_is_paid_is_not_told_to_cost_nothing() {
        for terms in [json!({"trial_days": 14}), json!({"coupon": "SPRING"})] {
            let mut arguments = json!({"customer": "cus_1", "items": [{"price": "price_1"}]});
            arguments.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
            let fake = FakeApi::new(&STRIPE).await.on(
                "POST",
                "/v1/subscriptions",
                200,
                started("trialing"),
            );
            // The description is older than discounts on new subscriptions.
            let fake = match terms.get("coupon") {
                Some(_) => fake.unofficial("POST", "/v1/subscriptions"),
                None => fake,
            };
            fake.run::<CreateSubscription>(arguments).await.unwrap();
            assert!(fake.spent().is_empty(), "{terms}");
            let body = &fake.requests().await[0].body;
            assert_eq!(body.get("trial_period_days").is_some(), terms.get("trial_days").is_some());
        }
    }

    #[tokio::test]
    async fn a_saved_card_is_charged_only_when_told_so_and_a_decline_starts_nothing() {
        let fake = FakeApi::new(&STRIPE)
            .await
            // The description is older than this way to ask, and than discounts on new subscriptions.
            .unofficial("POST", PREVIEW)
            .unofficial("POST", "/v1/subscriptions")
            .on("POST", PREVIEW, 200, upcoming())
            .on("POST", "/v1/subscriptions", 402, json!({
                "error": {"type": "card_error", "code": "card_declined", "decline_code": "expired_card", "message": "Your card has expired."},
            }));
        let error = fake
            .run::<CreateSubscription>(json!({
                "customer": "cus_1", "items": [{"price": "price_1"}], "payment": "charge_saved", "trial_days": 1, "coupon": "SPRING",
            }))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::PaymentRequired);
        let [previewed, started] = fake.requests().await.try_into().unwrap();
        assert_eq!(
            previewed.body,
            json!({
                "customer": "cus_1", "subscription_details": {"items": [{"price": "price_1", "quantity": "1"}]},
                "discounts": [{"coupon": "SPRING"}],
            })
        );
        assert_eq!(fake.spent(), [Money { minor: 6000, currency: "EUR".to_owned() }]);
        assert_eq!(started.body["payment_behavior"], "error_if_incomplete");
    }

    #[tokio::test]
    async fn mails_invoices_with_a_due_date() {
        // The description is older than discounts on new subscriptions.
        let fake = FakeApi::new(&STRIPE).await.unofficial("POST", "/v1/subscriptions").on(
            "POST",
            "/v1/subscriptions",
            200,
            started("active"),
        );
        fake.run::<CreateSubscription>(json!({
            "customer": "cus_1", "items": [{"price": "price_1", "quantity": 3}], "payment": "send_invoice",
            "days_until_due": 30, "coupon": "SPRING",
        }))
        .await
        .unwrap();
        assert_eq!(fake.spent(), [Money::nothing()]);
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "customer": "cus_1", "items": [{"price": "price_1", "quantity": "3"}], "collection_method": "send_invoice",
                "days_until_due": "30", "discounts": [{"coupon": "SPRING"}], "expand": ["latest_invoice"],
            })
        );
        let error = fake
            .run::<CreateSubscription>(json!({"customer": "cus_1", "items": [{"price": "price_1"}], "payment": "send_invoice"}))
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("days_until_due"));
    }
}
