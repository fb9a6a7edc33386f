//! Calls that last are tasks: kept for their caller, cancelled, answered, and never run twice, whatever dies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clients::{Era, Way, inspector_call};
use crate::postgres::{on_both, on_both_with_sql};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, deployment, repository};
use crate::wire::Message;

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
const CHANGE: &str = "github_cancel_workflow_run";
const DELETE: &str = "github_delete_repository";
/// Far more than it takes; only a failure waits that long.
pub const LIMIT: Duration = Duration::from_mins(1);

/// A GitHub that answers when it is told to.
pub struct Slow {
    pub provider: Provider,
    holds: Arc<AtomicBool>,
    was_asked: mpsc::Receiver<()>,
    answer_now: mpsc::Sender<()>,
}

impl Slow {
    pub fn start() -> Self {
        let holds = Arc::<AtomicBool>::default();
        let (asked, was_asked) = mpsc::channel();
        let (answer_now, may_answer) = mpsc::channel();
        let (held, may_answer) = (Arc::clone(&holds), Mutex::new(may_answer));
        let provider = Provider::start(move |request| {
            if held.load(Ordering::SeqCst) {
                asked.send(()).unwrap();
                may_answer.lock().unwrap().recv().unwrap();
            }
            answer(request)
        });
        Self { provider, holds, was_asked, answer_now }
    }

    /// Keeps whoever asks from now on waiting.
    pub fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// Answers the one who waits, and all others at once.
    pub fn let_go(&self) {
        self.was_asked.recv_timeout(LIMIT).unwrap();
        self.holds.store(false, Ordering::SeqCst);
        self.answer_now.send(()).unwrap();
    }

    pub fn count(&self, method: &str) -> usize {
        self.provider.requests().iter().filter(|one| one.first.starts_with(method)).count()
    }
}

fn answer(request: &Message) -> Reply {
    match request.first.split(' ').next().unwrap() {
        "DELETE" => Reply(204, Vec::new(), String::new()),
        "POST" => Reply::json(202, &json!({})),
        "PUT" => Reply::json(201, &json!({})),
        _ if request.what().ends_with("/public-key") => {
            let key = STANDARD.encode([9; 32]);
            Reply::json(200, &json!({"key_id": "1", "key": key}))
        }
        _ if request.what() == "GET /user" => Reply::json(
            200,
            &json!({"id": 1, "login": "octocat", "type": "User", "html_url": "https://github.com/octocat"}),
        ),
        _ => repository(request),
    }
}

/// What a client can that has tasks.
pub fn can() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}})
}

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

fn workflow_run() -> Value {
    json!({"owner": "octocat", "repo": "hello-world", "run_id": 1})
}

/// Calls a tool that lasts; the id of its task.
fn begin(server: &Server<'_>, tool: &str, arguments: &Value) -> String {
    let call = json!({"name": tool, "arguments": arguments});
    let created = server.call_with(&[], &can(), call).json();
    let task = &created["result"];
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working")),
        "{created}"
    );
    assert_eq!(task["ttlMs"], 3_600_000, "{created}");
    task["taskId"].as_str().expect("a task").to_owned()
}

pub fn ask(server: &Server<'_>, method: &str, id: &str) -> Value {
    server.task(&server.token, method, &can(), json!({ "taskId": id })).json()
}

/// Asks until it stands so with the task.
fn until(server: &Server<'_>, id: &str, status: &str) -> Value {
    let start = Instant::now();
    loop {
        let task = ask(server, "tasks/get", id)["result"].clone();
        if task["status"] == status {
            return task;
        }
        assert!(task["status"] == "working" && start.elapsed() < LIMIT, "not {status}: {task}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// The last event of the trail.
fn last(product: &Product) -> (String, String, String) {
    product.trail("local").pop().unwrap()
}

#[test]
fn a1_a_call_that_lasts_is_kept_for_its_caller_alone() {
    let slow = Slow::start();
    on_both(&slow.provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        product.must(&["tenant", "create", "acme"], "");
        let (other, foreign) = (product.token("local", "other"), product.token("acme", "agent"));
        let server = product.serve();
        let call = json!({"name": READ, "arguments": hello()});
        let fast = server.call_with(&[], &can(), call.clone()).json();
        assert_eq!(fast["result"]["structuredContent"]["full_name"], "octocat/hello-world");
        slow.hold();
        let id = begin(&server, READ, &hello());
        assert_eq!(ask(&server, "tasks/get", &id)["result"]["status"], "working");
        let mut beside = product.serve();
        beside.token.clone_from(&server.token);
        assert_eq!(ask(&beside, "tasks/get", &id)["result"]["status"], "working");
        for (token, id) in [(&other, &id), (&foreign, &id), (&server.token, &"none".to_owned())] {
            for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
                let params = json!({"taskId": id, "inputResponses": {}});
                let answer = server.task(token, method, &can(), params).json();
                assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
            }
        }
        let params = json!({ "taskId": id });
        let unable = server.task(&server.token, "tasks/get", &json!({}), params).json();
        assert_eq!(unable["error"]["code"], -32021, "{unable}");
        slow.let_go();
        let done = until(&beside, &id, "completed");
        assert_eq!(
            done["result"]["structuredContent"]["full_name"], "octocat/hello-world",
            "{done}"
        );
        assert_eq!(until(&server, &id, "completed"), done);
        assert_eq!(last(product), ("result".into(), READ.into(), "success".into()));
        // It is too late.
        assert_eq!(ask(&server, "tasks/cancel", &id)["result"]["resultType"], "complete");
        assert_eq!(until(&server, &id, "completed"), done);
    });
}

#[test]
fn a_task_is_cancelled_by_whichever_server_is_asked() {
    let slow = Slow::start();
    on_both(&slow.provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let server = product.serve();
        let mut beside = product.serve();
        beside.token.clone_from(&server.token);
        slow.hold();
        let id = begin(&server, READ, &hello());
        assert_eq!(ask(&beside, "tasks/cancel", &id)["result"]["resultType"], "complete");
        until(&server, &id, "cancelled");
        assert_eq!(last(product), ("result".into(), READ.into(), "error".into()));
        slow.let_go();
    });
}

#[test]
fn a_task_asks_its_person_for_an_approval_and_runs_once() {
    let slow = Slow::start();
    on_both(&slow.provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let deleted = slow.count("DELETE");
        let server = product.serve();
        slow.hold();
        let id = begin(&server, DELETE, &hello());
        slow.let_go();
        let asking = until(&server, &id, "input_required");
        let asked = &asking["inputRequests"]["approval"];
        assert_eq!(asked["method"], "elicitation/create", "{asking}");
        assert_eq!(slow.count("DELETE"), deleted);
        let typed = json!({"action": "accept", "content": {"name": "octocat/hello-world"}});
        let params = json!({"taskId": id, "inputResponses": {"approval": typed, "other": 1}});
        let told = server.task(&server.token, "tasks/update", &can(), params).json();
        assert_eq!(told["result"]["resultType"], "complete", "{told}");
        let done = until(&server, &id, "completed");
        assert_eq!(done["result"]["isError"], false, "{done}");
        assert_eq!(slow.count("DELETE"), deleted + 1);
    });
}

#[test]
fn a_task_tells_how_far_it_is() {
    let is_ready = Arc::<AtomicBool>::default();
    let ready = Arc::clone(&is_ready);
    let provider = Provider::start(move |request| {
        let state = if ready.load(Ordering::SeqCst) { "READY" } else { "BUILDING" };
        deployment(request, state)
    });
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.vercel]\nbase_url = \"{}\"\n", provider.url));
    product.must(&["connect", "vercel", "--key-stdin"], "token_of_a_test");
    let server = product.serve();
    let id = begin(&server, "vercel_wait_for_deployment", &json!({"deployment": "dpl_1"}));
    let start = Instant::now();
    while !ask(&server, "tasks/get", &id).to_string().contains("BUILDING after") {
        assert!(start.elapsed() < LIMIT, "it tells nothing");
        thread::sleep(Duration::from_millis(100));
    }
    is_ready.store(true, Ordering::SeqCst);
    let done = until(&server, &id, "completed");
    assert_eq!(done["result"]["structuredContent"]["outcome"], "ready", "{done}");
}

/// The server is killed while a task runs, and another one looks after what it left as if more than a minute had gone by.
fn killed(server: Server<'_>, product: &Product, sql: &dyn Fn(&str) -> String, id: &str) -> Value {
    let token = server.token.clone();
    drop(server);
    sql("UPDATE open_intents SET alive_at = alive_at - 61000");
    sql("UPDATE jobs SET held_until = held_until - 61000 WHERE kind = 'task'");
    let mut next = product.serve();
    next.token = token;
    let start = Instant::now();
    loop {
        let task = ask(&next, "tasks/get", id)["result"].clone();
        if task["status"] != "working" {
            return task;
        }
        assert!(start.elapsed() < LIMIT, "still: {task}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn i4_a_task_whose_server_is_killed_fails_and_does_not_run_again() {
    let slow = Slow::start();
    on_both_with_sql(&slow.provider, |product, sql| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        for (tool, arguments, method, words) in [
            (READ, hello(), "GET", "Nothing was changed"),
            (CHANGE, workflow_run(), "POST", "it may have happened"),
        ] {
            let server = product.serve();
            let count = slow.count(method);
            slow.hold();
            let id = begin(&server, tool, &arguments);
            let failed = killed(server, product, sql, &id);
            assert_eq!(failed["status"], "failed", "{failed}");
            let message = failed["error"]["message"].as_str().unwrap();
            assert!(message.contains(words), "{failed}");
            slow.let_go();
            assert_eq!(slow.count(method), count + 1, "{tool}");
            assert_eq!(last(product), ("result".into(), tool.into(), "unknown".into()));
        }
    });
}

#[test]
fn i4_what_a_task_did_before_its_server_died_is_known() {
    let slow = Slow::start();
    on_both_with_sql(&slow.provider, |product, sql| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let mut server = product.serve_with(&[("RESTO_CRASH_AT", "result_committed")]);
        let count = slow.count("POST");
        slow.hold();
        let id = begin(&server, CHANGE, &workflow_run());
        slow.let_go();
        server.process.wait();
        let done = killed(server, product, sql, &id);
        assert_eq!(done["status"], "completed", "{done}");
        assert_eq!(done["result"]["structuredContent"]["requested"], "cancel", "{done}");
        assert_eq!(slow.count("POST"), count + 1);
        assert_eq!(last(product), ("result".into(), CHANGE.into(), "success".into()));
    });
}

#[test]
fn the_inspector_waits_for_a_task() {
    let slow = Slow::start();
    let product = Product::connected(&slow.provider.url, KEY);
    let server = product.serve();
    slow.hold();
    thread::scope(|scope| {
        let call = scope.spawn(|| inspector_call(Era::Modern, Way::Http(&server), READ, &hello()));
        let start = Instant::now();
        while product.sql("SELECT 1 FROM records WHERE collection = 'task'").is_empty() {
            assert!(start.elapsed() < LIMIT, "no task");
            thread::sleep(Duration::from_millis(100));
        }
        slow.let_go();
        assert_eq!(call.join().unwrap().output()["full_name"], "octocat/hello-world");
    });
}
