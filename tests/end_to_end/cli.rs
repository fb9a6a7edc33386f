//! The command line, without a server.

use crate::product::Product;
use crate::standin::GitHub;

const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

#[test]
fn calls_a_tool_of_a_connected_account() {
    let github = GitHub::start();
    let product = github.product();
    let called = product.run(&READ, "");
    assert!(called.status.success(), "{called:?}");
    assert!(called.stdout.contains("octocat/hello-world"), "{called:?}");
    github.assert_every_request_was_right();
}

#[test]
fn refuses_a_key_that_the_provider_refuses_and_never_shows_it() {
    let github = GitHub::start();
    let product = Product::at(&github.url);
    let key = "github_pat_that_nobody_gave";
    let connected = product.run(&["connect", "github", "--key-stdin"], key);
    assert!(!connected.status.success(), "{connected:?}");
    assert!(connected.stderr.contains("GitHub refused"), "{connected:?}");
    assert!(!format!("{connected:?}").contains(key), "{connected:?}");
    assert!(!product.run(&READ, "").status.success());
}

#[test]
fn a_disconnected_account_is_out_of_reach() {
    let github = GitHub::start();
    let product = github.product();
    let disconnected = product.run(&["disconnect", "github"], "");
    assert!(disconnected.status.success(), "{disconnected:?}");
    let called = product.run(&READ, "");
    assert!(!called.status.success(), "{called:?}");
    assert!(called.stderr.contains("connect github"), "{called:?}");
}
