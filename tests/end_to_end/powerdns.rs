//! A `PowerDNS` of a test's own: zones are written through its API, and questions are answered from them.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Running, tool, top};
use crate::wire::{Message, send};

/// Runs until it is dropped.
pub struct PowerDns {
    /// Where it answers questions.
    pub address: SocketAddr,
    api: String,
    key: String,
    _process: Running,
    _folder: TempDir,
}

/// A record: its name without a dot at its end, its type, and its content as a zone file has it.
pub type Record = (String, String, String);

impl PowerDns {
    /// One without zones.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(tool("python/bin/python"));
        command.arg(top().join("tests/standins/powerdns.py")).arg(folder.path());
        tool("pdns/usr/sbin/pdns_server");
        let mut told = None;
        let (process, [address, api, key]) = Running::start(&mut command, |line| {
            if let Some(line) = line.strip_prefix("at ") {
                let mut parts = line.split(' ').map(str::to_owned);
                told = Some([0; 3].map(|_| parts.next().unwrap()));
            }
            line.starts_with("Done launching threads").then(|| told.clone().unwrap())
        });
        let address = address.parse().unwrap();
        Self { address, api, key, _process: process, _folder: folder }
    }

    /// Adds a zone with these name servers.
    pub fn add(&self, zone: &str, nameservers: &[&str]) {
        let nameservers: Vec<String> = nameservers.iter().map(|host| format!("{host}.")).collect();
        let body =
            json!({"name": format!("{zone}."), "kind": "Native", "nameservers": nameservers});
        let answer = self.ask("POST", "/zones", &body);
        assert_eq!(answer.status(), 201, "{answer:?}");
    }

    /// Makes these all records of the same names and types; why not, if that cannot be.
    pub fn replace(
        &self,
        zone: &str,
        sets: &[(String, String)],
        all: &[Record],
    ) -> Result<(), String> {
        let mut sets: Vec<Value> = sets
            .iter()
            .map(|(name, kind)| {
                let of_it = all.iter().filter(|(at, of, _)| (at, of) == (name, kind));
                let records: Vec<Value> =
                    of_it.map(|(_, kind, content)| json!({"content": written(kind, content)})).collect();
                let change = if records.is_empty() { "DELETE" } else { "REPLACE" };
                json!({"name": format!("{name}."), "type": kind, "ttl": 300, "changetype": change, "records": records})
            })
            .collect();
        // What goes makes room for what comes.
        sets.sort_by_key(|set| set["changetype"] == "REPLACE");
        let answer = self.ask("PATCH", &format!("/zones/{zone}."), &json!({ "rrsets": sets }));
        match answer.status() {
            204 => Ok(()),
            _ => Err(answer.json()["error"].as_str().unwrap().to_owned()),
        }
    }

    /// How many questions it was asked until now.
    pub fn questions(&self) -> usize {
        let told = self.ask("GET", "/statistics?statistic=udp-queries", &Value::Null).json();
        told[0]["value"].as_str().unwrap().parse().unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Message {
        let headers = [("x-api-key", self.key.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(method, &format!("{}{path}", self.api), &headers, &body)
    }
}

/// A content as `PowerDNS` writes it: names with the dot at their end, texts in quotes.
fn written(kind: &str, content: &str) -> String {
    match kind {
        "TXT" => {
            let letters: Vec<char> = content.chars().collect();
            let parts = letters.chunks(255).map(|part| part.iter().collect::<String>());
            let quoted: Vec<String> = parts.map(|part| format!("{part:?}")).collect();
            quoted.join(" ")
        }
        "CNAME" | "MX" | "NS" | "SRV" | "ALIAS" => format!("{}.", content.trim_end_matches('.')),
        _ => content.to_owned(),
    }
}
