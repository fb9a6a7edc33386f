//! The product on PostgreSQL: the owner of the database migrates it, and the program runs as another role.

use std::io::Write;
use std::process::Command;
use std::thread;

use serde_json::json;

use crate::clients::Answer;
use crate::process::run;
use crate::product::Product;
use crate::provider::{Provider, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";

/// A database of a test's own, with an owner who is no superuser and a role for the program.
pub struct Database {
    name: String,
}

impl Database {
    /// None when no server is named, which is said aloud and is a failure where CI runs.
    pub fn new() -> Option<Self> {
        if std::env::var_os("RESTO_TEST_POSTGRES").is_none() {
            assert!(std::env::var_os("CI").is_none(), "RESTO_TEST_POSTGRES is not set");
            // Not by a macro: the test runner would swallow it.
            let text = b"The product was NOT tested on PostgreSQL: set RESTO_TEST_POSTGRES to a superuser's URL\n";
            std::io::stderr().write_all(text).unwrap();
            return None;
        }
        let unique = tempfile::tempdir().unwrap();
        let unique = unique.path().file_name().unwrap().to_str().unwrap();
        let name = format!("resto_{}", unique.trim_start_matches('.').to_lowercase());
        let database = Self { name };
        let Self { name, .. } = &database;
        // Roles belong to the whole server: those of the migration may be there already, or be in the making.
        psql(&format!(
            "SELECT pg_advisory_lock(7);
             CREATE ROLE {name}_owner LOGIN PASSWORD '{name}' CREATEROLE;
             CREATE ROLE {name}_serve LOGIN PASSWORD '{name}';
             SELECT format('CREATE ROLE %I NOLOGIN', missing) FROM unnest(ARRAY['resto_app', 'resto_lookup', 'resto_audit']) missing
                 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = missing) \\gexec
             GRANT resto_app, resto_lookup, resto_audit TO {name}_owner;
             GRANT resto_app TO {name}_serve;
             CREATE DATABASE {name} OWNER {name}_owner;"
        ));
        Some(database)
    }

    fn url(&self, role: &str) -> String {
        let admin = std::env::var("RESTO_TEST_POSTGRES").unwrap();
        let (_, place) = admin.rsplit_once('@').expect("a URL with a password");
        let (server, _) = place.split_once('/').expect("a URL with a database");
        let name = &self.name;
        format!("postgres://{name}_{role}:{name}@{server}/{name}")
    }

    /// An installation that uses this database as `role`.
    pub fn product(&self, provider: &Provider, role: &str) -> Product {
        Product::at(&provider.url).on(self.url(role))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.name;
        psql(&format!(
            "DROP DATABASE {name} WITH (FORCE);
             DROP ROLE {name}_serve; DROP ROLE {name}_owner;"
        ));
    }
}

/// Carries out statements as the server's superuser.
fn psql(statements: &str) {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]);
    command.arg(std::env::var("RESTO_TEST_POSTGRES").unwrap());
    let finished = run(&mut command, statements);
    assert!(finished.status.success(), "{finished:?}");
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
fn a_role_that_row_level_security_does_not_bind_is_refused() {
    let Some(database) = Database::new() else { return };
    let provider = Provider::github(repository);
    database.product(&provider, "owner").must(&["migrate"], "");
    psql(&format!("ALTER ROLE {}_serve BYPASSRLS", database.name));
    let refused = database.product(&provider, "serve").run(&["connections"], "");
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains("row-level security"), "{refused:?}");
}
