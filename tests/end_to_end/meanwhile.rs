//! What another process changes between two calls of an agent holds for the second one, however shortly after the first it
//! comes.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::postgres::{on_both, on_both_with_sql};
use crate::product::Server;
use crate::provider::{Provider, Reply, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";

fn call(host: &Server<'_>, tool: &str) -> Value {
    let arguments = json!({"owner": "octocat", "repo": "hello"});
    host.call(&[], tool, &arguments).json()["result"].clone()
}

/// The error of a call that is refused before the provider is asked.
fn refused(provider: &Provider, host: &Server<'_>, tool: &str) -> Value {
    let before = provider.count();
    let result = call(host, tool);
    assert_eq!((provider.count(), &result["isError"]), (before, &Value::Bool(true)), "{result}");
    result["_meta"]["dev.resto/error"].clone()
}

#[test]
fn an_account_that_was_disconnected_meanwhile_is_not_asked() {
    let provider = Provider::github(repository);
    on_both_with_sql(&provider, |product, sql| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let server = product.serve();
        // What the first one tells of the key is stored, and the second one finds it so.
        assert_eq!(call(&server, READ)["isError"], false);
        assert_eq!(call(&server, READ)["isError"], false);
        // Sooner than a process could start that does it.
        sql("DELETE FROM integration_credentials");
        let told = refused(&provider, &server, READ);
        assert_eq!(told["code"], "not_connected", "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("connect_integration"), "{message}");
        // All are in the trail: the calls that were answered, and the one that was not.
        let trail = product.trail("local");
        let ends = trail.iter().filter(|(_, action, status)| action == READ && status != "-");
        let mut ends: Vec<_> = ends.map(|(_, _, status)| status.as_str()).collect();
        ends.sort_unstable();
        assert_eq!(ends, ["denied", "success", "success"]);
        product.must(&["connect", "github", "--key-stdin"], KEY);
        assert_eq!(call(&server, READ)["isError"], false);
    });
}

#[test]
fn a_right_that_another_host_found_missing_meanwhile_is_missed() {
    const LIST: &str = "github_list_issues";
    let scopes = Arc::new(Mutex::new("repo"));
    let tells = Arc::clone(&scopes);
    let provider = Provider::start(move |request| match request.what() {
        "GET /user" => {
            let body = json!({"id": 1, "login": "octocat", "type": "User", "html_url": "u"});
            let json = ("content-type", "application/json".to_owned());
            let scopes = ("x-oauth-scopes", (*tells.lock().unwrap()).to_owned());
            Reply(200, vec![json, scopes], body.to_string())
        }
        _ => Reply::json(200, &json!([])),
    });
    on_both(&provider, |product| {
        *scopes.lock().unwrap() = "repo";
        product.must(&["connect", "github", "--key-stdin"], "ghp_of_a_test");
        let (one, other) = (product.serve(), product.serve());
        let listed = call(&one, LIST);
        assert_eq!(listed["isError"], false, "{listed}");
        *scopes.lock().unwrap() = "gist";
        let create = json!({"owner": "octocat", "repo": "hello", "title": "x"});
        let asked = other.call(&[], "github_create_issue", &create).json()["result"].clone();
        assert_eq!(asked["_meta"]["dev.resto/error"]["code"], "permission_denied", "{asked}");
        let told = refused(&provider, &one, LIST);
        assert_eq!(told["code"], "permission_denied", "{told}");
        assert!(told["url"].as_str().is_some_and(|url| url.contains("/connect/github")), "{told}");
    });
}

#[test]
fn nobody_is_asked_about_a_call_that_another_host_found_to_be_in_vain_meanwhile() {
    const BUSY: &str = "github_list_branches";
    const ASKED: &str = "github_list_issues";
    let provider = Provider::github(|request| {
        if request.what().contains("/branches") {
            return Reply(429, vec![("retry-after", "600".into())], "{}".into());
        }
        repository(request)
    });
    on_both(&provider, |product| {
        let rule = format!("[[rules]]\ndecide = \"ask\"\naction = \"{ASKED}\"\n");
        product
            .configure(&format!("[integrations.github]\nbase_url = \"{}\"\n{rule}", provider.url));
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let (one, other) = (product.serve(), product.serve());
        assert_eq!(call(&one, READ)["isError"], false);
        assert_eq!(call(&one, READ)["isError"], false);
        let told = &call(&other, BUSY)["_meta"]["dev.resto/error"];
        assert_eq!(told["code"], "rate_limited", "{told}");
        let told = refused(&provider, &one, ASKED);
        assert_eq!(told["code"], "rate_limited", "{told}");
    });
}
