//! Every dangerous action of every integration, on services that answer whatever they are asked; and what may be spent.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use crate::browser::{Browser, between};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::wire::Message;

/// What a sample has where a text is wanted.
const SAMPLE: &str = "x1.example";

/// All services at one address.
fn services() -> Provider {
    services_at(Arc::new(AtomicU64::new(500)))
}

/// The same, where each payment was of so much.
fn services_at(paid: Arc<AtomicU64>) -> Provider {
    Provider::github(move |request| {
        let paid = paid.load(Ordering::Relaxed);
        let body = match request.what() {
            "GET /v1/account" => json!({"id": "acct_1", "object": "account"}),
            "GET /v1/balance" => {
                json!({"object": "balance", "livemode": false, "available": [], "pending": []})
            }
            "GET /v2/user" => json!({"user": {"id": "u1", "username": "bakery"}}),
            "GET /v5/user/tokens/current" => json!({"token": {"scopes": [{"type": "user"}]}}),
            "GET /account/balance" => json!({"status": "SUCCESS", "balance": 5, "sandbox": true}),
            "GET /gmail/v1/users/me/profile" => {
                json!({"emailAddress": "ada@example.com", "messagesTotal": 1, "threadsTotal": 1, "historyId": "1"})
            }
            "POST /token" => json!({
                "access_token": "plainly-fake", "refresh_token": "plainly-fake-too", "expires_in": 3600,
                "token_type": "Bearer", "scope": "https://www.googleapis.com/auth/gmail.modify https://www.googleapis.com/auth/gmail.settings.basic https://www.googleapis.com/auth/contacts",
            }),
            "POST /v1/subscriptions" => json!({
                "id": "sub_1", "object": "subscription", "status": "incomplete", "customer": "cus_1", "currency": "eur",
                "collection_method": "charge_automatically", "cancel_at_period_end": false, "created": 1_769_817_600,
                "items": {"object": "list", "data": []},
            }),
            "POST /v1/invoices/create_preview" => json!({
                "object": "invoice", "amount_due": 2000, "currency": "eur",
                "lines": {"object": "list", "data": [], "has_more": false},
            }),
            "POST /v1/refunds" => json!({
                "id": "re_1", "object": "refund", "amount": 500, "currency": "eur", "status": "succeeded",
                "created": 1_769_817_600, "payment_intent": "pi_1",
            }),
            what if what.starts_with("GET /v1/coupons/") => json!({
                "id": "x1", "object": "coupon", "duration": "once", "percent_off": 10, "times_redeemed": 0,
                "created": 1_769_817_600, "valid": true, "livemode": false,
            }),
            what if what.starts_with("GET /v1/subscriptions/") => json!({
                "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1", "currency": "eur",
                "collection_method": "charge_automatically", "cancel_at_period_end": false, "created": 1_769_817_600,
                "livemode": false, "items": {"object": "list", "data": [{
                    "id": "si_1", "object": "subscription_item", "quantity": 1,
                    "current_period_start": 1_769_817_600, "current_period_end": 1_772_236_800,
                    "price": {"id": "price_1", "object": "price", "active": true, "currency": "eur",
                        "unit_amount": 2000, "product": "prod_1", "created": 1_769_817_600, "type": "recurring",
                        "recurring": {"interval": "month", "interval_count": 1}},
                }]},
            }),
            what if what.ends_with("/invitations") => json!([]),
            what if what.starts_with("GET /v13/deployments/") => {
                json!({"id": SAMPLE, "name": "x1", "readyState": "READY", "createdAt": 1_769_817_600_000_u64})
            }
            what if what.ends_with("/env") => {
                json!({"envs": [{"id": SAMPLE, "key": "X1", "type": "plain", "target": ["production"]}]})
            }
            what if what.ends_with("/permission") => json!({"role_name": "write"}),
            what if what.starts_with("GET /v1/payment_intents/") => json!({
                "id": "pi_1", "object": "payment_intent", "amount": paid, "amount_received": paid,
                "currency": "eur", "status": "succeeded", "created": 1_769_817_600,
            }),
            _ => json!({"id": "x1", "object": "thing", "status": "SUCCESS", "name": "x1"}),
        };
        Reply::json(200, &body)
    })
}

fn configuration(product: &Product, url: &str, more: &str) {
    let secret = product.path("client-secret");
    fs::write(&secret, "plainly-fake").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let plain = ["github", "stripe", "vercel", "registrar"]
        .map(|id| format!("[integrations.{id}]\nbase_url = \"{url}\"\n"));
    product.configure(&format!(
        "{}[integrations.gmail]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/authorize\"\ntoken_url = \"{url}/token\"\n\
         client_id = \"ours\"\nclient_secret_file = \"{}\"\n{more}",
        plain.concat(),
        secret.display()
    ));
}

fn connect(product: &Product) {
    // Not written out, so that nobody takes it for a key.
    let key = format!("rk_{}_of_nobody_0123456789", "test");
    product.must(&["connect", "stripe", "--key-stdin"], &key);
    product.must(&["connect", "github", "--key-stdin"], "github_pat_of_a_test");
    product.must(&["connect", "vercel", "--key-stdin"], "plainly-fake");
    let registrar = ["connect", "registrar", "--provider", "porkbun", "--key-stdin"];
    product.must(&registrar, "pk1_word\nsk1_word\n");
}

fn connect_gmail(product: &Product, server: &Server<'_>) {
    let browser = Browser::of(product, server, "local");
    let state = browser.consent("gmail").state();
    let back = browser.back("gmail", &[("code", "plainly-fake"), ("state", &state)]);
    assert_eq!(back.status(), 303, "{back:?}");
}

/// A value that fits a schema, as simple as it may be.
fn sample(schema: &Value, definitions: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return sample(&definitions[name.rsplit('/').next().unwrap()], definitions);
    }
    if let Some(one) = schema.get("const") {
        return one.clone();
    }
    if let Some(all) = schema["enum"].as_array() {
        return all[0].clone();
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = schema[choice].as_array() {
            return sample(&all[0], definitions);
        }
    }
    match schema["type"].as_str().unwrap_or("string") {
        "object" => required(schema, definitions),
        "array" => json!([sample(&schema["items"], definitions)]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        _ => json!(SAMPLE),
    }
}

fn required(schema: &Value, definitions: &Value) -> Value {
    let names = schema["required"].as_array().into_iter().flatten();
    let fields: Map<String, Value> = names
        .map(|name| name.as_str().unwrap())
        .map(|name| (name.to_owned(), sample(&schema["properties"][name], definitions)))
        .collect();
    Value::Object(fields)
}

/// What was changed at the services; to connect is not meant, nor what only asks for a price.
fn changes(provider: &Provider) -> Vec<String> {
    let harmless = ["GET", "POST /token", "POST /v1/invoices/create_preview"];
    let all = provider.requests().into_iter().map(|request: Message| request.first);
    all.filter(|first| !harmless.iter().any(|start| first.starts_with(start))).collect()
}

#[test]
fn no_dangerous_action_runs_without_an_approval() {
    let provider = services();
    let product = Product::at(&provider.url);
    configuration(&product, &provider.url, "");
    connect(&product);
    let server = product.serve();
    connect_gmail(&product, &server);
    let tools = product.json(&["tools", "--json"]);
    let dangerous: Vec<&Value> = tools
        .as_array()
        .unwrap()
        .iter()
        .filter(|tool| tool["annotations"]["destructiveHint"] == true)
        .filter(|tool| {
            !["disconnect_integration", "run_action"].contains(&tool["name"].as_str().unwrap())
        })
        .collect();
    assert!(dangerous.len() >= 16, "{}", dangerous.len());
    let mut asked = BTreeSet::new();
    for tool in &dangerous {
        let (name, schema) = (tool["name"].as_str().unwrap(), &tool["inputSchema"]);
        let mut arguments = sample(schema, &schema["$defs"]);
        if name == "stripe_change_subscription" {
            // Of a preview, which it needs in most cases.
            arguments["computed_at"] = json!("2026-02-02T02:40:00Z");
            arguments["quantity"] = json!(2);
        }
        if name == "registrar_set_auto_renew" {
            // To turn it on, Porkbun tells the price by a rehearsal, which would look like a change here.
            arguments["enabled"] = false.into();
        }
        let plain = server.call(&[], name, &arguments).json();
        assert_eq!(plain["result"]["isError"], true, "{name}: {plain}");
        let text = plain["result"]["content"][0]["text"].as_str().unwrap();
        assert!(!text.contains("invalid input: "), "{name} {arguments}: {text}");
        // By way of `run_action` it is the same.
        let run = json!({"action": name, "arguments": arguments});
        let run = server.call(&[], "run_action", &run).json();
        assert_eq!(run["result"]["content"], plain["result"]["content"], "{name}");
        let params = json!({"name": name, "arguments": arguments});
        let form = server.call_with(&[], &json!({"elicitation": {"form": {}}}), params).json();
        let result = &form["result"];
        assert!(
            result["resultType"] == "input_required" || result["isError"] == true,
            "{name}: {form}"
        );
        if text.contains("/approve/") {
            assert_eq!(result["resultType"], "input_required", "{name}: {form}");
            asked.insert(name.to_owned());
        }
    }
    assert_eq!(changes(&provider), Vec::<String>::new());
    // These two want a quote, and were stopped without one before anybody was asked; the registrar's own test has one.
    let stopped: Vec<&str> = dangerous
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .filter(|name| !asked.contains(*name))
        .collect();
    assert_eq!(stopped, ["registrar_purchase_domain", "registrar_renew_domain"]);
}

fn refund(server: &Server<'_>, payment: &str) -> Value {
    server.call(&[], "stripe_refund_payment", &json!({ "payment": payment })).json()["result"]
        .clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// A person approves at this price what was asked for.
#[track_caller]
fn approve(server: &Server<'_>, browser: &Browser, asked: &Value, price: &str) {
    let page = between(text(asked), "\"url\":\"", "\"");
    let page = page.strip_prefix(server.url.trim_end_matches("/mcp")).unwrap();
    let shown = browser.get(page).body;
    assert!(shown.contains(price) && shown.contains("POST http"), "{shown}");
    let operation = between(&shown, "name=\"operation\" value=\"", "\"");
    let done = browser.post(page, &[("operation", operation), ("decision", "approve")]);
    assert_eq!(done.status(), 200, "{done:?}");
}

#[test]
fn d1_what_costs_more_than_was_approved_is_not_done_until_that_is_approved() {
    let paid = Arc::new(AtomicU64::new(500));
    let provider = services_at(paid.clone());
    let product = Product::at(&provider.url);
    configuration(&product, &provider.url, "");
    connect(&product);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    approve(&server, &browser, &refund(&server, "pi_1"), "5.00 EUR");
    paid.store(501, Ordering::Relaxed);
    let dearer = refund(&server, "pi_1");
    assert!(text(&dearer).contains("5.01 EUR now, and 5.00 EUR was approved"), "{dearer}");
    assert_eq!(changes(&provider).len(), 0);
    approve(&server, &browser, &refund(&server, "pi_1"), "5.01 EUR");
    // Cheaper is approved as well.
    paid.store(499, Ordering::Relaxed);
    assert_eq!(refund(&server, "pi_1")["isError"], false);
    assert_eq!(changes(&provider).len(), 1);
}

#[test]
fn money_is_spent_up_to_the_approved_price_and_the_caps() {
    let provider = services();
    let product = Product::at(&provider.url);
    let configure = |rules: &str| configuration(&product, &provider.url, rules);
    // Two of 5.00 EUR fit into a day.
    configure("[spend.per_day]\nEUR = 1200\n[spend.per_action]\nEUR = 500\n");
    connect(&product);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let approve = |result: &Value| approve(&server, &browser, result, "5.00 EUR");
    for payment in ["pi_1", "pi_2"] {
        let asked = refund(&server, payment);
        assert!(text(&asked).contains("It costs 5.00 EUR"), "{asked}");
        approve(&asked);
        assert_eq!(refund(&server, payment)["isError"], false);
    }
    assert_eq!(changes(&provider).len(), 2);
    // Nobody is asked for what may not be spent.
    let third = refund(&server, "pi_3");
    assert!(text(&third).contains("10.00 EUR was spent within 24 hours"), "{third}");
    drop(server);
    configure("[spend.per_action]\nEUR = 499\n");
    let server = product.serve();
    let single = refund(&server, "pi_3");
    assert!(text(&single).contains("4.99 EUR at most"), "{single}");
    drop(server);
    let allow = |minor: u64| {
        format!(
            "[[rules]]\ndecide = \"allow\"\naction = \"stripe_refund_payment\"\nat_most = {{ minor = {minor}, currency = \"EUR\" }}\n"
        )
    };
    // A standing rule lets it run without a person, as long as it is not dearer, and within the caps.
    configure(&allow(499));
    let server = product.serve();
    assert!(text(&refund(&server, "pi_6")).contains("/approve/"));
    drop(server);
    configure(&format!("{}[spend.per_day]\nEUR = 1500\n", allow(500)));
    let server = product.serve();
    assert_eq!(refund(&server, "pi_4")["isError"], false);
    assert!(text(&refund(&server, "pi_5")).contains("15.00 EUR was spent"));
    assert_eq!(changes(&provider).len(), 3);
}

#[test]
fn d1_whoever_approves_what_costs_nothing_is_told_so() {
    let provider = services();
    let product = Product::at(&provider.url);
    // Nothing may be spent at all.
    configuration(
        &product,
        &provider.url,
        "[spend.per_day]\ndefault = 0\n[spend.per_action]\ndefault = 0\n",
    );
    connect(&product);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let start = |more: Value| {
        let mut arguments = json!({"customer": "cus_1", "items": [{"price": "price_1"}]});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.call(&[], "stripe_create_subscription", &arguments).json()["result"].clone()
    };
    let off = json!({"domain": "acme.com", "enabled": false});
    let off = server.call(&[], "registrar_set_auto_renew", &off).json()["result"].clone();
    assert!(text(&off).contains("acme.com. It costs nothing now. owner"), "{off}");
    let asked = start(json!({}));
    assert!(text(&asked).contains("cus_1. It costs nothing now. owner"), "{asked}");
    let trial = start(json!({"trial_days": 14}));
    assert!(text(&trial).contains("Its price is not known beforehand. It moves or"), "{trial}");
    assert_eq!(changes(&provider).len(), 0);
    approve(&server, &browser, &asked, "<dt>Costs</dt><dd>nothing</dd>");
    let started = start(json!({}));
    assert_eq!(started["isError"], false, "{started}");
    assert_eq!(changes(&provider), ["POST /v1/subscriptions HTTP/1.1"]);
    assert_eq!(product.sql("SELECT count(*) FROM spending").trim(), "0");
}
