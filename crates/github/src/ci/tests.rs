//! The tests of proposing a workflow.

use std::time::Duration;

use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::GITHUB;

const OLD: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";
const NEW: &str = "aa218f56b14c9653891f9e74264a383fa43fefbd";

/// A repository that accepts the workflow on a new branch; the new tree is `tree`.
async fn repository(tree: &str) -> FakeApi {
    FakeApi::new(&GITHUB)
        .await
        .on("GET", "/repos/o/r", 200, json!({"full_name": "o/r", "private": true, "default_branch": "trunk", "html_url": "u"}))
        .on("GET", "/repos/o/r/commits/trunk", 200, json!({"sha": OLD, "commit": {"tree": {"sha": "old"}}}))
        .on("POST", "/repos/o/r/git/trees", 201, json!({"sha": tree}))
        .on("POST", "/repos/o/r/git/commits", 201, json!({"sha": NEW, "html_url": "c"}))
        .on("POST", "/repos/o/r/git/refs", 201, json!({"ref": "refs/heads/ci/go"}))
}

fn arguments(more: Value) -> Value {
    let mut arguments = json!({"owner": "o", "repo": "r", "stack": "go"});
    if let Value::Object(more) = more {
        arguments.as_object_mut().unwrap().extend(more);
    }
    arguments
}

/// What git knows the content of the workflow by.
fn workflow() -> String {
    let asked: ConfigureCi = serde_json::from_value(arguments(json!({}))).unwrap();
    let text = asked.stack.workflow(&asked.version().unwrap(), "trunk");
    let file = json!({"path": "go.yml", "text": text});
    serde_json::from_value::<NewFile>(file).unwrap().blob().unwrap()
}

fn opened() -> Value {
    crate::pulls::tests::pull(5)
}

/// The branch with the commit of the workflow, and the pull requests of it that are open.
async fn proposed(pulls: Value) -> FakeApi {
    let listed = json!([{"sha": NEW, "html_url": "c", "author": {"id": 1}, "parents": [{"sha": OLD}],
        "commit": {"message": "Build and test with GitHub Actions (go)", "tree": {"sha": "new"}}}]);
    repository("new")
        .await
        .connected("1")
        .on("GET", "/repos/o/r/commits", 200, listed)
        .on("GET", "/repos/o/r/git/trees/new", 200, json!({"truncated": false, "tree": [
            {"path": ".github/workflows/go.yml", "mode": "100644", "type": "blob", "sha": workflow()},
        ]}))
        .on("GET", "/repos/o/r/pulls", 200, pulls)
}

#[tokio::test]
async fn finds_the_workflow_and_its_pull_request_where_an_answer_was_lost() {
    for (pulls, is_open) in [(json!([opened()]), true), (json!([]), false)] {
        let lost = json!({"message": "Server Error"});
        let first = proposed(pulls.clone()).await.on("POST", "/repos/o/r/pulls", 502, lost);
        let again = proposed(pulls).await.reconciling(Duration::from_mins(3));
        for fake in [first, again] {
            match fake.run::<ConfigureCi>(arguments(json!({}))).await {
                Ok(told) => assert!(is_open && told["pull_request"] == 5, "{told}"),
                Err(error) => {
                    assert!(!is_open && error.code() == Code::UnknownOutcome, "{error}");
                    assert!(error.message().ends_with("on the new branch `ci/go`."), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn proposes_a_workflow_in_a_pull_request() {
    let fake = repository("new").await.on("POST", "/repos/o/r/pulls", 201, opened());
    let proposed = fake.run::<ConfigureCi>(arguments(json!({"version": "1.26"}))).await.unwrap();
    assert_eq!(
        proposed,
        json!({"pull_request": 5, "url": "https://github.com/octocat/hello/pull/5", "branch": "ci/go", "path": ".github/workflows/go.yml"})
    );
    let requests = fake.requests().await;
    let file = &requests[2].body["tree"][0];
    assert_eq!(file["path"], ".github/workflows/go.yml");
    let workflow = file["content"].as_str().unwrap();
    assert!(workflow.contains("branches: ['trunk']"), "{workflow}");
    assert!(workflow.contains("          go-version: '1.26'\n      - run: go build"), "{workflow}");
    assert_eq!(requests[4].body, json!({"ref": "refs/heads/ci/go", "sha": NEW}));
    let sent = &requests[5].body;
    assert_eq!((&sent["head"], &sent["base"]), (&json!("ci/go"), &json!("trunk")));
}

#[tokio::test]
async fn tells_where_the_workflow_is_when_the_pull_request_is_refused() {
    let fake = repository("new").await.on(
        "POST",
        "/repos/o/r/pulls",
        403,
        json!({"message": "Resource not accessible by personal access token"}),
    );
    let error = fake.run::<ConfigureCi>(arguments(json!({}))).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(error.message().contains("on the new branch `ci/go`"), "{error}");
}

#[tokio::test]
async fn makes_no_branch_when_the_workflow_is_there_already() {
    let fake = repository("old").await;
    let error = fake.run::<ConfigureCi>(arguments(json!({}))).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(!fake.requests().await.iter().any(|r| r.path.ends_with("git/refs")));
}

#[tokio::test]
async fn refuses_a_version_that_is_none() {
    let fake = FakeApi::new(&GITHUB).await;
    for wrong in [
        json!({"version": "1; curl x"}),
        json!({"version": ""}),
        json!({"stack": "docker", "version": "1"}),
    ] {
        let error = fake.run::<ConfigureCi>(arguments(wrong)).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("version"));
    }
    assert!(fake.requests().await.is_empty());
}

#[test]
fn each_stack_checks_out_and_has_steps_at_one_depth() {
    for stack in [Stack::Node, Stack::Python, Stack::Rust, Stack::Go, Stack::Docker] {
        let workflow = stack.workflow("1", "it's");
        assert!(workflow.contains("branches: ['it''s']"), "{workflow}");
        let (_, steps) = workflow.split_once("    steps:\n").unwrap();
        assert!(steps.starts_with("      - uses: actions/checkout@"), "{workflow}");
        assert!(steps.matches("\n      - ").count() >= 2, "{workflow}");
        assert!(steps.ends_with('\n') && !steps.contains("\n\n"), "{workflow}");
    }
}
