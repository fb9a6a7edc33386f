//! Root keys from the configuration, and exchanging them with `resto keys`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::json;

use crate::process::{Finished, run};
use crate::product::Product;
use crate::provider::{Provider, repository};

const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

/// A product whose root keys are named in its configuration file.
struct Configured {
    product: Product,
    provider: Provider,
}

impl Configured {
    fn keys(&self, keys: &str) {
        let url = &self.provider.url;
        let text = format!("[keys]\n{keys}\n[integrations.github]\nbase_url = \"{url}\"\n");
        self.product.configure(&text);
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        run(self.product.command(arguments).env_remove("RESTO_KEY_FILE"), "")
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let finished = self.run(arguments);
        assert!(finished.status.success(), "{finished:?}");
        serde_json::from_str(&finished.stdout).unwrap()
    }

    fn refused(&self, words: &str) {
        let finished = self.run(&READ);
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert!(finished.stderr.contains(words), "{finished:?}");
    }
}

/// Another root key's file. It holds 32 bytes in base64, and nothing that looks like somebody's key.
fn new_key(product: &Product) -> String {
    let file = product.path("new.key");
    fs::write(&file, format!("{}E=\n", "B".repeat(42))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

#[test]
fn b7_the_root_key_moves_from_a_file_to_a_command() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let before = product.json(&["keys", "status", "--json"]);
    let old_id = before["root_keys"][0]["root_id"].clone();
    assert_eq!(
        before["root_keys"],
        json!([{"root_id": old_id, "role": "current", "tenant_keys": 1, "may_go": false}])
    );
    let (old, new) = (product.path("root.key").display().to_string(), new_key(&product));
    let installed = Configured { product, provider };
    let current = format!("current = {{ command = [\"/bin/cat\", \"{new}\"] }}");
    let both = format!("{current}\naccept = [{{ file = \"{old}\" }}]");

    installed.keys(&current);
    installed.refused("this database was sealed with another one");
    installed.keys(&both);
    assert!(installed.run(&READ).status.success());
    let doctor = installed.run(&["doctor"]);
    assert!(doctor.stdout.contains("the command /bin/cat gives the root key"), "{doctor:?}");
    assert!(!doctor.stdout.contains("BBBBBBBB"), "{doctor:?}");
    installed.keys(&current);
    installed.refused(&format!(
        "wrapped by a root key that was not given: {}",
        old_id.as_str().unwrap()
    ));

    installed.keys(&both);
    let rewrapped = installed.json(&["keys", "rewrap", "--json"]);
    assert_eq!(rewrapped, json!({"rewrapped": 1, "lost": 0, "may_go": [old_id]}));
    let again = installed.run(&["keys", "rewrap"]);
    assert!(again.stdout.contains("wraps 0 more tenant keys"), "{again:?}");
    let status = installed.run(&["keys", "status"]);
    assert!(status.stdout.contains("accepted  0                  yes"), "{status:?}");

    fs::remove_file(&old).unwrap();
    installed.keys(&current);
    assert!(installed.run(&READ).status.success());
    assert!(installed.run(&["audit", "--verify"]).status.success());
    let rotated = installed.json(&["keys", "rotate", "--all", "--json"]);
    assert_eq!(rotated, json!({"rotated": 1, "resealed": 1, "failed": []}));
    assert!(installed.run(&READ).status.success());
}

#[test]
fn b7_a_server_answers_every_call_while_root_and_tenant_keys_are_exchanged() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let (old, new) = (product.path("root.key"), new_key(&product));
    let installed = Configured { product, provider };
    installed.keys(&format!("accept = [{{ file = \"{new}\" }}]"));
    let server = installed.product.serve();
    let both = "current = { file = \"NEW\" }\naccept = [{ file = \"OLD\" }]";
    installed.keys(&both.replace("NEW", &new).replace("OLD", &old.display().to_string()));
    let (done, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
                    let answer = server.call(&[], READ[1], &arguments);
                    assert!(answer.body.contains("octocat/hello-world"), "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let exchanged = panic::catch_unwind(|| {
            for _ in 0..3 {
                installed.json(&["keys", "rewrap", "--json"]);
                let rotated = installed.json(&["keys", "rotate", "--all", "--json"]);
                assert_eq!(rotated, json!({"rotated": 1, "resealed": 1, "failed": []}));
            }
        });
        done.store(true, Ordering::Relaxed);
        exchanged.unwrap();
    });
    assert!(answered.into_inner() > 0);
    fs::remove_file(old).unwrap();
    installed.keys(&format!("current = {{ file = \"{new}\" }}"));
    assert!(installed.run(&READ).status.success());
    assert!(installed.run(&["audit", "--verify"]).status.success());
}

#[test]
fn b7_rotating_all_goes_on_with_the_tenants_that_were_not_reached() {
    let product = Product::at("http://127.0.0.1:9");
    for tenant in ["a", "b", "c"] {
        product.must(&["tenant", "create", tenant], "");
    }
    product.sql(
        "CREATE TRIGGER stop BEFORE UPDATE ON tenant_keys WHEN OLD.tenant_id = (SELECT id FROM tenants WHERE external_id = 'b')
         BEGIN SELECT RAISE(ABORT, 'stopped'); END",
    );
    let stopped = product.run(&["keys", "rotate", "--all"], "");
    assert!(!stopped.status.success() && stopped.stdout.contains("2 tenants"), "{stopped:?}");
    let (_, time) = stopped.stderr.split_once("resto keys rotate --all --before ").unwrap();
    let time = time.lines().next().unwrap();
    product.sql("DROP TRIGGER stop");
    let on = ["keys", "rotate", "--all", "--before", time, "--json"];
    assert_eq!(product.json(&on)["rotated"], 1);
    assert_eq!(product.json(&on)["rotated"], 0);
    assert_eq!(product.json(&["keys", "rotate", "--all", "--json"])["rotated"], 3);
    for wrong in [
        &["keys", "rotate", "--before", time][..],
        &["keys", "rotate", "--all", "--before", "yesterday"],
    ] {
        assert_eq!(product.run(wrong, "").status.code(), Some(2));
    }
}

#[test]
fn b4_two_first_starts_at_once_agree_on_one_key() {
    for _ in 0..5 {
        let product = Product::at("http://127.0.0.1:9");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| product.must(&["connections"], ""));
            }
        });
        product.must(&["doctor"], "");
    }
}

/// What a shell does before it becomes the product: no file may grow, as on a full disk.
#[test]
fn b4_a_kill_or_a_full_disk_leaves_no_empty_key_file() {
    let product = Product::at("http://127.0.0.1:9");
    let start = |before: &str| {
        let script = format!("ulimit -f 0; {before} exec \"$0\" connections");
        let mut shell = std::process::Command::new("bash");
        shell
            .env_clear()
            .envs(product.environment())
            .args(["-c", &script])
            .arg(crate::product::binary());
        run(&mut shell, "")
    };
    let killed = start("");
    assert_eq!(killed.status.code(), None, "killed in the middle of writing: {killed:?}");
    assert!(!product.path("root.key").exists());
    let full = start("trap '' XFSZ;");
    assert!(full.stderr.contains("root.key cannot be written"), "{full:?}");
    assert!(!product.path("root.key").exists());
    product.must(&["connections"], "");
    product.must(&["doctor"], "");
}

#[test]
fn b4_a_current_root_key_that_is_named_twice_or_not_given_is_refused() {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    let installed = Configured { product, provider };
    installed.keys("current = { env = \"RESTO_NO_SUCH_KEY\" }");
    installed.refused("The environment variable RESTO_NO_SUCH_KEY is not set");
    let twice = installed.product.run(&READ, "");
    assert!(twice.stderr.contains("named twice"), "{twice:?}");
    installed.keys("current = { command = [\"/bin/false\"] }");
    installed.refused("The command /bin/false, which should print the root key, failed");
    let key = format!("{}E=", "B".repeat(42));
    let mut command = installed.product.command(&["connections"]);
    installed.keys("current = { env = \"ROOT\" }");
    let warned = run(command.env_remove("RESTO_KEY_FILE").env("ROOT", &key), "");
    assert!(warned.status.success(), "{warned:?}");
    assert!(warned.stderr.contains("read from an environment variable"), "{warned:?}");
    assert!(!warned.stderr.contains(&key), "{warned:?}");
    assert!(!installed.product.path("root.key").exists());
}
