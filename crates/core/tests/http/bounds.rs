//! Whatever a provider makes large, slow or malformed ends in one clear error.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use resto_core::{Api, Bounds, Code, Error, Risk};
use serde_json::Value;

use crate::provider::{Server, answer, impatient, ok, reply, write};

async fn read(api: &Api) -> Error {
    api.get("/things", &[]).send::<Value>().await.unwrap_err()
}

/// Reads from a provider that says `text`, and expects this explanation.
async fn refuses(text: impl Into<Vec<u8>>, explanation: &str) {
    let server = Server::saying([text]).await;
    let error = read(&server.api(impatient(), Risk::Read).0).await;
    assert_eq!(error.code(), Code::ProviderDown, "{error}");
    assert!(error.message().contains(explanation), "{error}");
}

/// A body that never ends.
async fn endless() -> Server {
    Server::start(answer(|stream, _| {
        Box::pin(async move {
            write(stream, b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                write(stream, &[b' '; 16 << 10]).await?;
            }
        })
    }))
    .await
}

#[tokio::test]
async fn stops_reading_an_endless_body() {
    let server = endless().await;
    let error = read(&server.api(impatient(), Risk::Read).0).await;
    assert_eq!(error.code(), Code::ProviderDown);
    assert!(error.message().contains("more than 8388608 bytes"), "{error}");
}

#[tokio::test]
async fn cuts_an_endless_text() {
    let server = endless().await;
    let (api, _) = server.api(Bounds { body: 100_000, ..impatient() }, Risk::Read);
    let text = api.get("/log", &[]).send_text().await.unwrap();
    assert_eq!((text.text.len(), text.truncated), (100_000, true));
}

#[tokio::test]
async fn accepts_a_body_of_exactly_the_bound() {
    let server = Server::saying([ok("[1,2]")]).await;
    let (api, _) = server.api(Bounds { body: 5, ..impatient() }, Risk::Read);
    assert_eq!(api.get("/x", &[]).send::<Vec<u8>>().await.unwrap(), [1, 2]);
    let (api, _) = server.api(Bounds { body: 4, ..impatient() }, Risk::Read);
    assert!(read(&api).await.message().contains("more than 4 bytes"));
}

#[tokio::test]
async fn bounds_a_body_after_its_decompression() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 16 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 20 << 10, "1:1000");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    refuses([head.into_bytes(), bomb].concat(), "more than 8388608 bytes").await;
}

#[tokio::test]
async fn gives_up_on_a_body_that_drips() {
    let server = Server::start(answer(|stream, _| {
        Box::pin(async move {
            write(stream, b"HTTP/1.1 200 OK\r\n\r\n").await?;
            let mut drip = tokio::time::interval(Duration::from_millis(1));
            loop {
                drip.tick().await;
                write(stream, b" ").await?;
            }
        })
    }))
    .await;
    let bounds = Bounds { total: Duration::from_millis(200), ..impatient() };
    let error = read(&server.api(bounds, Risk::Read).0).await;
    assert_eq!(error.code(), Code::ProviderDown);
    assert!(error.message().contains("did not finish within"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn gives_up_on_a_provider_that_says_nothing() {
    let server = Server::start(answer(|_, _| Box::pin(std::future::pending()))).await;
    let bounds = Bounds { first_byte: Duration::from_millis(50), ..impatient() };
    let error = read(&server.api(bounds, Risk::Read).0).await;
    assert_eq!(error.code(), Code::ProviderDown);
    assert!(error.message().contains("did not answer within"), "{error}");
}

#[tokio::test]
async fn refuses_a_flood_of_headers() {
    let many = "x: y\r\n".repeat(100_000);
    refuses(format!("HTTP/1.1 200 OK\r\n{many}\r\n"), "head is too large").await;
    refuses(reply("200 OK", &"x: y\n".repeat(101), "{}"), "head is too large").await;
    let long = format!("x: {}", "y".repeat(65 << 10));
    refuses(reply("200 OK", &long, "{}"), "more headers than we accept").await;
    let endless = "y".repeat(1 << 20);
    refuses(format!("HTTP/1.1 200 OK\r\nx: {endless}"), "head is too large").await;
}

#[tokio::test]
async fn refuses_json_that_is_nested_deeper_than_64() {
    let nested = |depth| ok(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    refuses(nested(100_000), "nested too deeply").await;
    refuses(nested(65), "nested too deeply").await;
    // Brackets inside of strings nest nothing.
    let brackets = format!(r#"["\"{}"]"#, "[".repeat(100));
    let server = Server::saying([nested(64), ok(&brackets)]).await;
    let (api, _) = server.api(impatient(), Risk::Read);
    for _ in 0..2 {
        api.get("/x", &[]).send::<Value>().await.unwrap();
    }
}

#[tokio::test]
async fn refuses_an_answer_that_breaks_off_or_contradicts_itself() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        refuses(text, "broke off its answer").await;
    }
    for text in [
        "",
        "HTTP/1.1 200",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        refuses(text, "Nothing was done").await;
    }
}

#[tokio::test]
async fn says_so_when_an_answer_is_no_json() {
    for text in ["<html>Down for maintenance</html>", "{} trailing", ""] {
        refuses(ok(text), "is not JSON").await;
    }
}
