//! Coupons: discounts for subscriptions and purchases.

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::{COUPON_READ, COUPON_WRITE};
use crate::times::{self, At, Created};

/// A discount.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Coupon {
    /// Its id.
    pub id: String,
    /// Its name, as customers see it.
    #[serde(default)]
    pub name: Option<String>,
    /// Percent that it takes off.
    #[serde(default)]
    pub percent_off: Option<f64>,
    /// Amount that it takes off, in the smallest unit of `currency`.
    #[serde(default)]
    pub amount_off: Option<i64>,
    /// Three letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    pub duration: String,
    /// With `repeating`: for how many months.
    #[serde(default)]
    pub duration_in_months: Option<u32>,
    /// How often it may be used.
    #[serde(default)]
    pub max_redemptions: Option<u64>,
    /// How often it was used.
    #[serde(default)]
    pub times_redeemed: u64,
    /// Whether it can be used now.
    pub valid: bool,
    /// Until when it can be used.
    #[serde(default, rename(deserialize = "redeem_by"))]
    pub redeem_by_at: Option<At>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
}

/// For how long a discount lasts once it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Duration {
    Once,
    Repeating,
    Forever,
}

/// Creates a coupon, by percent or by amount, to apply to subscriptions.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateCoupon {
    /// This or `amount_off`.
    percent_off: Option<f64>,
    /// In the smallest unit of `currency`.
    amount_off: Option<u64>,
    currency: Option<String>,
    /// `repeating`: for `duration_in_months`.
    duration: Duration,
    duration_in_months: Option<u32>,
    /// Customers see it.
    name: Option<String>,
    /// Code such as `SPRING`.
    id: Option<String>,
    max_redemptions: Option<u64>,
    /// Such as `2026-12-31`.
    redeem_by: Option<String>,
}

impl Action for CreateCoupon {
    const NAME: &'static str = "create_coupon";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "discount code",
        "promotion",
        "percent off",
        "Rabatt",
        "Gutschein anlegen",
        "code promo",
        "cupón de descuento",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = COUPON_WRITE;
    type Output = InMode<Coupon>;

    async fn run(self, api: &Api) -> Result<InMode<Coupon>> {
        if self.percent_off.is_some() == self.amount_off.is_some() {
            return Err(Error::invalid(
                "percent_off",
                "invalid input: give either `percent_off` or `amount_off`. Nothing was sent.",
            ));
        }
        if self.amount_off.is_some() != self.currency.is_some() {
            return Err(Error::invalid(
                "currency",
                "invalid input: `currency` goes with `amount_off`, which needs it. Nothing was sent.",
            ));
        }
        if (self.duration == Duration::Repeating) != self.duration_in_months.is_some() {
            return Err(Error::invalid(
                "duration_in_months",
                "invalid input: `duration_in_months` goes with `duration: repeating`, which needs it. Nothing was sent.",
            ));
        }
        let redeem_by = self.redeem_by.as_deref().map(|text| times::read("redeem_by", text));
        // https://docs.stripe.com/api/coupons/create
        let created = api.post("/v1/coupons", &[]).form(&json!({
            "percent_off": self.percent_off,
            "amount_off": self.amount_off,
            "currency": self.currency.map(|currency| currency.to_ascii_lowercase()),
            "duration": self.duration,
            "duration_in_months": self.duration_in_months,
            "name": self.name,
            "id": self.id,
            "max_redemptions": self.max_redemptions,
            "redeem_by": redeem_by.transpose()?,
        }));
        Ok(in_mode(api, created.send().await?))
    }
}

/// Lists coupons, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListCoupons {
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListCoupons {
    const NAME: &'static str = "list_coupons";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which discount codes are there", "active promotions", "discounts on offer"];
    const PERMISSIONS: &'static [&'static [&'static str]] = COUPON_READ;
    type Output = InMode<Page<Coupon>>;

    async fn run(self, api: &Api) -> Result<InMode<Page<Coupon>>> {
        // https://docs.stripe.com/api/coupons/list
        let request = self.created.ask(api.get("/v1/coupons", &[]))?;
        Ok(in_mode(api, request.page(&self.page).list_in("data").await?))
    }
}

/// Deletes a coupon for good; whoever uses it already keeps the discount.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteCoupon {
    coupon: String,
}

impl Action for DeleteCoupon {
    const NAME: &'static str = "delete_coupon";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["remove a discount code", "end a promotion", "Gutschein löschen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = COUPON_WRITE;
    type Output = InMode<Coupon>;

    async fn run(self, api: &Api) -> Result<InMode<Coupon>> {
        // https://docs.stripe.com/api/coupons/retrieve
        let read = || api.get("/v1/coupons/{}", &[&self.coupon]).send();
        let mut coupon: Coupon = read().await?;
        // https://docs.stripe.com/api/coupons/delete
        match api.delete("/v1/coupons/{}", &[&self.coupon]).send_or_gone(read).await {
            // It was there a moment ago: a first try, whose answer was lost, deleted it.
            Err(error) if error.code() != Code::NotFound => return Err(error),
            _ => {}
        }
        coupon.valid = false;
        Ok(in_mode(api, coupon))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    fn coupon() -> Value {
        json!({
            "id": "SPRING", "object": "coupon", "amount_off": null, "created": 1_769_817_600, "currency": null,
            "duration": "repeating", "duration_in_months": 3, "livemode": false, "max_redemptions": null, "metadata": {},
            "name": "Spring", "percent_off": 12.5, "redeem_by": 1_772_236_800, "times_redeemed": 2, "valid": true,
        })
    }

    #[tokio::test]
    async fn creates_a_coupon_by_percent() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", "/v1/coupons", 200, coupon());
        let told = fake
            .run::<CreateCoupon>(json!({
                "percent_off": 12.5, "duration": "repeating", "duration_in_months": 3, "id": "SPRING", "redeem_by": "2026-02-28",
            }))
            .await
            .unwrap();
        assert_eq!(
            told,
            json!({
                "mode": "test", "id": "SPRING", "name": "Spring", "percent_off": 12.5, "duration": "repeating",
                "duration_in_months": 3, "times_redeemed": 2, "valid": true, "redeem_by_at": "2026-02-28T00:00:00Z",
                "created_at": "2026-01-31T00:00:00Z",
            })
        );
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "percent_off": "12.5", "duration": "repeating", "duration_in_months": "3", "id": "SPRING",
                "redeem_by": "1772236800",
            })
        );
    }

    #[tokio::test]
    async fn refuses_a_coupon_that_is_not_clear() {
        let fake = FakeApi::new(&STRIPE).await;
        for (input, field) in [
            (json!({"duration": "once"}), "percent_off"),
            (
                json!({"duration": "once", "percent_off": 5, "amount_off": 5, "currency": "eur"}),
                "percent_off",
            ),
            (json!({"duration": "once", "amount_off": 5}), "currency"),
            (json!({"duration": "repeating", "percent_off": 5}), "duration_in_months"),
            (json!({"duration": "once", "percent_off": 5, "redeem_by": "soon"}), "redeem_by"),
        ] {
            let error = fake.run::<CreateCoupon>(input).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field));
        }
        assert!(fake.requests().await.is_empty());
    }

    #[tokio::test]
    async fn lists_coupons() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/coupons",
            200,
            json!({"object": "list", "has_more": false, "data": [coupon()]}),
        );
        let page = fake
            .run::<ListCoupons>(json!({"created_from": "2026-01-01", "limit": 10}))
            .await
            .unwrap();
        assert_eq!(page["items"][0]["id"], "SPRING");
        assert_eq!(fake.requests().await[0].query["limit"], "10");
    }

    const SPRING: &str = "/v1/coupons/SPRING";

    /// Stripe with a coupon, where the answer to its deletion is lost.
    async fn losing() -> FakeApi {
        // The description does not list single coupons.
        FakeApi::new(&STRIPE)
            .await
            .unofficial("GET", SPRING)
            .unofficial("DELETE", SPRING)
            .on("GET", SPRING, 200, coupon())
            .on("DELETE", SPRING, 502, json!({"error": {"type": "api_error"}}))
    }

    #[tokio::test]
    async fn looks_whether_a_coupon_was_deleted_where_every_answer_is_lost() {
        let gone = json!({"error": {"code": "resource_missing"}});
        let fake = losing().await.on("GET", SPRING, 404, gone);
        let told = fake.run::<DeleteCoupon>(json!({"coupon": "SPRING"})).await.unwrap();
        assert_eq!(told["valid"], false);
    }

    #[tokio::test]
    async fn deletes_a_coupon_even_if_the_first_answer_is_lost() {
        let path = SPRING;
        let gone = json!({"error": {"code": "resource_missing", "message": "No such coupon"}});
        let fake = losing().await.on("DELETE", path, 404, gone);
        let told = fake.run::<DeleteCoupon>(json!({"coupon": "SPRING"})).await.unwrap();
        assert_eq!((&told["id"], &told["valid"]), (&json!("SPRING"), &json!(false)));
        let fake =
            FakeApi::new(&STRIPE).await.unofficial("GET", path).unofficial("DELETE", path).on(
                "GET",
                path,
                404,
                json!({"error": {"code": "resource_missing", "message": "No such coupon"}}),
            );
        let error = fake.run::<DeleteCoupon>(json!({"coupon": "SPRING"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::NotFound, 1));
    }
}
