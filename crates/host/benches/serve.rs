//! The server as agents meet it, beside a bare rmcp server that publishes the same tools and asks the same provider: calls
//! and lists in a second over HTTP, the first list after a start, and memory. And beside itself without the entries of the audit
//! trail. All have the product's allocator. Only the ratios of one run mean anything.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark reports to a person, and fails by panicking"
)]

#[path = "serve/bare.rs"]
mod bare;
#[path = "serve/fairness.rs"]
mod fairness;
#[path = "serve/load.rs"]
mod load;
#[path = "serve/servers.rs"]
mod servers;
#[path = "serve/sessions.rs"]
mod sessions;
#[path = "serve/siege.rs"]
mod siege;

use std::process::ExitCode;
use std::time::Duration;

use load::{Load, rate};
use servers::{Contender, Installation, Kind, UNLIMITED, provider};
use tokio::runtime;

/// What is asked, over so many connections.
const LOADS: [(Load, usize); 4] =
    [(Load::Call, 1), (Load::Call, 16), (Load::Call, 64), (Load::List, 16)];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
/// Starts of each server.
const STARTS: usize = 7;

fn main() -> ExitCode {
    // A server is this program too.
    match std::env::var(servers::SERVES).as_deref() {
        Ok("bare") => bare::serve(),
        Ok(_) => {
            resto_vault::leave_out_the_audit();
            return resto_host::cli::main();
        }
        Err(_) => compare(),
    }
    ExitCode::SUCCESS
}

fn compare() {
    // The server has one core to itself; everything else has the other, a PostgreSQL of this machine too.
    let pinned = servers::pin(&std::process::id().to_string(), servers::OTHERS);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let provider = provider();
        let mut installations = vec![Installation::sqlite(&provider, UNLIMITED)];
        installations.extend(Installation::postgres(&provider));
        let tools = installations[0].tools().await;
        println!(
            "{} tools; one core for the server: {pinned}; medians of {ROUNDS} rounds",
            tools.count
        );
        let mut contenders = vec![Contender::bare(&tools, &provider)];
        contenders.extend(installations.iter().map(|one| one.contender(Kind::Unaudited)));
        contenders.extend(installations.iter().map(|one| one.contender(Kind::Product)));
        // What is named: `cargo bench --bench serve -- SQLite`, `-- fairness` or `-- sessions`.
        let named: Vec<_> =
            std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
        let is_named =
            |name: &str| named.is_empty() || named.iter().any(|part| name.contains(part));
        contenders.retain(|one| one.name.starts_with("bare") || is_named(&one.name));
        if contenders.len() > 1 {
            starts(&contenders).await;
            rates(&contenders).await;
        }
        if is_named("fairness") {
            fairness::fairness(&provider).await;
        }
        if is_named("sessions") {
            sessions::sessions(&installations).await;
        }
    });
}

/// How long after its start a server has answered the first list, and what it holds then.
async fn starts(contenders: &[Contender]) {
    println!("{:<26}{:>14}{:>10}", "", "first list", "idle");
    let mut times = vec![Vec::new(); contenders.len()];
    let mut idle = vec![0; contenders.len()];
    for round in 0..STARTS {
        for turn in 0..contenders.len() {
            let n = (turn + round) % contenders.len();
            let running = contenders[n].start().await;
            times[n].push(running.first_list.as_secs_f64() * 1000.0);
            idle[n] = running.memory("VmRSS");
        }
    }
    for (contender, (times, idle)) in contenders.iter().zip(times.into_iter().zip(idle)) {
        println!("{:<26}{:>11.0} ms{:>7} MB", contender.name, median(times), idle / 1024);
    }
}

async fn rates(contenders: &[Contender]) {
    let mut running = Vec::new();
    for contender in contenders {
        running.push(contender.start().await);
    }
    println!("{:<26}{:>13}{:>14}{:>8}{:>8}", "", "connections", "in a second", "ratio", "peak");
    for (what, connections) in LOADS {
        let mut found = vec![Vec::new(); running.len()];
        for round in 0..ROUNDS {
            // None is always the first.
            for turn in 0..running.len() {
                let n = (turn + round) % running.len();
                found[n].push(rate(&running[n].target, what, connections, ROUND).await);
            }
        }
        let found: Vec<f64> = found.into_iter().map(median).collect();
        for ((contender, running), rate) in contenders.iter().zip(&running).zip(&found) {
            println!(
                "{:<26}{:>8} {connections:>4}{rate:>14.0}{:>8.2}{:>5} MB",
                contender.name,
                what.name(),
                rate / found[0],
                running.memory("VmHWM") / 1024,
            );
        }
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
