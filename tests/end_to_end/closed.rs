//! Fail closed: where the audit trail cannot be written, the provider is not asked, and afterwards all goes on by itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::postgres::Database;
use crate::process::{Conversation, is_root, run, top};
use crate::product::{Product, Server};
use crate::provider::{Provider, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

/// An action is refused within 2 s, and works within 5 s after the fault; only a failure takes three times as long.
const REFUSED: Duration = Duration::from_secs(3 * 2);
const BACK: Duration = Duration::from_secs(3 * 5);

fn works(server: &Server<'_>) -> bool {
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    server.call(&[], READ[1], &arguments).body.contains("octocat/hello-world")
}

/// A call is refused in time, by a server and by a command, and the provider hears nothing of it.
fn is_closed(provider: &Provider, product: &Product, server: &Server<'_>) {
    let asked = provider.count();
    let start = Instant::now();
    assert!(!works(server));
    assert!(start.elapsed() < REFUSED, "{:?}", start.elapsed());
    is_closed_to_commands(product);
    assert_eq!(provider.count(), asked);
}

fn is_closed_to_commands(product: &Product) {
    let start = Instant::now();
    let refused = product.run(&READ, "");
    assert!(start.elapsed() < REFUSED, "{:?}", start.elapsed());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(!refused.stderr.contains("panicked"), "{refused:?}");
}

/// The same server works again, and its trail is whole.
fn goes_on(product: &Product, server: &Server<'_>) {
    let start = Instant::now();
    while !works(server) {
        assert!(start.elapsed() < BACK, "it does not come back");
    }
    product.must(&READ, "");
    product.must(&["audit", "--verify"], "");
}

/// The data folder of an installation as a disk of its own.
struct Disk(PathBuf);

impl Disk {
    /// None for whoever may not mount, which is said aloud and is a failure where CI runs.
    fn of(product: &Product) -> Option<Self> {
        if !is_root() {
            return None;
        }
        let folder = product.path("data");
        fs::create_dir(&folder).unwrap();
        let disk = Self(folder);
        disk.mount(&["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"]);
        Some(disk)
    }

    fn mount(&self, arguments: &[&str]) {
        let mounted = run(Command::new("mount").args(arguments).arg(&self.0), "");
        assert!(mounted.status.success(), "{mounted:?}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.0), "");
    }
}

#[test]
fn f1_while_the_database_takes_no_writes() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve();
    assert!(works(&server));
    product.sql(
        "CREATE TRIGGER broken BEFORE INSERT ON integration_audit_log
         BEGIN SELECT RAISE(ABORT, 'no more'); END",
    );
    is_closed(&provider, &product, &server);
    product.sql("DROP TRIGGER broken");
    goes_on(&product, &server);
}

#[test]
fn f1_while_the_disk_is_full() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    let Some(_disk) = Disk::of(&product) else { return };
    product.must(&["connect", "github", "--key-stdin"], KEY);
    let server = product.serve();
    assert!(works(&server));
    let filler = product.path("data/filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[b'x'; 512]).is_ok() {}
    drop(file);
    // The log has room of its own, until it ends and again when it begins anew: each call is one or the other.
    let (start, mut refused) = (Instant::now(), 0);
    while refused < 5 {
        let (asked, call) = (provider.count(), Instant::now());
        let worked = works(&server);
        assert_eq!(provider.count() - asked, usize::from(worked));
        assert!(call.elapsed() < REFUSED, "{:?}", call.elapsed());
        refused += usize::from(!worked);
        assert!(start.elapsed() < Duration::from_mins(1), "a full disk takes everything");
    }
    fs::remove_file(filler).unwrap();
    goes_on(&product, &server);
    assert_eq!(product.sql("PRAGMA integrity_check").trim(), "ok");
}

#[test]
fn f1_while_the_disk_is_read_only() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    let Some(disk) = Disk::of(&product) else { return };
    product.must(&["connect", "github", "--key-stdin"], KEY);
    product.must(&READ, "");
    let asked = provider.count();
    disk.mount(&["-o", "remount,ro"]);
    is_closed_to_commands(&product);
    assert_eq!(provider.count(), asked);
    disk.mount(&["-o", "remount,rw"]);
    product.must(&READ, "");
    product.must(&["audit", "--verify"], "");
    assert_eq!(product.sql("PRAGMA integrity_check").trim(), "ok");
}

/// A PostgreSQL that stops and starts when it is told to.
const POSTGRES: &str = r#"
    top=$1 tools=$1/.tools scratch=$2
    . "$top/tests/tools/install.sh"
    . "$top/tests/tools/postgres.sh"
    start_postgres >&2 || exit 1
    trap stop_postgres EXIT
    while read -r word; do
        case $word in
            stop) stop_postgres >&2 && echo stopped ;;
            start) restart_postgres >&2 && echo started ;;
            *) echo "$RESTO_TEST_POSTGRES" ;;
        esac
    done"#;

#[test]
fn f1_while_postgres_is_stopped() {
    if Database::new().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut script = Command::new("bash");
    script.args(["-c", POSTGRES, "postgres"]).args([top(), folder.path()]);
    let mut postgres = Conversation::start(&mut script);
    let database = Database::of(postgres.ask("where").trim().to_owned());
    let provider = Provider::github(repository);
    let product = database.migrated(&provider);
    product.must(&["connect", "github", "--key-stdin"], KEY);
    let server = product.serve();
    assert!(works(&server));
    assert_eq!(postgres.ask("stop").trim(), "stopped");
    is_closed(&provider, &product, &server);
    assert_eq!(postgres.ask("start").trim(), "started");
    goes_on(&product, &server);
}
