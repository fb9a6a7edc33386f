//! The example with `CopilotKit`, started as its README says, with a model of which the tests know what it will do.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::approvals::decide;
use crate::browser::{Browser, between};
use crate::clients::Node;
use crate::frameworks::{deletions, github, story};
use crate::pages::Chromium;
use crate::process::{Running, run, tool, top};
use crate::product::{Product, Server};
use crate::wire::send;

/// The example, which runs.
struct Example {
    /// Where its page is.
    url: String,
    _server: Running,
    _model: Running,
    _folder: TempDir,
}

impl Example {
    /// Starts it in a folder of its own, for an agent that reaches Resto at this address.
    fn start(server: &Server<'_>, resto: &str, with_page: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["package.json", ".npmrc", "server.mjs", "index.html", "chat.jsx", "chat.css"] {
            let from = top().join("examples/copilotkit").join(name);
            std::fs::copy(from, folder.path().join(name)).unwrap();
        }
        symlink(tool("copilotkit/node_modules"), folder.path().join("node_modules")).unwrap();
        if with_page {
            let mut build = Command::new("npm");
            let built = run(build.args(["run", "build"]).current_dir(folder.path()), "");
            assert!(built.status.success(), "{built:?}");
        }
        let mut model = Command::new(tool("bin/node"));
        model.arg(top().join("tests/tools/model.mjs"));
        let (model, base) = Running::start(&mut model, |line| {
            line.strip_prefix("OPENAI_BASE_URL=").map(str::to_owned)
        });
        let mut command = Command::new(tool("bin/node"));
        command.arg("server.mjs").current_dir(folder.path()).env_clear().envs([
            ("RESTO_URL", resto),
            ("RESTO_TOKEN", &server.token),
            ("OPENAI_BASE_URL", &base),
            ("OPENAI_API_KEY", "none"),
            ("MODEL", "scripted"),
            ("PORT", "0"),
            ("COPILOTKIT_TELEMETRY_DISABLED", "true"),
        ]);
        let (running, url) =
            Running::start(&mut command, |line| line.strip_prefix("Open ").map(str::to_owned));
        Self { url, _server: running, _model: model, _folder: folder }
    }
}

fn lives(door: &str) {
    let provider = github();
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let server = product.serve();
    let example = Example::start(&server, &server.at(door), false);
    let mut agent = Node::connect("copilotkit", &format!("{}/copilotkit", example.url), "");
    story(&product, &server, &provider, &mut agent);
}

#[test]
fn its_runtime_reads_and_passes_on_links_over_http() {
    lives("/mcp");
}

#[test]
fn its_runtime_reads_and_passes_on_links_over_sse() {
    lives("/sse");
}

/// The button while it sends; while the agent speaks, it stops the agent.
const SEND: &str = "[data-testid=copilot-send-button]:not(:disabled):has(.lucide-arrow-up)";
/// The same when the agent has done and nothing is written.
const DONE: &str = "[data-testid=copilot-send-button]:disabled:has(.lucide-arrow-up)";

/// Says something in the chat once the agent has done, and waits for what it brings.
fn say(page: &mut Chromium, words: &str, brings: &str) {
    page.step(&json!({"fill": {"textarea": words}}));
    page.step(&json!({ "press": SEND }));
    page.step(&json!({ "wait": brings }));
    page.step(&json!({ "wait": DONE }));
}

/// Has the agent make a call again, on the card with this link.
fn again(page: &mut Chromium, link: &str) {
    page.step(&json!({ "press": format!(".card.waits:has(a[href$='{link}']) button") }));
}

#[test]
fn its_page_shows_what_the_agent_does_and_leads_a_person_to_approve_and_to_connect() {
    let provider = github();
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let server = product.serve();
    let example = Example::start(&server, &server.url, true);
    let person = Browser::of(&product, &server, "local");
    // The newest page that waits for an approval, to which the button of the last card leads.
    let waits = |page: &mut Chromium| {
        let listed = person.get("/approve");
        let link = format!("/approve/{}", between(&listed.body, "href=\"/approve/", "\""));
        page.step(&json!({"wait": format!(".card.waits a[href$='{link}']")}));
        page.step(&json!({ "wait": DONE }));
        link
    };
    let delete = |repo: &str| {
        format!("github_delete_repository {}", json!({"owner": "octocat", "repo": repo}))
    };
    let mut page = Chromium::start();
    page.step(&json!({"scripts": true, "open": example.url}));
    page.picture("chat-welcome");
    say(&mut page, "Which services are connected?", ".card.done ::-p-text(list_integrations)");
    page.step(&json!({"framed": "octocat"}));
    page.picture("chat-app");

    say(&mut page, &delete("hello-world"), ".card.waits a[href*='/approve/']");
    page.picture("chat-approve");
    let link = waits(&mut page);
    assert_eq!(deletions(&provider), 0);
    assert_eq!(decide(&person, &link, "approve", "octocat/hello-world").status(), 200);
    again(&mut page, &link);
    page.step(&json!({"wait": ".card.done ::-p-text(github_delete_repository)"}));
    assert_eq!(deletions(&provider), 1);

    say(&mut page, &delete("other"), ".card.waits a[href*='/approve/']");
    let link = waits(&mut page);
    assert_eq!(decide(&person, &link, "decline", "").status(), 200);
    again(&mut page, &link);
    page.step(&json!({"wait": ".card.refused ::-p-text(github_delete_repository)"}));
    page.step(&json!({"wait": "::-p-text(It was refused, so I leave it.)"}));
    page.picture("chat-declined");
    assert_eq!(deletions(&provider), 1);

    say(&mut page, "Connect our Vercel account.", ".card.waits a[href*='/connect/vercel']");
    page.picture("chat-connect");
}

#[test]
fn its_runtime_serves_no_other_page_of_the_browser() {
    let provider = github();
    let product = Product::at(&provider.url);
    let server = product.serve();
    let example = Example::start(&server, &server.url, false);
    let asked = |headers: &[(&str, &str)]| {
        send("GET", &format!("{}/copilotkit/info", example.url), headers, "").status()
    };
    assert_eq!(asked(&[]), 200);
    assert_eq!(asked(&[("origin", "https://example.com")]), 403);
    assert_eq!(asked(&[("host", "example.com")]), 403);
}
