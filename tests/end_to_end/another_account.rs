//! Another account of the same service: what was made at the former one is forgotten, what is the business's own stays.

use serde_json::json;

use crate::browser::{Browser, field};
use crate::oauth::product;
use crate::provider::{Provider, Reply};

const SECRETS: &str = "/v1beta/properties/1/dataStreams/2/measurementProtocolSecrets";
const SCOPE: &str = "openid email https://www.googleapis.com/auth/analytics.readonly https://www.googleapis.com/auth/analytics.edit";

/// Google Analytics; the code says whose account it becomes.
fn google() -> Provider {
    Provider::start(|request| {
        let token = request.header("authorization").unwrap_or_default();
        let whose = token.rsplit('-').next().unwrap_or_default();
        let body = match request.what() {
            "POST /token" => json!({
                "access_token": format!("access-{}", field(&request.body, "code").unwrap()), "refresh_token": "a-refresh-token",
                "token_type": "bearer", "expires_in": 3600, "scope": SCOPE,
            }),
            "POST /tokeninfo" => {
                json!({"sub": whose, "email": format!("{whose}@example.com"), "scope": SCOPE})
            }
            "GET /v1beta/accountSummaries" => {
                json!({"accountSummaries": [{"account": "accounts/1", "displayName": "Shop"}]})
            }
            "GET /v1beta/properties/1/dataStreams/2" => json!({
                "name": "properties/1/dataStreams/2", "type": "WEB_DATA_STREAM", "displayName": "Shop",
                "webStreamData": {"measurementId": "G-FAKE", "defaultUri": "https://shop.example"},
            }),
            "GET /v1beta/properties/1" => json!({
                "name": "properties/1", "displayName": "Shop", "timeZone": "Europe/Berlin", "currencyCode": "EUR",
            }),
            "GET /v1beta/properties/1/metadata" => json!({
                "name": "properties/1/metadata",
                "metrics": [{"apiName": "sessions", "uiName": "Sessions", "type": "TYPE_INTEGER", "category": "Session"}],
            }),
            what if what == format!("GET {SECRETS}") => json!({}),
            what if what == format!("POST {SECRETS}") => {
                json!({"name": "properties/1/dataStreams/2/measurementProtocolSecrets/3", "secretValue": "plainly fake words"})
            }
            "POST /debug/mp/collect" => json!({"validationMessages": []}),
            _ => {
                return Reply::json(
                    404,
                    &json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "No"}}),
                );
            }
        };
        Reply::json(200, &body)
    })
}

#[test]
fn c11_what_was_made_at_a_former_analytics_account_is_forgotten_and_dashboards_stay() {
    let google = google();
    let product = product(&google, "");
    let config = std::fs::read_to_string(product.path("config.toml")).unwrap();
    let config = config.replace("integrations.github", "integrations.analytics");
    product.configure(&config.replace("/login/oauth/access_token", "/token"));
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let consent = |code: &str, more: &[(&str, &str)]| {
        let sent = browser.post("/connect/analytics/oauth", more);
        let state = crate::browser::between(&sent.body, "state=", "&amp;").to_owned();
        browser.back("analytics", &[("code", code), ("state", &state)])
    };
    assert_eq!(consent("ada", &[]).status(), 303);
    let event = json!({"property_id": "1", "stream_id": "2", "name": "generate_lead", "client_id": "5.7", "check_only": true});
    let sent = server.call(&[], "analytics_send_event", &event).json();
    assert_eq!(sent["result"]["isError"], false, "{sent}");
    let dashboard = json!({"name": "Weekly", "property_id": "1", "cards": [{"title": "Visits", "kind": "scorecard", "metrics": ["sessions"]}]});
    let saved = server.call(&[], "analytics_create_dashboard", &dashboard).json();
    assert_eq!(saved["result"]["isError"], false, "{saved}");
    let kept =
        "SELECT collection FROM records WHERE collection LIKE 'analytics%' ORDER BY collection";
    assert_eq!(product.sql(kept).trim(), "analytics_dashboards\nanalytics_secrets");

    // The same account again keeps what it made; another one is not taken unasked.
    assert_eq!(consent("ada", &[]).status(), 303);
    assert_eq!(consent("bob", &[]).status(), 409);
    assert_eq!(product.sql(kept).trim(), "analytics_dashboards\nanalytics_secrets");
    assert_eq!(consent("bob", &[("replace", "yes")]).status(), 303);
    assert_eq!(product.json(&["connections", "--json"])[0]["account"], "bob@example.com");
    assert_eq!(product.sql(kept).trim(), "analytics_dashboards");
    let listed = server.call(&[], "analytics_list_dashboards", &json!({})).json();
    assert!(listed.to_string().contains("Weekly"), "{listed}");
    // Nobody asks the new account to remove what it never had.
    product.run(&["disconnect", "analytics"], "");
    let deleted = |request: &crate::wire::Message| request.first.starts_with("DELETE");
    assert!(!google.requests().iter().any(deleted));
}
