//! Reports as Google answers them, as rows of named numbers, with what to know before trusting them.

use resto_core::{Api, Request, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::days::Days;
use crate::figures::{Measured, Named, Number, percent, unit};
use crate::ids::Id;
use crate::quota::{Left, Quota};

/// A report as Google answers it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Answer {
    dimension_headers: Vec<DimensionHeader>,
    metric_headers: Vec<MetricHeader>,
    rows: Vec<AnswerRow>,
    row_count: u64,
    metadata: Metadata,
    property_quota: Option<Quota>,
}

#[derive(Debug, Deserialize)]
struct DimensionHeader {
    name: String,
}

#[derive(Debug, Deserialize)]
struct MetricHeader {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnswerRow {
    dimension_values: Vec<Cell>,
    metric_values: Vec<Cell>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cell {
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    currency_code: Option<String>,
    data_loss_from_other_row: bool,
    empty_reason: Option<String>,
    sampling_metadatas: Vec<Sampling>,
    schema_restriction_response: Restrictions,
    subject_to_thresholding: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sampling {
    samples_read_count: String,
    sampling_space_size: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Restrictions {
    active_metric_restrictions: Vec<Restriction>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Restriction {
    metric_name: String,
}

/// A row of a report.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Row {
    /// What it is about, by dimension; dates as `20260131`.
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) dimensions: Named<String>,
    /// Its numbers, by metric.
    pub(crate) metrics: Named<Number>,
    /// The same in the period it is compared with.
    pub(crate) before: Option<Named<Number>>,
    /// The change from before, in percent; absent where there was nothing.
    pub(crate) change_percent: Option<Named<f64>>,
}

fn is_empty(named: &Named<String>) -> bool {
    named.0.is_empty()
}

/// The values of a row's dimensions, and its numbers.
type Line = (Vec<String>, Vec<Option<Number>>);

/// Rows whose values still stand in the order of their columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    names: Vec<String>,
    pub measured: Vec<Measured>,
    pub lines: Vec<Line>,
    /// Rows that there are at Google.
    pub row_count: u64,
    pub notes: Vec<String>,
    pub left: Option<Left>,
}

impl From<Answer> for Table {
    fn from(answer: Answer) -> Self {
        let currency = answer.metadata.currency_code.as_deref();
        let measured = answer
            .metric_headers
            .into_iter()
            .map(|header| Measured { unit: unit(&header.kind, currency), metric: header.name });
        let measured: Vec<Measured> = measured.collect();
        let lines = answer.rows.into_iter().map(|row| {
            let values = row.dimension_values.into_iter().map(|cell| cell.value);
            let numbers = row.metric_values.iter().map(|cell| Number::read(&cell.value));
            (values.collect(), numbers.collect())
        });
        let mut lines: Vec<Line> = lines.collect();
        let names: Vec<String> =
            answer.dimension_headers.into_iter().map(|header| header.name).collect();
        if names.is_empty() && lines.is_empty() && !measured.is_empty() {
            // Google leaves out rows without anything in them, even the only one.
            lines.push((Vec::new(), vec![Some(Number::Whole(0)); measured.len()]));
        }
        Self {
            names,
            measured,
            lines,
            row_count: answer.row_count,
            notes: answer.metadata.notes(),
            left: answer.property_quota.map(Left::from),
        }
    }
}

impl Metadata {
    /// What to know before trusting the numbers.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.subject_to_thresholding {
            notes.push("Google may withhold rows about few people, to protect them.".to_owned());
        }
        if self.data_loss_from_other_row {
            notes.push("There were too many different values: the rarer ones are together in the row `(other)`.".to_owned());
        }
        for sampling in &self.sampling_metadatas {
            notes.push(format!(
                "Estimated from a sample: {} of {} events.",
                sampling.samples_read_count, sampling.sampling_space_size
            ));
        }
        let hidden = &self.schema_restriction_response.active_metric_restrictions;
        for restriction in hidden {
            notes.push(format!(
                "Your role at this property may not see `{}`: its numbers are 0.",
                restriction.metric_name
            ));
        }
        if let Some(reason) = &self.empty_reason {
            notes.push(format!("Google gives a reason why the report is empty: {reason}."));
        }
        notes
    }
}

impl Table {
    fn numbers(&self, numbers: &[Option<Number>]) -> Named<Number> {
        let named = self.measured.iter().zip(numbers);
        Named(
            named
                .filter_map(|(measured, number)| Some((measured.metric.clone(), (*number)?)))
                .collect(),
        )
    }

    /// The numbers of the row with these values.
    pub(crate) fn find(&self, values: &[String]) -> Option<&[Option<Number>]> {
        self.lines.iter().find(|line| line.0 == values).map(|line| line.1.as_slice())
    }

    /// Whether no row is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.row_count <= self.lines.len() as u64
    }

    /// The values of its rows.
    pub(crate) fn keys(&self) -> Vec<&[String]> {
        self.lines.iter().map(|line| line.0.as_slice()).collect()
    }

    /// The rows, each with its numbers from `before` where that is given.
    pub(crate) fn rows(&self, before: Option<&Self>) -> Vec<Row> {
        self.lines
            .iter()
            .map(|(values, numbers)| {
                let mut row = Row {
                    dimensions: Named(
                        self.names.iter().cloned().zip(values.iter().cloned()).collect(),
                    ),
                    metrics: self.numbers(numbers),
                    ..Row::default()
                };
                if let Some(before) = before {
                    let zeros = vec![Some(Number::Whole(0)); numbers.len()];
                    // A row that a whole table lacks counted nothing.
                    let found = before.find(values).or(before.is_whole().then_some(&zeros));
                    row.compare(found.map(|numbers| self.numbers(numbers)));
                }
                row
            })
            .collect()
    }
}

impl Row {
    fn compare(&mut self, before: Option<Named<Number>>) {
        let Some(before) = before else { return };
        let changes = self.metrics.0.iter().filter_map(|(name, now)| {
            let was = before.0.iter().find(|(other, _)| other == name)?.1;
            Some((name.clone(), percent(*now, was)?))
        });
        self.change_percent = Some(Named(changes.collect()));
        self.before = Some(before);
    }
}

/// One report.
pub(crate) async fn report(api: &Api, property: &Id, body: &Value) -> Result<Table> {
    // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/runReport
    asked(api.post("/v1beta/properties/{}:runReport", &[property]), body).await
}

/// Sends a question that changes nothing, though it is a POST.
pub(crate) async fn asked(request: Request<'_>, body: &Value) -> Result<Table> {
    request.json(body).reads().send::<Answer>().await.map(Table::from)
}

/// Several reports at once, at most five, in the order of the questions.
pub(crate) async fn reports(api: &Api, property: &Id, bodies: Vec<Value>) -> Result<Vec<Table>> {
    #[derive(Deserialize)]
    struct Answers {
        #[serde(default)]
        reports: Vec<Answer>,
    }
    let wanted = bodies.len();
    // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/batchRunReports
    let answers: Answers = api
        .post("/v1beta/properties/{}:batchRunReports", &[property])
        .json(&serde_json::json!({"requests": bodies}))
        .reads()
        .send()
        .await?;
    let mut tables: Vec<Table> = answers.reports.into_iter().map(Table::from).collect();
    // What is missing at the end is as empty as it looks.
    tables.resize_with(wanted, Table::default);
    Ok(tables)
}

/// Notes of several tables, each once, and whether the days are still being counted.
pub(crate) fn notes<'a>(
    days: Option<Days>,
    tables: impl IntoIterator<Item = &'a Table>,
) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for note in tables.into_iter().flat_map(|table| &table.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    if days.is_some_and(Days::is_fresh) {
        notes
            .push("The last two days are still being counted; their numbers will grow.".to_owned());
    }
    notes
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A report as Google answers it: names of dimensions and metrics, and rows of texts.
    pub(crate) fn answer(dimensions: &[&str], metrics: &[&str], rows: &[&[&str]]) -> Value {
        let headers: Vec<Value> = dimensions.iter().map(|name| json!({"name": name})).collect();
        let measured: Vec<Value> =
            metrics.iter().map(|name| json!({"name": name, "type": "TYPE_INTEGER"})).collect();
        let cells =
            |cells: &[&str]| -> Value { cells.iter().map(|cell| json!({"value": cell})).collect() };
        let lines: Vec<Value> = rows
            .iter()
            .map(|row| {
                let (values, numbers) = row.split_at(dimensions.len());
                json!({"dimensionValues": cells(values), "metricValues": cells(numbers)})
            })
            .collect();
        json!({
            "dimensionHeaders": headers, "metricHeaders": measured, "rows": lines, "rowCount": rows.len(),
            "metadata": {"currencyCode": "EUR", "timeZone": "Europe/Berlin"}, "kind": "analyticsData#runReport",
        })
    }

    fn table(value: Value) -> Table {
        serde_json::from_value::<Answer>(value).unwrap().into()
    }

    #[test]
    fn numbers_come_by_name_with_their_change() {
        let now = answer(
            &["country"],
            &["sessions", "newUsers"],
            &[&["Italy", "150", "7"], &["Peru", "3", "3"]],
        );
        let before = answer(&["country"], &["sessions", "newUsers"], &[&["Italy", "100", "0"]]);
        let rows = serde_json::to_value(table(now).rows(Some(&table(before)))).unwrap();
        assert_eq!(
            rows[0],
            json!({"dimensions": {"country": "Italy"}, "metrics": {"sessions": 150, "newUsers": 7},
                "before": {"sessions": 100, "newUsers": 0}, "change_percent": {"sessions": 50.0}})
        );
        assert_eq!(rows[1]["before"], json!({"sessions": 0, "newUsers": 0}));
    }

    #[test]
    fn a_row_that_may_be_among_those_not_read_is_not_called_nothing() {
        let now = answer(&["country"], &["sessions"], &[&["Peru", "3"]]);
        let mut before = answer(&["country"], &["sessions"], &[&["Italy", "100"]]);
        before["rowCount"] = json!(2);
        let rows = table(now).rows(Some(&table(before)));
        assert!(rows[0].before.is_none());
    }

    #[test]
    fn says_what_to_know_before_trusting_the_numbers() {
        let mut told = answer(&[], &["sessions"], &[]);
        told["metadata"] = json!({
            "subjectToThresholding": true, "dataLossFromOtherRow": true, "emptyReason": "NO_DATA",
            "samplingMetadatas": [{"samplesReadCount": "500", "samplingSpaceSize": "1000"}],
            "schemaRestrictionResponse": {"activeMetricRestrictions": [
                {"metricName": "totalRevenue", "restrictedMetricTypes": ["REVENUE_DATA"]}]},
        });
        let table = table(told);
        let said = notes(None, [&table, &table]).join(" ");
        for word in ["withhold", "(other)", "500 of 1000", "`totalRevenue`", "NO_DATA"] {
            assert_eq!(said.matches(word).count(), 1, "{word}: {said}");
        }
    }

    #[test]
    fn an_empty_report_is_read() {
        let empty = table(json!({"kind": "analyticsData#runReport"}));
        assert!(empty.rows(None).is_empty());
    }
}
