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
/// How long the quiet ones are watched alone, when the trouble begins, and beside it; again and again, as no machine is as
/// quick all the time.
const ALONE: Duration = Duration::from_secs(15);
const FIRST: Duration = Duration::from_secs(5);
const BESIDE: Duration = ALONE;
const ROUNDS: usize = 4;
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
    let target = &running.target;
    println!("{QUIET} quiet businesses, all answered");
    for times in [1, TIMES] {
        let turned_away =
            beside(target, &format!("one that asks for {times} times its limit"), |stopped| {
                asking(target.clone(), times, stopped)
            })
            .await;
        println!("  {turned_away} of its own turned away");
    }
    let failed = beside(target, "one whose provider is down", |stopped| {
        let asking = asking(target.clone(), 1, stopped);
        async {
            IS_DOWN.store(true, Ordering::Relaxed);
            let failed = asking.await;
            IS_DOWN.store(false, Ordering::Relaxed);
            failed
        }
    })
    .await;
    println!("  {failed} of its own failed");
    let what = format!(
        "{SOCKETS} sockets that never get done asking, {STREAMS} streams and messages without bottom"
    );
    beside(target, &what, |stopped| {
        let siege = siege(target.clone(), stopped);
        async {
            siege.await;
            0
        }
    })
    .await;
}

/// How long calls take alone and beside some trouble, which tells in the end how many of its own came to nothing.
async fn beside<F>(target: &Target, what: &str, trouble: impl Fn(watch::Receiver<()>) -> F) -> usize
where
    F: Future<Output = usize> + Send + 'static,
{
    let (mut alone, mut at_first, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = 0;
    for _ in 0..ROUNDS {
        // What the trouble before left goes meanwhile.
        drop(quiet(target, FIRST).await);
        alone.extend(quiet(target, ALONE).await);
        let (stop, stopped) = watch::channel(());
        let troubling = tokio::spawn(trouble(stopped));
        at_first.extend(quiet(target, FIRST).await);
        beside.extend(quiet(target, BESIDE).await);
        drop(stop);
        failed += troubling.await.unwrap();
    }
    let calls = beside.len();
    let [alone, at_first, beside] = [alone, at_first, beside].map(|times| p99(times) * 1000.0);
    println!(
        "beside {what}: p99 {beside:.1} ms of {calls} calls, alone {alone:.1} ms ({:.2}); {at_first:.1} ms in the first {} s",
        beside / alone,
        FIRST.as_secs(),
    );
    failed
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
