//! Funnels: how many people go from step to step, and where they leave. Google calls this method a
//! preview (v1alpha), so it may change.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::days::{Period, When};
use crate::figures::{Measured, Number};
use crate::filters;
use crate::ids::Id;
use crate::permissions::REPORTS;
use crate::quota::{Left, Quota};
use crate::tables::{Answer, Table, notes};

/// A step of a funnel: an event, a page, or both.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    /// Such as `purchase`; this, `page_path`, or both.
    event: Option<String>,
    /// Beginning of its path, such as `/checkout`.
    page_path: Option<String>,
    /// Nothing between it and the step before.
    directly: Option<bool>,
    /// Since the step before.
    #[schemars(range(min = 1))]
    within_seconds: Option<u32>,
}

impl Step {
    fn told(&self) -> Result<Value> {
        let event =
            self.event.as_ref().map(|name| json!({"funnelEventFilter": {"eventName": name}}));
        let page = self.page_path.as_ref().map(|path| {
            json!({"funnelFieldFilter": {"fieldName": "pagePath", "stringFilter": {"matchType": "BEGINS_WITH", "value": path}}})
        });
        let conditions: Vec<Value> = [event, page].into_iter().flatten().collect();
        let condition = filters::all(conditions).ok_or_else(|| {
            Error::invalid(
                "steps",
                format!(
                    "invalid input: the step `{}` needs `event` or `page_path`. Nothing was sent.",
                    self.name
                ),
            )
        })?;
        let mut step = Map::new();
        step.insert("name".to_owned(), self.name.as_str().into());
        step.insert("filterExpression".to_owned(), condition);
        if let Some(directly) = self.directly {
            step.insert("isDirectlyFollowedBy".to_owned(), directly.into());
        }
        if let Some(seconds) = self.within_seconds {
            step.insert("withinDurationFromPriorStep".to_owned(), format!("{seconds}s").into());
        }
        Ok(Value::Object(step))
    }
}

/// How a step went.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StepReached {
    /// Its number and name, such as `2. Checkout`.
    step: String,
    /// Of which of the wanted dimension; absent: of all.
    of: Option<String>,
    /// People who reached it.
    active_users: Option<Number>,
    /// Share of them that went on to the next step, 0 to 1.
    completion_rate: Option<Number>,
    /// People who did not go on.
    abandonments: Option<Number>,
    /// Share of them that did not go on, 0 to 1.
    abandonment_rate: Option<Number>,
}

/// A funnel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Funnel {
    /// The days that it is about, in the property's time zone.
    period: Period,
    /// Its steps, each for all people first.
    steps: Vec<StepReached>,
    /// What to know before trusting the numbers.
    notes: Vec<String>,
    /// What is left of the property's quota for funnels.
    quota_left: Option<Left>,
}

/// Reports how many people go through the steps of a funnel, such as visit, cart, purchase, and where they leave.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RunFunnelReport {
    /// From `list_properties`.
    property_id: Id,
    #[schemars(length(min = 2, max = 10))]
    steps: Vec<Step>,
    /// Also those who enter at a later step.
    open: Option<bool>,
    /// Such as `deviceCategory`: its five largest values.
    by: Option<String>,
    #[serde(flatten)]
    when: When,
}

impl Action for RunFunnelReport {
    const NAME: &'static str = "run_funnel_report";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "where do customers drop out",
        "checkout abandonment",
        "steps from cart to purchase",
        "conversion funnel",
        "Kaufabbrüche",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Funnel;

    fn tells_outsiders(&self) -> bool {
        self.by.is_some()
    }

    async fn run(self, api: &Api) -> Result<Funnel> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            #[serde(default)]
            funnel_table: Answer,
            property_quota: Option<Quota>,
        }
        let days = self.when.days()?;
        let period = days.period();
        let steps = self.steps.iter().map(Step::told).collect::<Result<Vec<Value>>>()?;
        let by = self.by.map(|name| json!({"breakdownDimension": {"name": name}}));
        // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1alpha/properties/runFunnelReport
        let told: Told = api
            .post("/v1alpha/properties/{}:runFunnelReport", &[&self.property_id])
            .fields(json!({
                "dateRanges": [{"startDate": period.start_date, "endDate": period.end_date}],
                "funnel": {"isOpenFunnel": self.open.unwrap_or(false), "steps": steps},
                "funnelBreakdown": by,
                "returnPropertyQuota": true,
            }))
            .reads()
            .send()
            .await?;
        let table = Table::from(told.funnel_table);
        Ok(Funnel {
            period,
            steps: table
                .lines
                .iter()
                .map(|(values, numbers)| step(&table.measured, values, numbers))
                .collect(),
            notes: notes(Some(days), [&table]),
            quota_left: told.property_quota.map(Left::from),
        })
    }
}

fn step(measured: &[Measured], values: &[String], numbers: &[Option<Number>]) -> StepReached {
    let number = |name: &str| {
        let at = measured.iter().position(|one| one.metric == name)?;
        *numbers.get(at)?
    };
    StepReached {
        step: values.first().cloned().unwrap_or_default(),
        of: values.get(1).filter(|value| *value != "RESERVED_TOTAL").cloned(),
        active_users: number("activeUsers"),
        completion_rate: number("funnelStepCompletionRate"),
        abandonments: number("funnelStepAbandonments"),
        abandonment_rate: number("funnelStepAbandonmentRate"),
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::ANALYTICS;
    use crate::tables::tests::answer;

    const PATH: &str = "/v1alpha/properties/123:runFunnelReport";
    const METRICS: &[&str] = &[
        "activeUsers",
        "funnelStepCompletionRate",
        "funnelStepAbandonments",
        "funnelStepAbandonmentRate",
    ];

    #[tokio::test]
    async fn tells_how_many_go_from_step_to_step() {
        let table = answer(
            &["funnelStepName", "deviceCategory"],
            METRICS,
            &[
                &["1. Visit", "RESERVED_TOTAL", "1000", "0.25", "750", "0.75"],
                &["1. Visit", "mobile", "600", "0.1", "540", "0.9"],
            ],
        );
        // Google's description of v1alpha leaves funnels out.
        let fake = FakeApi::new(&ANALYTICS).await.unofficial("POST", PATH).on(
            "POST",
            PATH,
            200,
            json!({"funnelTable": table, "funnelVisualization": {}, "kind": "analyticsData#runFunnelReport"}),
        );
        let funnel = fake
            .run::<RunFunnelReport>(json!({
                "property_id": "123", "by": "deviceCategory",
                "steps": [{"name": "Visit", "event": "page_view"},
                    {"name": "Bought", "event": "purchase", "page_path": "/thanks", "directly": true, "within_seconds": 600}],
            }))
            .await
            .unwrap();
        assert_eq!(
            funnel["steps"],
            json!([
                {"step": "1. Visit", "active_users": 1000, "completion_rate": 0.25, "abandonments": 750, "abandonment_rate": 0.75},
                {"step": "1. Visit", "of": "mobile", "active_users": 600, "completion_rate": 0.1, "abandonments": 540, "abandonment_rate": 0.9},
            ])
        );
        let body = &fake.requests().await[0].body;
        assert_eq!(
            body["funnelBreakdown"],
            json!({"breakdownDimension": {"name": "deviceCategory"}})
        );
        assert_eq!(
            body["funnel"]["steps"][1],
            json!({"name": "Bought", "isDirectlyFollowedBy": true, "withinDurationFromPriorStep": "600s",
                "filterExpression": {"andGroup": {"expressions": [
                    {"funnelEventFilter": {"eventName": "purchase"}},
                    {"funnelFieldFilter": {"fieldName": "pagePath", "stringFilter": {"matchType": "BEGINS_WITH", "value": "/thanks"}}}]}}})
        );
    }

    #[tokio::test]
    async fn a_step_must_be_something() {
        let fake = FakeApi::new(&ANALYTICS).await;
        let error = fake
            .run::<RunFunnelReport>(json!({"property_id": "123", "steps": [{"name": "Visit", "event": "page_view"}, {"name": "Bought"}]}))
            .await
            .unwrap_err();
        assert!(error.message().contains("the step `Bought` needs"), "{error}");
    }
}
