//! Whether the audit trail is what was written: every entry's mac, the place of each, and the anchors outside.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread::available_parallelism,
};

use sqlx::Row;
use subtle::ConstantTimeEq;
use tokio::task::{JoinSet, spawn_blocking};

use crate::{
    Anchor, Error, Result, TenantScope,
    chain::Covered,
    database::{Tx, on},
    keyring::{AuditKey, hex},
    timestamp::Timestamp,
};

pub(crate) mod lines;
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
/// How many entries are read at a time.
const PAGE: i64 = 2000;
/// A part of a trail is at least this long, so that short trails are read at once.
const SHORTEST: i64 = 20_000;
/// More at once would take the connections from others.
const MOST_PARTS: usize = 4;

const PAGE_TEXT: &str = "
    SELECT prev_mac, seq, id, phase, intent_id, integration_id, action, params_hash, result_status, executed_at,
        duration_ms, error_message, actor, op_id, generation, key_id, mac
    FROM integration_audit_log WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4";

/// What was found in a part of the trail.
#[derive(Default)]
struct Part {
    events: u64,
    problems: Vec<Problem>,
    /// The first entry, with the mac that it follows, if that can be read.
    first: Option<(i64, Option<Vec<u8>>)>,
    /// The last entry, with its mac, if that can be read.
    last: Option<(i64, Option<Vec<u8>>)>,
    confirmed: i64,
}

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
            let (scope, anchors) = (self.clone(), Arc::clone(&anchors));
            running.spawn(async move { (n, scope.part(after, until, &anchors).await) });
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
        if let Some(cut) = anchors.values().max_by_key(|anchor| anchor.seq)
            && cut.seq > end.0
        {
            let (from, to, at) = (end.0 + 1, cut.seq, cut.at);
            let what =
                format!("Entries {from} to {to} were cut off the end: {to} was there at {at}.");
            found.problems.push(Problem { seq: from, what });
        }
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

    /// Checks the entries after `after`, up to `until`, among themselves.
    async fn part(&self, after: i64, until: i64, anchors: &HashMap<i64, Anchor>) -> Result<Part> {
        let mut part = Part::default();
        let mut keys = Keys { scope: self, by_root: Vec::new() };
        let mut buffer = Vec::with_capacity(512);
        // A page begins with the entry that ended the one before, so that no other of its number lies between them.
        let again = AtomicI64::new(NONE);
        let mut check = |seq: i64, entry: Option<(Covered<'_>, &[u8])>| -> Result<()> {
            if again.swap(NONE, Ordering::Relaxed) == seq {
                return Ok(());
            }
            part.events += 1;
            let prev_mac = entry.map(|(entry, _)| entry.prev_mac);
            match &part.last {
                None => part.first = Some((seq, prev_mac.map(<[u8]>::to_vec))),
                Some((last, last_mac)) => {
                    part.problems.extend(follows((*last, last_mac.as_deref()), seq, prev_mac));
                }
            }
            let (last, last_mac) = part.last.get_or_insert_default();
            *last = seq;
            let Some((entry, mac)) = entry else {
                *last_mac = None;
                let what = "It holds what no version of this program wrote.".into();
                part.problems.push(Problem { seq, what });
                return Ok(());
            };
            // It grows once and is reused.
            let last_mac = last_mac.get_or_insert_default();
            last_mac.clear();
            last_mac.extend_from_slice(mac);
            let what = match keys.of(entry.key_id)? {
                None => Some(format!(
                    "It was made with an unknown root key, {}, and cannot be checked.",
                    entry.key_id
                )),
                Some(key) => {
                    let expected = entry.mac(self.tenant.0, key, &mut buffer);
                    let whole = bool::from(expected.as_slice().ct_eq(mac));
                    (!whole).then(|| "It was changed, or not written by this program.".into())
                }
            };
            part.problems.extend(what.map(|what| Problem { seq, what }));
            match anchors.get(&seq) {
                Some(anchor) if anchor.mac == hex(mac) => part.confirmed = seq,
                Some(anchor) => {
                    let what = format!("It is not the entry that was there at {}.", anchor.at);
                    part.problems.push(Problem { seq, what });
                }
                None => {}
            }
            Ok(())
        };
        let mut tx = self.read().await?;
        let mut ended = None;
        loop {
            let place = (ended.map_or(after, |ended: i64| ended - 1), until);
            let is_more = |read: &i64| ended.is_none_or(|ended| *read > ended);
            again.store(ended.unwrap_or(NONE), Ordering::Relaxed);
            let mut read = lines::page(self, &mut tx, place, &mut check).await?.filter(is_more);
            if read.is_none() {
                again.store(ended.unwrap_or(NONE), Ordering::Relaxed);
                read = self.page(&mut tx, place, &mut check).await?.filter(is_more);
            }
            match read {
                Some(last) => ended = Some(last),
                None => break,
            }
        }
        part.problems.dedup();
        Ok(part)
    }

    /// Gives each entry of a page, with its mac, without a copy of it; returns the last one's place.
    async fn page(
        &self,
        tx: &mut Tx,
        (after, until): (i64, i64),
        mut each: impl FnMut(i64, Option<(Covered<'_>, &[u8])>) -> Result<()>,
    ) -> Result<Option<i64>> {
        let mut last = None;
        on!(tx, c => {
            let rows = sqlx::query(PAGE_TEXT).bind(self.tenant.0).bind(after).bind(until).bind(PAGE).fetch_all(c).await?;
            for row in &rows {
                let read = || -> sqlx::Result<_> {
                    let entry = Covered {
                        prev_mac: row.try_get(0)?,
                        seq: row.try_get(1)?,
                        id: row.try_get(2)?,
                        phase: row.try_get(3)?,
                        intent_id: row.try_get(4)?,
                        integration_id: row.try_get(5)?,
                        action: row.try_get(6)?,
                        params_hash: row.try_get::<Option<&str>, _>(7)?.unwrap_or_default(),
                        result_status: row.try_get(8)?,
                        executed_at: row.try_get::<Timestamp, _>(9)?,
                        duration_ms: row.try_get(10)?,
                        error_message: row.try_get(11)?,
                        actor: row.try_get(12)?,
                        op_id: row.try_get(13)?,
                        generation: row.try_get(14)?,
                        key_id: row.try_get(15)?,
                    };
                    Ok((entry, row.try_get::<&[u8], _>(16)?))
                };
                let seq = row.try_get(1)?;
                last = Some(seq);
                each(seq, read().ok())?;
            }
        });
        Ok(last)
    }
}

/// The keys of the root keys that entries name, each derived once.
struct Keys<'a> {
    scope: &'a TenantScope,
    by_root: Vec<(String, Option<AuditKey>)>,
}

impl Keys<'_> {
    fn of(&mut self, root_id: &str) -> Result<Option<&AuditKey>> {
        let known = self.by_root.iter().position(|(id, _)| id == root_id);
        let place = match known {
            Some(place) => place,
            None => {
                let key = self.scope.keyring().audit_key_by(root_id, self.scope.tenant.0)?;
                self.by_root.push((root_id.to_owned(), key));
                self.by_root.len() - 1
            }
        };
        Ok(self.by_root.get(place).and_then(|(_, key)| key.as_ref()))
    }
}

/// What is wrong between two neighbours. A mac that cannot be read is wrong already.
fn follows(
    (last, last_mac): (i64, Option<&[u8]>),
    seq: i64,
    prev_mac: Option<&[u8]>,
) -> Option<Problem> {
    let what = if seq <= last {
        "It is there more than once.".into()
    } else if seq != last + 1 {
        format!("Entries {} to {} are missing.", last + 1, seq - 1)
    } else if last_mac.zip(prev_mac).is_some_and(|(last, prev)| last != prev) {
        "It does not follow the entry before it.".into()
    } else {
        return None;
    };
    Some(Problem { seq, what })
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
