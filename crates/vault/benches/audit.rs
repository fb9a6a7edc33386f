//! What the audit trail costs: durable calls (intent, opened credential, result) in a second, beside the same calls
//! without audit (the row read, the credential opened). Only the ratios within one run mean anything.

#[path = "../tests/vault/store.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the tests' databases, of which this needs little"
)]
mod store;

use std::time::{Duration, Instant};

use resto_vault::{ResultStatus, Sealed, TenantScope, Vault};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};
use store::{Store, intent, new_connection, new_tenant, outcome};
use tokio::{runtime::Runtime, task::JoinSet};

const CALLERS: [usize; 3] = [1, 16, 64];
const TENANTS: usize = 16;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);

#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark reports to a person")]
fn main() {
    let runtime = Runtime::new().unwrap();
    println!("calls in a second: median of {ROUNDS} rounds, {TENANTS} tenants, 2 KiB credentials");
    println!("{:<22}{:>8}{:>12}{:>12}{:>8}", "", "callers", "unaudited", "audited", "ratio");
    runtime.block_on(measure("SQLite, FULL", Store::sqlite()));
    if let Some(store) = runtime.block_on(Store::postgres()) {
        let fsync = runtime.block_on(fsync(&store));
        runtime.block_on(measure(&format!("PostgreSQL, fsync {fsync}"), store));
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
    let scopes = scopes(&vault).await;
    for callers in CALLERS {
        let (mut plain, mut audited) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Neither is always the first.
            for turn in [round % 2, 1 - round % 2] {
                if turn == 0 {
                    plain.push(rate(&scopes, callers, false).await);
                } else {
                    audited.push(rate(&scopes, callers, true).await);
                }
            }
        }
        let (plain, audited) = (median(plain), median(audited));
        let ratio = audited / plain;
        println!("{database:<22}{callers:>8}{plain:>12.0}{audited:>12.0}{ratio:>8.2}");
    }
    vault.close().await;
}

async fn scopes(vault: &Vault) -> Vec<TenantScope> {
    let mut scopes = Vec::new();
    for n in 0..TENANTS {
        let scope = vault.scope(new_tenant(vault, &format!("tenant {n}")).await.id);
        drop(scope.connect(new_connection("github", &"x".repeat(2048))).await);
        scopes.push(scope);
    }
    scopes
}

/// Calls in a second by so many callers at once.
async fn rate(scopes: &[TenantScope], callers: usize, audited: bool) -> f64 {
    let mut running = JoinSet::new();
    let start = Instant::now();
    for scope in scopes.iter().cycle().take(callers).cloned() {
        running.spawn(async move {
            let sealed = audited_call(&scope).await;
            let mut calls = 0_u32;
            while start.elapsed() < ROUND {
                if audited {
                    audited_call(&scope).await;
                } else {
                    plain_call(&scope, &sealed).await;
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
async fn audited_call(scope: &TenantScope) -> Sealed {
    let params = json!({ "owner": "octocat", "repo": "hello" });
    let begun = scope.begin(intent("get_repository", &params)).await.unwrap();
    let (_, sealed) = begun.connection.unwrap();
    drop(sealed.open().unwrap());
    scope.finish(begun.ticket, outcome(ResultStatus::Success)).await.unwrap();
    sealed
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
async fn plain_call(scope: &TenantScope, sealed: &Sealed) {
    scope.connection("github").await.unwrap().unwrap();
    drop(sealed.open().unwrap());
}

#[expect(clippy::indexing_slicing, reason = "there is always a round")]
fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
