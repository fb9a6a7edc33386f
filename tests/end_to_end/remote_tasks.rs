//! Tasks that remote servers make of calls: followed to their end, asked of and cancelled as any other call.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::provider::Provider;
use crate::remote::{connect, product, told};
use crate::remote_questions::{
    ANSWER, READ, RISKS, answer, audited, by_form, form, read_it, server, the_form,
};

/// Far more than anything takes here; only a failure waits that long.
const LIMIT: Duration = Duration::from_secs(40);

/// The status of a task of a server.
fn task(status: &str, more: &Value) -> Value {
    let mut task = json!({
        "resultType": "complete", "taskId": "t1", "status": status, "ttlMs": null, "pollIntervalMs": 1,
        "createdAt": "2026-11-28T00:00:00Z", "lastUpdatedAt": "2026-11-28T00:00:00Z", "statusMessage": "half of it",
    });
    task.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    task
}

/// One that makes a task of each call, in which it asks for a name; until it is let go it works on.
fn lasting(goes_on: Arc<AtomicBool>) -> Provider {
    let answered = Arc::<AtomicBool>::default();
    server(move |method, asked| match method {
        "tools/call" => told(asked, &task("working", &json!({"resultType": "task"}))),
        "tasks/update" => {
            answered.store(
                asked["params"]["inputResponses"]["who"]["content"]["name"] == ANSWER,
                Ordering::Relaxed,
            );
            told(asked, &json!({"resultType": "complete"}))
        }
        "tasks/cancel" => told(asked, &json!({"resultType": "complete"})),
        _ if !goes_on.load(Ordering::Relaxed) => told(asked, &task("working", &json!({}))),
        _ if answered.load(Ordering::Relaxed) => {
            let result = json!({"content": [{"type": "text", "text": "done"}]});
            told(asked, &task("completed", &json!({"result": result})))
        }
        _ => {
            let request = form("Who is it?", &json!({"name": {"type": "string"}}));
            told(asked, &task("input_required", &json!({"inputRequests": {"who": request}})))
        }
    })
}

#[test]
fn a_task_of_a_server_ends_as_any_other_call() {
    let provider = lasting(Arc::new(AtomicBool::new(true)));
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let asked = by_form(&server, &read_it());
    assert!(the_form(&asked)["message"].as_str().unwrap().starts_with("Other asks: Who is it?"));
    let given = json!({"action": "accept", "content": {"name": ANSWER}});
    let done = by_form(&server, &answer(&asked, &given));
    assert_eq!(done["result"]["structuredContent"]["text"][0], "done", "{done}");
    let count = |method: &str| {
        provider.requests().iter().filter(|one| one.body.contains(&format!("\"{method}\""))).count()
    };
    assert_eq!((count("tasks/update"), count("tasks/cancel"), audited(&product).len()), (1, 0, 2));
    assert!(product.must(&["call", READ], "").stderr.contains("half of it"), "its progress");
}

#[test]
fn whoever_brings_the_answer_is_told_how_far_the_call_is_from_then_on() {
    let goes_on = Arc::new(AtomicBool::new(true));
    let provider = lasting(Arc::clone(&goes_on));
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let asked = by_form(&server, &read_it());
    goes_on.store(false, Ordering::Relaxed);
    let mut call = answer(&asked, &json!({"action": "accept", "content": {"name": ANSWER}}));
    call["progressToken"] = "of the answer".into();
    let can = json!({"elicitation": {"form": {}}});
    let authorization = format!("Bearer {}", server.token);
    let stream = server.send(&[("authorization", &authorization)], &can, call);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    let mut told = lines.filter_map(|line| {
        let event = line.strip_prefix("data: ").filter(|event| !event.is_empty())?;
        Some(serde_json::from_str::<Value>(event).unwrap())
    });
    let progress = told.next().expect("progress");
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    assert_eq!(progress["params"]["progressToken"], "of the answer", "{progress}");
    assert_eq!(progress["params"]["message"], "half of it", "{progress}");
    // The first time that it was asked for, it wanted the answer.
    assert!(progress["params"]["progress"].as_f64() > Some(1.0), "{progress}");
    goes_on.store(true, Ordering::Relaxed);
    let done = told.find(|event| event["result"].is_object()).expect("the result");
    assert_eq!(done["result"]["structuredContent"]["text"][0], "done", "{done}");
}

#[test]
fn a_task_of_a_server_is_a_task_of_the_caller_and_is_cancelled_with_it() {
    let goes_on = Arc::<AtomicBool>::default();
    let provider = lasting(Arc::clone(&goes_on));
    let product = product(&provider.url, RISKS);
    connect(&product);
    let server = product.serve();
    let can =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}});
    let begin = || {
        let created = server.call_with(&[], &can, read_it()).json();
        assert_eq!(created["result"]["resultType"], "task", "{created}");
        created["result"]["taskId"].as_str().unwrap().to_owned()
    };
    let ask = |method: &str, params: Value| {
        server.task(&server.token, method, &can, params).json()["result"].clone()
    };
    let until = |id: &str, status: &str| {
        let start = Instant::now();
        loop {
            let task = ask("tasks/get", json!({ "taskId": id }));
            if task["status"] == status {
                return task;
            }
            assert!(start.elapsed() < LIMIT, "never {status}: {task}");
            thread::sleep(Duration::from_millis(100));
        }
    };
    let id = begin();
    ask("tasks/cancel", json!({ "taskId": id }));
    until(&id, "cancelled");
    assert!(provider.requests().iter().any(|request| request.body.contains("\"tasks/cancel\"")));
    let id = begin();
    goes_on.store(true, Ordering::Relaxed);
    let asking = until(&id, "input_required");
    let (key, request) = asking["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert!(request["params"]["message"].as_str().unwrap().starts_with("Other asks: Who is it?"));
    let given = json!({"action": "accept", "content": {"name": ANSWER}});
    ask("tasks/update", json!({"taskId": id, "inputResponses": {key: given}}));
    let done = until(&id, "completed");
    assert_eq!(done["result"]["structuredContent"]["text"][0], "done", "{done}");
}
