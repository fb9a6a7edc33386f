//! What a person must look at reaches them: on the page, in the terminal, through the agent, and by the operator's webhook.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::postgres::{Database, put_ahead};
use crate::process::{Conversation, run, tool};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const KEY: &str = "github_pat_of_a_test";
const CHECK: &str = "check_connection";

/// An installation whose provider may stop to take the key, and whose webhook may be down.
struct Alerted {
    product: Product,
    database: Option<Database>,
    sink: Provider,
    sink_answers: Arc<AtomicU16>,
    refuses: Arc<AtomicBool>,
    secret: String,
    _provider: Provider,
}

impl Alerted {
    fn on(database: Option<Database>) -> Self {
        let refuses = Arc::new(AtomicBool::new(false));
        let refused = Arc::clone(&refuses);
        let known = json!({"id": 1, "login": "octocat", "type": "User", "html_url": "https://github.com/octocat"});
        let provider = Provider::start(move |request| match request.what() {
            _ if refused.load(Ordering::SeqCst) => {
                Reply::json(401, &json!({"message": "Bad credentials"}))
            }
            "GET /user" => Reply::json(200, &known),
            _ => repository(request),
        });
        let sink_answers = Arc::new(AtomicU16::new(204));
        let answers = Arc::clone(&sink_answers);
        let sink = Provider::start(move |_| {
            Reply(answers.load(Ordering::SeqCst), Vec::new(), String::new())
        });
        let product = match &database {
            Some(database) => database.migrated(&provider),
            None => Product::at(&provider.url),
        };
        let secret = format!("whsec_{}", "cGxhaW5seS1mYWtl".repeat(2));
        let file = product.path("webhook-secret");
        fs::write(&file, &secret).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        product.configure(&format!(
            "[integrations.github]\nbase_url = \"{}\"\n[alerts]\nwebhook = \"{}/hooks?of=operator\"\nsecret_file = \"{}\"\n",
            provider.url, sink.url, file.display()
        ));
        product.must(&["connect", "github", "--key-stdin"], KEY);
        Self { product, database, sink, sink_answers, refuses, secret, _provider: provider }
    }

    /// The provider no longer takes the key, which shows when the connection is checked.
    fn fail(&self, server: &Server<'_>) {
        self.refuses.store(true, Ordering::SeqCst);
        let checked = server.call(&[], CHECK, &json!({"integration": "github"})).json();
        assert_eq!(checked["result"]["isError"], true, "{checked}");
        self.refuses.store(false, Ordering::SeqCst);
    }

    /// Waits until the webhook was told so often. The requirement is a minute; the limit is three.
    fn told(&self, times: usize) -> Vec<Message> {
        let until = Instant::now() + Duration::from_mins(3);
        while self.sink.count() < times {
            assert!(Instant::now() < until, "told {} times of {times}", self.sink.count());
            sleep(Duration::from_millis(50));
        }
        self.sink.requests()
    }

    fn sql(&self, statement: &str) -> String {
        match &self.database {
            Some(database) => database.sql(statement),
            None => self.product.sql(statement),
        }
    }

    /// Puts the database's clock ahead.
    fn ahead(&self, minutes: u64) {
        let ahead = Duration::from_mins(minutes);
        put_ahead(&self.product, &|statement| self.sql(statement), ahead);
    }

    /// Waits until no delivery is due any more.
    fn delivered(&self) {
        let until = Instant::now() + Duration::from_mins(3);
        while self.sql("SELECT count(*) FROM alerts WHERE delivery = 'due'").trim() != "0" {
            assert!(Instant::now() < until);
            sleep(Duration::from_millis(50));
        }
    }

    /// Fails if the signature is not what the specification makes of the secret, as another program computes it.
    fn is_signed(&self, request: &Message) {
        let program = "import base64, hashlib, hmac, sys
secret, id, at, body = sys.argv[1:]
key = base64.b64decode(secret.removeprefix('whsec_'))
print('v1,' + base64.b64encode(hmac.new(key, f'{id}.{at}.{body}'.encode(), hashlib.sha256).digest()).decode())";
        let header = |name: &str| request.header(name).unwrap_or_else(|| panic!("{request:?}"));
        let mut python = Command::new(tool("python/bin/python"));
        python.args(["-c", program, &self.secret]);
        python.args([header("webhook-id"), header("webhook-timestamp"), &request.body]);
        let expected = run(&mut python, "");
        assert_eq!(header("webhook-signature"), expected.stdout.trim(), "{expected:?}");
    }
}

#[test]
fn f8_the_webhook_is_told_of_an_alert_with_a_signature_and_no_secret() {
    let installed = Alerted::on(None);
    let server = installed.product.serve();
    installed.fail(&server);
    let told = installed.told(1).remove(0);
    assert_eq!(told.first, "POST /hooks?of=operator HTTP/1.1");
    installed.is_signed(&told);
    let body = told.json();
    assert_eq!(body["type"], "alert.connection_failed", "{body}");
    let data = &body["data"];
    assert_eq!(told.header("webhook-id"), data["id"].as_str());
    assert_eq!((&data["tenant"], &data["subject"]), (&json!("local"), &json!("github")));
    assert!(data["message"].as_str().unwrap().starts_with("GitHub no longer takes"), "{data}");
    let origin = server.url.trim_end_matches("/mcp");
    let link = format!("{origin}/alerts#{}", data["id"].as_str().unwrap());
    assert_eq!(data["link"], json!(link));
    assert!(!format!("{told:?}").contains(KEY) && !told.body.contains(&installed.secret));
    installed.delivered();
    assert_eq!(installed.sink.count(), 1);
}

#[test]
fn f8_a_webhook_that_is_down_for_ten_minutes_loses_nothing() {
    let installed = Alerted::on(None);
    let server = installed.product.serve();
    installed.sink_answers.store(503, Ordering::SeqCst);
    installed.fail(&server);
    installed.told(1);
    installed.ahead(5);
    installed.told(2);
    // Another one meanwhile, while the first waits.
    installed.sql("UPDATE integration_credentials SET host = 'evil.example', status = 'active'");
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    installed.product.run(&["call", "github_get_repository", &arguments.to_string()], "");
    installed.ahead(10);
    installed.told(4);
    installed.sink_answers.store(200, Ordering::SeqCst);
    installed.ahead(30);
    installed.delivered();
    let told = installed.sink.requests();
    let kinds = |kind: &str| told.iter().filter(|one| one.json()["data"]["kind"] == kind).count();
    assert!(kinds("connection_failed") >= 3 && kinds("tampered") >= 1, "{told:?}");
    let alerts = installed.product.json(&["alerts", "--json"]);
    assert!(alerts.as_array().unwrap().iter().all(|one| one["delivery"] == "done"), "{alerts}");
    // What is not taken for days is given up, where people see it.
    installed.sql("UPDATE alerts SET delivery = 'given_up'");
    let shown = installed.product.must(&["alerts"], "").stdout;
    assert!(shown.contains("The webhook did not take it for days."), "{shown}");
}

fn on_both(story: fn(&Alerted)) {
    story(&Alerted::on(None));
    if let Some(database) = Database::new() {
        story(&Alerted::on(Some(database)));
    }
}

#[test]
fn f8_killed_between_the_event_and_the_sending_it_is_told_by_another_at_most_twice() {
    on_both(|installed| {
        // A command has no worker: it ends between the event and the sending.
        installed.sql("UPDATE integration_credentials SET host = 'evil.example'");
        let arguments = json!({"owner": "octocat", "repo": "hello-world"}).to_string();
        installed.product.run(&["call", "github_get_repository", &arguments], "");
        assert_eq!(installed.sink.count(), 0);
        // The next one is ended between the sending and the note of it.
        let mut killed = installed.product.serve_with(&[("RESTO_CRASH_AT", "deliver.sent")]);
        assert!(!killed.process.wait().success());
        let first = installed.told(1);
        // What it held ends with its time; two others compete for it.
        installed.ahead(5);
        let (_one, _two) = (installed.product.serve(), installed.product.serve());
        let told = installed.told(2);
        installed.delivered();
        assert_eq!(installed.sink.count(), 2);
        assert_eq!(first[0].header("webhook-id"), told[1].header("webhook-id"));
    });
}

#[test]
fn f8_of_two_replicas_one_tells_the_webhook_of_each_alert() {
    on_both(|installed| {
        let (one, two) = (installed.product.serve(), installed.product.serve());
        for n in 0..10 {
            installed.product.must(&["tenant", "create", &format!("t{n}")], "");
            let tenant = format!("t{n}");
            let connect = ["--tenant", &tenant, "connect", "github", "--key-stdin"];
            installed.product.must(&connect, KEY);
        }
        installed.sql("UPDATE integration_credentials SET host = 'evil.example'");
        for n in 0..10 {
            let tenant = format!("t{n}");
            let arguments = json!({"owner": "octocat", "repo": "hello-world"}).to_string();
            let call = ["--tenant", &tenant, "call", "github_get_repository", &arguments];
            assert!(!installed.product.run(&call, "").status.success());
        }
        let told = installed.told(10);
        installed.delivered();
        assert_eq!(installed.sink.count(), 10);
        let mut tenants: Vec<Value> =
            told.iter().map(|one| one.json()["data"]["tenant"].clone()).collect();
        tenants.sort_by_key(Value::to_string);
        tenants.dedup();
        assert_eq!(tenants.len(), 10);
        drop((one, two));
    });
}

#[test]
fn people_and_agents_see_what_is_open_until_a_person_acknowledges_it() {
    let installed = Alerted::on(None);
    let product = &installed.product;
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    let browser = Browser::of(product, &server, "local");
    let stranger = Browser::of(product, &server, "acme");
    let listed = || {
        let answer = server.call(&[], "list_alerts", &json!({})).json();
        answer["result"]["structuredContent"]["alerts"].as_array().unwrap().clone()
    };
    assert!(browser.get("/alerts").body.contains("There is nothing to look at."));
    assert_eq!(listed(), [] as [Value; 0]);
    installed.fail(&server);
    let alert = listed().remove(0);
    assert_eq!(alert["kind"], "connection_failed");
    let message = alert["message"].as_str().unwrap();
    let page = browser.get("/alerts");
    assert!(page.body.contains(message) && page.body.contains("Alerts (1)"), "{page:?}");
    assert!(browser.get("/connect").body.contains("Alerts (1)"));
    assert_eq!(Browser::new(&server).get("/alerts").status(), 401);
    let printed = product.json(&["alerts", "--json"]);
    assert_eq!(printed[0]["message"], alert["message"], "{printed}");
    // Another tenant neither sees it nor puts it away.
    let id = alert["id"].as_str().unwrap();
    assert!(!stranger.get("/alerts").body.contains(message));
    assert_eq!(stranger.post("/alerts", &[("alert", id)]).status(), 303);
    assert_eq!(stranger.post("/alerts", &[("alert", id), ("older", "yes")]).status(), 303);
    assert_eq!(listed().len(), 1);
    let forged = browser.send("POST", "/alerts", &[], &format!("alert={id}&csrf=0"));
    assert_eq!(forged.status(), 403);
    assert_eq!(browser.post("/alerts", &[("alert", id)]).status(), 303);
    assert_eq!(listed(), [] as [Value; 0]);
    assert!(!browser.get("/connect").body.contains("Alerts ("));
    product.must(&["doctor"], "");
    // The terminal.
    installed.sql("UPDATE alerts SET acknowledged_at = NULL, acknowledged_by = NULL");
    let wrong =
        product.run(&["alerts", "--acknowledge", "01940c3e-7a5b-7c3d-9f00-2b1c0d4e5f60"], "");
    assert!(wrong.stderr.contains("There is no open alert"), "{wrong:?}");
    product.must(&["alerts", "--acknowledge", id], "");
    assert!(product.must(&["alerts"], "").stdout.contains("There is nothing to look at."));
    installed.sql("UPDATE alerts SET acknowledged_at = NULL, acknowledged_by = NULL");
    product.must(&["alerts", "--all"], "");
    assert_eq!(product.json(&["alerts", "--json"]), json!([]));
}

#[test]
fn a_client_that_listens_is_told_when_a_new_alert_appears() {
    let installed = Alerted::on(None);
    let server = installed.product.serve();
    let asked = json!({"notifications": {"resourceSubscriptions": ["resto://alerts"]}});
    let stream = server.ask(&server.token, "subscriptions/listen", "resto://alerts", asked);
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let acknowledged = lines.find(|line| line.contains("notifications/subscriptions/acknowledged"));
    assert!(acknowledged.is_some_and(|line| line.contains("resto://alerts")));
    installed.fail(&server);
    let updated = lines.find(|line| line.contains("notifications/resources/updated"));
    assert!(updated.expect("it is told").contains("resto://alerts"));
    let read = server.read(&server.token, "resto://alerts");
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let alerts: Value = serde_json::from_str(text).unwrap();
    assert_eq!(alerts["alerts"][0]["kind"], "connection_failed", "{read}");
}

#[test]
fn an_older_client_over_stdio_is_told_when_a_new_alert_appears() {
    let installed = Alerted::on(None);
    let mut agent = Conversation::start(&mut installed.product.command(&["stdio"]));
    let call = |id: u32, method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    };
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}});
    let said = agent.ask(&call(1, "initialize", hello));
    assert!(said.contains("\"subscribe\":true"), "{said}");
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let subscribe = call(2, "resources/subscribe", json!({"uri": "resto://alerts"}));
    let subscribed = agent.ask(&format!("{initialized}\n{subscribe}"));
    assert!(subscribed.contains("\"result\":{}"), "{subscribed}");
    installed.refuses.store(true, Ordering::SeqCst);
    let check = json!({"name": CHECK, "arguments": {"integration": "github"}});
    // The answer of the call, then the notification, in either order.
    let both = [agent.ask(&call(3, "tools/call", check)), agent.ask("")].concat();
    assert!(both.contains("\"isError\":true"), "{both}");
    assert!(both.contains("notifications/resources/updated"), "{both}");
}
