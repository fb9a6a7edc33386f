//! What agents and providers write stays out of the trail and cannot forge a line of it or of the log.

use std::fs;

use serde_json::{Value, json};

use crate::canary::Canary;
use crate::postgres::on_both;
use crate::product::Product;
use crate::provider::{Provider, Reply, repository};

const KEY: &str = "github_pat_of_a_test";
const PARAMETER: &str = "the-canary/parameter+of&an\"issue=that%stays<with>github";
const ANSWER: &str = "the-canary/answer+of&a\"provider=that%stays<out>of the trail";

/// A GitHub that answers with more than anybody asked for.
fn talkative(status: u16) -> impl Fn(&crate::wire::Message) -> Reply + Send + Sync + 'static {
    move |_| {
        let body = json!({
            "message": "Validation Failed", "documentation_url": ANSWER, "errors": [{"resource": ANSWER, "code": ANSWER}],
            "number": 1, "title": ANSWER, "state": "open", "html_url": ANSWER, "user": {"login": ANSWER},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "body": ANSWER, "stack": ANSWER,
        });
        let headers = vec![
            ("content-type", "application/json".into()),
            ("x-trace", ANSWER.into()),
            ("set-cookie", format!("session={ANSWER}")),
        ];
        Reply(status, headers, body.to_string())
    }
}

#[test]
fn f3_the_trail_and_the_log_hold_what_is_on_the_list_and_nothing_that_was_sent_or_answered() {
    let allowed = [
        "id",
        "seq",
        "phase",
        "intent_id",
        "integration_id",
        "action",
        "params_hash",
        "result_status",
        "executed_at",
        "duration_ms",
        "error_message",
        "actor",
        "op_id",
        "generation",
        "key_id",
        "prev_mac",
        "mac",
    ];
    let (parameter, answer) = (Canary::new(PARAMETER), Canary::new(ANSWER));
    for status in [201, 500] {
        let provider = Provider::github(talkative(status));
        on_both(&provider, |product| {
            product.must(&["connect", "github", "--key-stdin"], KEY);
            let server = product.serve_with(&[("RUST_LOG", "trace")]);
            let arguments = json!({
                "owner": "octocat", "repo": "hello-world", "title": PARAMETER, "body": PARAMETER, "labels": [PARAMETER],
                "assignees": [PARAMETER],
            });
            for headers in [&[][..], &[("x-canary", PARAMETER)]] {
                server.call(headers, "github_create_issue", &arguments);
            }
            // Refused: to an agent, for a field that does not exist, and for a tool that does not.
            let more = json!({"owner": "octocat", "repo": PARAMETER, "confirm": PARAMETER});
            for tool in ["github_delete_repository", "github_create_issue", PARAMETER] {
                server.call(&[], tool, &more);
            }
            assert!(provider.requests().iter().any(|request| request.body.contains("canary")));
            let trail = product.must(&["audit", "--json"], "").stdout;
            let events: Vec<Value> = serde_json::from_str(&trail).unwrap();
            assert!(
                events.iter().filter(|event| event["action"] == "github_create_issue").count() >= 4
            );
            for event in &events {
                assert!(
                    event
                        .as_object()
                        .unwrap()
                        .keys()
                        .all(|field| allowed.contains(&field.as_str())),
                    "{event}"
                );
                if let Some(message) = event["error_message"].as_str() {
                    assert!(
                        message.chars().count() <= 512 && !message.contains(char::is_control),
                        "{message}"
                    );
                }
            }
            let mut places = vec![("the trail", trail), ("the log", server.process.said())];
            places.push(("the list", product.must(&["audit"], "").stdout));
            for (place, text) in &places {
                parameter.is_not_in(place, text.as_bytes());
                answer.is_not_in(place, text.as_bytes());
            }
            let data = product.path("data");
            for file in data.exists().then(|| fs::read_dir(data).unwrap()).into_iter().flatten() {
                let file = file.unwrap().path();
                let bytes = fs::read(&file).unwrap();
                parameter.is_not_in(&file.display().to_string(), &bytes);
                answer.is_not_in(&file.display().to_string(), &bytes);
            }
        });
    }
}

#[test]
fn f7_nobody_forges_a_line_of_the_trail_or_of_the_log() {
    const FORGED: &str = "x\r\n2026-01-01T00:00:00Z ERROR resto_host: forged\u{2028}\u{2029}\u{85}\u{1b}[31m\u{202e}red\u{7}";
    let provider = Provider::github(|request| match request.what() {
        what if what.ends_with("/hello-world") => repository(request),
        _ => Reply::json(422, &json!({"message": FORGED})),
    });
    let product = Product::connected(&provider.url, KEY);
    let server = product.serve_with(&[("RUST_LOG", "trace")]);
    for (tool, arguments) in [
        ("github_get_repository", json!({"owner": "octocat", "repo": FORGED})),
        ("github_get_repository", json!({"owner": "octocat", "repo": "told"})),
        (
            "github_create_issue",
            json!({"owner": "octocat", "repo": "hello-world", "title": FORGED}),
        ),
        ("github_get_repository", json!({"owner": "octocat", "repo": "r", FORGED: FORGED})),
    ] {
        server.call(&[], tool, &arguments);
    }
    // The log is on, and its library's lines are of the form of its own.
    product.sql("ALTER TABLE access_tokens RENAME TO hidden");
    server.call(&[], "github_get_repository", &json!({}));
    product.sql("ALTER TABLE hidden RENAME TO access_tokens");
    let log = server.process.said();
    assert!(log.contains("DEBUG resto_vault"), "{log}");
    let logged = log.lines().filter(|line| {
        [" DEBUG ", " ERROR ", " WARN ", " INFO ", " TRACE "]
            .iter()
            .any(|level| line.contains(level))
    });
    for line in logged {
        let (time, rest) = line.split_once('Z').expect(line);
        assert!(
            time.starts_with("20")
                && rest
                    .trim_start()
                    .split(' ')
                    .next()
                    .is_some_and(|level| level.chars().all(char::is_uppercase)),
            "{line}"
        );
        assert!(!line.contains("forged"), "{line}");
    }
    let told = |arguments: &[&str]| product.must(arguments, "").stdout;
    let list = told(&["audit", "--limit", "100"]);
    assert!(list.contains("forged"), "the provider's message is told: {list}");
    let lines = list.lines().filter(|line| line.contains("forged")).collect::<Vec<_>>();
    assert!(lines.iter().all(|line| !line.starts_with("2026-01-01T00:00:00Z")), "{list}");
    for text in [list.replace('\n', ""), told(&["audit", "--json"]).replace('\n', "")] {
        let bad = |character: char| {
            character.is_control() || "\u{2028}\u{2029}\u{202e}".contains(character)
        };
        assert!(!text.contains(bad), "{text:?}");
    }
    let export = told(&["audit", "--json"]);
    let events: Vec<Value> = serde_json::from_str(&export).unwrap();
    // A line of its own for each event, between two brackets.
    assert_eq!(export.lines().count(), events.len() + 1);
    let messages: Vec<&str> =
        events.iter().filter_map(|event| event["error_message"].as_str()).collect();
    assert!(messages.iter().any(|message| message.contains("forged")), "{messages:?}");
    assert!(!messages.concat().contains(char::is_control), "{messages:?}");
}
