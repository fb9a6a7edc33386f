//! A key that ends says when, and people are told in time: once, also where the end becomes known or changes later.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::browser::Browser;
use crate::postgres::on_both_with_sql;
use crate::product::Server;
use crate::provider::{Provider, Reply};

const KEY: &str = "github_pat_of_a_test";
/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(1);

/// A GitHub whose tokens end then, as it says with each answer.
fn github(ends: &Arc<Mutex<Option<OffsetDateTime>>>) -> Provider {
    let ends = Arc::clone(ends);
    Provider::start(move |_| {
        let known = json!({"id": 1, "login": "octocat", "type": "User", "html_url": "u"});
        let Reply(status, mut headers, body) = Reply::json(200, &known);
        let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        if let Some(end) = *ends.lock().unwrap() {
            let end = end.format(form).unwrap();
            headers.push(("github-authentication-token-expiration", end));
        }
        Reply(status, headers, body)
    })
}

fn in_days(days: i64) -> OffsetDateTime {
    let end = OffsetDateTime::now_utc() + time::Duration::days(days);
    end.replace_nanosecond(0).unwrap()
}

fn listed(server: &Server<'_>) -> Value {
    let listed = server.call(&[], "list_integrations", &json!({})).json();
    let all = listed["result"]["structuredContent"]["integrations"].as_array().unwrap().clone();
    all.into_iter().find(|one| one["integration"] == "github").unwrap()["ends_at"].clone()
}

fn check(server: &Server<'_>) {
    let checked = server.call(&[], "check_connection", &json!({"integration": "github"})).json();
    assert_eq!(checked["result"]["isError"], false, "{checked}");
}

#[test]
fn f8_the_end_of_a_key_is_shown_and_told_once_and_so_is_another_one() {
    let ends = Arc::new(Mutex::new(Some(in_days(200))));
    let provider = github(&ends);
    on_both_with_sql(&provider, |product, sql| {
        *ends.lock().unwrap() = Some(in_days(200));
        product.must(&["connect", "github", "--key-stdin"], KEY);
        // A reminder from before it was stored is nobody's.
        let before = OffsetDateTime::now_utc() - time::Duration::days(60);
        let before = before
            .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000000Z"));
        sql(&format!("UPDATE integration_credentials SET connected_at = '{}'", before.unwrap()));
        let server = product.serve();
        let browser = Browser::of(product, &server, "local");
        let told = |kind: &str| sql(&format!("SELECT detail FROM alerts WHERE kind = '{kind}'"));
        let mut expected = Vec::new();
        for days in [200, 5, 25] {
            let end = in_days(days);
            *ends.lock().unwrap() = Some(end);
            check(&server);
            assert_eq!(listed(&server), end.format(&Rfc3339).unwrap());
            let page = browser.get("/connect/github").body;
            assert!(page.contains("The key works until "), "{page}");
            match days {
                5 => expected.push(format!("within 7 days, on {}", end.date())),
                25 => expected.push(format!("within 30 days, on {}", end.date())),
                _ => {}
            }
            // It is looked at once more, and told no more.
            for _ in 0..2 {
                sql("UPDATE jobs SET due_at = 0 WHERE kind = 'remind'");
                let start = Instant::now();
                while sql("SELECT count(*) FROM jobs WHERE kind = 'remind' AND due_at = 0").trim()
                    != "0"
                    || sql("SELECT count(*) FROM jobs WHERE kind = 'remind' AND holder IS NOT NULL")
                        .trim()
                        != "0"
                {
                    assert!(start.elapsed() < LIMIT, "nobody looks at it");
                }
                let mut all: Vec<String> = told("access_ends").lines().map(str::to_owned).collect();
                all.sort();
                let mut expected = expected.clone();
                expected.sort();
                assert_eq!(all, expected);
            }
        }
        let shown = product.must(&["connections"], "").stdout;
        assert!(shown.contains(&format!("ends {}", in_days(25).date())), "{shown}");
        *ends.lock().unwrap() = None;
        check(&server);
        assert_eq!(listed(&server), Value::Null);
        assert!(!browser.get("/connect/github").body.contains("The key works until"));
        assert_eq!(told("key_due"), "");
        product.must(&["audit", "--verify"], "");
    });
}
