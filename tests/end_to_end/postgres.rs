//! The product on PostgreSQL: the owner of the database migrates it, and the program runs as another role.

use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::clients::Answer;
use crate::process::run;
use crate::product::Product;
use crate::provider::{Provider, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";

/// A database of a test's own, with an owner who is no superuser and a role for the program.
pub struct Database {
    /// The URL of its server's superuser.
    superuser: String,
    name: String,
    /// The file of the server's log in which it begins.
    log: String,
}

impl Database {
    /// None when no server is named, which is said aloud and is a failure where CI runs.
    pub fn new() -> Option<Self> {
        let Ok(superuser) = std::env::var("RESTO_TEST_POSTGRES") else {
            assert!(std::env::var_os("CI").is_none(), "RESTO_TEST_POSTGRES is not set");
            // Not by a macro: the test runner would swallow it.
            let text = b"The product was NOT tested on PostgreSQL: set RESTO_TEST_POSTGRES to a superuser's URL\n";
            std::io::stderr().write_all(text).unwrap();
            return None;
        };
        Some(Self::of(superuser))
    }

    /// A database of the server whose superuser has this URL.
    pub fn of(superuser: String) -> Self {
        let unique = tempfile::tempdir().unwrap();
        let unique = unique.path().file_name().unwrap().to_str().unwrap();
        let name = format!("resto_{}", unique.trim_start_matches('.').to_lowercase());
        let log = psql(&superuser, "SELECT pg_walfile_name(pg_current_wal_lsn())");
        let database = Self { superuser, name, log: log.trim().to_owned() };
        let Self { superuser, name, .. } = &database;
        // Roles belong to the whole server: those of the migration may be there already, or be in the making.
        let statements = format!(
            "SELECT pg_advisory_lock(7);
             CREATE ROLE {name}_owner LOGIN PASSWORD '{name}' CREATEROLE;
             CREATE ROLE {name}_serve LOGIN PASSWORD '{name}';
             SELECT format('CREATE ROLE %I NOLOGIN', missing) FROM unnest(ARRAY['resto_app', 'resto_lookup', 'resto_audit']) missing
                 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = missing) \\gexec
             GRANT resto_app, resto_lookup, resto_audit TO {name}_owner;
             GRANT resto_app TO {name}_serve;
             CREATE DATABASE {name} OWNER {name}_owner;"
        );
        psql(superuser, &statements);
        database
    }

    fn url(&self, role: &str) -> String {
        let admin = self.admin();
        let (_, place) = admin.rsplit_once('@').expect("a URL with a password");
        let name = &self.name;
        format!("postgres://{name}_{role}:{name}@{place}")
    }

    /// The URL of its superuser.
    fn admin(&self) -> String {
        let (server, _) = self.superuser.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }

    /// Carries out statements in it, behind the product's back; what they give, one row a line.
    pub fn sql(&self, statements: &str) -> String {
        psql(&self.admin(), statements)
    }

    /// What a thief of a backup gets.
    pub fn dump(&self) -> String {
        let dumped = run(Command::new("pg_dump").arg(self.admin()), "");
        assert!(dumped.status.success(), "{dumped:?}");
        dumped.stdout
    }

    /// The server's files with these bytes: the database's own, the log of its changes since it was made, and the log of
    /// what the server says.
    pub fn files_with(&self, needles: &[&[u8]]) -> Vec<String> {
        let literal = |bytes: &&[u8]| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("('\\x{hex}'::BYTEA)")
        };
        let needles = needles.iter().map(literal).collect::<Vec<_>>().join(", ");
        let found = self.sql(&format!(
            "CHECKPOINT;
             WITH files (path) AS (
                 SELECT 'base/' || oid || '/' || pg_ls_dir('base/' || oid) FROM pg_database WHERE datname = current_database()
                 UNION ALL SELECT 'pg_wal/' || name FROM pg_ls_waldir() WHERE name >= '{}'
                 UNION ALL SELECT current_setting('data_directory') || '/../log'
             )
             SELECT path FROM files, LATERAL pg_read_binary_file(path, 0, 1 << 26, true) bytes
             WHERE EXISTS (SELECT FROM (VALUES {needles}) n (needle) WHERE position(needle IN bytes) > 0)",
            self.log
        ));
        found.lines().map(str::to_owned).collect()
    }

    /// An installation that uses this database as `role`.
    pub fn product(&self, provider: &Provider, role: &str) -> Product {
        Product::at(&provider.url).on(self.url(role))
    }

    /// An installation of the program's role, after the owner has migrated.
    pub fn migrated(&self, provider: &Provider) -> Product {
        self.product(provider, "owner").must(&["migrate"], "");
        self.product(provider, "serve")
    }
}

/// Puts the clock of an installation's database, which `sql` reaches, ahead of the machine's.
pub fn put_ahead(product: &Product, sql: &dyn Fn(&str) -> String, ahead: Duration) {
    let ahead = ahead.as_millis();
    if product.is_on_postgres() {
        sql(&format!(
            "CREATE OR REPLACE VIEW clock AS
             SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + {ahead} AS now_ms"
        ));
    } else {
        sql("DROP VIEW clock");
        sql(&format!(
            "CREATE VIEW clock AS SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + {ahead} AS now_ms"
        ));
    }
}

/// Tells a story of an installation on SQLite, and on PostgreSQL.
pub fn on_both(provider: &Provider, story: impl Fn(&Product)) {
    on_both_with_sql(provider, |product, _| story(product));
}

/// As [`on_both`], with a way to the database behind the product's back.
pub fn on_both_with_sql(provider: &Provider, story: impl Fn(&Product, &dyn Fn(&str) -> String)) {
    let product = Product::at(&provider.url);
    story(&product, &|statement| product.sql(statement));
    if let Some(database) = Database::new() {
        story(&database.migrated(provider), &|statement| database.sql(statement));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.name;
        let statements = format!(
            "DROP DATABASE {name} WITH (FORCE);
             DROP ROLE {name}_serve; DROP ROLE {name}_owner;"
        );
        psql(&self.superuser, &statements);
    }
}

/// Carries out statements; what they give, one row a line.
fn psql(url: &str, statements: &str) -> String {
    let mut command = Command::new("psql");
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--tuples-only",
        "--no-align",
    ]);
    let finished = run(command.arg(url), statements);
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout
}

#[test]
fn the_owner_migrates_and_another_role_serves() {
    let Some(database) = Database::new() else { return };
    let provider = Provider::github(repository);
    let product = database.product(&provider, "serve");
    let early = product.run(&["connections"], "");
    assert!(early.stderr.contains("resto migrate"), "{early:?}");
    let powerless = product.run(&["migrate"], "");
    assert!(!powerless.status.success(), "{powerless:?}");
    database.product(&provider, "owner").must(&["migrate"], "");

    product.must(&["connect", "github", "--key-stdin"], KEY);
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    let servers = [product.serve(), product.serve()];
    thread::scope(|scope| {
        for caller in 0..20 {
            let (server, arguments) = (&servers[caller % 2], &arguments);
            scope.spawn(move || {
                let called = server.call(&[], READ, arguments);
                let called = Answer::from(called.json()["result"].clone());
                assert_eq!(called.output()["full_name"], "octocat/hello-world");
            });
        }
    });
    let calls = product.trail("local").into_iter().filter(|(_, action, _)| action == READ);
    assert_eq!(calls.filter(|(_, _, status)| status == "success").count(), 20);
    product.must(&["audit", "--verify"], "");
    product.must(&["disconnect", "github"], "");
    let refused = servers[1].call(&[], READ, &arguments);
    assert!(refused.body.contains("not_connected"), "{refused:?}");
}

#[test]
fn g2_a_database_that_does_not_keep_its_side_is_refused_and_doctor_tells_why() {
    let Some(database) = Database::new() else { return };
    let provider = Provider::github(repository);
    let product = database.migrated(&provider);
    product.must(&["connections"], "");
    product.must(&["doctor"], "");
    let role = format!("{}_serve", database.name);
    for (harm, mend, words) in [
        ("BYPASSRLS", "NOBYPASSRLS", "bypasses row-level security"),
        ("SUPERUSER", "NOSUPERUSER", "is a superuser"),
        ("SET synchronous_commit = off", "RESET synchronous_commit", "before they are durable"),
    ] {
        database.sql(&format!("ALTER ROLE {role} {harm}"));
        for (told, output) in [(product.run(&["serve"], ""), 2), (product.run(&["doctor"], ""), 1)]
        {
            assert_eq!(told.status.code(), Some(1), "{told:?}");
            let text = if output == 1 { &told.stdout } else { &told.stderr };
            assert!(text.contains(words), "{told:?}");
        }
        database.sql(&format!("ALTER ROLE {role} {mend}"));
    }
    let owner = database.product(&provider, "owner").run(&["connections"], "");
    assert!(owner.stderr.contains("owns the tables"), "{owner:?}");
    product.must(&["connections"], "");
}

#[test]
fn b4_a_missing_key_file_is_not_replaced_beside_a_database_that_has_another_key() {
    let Some(database) = Database::new() else { return };
    let provider = Provider::github(repository);
    let product = database.product(&provider, "serve");
    // Nor is one made for a database that cannot be opened.
    let early = product.run(&["connections"], "");
    assert!(early.stderr.contains("resto migrate"), "{early:?}");
    assert!(!product.path("root.key").exists());
    database.product(&provider, "owner").must(&["migrate"], "");
    product.must(&["connect", "github", "--key-stdin"], KEY);
    std::fs::rename(product.path("root.key"), product.path("away.key")).unwrap();
    let words = "root.key is missing, and without it the stored credentials cannot be opened";
    for command in ["serve", "connections", "doctor"] {
        let refused = product.run(&[command], "");
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!([refused.stdout, refused.stderr].concat().contains(words), "{command}");
        assert!(!product.path("root.key").exists(), "{command}");
    }
    std::fs::rename(product.path("away.key"), product.path("root.key")).unwrap();
    product.must(&["call", READ, r#"{"owner": "octocat", "repo": "hello-world"}"#], "");
}
