//! A part of a trail: what its entries are checked for, one after the other.

use std::{collections::HashMap, sync::Arc};

use subtle::ConstantTimeEq;

use super::Problem;
use crate::{
    Anchor, Result, TenantScope,
    chain::Covered,
    keyring::{AuditKey, hex},
};

/// What was found in a part of the trail.
#[derive(Default)]
pub(super) struct Part {
    pub(super) events: u64,
    pub(super) problems: Vec<Problem>,
    /// The first entry, with the mac that it follows, if that can be read.
    pub(super) first: Option<(i64, Option<Vec<u8>>)>,
    /// The last entry, with its mac, if that can be read.
    pub(super) last: Option<(i64, Option<Vec<u8>>)>,
    /// The last entry that an anchor confirms.
    pub(super) confirmed: i64,
}

/// Checks entries in their order, among themselves and against the anchors.
pub(super) struct Check {
    pub(super) scope: TenantScope,
    anchors: Arc<HashMap<i64, Anchor>>,
    keys: Keys,
    buffer: Vec<u8>,
    part: Part,
}

impl Check {
    pub(super) fn new(scope: TenantScope, anchors: Arc<HashMap<i64, Anchor>>) -> Self {
        let buffer = Vec::with_capacity(512);
        Self { scope, anchors, keys: Keys::default(), buffer, part: Part::default() }
    }

    /// The next entry with its mac. `None`: it cannot be read.
    pub(super) fn entry(&mut self, seq: i64, entry: Option<&(Covered<'_>, &[u8])>) -> Result<()> {
        let part = &mut self.part;
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
        let what = match self.keys.of(&self.scope, entry.key_id)? {
            None => Some(format!(
                "It was made with an unknown root key, {}, and cannot be checked.",
                entry.key_id
            )),
            Some(key) => {
                let expected = entry.mac(self.scope.tenant.0, key, &mut self.buffer);
                let whole = bool::from(expected.as_slice().ct_eq(mac));
                (!whole).then(|| "It was changed, or not written by this program.".into())
            }
        };
        part.problems.extend(what.map(|what| Problem { seq, what }));
        match self.anchors.get(&seq) {
            Some(anchor) if anchor.mac == hex(mac) => part.confirmed = seq,
            Some(anchor) => {
                let what = format!("It is not the entry that was there at {}.", anchor.at);
                part.problems.push(Problem { seq, what });
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn done(mut self) -> Part {
        self.part.problems.dedup();
        self.part
    }
}

/// The keys of the root keys that entries name, each derived once.
#[derive(Default)]
struct Keys {
    by_root: Vec<(String, Option<AuditKey>)>,
}

impl Keys {
    fn of(&mut self, scope: &TenantScope, root_id: &str) -> Result<Option<&AuditKey>> {
        let known = self.by_root.iter().position(|(id, _)| id == root_id);
        let place = match known {
            Some(place) => place,
            None => {
                let key = scope.keyring().audit_key_by(root_id, scope.tenant.0)?;
                self.by_root.push((root_id.to_owned(), key));
                self.by_root.len() - 1
            }
        };
        Ok(self.by_root.get(place).and_then(|(_, key)| key.as_ref()))
    }
}

/// What is wrong between two neighbours. A mac that cannot be read is wrong already.
pub(super) fn follows(
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
