//! What is read from an answer besides its body, and what an error tells of it.

use std::collections::BTreeSet;

use resto_core::{Code, Page, PageRequest, RateLimit, Risk};
use serde_json::{Value, json};

use crate::provider::{CREDENTIAL, Server, impatient, ok, reply};

/// One page of a list whose answer has these headers.
async fn page(headers: &str) -> Page<u8> {
    let server = Server::saying([reply("200 OK", headers, "[1]")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    api.get("/things", &[]).page(&PageRequest::default()).list().await.unwrap()
}

#[tokio::test]
async fn finds_the_next_page() {
    for (link, cursor) in [
        (r#"<https://api.acme.example/things?per_page=30&page=2>; rel="next""#, Some("page=2")),
        (r#"</things?after=a%2Fb%3D>; rel="next""#, Some("after=a/b=")),
        (r#"</t?page=1>; rel="prev", </t?page=3>; rel="next""#, Some("page=3")),
        (r#"</t?labels=a,b&page=4>; rel="next", </t?page=9>; rel="last""#, Some("page=4")),
        (r#"</t?page=9>; rel=last, </t?page=5>; title="a"; REL=next"#, Some("page=5")),
        (r#"</t?page=6>; rel="last next""#, Some("page=6")),
        (r#"</t?page=1>; rel="prev""#, None),
        (r#"</t?page=1>; rel="nextish"; title="rel=next""#, None),
        (r#"</t?sort=name>; rel="next""#, None),
        (r#"</t?token=7>; rel="next""#, None),
        ("nonsense", None),
    ] {
        let page = page(&format!("link: {link}")).await;
        assert_eq!((page.items, page.next_cursor.as_deref()), (vec![1], cursor), "{link}");
    }
    assert_eq!(page("").await.next_cursor, None);
    let two = "link: </t?page=1>; rel=\"prev\"\nlink: </t?page=3>; rel=\"next\"";
    assert_eq!(page(two).await.next_cursor.as_deref(), Some("page=3"));
}

#[tokio::test]
async fn asks_for_the_page_of_a_cursor() {
    let server = Server::saying([ok(r#"{"list": []}"#)]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let page = PageRequest { cursor: Some("after=a/b=&x".into()), limit: Some(500) };
    api.get("/things", &[])
        .query("kind", ["a", "b"])
        .page(&page)
        .list_in::<u8>("list")
        .await
        .unwrap();
    let asked = &server.requests()[0];
    let line = "GET /things?kind=a%2Cb&per_page=100&after=a%2Fb%3D%26x ";
    assert!(asked.starts_with(line), "{asked}");
}

#[tokio::test]
async fn takes_no_cursor_that_this_list_did_not_give() {
    let server = Server::saying([ok("[]")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    for cursor in ["token=7", "page", "", "Page=2", "https://elsewhere.example/?page=2"] {
        let page = PageRequest { cursor: Some(cursor.into()), limit: None };
        let error = api.get("/things", &[]).page(&page).list::<u8>().await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput, "{cursor}");
        assert_eq!(error.details().field.as_deref(), Some("cursor"));
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_list_that_is_left_out_is_empty_only_where_the_provider_does_so() {
    for (body, read) in [("{}", true), ("[]", false), ("7", false)] {
        let server = Server::saying([ok(body)]).await;
        let terse = server.terse_api().get("/things", &[]).list_in::<u8>("things").await;
        assert_eq!(terse.map(|page| page.items).ok(), read.then(Vec::new), "{body}");
        let (api, _) = server.api(impatient(), Risk::Read);
        let error = api.get("/things", &[]).list_in::<u8>("things").await.unwrap_err();
        assert!(error.message().contains("sent no list"), "{error}");
    }
}

#[tokio::test]
async fn observes_quotas_and_rights_in_every_answer() {
    let headers = "x-ratelimit-limit: 60\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1767225600
        x-ratelimit-resource: search\nx-scopes: repo, read:org,,";
    for status in ["200 OK", "404 Not Found", "422 Unprocessable Content"] {
        let server = Server::saying([reply(status, headers, "{}")]).await;
        let (api, caller) = server.api(impatient(), Risk::Read);
        let _ = api.get("/x", &[]).send::<Value>().await;
        let observed = &caller.observed()[0];
        let rate_limit = RateLimit {
            resource: "search".into(),
            limit: Some(60),
            remaining: 0,
            reset_at: Some(1_767_225_600),
        };
        assert_eq!(observed.rate_limit, Some(rate_limit), "{status}");
        let granted = ["repo".to_owned(), "read:org".to_owned()];
        assert_eq!(observed.granted, Some(granted.to_vec()), "{status}");
        assert_eq!(api.granted(), Some(BTreeSet::from(granted)));
    }
    let server = Server::saying([reply("200 OK", "x-ratelimit-remaining: many", "{}")]).await;
    let (api, caller) = server.api(impatient(), Risk::Read);
    api.get("/x", &[]).send_empty().await.unwrap();
    assert_eq!((&caller.observed()[0].rate_limit, api.granted()), (&None, None));
}

#[tokio::test]
async fn quotes_the_provider_cleaned_and_cut() {
    let words = format!("\u{1b}[31mred\u{1b}[0m\u{202e}\n{}", "long ".repeat(10_000));
    let body = json!({"message": words}).to_string();
    let server = Server::saying([reply("422 Unprocessable Content", "", &body)]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let error = api.get("/x", &[]).send_empty().await.unwrap_err();
    assert!(error.message().contains("refused the request: red long long"), "{error}");
    assert!(error.message().ends_with("Correct the input."), "{error}");
    assert!(error.message().chars().count() < 400, "{error}");
}

#[tokio::test]
async fn does_not_repeat_an_answer_that_it_does_not_understand() {
    for (body, explanation) in [
        (r#"["private, expected words"]"#, "(expected u8)"),
        (r#"["private"]"#, "(expected u8)"),
        (r#"{"private": 1}"#, "(expected a sequence)"),
    ] {
        let server = Server::saying([ok(body)]).await;
        let (api, _) = server.api(impatient(), Risk::Read);
        let error = api.get("/x", &[]).send::<Vec<u8>>().await.unwrap_err();
        assert!(error.message().contains(explanation), "{error}");
        assert!(!shown(&error).contains("private"), "{error}");
    }
    let server = Server::saying([ok("{}")]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    let error = api.get("/x", &[]).send::<PageOf>().await.unwrap_err();
    assert!(error.message().contains("(missing field `total`)"), "{error}");
}

#[derive(Debug, serde::Deserialize)]
struct PageOf {
    #[expect(dead_code, reason = "only its absence matters")]
    total: u8,
}

#[tokio::test]
async fn keeps_headers_of_any_length_short() {
    let long = "y".repeat(10_000);
    let headers = format!(
        "x-request-id: {long}\nx-ratelimit-remaining: 1\nx-ratelimit-resource: {long}\nx-scopes: {long}"
    );
    let server = Server::saying([reply("404 Not Found", &headers, "{}")]).await;
    let (api, caller) = server.api(impatient(), Risk::Read);
    let error = api.get("/x", &[]).send_empty().await.unwrap_err();
    assert_eq!(error.details().request_id.as_ref().unwrap().len(), 300);
    let observed = caller.observed().remove(0);
    assert_eq!(observed.rate_limit.unwrap().resource.len(), 300);
    assert_eq!(observed.granted.unwrap()[0].len(), 300);
}

/// All that may be shown of an error.
fn shown(error: &resto_core::Error) -> String {
    format!("{error}\n{error:?}\n{}", serde_json::to_string(error).unwrap())
}

#[tokio::test]
async fn shows_the_credential_nowhere() {
    let mut all = String::new();
    for text in [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        ok("not JSON"),
        reply("401 Unauthorized", "", "{}"),
        reply("302 Found", "location: https://elsewhere.example/", ""),
        reply("500 Internal Server Error", "", "{}"),
    ] {
        let server = Server::saying([text]).await;
        for risk in [Risk::Read, Risk::Write] {
            let (api, _) = server.api(impatient(), risk);
            let request = if risk == Risk::Read { api.get("/x", &[]) } else { api.post("/x", &[]) };
            all += &shown(&request.send::<Value>().await.unwrap_err());
        }
        assert!(server.requests().iter().all(|request| request.contains(CREDENTIAL)));
    }
    assert!(!all.contains(CREDENTIAL) && !all.contains("Bearer"), "{all}");
}

#[test]
fn a_signed_request_does_not_show_its_credential() {
    let secrets = [("token".to_owned(), CREDENTIAL.into())].into();
    let url = "https://api.acme.example/x".parse().unwrap();
    let mut request = resto_core::HttpRequest::new(reqwest::Method::GET, url);
    resto_core::Scheme::Bearer("token").sign(&mut request, &secrets).unwrap();
    assert!(request.headers().contains_key("authorization"));
    assert!(!format!("{request:?} {secrets:?}").contains(CREDENTIAL));
    for unusable in [[].into(), [("token".to_owned(), format!("{CREDENTIAL}\n").into())].into()] {
        let error = resto_core::Scheme::Bearer("token").sign(&mut request, &unusable).unwrap_err();
        assert_eq!(error.code(), Code::AuthExpired);
        assert!(!shown(&error).contains(CREDENTIAL));
    }
}
