//! Results that a client shows as more than text, in Chromium inside an MCP client of official parts: real tools of the
//! product, on services that answer what a business would see there.

use std::process::Command;

use serde_json::{Value, json};

use crate::clients::{Era, Python, Way};
use crate::process::{Conversation, tool, top};
use crate::product::Server;
use crate::shop::{HOSTILE, connect_analytics, product, services};

/// The client that shows apps.
struct Host(Conversation);

impl Host {
    fn connect(mode: &str, server: &Server<'_>) -> Self {
        let mut command = Command::new(tool("bin/node"));
        command.arg(top().join("tests/tools/app_host.mjs")).args([mode, &server.url]);
        Self(Conversation::start(command.env("MCP_TOKEN", &server.token)))
    }

    /// What is shown after a step. Nothing came from elsewhere, nothing went wrong, nothing became markup.
    #[track_caller]
    fn step(&mut self, step: &Value) -> Value {
        let shown: Value = serde_json::from_str(&self.0.ask(&step.to_string())).unwrap();
        assert!(shown.get("error").is_none(), "{step}: {}", shown["error"]);
        assert_eq!(shown["requests"], json!([]), "{step}");
        assert_eq!(shown["said"], json!([]), "{step}");
        assert_eq!(shown["wide"], false, "{step}: {}", shown["text"]);
        assert_eq!(shown["height"], shown["given"], "{step}: the client was told another size");
        for markup in ["img", "a"] {
            assert_eq!(shown["elements"][markup], 0, "{step}: {}", shown["text"]);
        }
        shown
    }

    /// Shows the result of a tool, light and dark, on a wide and a narrow screen, fit for everybody.
    #[track_caller]
    fn show(&mut self, name: &str, arguments: &Value) -> Value {
        let context = json!({"theme": "light", "locale": "en-GB", "timeZone": "Europe/Berlin"});
        let shown = self.step(&json!({"show": name, "arguments": arguments, "context": context}));
        assert_eq!(shown["mimeType"], "text/html;profile=mcp-app");
        assert_eq!(shown["meta"]["ui"], json!({"csp": {}, "prefersBorder": true}));
        assert!(shown["bytes"].as_u64().unwrap() < 30_000, "{}", shown["bytes"]);
        // The text is there for clients that show no pages, and for the model.
        assert_eq!(shown["isTold"], true, "{name}");
        let announced = &shown["announced"]["io.modelcontextprotocol/ui"]["mimeTypes"];
        assert_eq!(announced, &json!(["text/html;profile=mcp-app"]));
        let light = self.checked(&format!("{name}-light"));
        let dark = self.step(&json!({"context": {"theme": "dark"}}));
        assert_ne!(light["paper"], dark["paper"]);
        self.checked(&format!("{name}-dark"));
        self.step(&json!({"width": 390}));
        self.checked(&format!("{name}-narrow"));
        self.step(&json!({"width": 760, "context": {"theme": "light"}}));
        shown
    }

    /// Has axe look at it, and pictures it where `RESTO_TEST_PICTURES` names a folder.
    #[track_caller]
    fn checked(&mut self, name: &str) -> Value {
        let checked = self.step(&json!({"check": true}));
        assert_eq!(checked["found"], json!([]), "{name}");
        if let Ok(folder) = std::env::var("RESTO_TEST_PICTURES") {
            self.step(&json!({"picture": format!("{folder}/{name}.png")}));
        }
        checked
    }
}

#[track_caller]
fn told(shown: &Value, words: &[&str]) {
    let text = shown["text"].as_str().unwrap();
    for words in words {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

const MONTHS: [(&str, &str); 3] =
    [("from", "2026-01-01"), ("until", "2026-07-31"), ("by", "month")];

#[test]
fn traffic_revenue_deployments_dashboards_and_connections_are_shown() {
    let services = services();
    let product = product(&services);
    let server = product.serve();
    connect_analytics(&product, &server);
    let cards = json!([
        {"title": "Now", "kind": "scorecard", "metrics": ["sessions", "activeUsers"]},
        {"title": "Over time", "kind": "line", "metrics": ["sessions"], "dimensions": ["date"]},
        {"title": HOSTILE.get(..60), "kind": "bar", "metrics": ["sessions"], "dimensions": ["country"]},
        {"title": "Numbers", "kind": "table", "metrics": ["sessions"], "dimensions": ["country"]},
    ]);
    let saved = server.call(&[], "analytics_create_dashboard", &json!({
        "name": "Weekly", "property_id": "123", "start_date": "2026-02-01", "end_date": "2026-02-28", "cards": cards,
    }));
    let saved = saved.json()["result"]["structuredContent"]["id"].clone();
    assert!(saved.is_string(), "{saved}");
    let mut host = Host::connect("2026-07-28", &server);

    let days = json!({"property_id": "123", "start_date": "2026-02-01", "end_date": "2026-02-28"});
    let shown = host.show("analytics_get_traffic", &days);
    let headings = ["In all", "Day by day", "Sources", "Pages", "Countries"];
    told(&shown, &headings);
    told(
        &shown,
        &["Google Analytics: Get traffic", "Active users", "62.3%", "1 Feb 2026", "+", HOSTILE],
    );
    assert!(shown["elements"]["svg path"].as_u64().unwrap() >= 3, "{shown}");

    let revenue: Value = MONTHS.map(|(name, value)| (name, json!(value))).into_iter().collect();
    let shown = host.show("stripe_get_revenue", &revenue);
    told(
        &shown,
        &[
            "test",
            "Revenue",
            "EUR",
            "JPY",
            "Gross",
            "Net",
            "€5,000",
            "JP¥80,000",
            "By the time (UTC)",
        ],
    );

    let numbers = host.step(&json!({"press": "summary"}));
    told(&numbers, &["1 Jun 2026", "€8,500.00", "€350.00", "Payments"]);

    let shown = host.show("vercel_list_deployments", &json!({}));
    told(
        &shown,
        &["READY", "ERROR", "BUILDING", "Cheaper shipping", HOSTILE, "31 Jan 2026, 03:00"],
    );
    let opened = host.step(&json!({"press": "tbody tr:nth-child(2) button"}));
    assert_eq!(opened["opened"], json!(["https://shop-2.vercel.app/"]));

    let shown = host.show("analytics_view_dashboard", &json!({ "dashboard_id": saved }));
    told(&shown, &["Weekly", "Now", "Over time", "Numbers", "Germany", HOSTILE.get(..60).unwrap()]);
    assert_eq!(shown["elements"]["table"], 3, "{shown}");

    let shown = host.show("list_integrations", &json!({}));
    told(&shown, &["Stripe", "active", "ada@example.com", "GitHub", "not connected"]);
}

#[test]
fn what_run_action_ran_is_shown_as_its_own_tool_shows_it() {
    let services = services();
    let product = product(&services);
    let mut server = product.serve();
    server.url.push_str("?mode=search");
    let mut host = Host::connect("2026-07-28", &server);
    let run = |action: &str| json!({"action": action, "arguments": {}});
    let step = |action: &str| json!({"show": "run_action", "arguments": run(action)});
    let shown = host.step(&step("vercel_list_deployments"));
    told(&shown, &["Vercel: List deployments", "READY", "Cheaper shipping", HOSTILE]);
    assert!(shown["bytes"].as_u64().unwrap() < 30_000, "{}", shown["bytes"]);
    host.checked("run_action");
    // Of others the text beside it tells all, and nothing takes up room.
    for action in ["vercel_get_account", "__proto__", "constructor"] {
        let shown = host.step(&step(action));
        assert_eq!(shown["height"], 0, "{action}");
        assert_eq!(shown["meta"]["ui"]["prefersBorder"], false);
    }
}

#[test]
fn a_client_of_the_handshake_shows_the_same() {
    let services = services();
    let product = product(&services);
    let server = product.serve();
    let mut host = Host::connect("legacy", &server);
    told(&host.show("list_integrations", &json!({})), &["Vercel", "bakery"]);
    told(&host.show("vercel_list_deployments", &json!({})), &["Cheaper shipping"]);
}

#[test]
fn a_page_runs_nothing_but_itself_and_is_used_with_the_keyboard() {
    let services = services();
    let product = product(&services);
    let server = product.serve();
    let mut host = Host::connect("2026-07-28", &server);
    host.step(&json!({"show": "vercel_list_deployments", "context": {"theme": "light"}}));

    // Tab reaches the table, which scrolls, and then its first address.
    for _ in 0..2 {
        host.step(&json!({"key": "Tab"}));
    }
    let focused = host.step(&json!({"run": "document.activeElement.textContent"}));
    assert_eq!(focused["found"], "shop-3.vercel.app");
    let opened = host.step(&json!({"key": "Enter"}));
    assert_eq!(opened["opened"], json!(["https://shop-3.vercel.app/"]));

    // What others wrote stays text, whatever it is and wherever it stands.
    let hostile = json!({"content": [{"type": "text", "text": "{}"}], "structuredContent": {
        "next_cursor": HOSTILE,
        "items": [
            {"project": HOSTILE, "state": HOSTILE, "url": "javascript:window.hacked=1", "created_at": "2026-99-99T00:00:00Z"},
            {"project": {"__proto__": {"x": 1}, "constructor": HOSTILE}, "state": ["<b>", 1], "url": "https://a b.example", "branch": null},
            {"project": "x".repeat(5_000), "url": "https://user:pw@evil.example/#<b>", "created_at": 7},
            "no row", null, [1],
        ],
    }});
    let shown = host.step(&json!({"result": hostile}));
    told(&shown, &[HOSTILE, "javascript:window.hacked=1", "There are more"]);
    // Only what is an address can be opened, and its button says where it leads.
    assert_eq!(shown["elements"]["button"], 1, "{shown}");
    told(&shown, &["evil.example"]);
    let broken = json!({"content": [], "structuredContent": {"items": {"length": -1}, "metrics": {"find": 1}}});
    host.step(&json!({"result": broken}));
    let failed = json!({"isError": true, "content": [{"type": "text", "text": format!("It failed: {HOSTILE}")}]});
    told(&host.step(&json!({"result": failed})), &["It failed: <img"]);
    told(&host.step(&json!({"cancel": "by the person"})), &["The call was cancelled."]);
    assert_eq!(host.step(&json!({"teardown": true}))["found"], json!({}));
    let hacked =
        host.step(&json!({"run": "[window.hacked, Object.prototype.x, document.scripts.length]"}));
    assert_eq!(hacked["found"], json!([null, null, 2]));

    // A client's words about how it looks are held to what they may be.
    let odd = json!({"theme": "<b>", "locale": "not a language", "timeZone": "Nowhere/City", "styles": {
        "variables": {"--color-text-primary": "#123456", "background": "url(https://evil.example)"},
    }});
    host.step(&json!({"context": odd}));
    let ink = host.step(&json!({"run": "getComputedStyle(document.body).color"}));
    assert_eq!(ink["found"], "rgb(18, 52, 86)");

    // Without a word from the client, it is as the system prefers.
    host.step(&json!({"show": "list_integrations", "context": {}}));
    let light = host.step(&json!({"scheme": "light"}));
    assert_ne!(light["paper"], host.step(&json!({"scheme": "dark"}))["paper"]);

    // Even a script that somehow came in has nothing that it could do.
    let script = "(async () => { const script = document.createElement('script'); script.textContent = 'window.hacked = 1'; \
        document.body.append(script); return [window.hacked === undefined, \
        await fetch('https://evil.example/').then(() => 'sent', () => 'held')]; })()";
    let held: Value =
        serde_json::from_str(&host.0.ask(&json!({ "run": script }).to_string())).unwrap();
    assert_eq!(held["found"], json!([true, "held"]), "{held}");
    assert_eq!(held["requests"], json!([]), "{held}");
}

#[test]
fn a_client_that_shows_no_pages_is_told_of_none() {
    let services = services();
    let product = product(&services);
    let server = product.serve();
    for era in [Era::Legacy, Era::Modern] {
        let mut agent = Python::connect(era, Way::Http(&server));
        for tool in agent.tools() {
            assert!(tool.get("_meta").is_none_or(Value::is_null), "{era:?}: {tool}");
        }
    }
}
