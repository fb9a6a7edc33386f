//! The tests of git objects.

use resto_core::Risk;
use resto_testing::FakeApi;

use super::*;
use crate::GITHUB;

fn at() -> Repo {
    Repo { owner: "o".to_owned(), repo: "r".to_owned() }
}

fn file(file: Value) -> NewFile {
    serde_json::from_value(file).unwrap()
}

#[test]
fn refuses_what_is_no_file() {
    for wrong in [
        json!({"path": "a"}),
        json!({"path": "a", "text": "x", "base64": "eA=="}),
        json!({"path": "a", "base64": "no base64"}),
        json!({"path": "../a", "text": "x"}),
        json!({"path": "a//b", "text": "x"}),
    ] {
        assert_eq!(file(wrong).encoded().unwrap_err().code(), Code::InvalidInput);
    }
    assert_eq!(file(json!({"path": "a/b", "text": "x"})).encoded().unwrap(), "eA==");
}

#[test]
fn knows_a_content_by_the_id_that_git_gives_it() {
    // As `git hash-object` tells.
    for (content, id) in [
        (json!({"path": "a", "text": "hello\n"}), "ce013625030ba8dba906f756967f9e9ca394464a"),
        (json!({"path": "a", "base64": ""}), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    ] {
        assert_eq!(file(content).blob().unwrap(), id);
    }
}

#[tokio::test]
async fn stores_what_is_binary_or_large_by_itself() {
    let fake = FakeApi::new(&GITHUB).await.on(
        "POST",
        "/repos/o/r/git/blobs",
        201,
        json!({"sha": "b", "url": "u"}),
    );
    let files = [
        file(json!({"path": "small", "text": "x"})),
        file(json!({"path": "binary", "base64": "AAE="})),
        file(json!({"path": "large", "text": "y".repeat(MAX_INLINE)})),
    ];
    let files: Vec<&NewFile> = files.iter().collect();
    let stored = store_files(&fake.api(Risk::Write), &at(), &files, |_, _| {}).await.unwrap();
    let contents: Vec<(&str, &str)> =
        stored.iter().map(|stored| (stored.content.0, stored.content.1.as_str())).collect();
    assert_eq!(contents, [("content", "x"), ("sha", "b"), ("sha", "b")]);
    let requests = fake.requests().await;
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, json!({"content": "AAE=", "encoding": "base64"}));
}

#[tokio::test]
async fn losing_an_answer_about_an_object_does_no_harm() {
    let fake = FakeApi::new(&GITHUB).await.on(
        "POST",
        "/repos/o/r/git/trees",
        502,
        json!({"message": "Server Error"}),
    );
    let head = Start { sha: "c".to_owned(), tree: "t".to_owned() };
    let error = store_tree(&fake.api(Risk::Write), &at(), &head, &[]).await.unwrap_err();
    assert_eq!(error.code(), Code::ProviderDown);
    assert!(error.message().contains("The branch is as it was"), "{error}");
}

async fn entries(truncated: bool, files: Value, deletions: &[&str]) -> Result<Vec<Value>> {
    let tree = json!({"sha": "t", "truncated": truncated, "tree": [
        {"path": "run", "mode": "100755", "type": "blob", "sha": "1"},
        {"path": "text", "mode": "100644", "type": "blob", "sha": "2"},
        {"path": "dir", "mode": "040000", "type": "tree", "sha": "3"},
        {"path": "link", "mode": "120000", "type": "blob", "sha": "4"},
    ]});
    let fake = FakeApi::new(&GITHUB).await.on("GET", "/repos/o/r/git/trees/t", 200, tree);
    let api = fake.api(Risk::Write);
    let files: Vec<NewFile> = serde_json::from_value(files).unwrap();
    let files: Vec<&NewFile> = files.iter().collect();
    let stored = store_files(&api, &at(), &files, |_, _| {}).await.unwrap();
    let head = Start { sha: "c".to_owned(), tree: "t".to_owned() };
    let deletions: Vec<PathSegments> =
        deletions.iter().map(|path| PathSegments((*path).to_owned())).collect();
    changes(&api, &at(), &head, &stored, &deletions).await
}

#[tokio::test]
async fn keeps_the_executable_bit_unless_told_otherwise() {
    let files = json!([
        {"path": "run", "text": ""}, {"path": "text", "text": ""}, {"path": "new", "text": ""},
        {"path": "text2", "text": "", "executable": true},
    ]);
    let entries = entries(false, files, &[]).await.unwrap();
    let modes: Vec<&str> = entries.iter().map(|e| e["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["100755", "100644", "100644", "100755"]);
}

#[tokio::test]
async fn deletes_only_files_that_are_there() {
    let deleted = entries(false, json!([]), &["link"]).await.unwrap();
    assert_eq!(deleted, [json!({"path": "link", "mode": "120000", "type": "blob", "sha": null})]);
    for wrong in ["dir", "absent"] {
        let error = entries(false, json!([]), &[wrong]).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("deletions"));
    }
}

#[tokio::test]
async fn a_file_does_not_take_the_place_of_a_directory() {
    let error = entries(false, json!([{"path": "dir", "text": ""}]), &[]).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("files"));
    assert!(error.message().contains("Nothing was committed"), "{error}");
}

#[tokio::test]
async fn asks_for_the_executable_bit_where_it_cannot_see_it() {
    let error = entries(true, json!([{"path": "far", "text": ""}]), &[]).await.unwrap_err();
    assert!(error.message().contains("say `executable`"), "{error}");
    entries(true, json!([{"path": "run", "text": ""}]), &["far"]).await.unwrap();
}
