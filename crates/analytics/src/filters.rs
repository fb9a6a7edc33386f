//! Filters of reports: flat lists of conditions that all must hold, in Google's nested form.

use resto_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How a dimension's value is compared; upper and lower case are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Match {
    Is,
    Contains,
    BeginsWith,
    EndsWith,
    /// A regular expression (RE2) that matches a part.
    MatchesRegex,
    /// `(not set)` or empty; takes no values.
    IsEmpty,
}

/// Keeps rows by a dimension's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DimensionFilter {
    dimension: String,
    #[serde(rename = "match")]
    by: Match,
    /// Any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exclude: Option<bool>,
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Compare {
    Equal,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
}

/// Keeps rows by a metric's number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricFilter {
    /// One of the report's.
    metric: String,
    is: Compare,
    number: f64,
}

impl DimensionFilter {
    fn expression(&self) -> Result<Value> {
        let field = &self.dimension;
        let kind = match self.by {
            Match::Is => "EXACT",
            Match::Contains => "CONTAINS",
            Match::BeginsWith => "BEGINS_WITH",
            Match::EndsWith => "ENDS_WITH",
            Match::MatchesRegex => "PARTIAL_REGEXP",
            Match::IsEmpty => "",
        };
        let text = |value: &String| json!({"filter": {"fieldName": field, "stringFilter": {"matchType": kind, "value": value}}});
        let kept = match (self.by, self.values.as_slice()) {
            (Match::IsEmpty, _) => json!({"filter": {"fieldName": field, "emptyFilter": {}}}),
            (_, []) => {
                return Err(Error::invalid(
                    "dimension_filters",
                    format!(
                        "invalid input: the filter on `{field}` has no `values`. Nothing was sent."
                    ),
                ));
            }
            (_, [one]) => text(one),
            (Match::Is, several) => is_one_of(field, several),
            (_, several) => {
                json!({"orGroup": {"expressions": several.iter().map(text).collect::<Vec<_>>()}})
            }
        };
        Ok(if self.exclude == Some(true) { json!({"notExpression": kept}) } else { kept })
    }
}

impl MetricFilter {
    fn expression(&self) -> Value {
        let operation = match self.is {
            Compare::Equal => "EQUAL",
            Compare::LessThan => "LESS_THAN",
            Compare::LessThanOrEqual => "LESS_THAN_OR_EQUAL",
            Compare::GreaterThan => "GREATER_THAN",
            Compare::GreaterThanOrEqual => "GREATER_THAN_OR_EQUAL",
        };
        json!({"filter": {"fieldName": self.metric, "numericFilter": {"operation": operation, "value": {"doubleValue": self.number}}}})
    }
}

/// Keeps rows whose dimension has exactly one of these values.
pub(crate) fn is_one_of(dimension: &str, values: &[String]) -> Value {
    json!({"filter": {"fieldName": dimension, "inListFilter": {"values": values}}})
}

/// All of these must hold; `None` without any.
pub(crate) fn all(mut expressions: Vec<Value>) -> Option<Value> {
    match expressions.len() {
        0 | 1 => expressions.pop(),
        _ => Some(json!({"andGroup": {"expressions": expressions}})),
    }
}

pub(crate) fn dimensions(filters: &[DimensionFilter]) -> Result<Vec<Value>> {
    filters.iter().map(DimensionFilter::expression).collect()
}

pub(crate) fn metrics(filters: &[MetricFilter]) -> Option<Value> {
    all(filters.iter().map(MetricFilter::expression).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filters: Value) -> Result<Vec<Value>> {
        dimensions(&serde_json::from_value::<Vec<DimensionFilter>>(filters).unwrap())
    }

    #[test]
    fn conditions_become_nested_expressions() {
        let made = read(json!([
            {"dimension": "country", "match": "is", "values": ["Germany", "Austria"]},
            {"dimension": "pagePath", "match": "begins_with", "values": ["/blog"], "exclude": true},
            {"dimension": "city", "match": "contains", "values": ["a", "b"]},
            {"dimension": "browser", "match": "is_empty"},
        ]))
        .unwrap();
        let text = |kind: &str, field: &str, value: &str| json!({"filter": {"fieldName": field, "stringFilter": {"matchType": kind, "value": value}}});
        let wanted = [
            json!({"filter": {"fieldName": "country", "inListFilter": {"values": ["Germany", "Austria"]}}}),
            json!({"notExpression": text("BEGINS_WITH", "pagePath", "/blog")}),
            json!({"orGroup": {"expressions": [text("CONTAINS", "city", "a"), text("CONTAINS", "city", "b")]}}),
            json!({"filter": {"fieldName": "browser", "emptyFilter": {}}}),
        ];
        assert_eq!(made, wanted);
        assert_eq!(all(made).unwrap()["andGroup"]["expressions"].as_array().unwrap().len(), 4);
        assert_eq!(all(Vec::new()), None);
    }

    #[test]
    fn a_condition_without_values_is_refused() {
        let error = read(json!([{"dimension": "country", "match": "is"}])).unwrap_err();
        assert!(error.message().contains("`country` has no `values`"), "{error}");
    }

    #[test]
    fn compares_numbers() {
        let filters: Vec<MetricFilter> = serde_json::from_value(
            json!([{"metric": "sessions", "is": "greater_than", "number": 10}]),
        )
        .unwrap();
        assert_eq!(
            metrics(&filters),
            Some(json!({"filter": {"fieldName": "sessions", "numericFilter":
                {"operation": "GREATER_THAN", "value": {"doubleValue": 10.0}}}}))
        );
    }
}
