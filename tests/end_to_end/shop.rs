//! Google Analytics, Stripe and Vercel as a small shop sees them, and an installation that has its accounts there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::wire::Message;

/// What somebody wrote who wants to be more than text.
pub const HOSTILE: &str =
    "<img src=x onerror=\"window.hacked=1\"></script><script>window.hacked=1</script>";

/// Google, Stripe and Vercel at one address.
pub fn services() -> Provider {
    Provider::start(|request| {
        let body = match request.what() {
            "POST /token" => json!({
                "access_token": "plainly-fake", "refresh_token": "plainly-fake-too", "expires_in": 3600,
                "token_type": "Bearer", "scope": "openid https://www.googleapis.com/auth/analytics.readonly",
            }),
            "POST /tokeninfo" => json!({
                "sub": "7", "email": "ada@example.com",
                "scope": "openid https://www.googleapis.com/auth/analytics.readonly",
            }),
            "GET /v1beta/accountSummaries" => {
                json!({"accountSummaries": [{"account": "accounts/7", "displayName": "Shop"}]})
            }
            "GET /v1beta/properties/123" => json!({
                "name": "properties/123", "parent": "accounts/7", "account": "accounts/7", "displayName": "Shop",
                "timeZone": "Europe/Berlin", "currencyCode": "EUR", "propertyType": "PROPERTY_TYPE_ORDINARY",
                "createTime": "2024-01-01T00:00:00Z",
            }),
            "GET /v1beta/properties/123/metadata" => {
                let named = |name: &&str| json!({"apiName": name, "uiName": name, "category": "Any", "type": "TYPE_INTEGER"});
                let all = |names: [&str; 2]| names.iter().map(named).collect::<Vec<Value>>();
                json!({"dimensions": all(["date", "country"]), "metrics": all(["sessions", "activeUsers"])})
            }
            "POST /v1beta/properties/123:batchRunReports" => reports(request),
            "GET /v1/account" => json!({"id": "acct_1", "object": "account"}),
            "GET /v1/balance" => {
                json!({"object": "balance", "livemode": false, "available": [], "pending": []})
            }
            "GET /v1/balance_transactions" => movements(),
            "GET /v2/user" => json!({"user": {"id": "u1", "username": "bakery"}}),
            "GET /v5/user/tokens/current" => json!({"token": {"scopes": [{"type": "user"}]}}),
            "GET /v6/deployments" | "GET /v7/deployments" => deployments(),
            _ => {
                return Reply::json(404, &json!({"error": {"code": "not_found", "message": "No"}}));
            }
        };
        Reply::json(200, &body)
    })
}

/// Reports as they were asked for: 28 days, or a few rows; less of everything before.
fn reports(request: &Message) -> Value {
    let is_before = request.body.contains("dimensionFilter");
    let one = |asked: &Value| {
        let names = |what: &str| -> Vec<String> {
            let all = asked[what].as_array().into_iter().flatten();
            all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        let (dimensions, metrics) = (names("dimensions"), names("metrics"));
        let keys: Vec<String> = match dimensions.first().map(String::as_str) {
            None => vec![String::new()],
            Some("date") => (1..=28).map(|day| format!("202602{day:02}")).collect(),
            Some("sessionSourceMedium") => {
                ["google / organic", "(direct) / (none)", HOSTILE].map(str::to_owned).into()
            }
            Some("pagePath") => ["/", "/pricing", "/blog"].map(str::to_owned).into(),
            _ => ["Germany", "Japan"].map(str::to_owned).into(),
        };
        let rows: Vec<Value> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                let numbers = metrics.iter().enumerate().map(|(metric, name)| {
                    let number = if name.ends_with("Rate") {
                        "0.623".to_owned()
                    } else {
                        let wave = (at * 37 + metric * 11) % 90;
                        let much = if is_before { 60 } else { 120 };
                        (much * (metric + 1) + wave * (1 + usize::from(at % 7 > 4))).to_string()
                    };
                    json!({"value": number})
                });
                let numbers: Vec<Value> = numbers.collect();
                let values: Vec<Value> = dimensions.iter().map(|_| json!({"value": key})).collect();
                json!({"dimensionValues": values, "metricValues": numbers})
            })
            .collect();
        let kind =
            |name: &String| if name.ends_with("Rate") { "TYPE_FLOAT" } else { "TYPE_INTEGER" };
        let heads: Vec<Value> = dimensions.iter().map(|name| json!({"name": name})).collect();
        let measured = metrics.iter().map(|name| json!({"name": name, "type": kind(name)}));
        let measured: Vec<Value> = measured.collect();
        json!({
            "dimensionHeaders": heads, "metricHeaders": measured,
            "rows": rows, "rowCount": rows.len(), "kind": "analyticsData#runReport",
            "metadata": {"currencyCode": "EUR", "timeZone": "Europe/Berlin"},
        })
    };
    let asked = request.json();
    let all: Vec<Value> = asked["requests"].as_array().unwrap().iter().map(one).collect();
    json!({ "reports": all })
}

/// Half a year in euros, and one month in yen.
fn movements() -> Value {
    let movement = |month: u8, category: &str, amount: i64, currency: &str| {
        json!({
            "id": format!("txn_{month}_{category}_{currency}"), "object": "balance_transaction", "amount": amount,
            "fee": amount.max(0) / 40, "net": amount - amount.max(0) / 40, "currency": currency, "status": "available",
            "created": 1_767_229_200 + i64::from(month) * 31 * 86_400, "available_on": 1_767_229_200, "type": category,
            "reporting_category": category,
        })
    };
    let euros =
        (0..6).map(|month| movement(month, "charge", 400_000 + 90_000 * i64::from(month), "eur"));
    let refunds = [1, 4].map(|month| movement(month, "refund", -35_000, "eur"));
    let yen = movement(2, "charge", 80_000, "jpy");
    let all: Vec<Value> = euros.chain(refunds).chain([yen]).rev().collect();
    json!({"object": "list", "has_more": false, "url": "/v1/balance_transactions", "data": all})
}

fn deployments() -> Value {
    let one = |at: u64, state: &str, target: &str, message: &str| {
        json!({
            "uid": format!("dpl_{at}"), "name": "shop", "projectId": "prj_1", "url": format!("shop-{at}.vercel.app"),
            "state": state, "readyState": state, "target": target, "created": 1_769_817_600_000_u64 + at * 3_600_000,
            "createdAt": 1_769_817_600_000_u64 + at * 3_600_000,
            "meta": {"githubCommitRef": "main", "githubCommitSha": "0a1b2c3", "githubCommitMessage": message},
        })
    };
    json!({"pagination": {"count": 3, "next": null, "prev": null}, "deployments": [
        one(3, "BUILDING", "preview", HOSTILE),
        one(2, "READY", "production", "Cheaper shipping"),
        one(1, "ERROR", "production", "\u{202e}txt.exe Try again"),
    ]})
}

/// An installation with accounts at all three.
pub fn product(services: &Provider) -> Product {
    let (product, url) = (Product::at(&services.url), &services.url);
    let secret = product.path("client-secret");
    fs::write(&secret, "plainly-fake").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let plain =
        ["stripe", "vercel"].map(|id| format!("[integrations.{id}]\nbase_url = \"{url}\"\n"));
    product.configure(&format!(
        "{}[integrations.analytics]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/authorize\"\ntoken_url = \"{url}/token\"\n\
         client_id = \"ours\"\nclient_secret_file = \"{}\"\n",
        plain.concat(),
        secret.display()
    ));
    // Not written out, so that nobody takes it for a key.
    let key = format!("rk_{}_of_nobody_0123456789", "test");
    product.must(&["connect", "stripe", "--key-stdin"], &key);
    product.must(&["connect", "vercel", "--key-stdin"], "plainly-fake");
    product
}

/// Connects the account at Google Analytics, which is by consent alone.
pub fn connect_analytics(product: &Product, server: &Server<'_>) {
    let browser = Browser::of(product, server, "local");
    let state = browser.consent("analytics").state();
    let back = browser.back("analytics", &[("code", "plainly-fake"), ("state", &state)]);
    assert_eq!(back.status(), 303, "{back:?}");
}
