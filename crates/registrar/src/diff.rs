//! The difference between a zone and the zone that is wanted, as the fewest changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::zone::DnsRecord;

/// A record that becomes another of the same name and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// As it is.
    pub before: DnsRecord,
    /// As it will be.
    pub after: DnsRecord,
}

/// What to do to a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// New records.
    pub create: Vec<DnsRecord>,
    /// Records that become others.
    pub replace: Vec<Replacement>,
    /// Records that go.
    pub delete: Vec<DnsRecord>,
}

impl Diff {
    /// The changes that remove and add these records. What is there already stays, even if it is to
    /// be removed; a record that goes while one of the same name and kind comes is replaced in place.
    pub(crate) fn between(zone: &[DnsRecord], remove: &[DnsRecord], add: &[DnsRecord]) -> Self {
        let mut diff = Self::default();
        for wanted in add {
            if diff.create.iter().any(|created| created.says(wanted)) {
                continue;
            }
            match zone.iter().find(|record| record.says(wanted)) {
                None => diff.create.push(wanted.clone()),
                Some(found) if wanted.differs_from(found) => {
                    let after = DnsRecord {
                        ttl_seconds: wanted.ttl_seconds.or(found.ttl_seconds),
                        proxied: wanted.proxied.or(found.proxied),
                        ..wanted.clone()
                    };
                    diff.replace.push(Replacement { before: found.clone(), after });
                }
                Some(_) => {}
            }
        }
        for record in zone {
            let goes = remove.iter().any(|gone| gone.says(record))
                && !add.iter().any(|wanted| wanted.says(record));
            if !goes {
                continue;
            }
            let heir = diff
                .create
                .iter()
                .position(|new| new.name == record.name && new.kind == record.kind);
            match heir {
                Some(at) => {
                    let after = diff.create.remove(at);
                    diff.replace.push(Replacement { before: record.clone(), after });
                }
                None => diff.delete.push(record.clone()),
            }
        }
        diff
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.create.is_empty() && self.replace.is_empty() && self.delete.is_empty()
    }

    /// How many changes it is.
    pub(crate) fn len(&self) -> usize {
        self.create.len() + self.replace.len() + self.delete.len()
    }

    /// The records that come.
    pub(crate) fn added(&self) -> Vec<DnsRecord> {
        self.create.iter().chain(self.replace.iter().map(|pair| &pair.after)).cloned().collect()
    }

    /// The records that go.
    pub(crate) fn removed(&self) -> Vec<DnsRecord> {
        self.delete.iter().chain(self.replace.iter().map(|pair| &pair.before)).cloned().collect()
    }

    /// The zone after the changes.
    pub(crate) fn after(&self, zone: &[DnsRecord]) -> Vec<DnsRecord> {
        let removed = self.removed();
        let mut after: Vec<DnsRecord> = zone
            .iter()
            .filter(|record| !removed.iter().any(|gone| gone.says(record)))
            .cloned()
            .collect();
        after.extend(self.added());
        after
    }

    /// Whether the zone is still as it was when the changes were planned: what goes is there, what
    /// comes is not.
    pub(crate) fn still_fits(&self, zone: &[DnsRecord]) -> bool {
        let has = |record: &DnsRecord| zone.iter().any(|found| found.says(record));
        let changed_in_place =
            |after: &DnsRecord| self.replace.iter().any(|pair| pair.before.says(after));
        self.removed().iter().all(has)
            && self.added().iter().all(|record| !has(record) || changed_in_place(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> DnsRecord {
        let parts: Vec<&str> = line.split(' ').collect();
        DnsRecord {
            name: parts[0].into(),
            kind: parts[1].into(),
            content: parts[2].into(),
            ttl_seconds: parts.get(3).map(|ttl| ttl.parse().unwrap()),
            priority: None,
            proxied: None,
        }
    }

    fn records(lines: &[&str]) -> Vec<DnsRecord> {
        lines.iter().map(|line| record(line)).collect()
    }

    fn between(zone: &[&str], remove: &[&str], add: &[&str]) -> Diff {
        Diff::between(&records(zone), &records(remove), &records(add))
    }

    #[test]
    fn leaves_what_is_there_alone() {
        let zone = ["@ A 192.0.2.1 300", "www CNAME example.com 300"];
        assert!(between(&zone, &[], &["@ A 192.0.2.1", "www CNAME example.com 300"]).is_empty());
        assert!(between(&zone, &["@ A 192.0.2.1"], &["@ A 192.0.2.1"]).is_empty());
        assert!(between(&zone, &["gone A 192.0.2.9"], &[]).is_empty());
    }

    #[test]
    fn replaces_in_place_what_is_of_the_same_name_and_kind() {
        let diff = between(
            &["@ A 192.0.2.1", "@ A 192.0.2.2", "@ TXT old"],
            &["@ A 192.0.2.1", "@ A 192.0.2.2", "@ TXT old"],
            &["@ A 192.0.2.3"],
        );
        let pair = Replacement { before: record("@ A 192.0.2.1"), after: record("@ A 192.0.2.3") };
        assert_eq!(diff.replace, [pair]);
        assert_eq!(diff.delete, records(&["@ A 192.0.2.2", "@ TXT old"]));
        assert!(diff.create.is_empty());
    }

    #[test]
    fn another_kind_is_deleted_and_created() {
        let diff = between(&["www A 192.0.2.1"], &["www A 192.0.2.1"], &["www CNAME h.example"]);
        assert_eq!(
            (diff.delete, diff.create),
            (records(&["www A 192.0.2.1"]), records(&["www CNAME h.example"]))
        );
    }

    #[test]
    fn a_new_time_changes_the_record_that_is_there() {
        let diff = between(&["@ A 192.0.2.1 300"], &[], &["@ A 192.0.2.1 600"]);
        assert_eq!(diff.replace[0].after.ttl_seconds, Some(600));
        assert_eq!(
            (diff.len(), diff.after(&records(&["@ A 192.0.2.1 300"]))),
            (1, records(&["@ A 192.0.2.1 600"]))
        );
        assert!(diff.still_fits(&records(&["@ A 192.0.2.1 300"])));
    }

    #[test]
    fn asks_for_each_record_once() {
        assert_eq!(between(&[], &[], &["a TXT x", "a TXT x"]).create.len(), 1);
    }

    #[test]
    fn foresees_the_zone() {
        let zone = records(&["@ A 192.0.2.1", "www A 192.0.2.1", "keep TXT x"]);
        let diff = Diff::between(
            &zone,
            &records(&["@ A 192.0.2.1", "www A 192.0.2.1"]),
            &records(&["@ A 192.0.2.2"]),
        );
        assert_eq!(diff.after(&zone), records(&["keep TXT x", "@ A 192.0.2.2"]));
    }

    #[test]
    fn notices_that_the_zone_has_changed_since() {
        let zone = records(&["@ A 192.0.2.1"]);
        let diff = Diff::between(&zone, &zone, &records(&["@ A 192.0.2.2"]));
        assert!(diff.still_fits(&zone));
        assert!(!diff.still_fits(&records(&["@ A 192.0.2.9"])));
        assert!(!diff.still_fits(&records(&["@ A 192.0.2.1", "@ A 192.0.2.2"])));
        assert!(diff.still_fits(&records(&["@ A 192.0.2.1", "new TXT elsewhere"])));
    }
}
