//! GitHub through MCP: every client, over both transports, in both generations of the protocol.

use serde_json::{Value, json};

use crate::clients::{Answer, Era, Python, Way, inspector_call, inspector_tools};
use crate::product::Product;
use crate::standin::GitHub;

/// Reads a repository and a missing one, each found by the name that the list of tools gives.
fn reads_repositories(tools: &[Value], mut call: impl FnMut(&str, &Value) -> Answer) {
    let name = "github_get_repository";
    assert!(tools.iter().any(|tool| tool["name"] == name), "{tools:?}");
    let found = call(name, &json!({"owner": "octocat", "repo": "hello-world"}));
    assert_eq!(found.output()["full_name"], "octocat/hello-world");
    let missing = call(name, &json!({"owner": "octocat", "repo": "nowhere"}));
    assert!(missing.error().contains("GitHub"), "{missing:?}");
}

fn inspector_reads(era: Era, way: Way<'_>) {
    let tools = inspector_tools(era, way);
    reads_repositories(&tools, |name, arguments| inspector_call(era, way, name, arguments));
}

fn python_reads(era: Era, way: Way<'_>) {
    let mut client = Python::connect(era, way);
    let tools = client.tools();
    reads_repositories(&tools, |name, arguments| client.call(name, arguments));
}

fn over_http(reads: fn(Era, Way<'_>), era: Era) {
    let github = GitHub::start();
    let product = Product::connected(&github);
    let server = product.serve();
    reads(era, Way::Http(&server));
    github.assert_every_request_was_right();
}

fn over_stdio(reads: fn(Era, Way<'_>), era: Era) {
    let github = GitHub::start();
    let product = Product::connected(&github);
    reads(era, Way::Stdio(&product));
    github.assert_every_request_was_right();
}

#[test]
fn the_inspector_reads_repositories_over_http() {
    over_http(inspector_reads, Era::Modern);
}

#[test]
fn the_inspector_reads_repositories_over_http_in_the_legacy_protocol() {
    over_http(inspector_reads, Era::Legacy);
}

#[test]
fn the_inspector_reads_repositories_over_stdio() {
    over_stdio(inspector_reads, Era::Modern);
}

#[test]
fn the_inspector_reads_repositories_over_stdio_in_the_legacy_protocol() {
    over_stdio(inspector_reads, Era::Legacy);
}

#[test]
fn the_python_client_reads_repositories_over_http() {
    over_http(python_reads, Era::Modern);
}

#[test]
fn the_python_client_reads_repositories_over_http_in_the_legacy_protocol() {
    over_http(python_reads, Era::Legacy);
}

#[test]
fn the_python_client_reads_repositories_over_stdio() {
    over_stdio(python_reads, Era::Modern);
}

#[test]
fn the_python_client_reads_repositories_over_stdio_in_the_legacy_protocol() {
    over_stdio(python_reads, Era::Legacy);
}
