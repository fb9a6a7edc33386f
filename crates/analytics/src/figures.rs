//! Numbers of reports: Google sends them all as text, with the type of each metric beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// A number of a report: whole where it is, else with decimals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// A count.
    Whole(i64),
    /// An amount, a rate or a time.
    Decimal(f64),
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        f64::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        f64::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Number {
    /// Reads a value of Google's; whatever its declared type, rates come with decimals.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let decimal = || text.parse().ok().filter(|number: &f64| number.is_finite());
        text.parse().ok().map(Self::Whole).or_else(|| decimal().map(Self::Decimal))
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of counts needs no 53 bits")]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Decimal(decimal) => decimal,
        }
    }

    /// The difference; whole between whole numbers.
    pub(crate) fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(one), Self::Whole(two)) => Self::Whole(one.saturating_sub(two)),
            _ => Self::Decimal(self.as_f64() - other.as_f64()),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Decimal(decimal) => write!(f, "{decimal:.2}"),
        }
    }
}

/// The change in percent of the number before, with one decimal; `None` where there was nothing.
pub(crate) fn percent(now: Number, before: Number) -> Option<f64> {
    let before = before.as_f64();
    let change = (now.as_f64() - before) / before * 1000.0;
    (before != 0.0).then(|| change.round() / 10.0)
}

/// Values by name, in the order in which they were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A metric of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Measured {
    /// Its name.
    pub metric: String,
    /// What its numbers count: `count`, `number` (rates are shares of 1), `seconds`, or a currency such as `EUR`.
    pub unit: String,
}

/// The unit of a metric of this type of Google's.
pub(crate) fn unit(kind: &str, currency: Option<&str>) -> String {
    match kind {
        "TYPE_INTEGER" => "count".to_owned(),
        "TYPE_FLOAT" | "TYPE_STANDARD" | "" => "number".to_owned(),
        "TYPE_CURRENCY" => currency.unwrap_or("currency of the property").to_owned(),
        other => other.strip_prefix("TYPE_").unwrap_or(other).to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_and_decimals_whatever_their_type() {
        assert_eq!(Number::read("4621565"), Some(Number::Whole(4_621_565)));
        assert_eq!(Number::read("0.27"), Some(Number::Decimal(0.27)));
        for unreadable in ["", "NaN", "inf", "many"] {
            assert_eq!(Number::read(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn tells_a_change_in_percent_of_what_was() {
        assert_eq!(percent(Number::Whole(150), Number::Whole(120)), Some(25.0));
        assert_eq!(percent(Number::Whole(2), Number::Whole(3)), Some(-33.3));
        assert_eq!(percent(Number::Whole(5), Number::Whole(0)), None);
        assert_eq!(Number::Whole(3).minus(Number::Whole(5)), Number::Whole(-2));
    }

    #[test]
    fn says_what_the_numbers_count() {
        assert_eq!(unit("TYPE_SECONDS", None), "seconds");
        assert_eq!(unit("TYPE_CURRENCY", Some("EUR")), "EUR");
        assert_eq!(unit("TYPE_INTEGER", Some("EUR")), "count");
        assert_eq!(unit("TYPE_SOMETHING_NEW", None), "something_new");
    }
}
