//! What came in: gross, refunds, disputes, fees and net, from the movements on the balance.

use std::collections::BTreeMap;

use resto_core::{Action, Api, Code, Error, Part, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{Date, Duration, OffsetDateTime};

use crate::mode::{InMode, in_mode};
use crate::permissions::BALANCE_READ;
use crate::times;
use crate::whole_lists::{MAX_PAGES, each, kept};

/// How the figures are made, told with them.
const DEFINITION: &str = "By the time (UTC) and currency in which money moved on the Stripe balance. gross: payments; refunds: paid back to customers; disputes: taken back by banks, less what was won; fees: Stripe's. net = gross - refunds - disputes - fees. Payouts, transfers, top-ups, reserves and whatever else is under left_out are not counted.";

/// What a person sees of a period, and which of it is money.
const REVENUE: &[&str] = &["starts_on", "net", "gross", "refunds", "disputes", "fees", "payments"];
const AMOUNTS: &[&str] = &["net", "gross", "refunds", "disputes", "fees"];

/// One currency in one period. Amounts are in the smallest unit of the currency.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// Its first day.
    starts_on: String,
    /// Three letters.
    currency: String,
    /// Payments.
    gross: i64,
    /// Paid back to customers.
    refunds: i64,
    /// Taken back by banks, less what was won.
    disputes: i64,
    /// Stripe's fees.
    fees: i64,
    /// What is left.
    net: i64,
    /// How many payments.
    payments: u64,
}

/// Movements that are no revenue.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Stripe's word for them, such as `payout`.
    category: String,
    /// Three letters.
    currency: String,
    /// Their sum, in the smallest unit of the currency.
    amount: i64,
    /// How many.
    count: u64,
}

/// What came in.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Revenue {
    /// Periods in which money moved, in order, each currency apart.
    periods: Vec<Period>,
    /// Movements that are no revenue.
    left_out: Vec<LeftOut>,
    /// How the figures are made.
    definition: String,
    /// Whether this answer was kept from a call within the last 15 minutes.
    kept: bool,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    Day,
    /// From Monday.
    Week,
    Month,
}

/// Tells what came in: gross, refunds, disputes, fees and net by day, week or month and currency.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetRevenue {
    /// First day (UTC), such as `2026-01-01`.
    from: String,
    /// Day after the last; at most 366 days later.
    until: String,
    by: By,
    currency: Option<String>,
    /// Not from the last 15 minutes' answer.
    #[serde(default)]
    fresh: bool,
}

#[derive(Deserialize)]
struct Movement {
    amount: i64,
    fee: i64,
    currency: String,
    reporting_category: String,
    created: i64,
}

impl Action for GetRevenue {
    const NAME: &'static str = "get_revenue";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "how much did we earn",
        "sales",
        "income",
        "turnover",
        "money made per month",
        "fees paid",
        "Umsatz",
        "Einnahmen",
        "chiffre d'affaires",
        "combien avons-nous gagné",
        "ingresos",
        "cuánto ganamos",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = BALANCE_READ;
    const VIEW: &'static [Part] = &[
        Part::scorecard("", "", &["mode"]),
        Part::line("Revenue", "periods", REVENUE, &["gross", "net"]).amounts(AMOUNTS),
        Part::notes("definition"),
    ];
    type Output = InMode<Revenue>;

    async fn run(self, api: &Api) -> Result<InMode<Revenue>> {
        let (from, until) = range(&self.from, &self.until)?;
        let currency = self.currency.map(|currency| currency.to_ascii_lowercase());
        let question = format!("{from} {until} {:?} {currency:?}", self.by);
        let sum = async {
            let mut sums = Sums::default();
            // https://docs.stripe.com/api/balance_transactions/list
            let list = || {
                Ok(api
                    .get("/v1/balance_transactions", &[])
                    .query("created[gte]", from)
                    .query("created[lt]", until)
                    .query("currency", &currency))
            };
            let complete =
                each(api, "movements", list, |movement| sums.add(self.by, &movement)).await?;
            if !complete {
                return Err(Error::new(
                    Code::InvalidInput,
                    format!(
                        "There are more than {} movements in this time, and a part of them would mislead. Ask for a shorter time.",
                        MAX_PAGES * 100
                    ),
                ));
            }
            Ok(sums.told())
        };
        let (mut revenue, kept) = kept(api, "stripe_revenue", &question, self.fresh, sum).await?;
        revenue.kept = kept;
        Ok(in_mode(api, revenue))
    }
}

/// The start and the end of a time in seconds since 1970.
///
/// # Errors
/// It is empty, or longer than a leap year.
pub(crate) fn range(from: &str, until: &str) -> Result<(i64, i64)> {
    let (start, end) = (times::read("from", from)?, times::read("until", until)?);
    if start >= end || end - start > 366 * 86_400 {
        return Err(Error::invalid(
            "until",
            "invalid input: `until` must be after `from`, by 366 days at most. Nothing was sent.",
        ));
    }
    Ok((start, end))
}

#[derive(Default)]
struct Sums {
    periods: BTreeMap<(Date, String), Period>,
    left_out: BTreeMap<(String, String), LeftOut>,
}

impl Sums {
    fn add(&mut self, by: By, movement: &Movement) {
        let Movement { amount, fee, currency, reporting_category, created } = movement;
        let starts_on = first_day(by, *created);
        let key = (starts_on, currency.clone());
        let mut count = |change: fn(&mut Period, i64)| {
            let period = self.periods.entry(key.clone()).or_default();
            change(period, *amount);
            period.fees += fee;
        };
        // https://docs.stripe.com/reports/reporting-categories
        match reporting_category.as_str() {
            "charge" => count(|period, amount| {
                period.gross += amount;
                period.payments += 1;
            }),
            // A payment that was reserved in full and taken in part.
            "partial_capture_reversal" => count(|period, amount| period.gross += amount),
            "refund" | "refund_failure" => count(|period, amount| period.refunds -= amount),
            "dispute" | "dispute_reversal" => count(|period, amount| period.disputes -= amount),
            "fee" | "network_cost" => count(|period, amount| period.fees -= amount),
            other => {
                let sum = self.left_out.entry((other.to_owned(), currency.clone())).or_default();
                sum.amount += amount;
                sum.count += 1;
            }
        }
    }

    fn told(self) -> Revenue {
        let periods = self.periods.into_iter().map(|((day, currency), period)| Period {
            net: period.gross - period.refunds - period.disputes - period.fees,
            starts_on: day.to_string(),
            currency,
            ..period
        });
        let left_out = self.left_out.into_iter().map(|((category, currency), sum)| LeftOut {
            category,
            currency,
            ..sum
        });
        Revenue {
            periods: periods.collect(),
            left_out: left_out.collect(),
            definition: DEFINITION.to_owned(),
            kept: false,
        }
    }
}

/// The first day of the period in which a time lies.
fn first_day(by: By, seconds: i64) -> Date {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let day = time.date();
    let back = match by {
        By::Day => 0,
        By::Week => day.weekday().number_days_from_monday(),
        By::Month => day.day() - 1,
    };
    day.checked_sub(Duration::days(i64::from(back))).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    const PATH: &str = "/v1/balance_transactions";

    fn movement(
        id: &str,
        day: &str,
        category: &str,
        amount: i64,
        fee: i64,
        currency: &str,
    ) -> Value {
        json!({
            "id": id, "object": "balance_transaction", "amount": amount, "available_on": 0, "currency": currency, "fee": fee,
            "created": times::read("day", day).unwrap() + 3600, "net": amount - fee, "reporting_category": category,
            "source": "ch_1", "status": "available", "type": "charge",
        })
    }

    fn list(more: bool, data: &Value) -> Value {
        json!({"object": "list", "has_more": more, "data": data})
    }

    #[tokio::test]
    async fn sums_by_month_and_currency_over_all_pages() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .on(
                "GET",
                PATH,
                200,
                list(
                    true,
                    &json!([
                        movement("txn_9", "2026-02-03", "charge", 5000, 175, "eur"),
                        movement("txn_8", "2026-02-02", "payout", -9000, 0, "eur"),
                        movement("txn_7", "2026-01-30", "refund_failure", 100, 0, "eur"),
                    ]),
                ),
            )
            .on(
                "GET",
                PATH,
                200,
                list(
                    false,
                    &json!([
                        movement("txn_6", "2026-01-20", "refund", -700, 0, "eur"),
                        movement("txn_5", "2026-01-19", "dispute", -1000, 1500, "eur"),
                        movement("txn_4", "2026-01-18", "dispute_reversal", 1000, 0, "eur"),
                        movement("txn_3", "2026-01-17", "fee", -50, 0, "eur"),
                        movement("txn_2", "2026-01-05", "charge", 10000, 320, "eur"),
                        movement("txn_1", "2026-01-05", "charge", 800, 30, "jpy"),
                        movement("txn_0", "2026-01-04", "a_new_kind", 7, 0, "eur"),
                    ]),
                ),
            );
        let told = fake
            .run::<GetRevenue>(json!({"from": "2026-01-01", "until": "2026-03-01", "by": "month"}))
            .await
            .unwrap();
        let period = |starts_on: &str, currency: &str, sums: [i64; 5], payments: u64| {
            let [gross, refunds, disputes, fees, net] = sums;
            json!({
                "starts_on": starts_on, "currency": currency, "gross": gross, "refunds": refunds, "disputes": disputes,
                "fees": fees, "net": net, "payments": payments,
            })
        };
        assert_eq!(
            told["periods"],
            json!([
                period("2026-01-01", "eur", [10000, 600, 0, 1870, 7530], 1),
                period("2026-01-01", "jpy", [800, 0, 0, 30, 770], 1),
                period("2026-02-01", "eur", [5000, 0, 0, 175, 4825], 1),
            ])
        );
        assert_eq!(
            told["left_out"],
            json!([
                {"category": "a_new_kind", "currency": "eur", "amount": 7, "count": 1},
                {"category": "payout", "currency": "eur", "amount": -9000, "count": 1},
            ])
        );
        assert_eq!((&told["mode"], &told["kept"]), (&json!("test"), &json!(false)));
        let requests = fake.requests().await;
        assert_eq!(requests[0].query["created[gte]"], "1767225600");
        assert_eq!(requests[1].query["starting_after"], "txn_7");
    }

    #[tokio::test]
    async fn an_answer_is_kept_so_that_it_is_not_read_twice() {
        let movements =
            list(false, &json!([movement("txn_1", "2026-01-07", "charge", 5, 1, "eur")]));
        let fake = FakeApi::new(&STRIPE).await.on("GET", PATH, 200, movements);
        let mut input = json!({"from": "2026-01-05", "until": "2026-01-12", "by": "week"});
        let first = fake.run::<GetRevenue>(input.clone()).await.unwrap();
        assert_eq!(first["periods"][0]["starts_on"], "2026-01-05");
        let second = fake.run::<GetRevenue>(input.clone()).await.unwrap();
        assert_eq!((&second["periods"], &second["kept"]), (&first["periods"], &json!(true)));
        assert_eq!(fake.requests().await.len(), 1);
        input["fresh"] = true.into();
        fake.run::<GetRevenue>(input.clone()).await.unwrap();
        input["fresh"] = false.into();
        input["by"] = "day".into();
        let by_day = fake.run::<GetRevenue>(input).await.unwrap();
        assert_eq!(by_day["periods"][0]["starts_on"], "2026-01-07");
        assert_eq!(fake.requests().await.len(), 3);
    }

    #[tokio::test]
    async fn a_part_of_the_movements_is_not_told_as_if_it_were_all() {
        let endless = list(true, &json!([movement("txn_1", "2026-01-07", "charge", 5, 1, "eur")]));
        let fake = FakeApi::new(&STRIPE).await.on("GET", PATH, 200, endless);
        let error = fake
            .run::<GetRevenue>(json!({"from": "2026-01-01", "until": "2026-02-01", "by": "day"}))
            .await
            .unwrap_err();
        assert!(error.message().contains("shorter time"), "{error}");
    }

    #[tokio::test]
    async fn refuses_a_time_that_is_none() {
        let fake = FakeApi::new(&STRIPE).await;
        for until in ["2026-01-01", "2025-12-01", "2027-01-03"] {
            let error = fake
                .run::<GetRevenue>(json!({"from": "2026-01-01", "until": until, "by": "day"}))
                .await
                .unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("until"));
        }
    }
}
