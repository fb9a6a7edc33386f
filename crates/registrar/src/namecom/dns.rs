//! DNS records at name.com, where an ALIAS is called ANAME.

use resto_core::{Api, Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::TERMS;
use crate::names::DomainName;
use crate::zone::{DnsRecord, Live, canonical};

/// Records in one page, and pages that are read of one zone.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Records {
    #[serde(default)]
    records: Vec<Record>,
    #[serde(default)]
    next_page: Option<u32>,
}

#[derive(Deserialize)]
struct Record {
    id: u64,
    #[serde(default)]
    host: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default)]
    priority: Option<u16>,
}

impl Record {
    fn live(self, domain: &DomainName) -> Live {
        let host = self.host.unwrap_or_default();
        let kind = match self.kind.unwrap_or_default().as_str() {
            "ANAME" => "ALIAS".to_owned(),
            other => other.to_owned(),
        };
        Live {
            id: self.id.to_string(),
            record: DnsRecord {
                name: domain.relative(&host).unwrap_or(host),
                content: canonical(&kind, &self.answer),
                ttl_seconds: self.ttl,
                priority: self.priority.filter(|_| matches!(kind.as_str(), "MX" | "SRV")),
                proxied: None,
                kind,
            },
        }
    }
}

pub(super) async fn records(api: &Api, domain: &DomainName) -> Result<Vec<Live>> {
    let mut all = Vec::new();
    let mut page = Some(1);
    for _ in 0..MAX_PAGES {
        let Some(number) = page else { return Ok(all) };
        let found: Records = api
            .get("/core/v1/domains/{}/records", &[&domain.as_str()])
            .query("perPage", PAGE)
            .query("page", number)
            .send()
            .await?;
        page = found.next_page.filter(|next| *next > number);
        all.extend(found.records.into_iter().map(|record| record.live(domain)));
    }
    match page {
        None => Ok(all),
        Some(_) => Err(Error::new(
            Code::InvalidInput,
            format!(
                "The zone of {domain} has more than {} records, which is more than we handle.",
                PAGE * MAX_PAGES
            ),
        )),
    }
}

/// A record as name.com takes it.
pub(super) fn body(record: &DnsRecord) -> Value {
    let kind = if record.kind == "ALIAS" { "ANAME" } else { &record.kind };
    json!({
        "host": if record.name == "@" { "" } else { &record.name },
        "type": kind,
        "answer": record.content,
        "ttl": record.ttl_seconds.or(TERMS.dns.default_ttl),
        "priority": record.priority,
    })
}
