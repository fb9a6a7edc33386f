//! What others take from quiet businesses: one that asks for twenty times what it may have, one whose provider does not
//! work, and clients that ask for nothing good. How long the calls of the quiet ones take beside them, and alone.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::load::{Client, Load, Target};
use crate::servers::{IS_DOWN, Installation, Kind};
use crate::siege::{SOCKETS, STREAMS, siege};

/// What each may ask in a second: as much as Stripe lets a business, which is the most of all integrations.
const LIMIT: u32 = 25;
const TIMES: u32 = 20;
const QUIET: u32 = 8;
const FIRST: Duration = Duration::from_secs(5);
const THEN: Duration = Duration::from_mins(1);
/// A quiet business calls so often.
const EVERY: Duration = Duration::from_millis(100);
/// The noisy one has so many connections, of which most wait in the end; the others ask all the time.
const CONNECTIONS: u32 = 400;
const STUCK: u32 = 256;

/// Compares, and tells. What the disk needs for a commit decides more than all else where it is slow at times: a folder in
/// memory for temporary files takes it out of the comparison.
pub async fn fairness(provider: &str) {
    let limits = format!("requests = {LIMIT}\nper_seconds = 1\nburst = 10\nconcurrent = {LIMIT}\n");
    let installation = Installation::sqlite(provider, &limits);
    let running = installation.contender(Kind::Product).start().await;
    let alone = p99(quiet(&running.target, THEN).await);
    println!("{QUIET} quiet businesses alone: p99 {:.1} ms", alone * 1000.0);
    for times in [1, TIMES] {
        let (stop, stopped) = watch::channel(());
        let asking = tokio::spawn(asking(running.target.clone(), times, stopped));
        // It may ask for so many at once; from then on it waits, and is turned away.
        let at_first = p99(quiet(&running.target, FIRST).await);
        let beside = quiet(&running.target, THEN).await;
        let asked = beside.len();
        let beside = p99(beside);
        drop(stop);
        println!(
            "beside one that asks for {times} times its limit: p99 {:.1} ms ({:.2}) of {asked} calls, all answered, {} of its own turned away; {:.1} ms in the first {} s",
            beside * 1000.0,
            beside / alone,
            asking.await.unwrap(),
            at_first * 1000.0,
            FIRST.as_secs(),
        );
    }
    IS_DOWN.store(true, Ordering::Relaxed);
    let (stop, stopped) = watch::channel(());
    let asking = tokio::spawn(asking(running.target.clone(), 1, stopped));
    drop(quiet(&running.target, FIRST).await);
    let beside = p99(quiet(&running.target, THEN).await);
    drop(stop);
    IS_DOWN.store(false, Ordering::Relaxed);
    println!(
        "beside one whose provider is down: p99 {:.1} ms ({:.2}), all answered, {} of its own failed",
        beside * 1000.0,
        beside / alone,
        asking.await.unwrap(),
    );
    let (stop, stopped) = watch::channel(());
    let besieging = tokio::spawn(siege(running.target.clone(), stopped));
    drop(quiet(&running.target, FIRST).await);
    let besieged = p99(quiet(&running.target, THEN).await);
    drop(stop);
    besieging.await.unwrap();
    println!(
        "beside {SOCKETS} sockets that never get done asking, {STREAMS} streams and messages without bottom: p99 {:.1} ms ({:.2}), all answered",
        besieged * 1000.0,
        besieged / alone
    );
}

/// How long the calls of the quiet ones take; every one must be good.
async fn quiet(target: &Target, time: Duration) -> Vec<f64> {
    let mut businesses = JoinSet::new();
    for n in 1..=QUIET {
        let request = target.request(Load::Call, n as usize);
        let address = target.address.clone();
        businesses.spawn(async move {
            let (mut client, mut times) = (Client::open(&address).await.unwrap(), Vec::new());
            // Not all at the same moment.
            sleep(EVERY * n / QUIET).await;
            let (start, mut ticks) = (Instant::now(), interval(EVERY));
            while start.elapsed() < time {
                ticks.tick().await;
                let asked = Instant::now();
                client.ask(&request).await;
                times.push(asked.elapsed().as_secs_f64());
                assert!(client.answered(b"octocat"), "a quiet business was refused");
            }
            times
        });
    }
    businesses.join_all().await.concat()
}

/// Asks for so many times the limit until it is told to stop; how many calls were turned away.
async fn asking(target: Target, times: u32, stopped: watch::Receiver<()>) -> usize {
    let (connections, stuck) = if times > 1 { (CONNECTIONS, STUCK) } else { (CONNECTIONS / 16, 0) };
    let pause = Duration::from_secs(1) * (connections - stuck) / (LIMIT * times);
    let mut calling = JoinSet::new();
    for n in 0..connections {
        let request = target.request(Load::Call, 0);
        let (address, mut stopped) = (target.address.clone(), stopped.clone());
        calling.spawn(async move {
            // Not all at the same moment.
            sleep(pause * n / connections).await;
            let (mut client, mut refused) = (Client::open(&address).await.unwrap(), 0);
            let mut ticks = interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let asking = async {
                loop {
                    ticks.tick().await;
                    client.ask(&request).await;
                    refused += usize::from(!client.answered(b"octocat"));
                }
            };
            tokio::select! {
                () = asking => {}
                _ = stopped.changed() => {}
            }
            refused
        });
    }
    calling.join_all().await.into_iter().sum()
}

fn p99(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() * 99 / 100]
}
