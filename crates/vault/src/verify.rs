//! Whether the audit trail is what was written: every entry's mac, the place of each, and the anchors outside.

use std::{collections::HashMap, io, sync::Arc, thread::available_parallelism};

use entries::checked;
use part::{Check, follows};
use tokio::task::{JoinSet, spawn_blocking};

use crate::{Anchor, Error, Result, TenantScope, database::on};

mod entries;
mod part;
mod storage;

/// What [`TenantScope::verify_audit`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many entries were read.
    pub events: u64,
    /// The last entry that an anchor outside the database confirms; 0 where there is none.
    pub anchored: i64,
    /// What is wrong, by the entry; empty when the trail is whole.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry where it shows.
    pub seq: i64,
    /// What is wrong, in one sentence.
    pub what: String,
}

/// No entry has this number.
const NONE: i64 = 0;
/// A part of a trail is at least this long, so that short trails are read at once.
const SHORTEST: i64 = 1000;
/// More at once would take PostgreSQL's connections from others.
const MOST_PARTS: usize = 4;

impl TenantScope {
    /// Recomputes the whole chain and compares it with the anchors, if there are any. It finds changed, removed, added
    /// and moved entries; entries cut off the end only by an anchor, because nothing in the trail remembers them.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Invalid`] when the anchors cannot be read.
    pub async fn verify_audit(&self) -> Result<Verification> {
        // Read first: what is anchored later may lie beyond the end that is read now.
        let anchors = Arc::new(self.kept_anchors().await?);
        let mut tx = self.read().await?;
        let (first, last): (Option<i64>, Option<i64>) = on!(&mut tx, c => sqlx::query_as(
            "SELECT min(seq), max(seq) FROM integration_audit_log WHERE tenant_id = $1",
        ).bind(self.tenant.0).fetch_one(c).await)?;
        drop(tx);
        let (lowest, last) = (first.unwrap_or(1), last.unwrap_or(NONE));
        let first = lowest.max(1);
        let mut running = JoinSet::new();
        for (n, (after, until)) in parts(first - 1, last).into_iter().enumerate() {
            let check = Check::new(self.clone(), Arc::clone(&anchors));
            running.spawn(async move { (n, checked(check, (after, until)).await) });
        }
        let mut parts = running.join_all().await;
        parts.sort_by_key(|(n, _)| *n);

        let mut found = Verification { events: 0, anchored: 0, problems: Vec::new() };
        if lowest < first {
            found
                .problems
                .push(Problem { seq: lowest, what: "No entry has such a number.".into() });
        }
        let mut end = (NONE, Some(Vec::new()));
        for (_, part) in parts {
            let part = part?;
            found.events += part.events;
            found.anchored = found.anchored.max(part.confirmed);
            if let Some((seq, prev_mac)) = part.first {
                found.problems.extend(follows((end.0, end.1.as_deref()), seq, prev_mac.as_deref()));
            }
            found.problems.extend(part.problems);
            end = part.last.unwrap_or(end);
        }
        let from = end.0.saturating_add(1);
        let cut = anchors.values().max_by_key(|anchor| anchor.seq);
        let what = match cut.filter(|cut| cut.seq > end.0) {
            Some(Anchor { seq: to, at, .. }) => Some(format!(
                "Entries {from} to {to} were cut off the end: {to} was there at {at}."
            )),
            None if last > end.0 => Some(format!("Entries {from} to {last} are missing.")),
            None => None,
        };
        found.problems.extend(what.map(|what| Problem { seq: from, what }));
        Ok(found)
    }

    /// The anchors by their entries. Of two that disagree, the earlier one counts.
    async fn kept_anchors(&self) -> Result<HashMap<i64, Anchor>> {
        let Some(anchors) = self.vault.anchors() else {
            return Ok(HashMap::new());
        };
        let tenant = self.tenant;
        let kept = spawn_blocking(move || anchors.kept(tenant)).await;
        let mut kept = kept.map_err(io::Error::other).flatten().map_err(|error| {
            Error::Invalid(format!("The anchors of the audit trail cannot be read: {error}."))
        })?;
        kept.sort_by_key(|anchor| std::cmp::Reverse(anchor.at));
        Ok(kept.into_iter().map(|anchor| (anchor.seq, anchor)).collect())
    }
}

/// Splits the entries after `after`, up to `last`, into parts that are read side by side.
fn parts(after: i64, last: i64) -> Vec<(i64, i64)> {
    let cores = available_parallelism().map_or(1, usize::from).min(MOST_PARTS);
    let cores = i64::try_from(cores).unwrap_or(1);
    // Somebody may have added an entry of the highest number there is.
    let length = (last - after).div_euclid(cores).saturating_add(1).max(SHORTEST);
    let starts = (0..cores).map(|n| after.saturating_add(n.saturating_mul(length)));
    let starts = starts.take_while(|start| *start < last);
    starts.map(|start| (start, start.saturating_add(length).min(last))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f6_the_parts_of_a_trail_are_all_of_it_and_as_long_as_each_other() {
        let cores = i64::try_from(available_parallelism().unwrap().get().min(MOST_PARTS)).unwrap();
        for (after, last) in [(0, 0), (0, 1), (0, 1000), (0, 1001), (7000, 12_345), (0, i64::MAX)] {
            let parts = parts(after, last);
            let mut end = after;
            for (start, until) in &parts {
                assert_eq!(*start, end);
                assert!(
                    until > start && until - start <= ((last - after) / cores + 1).max(SHORTEST)
                );
                end = *until;
            }
            assert_eq!(end, last);
        }
        assert!(parts(5, 5).is_empty() && parts(0, SHORTEST).len() == 1);
    }
}
