//! DNS records at Porkbun: read with their full names, written with the part before the domain.

use resto_core::{Api, Code, Error, Request, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::TERMS;
use super::envelope::{Answered, id, loose};
use crate::names::DomainName;
use crate::zone::{DnsRecord, Live, canonical};

#[derive(Deserialize)]
struct Record {
    #[serde(deserialize_with = "id")]
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    content: String,
    #[serde(default, deserialize_with = "loose")]
    ttl: Option<u32>,
    #[serde(default, deserialize_with = "loose")]
    prio: Option<u32>,
}

impl Record {
    fn live(self, domain: &DomainName) -> Live {
        // A priority is told of every record, and means nothing for most.
        let priority = self
            .prio
            .filter(|_| matches!(self.kind.as_str(), "MX" | "SRV"))
            .and_then(|prio| u16::try_from(prio).ok());
        Live {
            id: self.id,
            record: DnsRecord {
                name: domain.relative(&self.name).unwrap_or(self.name),
                content: canonical(&self.kind, &self.content),
                kind: self.kind,
                ttl_seconds: self.ttl,
                priority,
                proxied: None,
            },
        }
    }
}

pub(super) async fn records(api: &Api, domain: &DomainName) -> Result<Vec<Live>> {
    #[derive(Deserialize)]
    struct All {
        records: Vec<Record>,
    }
    let all: All = api.get("/dns/retrieve/{}", &[&domain.as_str()]).answered().await?;
    Ok(all.records.into_iter().map(|record| record.live(domain)).collect())
}

/// Sends a record as Porkbun takes it, with the request that creates or edits.
pub(super) async fn write(request: Request<'_>, record: &DnsRecord) -> Result<()> {
    let name = if record.name == "@" { "" } else { &record.name };
    let written = request
        .fields(json!({
            "name": name,
            "type": record.kind,
            "content": record.content,
            "ttl": record.ttl_seconds.or(TERMS.dns.default_ttl),
            "prio": record.priority,
        }))
        .answered::<Value>()
        .await;
    match written {
        // It was asked for, and is there.
        Err(error) if is_duplicate(&error) => Ok(()),
        other => other.map(drop),
    }
}

fn is_duplicate(error: &Error) -> bool {
    error.code() == Code::Conflict && error.message().contains("has this record already")
}
