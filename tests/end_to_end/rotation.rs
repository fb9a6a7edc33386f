//! Rotating every tenant's key, killed in the middle.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::postgres::Database;
use crate::process::{Running, run};
use crate::product::Product;
use crate::provider::{Provider, repository};

/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(1);

/// Tenants whose keys seal something; the database halts whoever rotates the key of `b`.
struct Halted {
    product: Product,
    database: Option<Database>,
}

impl Halted {
    fn new(product: Product, database: Option<Database>) -> Self {
        for tenant in ["a", "b", "c"] {
            product.must(&["tenant", "create", tenant], "");
            product.must(
                &["--tenant", tenant, "connect", "github", "--key-stdin"],
                "github_pat_of_a_test",
            );
        }
        let halted = Self { product, database };
        halted.sql(
            "CREATE VIEW endless AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
            "CREATE FUNCTION halt() RETURNS TRIGGER LANGUAGE plpgsql AS
             $$ BEGIN IF OLD.tenant_id = (SELECT id FROM tenants WHERE external_id = 'b') THEN PERFORM pg_sleep(600); END IF;
                RETURN NEW; END $$",
        );
        halted.sql(
            "CREATE TRIGGER halt BEFORE UPDATE ON tenant_keys
             WHEN OLD.tenant_id = (SELECT id FROM tenants WHERE external_id = 'b') BEGIN SELECT max(i) FROM endless; END",
            "CREATE TRIGGER halt BEFORE UPDATE ON tenant_keys FOR EACH ROW EXECUTE FUNCTION halt()",
        );
        halted
    }

    fn sql(&self, sqlite: &str, postgres: &str) -> String {
        match &self.database {
            Some(database) => database.sql(postgres),
            None => self.product.sql(sqlite),
        }
    }

    /// The tenants and the states of their keys.
    fn keys(&self) -> String {
        let text = "SELECT t.external_id, k.state, count(*) FROM tenants t JOIN tenant_keys k ON k.tenant_id = t.id
                    WHERE t.external_id IN ('a', 'b', 'c') GROUP BY 1, 2 ORDER BY 1, 2";
        self.sql(text, text)
    }

    fn let_go(&self) {
        self.sql(
            "DROP TRIGGER halt",
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event = 'PgSleep';
             DROP TRIGGER halt ON tenant_keys",
        );
    }

    fn story(&self) {
        let mut command = self.product.command(&["keys", "rotate", "--all"]);
        let (mut rotating, on) = Running::start(&mut command, |line| {
            Some(line.split_once("it goes on with: resto ")?.1.to_owned())
        });
        let started = Instant::now();
        while !self.keys().contains("a|destroyed|1") {
            assert!(started.elapsed() < LIMIT, "{}: {}", self.keys(), rotating.said());
        }
        let killed = run(Command::new("kill").args(["-KILL", &rotating.id().to_string()]), "");
        assert!(killed.status.success(), "{killed:?}");
        assert_eq!(rotating.wait().code(), None);
        self.let_go();
        assert_eq!(self.keys().trim(), "a|active|1\na|destroyed|1\nb|active|1\nc|active|1");
        let on: Vec<&str> = on.split(' ').collect();
        self.product.must(&on, "");
        let rotated =
            "a|active|1\na|destroyed|1\nb|active|1\nb|destroyed|1\nc|active|1\nc|destroyed|1";
        assert_eq!(self.keys().trim(), rotated);
        self.product.must(&on, "");
        assert_eq!(self.keys().trim(), rotated);
        for tenant in ["a", "b", "c"] {
            let read = r#"{"owner": "octocat", "repo": "hello-world"}"#;
            self.product.must(&["--tenant", tenant, "call", "github_get_repository", read], "");
            self.product.must(&["--tenant", tenant, "audit", "--verify"], "");
        }
    }
}

#[test]
fn b7_rotating_all_is_killed_and_goes_on_where_it_was() {
    let provider = Provider::github(repository);
    Halted::new(Product::at(&provider.url), None).story();
    if let Some(database) = Database::new() {
        Halted::new(database.migrated(&provider), Some(database)).story();
    }
}
