//! The common questions about a site in one answer: how many people, from where, to which pages, and
//! whether that is more than before.

use resto_core::{Action, Api, Part, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::days::{Comparison, Days, Period, When};
use crate::figures::Measured;
use crate::ids::Id;
use crate::permissions::REPORTS;
use crate::questions::Question;
use crate::quota::Left;
use crate::tables::{Row, Table, notes, reports};

/// The traffic of a site or an app.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Traffic {
    /// The days that it is about, in the property's time zone.
    period: Period,
    /// The days that it is compared with.
    period_before: Period,
    /// What the numbers count.
    metrics: Vec<Measured>,
    /// All of it.
    totals: Row,
    /// Where visits came from (`source / medium`), the most first.
    sources: Vec<Row>,
    /// What was looked at, the most first.
    pages: Vec<Row>,
    /// Where people are, the most first.
    countries: Vec<Row>,
    /// Day by day, at most 100 days.
    days: Vec<Row>,
    /// What to know before trusting the numbers.
    notes: Vec<String>,
    /// What is left of the property's quota.
    quota_left: Option<Left>,
}

/// Tells users, visits, views, sources, pages and countries of a period, compared with the one before.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetTraffic {
    /// From `list_properties`.
    property_id: Id,
    #[serde(flatten)]
    when: When,
    /// Default `period_before`.
    compare_with: Option<Comparison>,
    /// Sources, pages and countries each; default 10.
    #[schemars(range(min = 1, max = 25))]
    top: Option<u32>,
}

impl Action for GetTraffic {
    const NAME: &'static str = "get_traffic";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "how many visitors",
        "website traffic",
        "page views",
        "most popular pages",
        "where visitors come from",
        "how is the site doing",
        "wie viele Besucher",
        "combien de visiteurs",
        "cuántas visitas",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    const VIEW: &'static [Part] = &[
        Part::scorecard("", "period", &["start_date", "end_date"]),
        Part::scorecard("In all", "totals", &["metrics"]),
        Part::line("Day by day", "days", &["dimensions", "metrics"], &["metrics"]),
        Part::bar("Sources", "sources", &["dimensions", "metrics"], &["metrics.sessions"]),
        Part::bar("Pages", "pages", &["dimensions", "metrics"], &["metrics.screenPageViews"]),
        Part::bar("Countries", "countries", &["dimensions", "metrics"], &["metrics.activeUsers"]),
        Part::notes("notes"),
    ];
    type Output = Traffic;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Traffic> {
        let days = self.when.days()?;
        let earlier = days.compared(self.compare_with.unwrap_or(Comparison::PeriodBefore))?;
        let top = self.top.unwrap_or(10).clamp(1, 25);
        let totals = Question::of(
            &[
                "activeUsers",
                "newUsers",
                "sessions",
                "engagedSessions",
                "engagementRate",
                "averageSessionDuration",
                "screenPageViews",
                "keyEvents",
            ],
            &[],
        );
        let sources = Question::of(&["sessions", "activeUsers"], &["sessionSourceMedium"]);
        let pages = Question::of(&["screenPageViews", "activeUsers"], &["pagePath"]);
        let countries = Question::of(&["activeUsers", "sessions"], &["country"]);
        let daily = Question::of(&["activeUsers", "sessions", "screenPageViews"], &["date"]);

        let mut bodies = vec![totals.during(days, 1, 0)?];
        for question in [&sources, &pages, &countries] {
            bodies.push(question.during(days, top, 0)?);
        }
        bodies.push(daily.during(days, 100, 0)?);
        let now = reports(api, &self.property_id, bodies).await?;
        let compared = [&totals, &sources, &pages, &countries];
        let before = same_rows(api, &self.property_id, earlier, &compared, &now).await?;

        let rows =
            |at: usize| now.get(at).map(|table| table.rows(before.get(at))).unwrap_or_default();
        Ok(Traffic {
            period: days.period(),
            period_before: earlier.period(),
            metrics: measured(&now),
            totals: rows(0).pop().unwrap_or_default(),
            sources: rows(1),
            pages: rows(2),
            countries: rows(3),
            days: rows(4),
            notes: notes(Some(days), now.iter().chain(&before)),
            quota_left: before.iter().chain(&now).find_map(|table| table.left.clone()),
        })
    }
}

/// The rows of these tables in an earlier period: asked for by their values, since the most of now need
/// not be the most of then. A question without rows has nothing to compare.
async fn same_rows(
    api: &Api,
    property: &Id,
    days: Days,
    questions: &[&Question],
    now: &[Table],
) -> Result<Vec<Table>> {
    let mut bodies: Vec<Value> = Vec::new();
    let mut places = Vec::new();
    for (place, (question, table)) in questions.iter().zip(now).enumerate() {
        if !table.lines.is_empty() || place == 0 {
            bodies.push(question.of_rows(days, &table.keys())?);
            places.push(place);
        }
    }
    let answers = reports(api, property, bodies).await?;
    let mut tables = vec![Table::default(); questions.len()];
    for (place, answer) in places.into_iter().zip(answers) {
        if let Some(table) = tables.get_mut(place) {
            *table = answer;
        }
    }
    Ok(tables)
}

/// The metrics of several tables, each once.
pub(crate) fn measured(tables: &[Table]) -> Vec<Measured> {
    let mut all: Vec<Measured> = Vec::new();
    for one in tables.iter().flat_map(|table| &table.measured) {
        if !all.iter().any(|known| known.metric == one.metric) {
            all.push(one.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::ANALYTICS;
    use crate::tables::tests::answer;

    const BATCH: &str = "/v1beta/properties/123:batchRunReports";

    #[tokio::test]
    async fn answers_the_common_questions_compared_with_the_period_before() {
        let now = json!({"reports": [
            answer(&[], &["activeUsers", "sessions"], &[&["90", "120"]]),
            answer(&["sessionSourceMedium"], &["sessions", "activeUsers"], &[&["google / organic", "70", "60"], &["new.example / referral", "5", "5"]]),
            answer(&["pagePath"], &["screenPageViews", "activeUsers"], &[&["/", "100", "80"]]),
            answer(&["country"], &["activeUsers", "sessions"], &[]),
            answer(&["date"], &["activeUsers", "sessions", "screenPageViews"], &[&["20260302", "90", "120", "200"]]),
        ]});
        let before = json!({"reports": [
            answer(&[], &["activeUsers", "sessions"], &[&["100", "100"]]),
            answer(&["sessionSourceMedium"], &["sessions", "activeUsers"], &[&["google / organic", "35", "30"]]),
            answer(&["pagePath"], &["screenPageViews", "activeUsers"], &[&["/", "50", "40"]]),
        ]});
        let fake = FakeApi::new(&ANALYTICS)
            .await
            .on("POST", BATCH, 200, now)
            .on("POST", BATCH, 200, before);
        let traffic = fake
            .run::<GetTraffic>(json!({"property_id": "123", "start_date": "2026-03-02", "end_date": "2026-03-08", "top": 5}))
            .await
            .unwrap();
        assert_eq!(
            traffic["period_before"],
            json!({"start_date": "2026-02-23", "end_date": "2026-03-01"})
        );
        assert_eq!(
            traffic["totals"],
            json!({"metrics": {"activeUsers": 90, "sessions": 120}, "before": {"activeUsers": 100, "sessions": 100},
                "change_percent": {"activeUsers": -10.0, "sessions": 20.0}})
        );
        assert_eq!(
            traffic["sources"][0]["change_percent"],
            json!({"sessions": 100.0, "activeUsers": 100.0})
        );
        assert_eq!(traffic["sources"][1]["before"], json!({"sessions": 0, "activeUsers": 0}));
        assert_eq!(traffic["pages"][0]["dimensions"], json!({"pagePath": "/"}));
        assert_eq!(traffic["countries"], json!([]));
        assert!(traffic["days"][0].get("before").is_none());
        assert_eq!(traffic["metrics"].as_array().unwrap().len(), 3);

        let sent = fake.requests().await;
        let [now, before] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(now.body["requests"].as_array().unwrap().len(), 5);
        assert_eq!(now.body["requests"][1]["limit"], "5");
        // There were no countries to compare.
        let asked = before.body["requests"].as_array().unwrap();
        assert_eq!(asked.len(), 3);
        assert_eq!(
            asked[1]["dimensionFilter"]["filter"]["inListFilter"]["values"],
            json!(["google / organic", "new.example / referral"])
        );
        assert_eq!(
            asked[2]["dateRanges"],
            json!([{"startDate": "2026-02-23", "endDate": "2026-03-01"}])
        );
    }

    #[tokio::test]
    async fn a_site_without_visitors_has_zeros_and_nothing_else() {
        let empty = json!({"reports": [answer(&[], &["activeUsers"], &[])]});
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", BATCH, 200, empty);
        let traffic = fake.run::<GetTraffic>(json!({"property_id": "123"})).await.unwrap();
        assert_eq!(
            traffic["totals"],
            json!({"metrics": {"activeUsers": 0}, "before": {"activeUsers": 0}, "change_percent": {}})
        );
        assert_eq!(traffic["sources"], json!([]));
    }
}
