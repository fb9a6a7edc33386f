//! What can be asked of a property: its metrics and dimensions, and which go together.

use resto_core::{Action, Api, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::figures::unit;
use crate::ids::Id;
use crate::permissions::REPORTS;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Metric,
    Dimension,
}

/// A metric or a dimension.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Field {
    /// Its name in reports.
    name: String,
    /// As Google Analytics shows it.
    title: String,
    /// What it is.
    kind: Kind,
    /// Such as `Page / screen` or `Revenue`.
    category: String,
    /// What it tells.
    description: String,
    /// Of a metric, what its numbers count; `currency of the property` is money.
    unit: Option<String>,
    /// Whether it was defined for this property.
    custom: bool,
}

/// A field as Google describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Described {
    pub api_name: String,
    ui_name: String,
    category: String,
    description: String,
    custom_definition: bool,
    #[serde(rename = "type")]
    kind: String,
}

impl Described {
    fn told(self, kind: Kind) -> Field {
        Field {
            name: self.api_name,
            title: self.ui_name,
            kind,
            category: self.category,
            description: self.description,
            unit: (kind == Kind::Metric).then(|| unit(&self.kind, None)),
            custom: self.custom_definition,
        }
    }
}

/// All fields of a property.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    dimensions: Vec<Described>,
    metrics: Vec<Described>,
}

impl Fields {
    pub(crate) async fn of(api: &Api, property: &Id) -> Result<Self> {
        // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/getMetadata
        api.get("/v1beta/properties/{}/metadata", &[property]).send().await
    }

    /// The first of these names that the property does not have.
    pub(crate) fn unknown<'a>(
        &self,
        metrics: &'a [String],
        dimensions: &'a [String],
    ) -> Option<&'a str> {
        let lacks = |known: &[Described], name: &str| !known.iter().any(|one| one.api_name == name);
        let metric = metrics.iter().find(|name| lacks(&self.metrics, name));
        let dimension = || dimensions.iter().find(|name| lacks(&self.dimensions, name));
        metric.or_else(dimension).map(String::as_str)
    }
}

/// Lists what a property's reports can count (metrics) and by what (dimensions), custom ones included.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListMetricsAndDimensions {
    /// From `list_properties`.
    property_id: Id,
    kind: Option<Kind>,
    /// In name, title, category or description.
    search: Option<String>,
    custom: Option<bool>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListMetricsAndDimensions {
    const NAME: &'static str = "list_metrics_and_dimensions";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "what can be reported",
        "available fields for reports",
        "names of metrics and dimensions",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Page<Field>;

    async fn run(self, api: &Api) -> Result<Page<Field>> {
        let after = self.page.cursor.clone();
        let fields = Fields::of(api, &self.property_id).await?;
        let metrics = fields.metrics.into_iter().map(|field| field.told(Kind::Metric));
        let dimensions = fields.dimensions.into_iter().map(|field| field.told(Kind::Dimension));
        let all: Vec<Field> = metrics.chain(dimensions).filter(|field| self.wants(field)).collect();
        // They come at once; the name of the last one shown says where to go on.
        let start = match &after {
            None => 0,
            Some(name) => {
                all.iter().position(|field| field.name == *name).map(|at| at + 1).ok_or_else(
                    || {
                        Error::invalid(
                            "cursor",
                            "invalid input: `cursor` is not a `next_cursor` of this list.",
                        )
                    },
                )?
            }
        };
        let size = self.page.size(100) as usize;
        let more = all.len() > start.saturating_add(size);
        let items: Vec<Field> = all.into_iter().skip(start).take(size).collect();
        let next_cursor = items.last().filter(|_| more).map(|field| field.name.clone());
        Ok(Page { items, next_cursor })
    }
}

impl ListMetricsAndDimensions {
    fn wants(&self, field: &Field) -> bool {
        let wanted = self.search.as_deref().unwrap_or_default().to_lowercase();
        self.kind.is_none_or(|kind| kind == field.kind)
            && self.custom.is_none_or(|custom| custom == field.custom)
            && [&field.name, &field.title, &field.category, &field.description]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
    }
}

/// Whether metrics and dimensions go together in one report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Compatibility {
    /// Whether a report of them can be run.
    compatible: bool,
    /// Those asked for that stand in the way of the others.
    incompatible: Vec<String>,
    /// Metrics that could be added.
    addable_metrics: Option<Vec<String>>,
    /// Dimensions that could be added.
    addable_dimensions: Option<Vec<String>>,
}

/// Tells whether metrics and dimensions can be asked together, and if wanted what else could be added.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CheckCompatibility {
    /// From `list_properties`.
    property_id: Id,
    #[serde(default)]
    #[schemars(length(max = 10))]
    metrics: Vec<String>,
    #[serde(default)]
    #[schemars(length(max = 9))]
    dimensions: Vec<String>,
    list_addable: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    #[serde(default)]
    dimension_compatibilities: Vec<One>,
    #[serde(default)]
    metric_compatibilities: Vec<One>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    #[serde(default)]
    compatibility: String,
    #[serde(default, alias = "dimensionMetadata", alias = "metricMetadata")]
    field: Described,
}

impl Action for CheckCompatibility {
    const NAME: &'static str = "check_compatibility";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "do these metrics and dimensions fit together",
        "can they be combined in one report",
        "does this combination work in a report",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Compatibility;

    async fn run(self, api: &Api) -> Result<Compatibility> {
        let named = |names: &[String]| -> Value {
            names.iter().map(|name| json!({"name": name})).collect()
        };
        // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/checkCompatibility
        let checked: Checked = api
            .post("/v1beta/properties/{}:checkCompatibility", &[&self.property_id])
            .json(&json!({"metrics": named(&self.metrics), "dimensions": named(&self.dimensions)}))
            .reads()
            .send()
            .await?;
        let incompatible = |all: &[One], asked: &[String]| -> Vec<String> {
            all.iter()
                .filter(|one| one.compatibility == "INCOMPATIBLE")
                .map(|one| one.field.api_name.clone())
                .filter(|name| asked.contains(name))
                .collect()
        };
        let mut wrong = incompatible(&checked.metric_compatibilities, &self.metrics);
        wrong.extend(incompatible(&checked.dimension_compatibilities, &self.dimensions));
        let addable = |all: Vec<One>, asked: &[String]| {
            let fitting = all.into_iter().filter(|one| one.compatibility == "COMPATIBLE");
            let names = fitting.map(|one| one.field.api_name).filter(|name| !asked.contains(name));
            (self.list_addable == Some(true)).then(|| names.collect())
        };
        Ok(Compatibility {
            compatible: wrong.is_empty(),
            incompatible: wrong,
            addable_metrics: addable(checked.metric_compatibilities, &self.metrics),
            addable_dimensions: addable(checked.dimension_compatibilities, &self.dimensions),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::ANALYTICS;

    pub(crate) const METADATA: &str = "/v1beta/properties/123/metadata";

    /// What a property can report, as Google answers it.
    pub(crate) fn metadata() -> Value {
        json!({
            "name": "properties/123/metadata",
            "dimensions": [
                {"apiName": "country", "uiName": "Country", "description": "Where the user is.", "category": "Geography"},
                {"apiName": "customEvent:plan", "uiName": "Plan", "category": "Custom", "customDefinition": true},
            ],
            "metrics": [
                {"apiName": "sessions", "uiName": "Sessions", "description": "Visits.", "type": "TYPE_INTEGER", "category": "Session"},
                {"apiName": "totalRevenue", "uiName": "Total revenue", "type": "TYPE_CURRENCY", "category": "Revenue"},
            ],
        })
    }

    async fn listed(mut input: Value) -> Value {
        let fake = FakeApi::new(&ANALYTICS).await.on("GET", METADATA, 200, metadata());
        input["property_id"] = json!("123");
        fake.run::<ListMetricsAndDimensions>(input).await.unwrap()
    }

    fn names(page: &Value) -> Vec<&str> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn lists_what_can_be_asked_by_pages() {
        let first = listed(json!({"limit": 3})).await;
        assert_eq!(names(&first), ["sessions", "totalRevenue", "country"]);
        assert_eq!(first["items"][1]["unit"], "currency of the property");
        assert_eq!(first["next_cursor"], "country");
        let last = listed(json!({"limit": 3, "cursor": "country"})).await;
        assert_eq!(names(&last), ["customEvent:plan"]);
        assert!(last.get("next_cursor").is_none());
    }

    #[tokio::test]
    async fn finds_by_words_by_kind_and_what_is_custom() {
        assert_eq!(names(&listed(json!({"search": "revenue"})).await), ["totalRevenue"]);
        assert_eq!(
            names(&listed(json!({"kind": "dimension", "custom": false})).await),
            ["country"]
        );
    }

    #[tokio::test]
    async fn tells_what_does_not_go_together_and_what_could_be_added() {
        let one = |which: &str, name: &str, compatibility: &str| json!({which: {"apiName": name}, "compatibility": compatibility});
        let fake = FakeApi::new(&ANALYTICS).await.on(
            "POST",
            "/v1beta/properties/123:checkCompatibility",
            200,
            json!({
                "dimensionCompatibilities": [one("dimensionMetadata", "itemName", "INCOMPATIBLE"),
                    one("dimensionMetadata", "city", "COMPATIBLE"), one("dimensionMetadata", "itemBrand", "INCOMPATIBLE")],
                "metricCompatibilities": [one("metricMetadata", "sessions", "COMPATIBLE"), one("metricMetadata", "newUsers", "COMPATIBLE")],
            }),
        );
        let input = json!({"property_id": "123", "metrics": ["sessions"], "dimensions": ["itemName"], "list_addable": true});
        let told = fake.run::<CheckCompatibility>(input).await.unwrap();
        assert_eq!(
            told,
            json!({"compatible": false, "incompatible": ["itemName"], "addable_metrics": ["newUsers"], "addable_dimensions": ["city"]})
        );
    }
}
