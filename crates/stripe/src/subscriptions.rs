//! Subscriptions: who pays what, how often, and how they stand.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::SUBSCRIPTION_READ;
use crate::prices::Price;
use crate::times::{At, Created};

/// A part of a subscription: a price and how many.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// Its id, `si_...`.
    pub id: String,
    /// What one costs.
    pub price: Price,
    /// How many; absent where use is metered.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// When the period that is paid began.
    #[serde(default, rename(deserialize = "current_period_start"))]
    pub current_period_start_at: Option<At>,
    /// When that period ends, and the next bill is due.
    #[serde(default, rename(deserialize = "current_period_end"))]
    pub current_period_end_at: Option<At>,
}

/// The parts of a subscription.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(from = "ItemList")]
pub struct Items(pub(crate) Vec<Item>);

#[derive(Deserialize, JsonSchema)]
struct ItemList {
    data: Vec<Item>,
}

impl From<ItemList> for Items {
    fn from(list: ItemList) -> Self {
        Self(list.data)
    }
}

/// A customer's subscription.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// Its id, `sub_...`.
    pub id: String,
    /// Id of the customer.
    pub customer: Id,
    /// `incomplete`, `incomplete_expired`, `trialing`, `active`, `past_due`, `canceled`, `unpaid` or `paused`.
    pub status: String,
    /// Three letters.
    pub currency: String,
    /// Its parts, at most 10; most subscriptions have one.
    pub items: Items,
    /// `charge_automatically` or `send_invoice`.
    pub collection_method: String,
    /// Whether it ends with the period that is paid.
    pub cancel_at_period_end: bool,
    /// When it will end, if that is set.
    #[serde(default, rename(deserialize = "cancel_at"))]
    pub ends_at: Option<At>,
    /// When somebody cancelled it.
    #[serde(default)]
    pub canceled_at: Option<At>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<At>,
    /// When its trial ends or ended.
    #[serde(default, rename(deserialize = "trial_end"))]
    pub trial_end_at: Option<At>,
    /// Id of its newest invoice.
    #[serde(default)]
    pub latest_invoice: Option<Id>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// How subscriptions stand.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Active,
    Trialing,
    PastDue,
    Unpaid,
    Incomplete,
    IncompleteExpired,
    Paused,
    Canceled,
    /// Cancelled, or never paid.
    Ended,
    All,
}

/// Lists subscriptions, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListSubscriptions {
    /// Default all but ended ones.
    status: Option<Standing>,
    customer: Option<String>,
    price: Option<String>,
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListSubscriptions {
    const NAME: &'static str = "list_subscriptions";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "who is subscribed",
        "active subscribers",
        "members",
        "Abos",
        "abonnements",
        "suscripciones",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SUBSCRIPTION_READ;
    type Output = InMode<Page<Subscription>>;

    async fn run(self, api: &Api) -> Result<InMode<Page<Subscription>>> {
        // https://docs.stripe.com/api/subscriptions/list
        let request = api
            .get("/v1/subscriptions", &[])
            .query("status", self.status)
            .query("customer", self.customer)
            .query("price", self.price);
        Ok(in_mode(api, self.created.ask(request)?.page(&self.page).list_in("data").await?))
    }
}

/// Tells how one subscription stands: what is paid, until when, and whether it ends.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetSubscription {
    subscription: String,
}

impl Action for GetSubscription {
    const NAME: &'static str = "get_subscription";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["is a subscription paid", "when does a subscription end", "status of a membership"];
    const PERMISSIONS: &'static [&'static [&'static str]] = SUBSCRIPTION_READ;
    type Output = InMode<Subscription>;

    async fn run(self, api: &Api) -> Result<InMode<Subscription>> {
        Ok(in_mode(api, read(api, &self.subscription).await?))
    }
}

/// Reads a subscription, running or ended.
pub(crate) async fn read(api: &Api, id: &str) -> Result<Subscription> {
    // https://docs.stripe.com/api/subscriptions/retrieve
    api.get("/v1/subscriptions/{}", &[&id]).send().await
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::prices::tests::price;

    /// A part of a subscription as Stripe answers it, trimmed.
    pub(crate) fn item(id: &str, unit_amount: i64, quantity: u64) -> Value {
        json!({
            "id": id, "object": "subscription_item", "created": 1_769_817_600, "discounts": [], "metadata": {},
            "price": price("price_1", unit_amount), "quantity": quantity, "subscription": "sub_1",
            "current_period_start": 1_769_817_600, "current_period_end": 1_772_236_800,
        })
    }

    /// A subscription as Stripe answers it, trimmed.
    pub(crate) fn subscription(status: &str) -> Value {
        json!({
            "id": "sub_1", "object": "subscription", "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null,
            "collection_method": "charge_automatically", "created": 1_769_817_600, "currency": "eur", "customer": "cus_1",
            "discounts": [], "ended_at": null, "latest_invoice": "in_1", "livemode": false, "metadata": {}, "status": status,
            "trial_end": null,
            "items": {"object": "list", "has_more": false, "url": "/v1/subscription_items", "data": [item("si_1", 2000, 1)]},
        })
    }

    #[tokio::test]
    async fn lists_subscriptions_of_a_customer() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/subscriptions",
            200,
            json!({"object": "list", "has_more": false, "data": [subscription("past_due")]}),
        );
        let page = fake
            .run::<ListSubscriptions>(
                json!({"status": "past_due", "customer": "cus_1", "created_before": "2026-03-01"}),
            )
            .await
            .unwrap();
        let listed = &page["items"][0];
        assert_eq!(listed["status"], "past_due");
        assert_eq!(listed["items"][0]["current_period_end_at"], "2026-02-28T00:00:00Z");
        assert_eq!(listed["items"][0]["price"]["unit_amount"], 2000);
        let query = &fake.requests().await[0].query;
        assert_eq!(
            (query["status"].as_str(), query["created[lt]"].as_str()),
            ("past_due", "1772323200")
        );
    }

    #[tokio::test]
    async fn tells_how_a_subscription_stands_even_in_words_that_are_new() {
        let mut odd = subscription("hibernating");
        odd["latest_invoice"] = json!({"id": "in_2", "object": "invoice"});
        odd["cancel_at"] = json!(1_772_236_800);
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/subscriptions/sub_1", 200, odd);
        let told = fake.run::<GetSubscription>(json!({"subscription": "sub_1"})).await.unwrap();
        assert_eq!(
            (&told["status"], &told["latest_invoice"], &told["ends_at"], &told["mode"]),
            (&json!("hibernating"), &json!("in_2"), &json!("2026-02-28T00:00:00Z"), &json!("test"))
        );
    }

    #[tokio::test]
    async fn says_that_the_id_may_be_of_the_other_mode() {
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/subscriptions/sub_9", 404, json!({
            "error": {"type": "invalid_request_error", "code": "resource_missing", "param": "id", "message": "No such subscription: 'sub_9'"},
        }));
        let error =
            fake.run::<GetSubscription>(json!({"subscription": "sub_9"})).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
}
