//! What a caller waits for: the list of tools, and one audited call against a provider on loopback.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::alloc::System;
use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use divan::Bencher;
use resto_core::{Adapter, Secrets};
use resto_host::{Caller, Calls, Catalog, Config, Host, Line, Overrides, tool};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use zeroizing_alloc::ZeroAlloc;

/// As the product has it.
#[global_allocator]
static WIPING: ZeroAlloc<System> = ZeroAlloc(System);

fn main() {
    divan::main();
}

/// Every tool as `tools/list` publishes it, from the actions to the bytes; several catalogs' worth,
/// since a full server has more than a hundred.
#[divan::bench]
fn list_over_100_tools(bencher: Bencher<'_, '_>) {
    let adapters = || -> Vec<Adapter> { vec![resto_github::adapter()] };
    let catalog = Catalog::new(adapters()).unwrap();
    let copies = 100_usize.div_ceil(catalog.entries().count());
    bencher.bench(|| {
        let tools: Vec<_> =
            (0..copies).flat_map(|_| catalog.entries().map(|entry| tool(&entry))).collect();
        serde_json::to_vec(&tools).unwrap().len()
    });
}

/// A reading call: checked, its intent durable on SQLite, the credential opened, the provider asked,
/// its result durable.
#[divan::bench]
fn call_audited(bencher: Bencher<'_, '_>) {
    let bench = Bench::start();
    bencher.bench(|| bench.call());
}

struct Bench {
    runtime: Runtime,
    host: Arc<Host>,
    caller: Caller,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let base_url = runtime.block_on(provider());
        let mut config = Config {
            data_dir: Some(folder.path().join("data")),
            key_file: Some(folder.path().join("keys/root.key")),
            ..Config::default()
        };
        let overrides = Overrides { base_url: Some(base_url), ..Overrides::default() };
        config.integrations.insert("github".into(), overrides);
        let (host, caller) = runtime.block_on(async {
            let host = Arc::new(Host::open(&config).await.unwrap());
            let caller = host.owner("local", "bench").await.unwrap();
            let github = host.integration("github").unwrap();
            let secrets = Secrets::from([("token".into(), "github_pat_bench".into())]);
            host.connect_key(&caller, github, None, secrets, false).await.unwrap();
            (host, caller)
        });
        Self { runtime, host, caller, _folder: folder }
    }

    fn call(&self) -> serde_json::Value {
        let call =
            self.host.call(&self.caller, "github_get_account", json!({}), Line::new(Calls::Agent));
        self.runtime.block_on(call).unwrap().output
    }
}

async fn provider() -> String {
    let user = || async {
        Json(
            json!({"id": 1, "login": "octocat", "type": "User", "html_url": "https://github.com/octocat"}),
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/user", get(user))).await },
    );
    format!("http://{address}")
}
