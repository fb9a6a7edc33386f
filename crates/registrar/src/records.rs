//! The records of a domain's zone.

use resto_core::{Action, Api, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::contract::registrar;
use crate::names::DomainName;
use crate::permissions::DNS_READ;
use crate::zone::DnsRecord;

/// Lists the DNS records of a domain.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDnsRecords {
    /// Such as `example.com`.
    domain: DomainName,
    /// Such as `www`; `@`: the domain itself.
    name: Option<String>,
    /// Such as `MX`.
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDnsRecords {
    const NAME: &'static str = "list_dns_records";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "show DNS entries",
        "MX, TXT, CNAME and A records",
        "DNS-Einträge",
        "enregistrements DNS",
        "registros DNS",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DNS_READ;
    type Output = Page<DnsRecord>;

    async fn run(self, api: &Api) -> Result<Page<DnsRecord>> {
        let name = self.name.map(|name| self.domain.relative(&name)).transpose()?;
        let start: usize = match &self.page.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| {
                Error::invalid(
                    "cursor",
                    "invalid input: `cursor` is not a `next_cursor` of this list.",
                )
            })?,
        };
        let size = usize::try_from(self.page.size(100)).unwrap_or(100);
        let zone = registrar(api)?.zone(api, &self.domain).await?;
        let mut fitting = zone
            .into_iter()
            .map(|live| live.record)
            .filter(|record| name.as_ref().is_none_or(|name| record.name == *name))
            .filter(|record| {
                self.kind.as_ref().is_none_or(|kind| record.kind.eq_ignore_ascii_case(kind))
            })
            .skip(start);
        let items: Vec<DnsRecord> = fitting.by_ref().take(size).collect();
        let next_cursor = fitting.next().map(|_| (start + size).to_string());
        Ok(Page { items, next_cursor })
    }
}
