//! Rules that make a new event of others, such as a lead of a view of the thank-you page, without a
//! change to the site.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ADMIN;
use crate::ids::Id;
use crate::permissions::CHANGE;
use crate::streams::StreamIn;

/// How a condition compares.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "SCREAMING_SNAKE_CASE"))]
enum Compare {
    Equals,
    EqualsCaseInsensitive,
    Contains,
    ContainsCaseInsensitive,
    StartsWith,
    StartsWithCaseInsensitive,
    EndsWith,
    EndsWithCaseInsensitive,
    GreaterThan,
    GreaterThanOrEqual,
    LessThan,
    LessThanOrEqual,
    RegularExpression,
    RegularExpressionCaseInsensitive,
}

/// A condition on the events that are looked at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    /// `event_name`, or a parameter such as `page_location`.
    field: String,
    compare: Compare,
    value: String,
    negated: Option<bool>,
}

/// A parameter of the new event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameter {
    name: String,
    /// `[[other]]` copies the parameter `other`.
    #[schemars(length(max = 99))]
    value: String,
}

/// A rule.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventRule {
    /// Its number.
    #[serde(rename(deserialize = "name"))]
    id: Id,
    /// Name of the event that it makes.
    #[serde(rename(deserialize = "destinationEvent"))]
    new_event: String,
}

/// Makes a new event from now on whenever another one fits all conditions, such as a lead of a page view.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateEventRule {
    #[serde(flatten)]
    at: StreamIn,
    /// Letters, digits and `_`, first a letter.
    #[schemars(length(min = 1, max = 39))]
    new_event: String,
    /// On the events that it is made of; all must hold.
    #[schemars(length(min = 1, max = 10))]
    conditions: Vec<Condition>,
    /// Default true.
    copy_parameters: Option<bool>,
    /// Added or replaced.
    #[serde(default)]
    #[schemars(length(max = 20))]
    parameters: Vec<Parameter>,
}

impl Action for CreateEventRule {
    const NAME: &'static str = "create_event_rule";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "derive an event from page views",
        "count a thank-you page visit as a lead",
        "event from a condition",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = EventRule;

    async fn run(self, api: &Api) -> Result<EventRule> {
        let conditions: Vec<Value> = self
            .conditions
            .iter()
            .map(|condition| {
                json!({
                    "field": condition.field,
                    "comparisonType": condition.compare,
                    "value": condition.value,
                    "negated": condition.negated.unwrap_or(false),
                })
            })
            .collect();
        let parameters: Vec<Value> = self
            .parameters
            .iter()
            .map(|one| json!({"parameter": one.name, "parameterValue": one.value}))
            .collect();
        let path = "/v1alpha/properties/{}/dataStreams/{}/eventCreateRules";
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1alpha/properties.dataStreams.eventCreateRules/create
        api.post(path, &[&self.at.property_id, &self.at.stream_id])
            .at(ADMIN)
            .json(&json!({
                "destinationEvent": self.new_event,
                "eventConditions": conditions,
                "sourceCopyParameters": self.copy_parameters.unwrap_or(true),
                "parameterMutations": parameters,
            }))
            .send()
            .await
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::ANALYTICS;

    #[tokio::test]
    async fn makes_a_lead_of_a_page_view() {
        let path = "/v1alpha/properties/123/dataStreams/456/eventCreateRules";
        let told = json!({"name": "properties/123/dataStreams/456/eventCreateRules/8", "destinationEvent": "lead",
            "eventConditions": [], "sourceCopyParameters": true});
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", path, 200, told);
        let rule = fake
            .run::<CreateEventRule>(json!({
                "property_id": "123", "stream_id": "456", "new_event": "lead",
                "conditions": [{"field": "event_name", "compare": "equals", "value": "page_view"},
                    {"field": "page_location", "compare": "regular_expression_case_insensitive", "value": "thanks", "negated": true}],
                "parameters": [{"name": "value", "value": "[[price]]"}],
            }))
            .await
            .unwrap();
        assert_eq!(rule, json!({"id": "8", "new_event": "lead"}));
        assert_eq!(
            fake.requests().await[0].body,
            json!({
                "destinationEvent": "lead", "sourceCopyParameters": true,
                "eventConditions": [
                    {"field": "event_name", "comparisonType": "EQUALS", "value": "page_view", "negated": false},
                    {"field": "page_location", "comparisonType": "REGULAR_EXPRESSION_CASE_INSENSITIVE", "value": "thanks", "negated": true}],
                "parameterMutations": [{"parameter": "value", "parameterValue": "[[price]]"}],
            })
        );
    }
}
