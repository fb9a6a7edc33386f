//! A zone at name.com for tests, and what was sent to it.

use resto_testing::FakeApi;
use serde_json::{Value, json};

use crate::REGISTRAR;

pub(crate) const RECORDS: &str = "/core/v1/domains/acme.com/records";

/// The answer with these records: `host type answer`, an MX with its priority before the answer.
/// They are numbered from 1.
pub(crate) fn zone(lines: &[&str]) -> Value {
    let records: Vec<Value> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            let parts: Vec<&str> = line.splitn(3, ' ').collect();
            let (priority, answer) = match parts[1] {
                "MX" => parts[2].split_once(' ').map(|(one, two)| (one.parse::<u16>().ok(), two)).unwrap(),
                _ => (None, parts[2]),
            };
            let host = if parts[0] == "@" { "" } else { parts[0] };
            json!({"id": index + 1, "host": host, "type": parts[1], "answer": answer, "ttl": 300, "priority": priority})
        })
        .collect();
    json!({"records": records, "from": 1, "to": lines.len(), "totalCount": lines.len()})
}

/// A fake whose zone holds these records, and which takes every change.
pub(crate) async fn fake(lines: &[&str]) -> FakeApi {
    let mut fake = FakeApi::of(&REGISTRAR, "namecom").await.on("GET", RECORDS, 200, zone(lines));
    fake = fake.on("POST", RECORDS, 200, json!({"id": 99, "type": "A", "ttl": 300}));
    for id in 1..=lines.len() {
        let path = format!("{RECORDS}/{id}");
        fake = fake.on("PUT", &path, 200, json!({"id": id, "type": "A", "ttl": 300})).on(
            "DELETE",
            &path,
            204,
            Value::Null,
        );
    }
    fake
}

/// The changes that were sent, in order: `POST host type answer`, `PUT 1 host type answer`, `DELETE 1`.
pub(crate) async fn changes(fake: &FakeApi) -> Vec<String> {
    fake.requests()
        .await
        .into_iter()
        .filter(|request| request.method != "GET")
        .map(|request| {
            let id = request.path.strip_prefix(RECORDS).unwrap().trim_start_matches('/').to_owned();
            let text = |field: &str| {
                request
                    .body
                    .get(field)
                    .map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
            };
            [
                Some(request.method.clone()),
                Some(id),
                text("host"),
                text("type"),
                text("priority"),
                text("answer"),
            ]
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
        })
        .collect()
}
