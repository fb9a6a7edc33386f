//! A backup that is taken while agents work, and what is restored from it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::postgres::Database;
use crate::process::{run, tool};
use crate::product::{Product, Server};
use crate::provider::{Provider, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

/// Takes a backup while four agents work; then some more is done.
fn backed_up(product: &Product, backup: impl FnOnce()) {
    product.must(&["connect", "github", "--key-stdin"], KEY);
    let mut server = product.serve();
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    let call = |server: &Server<'_>| {
        let answer = server.call(&[], READ[1], &arguments);
        assert!(answer.body.contains("octocat/hello-world"), "{answer:?}");
    };
    call(&server);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    call(&server);
                }
            });
        }
        backup();
        done.store(true, Ordering::Relaxed);
    });
    call(&server);
    assert!(server.process.terminate().success());
}

/// What was restored works, and its trail is whole as far as it goes; by the anchors it shows how far it does not.
fn restored(product: &Product, from: &Product) {
    fs::copy(from.path("root.key"), product.path("root.key")).unwrap();
    let whole = product.must(&["audit", "--verify"], "");
    assert!(whole.stdout.contains("No anchor outside the database"), "{whole:?}");
    product.must(&READ, "");
    product.must(&["audit", "--verify"], "");
    fs::copy(from.path("audit-anchors.jsonl"), product.path("audit-anchors.jsonl")).unwrap();
    let cut = product.run(&["audit", "--verify"], "");
    assert_eq!(cut.status.code(), Some(1), "{cut:?}");
    assert!(cut.stdout.contains("cut off the end"), "{cut:?}");
}

#[test]
fn a_sqlite_database_is_backed_up_while_agents_work_and_restored() {
    let provider = Provider::github(repository);
    let (product, again) = (Product::at(&provider.url), Product::at(&provider.url));
    DirBuilder::new().mode(0o700).create(again.path("data")).unwrap();
    backed_up(&product, || {
        let program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])";
        let mut python = Command::new(tool("python/bin/python"));
        python.args(["-c", program]).arg(product.path("data/resto.db"));
        let taken = run(python.arg(again.path("data/resto.db")), "");
        assert!(taken.status.success(), "{taken:?}");
    });
    restored(&again, &product);
}

#[test]
fn a_postgres_database_is_backed_up_while_agents_work_and_restored() {
    let (Some(database), Some(other)) = (Database::new(), Database::new()) else { return };
    let provider = Provider::github(repository);
    let (product, again) = (database.migrated(&provider), other.product(&provider, "serve"));
    let mut dump = String::new();
    backed_up(&product, || dump = database.dump());
    other.sql(&dump);
    restored(&again, &product);
}
