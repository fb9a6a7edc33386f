//! Plans of DNS changes: what would come and go, and what would break. Only a plan can be applied.

#[cfg(test)]
mod tests;

use std::time::Duration;

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::changes::DnsChange;
use crate::conflicts::conflicts;
use crate::contract::registrar;
use crate::diff::Diff;
use crate::kept::{self, Owner, mark};
use crate::names::DomainName;
use crate::permissions::DNS_READ;
use crate::zone::{DnsRecord, Kind, NewRecord, canonical};

/// The collection of the tenant's plans.
pub(crate) const PLANS: &str = "registrar_dns_plans";
/// How long a plan holds.
const HOLDS: Duration = Duration::from_hours(1);
/// The most records in one change.
const MAX: usize = 50;

/// What is kept of a plan.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub owner: Owner,
    pub domain: DomainName,
    pub diff: Diff,
}

/// Records that are to go.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Removal {
    /// As in `add`.
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    /// Default all of the name and type.
    content: Option<String>,
}

/// Plans a change of DNS records: shows what would come and go, and every conflict. Changes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PlanDnsChange {
    /// Such as `example.com`.
    domain: DomainName,
    /// What a new one replaces has to be in `remove`.
    #[serde(default)]
    add: Vec<NewRecord>,
    #[serde(default)]
    remove: Vec<Removal>,
}

impl Action for PlanDnsChange {
    const NAME: &'static str = "plan_dns_change";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "add or change a DNS record",
        "point a subdomain to a server",
        "add a TXT record",
        "what would a DNS change do",
        "what would happen if a record changed",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DNS_READ;
    type Output = DnsChange;

    async fn run(self, api: &Api) -> Result<DnsChange> {
        let registrar = registrar(api)?;
        let rules = &registrar.terms().dns;
        let add = checked(&self.add, &self.domain, rules)?;
        let live = registrar.zone(api, &self.domain).await?;
        let zone: Vec<DnsRecord> = live.into_iter().map(|live| live.record).collect();
        let (remove, missing) = removed(&self.domain, &zone, &self.remove)?;
        let diff = Diff::between(&zone, &remove, &add);
        let conflicts = conflicts(&self.domain, &diff.after(&zone), &diff.added(), rules);
        let mut notes = notes(&zone, &diff);
        notes.extend(missing);
        let mut plan_id = None;
        // What would break is shown, and cannot be applied.
        if conflicts.is_empty() && !diff.is_empty() {
            let id = format!("{}-{}", self.domain, mark(api));
            let plan =
                Plan { owner: Owner::of(api), domain: self.domain.clone(), diff: diff.clone() };
            kept::put(api, PLANS, &id, &plan, Some(HOLDS)).await?;
            plan_id = Some(id);
        }
        Ok(DnsChange {
            expires_in_seconds: plan_id.as_ref().map(|_| HOLDS.as_secs()),
            plan_id,
            conflicts,
            notes,
            ..DnsChange::new(self.domain, diff)
        })
    }
}

/// Records that are asked for, in the one form.
///
/// # Errors
/// One cannot be such a record, or they are too many.
pub(crate) fn checked(
    records: &[NewRecord],
    domain: &DomainName,
    rules: &crate::zone::Rules,
) -> Result<Vec<DnsRecord>> {
    if records.len() > MAX {
        return Err(Error::invalid(
            "add",
            format!("invalid input: one change takes {MAX} records at most. Nothing was changed."),
        ));
    }
    records.iter().map(|record| record.check(domain, rules)).collect()
}

/// The records of the zone that are to go, and a note on each wish that fits none.
fn removed(
    domain: &DomainName,
    zone: &[DnsRecord],
    removals: &[Removal],
) -> Result<(Vec<DnsRecord>, Vec<String>)> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for removal in removals {
        let name = domain.relative(&removal.name)?;
        let kind = removal.kind.as_str();
        let content = removal.content.as_ref().map(|content| canonical(kind, content));
        let fitting: Vec<&DnsRecord> = zone
            .iter()
            .filter(|record| record.name == name && record.kind == kind)
            .filter(|record| content.as_ref().is_none_or(|content| record.content == *content))
            .collect();
        if let Some(record) = fitting.iter().find(|record| record.is_kept_by_registrar()) {
            return Err(Error::invalid(
                "remove",
                format!(
                    "invalid input: `{}` belongs to the registrar; name servers are set with set_nameservers. Nothing was changed.",
                    record.line()
                ),
            ));
        }
        if fitting.is_empty() {
            missing.push(format!("There is no `{name} {kind}` record to remove that fits."));
        }
        found.extend(fitting.into_iter().cloned());
    }
    Ok((found, missing))
}

/// What is allowed, and may not be meant.
fn notes(zone: &[DnsRecord], diff: &Diff) -> Vec<String> {
    let removed = diff.removed();
    let mut notes = Vec::new();
    for added in diff.added().iter().filter(|record| matches!(record.kind.as_str(), "A" | "AAAA")) {
        let other = zone.iter().find(|record| {
            record.name == added.name
                && record.kind == added.kind
                && !record.says(added)
                && !removed.iter().any(|gone| gone.says(record))
        });
        if let Some(other) = other {
            notes.push(format!(
                "`{}` stays beside `{}`: visitors are spread over both.",
                other.line(),
                added.content
            ));
        }
    }
    notes
}
