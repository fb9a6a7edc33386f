//! What a report is asked, by an agent or by a card of a dashboard, and the body that asks Google.

use resto_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::days::Days;
use crate::filters::{self, DimensionFilter, MetricFilter};

/// The most rows that are read to find the same ones of another period: several dimensions have more
/// combinations than the wanted ones.
const MAX_SAME: u32 = 2500;

/// What to count, by what, and which rows. Actions flatten it into their input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// Such as `sessions`, `activeUsers`, `keyEvents`, `totalRevenue`.
    #[schemars(length(min = 1, max = 10))]
    pub(crate) metrics: Vec<String>,
    /// Such as `date`, `pagePath`, `country`, `sessionSourceMedium`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub(crate) dimensions: Vec<String>,
    /// All must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub(crate) dimension_filters: Vec<DimensionFilter>,
    /// All must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub(crate) metric_filters: Vec<MetricFilter>,
    /// Default `date`, else the first metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sort_by: Option<String>,
    /// Default for dates only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ascending: Option<bool>,
}

impl Question {
    /// These metrics by these dimensions, the largest first.
    pub(crate) fn of(metrics: &[&str], dimensions: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { metrics: owned(metrics), dimensions: owned(dimensions), ..Self::default() }
    }

    /// The body of a report on rows `offset..offset + limit`, without its period.
    ///
    /// # Errors
    /// A filter lacks values, or what is sorted by is not in the report.
    pub(crate) fn body(&self, limit: u32, offset: u64) -> Result<Map<String, Value>> {
        self.narrowed(limit, offset, Vec::new())
    }

    /// As [`Question::body`], for a period.
    pub(crate) fn during(&self, days: Days, limit: u32, offset: u64) -> Result<Value> {
        Ok(over(self.body(limit, offset)?, days))
    }

    /// As [`Question::during`], for the rows only whose dimensions have one of these values each.
    pub(crate) fn of_rows(&self, days: Days, rows: &[&[String]]) -> Result<Value> {
        let values = |column: usize| {
            let mut values: Vec<String> =
                rows.iter().filter_map(|row| row.get(column).cloned()).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let only = self.dimensions.iter().enumerate();
        let only = only.map(|(column, name)| filters::is_one_of(name, &values(column))).collect();
        Ok(over(self.narrowed(MAX_SAME, 0, only)?, days))
    }

    fn narrowed(&self, limit: u32, offset: u64, only: Vec<Value>) -> Result<Map<String, Value>> {
        let named = |names: &[String]| -> Value {
            names.iter().map(|name| json!({"name": name})).collect()
        };
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
        set("metrics", named(&self.metrics));
        if !self.dimensions.is_empty() {
            set("dimensions", named(&self.dimensions));
        }
        let mut conditions = filters::dimensions(&self.dimension_filters)?;
        conditions.extend(only);
        if let Some(filter) = filters::all(conditions) {
            set("dimensionFilter", filter);
        }
        if let Some(filter) = filters::metrics(&self.metric_filters) {
            set("metricFilter", filter);
        }
        set("orderBys", json!([self.order()?]));
        // Google wants 64-bit numbers as text.
        set("limit", limit.to_string().into());
        if offset > 0 {
            set("offset", offset.to_string().into());
        }
        set("returnPropertyQuota", true.into());
        Ok(body)
    }

    fn order(&self) -> Result<Value> {
        let date = || self.dimensions.iter().find(|name| *name == "date");
        let Some(by) = self.sort_by.as_ref().or_else(date).or(self.metrics.first()) else {
            return Err(Error::invalid(
                "metrics",
                "invalid input: `metrics` is empty. Nothing was sent.",
            ));
        };
        let descending = |ascending: bool| !self.ascending.unwrap_or(ascending);
        if self.metrics.contains(by) {
            return Ok(json!({"metric": {"metricName": by}, "desc": descending(false)}));
        }
        if self.dimensions.contains(by) {
            return Ok(json!({"dimension": {"dimensionName": by}, "desc": descending(true)}));
        }
        Err(Error::invalid(
            "sort_by",
            format!(
                "invalid input: `sort_by` must be a metric or dimension of the report, and `{by}` is not. Nothing was sent."
            ),
        ))
    }
}

fn over(mut body: Map<String, Value>, days: Days) -> Value {
    let period = days.period();
    let range = json!([{"startDate": period.start_date, "endDate": period.end_date}]);
    body.insert("dateRanges".to_owned(), range);
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::days::When;

    fn question(value: Value) -> Question {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn asks_for_a_page_of_sorted_rows() {
        let asked = question(json!({"metrics": ["sessions"], "dimensions": ["country", "city"]}));
        let days = When::default().days().unwrap();
        assert_eq!(
            asked.during(days, 30, 60).unwrap(),
            json!({
                "metrics": [{"name": "sessions"}], "dimensions": [{"name": "country"}, {"name": "city"}],
                "orderBys": [{"metric": {"metricName": "sessions"}, "desc": true}],
                "limit": "30", "offset": "60", "returnPropertyQuota": true,
                "dateRanges": [{"startDate": "28daysAgo", "endDate": "yesterday"}],
            })
        );
    }

    #[test]
    fn days_come_in_their_order_unless_said_otherwise() {
        let order = |value: Value| question(value).order();
        assert_eq!(
            order(json!({"metrics": ["sessions"], "dimensions": ["date"]})).unwrap(),
            json!({"dimension": {"dimensionName": "date"}, "desc": false})
        );
        let sorted =
            json!({"metrics": ["sessions", "newUsers"], "sort_by": "newUsers", "ascending": true});
        assert_eq!(
            order(sorted).unwrap(),
            json!({"metric": {"metricName": "newUsers"}, "desc": false})
        );
        let error = order(json!({"metrics": ["sessions"], "sort_by": "city"})).unwrap_err();
        assert!(error.message().contains("`city` is not"), "{error}");
        assert!(order(json!({"metrics": []})).is_err());
    }

    #[test]
    fn asks_again_for_the_same_rows() {
        let asked = question(json!({"metrics": ["sessions"], "dimensions": ["country", "city"],
            "dimension_filters": [{"dimension": "browser", "match": "is", "values": ["Firefox"]}]}));
        let row = |country: &str, city: &str| [country.to_owned(), city.to_owned()];
        let (one, two) = (row("Italy", "Rome"), row("Italy", "Bari"));
        let body = asked.of_rows(When::default().days().unwrap(), &[&one, &two]).unwrap();
        let conditions = &body["dimensionFilter"]["andGroup"]["expressions"];
        assert_eq!(conditions.as_array().unwrap().len(), 3);
        assert_eq!(conditions[1]["filter"]["inListFilter"]["values"], json!(["Italy"]));
        assert_eq!(conditions[2]["filter"]["inListFilter"]["values"], json!(["Bari", "Rome"]));
    }
}
