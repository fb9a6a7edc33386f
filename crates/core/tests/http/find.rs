//! A change whose answer was lost: it is looked for, and not sent again.

use std::time::Duration;

use resto_core::{Api, Code, Error, Result, Risk};
use serde::Deserialize;
use serde_json::json;

use crate::provider::{Server, impatient, ok, reply};

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Thing {
    id: u64,
}

/// Makes a thing, and finds it in the list of things.
async fn make(api: &Api) -> Result<Thing> {
    let find = async || {
        let things: Vec<Thing> = api.get("/things", &[]).send().await?;
        Ok(things.into_iter().next())
    };
    api.post("/things", &[]).json(&json!({})).send_or_find(find).await
}

fn methods(server: &Server) -> Vec<String> {
    let method = |request: &String| request.split(' ').next().unwrap_or_default().to_owned();
    server.requests().iter().map(method).collect()
}

fn fault() -> String {
    reply("502 Bad Gateway", "", "{}")
}

fn minute() -> Duration {
    Duration::from_mins(1)
}

#[tokio::test]
async fn what_is_answered_is_not_looked_for() {
    let server = Server::saying([reply("201 Created", "", "{\"id\": 1}")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    assert_eq!(make(&api).await.unwrap(), Thing { id: 1 });
    let server = Server::saying([reply("422 Unprocessable Content", "", "{}")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    assert_eq!(make(&api).await.unwrap_err().code(), Code::InvalidInput);
    assert_eq!(methods(&server), ["POST"]);
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_until_it_shows() {
    let server = Server::saying([fault(), ok("[]"), ok("[{\"id\": 1}]")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    assert_eq!(make(&api).await.unwrap(), Thing { id: 1 });
    assert_eq!(methods(&server), ["POST", "GET", "GET"]);
}

#[tokio::test]
async fn what_does_not_show_stays_unknown_and_says_that_it_was_looked_for() {
    let server = Server::saying([fault(), ok("[]")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    let error = make(&api).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    assert!(error.message().contains("Acme was asked for it and does not show it"), "{error}");
    assert_eq!(methods(&server), ["POST", "GET", "GET", "GET"]);
    let server = Server::saying([fault(), reply("403 Forbidden", "", "{}")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    let error = make(&api).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    assert!(error.message().contains("could not be asked"), "{error}");
}

#[tokio::test]
async fn a_call_that_reconciles_looks_and_sends_no_change() {
    let server = Server::saying([ok("[{\"id\": 1}]")]).await;
    let api = server.reconciling_api(minute(), false);
    assert_eq!(make(&api).await.unwrap(), Thing { id: 1 });
    let error = api.post("/things", &[]).send_empty().await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    let error = api.delete("/things/{}", &[&1_u64]).send_empty().await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    assert_eq!(methods(&server), ["GET"]);
}

#[tokio::test]
async fn a_call_that_reconciles_sends_again_what_the_provider_knows_by_its_key() {
    let server = Server::saying([ok("{\"id\": 1}")]).await;
    let (first, again) = (server.keyed_api(), server.reconciling_api(23 * 59 * minute(), true));
    for api in [first, again] {
        let sent: Thing = api.post("/things", &[]).json(&json!({})).send().await.unwrap();
        assert_eq!(sent, Thing { id: 1 });
    }
    let requests = server.requests();
    let key = |at: usize| requests[at].lines().find(|line| line.starts_with("idempotency-key"));
    assert!(key(0).is_some());
    assert_eq!(key(0), key(1));
    // It may have forgotten the key by then, and what goes without one is not known by it.
    let late = server.reconciling_api(23 * 61 * minute(), true);
    assert_eq!(late.post("/x", &[]).send_empty().await.unwrap_err().code(), Code::UnknownOutcome);
    let api = server.reconciling_api(minute(), true);
    let once = api.post("/x", &[]).once().send_empty().await;
    assert_eq!(once.unwrap_err().code(), Code::UnknownOutcome);
    // What has the name by now may be another thing than what was to be deleted.
    let deletion = api.delete("/things/{}", &[&"one"]).send_empty().await;
    assert_eq!(deletion.unwrap_err().code(), Code::UnknownOutcome);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_an_action_says_after_a_change_that_was_not_sent_is_not_told() {
    let server = Server::saying([ok("{}")]).await;
    let api = server.reconciling_api(minute(), false);
    let nothing = || Err::<(), _>(Error::new(Code::ProviderDown, "Nothing was done."));
    assert_eq!(api.found_out(nothing()).unwrap_err().code(), Code::ProviderDown);
    api.post("/things", &[]).send_empty().await.unwrap_err();
    let told = api.found_out(nothing()).unwrap_err();
    assert_eq!(told.code(), Code::UnknownOutcome);
    assert!(!told.message().contains("Nothing was done"), "{told}");
    api.found_out(Ok(())).unwrap();
}

#[tokio::test]
async fn what_is_the_same_made_twice_is_sent_again() {
    let server = Server::saying([fault(), ok("{}")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    api.post("/files", &[]).repeats().send_empty().await.unwrap();
    server
        .reconciling_api(minute(), false)
        .post("/files", &[])
        .repeats()
        .send_empty()
        .await
        .unwrap();
    assert_eq!(methods(&server), ["POST", "POST", "POST"]);
}

#[tokio::test]
async fn what_takes_several_requests_is_looked_for_as_a_whole() {
    let make = async |api: &Api| -> Result<Vec<Thing>> {
        let making = async {
            api.put("/things/1", &[]).send_empty().await?;
            api.put("/things/2", &[]).send_empty().await?;
            Ok(vec![Thing { id: 1 }, Thing { id: 2 }])
        };
        let find = async || Ok(Some(api.get("/things", &[]).send().await?));
        api.make_or_find(making, find).await
    };
    let both = || ok("[{\"id\": 1}, {\"id\": 2}]");
    let server = Server::saying([ok("{}"), fault(), both()]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    assert_eq!(make(&api).await.unwrap().len(), 2);
    assert_eq!(methods(&server), ["PUT", "PUT", "GET"]);
    let server = Server::saying([both()]).await;
    assert_eq!(make(&server.reconciling_api(minute(), false)).await.unwrap().len(), 2);
    assert_eq!(methods(&server), ["GET"]);
    let server = Server::saying([reply("403 Forbidden", "", "{}")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    assert_eq!(make(&api).await.unwrap_err().code(), Code::PermissionDenied);
}

/// Deletes a thing, and looks whether it is gone.
async fn delete(api: &Api) -> Result<()> {
    let look = || api.get("/things/{}", &[&1_u64]).send_empty();
    api.delete("/things/{}", &[&1_u64]).send_or_gone(look).await
}

#[tokio::test]
async fn a_lost_deletion_was_made_where_its_thing_is_gone() {
    let gone = || reply("404 Not Found", "", "{}");
    let server = Server::saying([fault(), ok("{}"), gone()]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    delete(&api).await.unwrap();
    assert_eq!(methods(&server), ["DELETE", "GET", "GET"]);
    // What was not there before was not deleted.
    let server = Server::saying([gone()]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    assert_eq!(delete(&api).await.unwrap_err().code(), Code::NotFound);
    let server = Server::saying([gone()]).await;
    delete(&server.reconciling_api(minute(), false)).await.unwrap();
    assert_eq!(methods(&server), ["GET"]);
}

#[tokio::test]
async fn a_lost_deletion_stays_unknown_where_its_thing_is_there_or_hidden() {
    for (shown, said) in [
        (ok("{}"), "Acme still shows what was to be deleted"),
        (reply("403 Forbidden", "", "{}"), "Acme could not be asked for it"),
    ] {
        let server = Server::saying([fault(), shown]).await;
        let (api, _) = server.api(impatient(), Risk::Write);
        let error = delete(&api).await.unwrap_err();
        assert_eq!(error.code(), Code::UnknownOutcome);
        assert!(error.message().contains(said), "{error}");
    }
}
