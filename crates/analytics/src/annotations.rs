//! Annotations: notes on days of a property's reports, such as a launch or an outage.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::Date;
use time::format_description::well_known::Iso8601;

use crate::ADMIN;
use crate::ids::Id;
use crate::permissions::CHANGE;

/// In which colour it is shown.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "snake_case", serialize = "UPPERCASE"))]
enum Color {
    Purple,
    Brown,
    Blue,
    Green,
    Red,
    Cyan,
    Orange,
}

/// An annotation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Annotation {
    /// Its number.
    #[serde(rename(deserialize = "name"))]
    id: Id,
    /// Its title.
    #[serde(default)]
    title: String,
}

/// Notes on a day or some days of a property's reports what happened, such as a launch.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AnnotateProperty {
    /// From `list_properties`.
    property_id: Id,
    #[schemars(length(min = 1))]
    title: String,
    description: Option<String>,
    /// Such as `2026-01-31`, or later.
    date: String,
    end_date: Option<String>,
    color: Option<Color>,
}

impl Action for AnnotateProperty {
    const NAME: &'static str = "annotate_property";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["mark a launch or campaign in the reports", "add a note to a date", "annotation"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = Annotation;

    async fn run(self, api: &Api) -> Result<Annotation> {
        let start = day("date", &self.date)?;
        let end = self.end_date.as_deref().map(|text| day("end_date", text)).transpose()?;
        if end.is_some_and(|end| end < start) {
            return Err(Error::invalid(
                "end_date",
                "invalid input: `end_date` is before `date`. Nothing was sent.",
            ));
        }
        let range = end.map(|end| json!({"startDate": google(start), "endDate": google(end)}));
        let date = range.is_none().then(|| google(start));
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1alpha/properties.reportingDataAnnotations/create
        api.post("/v1alpha/properties/{}/reportingDataAnnotations", &[&self.property_id])
            .at(ADMIN)
            .fields(json!({
                "title": self.title,
                "description": self.description,
                "color": self.color.unwrap_or(Color::Blue),
                "annotationDate": date,
                "annotationDateRange": range,
            }))
            .send()
            .await
    }
}

fn day(field: &str, text: &str) -> Result<Date> {
    Date::parse(text, &Iso8601::DATE).map_err(|_| {
        Error::invalid(
            field,
            format!(
                "invalid input: `{field}` must be a date such as 2026-01-31. Nothing was sent."
            ),
        )
    })
}

fn google(date: Date) -> Value {
    json!({"year": date.year(), "month": u8::from(date.month()), "day": date.day()})
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::ANALYTICS;

    const PATH: &str = "/v1alpha/properties/123/reportingDataAnnotations";

    #[tokio::test]
    async fn notes_a_day_or_several() {
        let told = json!({"name": "properties/123/reportingDataAnnotations/4", "title": "Launch", "color": "BLUE",
            "annotationDate": {"year": 2026, "month": 1, "day": 31}, "systemGenerated": false});
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", PATH, 200, told);
        let input = json!({"property_id": "123", "title": "Launch", "date": "2026-01-31"});
        let note = fake.run::<AnnotateProperty>(input).await.unwrap();
        assert_eq!(note, json!({"id": "4", "title": "Launch"}));
        let input = json!({"property_id": "123", "title": "Sale", "date": "2026-01-31", "end_date": "2026-02-01", "color": "red"});
        fake.run::<AnnotateProperty>(input).await.unwrap();
        let sent = fake.requests().await;
        let first = json!({"year": 2026, "month": 1, "day": 31});
        assert_eq!(
            sent[0].body,
            json!({"title": "Launch", "color": "BLUE", "annotationDate": first})
        );
        assert_eq!(
            sent[1].body,
            json!({"title": "Sale", "color": "RED",
                "annotationDateRange": {"startDate": first, "endDate": {"year": 2026, "month": 2, "day": 1}}})
        );
    }

    #[tokio::test]
    async fn refuses_days_that_are_none() {
        for (date, end_date, field) in
            [("yesterday", "2026-01-01", "date"), ("2026-01-02", "2026-01-01", "end_date")]
        {
            let fake = FakeApi::new(&ANALYTICS).await;
            let input =
                json!({"property_id": "123", "title": "Sale", "date": date, "end_date": end_date});
            let error = fake.run::<AnnotateProperty>(input).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field));
        }
    }
}
