//! DNS records of domains whose name servers are Vercel's.

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::permissions::{DOMAIN_READ, DOMAIN_WRITE};
use crate::teams::Scope;
use crate::times::At;

/// Which domain. Actions flatten it into their input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Zone {
    /// Such as `example.com`.
    domain: String,
    #[serde(flatten)]
    scope: Scope,
}

impl Zone {
    async fn list(&self, api: &Api, page: &PageRequest) -> Result<Page<DnsRecord>> {
        // https://vercel.com/docs/rest-api/dns/list-existing-dns-records
        self.scope
            .on(api, api.get("/v5/domains/{}/records", &[&self.domain]))
            .page(page)
            .list_in("records")
            .await
    }

    /// The record of this id.
    ///
    /// # Errors
    /// There is none, or none among the newest two thousand.
    async fn record(&self, api: &Api, id: &str) -> Result<DnsRecord> {
        let mut page = PageRequest { cursor: None, limit: Some(100) };
        for _ in 0..20 {
            let listed = self.list(api, &page).await?;
            if let Some(found) = listed.items.into_iter().find(|record| record.id == id) {
                return Ok(found);
            }
            page.cursor = listed.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        Err(Error::new(
            Code::NotFound,
            format!(
                "Vercel lists no DNS record `{id}` of {}. Nothing was deleted. Take the id from list_dns_records.",
                self.domain
            ),
        ))
    }

    /// The first of the newest hundred records that is the wanted one.
    async fn find(
        &self,
        api: &Api,
        wanted: impl Fn(&DnsRecord) -> bool,
    ) -> Result<Option<DnsRecord>> {
        let newest = PageRequest { cursor: None, limit: Some(100) };
        Ok(self.list(api, &newest).await?.items.into_iter().find(wanted))
    }
}

/// A DNS record.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Answer")]
pub struct DnsRecord {
    /// Stable id, which deletes it.
    pub id: String,
    /// Name below the domain; empty: the domain itself.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `TXT`, `MX`, ...
    #[serde(rename = "type")]
    pub record_type: String,
    /// What it holds.
    pub value: String,
    /// How long others may remember it.
    pub ttl_seconds: Option<u64>,
    /// Which of several mail servers goes first: the lowest.
    pub priority: Option<u64>,
    /// What it is for.
    pub comment: Option<String>,
    /// When it was created.
    pub created_at: Option<At>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Answer {
    id: String,
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    value: String,
    #[serde(default)]
    ttl: Option<u64>,
    #[serde(default)]
    mx_priority: Option<u64>,
    #[serde(default)]
    priority: Option<u64>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    created_at: Option<At>,
}

impl From<Answer> for DnsRecord {
    fn from(answer: Answer) -> Self {
        Self {
            id: answer.id,
            name: answer.name,
            record_type: answer.record_type,
            value: answer.value,
            ttl_seconds: answer.ttl,
            priority: answer.mx_priority.or(answer.priority),
            comment: answer.comment,
            created_at: answer.created_at,
        }
    }
}

/// Lists the DNS records of a domain that Vercel serves, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDnsRecords {
    #[serde(flatten)]
    at: Zone,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDnsRecords {
    const NAME: &'static str = "list_dns_records";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["DNS entries at Vercel", "A, CNAME and MX records in Vercel DNS", "show Vercel DNS"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAIN_READ;
    type Output = Page<DnsRecord>;

    async fn run(self, api: &Api) -> Result<Page<DnsRecord>> {
        self.at.list(api, &self.page).await
    }
}

/// Types of records that can be created.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum RecordType {
    A,
    Aaaa,
    Alias,
    Caa,
    Cname,
    Https,
    Mx,
    Ns,
    Srv,
    Txt,
}

/// Creates a DNS record at Vercel; the whole internet sees it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateDnsRecord {
    #[serde(flatten)]
    at: Zone,
    /// Such as `www`; `@`: the domain itself.
    name: String,
    #[serde(rename = "type")]
    record_type: RecordType,
    /// Of SRV and HTTPS the target.
    value: String,
    /// Default 60.
    #[schemars(range(min = 60, max = 2_147_483_647))]
    ttl_seconds: Option<u64>,
    /// Lowest first; needed for MX, SRV and HTTPS.
    #[schemars(range(min = 0, max = 65_535))]
    priority: Option<u64>,
    /// Of SRV.
    #[schemars(range(min = 0, max = 65_535))]
    weight: Option<u64>,
    /// Of SRV.
    #[schemars(range(min = 0, max = 65_535))]
    port: Option<u64>,
    /// Of HTTPS, such as `alpn=h2`.
    params: Option<String>,
    comment: Option<String>,
}

/// A record that was created.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CreatedRecord {
    /// Its id, which deletes it.
    id: String,
    /// The domain.
    domain: String,
    /// Name below the domain; empty: the domain itself.
    name: String,
}

impl Action for CreateDnsRecord {
    const NAME: &'static str = "create_dns_record";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "add a DNS entry at Vercel",
        "new CNAME, A or TXT record in Vercel DNS",
        "subdomain in Vercel DNS",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAIN_WRITE;
    type Output = CreatedRecord;

    async fn run(self, api: &Api) -> Result<CreatedRecord> {
        #[derive(Deserialize)]
        struct Created {
            uid: String,
        }
        let fields = self.fields()?;
        // https://vercel.com/docs/rest-api/dns/create-a-dns-record
        let created: Created = self
            .at
            .scope
            .on(api, api.post("/v2/domains/{}/records", &[&self.at.domain]))
            .fields(Value::Object(fields))
            .send_or_find(async || {
                let found = self.at.find(api, |record| self.is(record)).await?;
                Ok(found.map(|record| Created { uid: record.id }))
            })
            .await?;
        let id = created.uid;
        Ok(CreatedRecord { id, name: self.relative_name().to_owned(), domain: self.at.domain })
    }
}

impl CreateDnsRecord {
    fn relative_name(&self) -> &str {
        if self.name == "@" { "" } else { &self.name }
    }

    /// Whether this is the wanted record, as far as all types tell it alike.
    fn is(&self, record: &DnsRecord) -> bool {
        let wanted = serde_json::to_value(self.record_type).ok();
        record.name == self.relative_name()
            && wanted.as_ref().and_then(Value::as_str) == Some(record.record_type.as_str())
            && record.value.trim_end_matches('.') == self.value.trim_end_matches('.')
    }

    fn fields(&self) -> Result<Map<String, Value>> {
        let needed = |name: &'static str, value: Option<u64>| {
            value.ok_or_else(|| {
                Error::invalid(
                    name,
                    format!(
                        "invalid input: a record of this type needs `{name}`. Nothing was sent."
                    ),
                )
            })
        };
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", self.relative_name().into());
        set("type", json!(self.record_type));
        set("ttl", json!(self.ttl_seconds));
        set("comment", json!(self.comment));
        match self.record_type {
            RecordType::Srv => {
                let priority = needed("priority", self.priority)?;
                let weight = needed("weight", self.weight)?;
                let port = needed("port", self.port)?;
                let target = &self.value;
                set(
                    "srv",
                    json!({"priority": priority, "weight": weight, "port": port, "target": target}),
                );
            }
            RecordType::Https => {
                let priority = needed("priority", self.priority)?;
                let https = match &self.params {
                    Some(params) => {
                        json!({"priority": priority, "target": self.value, "params": params})
                    }
                    None => json!({"priority": priority, "target": self.value}),
                };
                set("https", https);
            }
            RecordType::Mx => {
                set("value", self.value.as_str().into());
                set("mxPriority", needed("priority", self.priority)?.into());
            }
            _ => {
                set("value", self.value.as_str().into());
            }
        }
        Ok(fields)
    }
}

/// Deletes a DNS record at Vercel. The `record` it returns can be created again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteDnsRecord {
    #[serde(flatten)]
    at: Zone,
    /// From `list_dns_records`.
    record_id: String,
}

/// A record that is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeletedRecord {
    /// Its id.
    record_id: String,
    /// The record as it was.
    record: DnsRecord,
}

impl Action for DeleteDnsRecord {
    const NAME: &'static str = "delete_dns_record";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "remove a DNS entry at Vercel",
        "delete a CNAME, A or TXT record in Vercel DNS",
        "clean up DNS at Vercel",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAIN_WRITE;
    type Output = DeletedRecord;

    async fn run(self, api: &Api) -> Result<DeletedRecord> {
        // First: what nobody could tell any more is not deleted.
        let read = || self.at.record(api, &self.record_id);
        let record = read().await?;
        let path = "/v2/domains/{}/records/{}";
        // https://vercel.com/docs/rest-api/dns/delete-a-dns-record
        self.at
            .scope
            .on(api, api.delete(path, &[&self.at.domain, &self.record_id]))
            .send_or_gone(read)
            .await?;
        Ok(DeletedRecord { record_id: self.record_id, record })
    }
}

#[cfg(test)]
#[path = "dns_records/tests.rs"]
mod tests;
