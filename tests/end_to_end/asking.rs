//! Agents see what is connected and ask their person to connect it: on a page of ours, which opens for nobody else.

use base64::Engine;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::clients::{Era, Python, Way};
use crate::identity::Issuer;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};

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
fn a7_the_state_of_a_request_belongs_to_its_caller_and_its_call() {
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

const SET_SECRET: &str = "github_set_workflow_secret";
const VALUE: &str = "the-canary/value that no agent sees";

/// A GitHub that takes workflow secrets.
pub fn keeper() -> (Provider, Product) {
    let provider = Provider::github(|request| {
        let key = base64::engine::general_purpose::STANDARD.encode([9; 32]);
        match request.what() {
            what if what.starts_with("PUT") => Reply::json(201, &json!({})),
            what if what.ends_with("public-key") => {
                Reply::json(200, &json!({"key_id": "1", "key": key}))
            }
            _ => repository(request),
        }
    });
    let product = Product::connected(&provider.url, KEY);
    (provider, product)
}

fn workflow_secret(name: &str) -> Value {
    json!({"owner": "octocat", "repo": "hello-world", "name": name, "from": "deploy_key"})
}

fn puts(provider: &Provider) -> usize {
    provider.requests().iter().filter(|request| request.first.starts_with("PUT")).count()
}

#[test]
fn a_person_enters_the_value_that_an_action_wants_on_a_page_that_opens_for_nobody_else() {
    let (provider, product) = keeper();
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    let set = || server.call(&[], SET_SECRET, &workflow_secret("DEPLOY_KEY"));
    let asked = set().json();
    assert_eq!(asked["result"]["isError"], true, "{asked}");
    let error = &asked["result"]["_meta"]["dev.resto/error"];
    assert_eq!(error["code"], "action_required", "{asked}");
    let link = path(&server, &error["url"]);
    assert!(error["message"].as_str().unwrap().contains("make the very same call again"));
    assert_eq!(Browser::new(&server).get(&link).status(), 401);
    let stranger = Browser::of(&product, &server, "acme");
    assert_eq!(stranger.get(&link).status(), 404);
    assert_eq!(stranger.post(&link, &[("value", "theirs")]).status(), 404);
    // Somebody else of the same business: the page is theirs who asked.
    let person = Browser::of(&product, &server, "local");
    let page = person.get(&link);
    for words in ["deploy_key", "GitHub", "Set workflow secret", "octocat/hello-world"] {
        assert!(page.body.to_lowercase().contains(&words.to_lowercase()), "{words}: {page:?}");
    }
    let forged = person.send("POST", &link, &[], "value=forged&csrf=0");
    assert_eq!(forged.status(), 403);
    assert_eq!(person.post(&link, &[("value", "")]).status(), 422);
    assert_eq!(product.json(&["secret", "list", "--json"]), json!([]));
    let entered = person.post(&link, &[("value", VALUE)]);
    assert!(entered.body.contains("is stored"), "{entered:?}");
    assert!(!entered.body.contains("canary"), "{entered:?}");
    // The link is used up, and the very same call runs.
    assert_eq!(person.get(&link).status(), 404);
    assert_eq!(puts(&provider), 0);
    let done = set().json();
    assert_eq!(done["result"]["isError"], false, "{done}");
    assert_eq!(puts(&provider), 1);
    let trail = product.json(&["audit", "--json"]).to_string();
    assert!(trail.contains("secret.enter") && !trail.contains("canary"), "{trail}");
    assert_eq!(product.json(&["secrets", "list", "--json"]), json!(["deploy_key"]));
}

#[test]
fn c2_another_person_of_the_same_business_enters_no_value_for_an_agent_that_is_not_theirs() {
    let issuer = Issuer::start();
    let (provider, product) = keeper();
    product.configure(&format!(
        "[identity]\nissuer = \"{}\"\n[integrations.github]\nbase_url = \"{}\"\n",
        issuer.provider.url, provider.url
    ));
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    let mut server = product.serve();
    server.token = issuer.token(&server, &json!({"scope": "write"}));
    let asked = server.call(&[], SET_SECRET, &workflow_secret("DEPLOY_KEY")).json();
    let link = path(&server, &asked["result"]["_meta"]["dev.resto/error"]["url"]);
    // The agent is alice's; this is the owner.
    let owner = Browser::of(&product, &server, "acme");
    for refused in [owner.get(&link), owner.post(&link, &[("value", "theirs")])] {
        assert_eq!(refused.status(), 403, "{refused:?}");
        assert!(
            refused.body.contains("else&#39;s agent asked")
                || refused.body.contains("else's agent asked"),
            "{refused:?}"
        );
        assert!(!refused.body.contains("deploy_key"), "{refused:?}");
    }
    assert_eq!(product.json(&["--tenant", "acme", "secret", "list", "--json"]), json!([]));
    assert_eq!(puts(&provider), 0);
    let told = product.run(&["--tenant", "acme", "alerts", "--json"], "").stdout;
    assert!(told.contains("foreign_link") && told.contains("secret deploy_key"), "{told}");
}

#[test]
fn the_credential_of_a_connection_has_no_name_by_which_an_action_could_get_it() {
    let (provider, product) = keeper();
    let server = product.serve();
    let id = product.sql("SELECT lower(hex(id)) FROM integration_credentials");
    for name in ["github", "token", "credential github", "credential", "GitHub", id.trim()] {
        let mut arguments = workflow_secret("DEPLOY_KEY");
        arguments["from"] = name.into();
        let asked = server.call(&[], SET_SECRET, &arguments).json();
        let code = &asked["result"]["_meta"]["dev.resto/error"]["code"];
        assert_eq!(code, "action_required", "{name}: {asked}");
    }
    assert_eq!(puts(&provider), 0);
}

#[test]
fn a_value_is_stored_at_the_terminal_as_well() {
    let (provider, product) = keeper();
    product.must(&["secret", "set", "deploy_key", "--secret-stdin"], "line one\nline two\n");
    let server = product.serve();
    let done = server.call(&[], SET_SECRET, &workflow_secret("DEPLOY_KEY")).json();
    assert_eq!(done["result"]["isError"], false, "{done}");
    assert_eq!(puts(&provider), 1);
    let none = product.run(&["secret", "set", "deploy_key", "--secret-stdin"], "\n");
    assert!(none.stderr.contains("No value was given"), "{none:?}");
}

/// The official client leads its person to the page, and the call goes on.
fn enters_the_value(era: Era, by_stdio: bool) {
    let (provider, product) = keeper();
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let way = if by_stdio { Way::Stdio(&product) } else { Way::Http(&server) };
    let mut agent = Python::with_person(era, way);
    let asked = agent.begin(SET_SECRET, &workflow_secret("OTHER_KEY"));
    assert_eq!(asked["mode"], "url", "{asked}");
    assert!(agent.act("decline").error().contains("did not want to open the page"));
    let asked = agent.begin(SET_SECRET, &workflow_secret("DEPLOY_KEY"));
    // Where the agent has no server's address, the link is to where `serve` listens unless told otherwise.
    let link = asked["url"].as_str().unwrap();
    let link = &link[link.find("/secrets/").expect("a page of secrets")..];
    assert!(browser.post(link, &[("value", VALUE)]).body.contains("is stored"));
    let done = agent.act("accept");
    done.output();
    assert!(!format!("{asked}{done:?}").contains("canary"));
    assert_eq!(puts(&provider), 1);
}

#[test]
fn the_python_client_leads_to_the_page_of_a_secret_over_http() {
    enters_the_value(Era::Modern, false);
}

#[test]
fn the_python_client_of_the_older_generation_leads_to_the_page_of_a_secret_over_stdio() {
    enters_the_value(Era::Legacy, true);
}
