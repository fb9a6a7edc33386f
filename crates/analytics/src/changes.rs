//! Why traffic changed: which sources, pages, countries and devices gained or lost, and whether anything
//! was counted at all.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::days::{Comparison, Days, Period, When};
use crate::figures::{Number, percent};
use crate::ids::Id;
use crate::permissions::REPORTS;
use crate::questions::Question;
use crate::quota::Left;
use crate::tables::{Table, notes, reports};

/// What a change may come from, and how it is called in a sentence.
const DIMENSIONS: [(&str, &str); 6] = [
    ("sessionDefaultChannelGroup", "channel"),
    ("sessionSourceMedium", "source"),
    ("landingPage", "landing page"),
    ("country", "country"),
    ("deviceCategory", "device"),
    ("newVsReturning", "kind of visitor"),
];

/// Rows that are read of each dimension and period.
const READ: u32 = 250;

/// Changes that are told of each dimension.
const TOLD: usize = 5;

/// Whose change is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Metric {
    Sessions,
    ActiveUsers,
    ScreenPageViews,
    KeyEvents,
    TotalRevenue,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::ActiveUsers => "activeUsers",
            Self::ScreenPageViews => "screenPageViews",
            Self::KeyEvents => "keyEvents",
            Self::TotalRevenue => "totalRevenue",
        }
    }
}

/// What one value of a dimension had to do with a change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Contribution {
    /// The dimension, such as `sessionSourceMedium`.
    dimension: String,
    /// Its value, such as `google / organic`.
    value: String,
    /// Now.
    now: Number,
    /// Before.
    before: Number,
    /// The difference.
    change: Number,
    /// The difference in percent of the whole change; over 100 where others went the other way.
    percent_of_change: Option<f64>,
}

/// Why traffic changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// What changed.
    metric: String,
    /// What its numbers count.
    unit: String,
    /// The days that it is about, in the property's time zone.
    period: Period,
    /// The days that it is compared with.
    period_before: Period,
    /// Now.
    now: Number,
    /// Before.
    before: Number,
    /// The difference in percent of before; absent where there was nothing.
    change_percent: Option<f64>,
    /// What was found, the most important first.
    findings: Vec<String>,
    /// The largest changes by each dimension.
    contributions: Vec<Contribution>,
    /// What to know before trusting the numbers.
    notes: Vec<String>,
    /// What is left of the property's quota.
    quota_left: Option<Left>,
}

/// Explains why traffic rose or fell: the sources, pages, countries and devices behind it, and days without data.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExplainTrafficChange {
    /// From `list_properties`.
    property_id: Id,
    /// Default sessions.
    metric: Option<Metric>,
    #[serde(flatten)]
    when: When,
    /// Default `period_before`.
    compare_with: Option<Comparison>,
}

impl Action for ExplainTrafficChange {
    const NAME: &'static str = "explain_traffic_change";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "why did traffic drop",
        "reason for fewer visitors",
        "what caused the spike",
        "warum weniger Besucher",
        "pourquoi le trafic baisse",
        "por qué bajó el tráfico",
        "eingebrochen",
        "visitas bajaron",
        "visitors doubled or halved",
        "what happened to our traffic",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Explanation;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Explanation> {
        let days = self.when.days()?;
        let earlier = days.compared(self.compare_with.unwrap_or(Comparison::PeriodBefore))?;
        let metric = self.metric.unwrap_or(Metric::Sessions).name();
        let now = breakdown(api, &self.property_id, metric, days).await?;
        let before = breakdown(api, &self.property_id, metric, earlier).await?;

        let (total, total_before) = (total(&now), total(&before));
        let change = total.minus(total_before);
        let mut contributions = Vec::new();
        for ((dimension, _), (now, before)) in
            DIMENSIONS.iter().zip(now.iter().zip(&before).skip(2))
        {
            contributions.extend(largest(dimension, now, before, change));
        }
        let mut findings = vec![in_words(metric, total, total_before)];
        findings.extend(gaps(days, &now));
        findings.extend(DIMENSIONS.iter().filter_map(|(dimension, word)| {
            let largest = contributions.iter().find(|one| one.dimension == *dimension)?;
            Some(largest.in_words(word))
        }));
        let unit = now.iter().flat_map(|table| &table.measured).next();
        Ok(Explanation {
            metric: metric.to_owned(),
            unit: unit.map_or_else(|| "count".to_owned(), |measured| measured.unit.clone()),
            period: days.period(),
            period_before: earlier.period(),
            now: total,
            before: total_before,
            change_percent: percent(total, total_before),
            findings,
            contributions,
            notes: notes(Some(days), now.iter().chain(&before)),
            quota_left: before.iter().rev().find_map(|table| table.left.clone()),
        })
    }
}

/// The metric as a whole, by day, and by each dimension.
async fn breakdown(api: &Api, property: &Id, metric: &str, days: Days) -> Result<Vec<Table>> {
    let mut bodies = vec![
        Question::of(&[metric], &[]).during(days, 1, 0)?,
        Question::of(&[metric], &["date"]).during(days, 1000, 0)?,
    ];
    for (dimension, _) in DIMENSIONS {
        bodies.push(Question::of(&[metric], &[dimension]).during(days, READ, 0)?);
    }
    let mut tables = Vec::new();
    // Google takes five at once.
    while !bodies.is_empty() {
        let rest = bodies.split_off(bodies.len().min(5));
        tables.extend(reports(api, property, bodies).await?);
        bodies = rest;
    }
    Ok(tables)
}

fn total(tables: &[Table]) -> Number {
    let line = tables.first().and_then(|table| table.lines.first());
    line.and_then(|line| *line.1.first()?).unwrap_or(Number::Whole(0))
}

/// The largest changes among the values of a dimension. A value that may be among the rows that were
/// not read is left out, since its other number is not known.
fn largest(dimension: &str, now: &Table, before: &Table, whole: Number) -> Vec<Contribution> {
    let number = |table: &Table, values: &[String]| match table.find(values) {
        Some(numbers) => numbers.first().copied().flatten(),
        None => table.is_whole().then_some(Number::Whole(0)),
    };
    let mut keys = now.keys();
    keys.extend(before.keys().into_iter().filter(|values| now.find(values).is_none()));
    let mut all: Vec<Contribution> = keys
        .into_iter()
        .filter_map(|values| {
            let (now, before) = (number(now, values)?, number(before, values)?);
            let change = now.minus(before);
            let share = change.as_f64() / whole.as_f64() * 1000.0;
            Some(Contribution {
                dimension: dimension.to_owned(),
                value: values.first().cloned().unwrap_or_default(),
                now,
                before,
                change,
                percent_of_change: share.is_finite().then(|| share.round() / 10.0),
            })
        })
        .filter(|one| one.change.as_f64() != 0.0)
        .collect();
    all.sort_by(|one, two| two.change.as_f64().abs().total_cmp(&one.change.as_f64().abs()));
    all.truncate(TOLD);
    all
}

impl Contribution {
    fn in_words(&self, what: &str) -> String {
        let share = match self.percent_of_change {
            Some(share) if share > 0.0 => format!("{share:.0} % of the change"),
            _ => "against the change".to_owned(),
        };
        format!(
            "By {what}, `{}` moved most: from {} to {}, {share}.",
            self.value, self.before, self.now
        )
    }
}

fn in_words(metric: &str, now: Number, before: Number) -> String {
    match percent(now, before) {
        None => format!("`{metric}`: {now} now, none before."),
        Some(change) if change < 0.0 => {
            format!("`{metric}` fell by {} %, from {before} to {now}.", change.abs())
        }
        Some(change) if change > 0.0 => {
            format!("`{metric}` rose by {change} %, from {before} to {now}.")
        }
        Some(_) => format!("`{metric}` stayed at {now}."),
    }
}

/// Days on which nothing was counted, which more often is a fault of the tag than of the visitors.
fn gaps(days: Days, now: &[Table]) -> Option<String> {
    let wanted = days.count().filter(|count| *count <= 1000)?;
    let counted = i64::try_from(now.get(1)?.lines.len()).ok()?;
    (counted < wanted).then(|| {
        format!(
            "On {} of {wanted} days nothing was counted; if that is unusual, the tag may have been off the site.",
            wanted - counted
        )
    })
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::ANALYTICS;
    use crate::tables::tests::answer;

    const BATCH: &str = "/v1beta/properties/123:batchRunReports";

    fn by(dimension: &str, rows: &[&[&str]]) -> Value {
        answer(&[dimension], &["sessions"], rows)
    }

    async fn google(batches: [Value; 4]) -> FakeApi {
        let mut fake = FakeApi::new(&ANALYTICS).await;
        for reports in batches {
            fake = fake.on("POST", BATCH, 200, json!({"reports": reports}));
        }
        fake
    }

    #[tokio::test]
    async fn finds_what_is_behind_a_fall() {
        let cut = |mut table: Value| {
            table["rowCount"] = json!(999);
            table
        };
        let fake = google([
            json!([
                answer(&[], &["sessions"], &[&["60"]]),
                by("date", &[&["20260302", "30"], &["20260303", "30"]]),
                by("sessionDefaultChannelGroup", &[&["Direct", "30"], &["Organic Search", "30"]]),
                by(
                    "sessionSourceMedium",
                    &[&["(direct) / (none)", "30"], &["bing / organic", "30"]]
                ),
                cut(by("landingPage", &[&["/", "50"], &["/new", "2"]])),
            ]),
            json!([by("country", &[&["Italy", "60"]])]),
            json!([
                answer(&[], &["sessions"], &[&["100"]]),
                by("date", &[]),
                by("sessionDefaultChannelGroup", &[&["Organic Search", "80"], &["Direct", "20"]]),
                by(
                    "sessionSourceMedium",
                    &[&["google / organic", "80"], &["(direct) / (none)", "20"]]
                ),
                cut(by("landingPage", &[&["/", "70"], &["/old", "3"]])),
            ]),
            json!([by("country", &[&["Italy", "100"]])]),
        ])
        .await;
        let told = fake
            .run::<ExplainTrafficChange>(
                json!({"property_id": "123", "start_date": "2026-03-02", "end_date": "2026-03-08"}),
            )
            .await
            .unwrap();
        assert_eq!(
            (&told["now"], &told["before"], &told["change_percent"]),
            (&json!(60), &json!(100), &json!(-40.0))
        );
        let findings: Vec<&str> =
            told["findings"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(
            findings,
            [
                "`sessions` fell by 40 %, from 100 to 60.",
                "On 5 of 7 days nothing was counted; if that is unusual, the tag may have been off the site.",
                "By channel, `Organic Search` moved most: from 80 to 30, 125 % of the change.",
                "By source, `google / organic` moved most: from 80 to 0, 200 % of the change.",
                "By landing page, `/` moved most: from 70 to 50, 50 % of the change.",
                "By country, `Italy` moved most: from 100 to 60, 100 % of the change.",
            ]
        );
        let all = told["contributions"].as_array().unwrap();
        // `/new` and `/old` may be among the pages that were not read.
        let pages = all.iter().filter(|one| one["dimension"] == "landingPage");
        assert_eq!(pages.count(), 1);
        let gained = all.iter().find(|one| one["value"] == "bing / organic").unwrap();
        assert_eq!(gained["percent_of_change"], json!(-75.0));
    }

    #[tokio::test]
    async fn nothing_at_all_is_told_as_such() {
        let fake = google([json!([]), json!([]), json!([]), json!([])]).await;
        let told = fake
            .run::<ExplainTrafficChange>(json!({"property_id": "123", "metric": "total_revenue"}))
            .await
            .unwrap();
        assert_eq!(told["findings"][0], "`totalRevenue`: 0 now, none before.");
        assert_eq!(told["contributions"], json!([]));
        let sent = fake.requests().await;
        assert_eq!(sent.len(), 4);
        assert_eq!(sent[0].body["requests"][0]["metrics"], json!([{"name": "totalRevenue"}]));
        assert_eq!(
            sent[3].body["requests"][0]["dateRanges"],
            json!([{"startDate": "56daysAgo", "endDate": "29daysAgo"}])
        );
    }
}
