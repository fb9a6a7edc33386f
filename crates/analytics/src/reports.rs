//! Reports of any question, by pages, and of the last half hour.

use resto_core::{Action, Api, Error, Page, PageRequest, Part, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::days::{Comparison, Days, Period, When};
use crate::figures::Measured;
use crate::ids::Id;
use crate::permissions::REPORTS;
use crate::questions::Question;
use crate::quota::Left;
use crate::tables::{Row, Table, asked, notes, report};

/// A page of a report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The days that it is about, in the property's time zone.
    period: Option<Period>,
    /// The days that it is compared with.
    period_before: Option<Period>,
    /// What the numbers count.
    metrics: Vec<Measured>,
    /// Its rows.
    rows: Page<Row>,
    /// Rows on all pages.
    row_count: u64,
    /// What to know before trusting the numbers.
    notes: Vec<String>,
    /// What is left of the property's quota.
    quota_left: Option<Left>,
}

/// Where a page of a report begins.
fn offset(page: &PageRequest) -> Result<u64> {
    let cursor = page.cursor.as_deref().unwrap_or("0");
    cursor.parse().map_err(|_| {
        Error::invalid(
            "cursor",
            "invalid input: `cursor` is not a `next_cursor` of this report. Nothing was sent.",
        )
    })
}

/// Reports any numbers by any dimensions over a period, compared with an earlier one if wanted.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RunReport {
    /// From `list_properties`.
    property_id: Id,
    #[serde(flatten)]
    question: Question,
    #[serde(flatten)]
    when: When,
    /// Of no use by `date`.
    compare_with: Option<Comparison>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for RunReport {
    const NAME: &'static str = "run_report";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "custom report",
        "sessions by device, country or browser",
        "bounce rate by landing page",
        "engagement per campaign",
        "eigener Bericht",
        "rapport personnalisé",
        "informe",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    const VIEW: &'static [Part] =
        &[Part::table("", "rows.items", &["dimensions", "metrics"]), Part::notes("notes")];
    type Output = Report;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Report> {
        let (offset, days) = (offset(&self.page)?, self.when.days()?);
        let earlier = self.compare_with.map(|with| days.compared(with)).transpose()?;
        let body = self.question.during(days, self.page.size(100), offset)?;
        let table = report(api, &self.property_id, &body).await?;
        let before = match earlier {
            Some(earlier) if !table.lines.is_empty() => {
                let body = self.question.of_rows(earlier, &table.keys())?;
                Some(report(api, &self.property_id, &body).await?)
            }
            _ => None,
        };
        let next = offset + table.lines.len() as u64;
        let more = next < table.row_count && !table.lines.is_empty();
        Ok(Report {
            period: Some(days.period()),
            period_before: earlier.map(Days::period),
            rows: Page {
                items: table.rows(before.as_ref()),
                next_cursor: more.then(|| next.to_string()),
            },
            row_count: table.row_count,
            notes: notes(Some(days), [Some(&table), before.as_ref()].into_iter().flatten()),
            quota_left: before.and_then(|before| before.left).or(table.left),
            metrics: table.measured,
        })
    }
}

/// Reports who is there now: the last 30 minutes, by country, page title, event, device or `minutesAgo`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RunRealtimeReport {
    /// From `list_properties`.
    property_id: Id,
    /// `activeUsers`, `screenPageViews`, `eventCount`, `keyEvents`.
    #[schemars(length(min = 1, max = 4))]
    metrics: Vec<String>,
    /// Such as `country`, `city`, `unifiedScreenName`, `eventName`, `minutesAgo`.
    #[serde(default)]
    #[schemars(length(max = 4))]
    dimensions: Vec<String>,
    /// To look back; default 30, the most but for Analytics 360.
    #[schemars(range(min = 1, max = 60))]
    minutes: Option<u32>,
    /// Default 30.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
}

impl Action for RunRealtimeReport {
    const NAME: &'static str = "run_realtime_report";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "who is on the site right now",
        "visitors online at the moment",
        "active users live",
        "wer ist gerade online",
        "en ce moment",
        "ahora mismo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Report;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Report> {
        let page = PageRequest { cursor: None, limit: self.limit };
        let question =
            Question { metrics: self.metrics, dimensions: self.dimensions, ..Question::default() };
        let mut body = question.body(page.size(100), 0)?;
        if let Some(minutes) = self.minutes {
            let back = minutes.saturating_sub(1);
            let range = serde_json::json!([{"startMinutesAgo": back, "endMinutesAgo": 0}]);
            body.insert("minuteRanges".to_owned(), range);
        }
        // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/runRealtimeReport
        let request = api.post("/v1beta/properties/{}:runRealtimeReport", &[&self.property_id]);
        let table: Table = asked(request, &Value::Object(body)).await?;
        Ok(Report {
            period: None,
            period_before: None,
            rows: Page { items: table.rows(None), next_cursor: None },
            row_count: table.row_count,
            notes: notes(None, [&table]),
            quota_left: table.left,
            metrics: table.measured,
        })
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::ANALYTICS;
    use crate::tables::tests::answer;

    const REPORT: &str = "/v1beta/properties/123:runReport";

    #[tokio::test]
    async fn reports_a_page_and_what_is_left_of_the_quota() {
        let mut told = answer(&["date"], &["sessions"], &[&["20260101", "5"], &["20260102", "7"]]);
        told["rowCount"] = json!(9);
        told["propertyQuota"] = json!({"tokensPerDay": {"consumed": 3, "remaining": 100},
            "tokensPerHour": {"remaining": 50}, "tokensPerProjectPerHour": {"remaining": 20}});
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", REPORT, 200, told);
        let report = fake
            .run::<RunReport>(json!({"property_id": "properties/123", "metrics": ["sessions"], "dimensions": ["date"],
                "start_date": "2026-01-01", "end_date": "2026-01-31", "limit": 2, "cursor": "4"}))
            .await
            .unwrap();
        assert_eq!(
            report,
            json!({
                "period": {"start_date": "2026-01-01", "end_date": "2026-01-31"},
                "metrics": [{"metric": "sessions", "unit": "count"}],
                "rows": {"next_cursor": "6", "items": [
                    {"dimensions": {"date": "20260101"}, "metrics": {"sessions": 5}},
                    {"dimensions": {"date": "20260102"}, "metrics": {"sessions": 7}}]},
                "row_count": 9, "notes": [], "quota_left": {"tokens_this_hour": 20, "tokens_today": 100},
            })
        );
        let body = &fake.requests().await[0].body;
        assert_eq!((&body["limit"], &body["offset"]), (&json!("2"), &json!("4")));
    }

    #[tokio::test]
    async fn compares_the_rows_of_a_page_with_the_same_rows_before() {
        let fake = FakeApi::new(&ANALYTICS)
            .await
            .on("POST", REPORT, 200, answer(&["country"], &["sessions"], &[&["Italy", "6"]]))
            .on("POST", REPORT, 200, answer(&["country"], &["sessions"], &[&["Italy", "4"]]));
        let report = fake
            .run::<RunReport>(
                json!({"property_id": "123", "metrics": ["sessions"], "dimensions": ["country"],
                "compare_with": "period_before"}),
            )
            .await
            .unwrap();
        let row = &report["rows"]["items"][0];
        assert_eq!(row["before"], json!({"sessions": 4}));
        assert_eq!(row["change_percent"], json!({"sessions": 50.0}));
        assert_eq!(
            report["period_before"],
            json!({"start_date": "56daysAgo", "end_date": "29daysAgo"})
        );
        assert!(report["notes"][0].as_str().unwrap().contains("still being counted"));
        let asked = &fake.requests().await[1].body;
        assert_eq!(
            asked["dimensionFilter"]["filter"],
            json!({"fieldName": "country", "inListFilter": {"values": ["Italy"]}})
        );
    }

    #[tokio::test]
    async fn refuses_a_cursor_of_something_else() {
        let fake = FakeApi::new(&ANALYTICS).await;
        let error = fake
            .run::<RunReport>(
                json!({"property_id": "123", "metrics": ["sessions"], "cursor": "next"}),
            )
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("cursor"));
    }

    #[tokio::test]
    async fn reports_who_is_there_now() {
        let fake = FakeApi::new(&ANALYTICS).await.on(
            "POST",
            "/v1beta/properties/123:runRealtimeReport",
            200,
            answer(&["country"], &["activeUsers"], &[&["Italy", "3"]]),
        );
        let report = fake
            .run::<RunRealtimeReport>(json!({"property_id": "123", "metrics": ["activeUsers"],
                "dimensions": ["country"], "minutes": 5}))
            .await
            .unwrap();
        assert_eq!(report["rows"]["items"][0]["metrics"], json!({"activeUsers": 3}));
        let body = &fake.requests().await[0].body;
        assert_eq!(body["minuteRanges"], json!([{"startMinutesAgo": 4, "endMinutesAgo": 0}]));
        assert!(body.get("dateRanges").is_none());
    }
}
