//! A redirect takes the credential nowhere, and no change anywhere.

use std::sync::{Arc, OnceLock};

use resto_core::{Code, Risk};

use crate::provider::{CREDENTIAL, Server, answer, impatient, ok, reply, write};

fn found(location: &str) -> String {
    reply("302 Found", &format!("location: {location}"), "")
}

fn is_signed(request: &str) -> bool {
    request.contains(CREDENTIAL)
}

#[tokio::test]
async fn follows_a_read_that_has_moved_and_signs_it() {
    let server =
        Server::saying([reply("301 Moved Permanently", "location: /new?x=1", ""), ok("[1]")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    assert_eq!(api.get("/old", &[]).send::<Vec<u8>>().await.unwrap(), [1]);
    let requests = server.requests();
    assert!(requests[1].starts_with("GET /new?x=1 "), "{requests:?}");
    assert!(requests.iter().all(|request| is_signed(request)), "{requests:?}");
}

#[tokio::test]
async fn follows_to_no_host_that_was_not_declared() {
    for location in [
        "https://elsewhere.example/x",
        "//elsewhere.example/x",
        "https://downloads.acme.example/x",
        "https://evil-downloads.acme.example/x",
        "https://files.acme.example.evil.example/x",
        // The right host, but in the clear or at another port.
        "http://files.acme.example/x",
        "https://files.acme.example:8443/x",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
    ] {
        let server = Server::saying([found(location)]).await;
        let (api, _) = server.api(impatient(), Risk::Read);
        let error = api.get("/x", &[]).send_text().await.unwrap_err();
        assert_eq!(error.code(), Code::Denied, "{location}: {error}");
        assert_eq!(server.requests().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn fetches_a_download_without_the_credential() {
    let files = Server::saying([ok("the log")]).await;
    let server = Server::saying([found(&format!("{}/log?sig=1", files.url))]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let text = api.get("/log", &[]).accept("text/plain").send_text().await.unwrap();
    assert_eq!(text.text, "the log");
    let download = &files.requests()[0];
    assert!(download.starts_with("GET /log?sig=1 "), "{download}");
    let lower = download.to_ascii_lowercase();
    assert!(!is_signed(download) && !lower.contains("authorization"), "{download}");
    assert!(!lower.contains("x-acme-version") && !lower.contains("referer"), "{download}");
    assert!(is_signed(&server.requests()[0]));
}

/// Anyone can keep files at a declared host, and redirect from there back to the provider's API.
#[tokio::test]
async fn signs_nothing_after_it_has_left_the_provider() {
    let files_url = Arc::new(OnceLock::<String>::new());
    let leads_away = files_url.clone();
    let server = Server::start(answer(move |stream, number| {
        let to_files = number == 0;
        let text = if to_files { found(leads_away.get().unwrap()) } else { ok("private") };
        Box::pin(async move { write(stream, text.as_bytes()).await })
    }))
    .await;
    let files = Server::saying([found(&format!("{}/user/emails", server.url))]).await;
    files_url.set(files.url.clone()).unwrap();
    let (api, caller) = server.api(impatient(), Risk::Read);
    api.get("/log", &[]).send_text().await.unwrap();
    let requests = server.requests();
    assert!(is_signed(&requests[0]) && !is_signed(&requests[1]), "{requests:?}");
    assert_eq!(caller.signed().len(), 1);
}

#[tokio::test]
async fn sends_no_change_after_a_redirect() {
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let server = Server::saying([reply(status, "location: /new", ""), ok("{}")]).await;
        let (api, _) = server.api(impatient(), Risk::Write);
        let error = api.post("/old", &[]).send_empty().await.unwrap_err();
        assert_eq!((error.code(), server.requests().len()), (Code::Conflict, 1), "{status}");
        assert!(error.message().contains("Nothing was changed"), "{error}");
    }
}

/// "See other" answers a change that was made, and says where its result is.
#[tokio::test]
async fn does_not_claim_that_a_change_with_its_result_elsewhere_was_not_made() {
    for headers in ["", "location: /result"] {
        let server = Server::saying([reply("303 See Other", headers, ""), ok("{}")]).await;
        let (api, _) = server.api(impatient(), Risk::Write);
        let error = api.post("/x", &[]).send_empty().await.unwrap_err();
        assert_eq!((error.code(), server.requests().len()), (Code::UnknownOutcome, 1));
    }
}

#[tokio::test]
async fn does_not_go_round_in_circles() {
    let server = Server::saying([found("/again")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let error = api.get("/again", &[]).send_empty().await.unwrap_err();
    assert_eq!(error.code(), Code::ProviderDown);
    assert!(error.message().contains("redirected too often"), "{error}");
}

#[tokio::test]
async fn says_so_when_a_redirect_leads_nowhere() {
    for headers in ["", "location: http://"] {
        let server = Server::saying([reply("302 Found", headers, "")]).await;
        let (api, _) = server.api(impatient(), Risk::Read);
        let error = api.get("/x", &[]).send_empty().await.unwrap_err();
        assert!(error.message().contains("redirected to nowhere"), "{error}");
    }
}

#[tokio::test]
async fn signs_for_the_declared_parts_of_the_api_and_for_nobody_else() {
    let server = Server::saying([ok("[1]")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let request = api.get("/people", &[]).at("https://people.acme.example");
    assert_eq!(request.send::<Vec<u8>>().await.unwrap(), [1]);
    assert!(is_signed(&server.requests()[0]));
    let error = api.get("/people", &[]).at("https://evil.example").send_empty().await.unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_part_of_the_api_that_needs_no_credential_does_not_get_it() {
    let server = Server::saying([ok("{}")]).await;
    let (api, caller) = server.api(impatient(), Risk::Write);
    api.post("/collect", &[]).json(&1).unsigned().send_empty().await.unwrap();
    let request = &server.requests()[0];
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
    // It is the provider all the same.
    assert!(request.contains("x-acme-version: 7"), "{request}");
    assert!(caller.signed().is_empty());
}
