//! The life of a dashboard, from its definition to its end.

use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::ANALYTICS;
use crate::fields::tests::{METADATA, metadata};
use crate::properties::tests::{PROPERTY, answer as property};
use crate::tables::tests::answer;

const BATCH: &str = "/v1beta/properties/123:batchRunReports";

async fn google() -> FakeApi {
    FakeApi::new(&ANALYTICS).await.on("GET", PROPERTY, 200, property()).on(
        "GET",
        METADATA,
        200,
        metadata(),
    )
}

fn weekly() -> Value {
    json!({"name": "Weekly & more", "property_id": "123", "start_date": "7daysAgo", "cards": [
        {"title": "Visits", "kind": "scorecard", "metrics": ["sessions"]},
        {"title": "Countries", "kind": "bar", "metrics": ["sessions"], "dimensions": ["country"], "limit": 5}]})
}

async fn created(fake: &FakeApi) -> Value {
    fake.run::<CreateDashboard>(weekly()).await.unwrap()
}

fn only(id: &Value) -> Value {
    json!({"dashboard_id": id})
}

#[tokio::test]
async fn saves_a_dashboard_with_a_link_to_googles_own_tool() {
    let dashboard = created(&google().await).await;
    assert_eq!(dashboard["cards"], weekly()["cards"]);
    assert_eq!(dashboard["period"], json!({"start_date": "7daysAgo", "end_date": "yesterday"}));
    assert_eq!(
        dashboard["data_studio_url"],
        "https://lookerstudio.google.com/reporting/create?c.mode=edit&r.reportName=Weekly%20%26%20more&ds.ds0.connector=googleAnalytics&ds.ds0.datasourceName=Weekly%20%26%20more&ds.ds0.accountId=7&ds.ds0.propertyId=123"
    );
}

#[tokio::test]
async fn a_card_about_nothing_is_not_saved() {
    let fake = google().await;
    let mut input = weekly();
    input["cards"][1]["dimensions"] = json!(["planet"]);
    let error = fake.run::<CreateDashboard>(input).await.unwrap_err();
    assert!(error.message().contains("`Countries` asks for `planet`"), "{error}");
    let list = fake.run::<ListDashboards>(json!({})).await.unwrap();
    assert_eq!(list, json!({"items": []}));
}

#[tokio::test]
async fn lists_dashboards_by_pages() {
    let fake = google().await;
    let api = fake.api(Risk::Write);
    for id in ["a", "b", "c"] {
        let mut definition = weekly();
        definition["account_id"] = json!("7");
        api.records().put(DASHBOARDS, id, &definition, None).await.unwrap();
    }
    let first = fake.run::<ListDashboards>(json!({"limit": 2})).await.unwrap();
    assert_eq!(first["next_cursor"], "b");
    assert_eq!(
        first["items"][0],
        json!({"id": "a", "name": "Weekly & more", "property_id": "123", "cards": ["Visits", "Countries"]})
    );
    let rest = fake.run::<ListDashboards>(json!({"limit": 2, "cursor": "b"})).await.unwrap();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert!(rest.get("next_cursor").is_none());
}

#[tokio::test]
async fn shows_each_card_with_the_numbers_of_the_wanted_days() {
    let shown = json!({"reports": [
        answer(&[], &["sessions"], &[&["9"]]), answer(&["country"], &["sessions"], &[&["Italy", "9"]])]});
    let fake = google().await.on("POST", BATCH, 200, shown);
    let id = created(&fake).await["id"].clone();
    let shown = fake
        .run::<ViewDashboard>(
            json!({"dashboard_id": id, "start_date": "2026-01-01", "end_date": "2026-01-31"}),
        )
        .await
        .unwrap();
    assert_eq!(shown["cards"][0]["rows"], json!([{"metrics": {"sessions": 9}}]));
    assert_eq!(shown["cards"][1]["kind"], "bar");
    assert_eq!(shown["cards"][1]["rows"][0]["dimensions"], json!({"country": "Italy"}));
    assert!(shown["data_studio_url"].as_str().unwrap().contains("propertyId=123"));
    let asked = fake.requests().await.pop().unwrap().body;
    assert_eq!(asked["requests"][1]["limit"], "5");
    assert_eq!(
        asked["requests"][0]["dateRanges"],
        json!([{"startDate": "2026-01-01", "endDate": "2026-01-31"}])
    );
}

#[tokio::test]
async fn more_cards_than_google_takes_at_once_are_shown_all_the_same() {
    let reports: Vec<Value> = (0..5).map(|_| answer(&[], &["sessions"], &[&["1"]])).collect();
    let fake = google().await.on("POST", BATCH, 200, json!({"reports": reports}));
    let mut input = weekly();
    input["cards"] = (0..7)
        .map(|number| json!({"title": format!("{number}"), "kind": "scorecard", "metrics": ["sessions"]}))
        .collect();
    let id = fake.run::<CreateDashboard>(input).await.unwrap()["id"].clone();
    let shown = fake.run::<ViewDashboard>(only(&id)).await.unwrap();
    assert_eq!(shown["cards"].as_array().unwrap().len(), 7);
    let asked = fake.requests().await.pop().unwrap().body;
    assert_eq!(asked["requests"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn changes_what_is_given_and_keeps_the_rest() {
    let fake = google().await;
    let id = created(&fake).await["id"].clone();
    let changed = fake
        .run::<UpdateDashboard>(json!({"dashboard_id": id, "name": "Daily", "end_date": "today"}))
        .await
        .unwrap();
    assert_eq!(changed["name"], "Daily");
    assert_eq!(changed["period"], json!({"start_date": "7daysAgo", "end_date": "today"}));
    assert_eq!(changed["cards"], weekly()["cards"]);
    let listed = fake.run::<ListDashboards>(json!({})).await.unwrap();
    assert_eq!(listed["items"][0]["name"], "Daily");
    let wrong = json!({"dashboard_id": id, "cards": [{"title": "X", "kind": "table", "metrics": ["visits"]}]});
    let error = fake.run::<UpdateDashboard>(wrong).await.unwrap_err();
    assert!(error.message().contains("`visits`"), "{error}");
}

#[tokio::test]
async fn a_deleted_dashboard_is_returned_and_gone() {
    let fake = google().await;
    let dashboard = created(&fake).await;
    let id = &dashboard["id"];
    assert_eq!(fake.run::<DeleteDashboard>(only(id)).await.unwrap(), dashboard);
    for gone in [
        fake.run::<DeleteDashboard>(only(id)).await,
        fake.run::<ViewDashboard>(only(id)).await,
        fake.run::<UpdateDashboard>(only(id)).await,
    ] {
        let error = gone.unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "{error}");
        assert!(error.message().contains("`list_dashboards`"), "{error}");
    }
    // What it returned makes it again.
    let mut again = json!({"name": dashboard["name"], "property_id": dashboard["property_id"], "cards": dashboard["cards"]});
    let period = dashboard["period"].as_object().unwrap().clone();
    again.as_object_mut().unwrap().extend(period);
    fake.another_operation();
    let mut made = fake.run::<CreateDashboard>(again).await.unwrap();
    assert_ne!(made["id"], *id);
    made["id"] = id.clone();
    assert_eq!(made, dashboard);
}
