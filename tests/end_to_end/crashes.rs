//! Killed at each step: what the next command finds is whole, and goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use crate::postgres::on_both_with_sql;
use crate::process::{Finished, run, tool};
use crate::product::Product;
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const KEY: &str = "github_pat_of_a_test";
const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];
const CHANGE: [&str; 3] = [
    "call",
    "github_cancel_workflow_run",
    r#"{"owner": "octocat", "repo": "hello-world", "run_id": 1}"#,
];
const CONNECT: [&str; 3] = ["connect", "github", "--key-stdin"];
/// Another account of the same tenant, whose key is to open whatever becomes of GitHub's.
const BESIDE: [&str; 3] = ["connect", "vercel", "--key-stdin"];
const READ_BESIDE: [&str; 3] = ["call", "vercel_get_project", r#"{"project": "site"}"#];

/// Not a point in the program: it is killed when the provider has the request and has not answered.
const REQUEST_SENT: &str = "request_sent";
/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(1);

/// How often the program dies at each point.
fn times() -> usize {
    if std::env::var_os("RESTO_TEST_FULL").is_some() { 20 } else { 1 }
}

/// GitHub and Vercel at one address.
struct Services {
    provider: Provider,
    /// Whether Vercel's token is dead.
    revoked: Arc<AtomicBool>,
    /// Whether a request that changes something is kept waiting.
    holds: Arc<AtomicBool>,
    was_asked: mpsc::Receiver<()>,
    answer_now: mpsc::Sender<()>,
}

impl Services {
    fn start() -> Self {
        let holds = Arc::<AtomicBool>::default();
        let (asked, was_asked) = mpsc::channel();
        let (answer_now, may_answer) = mpsc::channel::<()>();
        let (held, may_answer) = (Arc::clone(&holds), Mutex::new(may_answer));
        let revoked = Arc::<AtomicBool>::default();
        let is_revoked = Arc::clone(&revoked);
        let provider = Provider::github(move |request: &Message| {
            if !request.first.starts_with("GET") && held.load(Ordering::SeqCst) {
                asked.send(()).unwrap();
                may_answer.lock().unwrap().recv().unwrap();
            }
            if request.first.starts_with("DELETE /v3/user/tokens/current") {
                is_revoked.store(true, Ordering::SeqCst);
            } else if request.first.contains(" /v2/user") && is_revoked.load(Ordering::SeqCst) {
                let dead =
                    json!({"error": {"code": "forbidden", "message": "No", "invalidToken": true}});
                return Reply::json(403, &dead);
            }
            answer(request)
        });
        Self { provider, revoked, holds, was_asked, answer_now }
    }

    /// The configuration that leads to them, after these lines.
    fn configure(&self, product: &Product, before: &str) {
        let url = &self.provider.url;
        let both = ["github", "vercel"]
            .map(|name| format!("[integrations.{name}]\nbase_url = \"{url}\"\n"));
        product.configure(&format!("{before}{}", both.concat()));
    }
}

fn answer(request: &Message) -> Reply {
    match request.what() {
        "GET /v2/user" => Reply::json(200, &json!({"user": {"id": "u", "username": "ada"}})),
        "GET /v5/user/tokens/current" => {
            Reply::json(200, &json!({"token": {"scopes": [{"type": "user"}]}}))
        }
        "DELETE /v3/user/tokens/current" => Reply::json(200, &json!({"tokenId": "t"})),
        "GET /v9/projects/site" => Reply::json(200, &json!({"id": "p", "name": "site"})),
        what if what.starts_with("POST") => Reply::json(202, &json!({})),
        _ => repository(request),
    }
}

/// An installation, and what happens to it.
struct Crash<'a> {
    services: &'a Services,
    provider: &'a Provider,
    product: &'a Product,
    sql: &'a dyn Fn(&str) -> String,
}

impl Crash<'_> {
    /// Runs a command, which dies at this point. The provider was asked only what an intent stands for.
    fn at(&self, point: &str, arguments: &[&str], input: &str) {
        if point == REQUEST_SENT {
            return self.while_asked(arguments);
        }
        let (asked, began) = (self.provider.count(), self.intents());
        let mut command = self.product.command(arguments);
        let died = run(command.env("RESTO_CRASH_AT", point), input);
        assert_eq!(died.status.signal(), Some(6), "{point}: {died:?}");
        let began = self.intents() - began;
        assert!(began >= 1 || self.provider.count() == asked, "{point}: asked without an intent");
    }

    /// Runs a command, which is killed while the provider has its request. Its intent is there by then.
    fn while_asked(&self, arguments: &[&str]) {
        let began = self.intents();
        let services = self.services;
        services.holds.store(true, Ordering::SeqCst);
        let mut command = self.product.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        services.was_asked.recv_timeout(LIMIT).unwrap();
        assert_eq!(self.intents(), began + 1, "asked without an intent");
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        services.holds.store(false, Ordering::SeqCst);
        services.answer_now.send(()).unwrap();
    }

    fn intents(&self) -> usize {
        let intents = "SELECT count(*) FROM integration_audit_log WHERE phase = 'intent'";
        (self.sql)(intents).trim().parse().unwrap()
    }

    /// As if more than a minute had gone by, the next command finds a whole trail in which every intent has an end. Of the
    /// actions whose end nobody knows there is an alert each.
    fn is_whole(&self, point: &str) {
        (self.sql)("UPDATE open_intents SET alive_at = alive_at - 61000");
        let verified = self.product.run(&["audit", "--verify"], "");
        assert!(verified.status.success(), "{point}: {verified:?}");
        let events = self.product.json(&["audit", "--json"]);
        let of = |phase: &str| -> Vec<&Value> {
            events.as_array().unwrap().iter().filter(|event| event["phase"] == phase).collect()
        };
        for intent in of("intent") {
            let ends = of("result").iter().filter(|end| end["intent_id"] == intent["id"]).count();
            assert_eq!(ends, 1, "{point}: {intent}");
        }
        let unknown: Vec<&Value> =
            of("result").into_iter().filter(|end| end["result_status"] == "unknown").collect();
        let alerts = (self.sql)("SELECT subject FROM alerts WHERE kind = 'unknown_outcome'");
        for end in &unknown {
            assert!(alerts.contains(end["intent_id"].as_str().unwrap()), "{point}: {end} {alerts}");
        }
        assert_eq!(alerts.trim().lines().count(), unknown.len(), "{point}: {alerts}");
    }

    /// Both accounts can be used: what is stored of them opens. GitHub is asked last.
    fn works(&self, point: &str) {
        for read in [READ_BESIDE, READ] {
            let read = self.product.run(&read, "");
            assert!(read.status.success(), "{point}: {read:?}");
        }
    }

    /// An action on this account is refused, and the provider does not hear of it.
    fn is_refused(&self, point: &str, read: &[&str]) {
        let asked = self.provider.count();
        let refused = self.product.run(read, "");
        assert_eq!((refused.status.code(), self.provider.count()), (Some(1), asked), "{point}");
    }

    fn connected(&self) -> Vec<String> {
        let connections = self.product.json(&["connections", "--json"]);
        let connections = connections.as_array().unwrap().iter();
        connections.map(|one| one["integration"].as_str().unwrap().to_owned()).collect()
    }
}

/// Tells of each of these points, as often as it is to be tried, on both databases.
fn each(points: &[&str], story: impl Fn(&Crash<'_>, &str)) {
    let services = Services::start();
    let provider = &services.provider;
    on_both_with_sql(provider, |product, sql| {
        services.configure(product, "");
        product.must(&CONNECT, KEY);
        product.must(&BESIDE, "token_of_a_test");
        let crash = Crash { services: &services, provider, product, sql };
        for _ in 0..times() {
            for point in points {
                story(&crash, point);
            }
        }
    });
}

#[test]
fn i3_i4_an_action_that_dies_is_unknown_unless_its_result_was_written() {
    each(
        &["action.intent_committed", REQUEST_SENT, "action.answer_received", "result_committed"],
        |crash, point| {
            let asked = crash.provider.count();
            crash.at(point, &CHANGE, "");
            let sent = crash.provider.count() - asked;
            assert_eq!(sent, usize::from(point != "action.intent_committed"), "{point}");
            crash.is_whole(point);
            let last = crash
                .product
                .json(&["audit", "--json"])
                .as_array()
                .unwrap()
                .last()
                .unwrap()
                .clone();
            let known = if point == "result_committed" { "success" } else { "unknown" };
            assert_eq!(last["result_status"], known, "{point}: {last}");
            crash.product.must(&CHANGE, "");
            crash.works(point);
        },
    );
}

#[test]
fn i1_connecting_that_dies_leaves_the_former_credential_or_the_new_one() {
    each(&["connect.sealed", "connect.committed", "result_committed"], |crash, point| {
        crash.at(point, &CONNECT, "github_pat_of_another_test");
        crash.is_whole(point);
        crash.works(point);
        let used = crash.provider.requests().pop().unwrap();
        let is_new = used.header("authorization") == Some("Bearer github_pat_of_another_test");
        assert_eq!(is_new, point != "connect.sealed", "{point}");
        crash.product.must(&CONNECT, KEY);
        crash.works(point);
        let used = crash.provider.requests().pop().unwrap();
        assert_eq!(used.header("authorization"), Some("Bearer github_pat_of_a_test"), "{point}");
    });
}

#[test]
fn i5_disconnecting_that_dies_lets_no_action_begin_and_is_taken_up_again() {
    let points = [
        "disconnect.frozen",
        "disconnect.cleaned",
        "disconnect.revoke_sent",
        "disconnect.revoked",
        "disconnect.deleted",
        "disconnect.committed",
        "disconnect.shredded",
        "result_committed",
    ];
    each(&points, |crash, point| {
        crash.at(point, &["disconnect", "github"], "");
        crash.is_refused(point, &READ);
        crash.is_whole(point);
        let again = crash.product.run(&["disconnect", "github"], "");
        let is_gone = again.stderr.contains("not connected");
        assert!(again.status.success() || is_gone, "{point}: {again:?}");
        assert_eq!(crash.connected(), ["vercel"], "{point}");
        crash.product.must(&CONNECT, KEY);
        crash.works(point);
    });
}

#[test]
fn i5_disconnecting_that_dies_while_the_provider_revokes_is_taken_up_again() {
    let points = [
        "disconnect.frozen",
        "disconnect.cleaned",
        REQUEST_SENT,
        "disconnect.revoke_sent",
        "disconnect.revoked",
        "disconnect.deleted",
    ];
    each(&points, |crash, point| {
        crash.at(point, &["disconnect", "vercel"], "");
        crash.is_refused(point, &READ_BESIDE);
        crash.is_whole(point);
        let receipt = crash.product.json(&["disconnect", "vercel", "--json"]);
        assert_eq!(receipt["revoked"], true, "{receipt}");
        assert_eq!(crash.connected(), ["github"], "{point}");
        crash.services.revoked.store(false, Ordering::SeqCst);
        crash.product.must(&BESIDE, "token_of_a_test");
        crash.works(point);
    });
}

#[test]
fn i1_rotating_a_tenants_key_that_dies_leaves_what_opens() {
    let points = ["rotation.new_key_added", "rotation.sealed_anew", "rotation.committed"];
    each(&points, |crash, point| {
        crash.at(point, &["keys", "rotate"], "");
        crash.is_whole(point);
        crash.works(point);
        crash.product.must(&["keys", "rotate"], "");
        crash.works(point);
    });
}

#[test]
fn i1_rewrapping_that_dies_leaves_what_both_root_keys_open() {
    let points = ["rewrap.some_wrapped", "rewrap.all_wrapped", "rewrap.sentinels_sealed"];
    each(&points, |crash, point| {
        let (root, former) = (crash.product.path("root.key"), crash.product.path("former.key"));
        fs::rename(&root, &former).unwrap();
        fs::write(&root, another_key()).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o600)).unwrap();
        let accept = format!("[keys]\naccept = [{{ file = \"{}\" }}]\n", former.display());
        crash.services.configure(crash.product, &accept);
        crash.at(point, &["keys", "rewrap"], "");
        crash.is_whole(point);
        crash.works(point);
        crash.product.must(&["keys", "rewrap"], "");
        // The former one may go.
        crash.services.configure(crash.product, "");
        fs::remove_file(&former).unwrap();
        crash.works(point);
        crash.is_whole(point);
    });
}

/// The text of a root key that was not used before.
fn another_key() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(1);
    format!("{:0>42}E=\n", MADE.fetch_add(1, Ordering::Relaxed))
}

/// Runs a command at a terminal, at which this is typed.
fn typed(product: &Product, arguments: &[&str], point: &str, words: &str) -> Finished {
    let program =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])) % 256)";
    let mut command = Command::new(tool("python/bin/python"));
    command.args(["-c", program]).arg(crate::product::binary()).args(arguments);
    command.env_clear().envs(product.environment()).env("RESTO_CRASH_AT", point);
    run(&mut command, words)
}

#[test]
fn deleting_a_tenant_that_dies_leaves_all_of_it_or_nothing() {
    /// What a process that died by SIGABRT has as its code, modulo 256.
    const ABORTED: i32 = 250;
    let delete = ["tenant", "delete", "acme"];
    each(&["deletion.rows_deleted", "deletion.committed"], |crash, point| {
        crash.product.must(&["tenant", "create", "acme"], "");
        crash.product.must(&[&["--tenant", "acme"][..], &CONNECT].concat(), KEY);
        let died = typed(crash.product, &delete, point, "acme\n");
        assert_eq!(died.status.code(), Some(ABORTED), "{point}: {died:?}");
        let read = crash.product.run(&[&["--tenant", "acme"][..], &READ].concat(), "");
        assert_eq!(read.status.success(), point == "deletion.rows_deleted", "{point}: {read:?}");
        if read.status.success() {
            let deleted = typed(crash.product, &delete, "none", "acme\n");
            assert!(deleted.status.success(), "{deleted:?}");
        }
        let left = (crash.sql)("SELECT count(*) FROM tenants WHERE external_id = 'acme'");
        assert_eq!(left.trim(), "0", "{point}");
        crash.is_whole(point);
        crash.works(point);
    });
}
