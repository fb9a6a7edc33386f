//! A property at Google Analytics, from its creation to reports on the events that it received: every action at its stand-in,
//! which holds each request against Google's own descriptions.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::product::Product;
use crate::standin::Google;
use crate::walk::{Step, Walk, at};

/// The noons of two days that events may still be sent for, in order.
fn days() -> [OffsetDateTime; 2] {
    [2, 1].map(|ago| {
        let day = OffsetDateTime::now_utc().date() - Duration::days(ago);
        day.with_hms(12, 0, 0).unwrap().assume_utc()
    })
}

fn property() -> Vec<Step> {
    let at = || json!({"property_id": "$property"});
    let of = |more: Value| {
        let mut all = at();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let stream = |more: Value| {
        let mut all = of(more);
        all["stream_id"] = "$stream".into();
        all
    };
    vec![
        (
            "analytics_create_property",
            json!({"account_id": "1", "name": "Tea", "time_zone": "Etc/UTC", "currency_code": "EUR"}),
            json!({"name": "Tea", "account_id": "1"}),
            "property=/id",
        ),
        (
            "analytics_list_properties",
            json!({}),
            json!({"items": [{"name": "Shop", "properties": [{"id": "$property", "can_edit": true}]}]}),
            "",
        ),
        (
            "analytics_get_property",
            at(),
            json!({"time_zone": "Etc/UTC", "currency_code": "EUR"}),
            "",
        ),
        (
            "analytics_create_web_stream",
            of(json!({"url": "https://acme.shop", "name": "Site"})),
            json!({"kind": "WEB_DATA_STREAM", "url": "https://acme.shop"}),
            "stream=/id",
        ),
        (
            "analytics_list_data_streams",
            at(),
            json!({"items": [{"id": "$stream"}]}),
            "tag=/items/0/measurement_id",
        ),
        ("analytics_get_tag_snippet", stream(json!({})), json!({}), "snippet=/snippet"),
        (
            "analytics_create_key_event",
            of(json!({"event_name": "lead", "counting": "once_per_session"})),
            json!({"event_name": "lead", "counting_method": "ONCE_PER_SESSION"}),
            "key=/id",
        ),
        (
            "analytics_create_event_rule",
            stream(
                json!({"new_event": "lead", "conditions": [{"field": "page_location", "compare": "ends_with", "value": "/thanks"}]}),
            ),
            json!({"new_event": "lead"}),
            "",
        ),
        (
            "analytics_create_custom_dimension",
            of(json!({"parameter_name": "plan", "display_name": "Plan"})),
            json!({"report_name": "customEvent:plan"}),
            "",
        ),
        (
            "analytics_list_custom_dimensions",
            at(),
            json!({"items": [{"parameter_name": "plan", "scope": "EVENT"}]}),
            "",
        ),
        (
            "analytics_create_custom_metric",
            of(json!({"parameter_name": "grams", "display_name": "Grams"})),
            json!({"report_name": "customEvent:grams"}),
            "",
        ),
        (
            "analytics_list_metrics_and_dimensions",
            of(json!({"custom": true})),
            json!({"items": [{"name": "customEvent:grams", "kind": "metric"}, {"name": "customEvent:plan", "kind": "dimension"}]}),
            "",
        ),
        (
            "analytics_check_compatibility",
            of(json!({"metrics": ["sessions"], "dimensions": ["country"]})),
            json!({"compatible": true}),
            "",
        ),
        (
            "analytics_check_compatibility",
            of(json!({"metrics": ["sessions"], "dimensions": ["itemName"]})),
            json!({"compatible": false, "incompatible": ["sessions"]}),
            "",
        ),
        (
            "analytics_annotate_property",
            of(json!({"title": "Launch", "date": "2026-01-31", "color": "green"})),
            json!({"title": "Launch"}),
            "",
        ),
    ]
}

/// Has people visit the shop: one on the first day, two on the second, of whom one buys.
fn visits(walk: &mut Walk<'_>, [first, second]: [OffsetDateTime; 2]) {
    let rfc =
        |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let page = |path: &str, session: u8| json!({"page_location": format!("https://acme.shop{path}"), "session_id": session, "engagement_time_msec": 20_000});
    let from_search = json!({"page_location": "https://acme.shop/", "session_id": 1, "source": "google", "medium": "organic"});
    let bought = json!({"page_location": "https://acme.shop/thanks", "session_id": 1, "plan": "monthly", "grams": 250, "value": 20, "currency": "EUR"});
    for (who, name, params, at) in [
        ("1.1", "page_view", page("/", 1), first),
        ("2.2", "page_view", from_search, second),
        ("2.2", "purchase", bought, second + Duration::minutes(5)),
        ("3.3", "page_view", page("/tea", 1), second),
    ] {
        let event = json!({"property_id": walk.kept("property"), "stream_id": walk.kept("stream"), "client_id": who,
            "name": name, "params": params, "happened_at": rfc(at)});
        let sent = walk.call("analytics_send_event", &event);
        assert_eq!((&sent["sent"], &sent["measurement_id"]), (&json!(true), &walk.kept("tag")));
    }
}

/// Reports on those days, in the words of Google.
fn reports(days: [OffsetDateTime; 2]) -> Vec<Step> {
    let [first, second] = days.map(|day| day.date().to_string());
    let on_second = |more: Value| {
        let mut all = json!({"property_id": "$property", "start_date": second, "end_date": second});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let by_source = json!({"title": "Sources", "kind": "table", "metrics": ["sessions"], "dimensions": ["sessionSourceMedium"]});
    vec![
        (
            "analytics_run_report",
            on_second(
                json!({"metrics": ["eventCount", "customEvent:grams"], "dimensions": ["customEvent:plan"],
                "dimension_filters": [{"dimension": "eventName", "match": "is", "values": ["purchase"]}]}),
            ),
            json!({"row_count": 1, "rows": {"items": [{"dimensions": {"customEvent:plan": "monthly"}, "metrics": {"eventCount": 1, "customEvent:grams": 250}}]}}),
            "",
        ),
        (
            "analytics_run_report",
            json!({"property_id": "$property", "start_date": first, "end_date": second, "metrics": ["activeUsers"], "dimensions": ["date"],
                "metric_filters": [{"metric": "activeUsers", "is": "greater_than", "number": 1}]}),
            json!({"rows": {"items": [{"metrics": {"activeUsers": 2}}]}}),
            "",
        ),
        (
            "analytics_get_traffic",
            on_second(json!({})),
            json!({
                "totals": {"metrics": {"activeUsers": 2, "sessions": 2, "screenPageViews": 2, "keyEvents": 1}, "before": {"activeUsers": 1}},
                "pages": [{"dimensions": {"pagePath": "/"}}, {"dimensions": {"pagePath": "/tea"}}, {"dimensions": {"pagePath": "/thanks"}}],
            }),
            "",
        ),
        (
            "analytics_explain_traffic_change",
            on_second(json!({})),
            json!({"now": 2, "before": 1, "change_percent": 100.0}),
            "",
        ),
        (
            "analytics_run_funnel_report",
            on_second(
                json!({"steps": [{"name": "Visit", "event": "page_view"}, {"name": "Thanks", "event": "purchase", "page_path": "/thanks"}]}),
            ),
            json!({"steps": [{"step": "1. Visit", "active_users": 2, "completion_rate": 0.5}, {"step": "2. Thanks", "active_users": 1}]}),
            "",
        ),
        (
            "analytics_create_dashboard",
            on_second(json!({"name": "Shop", "cards": [by_source]})),
            json!({"name": "Shop"}),
            "dashboard=/id",
        ),
        (
            "analytics_list_dashboards",
            json!({}),
            json!({"items": [{"id": "$dashboard", "cards": ["Sources"]}]}),
            "",
        ),
        (
            "analytics_update_dashboard",
            json!({"dashboard_id": "$dashboard", "name": "The shop"}),
            json!({"name": "The shop"}),
            "",
        ),
        (
            "analytics_view_dashboard",
            json!({"dashboard_id": "$dashboard"}),
            json!({"name": "The shop", "cards": [{"row_count": 2}]}),
            "",
        ),
        (
            "analytics_delete_dashboard",
            json!({"dashboard_id": "$dashboard"}),
            json!({"name": "The shop"}),
            "",
        ),
        ("analytics_list_dashboards", json!({}), json!({"items": []}), ""),
    ]
}

#[test]
fn every_action_of_analytics_runs_at_its_stand_in() {
    let google = Google::start();
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&google.configuration(&product, "analytics"));
    let server = product.serve();
    google.connect(&product, &server, "analytics");
    let connections = product.json(&["connections", "--json"]);
    assert_eq!(connections[0]["account"], "ada@example.com", "{connections}");
    let mut walk = Walk::start(&server, vec![("analytics", at(&google.url))]);

    walk.through(property());
    let (snippet, tag) = (walk.kept("snippet"), walk.kept("tag"));
    assert!(snippet.as_str().unwrap().contains(tag.as_str().unwrap()), "{snippet} {tag}");
    let days = days();
    visits(&mut walk, days);
    walk.through(reports(days));

    // What is wrong is told before anything is counted; what is right is there at once.
    let (property, stream) = (walk.kept("property"), walk.kept("stream"));
    let event = |name: &str| json!({"property_id": property, "stream_id": stream, "client_id": "4.4", "name": name});
    let refused = walk.refused("analytics_send_event", &event("1st"));
    assert!(refused.contains("invalid name"), "{refused}");
    walk.call("analytics_send_event", &event("sign_up"));
    let asked =
        json!({"property_id": property, "metrics": ["eventCount"], "dimensions": ["eventName"]});
    let now = walk.call("analytics_run_realtime_report", &asked);
    assert_eq!(now["rows"]["items"][0]["dimensions"]["eventName"], "sign_up", "{now}");
    assert_eq!(now["row_count"], 1, "{now}");
    let unknown = json!({"property_id": property, "metrics": ["visits"]});
    let unknown = walk.refused("analytics_run_report", &unknown);
    assert!(unknown.contains("list_metrics_and_dimensions"), "{unknown}");
    let left = walk.call("analytics_get_quota", &json!({"property_id": property}));
    let tokens = left["reports"]["tokens_today"].as_i64().unwrap();
    assert!(tokens < 199_990, "{left}");

    let twice = json!({"property_id": property, "event_name": "lead"});
    let twice = walk.refused("analytics_create_key_event", &twice);
    assert!(twice.contains("conflict"), "{twice}");
    let all = || json!({"property_id": property});
    walk.through([
        ("analytics_list_key_events", all(), json!({"items": [{"id": "$key"}]}), ""),
        (
            "analytics_delete_key_event",
            json!({"property_id": property, "key_event_id": "$key"}),
            json!({"event_name": "lead"}),
            "",
        ),
        ("analytics_list_key_events", all(), json!({"items": []}), ""),
    ]);
    walk.assert_left_out("analytics", &[]);
    // Nothing of it leaves the account.
    assert_eq!(walk.approved(), [""; 0]);
    product.must(&["audit", "--verify"], "");
}
