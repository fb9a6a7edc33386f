//! Fail closed: where the audit trail cannot be written, the provider is not asked, and afterwards all goes on by itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::postgres::Database;
use crate::process::{Conversation, Finished, is_root, run, top};
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
        // Made first: dropping it unmounts, also where nothing was mounted.
        let disk = Self(folder);
        let mounted = disk.mount(&["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"]);
        if !mounted.status.success() {
            assert!(std::env::var_os("CI").is_none(), "{mounted:?}");
            // Not by a macro: the test runner would swallow it.
            let text = format!("Faults of a disk were NOT tested: {}", mounted.stderr);
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        }
        Some(disk)
    }

    fn mount(&self, arguments: &[&str]) -> Finished {
        run(Command::new("mount").args(arguments).arg(&self.0), "")
    }

    fn remount(&self, how: &str) {
        let mounted = self.mount(&["-o", &format!("remount,{how}")]);
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
    disk.remount("ro");
    is_closed_to_commands(&product);
    assert_eq!(provider.count(), asked);
    disk.remount("rw");
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

/// A server of the product on a PostgreSQL that is this story's alone.
fn on_own_postgres(story: impl Fn(&mut Conversation, &Database, &Provider, &Product, &Server<'_>)) {
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
    story(&mut postgres, &database, &provider, &product, &server);
}

#[test]
fn f1_while_postgres_is_stopped() {
    on_own_postgres(|postgres, _, provider, product, server| {
        assert_eq!(postgres.ask("stop").trim(), "stopped");
        is_closed(provider, product, server);
        assert_eq!(postgres.ask("start").trim(), "started");
        goes_on(product, server);
    });
}

/// As a server is that became a replica; whoever is connected stays so.
#[test]
fn f1_while_postgres_is_read_only() {
    on_own_postgres(|_, database, provider, product, server| {
        let become_read_only = |on: &str| {
            database.sql(&format!(
                "ALTER SYSTEM SET default_transaction_read_only = {on}; SELECT pg_reload_conf();"
            ));
        };
        become_read_only("on");
        // The server's processes hear of it in their own time.
        let start = Instant::now();
        while works(server) {
            assert!(start.elapsed() < BACK, "it writes to what is read-only");
        }
        is_closed(provider, product, server);
        become_read_only("off");
        goes_on(product, server);
    });
}

#[test]
fn f1_while_the_writers_connection_is_killed() {
    on_own_postgres(|_, database, provider, product, server| {
        for _ in 0..3 {
            let killed = database.sql(
                "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                 WHERE usename LIKE '%\\_serve' AND datname = current_database()",
            );
            assert_ne!(killed.trim(), "0");
            // With its connections gone it either makes new ones in time or refuses.
            let (asked, start) = (provider.count(), Instant::now());
            let worked = works(server);
            assert!(start.elapsed() < REFUSED, "{:?}", start.elapsed());
            assert_eq!(provider.count() - asked, usize::from(worked));
            goes_on(product, server);
        }
    });
}
