//! Dashboards: Google has no API that creates one, so their definitions are kept here and their reports
//! are run anew each time; a link opens the same data in Google's own tool.

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Part, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::days::{Period, When};
use crate::fields::Fields;
use crate::figures::Measured;
use crate::ids::Id;
use crate::permissions::REPORTS;
use crate::properties::property;
use crate::questions::Question;
use crate::quota::Left;
use crate::tables::{Row, Table, notes, reports};

/// The collection of the tenant's documents in which they are kept.
const DASHBOARDS: &str = "analytics_dashboards";

/// How a card is meant to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A few large numbers, without dimensions.
    Scorecard,
    /// Over time, by `date`.
    Line,
    Bar,
    Table,
}

/// A card of a dashboard: one report.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
struct Card {
    #[schemars(length(min = 1, max = 100))]
    title: String,
    kind: Kind,
    #[serde(flatten)]
    question: Question,
    /// Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
}

/// A dashboard's definition, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Definition {
    name: String,
    property_id: Id,
    account_id: Id,
    #[serde(flatten)]
    when: When,
    cards: Vec<Card>,
}

/// A dashboard.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dashboard {
    /// Its id, which views, changes and deletes it.
    id: String,
    /// Its name.
    name: String,
    /// The property that it is about.
    property_id: Id,
    /// The days that it shows unless told otherwise, in the property's time zone.
    period: Period,
    /// Its cards.
    cards: Vec<Card>,
    /// Opens a new report on the same property in Google's Data Studio, for a person to arrange and keep.
    data_studio_url: String,
}

impl Definition {
    async fn find(api: &Api, id: &str) -> Result<Self> {
        read(api.records().get(DASHBOARDS, id).await?, id)
    }

    async fn keep(&self, api: &Api, id: &str) -> Result<()> {
        let value = serde_json::to_value(self).map_err(|error| {
            Error::new(Code::Internal, format!("the dashboard cannot be written: {error}"))
        })?;
        api.records().put(DASHBOARDS, id, &value, None).await
    }

    /// Says which card asks for what the property does not have, before anybody looks at it.
    async fn check(&self, api: &Api) -> Result<()> {
        let days = self.when.days()?;
        let fields = Fields::of(api, &self.property_id).await?;
        for card in &self.cards {
            card.question.during(days, 1, 0)?;
            let Question { metrics, dimensions, .. } = &card.question;
            if let Some(name) = fields.unknown(metrics, dimensions) {
                return Err(Error::invalid(
                    "cards",
                    format!(
                        "invalid input: the card `{}` asks for `{name}`, which this property does not have; `list_metrics_and_dimensions` tells the names. Nothing was saved.",
                        card.title
                    ),
                ));
            }
        }
        Ok(())
    }

    fn told(self, id: String) -> Result<Dashboard> {
        Ok(Dashboard {
            id,
            data_studio_url: self.data_studio_url(),
            period: self.when.days()?.period(),
            name: self.name,
            property_id: self.property_id,
            cards: self.cards,
        })
    }

    /// <https://developers.google.com/looker-studio/integrate/linking-api>
    fn data_studio_url(&self) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("c.mode", "edit")
            .append_pair("r.reportName", &self.name)
            .append_pair("ds.ds0.connector", "googleAnalytics")
            .append_pair("ds.ds0.datasourceName", &self.name)
            .append_pair("ds.ds0.accountId", self.account_id.as_str())
            .append_pair("ds.ds0.propertyId", self.property_id.as_str())
            .finish()
            // A space is a plus in forms only.
            .replace('+', "%20");
        format!("https://lookerstudio.google.com/reporting/create?{query}")
    }
}

fn read(found: Option<serde_json::Value>, id: &str) -> Result<Definition> {
    let found = found.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            format!("There is no dashboard `{id}`. `list_dashboards` tells which there are."),
        )
    })?;
    serde_json::from_value(found).map_err(|error| {
        Error::new(Code::Internal, format!("the dashboard `{id}` cannot be read: {error}"))
    })
}

/// Saves a dashboard of up to ten reports on a property, to be viewed again and again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateDashboard {
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// From `list_properties`.
    property_id: Id,
    #[serde(flatten)]
    when: When,
    #[schemars(length(min = 1, max = 10))]
    cards: Vec<Card>,
}

impl Action for CreateDashboard {
    const NAME: &'static str = "create_dashboard";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "build a dashboard",
        "set up a weekly overview",
        "save reports to look at again",
        "Dashboard erstellen",
        "tableau de bord",
        "crear panel",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Dashboard;

    async fn run(self, api: &Api) -> Result<Dashboard> {
        let property = property(api, &self.property_id).await?;
        let definition = Definition {
            name: self.name,
            property_id: property.id,
            account_id: property.account_id.unwrap_or_default(),
            when: self.when,
            cards: self.cards,
        };
        definition.check(api).await?;
        // The same call made again makes the same dashboard.
        let id = api.op_id().to_string();
        definition.keep(api, &id).await?;
        definition.told(id)
    }
}

/// A dashboard in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DashboardSummary {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// The property that it is about.
    property_id: Id,
    /// The titles of its cards.
    cards: Vec<String>,
}

/// Lists the dashboards that were saved here.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDashboards {
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDashboards {
    const NAME: &'static str = "list_dashboards";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["my dashboards", "saved overviews", "show the dashboards that are saved"];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Page<DashboardSummary>;

    async fn run(self, api: &Api) -> Result<Page<DashboardSummary>> {
        let size = self.page.size(100) as usize;
        let after = self.page.cursor.as_deref();
        let mut found = api.records().list(DASHBOARDS, after, self.page.size(100) + 1).await?;
        let more = found.len() > size;
        found.truncate(size);
        let next_cursor = found.last().filter(|_| more).map(|(id, _)| id.clone());
        let items = found.into_iter().map(|(id, value)| {
            let definition = read(Some(value), &id)?;
            Ok(DashboardSummary {
                id,
                name: definition.name,
                property_id: definition.property_id,
                cards: definition.cards.into_iter().map(|card| card.title).collect(),
            })
        });
        Ok(Page { items: items.collect::<Result<_>>()?, next_cursor })
    }
}

/// A card with its numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownCard {
    /// Its title.
    title: String,
    /// How it is meant to be shown.
    kind: Kind,
    /// What the numbers count.
    metrics: Vec<Measured>,
    /// Its rows.
    rows: Vec<Row>,
    /// Rows that there are at Google.
    row_count: u64,
}

/// A dashboard with its numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownDashboard {
    /// Its name.
    name: String,
    /// The property that it is about.
    property_id: Id,
    /// The days that it shows, in the property's time zone.
    period: Period,
    /// Its cards.
    cards: Vec<ShownCard>,
    /// Opens a new report on the same property in Google's Data Studio, for a person to arrange and keep.
    data_studio_url: String,
    /// What to know before trusting the numbers.
    notes: Vec<String>,
    /// What is left of the property's quota.
    quota_left: Option<Left>,
}

/// Shows a saved dashboard with the numbers of its own or another period.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ViewDashboard {
    /// From `list_dashboards`.
    dashboard_id: String,
    /// Such as `2026-01-31` or `28daysAgo`.
    start_date: Option<String>,
    end_date: Option<String>,
}

impl Action for ViewDashboard {
    const NAME: &'static str = "view_dashboard";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["open a dashboard", "show the numbers of a saved overview", "Dashboard anzeigen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    const VIEW: &'static [Part] = &[
        Part::scorecard("", "", &["name", "period.start_date", "period.end_date"]),
        Part::cards("cards", &["dimensions", "metrics"]),
        Part::notes("notes"),
    ];
    type Output = ShownDashboard;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<ShownDashboard> {
        let definition = Definition::find(api, &self.dashboard_id).await?;
        let days = definition.when.clone().with(self.start_date, self.end_date).days()?;
        let mut tables: Vec<Table> = Vec::new();
        // Google takes five at once.
        for cards in definition.cards.chunks(5) {
            let bodies = cards.iter().map(|card| {
                let page = PageRequest { cursor: None, limit: card.limit };
                card.question.during(days, page.size(100), 0)
            });
            let bodies = bodies.collect::<Result<Vec<_>>>()?;
            tables.extend(reports(api, &definition.property_id, bodies).await?);
        }
        let notes = notes(Some(days), &tables);
        let quota_left = tables.iter().rev().find_map(|table| table.left.clone());
        let data_studio_url = definition.data_studio_url();
        let cards = definition.cards.into_iter().zip(tables).map(|(card, table)| ShownCard {
            title: card.title,
            kind: card.kind,
            rows: table.rows(None),
            row_count: table.row_count,
            metrics: table.measured,
        });
        Ok(ShownDashboard {
            cards: cards.collect(),
            name: definition.name,
            property_id: definition.property_id,
            period: days.period(),
            data_studio_url,
            notes,
            quota_left,
        })
    }
}

/// Changes a saved dashboard; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateDashboard {
    /// From `list_dashboards`.
    dashboard_id: String,
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// Such as `28daysAgo`.
    start_date: Option<String>,
    end_date: Option<String>,
    /// Replaces all.
    #[schemars(length(min = 1, max = 10))]
    cards: Option<Vec<Card>>,
}

impl Action for UpdateDashboard {
    const NAME: &'static str = "update_dashboard";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["edit a dashboard", "add a chart", "rename a dashboard"];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Dashboard;

    async fn run(self, api: &Api) -> Result<Dashboard> {
        let mut definition = Definition::find(api, &self.dashboard_id).await?;
        if let Some(name) = self.name {
            definition.name = name;
        }
        definition.when = definition.when.with(self.start_date, self.end_date);
        if let Some(cards) = self.cards {
            definition.cards = cards;
        }
        definition.check(api).await?;
        definition.keep(api, &self.dashboard_id).await?;
        definition.told(self.dashboard_id)
    }
}

/// Deletes a saved dashboard. What it returns can be created again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteDashboard {
    /// From `list_dashboards`.
    dashboard_id: String,
}

impl Action for DeleteDashboard {
    const NAME: &'static str = "delete_dashboard";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["remove a dashboard", "drop an overview", "dashboard no longer needed"];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = Dashboard;

    async fn run(self, api: &Api) -> Result<Dashboard> {
        let taken = api.records().take(DASHBOARDS, &self.dashboard_id).await?;
        read(taken, &self.dashboard_id)?.told(self.dashboard_id)
    }
}

#[cfg(test)]
#[path = "dashboards/tests.rs"]
mod tests;
