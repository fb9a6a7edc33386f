//! DNS records at Cloudflare, in a zone that belongs to the domain.

use resto_core::{Api, Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Enveloped, account};
use crate::names::DomainName;
use crate::zone::{DnsRecord, Live, canonical};

/// Records in one page, and pages that are read of one zone.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 5;

#[derive(Deserialize)]
pub(super) struct Zone {
    pub id: String,
    #[serde(default)]
    pub name_servers: Vec<String>,
}

/// The zone of a domain.
pub(super) async fn zone(api: &Api, domain: &DomainName) -> Result<Zone> {
    let zones: Enveloped<Vec<Zone>> = api
        .get("/zones", &[])
        .query("name", domain.as_str())
        .query("account.id", account(api)?)
        .send()
        .await?;
    zones.result.into_iter().next().ok_or_else(|| {
        Error::new(
            Code::NotFound,
            format!("Cloudflare has no DNS zone for {domain} in this account, or the token may not see it."),
        )
    })
}

#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default)]
    priority: Option<u16>,
    #[serde(default)]
    proxied: Option<bool>,
    #[serde(default)]
    data: Option<Value>,
}

impl Record {
    fn live(self, domain: &DomainName) -> Live {
        let number = |field: &str| self.data.as_ref()?.get(field)?.as_u64();
        let text = |field: &str| self.data.as_ref()?.get(field)?.as_str();
        let mut content = self.content;
        let mut priority = self.priority;
        // What the text of a service holds has changed over time; its parts have not.
        if let ("SRV", Some(weight), Some(port), Some(target)) =
            (self.kind.as_str(), number("weight"), number("port"), text("target"))
        {
            content = format!("{weight} {port} {target}");
            priority = number("priority").and_then(|value| u16::try_from(value).ok()).or(priority);
        }
        // Only what Cloudflare can stand in front of has this switch.
        let proxied = self.proxied.filter(|_| proxiable(&self.kind));
        Live {
            id: self.id,
            record: DnsRecord {
                name: domain.relative(&self.name).unwrap_or(self.name),
                content: canonical(&self.kind, &content),
                priority: priority.filter(|_| matches!(self.kind.as_str(), "MX" | "SRV")),
                kind: self.kind,
                // 1 stands for automatic.
                ttl_seconds: self.ttl.filter(|ttl| *ttl > 1),
                proxied,
            },
        }
    }
}

fn proxiable(kind: &str) -> bool {
    matches!(kind, "A" | "AAAA" | "CNAME")
}

pub(super) async fn records(api: &Api, domain: &DomainName) -> Result<Vec<Live>> {
    let zone = zone(api, domain).await?;
    let mut all = Vec::new();
    for page in 1..=MAX_PAGES {
        let found: Enveloped<Vec<Record>> = api
            .get("/zones/{}/dns_records", &[&zone.id])
            .query("per_page", PAGE)
            .query("page", page)
            .send()
            .await?;
        let count = found.result.len();
        all.extend(found.result.into_iter().map(|record| record.live(domain)));
        if count < PAGE {
            return Ok(all);
        }
    }
    Err(Error::new(
        Code::InvalidInput,
        format!(
            "The zone of {domain} has {} records or more, which is more than we handle.",
            PAGE * MAX_PAGES
        ),
    ))
}

/// A record as Cloudflare takes it. Services and CAA come in parts.
pub(super) fn body(domain: &DomainName, record: &DnsRecord) -> Value {
    let mut parts = record.content.splitn(3, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let data = match record.kind.as_str() {
        "SRV" => {
            let (weight, port, target) = (part(), part(), part());
            Some(json!({
                "priority": record.priority,
                "weight": weight.parse::<u16>().ok(),
                "port": port.parse::<u16>().ok(),
                "target": target,
            }))
        }
        "CAA" => {
            let (flags, tag, value) = (part(), part(), part());
            let flags = flags.parse::<u8>().ok();
            Some(json!({"flags": flags, "tag": tag, "value": value.trim_matches('"')}))
        }
        _ => None,
    };
    json!({
        "type": record.kind,
        "name": domain.full(&record.name),
        "ttl": record.ttl_seconds.unwrap_or(1),
        "content": data.is_none().then_some(&record.content),
        "priority": record.priority.filter(|_| data.is_none()),
        // Hosts check who answers: visitors come to them directly, unless it was otherwise before.
        "proxied": proxiable(&record.kind).then_some(record.proxied.unwrap_or(false)),
        "data": data,
    })
}
