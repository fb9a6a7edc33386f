//! MCP servers that nobody here wrote: the official one that shows everything, of the older generation, and one of `FastMCP`,
//! of the newer, where people sign in at an authorization server that it names.

use std::net::TcpListener;
use std::process::Command;

use serde_json::json;

use crate::browser::{Browser, Consent, field};
use crate::clients::{Era, Python, Way};
use crate::process::{Running, tool, top};
use crate::product::Product;
use crate::wire::send;

/// A port that was free just now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn entry(id: &str, port: u16, more: &str) -> String {
    format!(
        "[remote.{id}]\nname = \"Theirs\"\ncategory = \"code\"\npurpose = \"Shows things.\"\n\
         url = \"http://127.0.0.1:{port}/mcp\"\n{more}\n"
    )
}

#[test]
fn the_server_that_shows_everything_is_an_integration() {
    let port = port();
    let script = "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let mut command = Command::new(tool("bin/node"));
    command.arg(tool(script)).arg("streamableHttp").env("PORT", port.to_string());
    let (_server, ()) =
        Running::start(&mut command, |line| line.contains("listening on port").then_some(()));
    let product = Product::at("http://127.0.0.1:9");
    product.configure(&entry(
        "everything",
        port,
        "auth = \"key\"\nkey_url = \"https://example.com/keys\"\n\
         risks = { echo = \"read\", get-structured-content = \"read\", get-tiny-image = \"read\", trigger-long-running-operation = \"read\" }",
    ));
    product.must(&["connect", "everything", "--key-stdin"], "a-key-that-it-does-not-look-at");
    let server = product.serve();
    for era in [Era::Legacy, Era::Modern] {
        let mut python = Python::connect(era, Way::Http(&server));
        let named = |tool: &serde_json::Value| {
            tool["name"].as_str().is_some_and(|name| name.starts_with("everything_"))
        };
        assert!(python.tools().iter().filter(|tool| named(tool)).count() > 10);
        let said = python.call("everything_echo", &json!({"message": "hello"}));
        assert_eq!(said.output()["text"][0], "Echo: hello");
        let image = python.call("everything_get-tiny-image", &json!({}));
        assert_eq!(image.output()["files"][0]["mime_type"], "image/png");
        let data =
            python.call("everything_get-structured-content", &json!({"location": "Chicago"}));
        assert!(data.output()["structured"]["temperature"].is_number(), "{data:?}");
        let refused = python.call("everything_get-env", &json!({}));
        assert!(refused.error().contains("action_required"), "{refused:?}");
    }
    let long = json!({"duration": 1, "steps": 2});
    let told =
        product.must(&["call", "everything_trigger-long-running-operation", &long.to_string()], "");
    assert!(told.stdout.contains("Long running operation completed"), "{told:?}");
}

#[test]
fn people_sign_in_where_a_server_of_fastmcp_says() {
    let port = port();
    let resource = format!("http://127.0.0.1:{port}/mcp");
    let mut issuer = Command::new(tool("bin/node"));
    issuer.arg(top().join("tests/standins/notes.mjs")).arg(&resource);
    let (_issuer, issuer) = Running::start(&mut issuer, |line| {
        line.strip_prefix("RESTO_STANDIN_NOTES_URL=").map(str::to_owned)
    });
    let mut notes = Command::new(tool("python/bin/python"));
    notes.arg(top().join("tests/standins/notes.py")).arg(&issuer).arg(port.to_string());
    let (_notes, ()) =
        Running::start(&mut notes, |line| line.contains("Uvicorn running").then_some(()));
    let product = Product::at("http://127.0.0.1:9");
    product.configure(&format!(
        "{}[integrations.notes]\nclient_id = \"resto\"\n",
        entry(
            "notes",
            port,
            "auth = \"oauth\"\nscopes = [\"notes:read\"]\nrisks = { list_notes = \"read\", ask_for_a_note = \"read\" }",
        )
    ));
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let Consent(consent) = browser.consent("notes");
    assert!(consent.starts_with(&format!("{issuer}/auth?")), "{consent}");
    let at_once = consent.replacen("/auth?", "/consent?", 1);
    let answer = send("GET", &at_once, &[], "");
    let back = answer.header("location").unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    let query = back.split_once('?').unwrap().1;
    let fields = ["state", "code", "iss"].map(|name| (name, field(query, name).unwrap()));
    let elsewhere = [("state", "x"), ("code", "y"), ("iss", "https://evil.example")];
    assert_eq!(browser.back("notes", &elsewhere).status(), 403);
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let connected = browser.back("notes", &fields);
    assert_eq!(connected.status(), 303, "{connected:?}");
    let mut python = Python::connect(Era::Modern, Way::Http(&server));
    let notes = python.call("notes_list_notes", &json!({"about": "cats"}));
    assert_eq!(notes.output()["structured"]["notes"][0], "a note about cats");
    let told = product.must(&["call", "notes_list_notes", "{\"about\": \"dogs\"}"], "");
    assert!(told.stderr.contains("half of them"), "its progress is passed on: {told:?}");
    let asked = python.call("notes_ask_for_a_note", &json!({}));
    assert!(asked.error().contains("Theirs"), "{asked:?}");
}
