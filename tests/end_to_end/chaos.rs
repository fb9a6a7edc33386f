//! Many changes under faults: answers that are cut or late, clients that go away and call again, hosts that are killed.
//! None happens twice, and of none it is unknown what became of it.

use std::collections::HashMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::limits::limited;
use crate::postgres::on_both_with_sql;
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, write};

const KEY: &str = "github_pat_of_a_test";
/// How many clients call at once.
const CLIENTS: usize = 4;
/// How many changes are made before what became of them is asked, within the time in which the same call is not done again.
const ROUND: usize = 300;
/// How often a host is killed meanwhile.
const KILLS: usize = 6;
/// A client that waits no longer than this goes away in the middle of most calls.
const IMPATIENT: Duration = Duration::from_millis(8);

/// Longer than the product waits for an answer.
const SILENCE: Duration = Duration::from_secs(11);

/// How many rounds are told of one database: in full, 10,200 changes on both.
fn rounds() -> usize {
    if std::env::var_os("RESTO_TEST_FULL").is_some() { 17 } else { 1 }
}

/// The same for the same numbers, and otherwise without order.
fn dice(n: usize, salt: usize) -> usize {
    let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (salt as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
    usize::try_from((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40).unwrap()
}

/// A GitHub that creates issues and counts them by title, and tells the truth of seven in ten.
fn faulty(created: Arc<Mutex<HashMap<String, usize>>>) -> Provider {
    Provider::github(move |request| {
        if !request.first.starts_with("POST") {
            return repository(request);
        }
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let title = body["title"].as_str().unwrap().to_owned();
        let n: usize = title.rsplit(' ').next().unwrap().parse().unwrap();
        let fault = dice(n, 1) % 20;
        if fault == 0 {
            return Reply::json(503, &json!({"message": "not now"}));
        }
        if fault == 1 {
            return Reply(429, vec![("retry-after", "0".into())], "{}".into());
        }
        *created.lock().unwrap().entry(title.clone()).or_default() += 1;
        if dice(n, 4).is_multiple_of(400) {
            thread::sleep(SILENCE);
        }
        match fault {
            // No HTTP: the answer is lost.
            2 | 3 => Reply(0, Vec::new(), String::new()),
            4 => Reply::json(502, &json!({"message": "bad gateway"})),
            5 => Reply(201, Vec::new(), "{\"number\": 1, \"ti".into()),
            6..=8 => {
                thread::sleep(4 * IMPATIENT);
                issue(&title)
            }
            _ => issue(&title),
        }
    })
}

fn issue(title: &str) -> Reply {
    let url = "https://github.com/octocat/hello-world/issues/7";
    Reply::json(
        201,
        &json!({
            "number": 7, "title": title, "state": "open", "comments": 0, "user": {"login": "octocat"}, "html_url": url,
            "created_at": "2026-01-31T00:00:00Z", "updated_at": "2026-01-31T00:00:00Z",
        }),
    )
}

/// What became of a change, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Done,
    /// Told so: it may have happened.
    Unknown,
    /// Told that nothing was done.
    Refused,
    /// Told to ask later, or nothing at all.
    Open,
}

/// Calls a host, as a client that may go away before the answer.
fn call(server: &Server<'_>, title: &str, patience: Option<Duration>) -> Option<Message> {
    let host = server.url.strip_prefix("http://")?.strip_suffix("/mcp")?;
    let arguments = json!({"owner": "octocat", "repo": "hello-world", "title": title});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "github_create_issue", "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    let authorization = format!("Bearer {}", server.token);
    let headers = [
        ("host", host),
        ("authorization", &*authorization),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "github_create_issue"),
    ];
    let mut stream = TcpStream::connect(host).ok()?;
    write(&mut stream, "POST /mcp HTTP/1.1", &headers, &body.to_string()).ok()?;
    stream.set_read_timeout(patience).ok()?;
    Message::read(&mut BufReader::new(stream)).ok()?
}

fn end(answer: Option<Message>) -> End {
    let Some(answer) = answer.filter(|answer| answer.status() == 200) else { return End::Open };
    let result = &answer.json()["result"];
    if result["isError"] == false {
        return End::Done;
    }
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    let error: Value = serde_json::from_str(text).unwrap_or_default();
    match error["code"].as_str() {
        Some("unknown_outcome") => End::Unknown,
        Some("rate_limited") => End::Refused,
        _ => End::Open,
    }
}

/// Makes the changes from this one on; how many were done, unknown and told so, and refused.
fn round(
    product: &Product,
    sql: &dyn Fn(&str) -> String,
    created: &Mutex<HashMap<String, usize>>,
    from: usize,
) -> [usize; 3] {
    let title = |n: usize| format!("change {n}");
    let hosts = [RwLock::new(product.serve()), RwLock::new(product.serve())];
    let next = AtomicUsize::new(from);
    let (finished, heard) = mpsc::channel();
    let ends = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (hosts, next, ends) = (&hosts, &next, &ends);
            let finished = finished.clone();
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= from + ROUND {
                        return;
                    }
                    let mut came = End::Open;
                    for attempt in 0..3 {
                        let impatient = attempt == 0 && dice(n, 2).is_multiple_of(3);
                        let host = hosts[(dice(n, 3) + attempt) % 2].read().unwrap();
                        came = end(call(&host, &title(n), impatient.then_some(IMPATIENT)));
                        if came != End::Open {
                            break;
                        }
                    }
                    ends.lock().unwrap().insert(n, came);
                    finished.send(()).unwrap();
                }
            });
        }
        for kill in 1..=KILLS {
            heard.iter().take(ROUND / (KILLS + 1)).for_each(drop);
            // By its id, while clients wait for it; then another takes its place.
            let victim = hosts[kill % 2].read().unwrap().process.id().to_string();
            std::process::Command::new("kill").args(["-9", &victim]).status().unwrap();
            *hosts[kill % 2].write().unwrap() = product.serve();
        }
    });
    // As if more than a minute had gone by: what the killed hosts were at is closed.
    sql("UPDATE open_intents SET alive_at = 0");
    product.must(&["connections"], "");
    let mut ends = ends.into_inner().unwrap();
    let host = hosts[0].read().unwrap();
    let mut unaccounted = Vec::new();
    for (n, came) in ends.iter_mut().filter(|(_, came)| **came == End::Open) {
        let mut answer = None;
        // A busy machine may tell to ask later more than once.
        for _ in 0..5 {
            answer = call(&host, &title(*n), None);
            *came = end(answer.clone());
            if *came != End::Open {
                break;
            }
        }
        if *came == End::Open {
            unaccounted.push((*n, answer));
        }
    }
    assert!(unaccounted.is_empty(), "unaccounted: {unaccounted:?}");
    let created = created.lock().unwrap().clone();
    let twice: Vec<_> = created.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!(twice, Vec::<(&String, &usize)>::new(), "done twice");
    let count = |wanted: End| ends.values().filter(|came| **came == wanted).count();
    let told = [End::Done, End::Unknown, End::Refused].map(count);
    assert_eq!(told.iter().sum::<usize>(), ROUND);
    assert!(told[0] > ROUND / 2 && told[1] > 0, "{told:?}");
    for (n, came) in &ends {
        let happened = created.contains_key(&title(*n));
        assert!(happened || *came != End::Done, "change {n} was told as done and was not");
        assert!(!happened || *came != End::Refused, "change {n} was told as refused and was done");
    }
    told
}

fn story(
    product: &Product,
    provider: &Provider,
    sql: &dyn Fn(&str) -> String,
    created: &Mutex<HashMap<String, usize>>,
) {
    product.configure(&limited(provider, "requests = 1000000"));
    product.must(&["connect", "github", "--key-stdin"], KEY);
    created.lock().unwrap().clear();
    let rounds = (0..rounds()).map(|number| round(product, sql, created, number * ROUND));
    let rounds: Vec<[usize; 3]> = rounds.collect();
    let [done, unknown, refused] =
        [0, 1, 2].map(|end| rounds.iter().map(|told| told[end]).sum::<usize>());
    let open = sql("SELECT count(*) FROM integration_actions WHERE result_status IS NULL");
    assert_eq!(open.trim(), "0", "intents without an end");
    product.must(&["audit", "--verify"], "");
    let summary = format!(
        "{} changes, {} hosts killed: {done} done, {unknown} unknown and told so, {refused} refused; 0 twice\n",
        rounds.len() * ROUND,
        rounds.len() * KILLS
    );
    // Not by a macro: the test runner would swallow it.
    std::io::Write::write_all(&mut std::io::stderr(), summary.as_bytes()).unwrap();
}

#[test]
fn no_change_happens_twice_and_none_is_unaccounted_for() {
    let created = Arc::<Mutex<HashMap<String, usize>>>::default();
    let provider = faulty(Arc::clone(&created));
    on_both_with_sql(&provider, |product, sql| story(product, &provider, sql, &created));
}
