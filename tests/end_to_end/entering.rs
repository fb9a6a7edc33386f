//! A call that has become a task wants a value that only its person may enter.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::postgres::on_both;
use crate::product::Server;
use crate::tasks::{LIMIT, Slow, ask, can};

const KEY: &str = "github_pat_of_a_test";

/// Begins a task whose action wants a value that nobody has stored yet; its id and what its person is asked.
fn lacks_a_value(slow: &Slow, server: &Server<'_>, can: &Value) -> (String, Value) {
    slow.hold();
    let arguments = json!({"owner": "octocat", "repo": "hello-world", "name": "DEPLOY_KEY", "from": "deploy_key"});
    let call = json!({"name": "github_set_workflow_secret", "arguments": arguments});
    let created = server.call_with(&[], can, call).json();
    let id = created["result"]["taskId"].as_str().expect("a task").to_owned();
    slow.let_go();
    (id.clone(), ended(server, &id))
}

/// How it stands with a task when it works no more.
fn ended(server: &Server<'_>, id: &str) -> Value {
    let start = Instant::now();
    loop {
        let task = ask(server, "tasks/get", id)["result"].clone();
        if task["status"] != "working" {
            return task;
        }
        assert!(start.elapsed() < LIMIT, "it does not end: {task}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_task_leads_its_person_to_the_page_and_ends_whatever_they_do() {
    let slow = Slow::start();
    let leads =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"url": {}}});
    on_both(&slow.provider, |product| {
        product.must(&["connect", "github", "--key-stdin"], KEY);
        let server = product.serve();
        let act = |id: &str, action: &str| {
            let params = json!({"taskId": id, "inputResponses": {"page": {"action": action}}});
            let told = server.task(&server.token, "tasks/update", &can(), params).json();
            assert_eq!(told["result"]["resultType"], "complete", "{told}");
            ended(&server, id)
        };
        let asked = |task: &Value| {
            assert_eq!(task["status"], "input_required", "{task}");
            let page = &task["inputRequests"]["page"]["params"];
            assert_eq!(page["mode"], "url", "{task}");
            let link = page["url"].as_str().unwrap();
            link.strip_prefix(server.url.trim_end_matches("/mcp"))
                .expect("a page of ours")
                .to_owned()
        };
        let puts = slow.count("PUT");
        let (id, task) = lacks_a_value(&slow, &server, &leads);
        asked(&task);
        let declined = act(&id, "decline");
        assert_eq!(
            (&declined["status"], &declined["result"]["isError"]),
            (&json!("completed"), &json!(true))
        );
        assert!(declined.to_string().contains("did not want to open the page"), "{declined}");
        // One who opens the page and enters nothing is waited for a little.
        let (id, task) = lacks_a_value(&slow, &server, &leads);
        asked(&task);
        let opened = act(&id, "accept");
        assert!(opened.to_string().contains("has not entered the value yet"), "{opened}");
        let (id, task) = lacks_a_value(&slow, &server, &leads);
        asked(&task);
        assert_eq!(ask(&server, "tasks/cancel", &id)["result"]["resultType"], "complete");
        let start = Instant::now();
        while ask(&server, "tasks/get", &id)["result"]["status"] != "cancelled" {
            assert!(start.elapsed() < LIMIT, "it is not cancelled");
            thread::sleep(Duration::from_millis(100));
        }
        // A client that leads nobody to pages gets the link to pass on.
        let (_, told) = lacks_a_value(&slow, &server, &can());
        let error = &told["result"]["_meta"]["dev.resto/error"];
        assert_eq!(error["code"], "action_required", "{told}");
        assert!(error["url"].as_str().unwrap().contains("/secrets/"), "{told}");
        assert_eq!(slow.count("PUT"), puts);
        let (id, task) = lacks_a_value(&slow, &server, &leads);
        let page = asked(&task);
        let browser = Browser::of(product, &server, "local");
        assert!(browser.post(&page, &[("value", "canary of a value")]).body.contains("is stored"));
        let done = act(&id, "accept");
        assert_eq!(
            (&done["status"], &done["result"]["isError"]),
            (&json!("completed"), &json!(false)),
            "{done}"
        );
        assert!(!format!("{task}{done}").contains("canary"), "{done}");
        assert_eq!(slow.count("PUT"), puts + 1);
    });
}
