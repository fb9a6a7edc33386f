//! The tests of committing: what is sent in which order, and what is told when it fails.

use std::time::Duration;

use resto_testing::{FakeApi, Recorded};
use serde_json::{Value, json};

use super::*;
use crate::GITHUB;

const OLD: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";
const NEW: &str = "aa218f56b14c9653891f9e74264a383fa43fefbd";
const REF: &str = "/repos/o/r/git/ref/heads/main";
const REFS: &str = "/repos/o/r/git/refs/heads/main";

fn points_to(sha: &str) -> Value {
    json!({"ref": "refs/heads/main", "object": {"type": "commit", "sha": sha}})
}

fn commit(sha: &str, tree: &str) -> Value {
    json!({"sha": sha, "html_url": format!("https://github.com/o/r/commit/{sha}"), "tree": {"sha": tree}})
}

/// A repository whose branch `main` is at `OLD`, where `NEW` can be stored.
async fn repository() -> FakeApi {
    FakeApi::new(&GITHUB)
        .await
        .on("GET", REF, 200, points_to(OLD))
        .on("GET", &format!("/repos/o/r/git/commits/{OLD}"), 200, commit(OLD, "old"))
        .on("GET", "/repos/o/r/git/trees/old", 200, json!({"sha": "old", "tree": [{"path": "b.txt", "mode": "100644", "type": "blob", "sha": "b"}], "truncated": false}))
        .on("POST", "/repos/o/r/git/trees", 201, json!({"sha": "new", "tree": [], "truncated": false}))
        .on("POST", "/repos/o/r/git/commits", 201, commit(NEW, "new"))
}

fn arguments(more: Value) -> Value {
    let mut arguments = json!({"owner": "o", "repo": "r", "branch": "main", "message": "Say hello",
        "files": [{"path": "a.txt", "text": "hello"}]});
    if let Value::Object(more) = more {
        arguments.as_object_mut().unwrap().extend(more);
    }
    arguments
}

fn steps(requests: &[Recorded]) -> Vec<String> {
    requests
        .iter()
        .map(|request| {
            format!("{} {}", request.method, request.path.trim_start_matches("/repos/o/r/"))
        })
        .collect()
}

#[tokio::test]
async fn commits_additions_and_deletions_at_once() {
    let fake = repository().await.on("PATCH", REFS, 200, points_to(NEW));
    let committed =
        fake.run::<CommitFiles>(arguments(json!({"deletions": ["b.txt"]}))).await.unwrap();
    assert_eq!(
        committed,
        json!({"branch": "main", "sha": NEW, "url": format!("https://github.com/o/r/commit/{NEW}"), "changed": true})
    );
    let requests = fake.requests().await;
    assert_eq!(
        steps(&requests[2..]),
        ["GET git/trees/old", "POST git/trees", "POST git/commits", "PATCH git/refs/heads/main"]
    );
    assert_eq!(
        requests[3].body,
        json!({"base_tree": "old", "tree": [
            {"content": "hello", "path": "a.txt", "mode": "100644", "type": "blob"},
            {"path": "b.txt", "mode": "100644", "type": "blob", "sha": null}]})
    );
    assert_eq!(requests[4].body, json!({"message": "Say hello", "tree": "new", "parents": [OLD]}));
    assert_eq!(requests[5].body, json!({"sha": NEW, "force": false}));
    assert_eq!(fake.progress(), ["Making the commit", "Moving the branch"]);
}

#[tokio::test]
async fn a_new_branch_appears_with_the_commit_in_it() {
    let fake = repository()
        .await
        .on(
            "GET",
            "/repos/o/r/commits/v1",
            200,
            json!({"sha": OLD, "commit": {"tree": {"sha": "old"}}}),
        )
        .on("POST", "/repos/o/r/git/refs", 201, points_to(NEW));
    let more = json!({"branch": "feat/x", "create_branch_from": "v1"});
    let committed = fake.run::<CommitFiles>(arguments(more)).await.unwrap();
    assert_eq!((&committed["branch"], &committed["sha"]), (&json!("feat/x"), &json!(NEW)));
    let requests = fake.requests().await;
    assert_eq!(requests.last().unwrap().body, json!({"ref": "refs/heads/feat/x", "sha": NEW}));
    assert!(!steps(&requests).iter().any(|step| step.starts_with("PATCH")));
}

#[tokio::test]
async fn begins_again_after_what_somebody_pushed() {
    let overtaken = json!({"message": "Update is not a fast forward"});
    let fake = FakeApi::new(&GITHUB)
        .await
        .on("GET", REF, 200, points_to(OLD))
        .on("GET", REF, 200, points_to("their"))
        .on("GET", &format!("/repos/o/r/git/commits/{OLD}"), 200, commit(OLD, "old"))
        .on("GET", "/repos/o/r/git/commits/their", 200, commit("their", "theirs"))
        .on("POST", "/repos/o/r/git/trees", 201, json!({"sha": "new"}))
        .on("POST", "/repos/o/r/git/commits", 201, commit(NEW, "new"))
        .on("PATCH", REFS, 422, overtaken)
        .on("PATCH", REFS, 200, points_to(NEW));
    let files = json!({"files": [{"path": "a", "text": "x", "executable": false}]});
    let committed = fake.run::<CommitFiles>(arguments(files)).await.unwrap();
    assert_eq!(committed["sha"], NEW);
    let requests = fake.requests().await;
    let bases: Vec<&Value> = requests
        .iter()
        .filter(|r| r.path.ends_with("git/trees"))
        .map(|r| &r.body["base_tree"])
        .collect();
    assert_eq!(bases, ["old", "theirs"]);
    assert!(fake.progress().iter().any(|told| told.contains("pushed in between")));
}

#[tokio::test]
async fn gives_up_when_others_push_all_the_time() {
    let overtaken = json!({"message": "Update is not a fast forward"});
    let fake = repository().await.on("PATCH", REFS, 422, overtaken);
    let error = fake.run::<CommitFiles>(arguments(json!({}))).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("4 tries were refused"), "{error}");
    assert_eq!(fake.requests().await.iter().filter(|r| r.method == "PATCH").count(), 4);
}

#[tokio::test]
async fn looks_whether_the_branch_moved_when_the_answer_was_lost() {
    for (found, succeeds) in [(NEW, true), (OLD, false)] {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", REF, 200, points_to(OLD))
            .on("GET", REF, 200, points_to(found))
            .on("GET", &format!("/repos/o/r/git/commits/{OLD}"), 200, commit(OLD, "old"))
            .on("POST", "/repos/o/r/git/trees", 201, json!({"sha": "new"}))
            .on("POST", "/repos/o/r/git/commits", 201, commit(NEW, "new"))
            .on("PATCH", REFS, 502, json!({"message": "Server Error"}))
            .on("GET", "/repos/o/r/commits", 200, json!([]));
        let files = json!({"files": [{"path": "a", "text": "x", "executable": false}]});
        let result = fake.run::<CommitFiles>(arguments(files)).await;
        assert_eq!(
            result.map_err(|e| e.code()).map(|_| ()),
            if succeeds { Ok(()) } else { Err(Code::UnknownOutcome) }
        );
        assert_eq!(fake.requests().await.iter().filter(|r| r.method == "PATCH").count(), 1);
    }
}

/// A commit as GitHub lists it: after `parent`, by the connected account.
fn listed(sha: &str, parent: &str, tree: &str) -> Value {
    json!({"sha": sha, "html_url": format!("https://github.com/o/r/commit/{sha}"), "author": {"login": "o", "id": 1},
        "commit": {"message": "Say hello\n", "tree": {"sha": tree}}, "parents": [{"sha": parent}]})
}

/// Content as git knows it: `hello`.
const HELLO: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
const A: (&str, &str, &str) = ("a.txt", "100644", HELLO);

/// A tree of files and what git knows their contents by.
fn tree(files: &[(&str, &str, &str)], truncated: bool) -> Value {
    let nodes = files
        .iter()
        .map(|(path, mode, sha)| json!({"path": path, "mode": mode, "type": "blob", "sha": sha}));
    json!({"sha": "t", "tree": nodes.collect::<Vec<_>>(), "truncated": truncated})
}

#[tokio::test]
async fn finds_a_commit_whose_answer_was_lost_by_what_is_in_it() {
    let ours = listed(NEW, OLD, "new");
    let with = |pointer: &str, value: Value| {
        let mut other = ours.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        json!([other])
    };
    let later = listed("their", NEW, "kept");
    for (shown, is_found) in [
        (json!([later, ours]), true),
        (json!([]), false),
        (with("/commit/tree/sha", json!("kept")), false),
        (with("/commit/tree/sha", json!("other")), false),
        (with("/commit/tree/sha", json!("without")), false),
        (with("/commit/tree/sha", json!("executable")), false),
        (with("/commit/tree/sha", json!("cut")), false),
        (with("/commit/message", json!("Say")), false),
        (with("/author/id", json!(2)), false),
        (with("/author", Value::Null), false),
        (with("/parents", json!([])), true),
        (with("/parents", json!([{"sha": OLD}, {"sha": "their"}])), false),
    ] {
        for again in [false, true] {
            let mut fake = repository()
                .await
                .connected("1")
                .on("PATCH", REFS, 502, json!({"message": "Server Error"}))
                .on("GET", "/repos/o/r/commits", 200, shown.clone());
            for (name, files, truncated) in [
                ("new", &[A][..], false),
                ("kept", &[A, ("b.txt", "100644", "b")], false),
                ("other", &[("a.txt", "100644", "b")], false),
                ("without", &[], false),
                ("executable", &[("a.txt", "100755", HELLO)], false),
                ("cut", &[A], true),
            ] {
                let path = format!("/repos/o/r/git/trees/{name}");
                fake = fake.on("GET", &path, 200, tree(files, truncated));
            }
            if again {
                fake = fake.reconciling(Duration::from_mins(3));
            }
            let files = json!([{"path": "a.txt", "text": "hello", "executable": false}]);
            let asked = arguments(json!({"files": files, "deletions": ["b.txt"]}));
            match fake.run::<CommitFiles>(asked).await {
                Ok(told) => assert!(is_found && told["sha"] == NEW, "{told}"),
                Err(error) => assert!(!is_found && error.code() == Code::UnknownOutcome, "{error}"),
            }
            let requests = fake.requests().await;
            let moved = requests.iter().filter(|request| request.method == "PATCH").count();
            assert_eq!(moved, usize::from(!again));
            assert!(!again || requests.iter().all(|request| request.method == "GET"));
            let looked = requests.iter().find(|request| request.path == "/repos/o/r/commits");
            assert_eq!(looked.unwrap().query["sha"], "main");
        }
    }
}

#[tokio::test]
async fn makes_no_commit_when_nothing_changes() {
    let fake = FakeApi::new(&GITHUB)
        .await
        .on("GET", REF, 200, points_to(OLD))
        .on("GET", &format!("/repos/o/r/git/commits/{OLD}"), 200, commit(OLD, "old"))
        .on("POST", "/repos/o/r/git/trees", 201, json!({"sha": "old"}));
    let files = json!({"files": [{"path": "a", "text": "x", "executable": false}]});
    let committed = fake.run::<CommitFiles>(arguments(files)).await.unwrap();
    assert_eq!(committed, json!({"branch": "main", "sha": OLD, "changed": false}));
}

const EMPTY: &str = "Git Repository is empty.";

#[tokio::test]
async fn begins_an_empty_repository_with_one_file() {
    let fake = FakeApi::new(&GITHUB)
        .await
        .on("GET", REF, 409, json!({"message": EMPTY}))
        .on(
            "PUT",
            "/repos/o/r/contents/b/c.txt",
            201,
            json!({"content": {}, "commit": commit(OLD, "old")}),
        )
        .on(
            "GET",
            "/repos/o/r/git/trees/old",
            200,
            json!({"sha": "old", "tree": [], "truncated": false}),
        )
        .on("POST", "/repos/o/r/git/trees", 201, json!({"sha": "new"}))
        .on("POST", "/repos/o/r/git/commits", 201, commit(NEW, "new"))
        .on("PATCH", REFS, 200, points_to(NEW));
    let files = json!({"files": [{"path": "run", "text": "#!", "executable": true}, {"path": "b/c.txt", "text": "hello"}, {"path": "d", "text": ""}]});
    let committed = fake.run::<CommitFiles>(arguments(files)).await.unwrap();
    assert_eq!((&committed["first_sha"], &committed["sha"]), (&json!(OLD), &json!(NEW)));
    let requests = fake.requests().await;
    assert_eq!(
        requests[1].body,
        json!({"message": "Say hello", "content": "aGVsbG8=", "branch": "main"})
    );
    let tree = &requests.iter().find(|r| r.path.ends_with("git/trees")).unwrap().body["tree"];
    let paths: Vec<&Value> = tree.as_array().unwrap().iter().map(|e| &e["path"]).collect();
    assert_eq!(paths, ["run", "d"]);

    let one = json!({"files": [{"path": "b/c.txt", "text": "hello"}]});
    let committed = fake.run::<CommitFiles>(arguments(one)).await.unwrap();
    assert_eq!((&committed["sha"], committed.get("first_sha")), (&json!(OLD), None));
}

#[tokio::test]
async fn finds_the_first_commit_too_where_an_answer_was_lost() {
    let mut first = listed(OLD, "", "old");
    first["parents"] = json!([]);
    let fake = repository().await.connected("1").reconciling(Duration::from_mins(3)).on(
        "GET",
        "/repos/o/r/commits",
        200,
        json!([listed(NEW, OLD, "new"), first]),
    );
    let fake = fake.on("GET", "/repos/o/r/git/trees/new", 200, tree(&[A], false));
    let committed = fake.run::<CommitFiles>(arguments(json!({}))).await.unwrap();
    assert_eq!((&committed["first_sha"], &committed["sha"]), (&json!(OLD), &json!(NEW)));
}

#[tokio::test]
async fn deletes_nothing_from_an_empty_repository() {
    let fake = FakeApi::new(&GITHUB).await.on("GET", REF, 409, json!({"message": EMPTY}));
    let more = json!({"deletions": ["b.txt"]});
    let error = fake.run::<CommitFiles>(arguments(more)).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("deletions"));
    assert_eq!(fake.requests().await.len(), 1);
}

#[tokio::test]
async fn names_the_permission_for_workflows_behind_a_404() {
    let fake = FakeApi::new(&GITHUB)
        .await
        .on("GET", REF, 200, points_to(OLD))
        .on("GET", &format!("/repos/o/r/git/commits/{OLD}"), 200, commit(OLD, "old"))
        .on("POST", "/repos/o/r/git/trees", 404, json!({"message": "Not Found"}));
    let files = |path: &str| {
        arguments(json!({"files": [{"path": path, "text": "x", "executable": false}]}))
    };
    let error = fake.run::<CommitFiles>(files(".github/workflows/ci.yml")).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert_eq!(error.details().missing_permission.as_deref(), Some("workflows:write"));
    let error = fake.run::<CommitFiles>(files("ci.yml")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_missing_branch_can_be_created() {
    let fake = FakeApi::new(&GITHUB).await.on("GET", REF, 404, json!({"message": "Not Found"}));
    let error = fake.run::<CommitFiles>(arguments(json!({}))).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("`create_branch_from`"), "{error}");
}

#[tokio::test]
async fn refuses_a_path_that_is_there_twice_and_a_commit_of_nothing() {
    let fake = FakeApi::new(&GITHUB).await;
    for more in [json!({"deletions": ["a.txt"]}), json!({"files": []})] {
        let error = fake.run::<CommitFiles>(arguments(more)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
    }
    assert!(fake.requests().await.is_empty());
}
