//! What the audit trail costs: calls in a second with a durable intent and result, beside the same calls without audit.
//! A call finds whose token it brings, reads the connection, opens its credential and asks a provider on the loopback;
//! only ratios mean anything.

#[path = "../tests/vault/store.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::unwrap_used,
    reason = "the tests' databases, of which this needs little"
)]
mod store;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use resto_vault::{ResultStatus, Sealed, TenantScope, Vault};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};
use store::{Store, intent, new_connection, new_tenant, outcome};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinSet,
};

const CALLERS: [usize; 3] = [1, 16, 64];
const TENANTS: usize = 16;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);
const EVENTS: usize = 1_000_000;
const WRITERS: usize = 125;
const REQUEST: &[u8] = b"GET /repos/octocat/hello HTTP/1.1\r\nhost: localhost\r\n\r\n";
const ANSWER: &[u8] = &[b'x'; 1024];

#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark reports to a person")]
fn main() {
    // Of `sqlite`, `postgres` and `verify`, those that are named: `cargo bench --bench audit -- verify`.
    let wanted = |name: &str| {
        let mut names = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|arg| arg == name)
    };
    let runtime = Runtime::new().unwrap();
    println!("calls in a second: median of {ROUNDS} rounds, {TENANTS} tenants, 2 KiB credentials");
    println!(
        "{:<24}{:>8}{:>12}{:>10}{:>7}   without the provider:{:>10}{:>10}{:>7}",
        "", "callers", "unaudited", "audited", "ratio", "unaudited", "audited", "ratio"
    );
    if wanted("sqlite") {
        runtime.block_on(measure("SQLite, FULL", Store::sqlite()));
    }
    if wanted("postgres")
        && let Some(store) = runtime.block_on(Store::postgres())
    {
        let fsync = runtime.block_on(fsync(&store));
        runtime.block_on(measure(&format!("PostgreSQL, fsync {fsync}"), store));
    }
    if wanted("verify") {
        runtime.block_on(verify("SQLite", Store::sqlite()));
        if let Some(store) = runtime.block_on(Store::postgres()) {
            runtime.block_on(verify("PostgreSQL", store));
        }
    }
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn fsync(store: &Store) -> String {
    let mut connection = store.admin_options().connect().await.unwrap();
    let fsync = sqlx::query_scalar("SHOW fsync").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fsync
}

#[expect(clippy::print_stdout, reason = "a benchmark reports to a person")]
async fn measure(database: &str, store: Store) {
    let vault = store.open().await;
    let agents = agents(&vault).await;
    let provider = provider().await;
    for callers in CALLERS {
        let mut rates = [const { Vec::new() }; 4];
        for round in 0..ROUNDS {
            // None is always the first.
            for turn in (0..4).map(|turn| (turn + round) % 4) {
                let provider = (turn < 2).then_some(provider);
                let rate = rate(&agents, callers, turn % 2 == 1, provider).await;
                if let Some(rates) = rates.get_mut(turn) {
                    rates.push(rate);
                }
            }
        }
        let [plain, audited, plain_alone, audited_alone] = rates.map(median);
        let (ratio, alone) = (audited / plain, audited_alone / plain_alone);
        println!(
            "{database:<24}{callers:>8}{plain:>12.0}{audited:>10.0}{ratio:>7.2}{plain_alone:>34.0}{audited_alone:>10.0}{alone:>7.2}"
        );
    }
    vault.close().await;
}

/// One tenant's agent.
#[derive(Clone)]
struct Agent {
    vault: Vault,
    scope: TenantScope,
    token: SecretString,
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn agents(vault: &Vault) -> Vec<Agent> {
    let mut agents = Vec::new();
    for n in 0..TENANTS {
        let scope = vault.scope(new_tenant(vault, &format!("tenant {n}")).await.id);
        drop(scope.connect(new_connection("github", &"x".repeat(2048))).await);
        let principal = scope.principal("local", "agent").await.unwrap();
        let (_, token) = scope.create_token(principal.id, "bench", "spend", None).await.unwrap();
        agents.push(Agent { vault: vault.clone(), scope, token });
    }
    agents
}

/// Calls in a second by so many callers at once.
#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn rate(
    agents: &[Agent],
    callers: usize,
    audited: bool,
    provider: Option<SocketAddr>,
) -> f64 {
    let mut running = JoinSet::new();
    let start = Instant::now();
    for agent in agents.iter().cycle().take(callers) {
        let agent = agent.clone();
        running.spawn(async move {
            let mut upstream = match provider {
                Some(address) => Some(connect(address).await),
                None => None,
            };
            let mut sealed = None;
            let mut calls = 0_u32;
            while start.elapsed() < ROUND {
                // EXPOSE: the agent brings it.
                let token = agent.token.expose_secret();
                agent.vault.authenticate(token).await.unwrap().unwrap();
                agent.scope.connection("github").await.unwrap().unwrap();
                match &sealed {
                    Some(sealed) if !audited => unaudited(sealed, upstream.as_mut()).await,
                    _ => sealed = Some(with_audit(&agent.scope, upstream.as_mut()).await),
                }
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = running.join_all().await.into_iter().sum();
    f64::from(calls) / start.elapsed().as_secs_f64()
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn with_audit(scope: &TenantScope, upstream: Option<&mut TcpStream>) -> Sealed {
    let params = json!({ "owner": "octocat", "repo": "hello" });
    let begun = scope.begin(intent("get_repository", &params)).await.unwrap();
    let (_, sealed) = begun.connection.unwrap();
    drop(sealed.open().unwrap());
    ask(upstream).await;
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    sealed
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn unaudited(sealed: &Sealed, upstream: Option<&mut TcpStream>) {
    drop(sealed.open().unwrap());
    ask(upstream).await;
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn ask(upstream: Option<&mut TcpStream>) {
    if let Some(upstream) = upstream {
        upstream.write_all(REQUEST).await.unwrap();
        upstream.read_exact(&mut [0; ANSWER.len()]).await.unwrap();
    }
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn connect(provider: SocketAddr) -> TcpStream {
    let upstream = TcpStream::connect(provider).await.unwrap();
    upstream.set_nodelay(true).unwrap();
    upstream
}

/// Answers each request at once, over connections that stay.
#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            caller.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let mut request = [0; REQUEST.len()];
                while caller.read_exact(&mut request).await.is_ok() {
                    caller.write_all(ANSWER).await.unwrap();
                }
            });
        }
    });
    address
}

#[expect(clippy::indexing_slicing, reason = "there is always a round")]
fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A trail of a million events, checked from its beginning to its end.
#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark reports to a person")]
async fn verify(database: &str, store: Store) {
    let vault = store.open().await;
    let scope = vault.scope(new_tenant(&vault, "acme").await.id);
    let mut running = JoinSet::new();
    for _ in 0..WRITERS {
        let scope = scope.clone();
        running.spawn(async move {
            let params = json!({ "owner": "octocat", "repo": "hello" });
            for _ in 0..EVENTS / 2 / WRITERS {
                let event = intent("get_repository", &params);
                scope.record_event(event, outcome(ResultStatus::Success)).await.unwrap();
            }
        });
    }
    running.join_all().await;
    let start = Instant::now();
    let verified = scope.verify_audit().await.unwrap();
    let took = start.elapsed();
    assert!(verified.problems.is_empty());
    println!("{database:<24} verified {} events in {took:.2?}", verified.events);
    vault.close().await;
}
