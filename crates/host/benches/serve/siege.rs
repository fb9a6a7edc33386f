//! Clients that ask for nothing good: sockets that never get done asking, messages without bottom, and streams.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::load::{Client, Load, Target};

pub const SOCKETS: usize = 1000;
pub const STREAMS: usize = 512;
/// Each of so many connections sends a message of this depth every second.
const DEEP: usize = 8;
const DEPTH: usize = 500_000;
const SECOND: Duration = Duration::from_secs(1);

/// Keeps all of it up until it is told to stop.
pub async fn siege(target: Target, mut stopped: watch::Receiver<()>) {
    let mut clients = JoinSet::new();
    for _ in 0..SOCKETS {
        let address = target.address.clone();
        clients.spawn(async move {
            loop {
                // The server closes it after a while.
                let _ = drip(&address).await;
                sleep(SECOND).await;
            }
        });
    }
    for _ in 0..STREAMS {
        let (address, request) = (target.address.clone(), target.request(Load::Listen, 0));
        clients.spawn(async move {
            loop {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                stream.write_all(&request).await.unwrap();
                let mut told = [0; 4096];
                while stream.read(&mut told).await.is_ok_and(|read| read > 0) {}
                sleep(SECOND).await;
            }
        });
    }
    for _ in 0..DEEP {
        let address = target.address.clone();
        let request = target.post(Load::Call, 0, &"[".repeat(DEPTH));
        clients.spawn(async move {
            let mut seconds = interval(SECOND);
            loop {
                seconds.tick().await;
                let mut client = Client::open(&address).await.unwrap();
                client.ask(&request).await;
                assert!(!client.answered(b"jsonrpc"), "it was taken for a message");
            }
        });
    }
    drop(stopped.changed().await);
    assert!(clients.try_join_next().is_none(), "one of them gave up");
}

async fn drip(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await?;
    loop {
        sleep(SECOND).await;
        stream.write_all(b" ").await?;
    }
}
