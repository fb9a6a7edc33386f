//! An offer: a product together with its price, made in one step.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::OFFER_WRITE;
use crate::prices::{Interval, Price};
use crate::products::Metadata;

/// A product and its price.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// Id of the product, `prod_...`.
    #[serde(rename(deserialize = "id"))]
    pub product: String,
    /// Name of the product.
    pub name: String,
    /// What it costs; the price's id goes into payment links and subscriptions.
    #[serde(rename(deserialize = "default_price"))]
    pub price: Price,
}

/// Adds a product together with its price: ready to be sold by link, checkout or subscription.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateOffer {
    /// Customers see it.
    name: String,
    /// Customers see it.
    description: Option<String>,
    /// In the smallest unit, such as cents.
    unit_amount: u64,
    /// Such as `eur`.
    currency: String,
    /// Left out, paid once.
    recurring: Option<Interval>,
    /// Of the product.
    metadata: Option<Metadata>,
}

impl Action for CreateOffer {
    const NAME: &'static str = "create_offer";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "start selling something at a price",
        "new paid plan",
        "sell a product or course",
        "monthly subscription plan",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = OFFER_WRITE;
    type Output = InMode<Offer>;

    async fn run(self, api: &Api) -> Result<InMode<Offer>> {
        // https://docs.stripe.com/api/products/create: both or neither.
        let created = api.post("/v1/products", &[]).form(&json!({
            "name": self.name,
            "description": self.description,
            "metadata": self.metadata,
            "default_price_data": {
                "unit_amount": self.unit_amount,
                "currency": self.currency.to_ascii_lowercase(),
                "recurring": self.recurring,
            },
            "expand": ["default_price"],
        }));
        Ok(in_mode(api, created.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;
    use crate::prices::tests::price;
    use crate::products::tests::product;

    #[tokio::test]
    async fn creates_product_and_price_in_one_request() {
        let mut answer = product("prod_1");
        answer["default_price"] = price("price_1", 1900);
        let fake = FakeApi::new(&STRIPE).await.on("POST", "/v1/products", 200, answer);
        let offer = fake
            .run::<CreateOffer>(json!({
                "name": "Bread box", "unit_amount": 1900, "currency": "EUR", "recurring": {"every": "week"},
            }))
            .await
            .unwrap();
        assert_eq!(
            (&offer["product"], &offer["price"]["id"], &offer["price"]["unit_amount"]),
            (&json!("prod_1"), &json!("price_1"), &json!(1900))
        );
        let requests = fake.requests().await;
        assert_eq!(requests.len(), 1);
        assert_eq!(
            requests[0].body,
            json!({
                "name": "Bread box", "expand": ["default_price"],
                "default_price_data": {"unit_amount": "1900", "currency": "eur", "recurring": {"interval": "week"}},
            })
        );
    }

    #[tokio::test]
    async fn says_which_value_is_wrong() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", "/v1/products", 400, json!({
            "error": {"type": "invalid_request_error", "param": "default_price_data[currency]", "message": "Invalid currency: xyz."},
        }));
        let error = fake
            .run::<CreateOffer>(json!({"name": "n", "unit_amount": 1, "currency": "xyz"}))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.details().field.as_deref()),
            (Code::InvalidInput, Some("default_price_data[currency]"))
        );
    }
}
