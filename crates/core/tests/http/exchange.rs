//! Requests without a connection's credential keep the bounds and go where others may go.

use resto_core::{Bounds, Code, Http, Result};

use crate::provider::{Server, answer, reply, write};

async fn post(url: &str) -> Result<http::Response<Vec<u8>>> {
    let request = http::Request::post(url).body(b"code=1".to_vec()).unwrap();
    Http::new(Bounds::default()).unwrap().exchange(request).await
}

#[tokio::test]
async fn gives_whatever_was_answered_and_follows_no_redirect() {
    let elsewhere = Server::saying([reply("200 OK", "", "{}")]).await;
    let to = format!("location: {}\r\n", elsewhere.url);
    let server = Server::saying([reply("307 Temporary Redirect", &to, "moved")]).await;
    let response = post(&server.url).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().as_slice()), (307, &b"moved"[..]));
    assert_eq!(response.headers()["location"], elsewhere.url.as_str());
    assert_eq!(elsewhere.requests().len(), 0);
    let sent = server.requests();
    assert!(sent.len() == 1 && sent[0].contains("POST"), "{sent:?}");
}

#[tokio::test]
async fn stops_reading_an_endless_answer() {
    let server = Server::start(answer(|stream, _| {
        Box::pin(async move {
            write(stream, b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                write(stream, &[b' '; 16 << 10]).await?;
            }
        })
    }))
    .await;
    let error = post(&server.url).await.unwrap_err();
    assert_eq!(error.code(), Code::ProviderDown);
    assert!(error.message().contains("more than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn goes_to_public_addresses_over_https_only() {
    for url in ["http://example.com/token", "https://10.0.0.1/token", "https://169.254.169.254/"] {
        let error = post(url).await.unwrap_err();
        assert_eq!(error.code(), Code::Denied, "{url}: {error}");
    }
}
