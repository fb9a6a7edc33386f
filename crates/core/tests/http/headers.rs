//! A value stays the value of the header that was meant.

use resto_core::Risk;
use serde_json::{Value, json};

use crate::provider::{Server, impatient, ok};

#[tokio::test]
async fn d3_a_value_that_would_end_its_header_is_refused_before_anything_is_sent() {
    let server = Server::saying([ok("{}")]).await;
    let (api, caller) = server.api(impatient(), Risk::Write);
    for value in [
        "x\r\nx-evil: 1",
        "x\nx-evil: 1",
        "x\rx-evil: 1",
        "x\r\n x-evil",
        "x\r\n\r\nGET /evil HTTP/1.1",
        "x\r\n",
        "\nx",
        "x\0y",
        "\0",
        "x\u{7f}y",
    ] {
        let post = api.post("/things", &[]).header("x-note", value).json(&json!({}));
        for request in [api.get("/things", &[]).header("x-note", value), post] {
            let error = request.send::<Value>().await.unwrap_err();
            assert!(error.message().contains("the header `x-note`"), "{value:?}: {error}");
            assert!(!error.message().contains("evil"), "{error}");
        }
    }
    assert_eq!((server.requests().len(), caller.signed().len()), (0, 0));
    // What HTTP allows arrives as it is, and nothing else does.
    let value = "a: b; c=\"d\" =?utf-8?B?DQo=?=";
    api.get("/things", &[]).header("x-note", value).send::<Value>().await.unwrap();
    let [sent] = server.requests().try_into().unwrap();
    let notes: Vec<&str> = sent.lines().filter(|line| line.contains("x-note")).collect();
    assert_eq!(notes, [format!("x-note: {value}")]);
    assert_eq!(sent.lines().filter(|line| line.starts_with("x-")).count(), 2, "{sent}");
}
