//! Custom dimensions and metrics: parameters of events that reports can tell by, or count.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ADMIN;
use crate::ids::Id;
use crate::permissions::{CHANGE, SETTINGS};

/// What a dimension belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "UPPERCASE"))]
enum Scope {
    Event,
    User,
    Item,
}

/// A custom dimension.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct CustomDimension {
    /// Its number.
    #[serde(rename(deserialize = "name"))]
    id: Id,
    /// The parameter or user property that it tells.
    #[serde(default)]
    parameter_name: String,
    /// As reports show it.
    #[serde(default)]
    display_name: String,
    /// `EVENT`, `USER` or `ITEM`.
    #[serde(default)]
    scope: String,
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// Its name in `run_report`.
    #[serde(skip_deserializing)]
    report_name: String,
}

impl CustomDimension {
    fn named(mut self) -> Self {
        let scope = self.scope.to_lowercase();
        self.report_name = format!("custom{}:{}", capitalised(&scope), self.parameter_name);
        self
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
        .unwrap_or_default()
}

/// Lists a property's custom dimensions.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListCustomDimensions {
    /// From `list_properties`.
    property_id: Id,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListCustomDimensions {
    const NAME: &'static str = "list_custom_dimensions";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which custom dimensions exist", "own parameters in reports", "our own dimensions"];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS;
    type Output = Page<CustomDimension>;

    async fn run(self, api: &Api) -> Result<Page<CustomDimension>> {
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.customDimensions/list
        let page: Page<CustomDimension> = api
            .get("/v1beta/properties/{}/customDimensions", &[&self.property_id])
            .at(ADMIN)
            .page(&self.page)
            .list_in("customDimensions")
            .await?;
        Ok(page.map(CustomDimension::named))
    }
}

/// Lets reports tell by a parameter of events, from now on. It cannot be deleted, only archived by a person.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateCustomDimension {
    /// From `list_properties`.
    property_id: Id,
    /// Letters, digits and `_`, first a letter.
    #[schemars(length(min = 1, max = 40))]
    parameter_name: String,
    /// Letters, digits, spaces and `_`, first a letter.
    #[schemars(length(min = 1, max = 82))]
    display_name: String,
    /// Default event.
    scope: Option<Scope>,
    #[schemars(length(max = 150))]
    description: Option<String>,
}

impl Action for CreateCustomDimension {
    const NAME: &'static str = "create_custom_dimension";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["report by an own parameter", "segment by a user property", "track an extra attribute"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = CustomDimension;

    async fn run(self, api: &Api) -> Result<CustomDimension> {
        let path = "/v1beta/properties/{}/customDimensions";
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.customDimensions/create
        let scope = json!(self.scope.unwrap_or(Scope::Event));
        let is_it =
            |one: &CustomDimension| one.parameter_name == self.parameter_name && scope == one.scope;
        let found: CustomDimension = api
            .post(path, &[&self.property_id])
            .at(ADMIN)
            .fields(json!({
                "parameterName": self.parameter_name,
                "displayName": self.display_name,
                "scope": scope,
                "description": self.description,
            }))
            .send_or_find(|| find(api, path, &self.property_id, "customDimensions", is_it))
            .await?;
        Ok(found.named())
    }
}

/// The one that is there: the names are unique.
async fn find<T: DeserializeOwned>(
    api: &Api,
    path: &'static str,
    property: &Id,
    list: &str,
    is_it: impl Fn(&T) -> bool,
) -> Result<Option<T>> {
    // A property has at most 175 of them with Analytics 360.
    let all = api.get(path, &[property]).at(ADMIN).query("pageSize", 200);
    let page: Page<T> = all.list_in(list).await?;
    Ok(page.items.into_iter().find(is_it))
}

/// What the numbers of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "UPPERCASE"))]
enum Unit {
    /// A plain number.
    Standard,
    Currency,
    Feet,
    Meters,
    Kilometers,
    Miles,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
}

/// Who may see money.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "SCREAMING_SNAKE_CASE"))]
enum Money {
    CostData,
    RevenueData,
}

/// A custom metric.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct CustomMetric {
    /// Its number.
    #[serde(rename(deserialize = "name"))]
    id: Id,
    /// The parameter that it adds up.
    #[serde(default)]
    parameter_name: String,
    /// As reports show it.
    #[serde(default)]
    display_name: String,
    /// Such as `STANDARD`, `CURRENCY` or `SECONDS`.
    #[serde(default)]
    measurement_unit: String,
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// Its name in `run_report`.
    #[serde(skip_deserializing)]
    report_name: String,
}

/// Lets reports add up a number of events, from now on. It cannot be deleted, only archived by a person.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateCustomMetric {
    /// From `list_properties`.
    property_id: Id,
    /// Letters, digits and `_`, first a letter.
    #[schemars(length(min = 1, max = 40))]
    parameter_name: String,
    /// Letters, digits, spaces and `_`, first a letter.
    #[schemars(length(min = 1, max = 82))]
    display_name: String,
    /// Default standard, a plain number.
    unit: Option<Unit>,
    /// With `currency`, which some people may not see; default `revenue_data`.
    money: Option<Money>,
    #[schemars(length(max = 150))]
    description: Option<String>,
}

impl Action for CreateCustomMetric {
    const NAME: &'static str = "create_custom_metric";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["sum up an own number", "count a custom value", "new metric from an event parameter"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = CustomMetric;

    async fn run(self, api: &Api) -> Result<CustomMetric> {
        let path = "/v1beta/properties/{}/customMetrics";
        let unit = self.unit.unwrap_or(Unit::Standard);
        // Google wants it for money and refuses it for anything else.
        let restricted =
            (unit == Unit::Currency).then(|| [self.money.unwrap_or(Money::RevenueData)]);
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.customMetrics/create
        let is_it = |one: &CustomMetric| one.parameter_name == self.parameter_name;
        let mut metric: CustomMetric = api
            .post(path, &[&self.property_id])
            .at(ADMIN)
            .fields(json!({
                "parameterName": self.parameter_name,
                "displayName": self.display_name,
                "measurementUnit": unit,
                "scope": "EVENT",
                "restrictedMetricType": restricted,
                "description": self.description,
            }))
            .send_or_find(|| find(api, path, &self.property_id, "customMetrics", is_it))
            .await?;
        metric.report_name = format!("customEvent:{}", metric.parameter_name);
        Ok(metric)
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::ANALYTICS;

    const DIMENSIONS: &str = "/v1beta/properties/123/customDimensions";
    const METRICS: &str = "/v1beta/properties/123/customMetrics";

    fn plan(scope: &str) -> Value {
        json!({"name": "properties/123/customDimensions/5", "parameterName": "plan", "displayName": "Plan", "scope": scope})
    }

    fn told(scope: &str, report_name: &str) -> Value {
        json!({"id": "5", "parameter_name": "plan", "display_name": "Plan", "scope": scope, "report_name": report_name})
    }

    #[tokio::test]
    async fn lists_dimensions_with_their_names_in_reports() {
        let fake = FakeApi::new(&ANALYTICS).await.on(
            "GET",
            DIMENSIONS,
            200,
            json!({"customDimensions": [plan("USER")]}),
        );
        let page = fake.run::<ListCustomDimensions>(json!({"property_id": "123"})).await.unwrap();
        assert_eq!(page["items"], json!([told("USER", "customUser:plan")]));
    }

    #[tokio::test]
    async fn creates_a_dimension_of_events_unless_told_otherwise() {
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", DIMENSIONS, 200, plan("EVENT"));
        let input = json!({"property_id": "123", "parameter_name": "plan", "display_name": "Plan"});
        let made = fake.run::<CreateCustomDimension>(input).await.unwrap();
        assert_eq!(made, told("EVENT", "customEvent:plan"));
        let sent = json!({"parameterName": "plan", "displayName": "Plan", "scope": "EVENT"});
        assert_eq!(fake.requests().await[0].body, sent);
    }

    #[tokio::test]
    async fn finds_the_dimension_of_its_scope_when_the_answer_is_lost() {
        for (scope, found) in [("USER", true), ("EVENT", false)] {
            let fake = FakeApi::new(&ANALYTICS).await.on("POST", DIMENSIONS, 504, Value::Null).on(
                "GET",
                DIMENSIONS,
                200,
                json!({"customDimensions": [plan(scope)]}),
            );
            let input = json!({"property_id": "123", "parameter_name": "plan", "display_name": "Plan", "scope": "user"});
            match fake.run::<CreateCustomDimension>(input).await {
                Ok(made) => assert!(found && made["id"] == "5"),
                Err(error) => assert!(!found && error.code() == Code::UnknownOutcome, "{error}"),
            }
        }
    }

    #[tokio::test]
    async fn a_metric_of_money_says_who_may_see_it() {
        let made = json!({"name": "properties/123/customMetrics/6", "parameterName": "margin", "displayName": "Margin",
            "measurementUnit": "CURRENCY", "scope": "EVENT", "restrictedMetricType": ["REVENUE_DATA"]});
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", METRICS, 200, made);
        let input = json!({"property_id": "123", "parameter_name": "margin", "display_name": "Margin", "unit": "currency"});
        let metric = fake.run::<CreateCustomMetric>(input).await.unwrap();
        assert_eq!(
            metric,
            json!({"id": "6", "parameter_name": "margin", "display_name": "Margin", "measurement_unit": "CURRENCY",
                "report_name": "customEvent:margin"})
        );
        let plain =
            json!({"property_id": "123", "parameter_name": "points", "display_name": "Points"});
        fake.run::<CreateCustomMetric>(plain).await.unwrap();
        let sent = fake.requests().await;
        assert_eq!(sent[0].body["restrictedMetricType"], json!(["REVENUE_DATA"]));
        assert_eq!(
            sent[1].body,
            json!({"parameterName": "points", "displayName": "Points", "measurementUnit": "STANDARD", "scope": "EVENT"})
        );
    }
}
