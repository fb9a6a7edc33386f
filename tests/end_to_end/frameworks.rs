//! The official clients for Node and the Inspector, in both their generations, and agent frameworks, each in the same story.

use serde_json::{Value, json};

use crate::approvals::decide;
use crate::browser::Browser;
use crate::clients::{Agent, Answer, LangChain, Node, Way};
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
    path_of(server, &refused["url"])
}

/// Where a link leads at this server.
#[track_caller]
fn path_of(server: &Server<'_>, link: &Value) -> String {
    let link = link.as_str().expect("a link");
    // An agent on this machine knows no server: its links lead to where one listens unless told otherwise.
    let ours = [server.url.trim_end_matches("/mcp"), "http://127.0.0.1:8787"];
    ours.iter().find_map(|origin| link.strip_prefix(origin)).expect("a page of ours").to_owned()
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
    let path = path_of(server, &asked.output()["link"]);
    assert_eq!(browser.get(&path).status(), 200);
}

/// By each way into the product.
fn by_each(story: impl Fn(&Product, &Server<'_>, &Provider, Way<'_>)) {
    for door in 0..3 {
        let provider = github();
        let product = Product::connected(&provider.url, "github_pat_of_a_test");
        let server = product.serve();
        let way = [Way::Http(&server), Way::Sse(&server), Way::Stdio(&product)][door];
        story(&product, &server, &provider, way);
    }
}

/// Each client passes on what it is told.
fn lives(client: impl Fn(Way<'_>) -> Agent) {
    by_each(|product, server, provider, way| story(product, server, provider, &mut client(way)));
}

/// A client that can ask its person in a form does, and leads them to a page if it can.
fn asks(leads: bool, client: impl Fn(Way<'_>) -> Agent) {
    by_each(|product, server, provider, way| {
        let mut agent = client(way);
        let asked = agent.begin(DELETE, &named("hello-world"));
        assert!(asked["message"].as_str().unwrap().contains("octocat/hello-world"), "{asked}");
        agent.act_with("accept", &json!({"name": "octocat/hello-world"})).output();
        assert_eq!(deletions(provider), 1);
        agent.begin(DELETE, &named("other"));
        let declined = agent.act("decline");
        assert!(declined.error().contains("declined this"), "{declined:?}");
        assert_eq!(deletions(provider), 1);
        if leads {
            let asked = agent.begin("connect_integration", &json!({"integration": "vercel"}));
            assert_eq!(asked["mode"], "url", "{asked}");
            let browser = Browser::of(product, server, "local");
            assert_eq!(browser.get(&path_of(server, &asked["url"])).status(), 200);
            let left = agent.act("cancel");
            assert!(left.error().contains("did not want to open the page"), "{left:?}");
        }
    });
}

#[test]
fn the_node_client_of_the_first_generation_reads_and_passes_on_links() {
    lives(|way| Node::by("sdk", way, false));
}

#[test]
fn the_node_client_of_the_first_generation_asks_its_person() {
    asks(true, |way| Node::by("sdk", way, true));
}

#[test]
fn the_node_client_of_the_second_generation_reads_and_passes_on_links() {
    lives(|way| Node::by("client", way, false));
}

#[test]
fn the_node_client_of_the_second_generation_asks_its_person() {
    asks(true, |way| Node::by("client", way, true));
}

#[test]
fn the_ai_sdk_reads_and_passes_on_links() {
    lives(|way| Node::by("ai-sdk", way, false));
}

#[test]
fn the_ai_sdk_asks_its_person() {
    asks(false, |way| Node::by("ai-sdk", way, true));
}

#[test]
fn langchain_reads_and_passes_on_links() {
    lives(|way| Node::by("langchain", way, false));
}

#[test]
fn langchain_for_python_reads_and_passes_on_links() {
    lives(|way| LangChain::by(way, false));
}

#[test]
fn langchain_for_python_asks_its_person() {
    asks(true, |way| LangChain::by(way, true));
}

#[test]
fn the_inspector_reads_and_passes_on_links() {
    lives(|way| Node::by("mcpdo-modern", way, false));
}

#[test]
fn the_inspector_asks_its_person() {
    asks(true, |way| Node::by("mcpdo-modern", way, true));
}

#[test]
fn the_inspector_of_the_older_generation_reads_and_passes_on_links() {
    lives(|way| Node::by("mcpdo-legacy", way, false));
}

#[test]
fn the_inspector_of_the_older_generation_asks_its_person() {
    asks(true, |way| Node::by("mcpdo-legacy", way, true));
}
