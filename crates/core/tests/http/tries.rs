//! What is sent again, what never is, and when.

use std::sync::atomic::Ordering;
use std::time::Duration;

use resto_core::{Bounds, Code, Risk};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::provider::{Server, answer, api, impatient, ok, reply, write};

fn unavailable(headers: &str) -> String {
    reply("503 Service Unavailable", headers, "{}")
}

#[tokio::test]
async fn reads_again_until_the_provider_is_back() {
    let server = Server::saying([unavailable(""), String::new(), ok("[1]")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    assert_eq!(api.get("/x", &[]).send::<Vec<u8>>().await.unwrap(), [1]);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn reads_again_when_the_provider_was_too_slow_or_not_ready() {
    for status in ["408 Request Timeout", "425 Too Early"] {
        let server = Server::saying([reply(status, "", "{}"), ok("[1]")]).await;
        let (api, _) = server.api(impatient(), Risk::Read);
        assert_eq!(api.get("/x", &[]).send::<Vec<u8>>().await.unwrap(), [1], "{status}");
    }
}

#[tokio::test]
async fn reads_three_times_at_most() {
    let server = Server::saying([unavailable("")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let error = api.get("/x", &[]).send_empty().await.unwrap_err();
    assert_eq!((error.code(), server.requests().len()), (Code::ProviderDown, 3));
}

#[tokio::test]
async fn tells_whether_the_provider_works_and_nothing_of_what_was_not_sent() {
    let missing = reply("404 Not Found", "", "{}");
    let server = Server::saying([unavailable(""), String::new(), missing]).await;
    let (api, caller) = server.api(impatient(), Risk::Read);
    api.get("/x", &[]).send_empty().await.unwrap_err();
    assert_eq!(caller.tried(), [false, false, true]);
    caller.locked.store(true, Ordering::Relaxed);
    let error = api.get("/x", &[]).send_empty().await.unwrap_err();
    assert_eq!((error.code(), caller.tried().len()), (Code::Internal, 3));
}

#[tokio::test]
async fn does_not_repeat_what_will_fail_again() {
    for status in ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        let server = Server::saying([reply(status, "", "{}")]).await;
        let (api, _) = server.api(impatient(), Risk::Read);
        api.get("/x", &[]).send_empty().await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

/// The clock stands still while a blocking task runs: a real socket is waited for, and time passes
/// only where the test says so.
fn hold_the_clock() -> std::sync::mpsc::Sender<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || receiver.recv());
    sender
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_provider_asks() {
    let _held = hold_the_clock();
    for busy in [
        unavailable("retry-after: 7"),
        reply("429 Too Many Requests", "retry-after: 7", "{}"),
        reply("403 Forbidden", "x-ratelimit-remaining: 0\nretry-after: 7", "{}"),
    ] {
        let server = Server::saying([busy.clone(), ok("{}")]).await;
        let (api, caller) = server.api(Bounds::default(), Risk::Read);
        let reading = tokio::spawn(async move { api.get("/x", &[]).send_empty().await });
        caller.answered(1).await;
        while caller.signed().len() < 2 && !reading.is_finished() {
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        reading.await.unwrap().unwrap();
        let signed = caller.signed();
        let waited = (signed[1] - signed[0]).as_secs_f32();
        assert!((7.0..7.5).contains(&waited), "{waited} s after {busy}");
    }
}

#[tokio::test]
async fn tells_the_caller_when_the_wait_is_long() {
    for (busy, code) in [
        (unavailable("retry-after: 21"), Code::ProviderDown),
        (reply("429 Too Many Requests", "retry-after: 21", "{}"), Code::RateLimited),
    ] {
        let server = Server::saying([busy]).await;
        let (api, _) = server.api(impatient(), Risk::Read);
        let error = api.get("/x", &[]).send_empty().await.unwrap_err();
        assert_eq!((error.code(), error.details().retry_after_s), (code, Some(21)));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn tells_the_caller_when_the_wait_would_outlast_the_call() {
    let busy = reply("429 Too Many Requests", "retry-after: 15", "{}");
    let server = Server::saying([busy]).await;
    let bounds = Bounds { total: Duration::from_secs(15), ..impatient() };
    let (api, _) = server.api(bounds, Risk::Read);
    let error = api.get("/x", &[]).send_empty().await.unwrap_err();
    assert_eq!((error.code(), error.details().retry_after_s), (Code::RateLimited, Some(15)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn never_sends_a_change_twice() {
    for lost in [
        String::new(),
        "HTTP/1.1 2".to_owned(),
        "HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{".to_owned(),
        unavailable(""),
        unavailable("retry-after: 0"),
        reply("500 Internal Server Error", "", "{}"),
        reply("504 Gateway Timeout", "", "{}"),
        reply("408 Request Timeout", "", "{}"),
        "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
        reply("200 OK", "", "not JSON"),
        reply("200 OK", "", "[]"),
    ] {
        let server = Server::saying([lost.clone()]).await;
        let (api, _) = server.api(impatient(), Risk::Write);
        let body = json!({"name": "n"});
        let change = api.post("/things", &[]).json(&body).send::<Named>().await;
        let error = change.unwrap_err();
        assert_eq!(error.code(), Code::UnknownOutcome, "{lost:?}: {error}");
        assert_eq!(server.requests().len(), 1, "{lost:?}");
        assert!(server.requests()[0].ends_with("{\"name\":\"n\"}"));
    }
}

fn keys(server: &Server) -> Vec<String> {
    let key = |request: String| {
        let line = request.lines().find(|line| line.starts_with("idempotency-key: "));
        line.unwrap().to_owned()
    };
    server.requests().into_iter().map(key).collect()
}

#[tokio::test]
async fn repeats_a_change_that_the_provider_knows_by_its_key() {
    let server = Server::saying([String::new(), unavailable(""), ok("[1]"), ok("[2]")]).await;
    let api = server.keyed_api();
    assert_eq!(api.post("/x", &[]).send::<Vec<u8>>().await.unwrap(), [1]);
    assert_eq!(api.post("/x", &[]).send::<Vec<u8>>().await.unwrap(), [2]);
    let keys = keys(&server);
    assert_eq!((&keys[0], &keys[0]), (&keys[1], &keys[2]));
    assert_ne!(keys[0], keys[3]);
}

#[tokio::test]
async fn sends_a_change_once_where_the_providers_key_does_not_protect_it() {
    let server = Server::saying([String::new(), ok("[1]")]).await;
    let error = server.keyed_api().post("/x", &[]).once().send_empty().await.unwrap_err();
    assert_eq!((error.code(), server.requests().len()), (Code::UnknownOutcome, 1));
    assert!(!server.requests()[0].contains("idempotency-key"));
}

/// The first try may have made the change, whatever the later ones say.
#[tokio::test]
async fn stays_in_doubt_once_a_try_was_lost() {
    for later in [
        reply("429 Too Many Requests", "", "{}"),
        reply("307 Temporary Redirect", "location: /new", ""),
        reply("401 Unauthorized", "", "{}"),
        unavailable(""),
    ] {
        let server = Server::saying([String::new(), later.clone()]).await;
        let error = server.keyed_api().post("/x", &[]).send_empty().await.unwrap_err();
        assert_eq!(error.code(), Code::UnknownOutcome, "{later}: {error}");
    }
    // This is the answer to the change itself.
    let refused = reply("402 Payment Required", "", "{}");
    let server = Server::saying([String::new(), refused]).await;
    let error = server.keyed_api().post("/x", &[]).send_empty().await.unwrap_err();
    assert_eq!(error.code(), Code::PaymentRequired);
}

#[derive(Debug, serde::Deserialize)]
struct Named {
    #[expect(dead_code, reason = "only its absence matters")]
    name: String,
}

#[tokio::test]
async fn keeps_what_a_support_team_asks_about_a_lost_change() {
    let fault = reply("500 Internal Server Error", "x-request-id: r-7", "{}");
    let server = Server::saying([fault]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    let error = api.post("/x", &[]).send_empty().await.unwrap_err();
    let details = error.details();
    assert_eq!((details.http_status, details.request_id.as_deref()), (Some(500), Some("r-7")));
}

#[tokio::test]
async fn does_not_know_what_became_of_a_change_that_was_not_answered() {
    let server = Server::start(answer(|_, _| Box::pin(std::future::pending()))).await;
    for bounds in [
        Bounds { first_byte: Duration::from_millis(500), ..impatient() },
        Bounds { total: Duration::from_millis(500), ..impatient() },
    ] {
        let sent = server.requests().len();
        let (api, _) = server.api(bounds, Risk::Write);
        let error = api.delete("/things/{}", &[&7]).send_empty().await.unwrap_err();
        assert_eq!((error.code(), server.requests().len() - sent), (Code::UnknownOutcome, 1));
        assert!(error.message().contains("Look before trying again"), "{error}");
    }
}

#[tokio::test]
async fn reports_a_quota_on_a_change_without_sending_it_again() {
    let server = Server::saying([reply("429 Too Many Requests", "retry-after: 1", "{}")]).await;
    let (api, _) = server.api(impatient(), Risk::Write);
    let error = api.put("/things", &[]).send_empty().await.unwrap_err();
    assert_eq!((error.code(), server.requests().len()), (Code::RateLimited, 1));
}

#[tokio::test]
async fn knows_that_nothing_was_done_when_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for risk in [Risk::Read, Risk::Write] {
        let (api, _) = api(&url, impatient(), risk);
        let request = if risk == Risk::Read { api.get("/x", &[]) } else { api.post("/x", &[]) };
        let error = request.send_empty().await.unwrap_err();
        assert_eq!(error.code(), Code::ProviderDown);
        assert!(error.message().contains("Nothing was done"), "{error}");
    }
}

#[tokio::test]
async fn a_reading_action_sends_no_change() {
    let server = Server::saying([ok("{}")]).await;
    let (api, caller) = server.api(impatient(), Risk::Read);
    for request in
        [api.post("/x", &[]), api.put("/x", &[]), api.patch("/x", &[]), api.delete("/x", &[])]
    {
        let error = request.send_empty().await.unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert!(error.message().contains("Nothing was sent"), "{error}");
    }
    assert_eq!((server.requests().len(), caller.signed().len()), (0, 0));
}

#[tokio::test]
async fn a_caller_who_gives_up_stops_a_read() {
    let server = Server::start(answer(|_, _| Box::pin(std::future::pending()))).await;
    let (api, caller) = server.api(impatient(), Risk::Read);
    let reading = tokio::spawn(async move { api.get("/x", &[]).send::<Value>().await });
    server.requested().await;
    caller.cancelled.cancel();
    assert_eq!(reading.await.unwrap().unwrap_err().code(), Code::Cancelled);
}

#[tokio::test]
async fn a_caller_who_gives_up_does_not_stop_a_change() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let server = Server::start(answer(move |stream, _| {
        let mut gone = gone.clone();
        Box::pin(async move {
            let _ = gone.wait_for(|gone| *gone).await;
            write(stream, ok("[7]").as_bytes()).await
        })
    }))
    .await;
    let (api, caller) = server.api(impatient(), Risk::Write);
    let changing = tokio::spawn(async move { api.post("/x", &[]).send::<Vec<u8>>().await });
    server.requested().await;
    caller.cancelled.cancel();
    // Whatever listens to the token has had its turn before the provider answers.
    tokio::task::yield_now().await;
    go.send(true).unwrap();
    assert_eq!(changing.await.unwrap().unwrap(), [7]);
}
