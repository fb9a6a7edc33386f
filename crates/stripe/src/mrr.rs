//! What a subscription brings in a month. Computed in millionths of the smallest unit of the
//! currency, so that rounding happens once, at the end.

use serde::Deserialize;

use crate::prices::Price;

const MICRO: i128 = 1_000_000;

/// A subscription as far as its worth goes.
#[derive(Deserialize)]
pub(crate) struct Worth {
    pub currency: String,
    items: Items,
    #[serde(default)]
    discounts: Vec<Expanded<Discount>>,
}

#[derive(Deserialize)]
struct Items {
    data: Vec<Part>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Part {
    price: Price,
    #[serde(default)]
    quantity: Option<u64>,
    #[serde(default)]
    current_period_start: Option<i64>,
    #[serde(default)]
    discounts: Vec<serde::de::IgnoredAny>,
}

/// An object, or only its id where Stripe did not expand it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expanded<T> {
    Object(T),
    Id(#[expect(dead_code, reason = "the id says only that there is something")] String),
}

#[derive(Deserialize)]
struct Discount {
    end: Option<i64>,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    coupon: Option<Expanded<Coupon>>,
}

#[derive(Deserialize)]
struct Coupon {
    duration: String,
    percent_off: Option<f64>,
    amount_off: Option<i64>,
    currency: Option<String>,
}

/// What a subscription brings in a month, and what could not be counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Monthly {
    /// In millionths of the smallest unit of the currency.
    pub micro: i128,
    /// Parts without a fixed price: by use, in steps, or more than Stripe lists at once.
    pub parts_left_out: u64,
    /// Discounts that could not be taken off.
    pub discounts_left_out: u64,
}

impl Worth {
    /// See [`Monthly`].
    pub fn monthly(&self) -> Monthly {
        let parts = &self.items.data;
        let mut worth = Monthly {
            micro: 0,
            parts_left_out: u64::from(self.items.has_more),
            discounts_left_out: parts.iter().map(|part| part.discounts.len() as u64).sum(),
        };
        for part in parts {
            match part.monthly() {
                Some(micro) => worth.micro += micro,
                None => worth.parts_left_out += 1,
            }
        }
        let Some(first) = parts.first() else { return worth };
        for discount in &self.discounts {
            match discount.applied(&self.currency, first, worth.micro) {
                Some(left) => worth.micro = left.max(0),
                None => worth.discounts_left_out += 1,
            }
        }
        worth
    }
}

impl Part {
    /// Per month; `None` where there is no fixed price.
    fn monthly(&self) -> Option<i128> {
        if self.price.recurring.as_ref()?.usage_type.as_deref() == Some("metered") {
            return None;
        }
        let unit = match (self.price.unit_amount, &self.price.unit_amount_decimal) {
            (Some(amount), _) => i128::from(amount) * MICRO,
            (None, Some(decimal)) => micro(decimal)?,
            (None, None) => return None,
        };
        self.per_month(unit * i128::from(self.quantity.unwrap_or(1)))
    }

    /// An amount per bill as an amount per month: a year has 12 months, 52 weeks, 365 days.
    fn per_month(&self, per_bill: i128) -> Option<i128> {
        let recurring = self.price.recurring.as_ref()?;
        let (bills, months) = match recurring.interval.as_str() {
            "year" => (1, 12),
            "month" => (1, 1),
            "week" => (52, 12),
            "day" => (365, 12),
            _ => return None,
        };
        let count = i128::from(recurring.interval_count.max(1));
        Some(per_bill * bills / (months * count))
    }
}

impl Expanded<Discount> {
    /// What is left of `worth`; `None` where it is not known what this discount takes off.
    fn applied(&self, currency: &str, first: &Part, worth: i128) -> Option<i128> {
        let Self::Object(discount) = self else { return None };
        let over =
            discount.end.zip(first.current_period_start).is_some_and(|(end, now)| end <= now);
        let Some(Expanded::Object(coupon)) = &discount.source.coupon else { return None };
        // What is taken off one bill does not change what comes in each month.
        if over || coupon.duration == "once" {
            return Some(worth);
        }
        match (coupon.percent_off, coupon.amount_off) {
            (Some(percent), _) => {
                let taken = micro(&percent.to_string())?;
                Some(worth - worth * taken / (100 * MICRO))
            }
            (None, Some(amount)) if coupon.currency.as_deref() == Some(currency) => {
                Some(worth - first.per_month(i128::from(amount) * MICRO)?)
            }
            _ => None,
        }
    }
}

/// A decimal number in millionths; further digits are cut.
fn micro(decimal: &str) -> Option<i128> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let size = whole.trim_start_matches('-').parse::<i128>().ok()? * MICRO;
    let size = size + fraction.parse::<i128>().ok()?;
    Some(if whole.starts_with('-') { -size } else { size })
}

/// Millionths rounded to the smallest unit of the currency.
pub(crate) fn rounded(micro: i128) -> i64 {
    i64::try_from((micro + MICRO / 2).div_euclid(MICRO)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::subscriptions::tests::{item, subscription};

    fn worth(items: Value, discounts: Value) -> Monthly {
        let mut told = subscription("active");
        told["items"]["data"] = items;
        told["discounts"] = discounts;
        serde_json::from_value::<Worth>(told).unwrap().monthly()
    }

    fn billed(unit_amount: i64, interval: &str, count: u32) -> Value {
        let mut part = item("si_1", unit_amount, 1);
        part["price"]["recurring"]["interval"] = interval.into();
        part["price"]["recurring"]["interval_count"] = count.into();
        part
    }

    fn discount(coupon: &Value, end: &Value) -> Value {
        json!([{"id": "di_1", "object": "discount", "end": end, "start": 1, "source": {"type": "coupon", "coupon": coupon}}])
    }

    #[test]
    fn brings_every_interval_to_a_month() {
        for (unit_amount, interval, count, monthly) in [
            (2000, "month", 1, 2000),
            (3000, "month", 3, 1000),
            (12000, "year", 1, 1000),
            (1000, "week", 1, 4333),
            (2000, "week", 2, 4333),
            (100, "day", 1, 3042),
        ] {
            let told = worth(json!([billed(unit_amount, interval, count)]), json!([]));
            assert_eq!(rounded(told.micro), monthly, "{unit_amount} per {count} {interval}");
        }
    }

    #[test]
    fn counts_quantities_and_fractions_and_says_what_has_no_fixed_price() {
        let mut fraction = item("si_2", 0, 1000);
        fraction["price"]["unit_amount"] = Value::Null;
        fraction["price"]["unit_amount_decimal"] = "0.5".into();
        let mut metered = item("si_3", 10, 1);
        metered["price"]["recurring"]["usage_type"] = "metered".into();
        let mut steps = item("si_4", 0, 1);
        steps["price"]["unit_amount"] = Value::Null;
        steps["price"]["unit_amount_decimal"] = Value::Null;
        let told = worth(json!([item("si_1", 2000, 3), fraction, metered, steps]), json!([]));
        assert_eq!(told, Monthly { micro: 6500 * MICRO, parts_left_out: 2, discounts_left_out: 0 });
    }

    #[test]
    fn takes_discounts_off_that_last() {
        let percent = json!({"id": "P", "duration": "forever", "percent_off": 12.5, "amount_off": null, "currency": null});
        let amount = json!({"id": "A", "duration": "repeating", "percent_off": null, "amount_off": 1200, "currency": "eur"});
        let once = json!({"id": "O", "duration": "once", "percent_off": 50, "amount_off": null, "currency": null});
        let big = json!({"id": "B", "duration": "forever", "percent_off": null, "amount_off": 99999, "currency": "eur"});
        let items = || json!([item("si_1", 2000, 1)]);
        let micro = |discounts: Value| worth(items(), discounts).micro;
        assert_eq!(micro(discount(&percent, &Value::Null)), 1750 * MICRO);
        assert_eq!(micro(discount(&amount, &json!(1_999_999_999))), 800 * MICRO);
        assert_eq!(micro(discount(&once, &Value::Null)), 2000 * MICRO);
        assert_eq!(micro(discount(&big, &Value::Null)), 0);
        // It ended before the period that is paid began.
        assert_eq!(micro(discount(&percent, &json!(1_769_817_600))), 2000 * MICRO);
        // An amount is taken off each bill, here once a year.
        let yearly = worth(json!([billed(12000, "year", 1)]), discount(&amount, &Value::Null));
        assert_eq!(yearly.micro, 900 * MICRO);
    }

    #[test]
    fn says_which_discounts_are_not_taken_off() {
        let dollars = json!({"id": "D", "duration": "forever", "percent_off": null, "amount_off": 5, "currency": "usd"});
        let mut part = item("si_1", 2000, 1);
        part["discounts"] = json!(["di_9"]);
        for discounts in
            [json!(["di_1"]), discount(&json!("P"), &Value::Null), discount(&dollars, &Value::Null)]
        {
            let told = worth(json!([part]), discounts);
            assert_eq!((told.micro, told.discounts_left_out), (2000 * MICRO, 2));
        }
    }
}
