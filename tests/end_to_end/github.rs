//! GitHub through MCP: every client, over both transports, in both generations of the protocol.

use serde_json::{Value, json};

use crate::clients::{Answer, Era, Python, Way, inspector_call, inspector_tools};
use crate::standin::GitHub;
use crate::walk::{Walk, at};

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
    let product = github.product();
    let server = product.serve();
    reads(era, Way::Http(&server));
    github.assert_every_request_was_right();
}

fn over_stdio(reads: fn(Era, Way<'_>), era: Era) {
    let github = GitHub::start();
    let product = github.product();
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

/// A text that is in arguments, and in the audit trail never.
const STORY_CANARY: &str = "the-words-of-the-agent";

/// The story of one change, from an empty account to a release.
type Events = Vec<(String, String, String)>;

/// The events of asking GitHub what the credential may do, as before the first action that leaves the building, and the
/// others.
fn apart(trail: Events) -> (Events, Events) {
    trail.into_iter().partition(|(_, action, _)| action == "check")
}

#[test]
fn an_agent_takes_a_change_from_a_new_repository_to_a_release() {
    let github = GitHub::start();
    let product = github.product();
    let server = product.serve();
    let mut walk = Walk::start(&server, vec![("github", at(&github.url))]);
    let mut called = Vec::new();
    let mut call = |name: &str, mut arguments: Value| {
        let fields = arguments.as_object_mut().unwrap();
        if name != "create_repository" {
            fields.insert("owner".into(), "octocat".into());
            fields.insert("repo".into(), "story".into());
        }
        called.push(format!("github_{name}"));
        walk.call(&format!("github_{name}"), &arguments)
    };

    let created = call("create_repository", json!({"name": "story", "description": STORY_CANARY}));
    assert_eq!(created["repository"]["full_name"], "octocat/story");
    let committed = call(
        "commit_files",
        json!({
            "branch": "feature", "create_branch_from": "main", "message": "Add the program",
            "files": [
                {"path": "src/main.rs", "text": "fn main() {}\n"},
                {"path": "docs/use.md", "text": "# Use\n"},
                {"path": "run", "text": "#!/bin/sh\n", "executable": true},
            ],
        }),
    );
    let opened = call(
        "create_pull_request",
        json!({"title": "Add the program", "head": "feature", "base": "main", "body": STORY_CANARY}),
    );
    assert_eq!(opened["head"]["sha"], committed["sha"], "{opened}");
    let number = &opened["number"];
    let review = call(
        "review_pull_request",
        json!({"number": number, "verdict": "comment", "body": "Reads well."}),
    );
    assert_eq!(review["state"], "COMMENTED");
    let merged =
        call("merge_pull_request", json!({"number": number, "head_sha": committed["sha"]}));
    assert_eq!(merged["merged"], true);
    let issue = call("create_issue", json!({"title": "It prints nothing", "body": STORY_CANARY}));
    let closed = call(
        "update_issue",
        // With its title it is told no stranger's word, so that nobody is asked before what follows.
        json!({"number": issue["number"], "title": issue["title"], "state": "closed", "state_reason": "completed"}),
    );
    assert_eq!(closed["state"], "closed");
    let release = call("publish_release", json!({"tag": "v1.0.0", "notes": "The first."}));
    assert_eq!(release["tag"], "v1.0.0");

    // What GitHub says about it.
    let at = "/repos/octocat/story";
    let pull = github.get(&format!("{at}/pulls/{number}"));
    assert_eq!((&pull["merged"], &pull["state"]), (&json!(true), &json!("closed")));
    let tree = github.get(&format!("{at}/git/trees/main?recursive=1"));
    let mut files: Vec<(&str, &str)> = tree["tree"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["type"] == "blob")
        .map(|entry| (entry["path"].as_str().unwrap(), entry["mode"].as_str().unwrap()))
        .collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            ("README.md", "100644"),
            ("docs/use.md", "100644"),
            ("run", "100755"),
            ("src/main.rs", "100644")
        ]
    );
    let reviews = github.get(&format!("{at}/pulls/{number}/reviews"));
    assert_eq!(reviews[0]["body"], "Reads well.");
    assert_eq!(github.get(&format!("{at}/issues/{}", issue["number"]))["state"], "closed");
    let releases = github.get(&format!("{at}/releases"));
    assert_eq!(
        (&releases[0]["tag_name"], &releases[0]["body"]),
        (&json!("v1.0.0"), &json!("The first."))
    );
    github.assert_every_request_was_right();

    // What the audit trail says about it: each call once, before and after, and nothing of what was in it.
    let events = product.run(&["audit", "--json"], "").stdout;
    assert!(!events.contains(STORY_CANARY) && !events.contains("src/main.rs"), "{events}");
    let expected: Vec<_> = std::iter::once("connect".to_owned())
        .chain(called.drain(..))
        .flat_map(|action| {
            let intent = ("intent".to_owned(), action.clone(), "-".to_owned());
            [intent, ("result".to_owned(), action, "success".to_owned())]
        })
        .collect();
    let (checks, trail) = apart(product.trail("local"));
    assert_eq!((checks.len(), trail), (2, expected.clone()));
    let verified = product.must(&["audit", "--verify"], "").stdout;
    assert!(
        verified.contains(&format!("Whole. {} events", expected.len() + checks.len())),
        "{verified}"
    );

    let receipt = product.must(&["disconnect", "github"], "").stdout;
    assert!(receipt.contains("https://github.com/settings/tokens"), "{receipt}");
    assert_eq!(product.json(&["connections", "--json"]), json!([]));
    let refused = walk.refused("github_list_repositories", &json!({}));
    assert!(refused.contains("not_connected"), "{refused}");
}
