//! Changing a zone: only as planned, after a snapshot that restores it.

#[cfg(test)]
mod tests;

use std::time::Duration;

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conflicts::{Conflict, conflicts};
use crate::contract::{Registrar, registrar};
use crate::diff::Diff;
use crate::kept::{self, Owner, mark};
use crate::names::DomainName;
use crate::permissions::DNS_WRITE;
use crate::plans::{PLANS, Plan};
use crate::zone::{DnsRecord, Live};

/// The collection of the tenant's snapshots.
const SNAPSHOTS: &str = "registrar_dns_snapshots";
/// How long a snapshot is kept: 90 days.
const KEPT: Duration = Duration::from_hours(90 * 24);

/// A change of DNS records, planned or made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DnsChange {
    /// The domain.
    pub domain: DomainName,
    /// Whether the zone is now so.
    pub applied: bool,
    /// Give it to `apply_dns_change`; absent where there is nothing to apply, or a conflict.
    pub plan_id: Option<String>,
    /// Seconds for which the plan holds.
    pub expires_in_seconds: Option<u64>,
    /// Give it to `restore_dns_snapshot` to undo the change, within 90 days.
    pub snapshot_id: Option<String>,
    /// What comes, changes and goes.
    pub diff: Diff,
    /// What would break. Nothing is changed while there is any.
    pub conflicts: Vec<Conflict>,
    /// What is allowed, and may not be meant.
    pub notes: Vec<String>,
}

impl DnsChange {
    /// A change that was not made.
    pub(crate) fn new(domain: DomainName, diff: Diff) -> Self {
        Self {
            domain,
            applied: false,
            plan_id: None,
            expires_in_seconds: None,
            snapshot_id: None,
            diff,
            conflicts: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// What is kept of a zone.
#[derive(Debug, Serialize, Deserialize)]
struct Snapshot {
    owner: Owner,
    domain: DomainName,
    records: Vec<DnsRecord>,
}

/// Applies a planned change of DNS records, after a snapshot that can undo it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ApplyDnsChange {
    /// At most an hour old.
    plan_id: String,
}

impl Action for ApplyDnsChange {
    const NAME: &'static str = "apply_dns_change";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["carry out a planned DNS change", "save the new records", "go ahead with the plan"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DNS_WRITE;
    type Output = DnsChange;

    async fn run(self, api: &Api) -> Result<DnsChange> {
        let plan: Plan = kept::take(api, PLANS, &self.plan_id).await?.ok_or_else(|| {
            Error::new(
                Code::Conflict,
                format!("The plan `{}` has expired or was applied. Nothing was changed. Plan anew with plan_dns_change.", self.plan_id),
            )
        })?;
        plan.owner.check(api, "plan")?;
        let registrar = registrar(api)?;
        let live = registrar.zone(api, &plan.domain).await?;
        let zone = records(&live);
        let fits = plan.diff.still_fits(&zone);
        let rules = &registrar.terms().dns;
        let broken = conflicts(&plan.domain, &plan.diff.after(&zone), &plan.diff.added(), rules);
        if !fits || !broken.is_empty() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "The DNS of {} was changed since it was planned. Nothing was changed now. Plan anew with plan_dns_change.",
                    plan.domain
                ),
            ));
        }
        apply(api, plan.domain, live, plan.diff).await
    }
}

/// Brings a domain's DNS records back to a snapshot, after a snapshot of how they are now.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RestoreDnsSnapshot {
    /// Of an earlier change.
    snapshot_id: String,
}

impl Action for RestoreDnsSnapshot {
    const NAME: &'static str = "restore_dns_snapshot";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["undo a DNS change", "go back to earlier DNS records", "DNS broken, restore"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DNS_WRITE;
    type Output = DnsChange;

    async fn run(self, api: &Api) -> Result<DnsChange> {
        let snapshot: Snapshot =
            kept::get(api, SNAPSHOTS, &self.snapshot_id).await?.ok_or_else(|| {
                Error::new(
                    Code::NotFound,
                    format!(
                        "There is no snapshot `{}`, or not any more. Nothing was changed.",
                        self.snapshot_id
                    ),
                )
            })?;
        snapshot.owner.check(api, "snapshot")?;
        let registrar = registrar(api)?;
        let live = registrar.zone(api, &snapshot.domain).await?;
        let kinds = registrar.terms().dns.kinds;
        // What we cannot write was not changed by us either.
        let ours = |record: &&DnsRecord| {
            kinds.contains(&record.kind.as_str()) && !record.is_kept_by_registrar()
        };
        let now: Vec<DnsRecord> =
            live.iter().map(|live| &live.record).filter(ours).cloned().collect();
        let wanted: Vec<DnsRecord> = snapshot.records.iter().filter(ours).cloned().collect();
        let diff = Diff::between(&now, &now, &wanted);
        apply(api, snapshot.domain, live, diff).await
    }
}

/// Changes the zone so that these records go and come, unless something would break: then it only
/// says what.
pub(crate) async fn set_up(
    api: &Api,
    domain: DomainName,
    live: Vec<Live>,
    remove: &[DnsRecord],
    add: &[DnsRecord],
) -> Result<DnsChange> {
    let zone = records(&live);
    let diff = Diff::between(&zone, remove, add);
    let rules = &registrar(api)?.terms().dns;
    let conflicts = conflicts(&domain, &diff.after(&zone), &diff.added(), rules);
    if !conflicts.is_empty() {
        return Ok(DnsChange { conflicts, ..DnsChange::new(domain, diff) });
    }
    apply(api, domain, live, diff).await
}

pub(crate) fn records(live: &[Live]) -> Vec<DnsRecord> {
    live.iter().map(|live| live.record.clone()).collect()
}

/// One step of a change.
enum Step<'a> {
    Replace(&'a DnsRecord, &'a DnsRecord),
    Delete(&'a DnsRecord),
    Create(&'a DnsRecord),
}

/// Makes the changes, after a snapshot of the zone as it is.
pub(crate) async fn apply(
    api: &Api,
    domain: DomainName,
    live: Vec<Live>,
    diff: Diff,
) -> Result<DnsChange> {
    if diff.is_empty() {
        return Ok(DnsChange { applied: true, ..DnsChange::new(domain, diff) });
    }
    let registrar = registrar(api)?;
    let snapshot_id = format!("{domain}-{}", mark(api));
    let snapshot =
        Snapshot { owner: Owner::of(api), domain: domain.clone(), records: records(&live) };
    kept::put(api, SNAPSHOTS, &snapshot_id, &snapshot, Some(KEPT)).await?;

    // What goes makes room for what comes: a CNAME is alone at its name.
    let replace = diff.replace.iter().map(|pair| Step::Replace(&pair.before, &pair.after));
    let delete = diff.delete.iter().map(Step::Delete);
    let create = diff.create.iter().map(Step::Create);
    let total = diff.len();
    for (done, step) in replace.chain(delete).chain(create).enumerate() {
        api.progress(done as u64, Some(total as u64), &step.said());
        if let Err(error) = take(api, registrar, &domain, &live, &step).await {
            let mut error = error;
            let details = error.details_mut();
            details.message = format!(
                "{} That was step {} of {total} ({}); those before it are made. To undo them: restore_dns_snapshot with `{snapshot_id}`.",
                details.message,
                done + 1,
                step.said()
            );
            return Err(error);
        }
    }
    Ok(DnsChange { applied: true, snapshot_id: Some(snapshot_id), ..DnsChange::new(domain, diff) })
}

impl Step<'_> {
    fn said(&self) -> String {
        match self {
            Self::Replace(before, after) => format!("{} becomes {}", before.line(), after.content),
            Self::Delete(record) => format!("{} goes", record.line()),
            Self::Create(record) => format!("{} comes", record.line()),
        }
    }

    /// Whether the zone shows that the step was made.
    fn shows_in(&self, zone: &[DnsRecord]) -> bool {
        let has = |record: &DnsRecord| {
            zone.iter().any(|found| found.says(record) && !record.differs_from(found))
        };
        match self {
            Self::Replace(_, after) => has(after),
            Self::Delete(record) => !has(record),
            Self::Create(record) => has(record),
        }
    }
}

async fn take(
    api: &Api,
    registrar: &dyn Registrar,
    domain: &DomainName,
    live: &[Live],
    step: &Step<'_>,
) -> Result<()> {
    let id = |record: &DnsRecord| {
        live.iter().find(|live| live.record.says(record)).map(|live| live.id.as_str()).ok_or_else(
            || {
                Error::new(
                    Code::Conflict,
                    format!("The record `{}` is not there any more.", record.line()),
                )
            },
        )
    };
    let taken = match step {
        Step::Replace(before, after) => {
            registrar.replace_record(api, domain, id(before)?, after).await
        }
        Step::Delete(record) => registrar.delete_record(api, domain, id(record)?).await,
        Step::Create(record) => registrar.create_record(api, domain, record).await,
    };
    match taken {
        // The answer was lost; the zone tells.
        Err(error) if error.code() == Code::UnknownOutcome => {
            let zone = records(&registrar.zone(api, domain).await.map_err(|_| error.clone())?);
            if step.shows_in(&zone) { Ok(()) } else { Err(error) }
        }
        other => other,
    }
}
