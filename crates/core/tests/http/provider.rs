//! A provider on loopback that answers with raw bytes, and the [`Api`] that reaches it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use resto_core::{
    Api, Auth, Began, Bounds, BoxFuture, Call, Code, Credentials, Endpoints, Error, Http,
    HttpRequest, Idempotency, KeyAuth, Limits, Observed, Paging, Provider, RateHeaders, Records,
    Result, Risk, Scheme, SecretRef, Secrets,
};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The credential of every test: it must show nowhere but in the header that carries it.
pub const CREDENTIAL: &str = "plainly-fake-credential";

const FACTS: Provider = Provider {
    id: "acme",
    name: "Acme",
    base_url: "https://api.acme.example",
    other_urls: &["https://people.acme.example"],
    download_hosts: &["files.acme.example", "*.downloads.acme.example"],
    auth: &[Auth::Key(KeyAuth {
        name: "key",
        fields: &[],
        create_url: "https://acme.example/keys",
        scheme: Scheme::Bearer("token"),
    })],
    headers: &[("accept", "application/json"), ("x-acme-version", "7")],
    rate_headers: RateHeaders {
        limit: "x-ratelimit-limit",
        remaining: "x-ratelimit-remaining",
        reset: "x-ratelimit-reset",
        resource: Some("x-ratelimit-resource"),
    },
    limits: Limits::per_hour(1000, 10),
    request_id_header: "x-request-id",
    granted_header: Some("x-scopes"),
    end_header: None,
    omits_empty_lists: false,
    idempotency: None,
    paging: Paging::Link { size: "per_page", max: 100, cursors: &["page", "after"] },
    webhooks: None,
    classify: |_| None,
};
static ACME: Provider = FACTS;
/// As Acme, but it makes a change once however often it is sent under one key.
static KEYED: Provider = Provider {
    idempotency: Some(Idempotency { header: "idempotency-key", lives: Duration::from_hours(23) }),
    ..FACTS
};
/// As Acme, but it does not write lists that are empty.
static TERSE: Provider = Provider { omits_empty_lists: true, ..FACTS };

/// The product's bounds, but for the pause between tries: no test waits.
pub fn impatient() -> Bounds {
    Bounds { retry_pause: Duration::from_millis(1), ..Bounds::default() }
}

/// A client of the provider at `url` for an action of this risk.
pub fn api(url: &str, bounds: Bounds, risk: Risk) -> (Api, Arc<Caller>) {
    client(&ACME, url, bounds, risk)
}

fn client(
    provider: &'static Provider,
    url: &str,
    bounds: Bounds,
    risk: Risk,
) -> (Api, Arc<Caller>) {
    client_for(Caller::default(), provider, url, bounds, risk)
}

fn client_for(
    caller: Caller,
    provider: &'static Provider,
    url: &str,
    bounds: Bounds,
    risk: Risk,
) -> (Api, Arc<Caller>) {
    let caller = Arc::new(caller);
    let api = Api::new(
        Http::new(bounds).unwrap(),
        provider,
        provider.auth[0].scheme(),
        Endpoints::new(provider, Some(url)).unwrap(),
        caller.clone(),
        caller.clone(),
        risk,
    );
    (api, caller)
}

/// What the host sees of a call.
#[derive(Default)]
pub struct Caller {
    pub cancelled: CancellationToken,
    observed: watch::Sender<Vec<Observed>>,
    signed: Mutex<Vec<Instant>>,
    tried: Mutex<Vec<bool>>,
    /// Whether the credential cannot be opened.
    pub locked: AtomicBool,
    /// When the operation began, where the call only finds out what came of it.
    reconciles: Option<Began>,
}

impl Caller {
    pub fn observed(&self) -> Vec<Observed> {
        self.observed.borrow().clone()
    }

    /// Returns once this many answers came.
    pub async fn answered(&self, count: usize) {
        self.observed.subscribe().wait_for(|observed| observed.len() >= count).await.unwrap();
    }

    /// Whether the provider worked, as it was told.
    pub fn tried(&self) -> Vec<bool> {
        self.tried.lock().unwrap().clone()
    }

    /// When each request was signed.
    pub fn signed(&self) -> Vec<Instant> {
        self.signed.lock().unwrap().clone()
    }
}

impl Credentials for Caller {
    fn sign(&self, scheme: &Scheme, request: &mut HttpRequest) -> Result<()> {
        if self.locked.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Internal, "The credential cannot be opened."));
        }
        self.signed.lock().unwrap().push(Instant::now());
        let secrets: Secrets = [("token".to_owned(), SecretString::from(CREDENTIAL))].into();
        scheme.sign(request, &secrets)
    }
}

impl Call for Caller {
    fn account(&self) -> Option<&resto_core::Connected> {
        None
    }

    fn progress(&self, _done: u64, _total: Option<u64>, _message: &str) {}

    fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    fn op_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn reconciles(&self) -> Option<Began> {
        self.reconciles
    }

    fn observe(&self, observed: Observed) {
        self.observed.send_modify(|all| all.push(observed));
    }

    fn note_outsiders(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn tried(&self, works: bool) {
        self.tried.lock().unwrap().push(works);
    }

    fn secret<'a>(&'a self, _: &'a SecretRef) -> BoxFuture<'a, Result<SecretString>> {
        unreachable!("no test asks for a secret")
    }

    fn store_secret<'a>(
        &'a self,
        _: &'a SecretRef,
        _: &'a SecretString,
    ) -> BoxFuture<'a, Result<SecretRef>> {
        unreachable!("no test stores a secret")
    }

    fn spend<'a>(&'a self, _: &'a resto_core::Money) -> BoxFuture<'a, Result<()>> {
        unreachable!("no test spends")
    }

    fn records(&self) -> &dyn Records {
        unreachable!("no test keeps records")
    }

    fn hand_out<'a>(
        &'a self,
        _: &'a resto_core::File,
    ) -> BoxFuture<'a, Result<resto_core::FileLink>> {
        unreachable!("no test hands out files")
    }
}

/// A connection, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Writes an answer, of which the client may not want all.
pub type Answering<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// Writes the answer to the request of this number, from 0. Then the connection is closed.
pub type Answer = Box<dyn for<'a> Fn(&'a mut dyn Stream, usize) -> Answering<'a> + Send + Sync>;

/// A server that keeps each request as text.
pub struct Server {
    pub url: String,
    requests: watch::Receiver<Vec<String>>,
}

impl Server {
    /// Answers with these texts, the last one for ever.
    pub async fn saying<T: Into<Vec<u8>>>(texts: impl IntoIterator<Item = T>) -> Self {
        let texts: Vec<Vec<u8>> = texts.into_iter().map(Into::into).collect();
        Self::start(answer(move |stream, number| {
            let text = texts.get(number).or(texts.last()).cloned().unwrap_or_default();
            Box::pin(async move { write(stream, &text).await })
        }))
        .await
    }

    pub async fn start(answer: Answer) -> Self {
        Self::listen(answer, None).await
    }

    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        let answer =
            answer(|stream, _| Box::pin(async { write(stream, ok("{}").as_bytes()).await }));
        Self::listen(answer, Some(acceptor)).await
    }

    async fn listen(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (sender, requests) = watch::channel(Vec::new());
        let shared = Arc::new((answer, sender));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    let mut stream: Box<dyn Stream> = match tls {
                        Some(tls) => Box::new(tls.accept(stream).await?),
                        None => Box::new(stream),
                    };
                    let request = read_request(&mut stream).await?;
                    let (answer, requests) = &*shared;
                    let number = requests.borrow().len();
                    requests.send_modify(|all| all.push(request));
                    answer(&mut stream, number).await
                });
            }
        });
        Self { url, requests }
    }

    pub fn api(&self, bounds: Bounds, risk: Risk) -> (Api, Arc<Caller>) {
        api(&self.url, bounds, risk)
    }

    /// A client that repeats changes, because the provider knows them by their key.
    pub fn keyed_api(&self) -> Api {
        client(&KEYED, &self.url, impatient(), Risk::Write).0
    }

    /// A client that only finds out what came of an operation that began so long ago; with or without keys.
    pub fn reconciling_api(&self, ago: Duration, keyed: bool) -> Api {
        let provider = if keyed { &KEYED } else { &ACME };
        let began = Began { at: SystemTime::now() - ago, ago: Some(ago) };
        let caller = Caller { reconciles: Some(began), ..Caller::default() };
        client_for(caller, provider, &self.url, impatient(), Risk::Write).0
    }

    /// A client of a provider that leaves empty lists out.
    pub fn terse_api(&self) -> Api {
        client(&TERSE, &self.url, impatient(), Risk::Read).0
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Returns once a request came.
    pub async fn requested(&self) {
        self.requests.clone().wait_for(|requests| !requests.is_empty()).await.unwrap();
    }
}

/// Gives a closure the type of an [`Answer`].
pub fn answer(
    answer: impl for<'a> Fn(&'a mut dyn Stream, usize) -> Answering<'a> + Send + Sync + 'static,
) -> Answer {
    Box::new(answer)
}

pub async fn write(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await?));
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(text + &String::from_utf8_lossy(&body))
}

/// An answer with its headers, one a line, and its body.
pub fn reply(status: &str, headers: &str, body: &str) -> String {
    let headers = headers.lines().map(|line| format!("{}\r\n", line.trim())).collect::<String>();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

pub fn ok(body: &str) -> String {
    reply("200 OK", "", body)
}
