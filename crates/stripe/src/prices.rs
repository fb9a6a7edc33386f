//! Prices of products. What a price asks is never changed: a new one is made and the old archived.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::{PRICE_READ, PRICE_WRITE};
use crate::times::At;

/// How often a subscription is billed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Interval {
    #[serde(rename(serialize = "interval"))]
    every: Unit,
    /// 3 with `month`: every 3 months. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_count: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

/// How often a price is billed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Recurring {
    /// `day`, `week`, `month` or `year`.
    pub interval: String,
    /// How many of them.
    pub interval_count: u32,
    /// `licensed` by quantity, or `metered` by use.
    #[serde(default)]
    pub usage_type: Option<String>,
}

/// What a product costs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Its id, `price_...`.
    pub id: String,
    /// Id of the product.
    pub product: Id,
    /// For one, in the smallest unit of the currency; absent where it has steps or fractions.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// The same with fractions of the smallest unit.
    #[serde(default)]
    pub unit_amount_decimal: Option<String>,
    /// Three letters.
    pub currency: String,
    /// How often it is billed; absent where it is paid once.
    #[serde(default)]
    pub recurring: Option<Recurring>,
    /// Whether it can be used for new purchases.
    pub active: bool,
    /// A name for the business itself.
    #[serde(default)]
    pub nickname: Option<String>,
    /// A name under which software finds it.
    #[serde(default)]
    pub lookup_key: Option<String>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// A price and how many are bought at it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Priced {
    price: String,
    #[serde(default = "one")]
    quantity: u32,
}

fn one() -> u32 {
    1
}

/// Adds a price to a product, paid once or as a subscription. What it asks cannot be changed later.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreatePrice {
    product: String,
    /// In the smallest unit, such as cents.
    unit_amount: u64,
    /// Such as `eur`.
    currency: String,
    /// Left out, paid once.
    recurring: Option<Interval>,
    /// For the business.
    nickname: Option<String>,
    /// Unique, for software.
    lookup_key: Option<String>,
}

impl Action for CreatePrice {
    const NAME: &'static str = "create_price";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "add a price to an existing product",
        "charge yearly",
        "new price for a plan",
        "Preis anlegen",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRICE_WRITE;
    type Output = InMode<Price>;

    async fn run(self, api: &Api) -> Result<InMode<Price>> {
        // https://docs.stripe.com/api/prices/create
        let created = api.post("/v1/prices", &[]).form(&json!({
            "product": self.product,
            "unit_amount": self.unit_amount,
            "currency": self.currency.to_ascii_lowercase(),
            "recurring": self.recurring,
            "nickname": self.nickname,
            "lookup_key": self.lookup_key,
        }));
        Ok(in_mode(api, created.send().await?))
    }
}

/// Lists prices, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListPrices {
    product: Option<String>,
    /// False: archived only. Default both.
    active: Option<bool>,
    currency: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListPrices {
    const NAME: &'static str = "list_prices";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["what do we charge", "price list", "plans and prices", "Preise", "tarifs", "precios"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRICE_READ;
    type Output = InMode<Page<Price>>;

    async fn run(self, api: &Api) -> Result<InMode<Page<Price>>> {
        // https://docs.stripe.com/api/prices/list
        let page = api
            .get("/v1/prices", &[])
            .query("product", self.product)
            .query("active", self.active)
            .query("currency", self.currency.map(|currency| currency.to_ascii_lowercase()))
            .page(&self.page)
            .list_in("data")
            .await?;
        Ok(in_mode(api, page))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    /// A monthly price as Stripe answers it.
    pub(crate) fn price(id: &str, unit_amount: i64) -> Value {
        json!({
            "id": id, "object": "price", "active": true, "billing_scheme": "per_unit", "created": 1_769_817_600,
            "currency": "eur", "custom_unit_amount": null, "livemode": false, "lookup_key": null, "metadata": {},
            "nickname": null, "product": "prod_1",
            "recurring": {"interval": "month", "interval_count": 1, "meter": null, "usage_type": "licensed"},
            "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null, "type": "recurring",
            "unit_amount": unit_amount, "unit_amount_decimal": unit_amount.to_string(),
        })
    }

    #[tokio::test]
    async fn creates_a_price_that_is_billed_every_three_months() {
        let fake =
            FakeApi::new(&STRIPE).await.on("POST", "/v1/prices", 200, price("price_1", 2000));
        let created = fake
            .run::<CreatePrice>(json!({
                "product": "prod_1", "unit_amount": 2000, "currency": "EUR",
                "recurring": {"every": "month", "interval_count": 3},
            }))
            .await
            .unwrap();
        assert_eq!(
            created,
            json!({
                "mode": "test", "id": "price_1", "product": "prod_1", "unit_amount": 2000, "unit_amount_decimal": "2000",
                "currency": "eur", "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
                "active": true, "created_at": "2026-01-31T00:00:00Z",
            })
        );
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "product": "prod_1", "unit_amount": "2000", "currency": "eur",
                "recurring": {"interval": "month", "interval_count": "3"},
            })
        );
    }

    #[tokio::test]
    async fn lists_the_prices_of_a_product() {
        let mut steps = price("price_2", 0);
        steps["unit_amount"] = Value::Null;
        steps["unit_amount_decimal"] = Value::Null;
        steps["recurring"] = Value::Null;
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/prices",
            200,
            json!({"object": "list", "has_more": false, "data": [price("price_1", 5), steps]}),
        );
        let page = fake
            .run::<ListPrices>(json!({"product": "prod_1", "active": true, "currency": "EUR"}))
            .await
            .unwrap();
        assert_eq!(page["items"][1].get("unit_amount"), None);
        assert_eq!(page.get("next_cursor"), None);
        let query = &fake.requests().await[0].query;
        assert_eq!((query["product"].as_str(), query["currency"].as_str()), ("prod_1", "eur"));
    }
}
