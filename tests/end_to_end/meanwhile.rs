//! What another process changes between two calls of an agent holds for the second one, however shortly after the first it
//! comes.

use serde_json::{Value, json};

use crate::postgres::on_both;
use crate::product::Server;
use crate::provider::{Provider, Reply, repository};

const KEY: &str = "github_pat_of_a_test";

fn read(host: &Server<'_>, name: &str) -> Value {
    let arguments = json!({"owner": "octocat", "repo": name});
    host.call(&[], "github_get_repository", &arguments).json()["result"].clone()
}

/// The error of a call that is refused before the provider is asked.
fn refused(provider: &Provider, host: &Server<'_>, name: &str) -> Value {
    let before = provider.count();
    let result = read(host, name);
    assert_eq!((provider.count(), &result["isError"]), (before, &Value::Bool(true)), "{result}");
    result["_meta"]["dev.resto/error"].clone()
}

#[test]
fn an_account_that_was_disconnected_meanwhile_is_not_asked() {
    let provider = Provider::github(repository);
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let server = product.serve();
        assert_eq!(read(&server, "hello")["isError"], false);
        product.must(&["disconnect", "github"], "");
        let told = refused(&provider, &server, "hello");
        assert_eq!(told["code"], "not_connected", "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("connect_integration"), "{message}");
        // Both are in the trail: the call that was answered, and the one that was not.
        let trail = product.trail("local");
        let ends = trail.iter().filter(|(_, action, _)| action == "github_get_repository");
        let ends: Vec<_> = ends.map(|(_, _, status)| status.as_str()).collect();
        assert_eq!(ends.len(), 2, "{ends:?}");
        assert!(ends.contains(&"success") && ends.contains(&"denied"), "{ends:?}");
        product.must(&["connect", "github", "--key-stdin"], KEY);
        assert_eq!(read(&server, "hello")["isError"], false);
    });
}

#[test]
fn a_right_that_another_host_found_missing_meanwhile_is_missed() {
    let provider = Provider::github(|request| match request.what() {
        "GET /repos/octocat/hidden" => {
            let needed = ("x-accepted-github-permissions", "metadata=read".to_owned());
            let json = ("content-type", "application/json".to_owned());
            Reply(403, vec![json, needed], json!({"message": "Not accessible"}).to_string())
        }
        _ => repository(request),
    });
    on_both(&provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let (one, other) = (product.serve(), product.serve());
        assert_eq!(read(&other, "hello")["isError"], false);
        let told = read(&one, "hidden")["_meta"]["dev.resto/error"].clone();
        assert_eq!(told["code"], "permission_denied", "{told}");
        let told = refused(&provider, &other, "hello");
        assert_eq!(told["code"], "permission_denied", "{told}");
        assert!(told["url"].as_str().is_some_and(|url| url.contains("/connect/github")), "{told}");
    });
}
