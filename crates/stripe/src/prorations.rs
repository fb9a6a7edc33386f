//! What a change of a subscription costs: the days that are paid and not used are credited, the new
//! ones charged. Stripe computes it without changing anything.

use resto_core::{Action, Api, Error, Money, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mode::{InMode, in_mode};
use crate::permissions::PRORATION_READ;
use crate::subscriptions::{Subscription, read};
use crate::times::{self, At};

/// When the difference is paid.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Difference {
    /// With the next invoice; at once all the same if the interval of billing changes.
    #[default]
    NextInvoice,
    /// At once.
    Now,
    /// Not at all: the new price counts from the next period.
    Waived,
}

/// A change of a subscription.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Change {
    pub subscription: String,
    /// `si_...` to change, if it has several.
    item: Option<String>,
    price: Option<String>,
    quantity: Option<u32>,
    /// When it is paid.
    #[serde(default)]
    difference: Difference,
    /// Of a preview, to keep its amounts; a change needs it unless `waived`.
    computed_at: Option<String>,
}

impl Change {
    /// The part of the subscription to change, as it will be.
    ///
    /// # Errors
    /// Nothing changes, or it is not clear which part is meant.
    fn item(&self, subscription: &Subscription) -> Result<Value> {
        if self.price.is_none() && self.quantity.is_none() {
            return Err(Error::invalid(
                "price",
                "invalid input: give `price` or `quantity`. Nothing was changed.",
            ));
        }
        let parts = &subscription.items.0;
        let id = match (&self.item, parts.as_slice()) {
            (None, [only]) => Some(only.id.as_str()),
            (None, _) => None,
            (Some(wanted), _) => parts.iter().map(|part| part.id.as_str()).find(|id| id == wanted),
        };
        let id = id.ok_or_else(|| {
            let parts: Vec<&str> = parts.iter().map(|part| part.id.as_str()).collect();
            Error::invalid(
                "item",
                format!(
                    "invalid input: `item` must be one of the parts of the subscription: {}. Nothing was changed.",
                    parts.join(", ")
                ),
            )
        })?;
        Ok(json!({"id": id, "price": self.price, "quantity": self.quantity}))
    }

    /// What a person approves must be what it costs then, and what is left of a period gets less all the time.
    ///
    /// # Errors
    /// The cost depends on a time that is not given.
    pub fn check_time(&self) -> Result<()> {
        if self.computed_at.is_some() || matches!(self.difference, Difference::Waived) {
            return Ok(());
        }
        Err(Error::invalid(
            "computed_at",
            "invalid input: give the `computed_at` that stripe_preview_subscription_change tells, so that the change costs what was computed. Nothing was changed.",
        ))
    }

    /// What Stripe is told, at this time if one is given.
    fn terms(&self, item: &Value, at: Option<i64>) -> Value {
        let behavior = match self.difference {
            Difference::NextInvoice => "create_prorations",
            Difference::Now => "always_invoice",
            Difference::Waived => "none",
        };
        let at = at.filter(|_| !matches!(self.difference, Difference::Waived));
        json!({"items": [item], "proration_behavior": behavior, "proration_date": at})
    }

    /// Computes it.
    ///
    /// # Errors
    /// The change is not possible.
    pub async fn preview(&self, api: &Api) -> Result<Computed> {
        let at =
            self.computed_at.as_deref().map(|text| times::read("computed_at", text)).transpose()?;
        let item = self.item(&read(api, &self.subscription).await?)?;
        let change = json!({
            "subscription": self.subscription,
            "subscription_details": self.terms(&item, at),
        });
        let upcoming = Upcoming::of(api, &change).await?;
        let at = at.or(upcoming.computed());
        let price = upcoming.price();
        Ok(Computed { terms: self.terms(&item, at), price, preview: Preview::new(upcoming, at) })
    }
}

/// A change that was computed.
pub(crate) struct Computed {
    /// What to tell Stripe, so that the amounts stay those.
    pub terms: Value,
    /// What is charged, with the next invoice.
    pub price: Money,
    pub preview: Preview,
}

/// What a change would cost.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Preview {
    /// What the next invoice would ask, in the smallest unit of the currency; made at once where the difference is paid now.
    pub amount_due: i64,
    /// Three letters.
    pub currency: String,
    /// What of it comes from the change: above 0 is charged, below 0 credited.
    pub difference: i64,
    /// The lines that make up the difference.
    pub lines: Vec<Line>,
    /// Whether these are all lines; a subscription of very many parts has more.
    pub lines_complete: bool,
    /// The time for which it was computed; give it to the change, so that the amounts stay these.
    pub computed_at: Option<At>,
}

/// A line of an invoice.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// What it is for.
    description: Option<String>,
    /// In the smallest unit of the currency.
    amount: i64,
}

impl Preview {
    fn new(upcoming: Upcoming, at: Option<i64>) -> Self {
        let lines: Vec<Line> = upcoming
            .lines
            .data
            .into_iter()
            .filter(|line| line.parent.as_ref().is_some_and(LineParent::is_proration))
            .map(|line| Line { description: line.description, amount: line.amount })
            .collect();
        Self {
            amount_due: upcoming.amount_due,
            currency: upcoming.currency,
            difference: lines.iter().map(|line| line.amount).sum(),
            lines,
            lines_complete: !upcoming.lines.has_more,
            computed_at: at.map(At::from),
        }
    }
}

/// An invoice that Stripe would make.
#[derive(Deserialize)]
pub(crate) struct Upcoming {
    amount_due: i64,
    currency: String,
    lines: Lines,
    #[serde(default)]
    parent: Option<InvoiceParent>,
}

impl Upcoming {
    /// Of a subscription or its change, which stay as they are.
    ///
    /// # Errors
    /// It is not possible.
    pub async fn of(api: &Api, what: &Value) -> Result<Self> {
        // https://docs.stripe.com/api/invoices/create_preview
        api.post("/v1/invoices/create_preview", &[]).form(what).reads().send().await
    }

    /// What is charged; nothing where it is a credit.
    pub fn price(&self) -> Money {
        let minor = u64::try_from(self.amount_due).unwrap_or_default();
        Money { minor, currency: self.currency.to_ascii_uppercase() }
    }

    fn computed(&self) -> Option<i64> {
        self.parent.as_ref()?.subscription_details.as_ref()?.subscription_proration_date
    }
}

#[derive(Deserialize)]
struct InvoiceParent {
    subscription_details: Option<SubscriptionDetails>,
}

#[derive(Deserialize)]
struct SubscriptionDetails {
    subscription_proration_date: Option<i64>,
}

#[derive(Deserialize)]
struct Lines {
    data: Vec<UpcomingLine>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct UpcomingLine {
    description: Option<String>,
    amount: i64,
    parent: Option<LineParent>,
}

#[derive(Deserialize)]
struct LineParent {
    invoice_item_details: Option<Prorated>,
    subscription_item_details: Option<Prorated>,
}

#[derive(Deserialize)]
struct Prorated {
    #[serde(default)]
    proration: bool,
}

impl LineParent {
    fn is_proration(&self) -> bool {
        [&self.invoice_item_details, &self.subscription_item_details]
            .into_iter()
            .flatten()
            .any(|details| details.proration)
    }
}

/// Tells what a change of a subscription would cost, without changing anything.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PreviewSubscriptionChange {
    #[serde(flatten)]
    change: Change,
}

impl Action for PreviewSubscriptionChange {
    const NAME: &'static str = "preview_subscription_change";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["what would an upgrade cost", "proration", "price difference when switching plans"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRORATION_READ;
    type Output = InMode<Preview>;

    async fn run(self, api: &Api) -> Result<InMode<Preview>> {
        Ok(in_mode(api, self.change.preview(api).await?.preview))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::subscriptions::tests::{item, subscription};

    pub(crate) const PREVIEW: &str = "/v1/invoices/create_preview";

    /// A preview as Stripe answers it, trimmed.
    pub(crate) fn upcoming() -> Value {
        let line = |description: &str, amount: i64, proration: bool| {
            json!({
                "id": "il_tmp_1", "object": "line_item", "amount": amount, "currency": "eur", "description": description,
                "parent": {"type": "subscription_item_details", "invoice_item_details": null,
                    "subscription_item_details": {"proration": proration, "subscription": "sub_1"}},
            })
        };
        json!({
            "id": "upcoming_in_1", "object": "invoice", "amount_due": 6000, "currency": "eur", "total": 6000,
            "lines": {"object": "list", "has_more": false, "data": [
                line("Unused time on Small", -1000, true), line("Remaining time on Big", 2000, true), line("1 x Big", 5000, false),
            ]},
            "parent": {"type": "subscription_details", "quote_details": null,
                "subscription_details": {"subscription": "sub_1", "subscription_proration_date": 1_770_000_000}},
        })
    }

    #[tokio::test]
    async fn tells_what_a_change_would_cost() {
        // The description is older than this way to ask.
        let fake = FakeApi::new(&STRIPE)
            .await
            .unofficial("POST", PREVIEW)
            .on("GET", "/v1/subscriptions/sub_1", 200, subscription("active"))
            .on("POST", PREVIEW, 200, upcoming());
        let told = fake
            .run::<PreviewSubscriptionChange>(
                json!({"subscription": "sub_1", "price": "price_big"}),
            )
            .await
            .unwrap();
        assert_eq!(
            told,
            json!({
                "mode": "test", "amount_due": 6000, "currency": "eur", "difference": 1000,
                "lines": [{"description": "Unused time on Small", "amount": -1000}, {"description": "Remaining time on Big", "amount": 2000}],
                "lines_complete": true, "computed_at": "2026-02-02T02:40:00Z",
            })
        );
        assert_eq!(
            fake.requests().await[1].body,
            json!({
                "subscription": "sub_1",
                "subscription_details": {"items": [{"id": "si_1", "price": "price_big"}], "proration_behavior": "create_prorations"},
            })
        );
    }

    #[tokio::test]
    async fn a_waived_difference_is_not_computed_for_a_time() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .unofficial("POST", PREVIEW)
            .on("GET", "/v1/subscriptions/sub_1", 200, subscription("active"))
            .on("POST", PREVIEW, 200, upcoming());
        fake.run::<PreviewSubscriptionChange>(json!({
            "subscription": "sub_1", "quantity": 2, "difference": "waived", "computed_at": "2026-02-02T02:40:00Z",
        }))
        .await
        .unwrap();
        assert_eq!(
            fake.requests().await[1].body["subscription_details"],
            json!({"items": [{"id": "si_1", "quantity": "2"}], "proration_behavior": "none"})
        );
    }

    #[tokio::test]
    async fn asks_which_part_is_meant() {
        let mut two = subscription("active");
        two["items"]["data"] = json!([item("si_1", 2000, 1), item("si_2", 300, 4)]);
        let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/subscriptions/sub_1", 200, two);
        for input in [
            json!({"subscription": "sub_1", "quantity": 2}),
            json!({"subscription": "sub_1", "quantity": 2, "item": "si_3"}),
        ] {
            let error = fake.run::<PreviewSubscriptionChange>(input).await.unwrap_err();
            assert!(error.message().contains("si_1, si_2"), "{error}");
        }
        let error = fake
            .run::<PreviewSubscriptionChange>(json!({"subscription": "sub_1"}))
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("price"));
    }
}
