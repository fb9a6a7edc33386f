//! The connections of a listener: there are not too many, and none stays whose client does not get on with what it says.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use futures::FutureExt as _;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take for the head of a request, and keep a connection on which it asks for nothing.
const HEAD: Duration = Duration::from_secs(10);

/// For how long others are let in, and connections are read from, when it is to end.
pub(super) const LAST_IN: Duration = Duration::from_millis(100);

/// How long a new connection may take to ask for something, when it is to end.
const FIRST: Duration = Duration::from_millis(500);

/// How long it may take for the rest of a request.
const REST: Duration = Duration::from_secs(30);

/// The most that the head of a request may hold, and the rest of it.
const MAX_HEAD: usize = 64 << 10;
pub(super) const MAX_BODY: usize = 1 << 20;

/// Connections of a listener. More wait, in the operating system's queue, until one of these ends.
const AT_ONCE: usize = 4096;

/// Answers with `app` on each connection until `stop`, and then on those that are open until they are done.
pub(crate) async fn answer(mut listener: TcpListener, app: Router, stop: CancellationToken) {
    let mut settings = http1::Builder::new();
    settings.timer(TokioTimer::new()).header_read_timeout(HEAD).max_header_size(MAX_HEAD);
    let (places, open) = (Arc::new(Semaphore::new(places())), TaskTracker::new());
    let mut next = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        (place, Listener::accept(&mut listener).await.0)
    };
    let serve = |(place, stream): (_, TcpStream)| {
        // Without it, each answer of a keep-alive connection waits 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let app = TowerToHyperService::new(app.clone());
        let asks = CancellationToken::new();
        let asked = asks.clone();
        let app = service_fn(move |request| {
            asks.cancel();
            app.call(request)
        });
        let connection = settings.serve_connection(TokioIo::new(stream), app);
        let stop = stop.clone();
        open.spawn(async move {
            let _place = place;
            let mut connection = pin!(connection);
            let end = async {
                stopped(&stop).await;
                // What was sent on a new connection and is not read yet would be thrown away.
                let _ = timeout(FIRST, asked.cancelled()).await;
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = end => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        });
    };
    let mut end = pin!(stopped(&stop));
    loop {
        tokio::select! {
            biased;
            () = &mut end => break,
            accepted = next() => serve(accepted),
        }
    }
    // Whoever the operating system has let in would be cut off.
    std::iter::from_fn(|| next().now_or_never()).take(AT_ONCE).for_each(serve);
    drop(listener);
    open.close();
    open.wait().await;
}

async fn stopped(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_IN).await;
}

/// How many connections this process can have, and keep as many files for its work. Many systems let a process have 1024
/// files until it asks for more.
fn places() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let more = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if setrlimit(Resource::Nofile, more).is_ok() {
        limit = getrlimit(Resource::Nofile);
    }
    let files = limit.current.and_then(|files| usize::try_from(files).ok());
    files.map_or(AT_ONCE, |files| (files / 2).clamp(1, AT_ONCE))
}

/// Lets a request through when all of it is here; one that is too much or takes too long goes no further.
pub(super) async fn whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    match timeout(REST, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(_)) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, spawn_blocking, yield_now};
    use tokio::time::{Instant, advance};

    use super::*;

    /// A listener that answers, until it is told to stop; its address.
    async fn listening(stop: &CancellationToken) -> (std::net::SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(|| async { "here" }));
        (address, tokio::spawn(answer(listener, app, stop.clone())))
    }

    /// Asks on a connection; what was answered before it ended.
    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Keeps the clock where it is: it moves by itself only while nothing is under way.
    fn held() -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        spawn_blocking(move || drop(released.blocking_recv()));
        release
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_just_after_the_end_was_told_is_answered() {
        let stop = CancellationToken::new();
        let (address, ended) = listening(&stop).await;
        let clock = held();
        // Whoever came before, and has asked for nothing yet.
        let mut early = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        // Everybody has heard of it.
        for _ in 0..16 {
            yield_now().await;
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        late.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        // Nobody else is let in, and those who are there are waited for.
        advance(LAST_IN).await;
        assert!(ask(&mut early).await.ends_with("here"));
        drop(clock);
        ended.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_not_waited_for() {
        let stop = CancellationToken::new();
        let (address, ended) = listening(&stop).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let told = Instant::now();
        stop.cancel();
        ended.await.unwrap();
        assert!(told.elapsed() < HEAD);
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }
}
