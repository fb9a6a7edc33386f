//! What a business that asks for twenty times what it may have takes from the others: how long their calls take beside it,
//! and without it.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::load::{Client, Load, Target};
use crate::servers::{Installation, Kind};

/// What each may ask: so many requests in a minute, a tenth of them at once.
const LIMIT: u32 = 3_000;
const TIMES: u32 = 20;
const QUIET: u32 = 8;
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(5);
/// A quiet business calls so often.
const EVERY: Duration = Duration::from_millis(100);
/// The noisy one has so many connections, of which most wait in the end; the others ask all the time.
const CONNECTIONS: usize = 400;
const STUCK: usize = 256;

/// Compares, and tells.
pub async fn fairness(provider: &str) {
    let limits = format!("requests = {LIMIT}\nper_seconds = 60\nconcurrent = 64\n");
    let installation = Installation::sqlite(provider, &limits);
    let running = installation.contender(Kind::Product).start().await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // First, because what waits at the end of a round goes on waiting.
    for _ in 0..ROUNDS {
        alone.extend(quiet(&running.target).await);
    }
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let (times, turned_away) = tokio::join!(quiet(&running.target), noise(&running.target));
        beside.extend(times);
        refused += turned_away;
    }
    let asked = alone.len();
    let [alone, beside] = [alone, beside].map(p99);
    println!(
        "{QUIET} quiet businesses, {asked} calls each way, all answered: p99 {:.1} ms alone, {:.1} ms beside one that asks for {TIMES} times its limit ({refused} of its calls turned away): {:.2}",
        alone * 1000.0,
        beside * 1000.0,
        beside / alone
    );
}

/// How long the calls of the quiet ones take; every one must be good.
async fn quiet(target: &Target) -> Vec<f64> {
    let mut businesses = JoinSet::new();
    for n in 1..=QUIET {
        let request = target.request(Load::Call, n as usize);
        let address = target.address.clone();
        businesses.spawn(async move {
            let (mut client, mut times) = (Client::open(&address).await.unwrap(), Vec::new());
            // Not all at the same moment.
            sleep(EVERY * n / QUIET).await;
            let (start, mut ticks) = (Instant::now(), interval(EVERY));
            while start.elapsed() < ROUND {
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

/// Asks for too much; how many calls were turned away.
async fn noise(target: &Target) -> usize {
    let free = u32::try_from(CONNECTIONS - STUCK).unwrap();
    let pause = Duration::from_mins(1) * free / (LIMIT * TIMES);
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = target.request(Load::Call, 0);
        let address = target.address.clone();
        connections.spawn(async move {
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
            drop(tokio::time::timeout(ROUND, asking).await);
            refused
        });
    }
    connections.join_all().await.into_iter().sum()
}

fn p99(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() * 99 / 100]
}
