//! The official clients for Node, in both their generations, and agent frameworks, each in the same story.

use serde_json::{Value, json};

use crate::approvals::decide;
use crate::browser::Browser;
use crate::clients::{Agent, Answer, Node};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};

const READ: &str = "github_get_repository";
const DELETE: &str = "github_delete_repository";

/// A GitHub that deletes what it is told to, and has no repository `absent`.
pub fn github() -> Provider {
    Provider::github(|request| {
        if request.first.starts_with("DELETE") {
            Reply(204, Vec::new(), String::new())
        } else if request.what().ends_with("/absent") {
            Reply::json(404, &json!({"message": "Not Found"}))
        } else {
            repository(request)
        }
    })
}

/// How often a repository was deleted.
pub fn deletions(provider: &Provider) -> usize {
    provider.requests().iter().filter(|request| request.first.starts_with("DELETE")).count()
}

fn named(repo: &str) -> Value {
    json!({"owner": "octocat", "repo": repo})
}

/// The path of the page on which a call that was refused is approved.
#[track_caller]
fn page_of(server: &Server<'_>, answer: &Answer) -> String {
    let refused: Value = serde_json::from_str(answer.error()).unwrap();
    assert_eq!(refused["code"], "action_required", "{refused}");
    let origin = server.url.trim_end_matches("/mcp");
    refused["url"].as_str().unwrap().strip_prefix(origin).expect("a page of ours").to_owned()
}

/// What every client gets through: it lists, reads, is told what is wrong, has a person approve and decline, and has a
/// link where an account is connected. Its person is not asked by it: it only passes on links.
pub fn story(product: &Product, server: &Server<'_>, provider: &Provider, agent: &mut Agent) {
    let tools = agent.tools();
    for name in [READ, DELETE, "connect_integration"] {
        assert!(tools.iter().any(|tool| tool["name"] == name), "no {name}");
    }
    let read = agent.call(READ, &named("hello-world"));
    assert_eq!(read.output()["full_name"], "octocat/hello-world");
    let absent = agent.call(READ, &named("absent"));
    assert!(absent.error().contains("GitHub did not find it: Not Found."), "{absent:?}");

    let page = page_of(server, &agent.call(DELETE, &named("hello-world")));
    let browser = Browser::of(product, server, "local");
    assert_eq!(deletions(provider), 0);
    assert_eq!(decide(&browser, &page, "approve", "octocat/hello-world").status(), 200);
    agent.call(DELETE, &named("hello-world")).output();
    assert_eq!(deletions(provider), 1);
    let page = page_of(server, &agent.call(DELETE, &named("other")));
    assert_eq!(decide(&browser, &page, "decline", "").status(), 200);
    let declined = agent.call(DELETE, &named("other"));
    assert!(declined.error().contains("declined this"), "{declined:?}");
    assert_eq!(deletions(provider), 1);

    let asked = agent.call("connect_integration", &json!({"integration": "vercel"}));
    let link = asked.output()["link"].as_str().unwrap();
    let path = link.strip_prefix(server.url.trim_end_matches("/mcp")).expect("a page of ours");
    assert_eq!(browser.get(path).status(), 200);
}

/// Over HTTP, and over the transport that was before it.
fn lives(client: &str) {
    for door in ["/mcp", "/sse"] {
        let provider = github();
        let product = Product::connected(&provider.url, "github_pat_of_a_test");
        let server = product.serve();
        let mut agent = Node::connect(client, &server.at(door), &server.token);
        story(&product, &server, &provider, &mut agent);
    }
}

/// A client that can ask its person in a form does.
fn asks(client: &str) {
    for door in ["/mcp", "/sse"] {
        let provider = github();
        let product = Product::connected(&provider.url, "github_pat_of_a_test");
        let server = product.serve();
        let mut agent = Node::with_person(client, &server.at(door), &server.token);
        let asked = agent.begin(DELETE, &named("hello-world"));
        assert!(asked["message"].as_str().unwrap().contains("octocat/hello-world"), "{asked}");
        agent.act_with("accept", &json!({"name": "octocat/hello-world"})).output();
        assert_eq!(deletions(&provider), 1);
        agent.begin(DELETE, &named("other"));
        let declined = agent.act("decline");
        assert!(declined.error().contains("declined this"), "{declined:?}");
        assert_eq!(deletions(&provider), 1);
    }
}

#[test]
fn the_node_client_of_the_first_generation_reads_and_passes_on_links() {
    lives("sdk");
}

#[test]
fn the_node_client_of_the_first_generation_asks_its_person() {
    asks("sdk");
}

#[test]
fn the_node_client_of_the_second_generation_reads_and_passes_on_links() {
    lives("client");
}

#[test]
fn the_node_client_of_the_second_generation_asks_its_person() {
    asks("client");
}

#[test]
fn the_ai_sdk_reads_and_passes_on_links() {
    lives("ai-sdk");
}

#[test]
fn the_ai_sdk_asks_its_person() {
    asks("ai-sdk");
}

#[test]
fn langchain_reads_and_passes_on_links() {
    lives("langchain");
}
