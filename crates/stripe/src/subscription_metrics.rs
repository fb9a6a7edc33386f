//! How the subscription business does: what comes in each month, who came, who left.

use std::collections::BTreeMap;

use resto_core::{Action, Api, Code, Error, Part, Request, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::balance::Money;
use crate::mode::{InMode, in_mode};
use crate::mrr::{Worth, rounded};
use crate::permissions::METRICS_READ;
use crate::revenue::range;
use crate::whole_lists::{MAX_PAGES, each, kept};

/// How the figures are made, told with them.
const DEFINITION: &str = "mrr: price x quantity of every part of active and past_due subscriptions, brought to a month (year/12, week x 52/12, day x 365/12), less discounts of the whole subscription that last longer than one bill; before tax. Trials, metered use and prices in steps are not in it, nor discounts of single parts or of the customer. active and past_due: now. new: created in the time, first payment made or in trial. churned: ended in the time, except in trial. Stripe's dashboard counts slightly differently.";

/// How the subscription business does.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionMetrics {
    /// What comes in each month now (MRR), one amount per currency.
    mrr: Vec<Money>,
    /// Subscriptions that are paid.
    active: u64,
    /// Subscriptions whose last payment failed and is tried again.
    past_due: u64,
    /// Subscriptions on trial.
    trialing: u64,
    /// Subscriptions that began in the time.
    new: u64,
    /// Subscriptions that ended in the time; absent where too many ended ever to look through them.
    churned: Option<u64>,
    /// Parts of subscriptions that are not in the MRR since they have no fixed price.
    parts_left_out: u64,
    /// Discounts that are not in the MRR.
    discounts_left_out: u64,
    /// How the figures are made.
    definition: String,
    /// Whether this answer was kept from a call within the last 15 minutes.
    kept: bool,
}

/// Tells how subscriptions do: monthly recurring revenue (MRR), active, new and churned ones.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetSubscriptionMetrics {
    /// For new and churned ones: first day (UTC), such as `2026-01-01`.
    from: String,
    /// Day after the last; at most 366 days later.
    until: String,
    /// Not from the last 15 minutes' answer.
    #[serde(default)]
    fresh: bool,
}

#[derive(Deserialize)]
struct Standing {
    status: String,
    ended_at: Option<i64>,
    trial_end: Option<i64>,
}

impl Action for GetSubscriptionMetrics {
    const NAME: &'static str = "get_subscription_metrics";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "MRR",
        "churn",
        "how many subscribers won and lost",
        "recurring revenue",
        "growth of subscriptions",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = METRICS_READ;
    const VIEW: &'static [Part] = &[
        Part::scorecard("", "", &["mode"]),
        Part::scorecard("Each month", "mrr", &["amount"]).amounts(&["amount"]),
        Part::scorecard("", "", &["active", "past_due", "trialing", "new", "churned"]),
        Part::notes("definition"),
    ];
    type Output = InMode<SubscriptionMetrics>;

    async fn run(self, api: &Api) -> Result<InMode<SubscriptionMetrics>> {
        let (from, until) = range(&self.from, &self.until)?;
        let question = format!("{from} {until}");
        let counted = count(api, from, until);
        let (mut metrics, kept) =
            kept(api, "stripe_subscription_metrics", &question, self.fresh, counted).await?;
        metrics.kept = kept;
        Ok(in_mode(api, metrics))
    }
}

/// Subscriptions that stand so.
fn list<'a>(api: &'a Api, status: &str) -> Request<'a> {
    // https://docs.stripe.com/api/subscriptions/list
    api.get("/v1/subscriptions", &[]).query("status", status)
}

async fn count(api: &Api, from: i64, until: i64) -> Result<SubscriptionMetrics> {
    let mut metrics =
        SubscriptionMetrics { definition: DEFINITION.to_owned(), ..Default::default() };
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for status in ["active", "past_due"] {
        let mut number = 0;
        let request = || Ok(list(api, status).query("expand[0]", "data.discounts.source.coupon"));
        let complete = each(api, "subscriptions", request, |subscription: Worth| {
            let worth = subscription.monthly();
            metrics.parts_left_out += worth.parts_left_out;
            metrics.discounts_left_out += worth.discounts_left_out;
            *sums.entry(subscription.currency).or_default() += worth.micro;
            number += 1;
        })
        .await?;
        all(complete)?;
        *(if status == "active" { &mut metrics.active } else { &mut metrics.past_due }) = number;
    }
    metrics.mrr = sums
        .into_iter()
        .map(|(currency, micro)| Money { amount: rounded(micro), currency })
        .collect();

    let trials = || Ok(list(api, "trialing"));
    all(each(api, "trials", trials, |_: Standing| metrics.trialing += 1).await?)?;

    let created = || Ok(list(api, "all").query("created[gte]", from).query("created[lt]", until));
    let complete = each(api, "new subscriptions", created, |subscription: Standing| {
        metrics.new += u64::from(!subscription.status.starts_with("incomplete"));
    });
    all(complete.await?)?;

    let mut churned = 0;
    // Stripe does not list by the time of the end.
    let canceled = || Ok(list(api, "canceled"));
    let complete = each(api, "ended subscriptions", canceled, |subscription: Standing| {
        churned += u64::from(subscription.left(from, until));
    })
    .await?;
    metrics.churned = complete.then_some(churned);
    Ok(metrics)
}

impl Standing {
    /// Whether it ended in this time, and not while it was on trial.
    fn left(&self, from: i64, until: i64) -> bool {
        self.ended_at.is_some_and(|end| {
            (from..until).contains(&end) && self.trial_end.is_none_or(|trial| trial < end)
        })
    }
}

fn all(complete: bool) -> Result<()> {
    if complete {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidInput,
        format!(
            "There are more than {} such subscriptions, and a part of them would mislead. See Stripe's dashboard.",
            MAX_PAGES * 100
        ),
    ))
}

#[cfg(test)]
mod tests {
    use resto_testing::{FakeApi, Recorded};
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::subscriptions::tests::subscription;
    use crate::times;

    const PATH: &str = "/v1/subscriptions";

    fn page(data: &Value) -> Value {
        json!({"object": "list", "has_more": false, "data": data})
    }

    fn ended(on: &str, trial_until: Option<&str>) -> Value {
        let mut ended = subscription("canceled");
        ended["ended_at"] = times::read("on", on).unwrap().into();
        ended["trial_end"] = trial_until.map(|day| times::read("day", day).unwrap()).into();
        ended
    }

    async fn fake() -> FakeApi {
        let mut dollars = subscription("active");
        dollars["currency"] = "usd".into();
        FakeApi::new(&STRIPE)
            .await
            // In the order in which they are asked: active, past due, on trial, new, ended.
            .on("GET", PATH, 200, page(&json!([subscription("active"), dollars])))
            .on("GET", PATH, 200, page(&json!([subscription("past_due")])))
            .on("GET", PATH, 200, page(&json!([subscription("trialing")])))
            .on(
                "GET",
                PATH,
                200,
                page(&json!([
                    subscription("active"),
                    subscription("incomplete"),
                    subscription("incomplete_expired"),
                    subscription("canceled"),
                ])),
            )
            .on(
                "GET",
                PATH,
                200,
                page(&json!([
                    ended("2026-01-10", None),
                    ended("2026-01-20", Some("2026-01-05")),
                    ended("2026-01-20", Some("2026-01-20")),
                    ended("2026-02-01", None),
                    ended("2025-12-31", None),
                ])),
            )
    }

    #[tokio::test]
    async fn tells_mrr_active_new_and_churned() {
        let fake = fake().await;
        let told = fake
            .run::<GetSubscriptionMetrics>(json!({"from": "2026-01-01", "until": "2026-02-01"}))
            .await
            .unwrap();
        assert!(told["definition"].as_str().unwrap().contains("year/12"));
        let figures: Vec<&Value> =
            ["active", "past_due", "trialing", "new", "churned", "parts_left_out"]
                .iter()
                .map(|name| &told[*name])
                .collect();
        assert_eq!(figures, [2, 1, 1, 2, 2, 0]);
        assert_eq!(
            told["mrr"],
            json!([{"amount": 4000, "currency": "eur"}, {"amount": 2000, "currency": "usd"}])
        );
        let asked: Vec<(String, bool)> = fake
            .requests()
            .await
            .iter()
            .map(|Recorded { query, .. }| {
                (query["status"].clone(), query.contains_key("expand[0]"))
            })
            .collect();
        let expected = [
            ("active", true),
            ("past_due", true),
            ("trialing", false),
            ("all", false),
            ("canceled", false),
        ];
        assert_eq!(asked, expected.map(|(status, expands)| (status.to_owned(), expands)));
    }

    #[tokio::test]
    async fn an_answer_is_kept_so_that_it_is_not_read_twice() {
        let fake = fake().await;
        let input = json!({"from": "2026-01-01", "until": "2026-02-01"});
        let first = fake.run::<GetSubscriptionMetrics>(input.clone()).await.unwrap();
        let second = fake.run::<GetSubscriptionMetrics>(input).await.unwrap();
        assert_eq!((&second["mrr"], &second["kept"]), (&first["mrr"], &json!(true)));
        assert_eq!(fake.requests().await.len(), 5);
    }

    #[tokio::test]
    async fn refuses_a_time_that_is_none() {
        let fake = FakeApi::new(&STRIPE).await;
        let error = fake
            .run::<GetSubscriptionMetrics>(json!({"from": "2026-02-01", "until": "2026-01-01"}))
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("until"));
    }
}
