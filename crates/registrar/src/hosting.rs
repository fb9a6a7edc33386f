//! The DNS of a domain's website: the records that the host asks for, in place of those that now
//! answer.

#[cfg(test)]
mod tests;

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::changes::{DnsChange, records, set_up};
use crate::contract::registrar;
use crate::names::DomainName;
use crate::permissions::DNS_WRITE;
use crate::plans::checked;
use crate::zone::{DnsRecord, NewRecord};

/// Points a domain to a website's host with the records that the host asks for, after a snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetUpHostingDns {
    /// Such as `example.com`.
    domain: DomainName,
    /// As the host's domain settings show them.
    records: Vec<NewRecord>,
    /// Addresses and CNAMEs of these names; never MX or TXT.
    #[serde(default)]
    replace: bool,
}

impl Action for SetUpHostingDns {
    const NAME: &'static str = "set_up_hosting_dns";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "point the domain to the website",
        "connect the domain to Vercel hosting",
        "Domain mit Website verbinden",
        "relier le domaine au site",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DNS_WRITE;
    type Output = DnsChange;

    async fn run(self, api: &Api) -> Result<DnsChange> {
        let registrar = registrar(api)?;
        if self.records.is_empty() {
            return Err(Error::invalid(
                "records",
                "invalid input: `records` is empty. Nothing was changed.",
            ));
        }
        let add = checked(&self.records, &self.domain, &registrar.terms().dns)?;
        let live = registrar.zone(api, &self.domain).await?;
        let zone = records(&live);
        let old = in_the_way(&zone, &add);
        if self.replace || old.is_empty() {
            return set_up(api, self.domain, live, &old, &add).await;
        }
        Err(Error::new(
            Code::Conflict,
            format!(
                "Another website answers there: {}. Nothing was changed. If it is to go, ask again with `replace`.",
                old.iter().map(DnsRecord::line).collect::<Vec<_>>().join("; ")
            ),
        ))
    }
}

/// The records that now lead visitors elsewhere.
fn in_the_way(zone: &[DnsRecord], add: &[DnsRecord]) -> Vec<DnsRecord> {
    let leads =
        |record: &DnsRecord| matches!(record.kind.as_str(), "A" | "AAAA" | "CNAME" | "ALIAS");
    zone.iter()
        .filter(|old| leads(old))
        .filter(|old| add.iter().any(|new| leads(new) && new.name == old.name))
        .filter(|old| !add.iter().any(|new| new.says(old)))
        .cloned()
        .collect()
}
