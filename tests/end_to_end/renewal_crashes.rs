//! Killed while tokens are on their way: what came is stored and what can be asked for again is, and the rest is told.

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::issuer::{CODE, Issuer};
use crate::postgres::on_both_with_sql;
use crate::process::run;
use crate::product::Product;

const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];
/// Not a point in the program: it is killed when the provider has the request and has not answered.
const REQUEST_SENT: &str = "request_sent";
/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(1);

type Sql<'a> = &'a dyn Fn(&str) -> String;

/// How often the program dies at each point.
fn times() -> usize {
    if std::env::var_os("RESTO_TEST_FULL").is_some() { 20 } else { 1 }
}

/// Reads with an access that has ended, and dies at this point.
fn die(issuer: &Issuer, product: &Product, point: &str) {
    let mut command = product.command(&READ);
    if point != REQUEST_SENT {
        let died = run(command.env("RESTO_CRASH_AT", point), "");
        assert_eq!(died.status.signal(), Some(6), "{point}: {died:?}");
        return;
    }
    let (is_asked, _lets_go) = issuer.hold_next();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    is_asked.recv_timeout(LIMIT).unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

/// As if more than a minute had gone by: nobody holds what the dead held, and the trail is whole.
fn a_minute_later(product: &Product, sql: Sql<'_>, point: &str) {
    sql("UPDATE jobs SET held_until = 1 WHERE held_until IS NOT NULL");
    sql("UPDATE open_intents SET alive_at = alive_at - 61000");
    let verified = product.run(&["audit", "--verify"], "");
    assert!(verified.status.success(), "{point}: {verified:?}");
    let events = product.json(&["audit", "--json"]);
    let of = |phase: &str| -> Vec<&Value> {
        events.as_array().unwrap().iter().filter(|event| event["phase"] == phase).collect()
    };
    for intent in of("intent") {
        let ends = of("result").iter().filter(|end| end["intent_id"] == intent["id"]).count();
        assert_eq!(ends, 1, "{point}: {intent}");
    }
}

fn each(grace: bool, points: &[&str], story: impl Fn(&Issuer, &Product, Sql<'_>, &str)) {
    let issuer = Issuer::start();
    issuer.state().grace = grace;
    on_both_with_sql(&issuer.provider, |product, sql| {
        for _ in 0..times() {
            for point in points {
                issuer.connect_ended(product, "github");
                story(&issuer, product, sql, point);
            }
        }
    });
}

#[test]
fn i1_i2_a_renewal_that_dies_goes_on_with_the_newest_tokens() {
    let points = [
        "refresh.lease_taken",
        REQUEST_SENT,
        "refresh.bytes_received",
        "refresh.sealed",
        "refresh.written",
        "refresh.committed",
    ];
    each(true, &points, |issuer, product, sql, point| {
        let refused = issuer.state().refused;
        die(issuer, product, point);
        a_minute_later(product, sql, point);
        product.must(&READ, "");
        assert!(issuer.was_last_called_with_the_newest(), "{point}");
        assert_eq!(issuer.state().refused, refused, "{point}");
        a_minute_later(product, sql, point);
    });
}

#[test]
fn i2_what_a_provider_without_mercy_gave_to_the_dead_is_told_as_lost() {
    let lost = [REQUEST_SENT, "refresh.bytes_received", "refresh.sealed", "refresh.written"];
    each(false, &lost, |issuer, product, sql, point| {
        die(issuer, product, point);
        a_minute_later(product, sql, point);
        let ended = product.run(&READ, "");
        assert!(ended.stderr.contains("an answer that did not arrive"), "{point}: {ended:?}");
        let doctor = product.run(&["doctor"], "");
        assert!(doctor.stdout.contains("refresh_failed github"), "{point}: {doctor:?}");
        let before = issuer.provider.count();
        assert!(!product.run(&READ, "").status.success());
        assert_eq!(issuer.provider.count(), before, "{point}");
    });
    each(false, &["refresh.lease_taken", "refresh.committed"], |issuer, product, sql, point| {
        die(issuer, product, point);
        a_minute_later(product, sql, point);
        product.must(&READ, "");
        assert!(issuer.was_last_called_with_the_newest(), "{point}");
    });
}

/// Has the database take no new tokens, or take them again.
fn refuse_tokens(product: &Product, sql: Sql<'_>, is_refused: bool) {
    let is_postgres = product.environment().iter().any(|(name, _)| *name == "RESTO_DATABASE_URL");
    sql(match (is_postgres, is_refused) {
        (false, true) => {
            "CREATE TRIGGER refuse BEFORE UPDATE OF generation ON integration_credentials
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        (true, true) => {
            "CREATE OR REPLACE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE OF generation ON integration_credentials
             FOR EACH ROW EXECUTE FUNCTION refuse();"
        }
        (false, false) => "DROP TRIGGER refuse",
        (true, false) => "DROP TRIGGER refuse ON integration_credentials",
    });
}

fn waiting(product: &Product) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(product.path("data/renewed")) else { return Vec::new() };
    let files = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    files.collect()
}

#[test]
fn i2_tokens_that_no_database_takes_outlive_the_process() {
    each(false, &["refresh.spill_written"], |issuer, product, sql, point| {
        let before = issuer.live_from_now(3600);
        let refused = issuer.state().refused;
        refuse_tokens(product, sql, true);
        die(issuer, product, point);
        let files = waiting(product);
        assert_eq!(files.len(), 1, "{point}");
        assert!(!files[0].contains("canary") && files[0].contains("github"), "{files:?}");
        refuse_tokens(product, sql, false);
        product.must(&READ, "");
        assert!(issuer.was_last_called_with_the_newest(), "{point}");
        assert_eq!((issuer.renewals() - before, issuer.state().refused), (1, refused), "{point}");
        assert!(waiting(product).is_empty());
        a_minute_later(product, sql, point);
    });
}

#[test]
fn i2_tokens_that_no_database_takes_are_stored_when_it_does() {
    each(false, &[""], |issuer, product, sql, _| {
        let before = issuer.live_from_now(3600);
        let refused = issuer.state().refused;
        refuse_tokens(product, sql, true);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| product.run(&READ, ""));
            while waiting(product).is_empty() {
                assert!(!reading.is_finished(), "nothing waits");
            }
            refuse_tokens(product, sql, false);
            let read = reading.join().unwrap();
            assert!(read.status.success(), "{read:?}");
        });
        assert!(waiting(product).is_empty());
        assert_eq!((issuer.renewals() - before, issuer.state().refused), (1, refused));
    });
}

#[test]
fn i2_a_consent_that_dies_leaves_a_connection_or_nothing() {
    const CODE_SENT: &str = "code_sent";
    let points = [
        "connect.state_saved",
        "connect.callback_received",
        "connect.state_consumed",
        CODE_SENT,
        "connect.tokens_received",
        "connect.sealed",
        "connect.committed",
    ];
    let issuer = Issuer::start();
    on_both_with_sql(&issuer.provider, |product, sql| {
        issuer.configure(product);
        for (n, point) in points.iter().cycle().take(points.len() * times()).enumerate() {
            product.run(&["disconnect", "github"], "");
            let mut server = product.serve_with(&[("RESTO_CRASH_AT", point)]);
            let browser = Browser::of(product, &server, "local");
            let mut query = String::new();
            let held = (*point == CODE_SENT).then(|| issuer.hold_next());
            let comes_back = |browser: &Browser, state: &str| {
                browser.back("github", &[("code", CODE), ("state", state)])
            };
            std::thread::scope(|scope| {
                let visit = scope.spawn(|| {
                    catch_unwind(AssertUnwindSafe(|| {
                        query = browser.consent("github").state();
                        comes_back(&browser, &query)
                    }))
                });
                if let Some((is_asked, _)) = &held {
                    is_asked.recv_timeout(LIMIT).unwrap();
                    let id = server.process.id().to_string();
                    assert!(
                        run(std::process::Command::new("kill").args(["-9", &id]), "")
                            .status
                            .success()
                    );
                }
                assert!(visit.join().unwrap().is_err(), "{point}");
            });
            let signal = if held.is_some() { 9 } else { 6 };
            assert_eq!(server.process.wait().signal(), Some(signal), "{point}");
            drop((held, server));
            a_minute_later(product, sql, point);
            // One of before may wait for its revocation.
            let connected = product.json(&["connections", "--json"]);
            let connected = connected.as_array().unwrap().iter();
            let connected = connected.filter(|connection| connection["status"] == "active");
            let is_connected = *point == "connect.committed";
            assert_eq!(connected.count(), usize::from(is_connected), "{n} {point}");

            // The same way back works where it was not used up, and else asks for nothing.
            let server = product.serve();
            let origin = server.url.trim_end_matches("/mcp").to_owned();
            let again = Browser { origin, cookie: browser.cookie.clone() };
            let asked = issuer.provider.count();
            if *point == "connect.callback_received" {
                assert_eq!(comes_back(&again, &query).status(), 303, "{point}");
            } else if !query.is_empty() {
                assert!(comes_back(&again, &query).status() >= 400, "{point}");
                assert_eq!(issuer.provider.count(), asked, "{point}");
            }
            issuer.connect(product, &server, "github");
            let called =
                server.call(&[], READ[1], &json!({"owner": "octocat", "repo": "hello-world"}));
            assert!(called.body.contains("octocat/hello-world"), "{point}: {called:?}");
        }
    });
}
