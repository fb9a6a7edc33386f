//! Many sessions, each with a stream for what the server has to tell, that ask now and then; and a provider that takes its
//! time. What the server adds to that time, and what it holds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};

use crate::load::{Client, TOOL, Target};
use crate::servers::{Installation, Kind, TAKES_MS};

const SESSIONS: u32 = 1000;
/// Each asks so often: 500 calls a second in all.
const EVERY: Duration = Duration::from_secs(2);
const TAKES: Duration = Duration::from_millis(50);
const TIME: Duration = Duration::from_mins(1);
/// In which all of them have come; the calls are counted after it.
const COMING: Duration = Duration::from_secs(5);
/// The last revision of the protocol that has sessions.
const REVISION: &str = "2025-11-25";

pub async fn sessions(installations: &[Installation]) {
    for installation in installations {
        let contender = installation.contender(Kind::Product);
        let running = contender.start().await;
        TAKES_MS.store(TAKES.as_millis().try_into().unwrap(), Ordering::Relaxed);
        let start = Instant::now();
        let mut businesses = JoinSet::new();
        for n in 0..SESSIONS {
            businesses.spawn(session(running.target.clone(), n, start));
        }
        let mut added = businesses.join_all().await.concat();
        TAKES_MS.store(0, Ordering::Relaxed);
        added.sort_by(f64::total_cmp);
        let at = |hundredth: usize| added[added.len() * hundredth / 100] * 1000.0;
        println!(
            "{}: {SESSIONS} sessions, {:.0} calls a second: beside the provider's {} ms p50 {:.1} ms, p99 {:.1} ms; peak {} MB",
            contender.name,
            f64::from(u32::try_from(added.len()).unwrap()) / TIME.as_secs_f64(),
            TAKES.as_millis(),
            at(50),
            at(99),
            running.memory("VmHWM") / 1024,
        );
    }
}

/// What each call of a session took longer than the provider, in seconds.
async fn session(target: Target, n: u32, start: Instant) -> Vec<f64> {
    sleep(COMING * n / SESSIONS).await;
    let mut client = Client::open(&target.address).await.unwrap();
    let opening = json!({
        "protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
    });
    client.ask(&request(&target, n, None, "POST", &message("initialize", Some(1), &opening))).await;
    let id = client.header("mcp-session-id").unwrap();
    let opened = message("notifications/initialized", None, &json!({}));
    client.ask(&request(&target, n, Some(&id), "POST", &opened)).await;
    let mut listening = TcpStream::connect(&target.address).await.unwrap();
    listening.write_all(&request(&target, n, Some(&id), "GET", "")).await.unwrap();
    let call = message("tools/call", Some(2), &json!({"name": TOOL, "arguments": {}}));
    let call = request(&target, n, Some(&id), "POST", &call);
    let mut added = Vec::new();
    let asking = async {
        // Not all at the same moment.
        let first = start + COMING + EVERY * n / SESSIONS;
        let mut ticks = interval_at(first, EVERY);
        while start.elapsed() < COMING + TIME {
            ticks.tick().await;
            let asked = Instant::now();
            client.ask(&call).await;
            added.push(asked.elapsed().saturating_sub(TAKES).as_secs_f64());
            assert!(client.answered(b"octocat"), "{}", String::from_utf8_lossy(&client.answer));
        }
    };
    let hearing = async {
        let mut told = [0; 4096];
        while listening.read(&mut told).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        () = asking => {}
        () = hearing => panic!("a stream ended"),
    }
    added
}

fn message(method: &str, id: Option<u64>, params: &Value) -> String {
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    message.to_string()
}

fn request(target: &Target, n: u32, session: Option<&str>, method: &str, body: &str) -> Vec<u8> {
    let token = &target.tokens[n as usize % target.tokens.len()];
    let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
    format!(
        "{method} {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: {REVISION}\r\n{session}\
         content-length: {}\r\n\r\n{body}",
        target.paths[0],
        target.address,
        body.len()
    )
    .into_bytes()
}
