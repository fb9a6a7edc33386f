//! Agents see what is connected and ask their person to connect it: on a page of ours, which opens for nobody else.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::clients::{Era, Python, Way};
use crate::product::{Product, Server};
use crate::provider::{Provider, repository};

const KEY: &str = "github_pat_canary_typed_on_our_page";

fn product() -> (Provider, Product) {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    (provider, product)
}

/// Asks for a connection as a client that can lead its person to a page.
fn ask(server: &Server<'_>, more: &Value) -> Value {
    let mut params = json!({"name": "connect_integration", "arguments": {"integration": "github"}});
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    server.call_with(&[], &json!({"elicitation": {"url": {}}}), params).json()
}

fn accepted(state: &Value) -> Value {
    json!({"requestState": state, "inputResponses": {"page": {"action": "accept"}}})
}

/// The path and query of a link to this server.
fn path(server: &Server<'_>, link: &Value) -> String {
    let origin = server.url.trim_end_matches("/mcp");
    link.as_str().unwrap().strip_prefix(origin).expect("a link to this server").to_owned()
}

fn output(answer: &Value) -> &Value {
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    &answer["result"]["structuredContent"]
}

#[test]
fn an_agent_leads_its_person_to_the_page_and_hears_what_came_of_it() {
    let (_provider, product) = product();
    let server = product.serve();
    let asked = ask(&server, &json!({}));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let page = &asked["result"]["inputRequests"]["page"]["params"];
    assert_eq!(page["mode"], "url", "{asked}");
    let state = &asked["result"]["requestState"];
    let browser = Browser::of(&product, &server, "local");
    assert_eq!(browser.get(&path(&server, &page["url"])).status(), 200);
    assert_eq!(browser.post("/connect/github/key", &[("token", KEY)]).status(), 303);
    let answer = ask(&server, &accepted(state));
    assert_eq!(output(&answer)["status"], "active", "{answer}");
    assert_eq!(output(&answer)["account"], "octocat", "{answer}");
    // The state is used up.
    assert_eq!(ask(&server, &accepted(state))["error"]["code"], -32602);
    // It is not asked for again.
    let answer = ask(&server, &json!({}));
    assert_eq!(output(&answer)["status"], "active", "{answer}");
    let again = json!({"arguments": {"integration": "github", "again": true}});
    assert_eq!(ask(&server, &again)["result"]["resultType"], "input_required");
    let checked = server.call(&[], "check_connection", &json!({"integration": "github"})).json();
    assert!(output(&checked)["message"].as_str().unwrap().contains("GitHub answers"), "{checked}");
    let listed = server.call(&[], "list_integrations", &json!({})).json();
    let all = output(&listed)["integrations"].as_array().unwrap();
    let status = |id: &str| &all.iter().find(|one| one["integration"] == id).unwrap()["status"];
    assert_eq!((status("github"), status("stripe")), (&json!("active"), &json!("not_connected")));
    let messages = format!("{asked}{answer}{checked}{listed}");
    assert!(!messages.contains("canary"), "{messages}");
}

#[test]
fn the_state_of_a_request_belongs_to_its_caller_and_its_call() {
    let (_provider, product) = product();
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    let state = || ask(&server, &json!({}))["result"]["requestState"].clone();
    let can = json!({"elicitation": {"url": {}}});
    let call = |name: &str, integration: &str| {
        let mut params = accepted(&state());
        params["name"] = name.into();
        params["arguments"] = json!({ "integration": integration });
        params
    };
    let mut as_other = product.serve();
    as_other.token = product.token("acme", "agent");
    for (server, params) in [
        (&as_other, call("connect_integration", "github")),
        (&server, call("disconnect_integration", "github")),
        (&server, call("connect_integration", "stripe")),
    ] {
        let answer = server.call_with(&[], &can, params).json();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let strange = accepted(&json!("0".repeat(75)));
    assert_eq!(ask(&server, &strange)["error"]["code"], -32602);
    let declined =
        json!({"requestState": state(), "inputResponses": {"page": {"action": "decline"}}});
    let answer = ask(&server, &declined);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer.to_string().contains("did not want to open the page"), "{answer}");
}

#[test]
fn other_clients_get_a_link_that_opens_for_the_person_who_asked_alone() {
    let (provider, product) = product();
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    let arguments = json!({"integration": "github"});
    let asked = server.call(&[], "connect_integration", &arguments).json();
    assert_eq!(output(&asked)["status"], "not_connected");
    let link = path(&server, &output(&asked)["link"]);
    assert_eq!(Browser::new(&server).get(&link).status(), 401);
    let foreign = Browser::of(&product, &server, "acme").get(&link);
    assert_eq!(foreign.status(), 403, "{foreign:?}");
    assert_eq!(Browser::of(&product, &server, "local").get(&link).status(), 200);
    assert_eq!(provider.count(), 0);
    let unknown = server.call(&[], "connect_integration", &json!({"integration": "gitlab"}));
    assert!(unknown.body.contains("There is no integration `gitlab`"), "{unknown:?}");
    let wrong =
        server.call(&[], "connect_integration", &json!({"integration": "github", "key": "x"}));
    assert!(wrong.body.contains("unknown field `key`"), "{wrong:?}");
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(trail.contains("connect_integration") && trail.contains("\"resto\""), "{trail}");
}

#[test]
fn an_agent_disconnects_nothing_by_itself() {
    let (_provider, product) = product();
    product.must(&["connect", "github", "--key-stdin"], KEY);
    let server = product.serve();
    let arguments = json!({"integration": "github"});
    let asked = server.call(&[], "disconnect_integration", &arguments).json();
    assert_eq!(output(&asked)["status"], "active");
    let link = path(&server, &output(&asked)["link"]);
    let (link, fragment) = link.split_once('#').unwrap();
    let browser = Browser::of(&product, &server, "local");
    let page = browser.get(link);
    assert!(page.body.contains(&format!("id=\"{fragment}\"")), "{page:?}");
    assert_eq!(browser.post("/connect/github/disconnect", &[]).status(), 200);
    let checked = server.call(&[], "check_connection", &arguments).json();
    assert_eq!(output(&checked)["status"], "not_connected", "{checked}");
}

/// The official client shows its person the page, whichever way it came in.
fn shows_the_page(era: Era) {
    for door in 0..3 {
        let (_provider, product) = product();
        let server = product.serve();
        let browser = Browser::of(&product, &server, "local");
        let way = [Way::Http(&server), Way::Sse(&server), Way::Stdio(&product)][door];
        let mut agent = Python::with_person(era, way);
        let asked = agent.begin("connect_integration", &json!({"integration": "github"}));
        assert_eq!(asked["mode"], "url", "{asked}");
        assert!(asked["url"].as_str().unwrap().contains("/connect/github?request="), "{asked}");
        assert_eq!(browser.post("/connect/github/key", &[("token", KEY)]).status(), 303);
        assert_eq!(agent.act("accept").output()["account"], "octocat");
        agent.begin("disconnect_integration", &json!({"integration": "github"}));
        assert!(agent.act("decline").error().contains("did not want to open the page"));
    }
}

#[test]
fn the_python_client_shows_the_page() {
    shows_the_page(Era::Modern);
}

#[test]
fn the_python_client_of_the_older_generation_shows_the_page() {
    shows_the_page(Era::Legacy);
}
