//! What would break if a zone looked so: judged on the zone as it will be, and only where it is
//! touched.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::DomainName;
use crate::zone::{DnsRecord, Rules};

/// A reason not to change the DNS like this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// Which rule it breaks, such as `cname_at_apex` or `two_spf`.
    pub rule: String,
    /// The name at which it is.
    pub name: String,
    /// What is wrong, and what to do.
    pub explanation: String,
}

/// The rules that the zone `after` breaks at the names of `added` records.
pub(crate) fn conflicts(
    domain: &DomainName,
    after: &[DnsRecord],
    added: &[DnsRecord],
    rules: &Rules,
) -> Vec<Conflict> {
    let mut names: Vec<&str> = added.iter().map(|record| record.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let here: Vec<&DnsRecord> = after.iter().filter(|record| record.name == name).collect();
        let new: Vec<&DnsRecord> = added.iter().filter(|record| record.name == name).collect();
        let mut tell = |rule: &str, explanation: String| {
            found.push(Conflict { rule: rule.to_owned(), name: name.to_owned(), explanation });
        };
        for (rule, explanation) in aliases(name, &here, rules) {
            tell(rule, explanation);
        }
        for (rule, starts, what) in [
            ("two_spf", "v=spf1", "SPF records"),
            ("two_dmarc", "v=DMARC1", "DMARC records"),
            ("two_dkim", "v=DKIM1", "DKIM keys"),
        ] {
            let texts: Vec<&DnsRecord> =
                here.iter().copied().filter(|record| policy(record, starts)).collect();
            if texts.len() > 1 {
                tell(
                    rule,
                    format!(
                        "There would be several {what}, and receivers then heed none: {}. Keep one.",
                        lines(&texts)
                    ),
                );
            }
        }
        for (rule, explanation) in mail(domain, &here, &new, after) {
            tell(rule, explanation);
        }
        let delegated = here.iter().any(|record| record.kind == "NS");
        if name != "@" && delegated && here.iter().any(|record| record.kind != "NS") {
            tell(
                "delegation_beside_others",
                format!(
                    "NS records hand `{name}` over to other name servers, so the records beside them have no effect."
                ),
            );
        }
    }
    found
}

/// Whether a text is a policy of this kind. Keys of policies are case-insensitive.
pub(crate) fn policy(record: &DnsRecord, starts: &str) -> bool {
    let start = record.content.get(..starts.len()).unwrap_or_default();
    let next = record.content.get(starts.len()..).and_then(|rest| rest.chars().next());
    record.kind == "TXT"
        && start.eq_ignore_ascii_case(starts)
        && next.is_none_or(|c| c == ' ' || c == ';')
}

/// A name that stands for another one stands alone (RFC 1034, section 3.6.2).
fn aliases(name: &str, here: &[&DnsRecord], rules: &Rules) -> Vec<(&'static str, String)> {
    let of = |kind: &str| here.iter().filter(|record| record.kind == kind).count();
    let addresses = of("A") + of("AAAA");
    let mut found = Vec::new();
    if of("CNAME") > 0 && name == "@" {
        if !rules.flattens {
            found.push(("cname_at_apex", "The domain itself cannot be a CNAME: it has other records. Ask for an ALIAS record, or for A records.".to_owned()));
        } else if addresses > 0 || of("CNAME") > 1 {
            found.push((
                "cname_beside_others",
                format!("The domain itself would have several targets: {}. Keep one.", lines(here)),
            ));
        }
    } else if of("CNAME") > 0 && here.len() > 1 {
        found.push(("cname_beside_others", format!("`{name}` would be a CNAME and have other records, which is not allowed: {}. Remove all but one.", lines(here))));
    }
    if of("ALIAS") > 1 || (of("ALIAS") > 0 && addresses > 0) {
        found.push((
            "alias_beside_others",
            format!(
                "`{name}` would have several targets: {}. Keep the ALIAS alone, or the addresses.",
                lines(here)
            ),
        ));
    }
    found
}

fn mail(
    domain: &DomainName,
    here: &[&DnsRecord],
    new: &[&DnsRecord],
    after: &[DnsRecord],
) -> Vec<(&'static str, String)> {
    let servers: Vec<&DnsRecord> =
        here.iter().copied().filter(|record| record.kind == "MX").collect();
    let is_new = |record: &DnsRecord| new.iter().any(|added| added.says(record));
    let mut found = Vec::new();
    if !servers.iter().any(|record| is_new(record)) {
        return found;
    }
    let null = servers.iter().any(|record| record.content == ".");
    if null && servers.len() > 1 {
        found.push(("mx_clash", format!("One MX record says that there is no mail here, others name servers: {}. Remove the one or the others.", lines(&servers))));
    } else if let Some((old, fresh)) =
        servers.iter().filter(|record| !is_new(record)).find_map(|old| {
            let other = |fresh: &&&DnsRecord| is_new(fresh) && service(fresh) != service(old);
            Some((old, servers.iter().find(other)?))
        })
    {
        found.push(("mx_clash", format!("Mail would go to two services, {} and {}, and some of it to the wrong one. Remove the MX records of the old one.", old.content, fresh.content)));
    }
    for record in servers.iter().filter(|record| is_new(record)) {
        if record.content.parse::<IpAddr>().is_ok() {
            found.push((
                "mx_to_address",
                format!(
                    "The mail server `{}` is an address; an MX record names a host.",
                    record.content
                ),
            ));
        }
        let alias = after
            .iter()
            .any(|other| other.kind == "CNAME" && domain.full(&other.name) == record.content);
        if alias {
            found.push(("mx_to_cname", format!("The mail server `{}` is a CNAME, which many senders refuse. Name the host that it stands for.", record.content)));
        }
    }
    found
}

/// Whose mail service a server belongs to, by the domain that it is in.
fn service(record: &DnsRecord) -> &str {
    let name = record.content.as_str();
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let base = match (dots.next(), dots.next()) {
        (Some(_), Some(second)) => name.get(second + 1..).unwrap_or(name),
        _ => name,
    };
    // Google's older mail servers are in two domains.
    if base == "googlemail.com" { "google.com" } else { base }
}

fn lines(records: &[&DnsRecord]) -> String {
    records.iter().map(|record| record.line()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { flattens: false, kinds: &[], min_ttl: 300, default_ttl: None };

    /// `name kind content`, an MX with its priority behind.
    fn records(lines: &[&str]) -> Vec<DnsRecord> {
        lines
            .iter()
            .map(|line| {
                let mut parts = line.splitn(3, ' ').map(str::to_owned);
                let mut part = || parts.next().unwrap();
                let (name, kind, content) = (part(), part(), part());
                let priority = (kind == "MX").then_some(10);
                DnsRecord { name, kind, content, ttl_seconds: None, priority, proxied: None }
            })
            .collect()
    }

    /// The rules that are broken when `added` comes to `kept`.
    fn broken(kept: &[&str], added: &[&str], rules: &Rules) -> Vec<String> {
        let domain = DomainName::new("example.com").unwrap();
        let (mut after, added) = (records(kept), records(added));
        after.extend(added.clone());
        conflicts(&domain, &after, &added, rules)
            .into_iter()
            .map(|conflict| conflict.rule)
            .collect()
    }

    #[test]
    fn lets_ordinary_zones_be() {
        let kept = [
            "@ A 192.0.2.1",
            "@ TXT v=spf1 -all",
            "@ MX mx1.mail.example",
            "www CNAME example.com",
            "old TXT x",
        ];
        for added in [
            &["@ TXT verification=1", "@ A 192.0.2.2"][..],
            &["@ MX mx2.mail.example"],
            &["_dmarc TXT v=DMARC1; p=none"],
            &["blog CNAME host.example.net", "*.app A 192.0.2.3"],
            &["sub NS ns1.example.net", "sub NS ns2.example.net"],
        ] {
            assert_eq!(broken(&kept, added, &RULES), [""; 0], "{added:?}");
        }
    }

    #[test]
    fn a_cname_stands_alone() {
        let flattening = Rules { flattens: true, ..RULES };
        assert_eq!(broken(&[], &["@ CNAME h.example"], &RULES), ["cname_at_apex"]);
        assert_eq!(broken(&["@ MX m.example"], &["@ CNAME h.example"], &flattening), [""; 0]);
        assert_eq!(
            broken(&["@ A 192.0.2.1"], &["@ CNAME h.example"], &flattening),
            ["cname_beside_others"]
        );
        assert_eq!(
            broken(&["www A 192.0.2.1"], &["www CNAME h.example"], &RULES),
            ["cname_beside_others"]
        );
        assert_eq!(
            broken(&["www CNAME g.example"], &["www CNAME h.example"], &RULES),
            ["cname_beside_others"]
        );
        assert_eq!(
            broken(&["www CNAME g.example"], &["www TXT hello"], &RULES),
            ["cname_beside_others"]
        );
        assert_eq!(
            broken(&["@ A 192.0.2.1"], &["@ ALIAS h.example"], &RULES),
            ["alias_beside_others"]
        );
        assert_eq!(broken(&["@ TXT x"], &["@ ALIAS h.example"], &RULES), [""; 0]);
    }

    #[test]
    fn one_policy_of_each_kind_is_enough() {
        assert_eq!(broken(&["@ TXT v=spf1 -all"], &["@ TXT V=SPF1 ~all"], &RULES), ["two_spf"]);
        assert_eq!(
            broken(&["_dmarc TXT v=DMARC1; p=none"], &["_dmarc TXT v=DMARC1;p=reject"], &RULES),
            ["two_dmarc"]
        );
        assert_eq!(
            broken(&["k._domainkey TXT v=DKIM1; p=a"], &["k._domainkey TXT v=DKIM1; p=b"], &RULES),
            ["two_dkim"]
        );
        assert_eq!(broken(&["@ TXT v=spf10 x"], &["@ TXT v=spf1 -all"], &RULES), [""; 0]);
        assert_eq!(broken(&["sub TXT v=spf1 -all"], &["@ TXT v=spf1 -all"], &RULES), [""; 0]);
    }

    #[test]
    fn mail_goes_to_one_service() {
        let google = ["@ MX aspmx.l.google.com"];
        assert_eq!(
            broken(&google, &["@ MX acme.mail.protection.outlook.com"], &RULES),
            ["mx_clash"]
        );
        assert_eq!(broken(&google, &["@ MX aspmx2.googlemail.com"], &RULES), [""; 0]);
        assert_eq!(broken(&google, &["@ MX ."], &RULES), ["mx_clash"]);
        assert_eq!(broken(&[], &["@ MX a.one.example", "@ MX b.two.example"], &RULES), [""; 0]);
        assert_eq!(broken(&[], &["@ MX 192.0.2.1"], &RULES), ["mx_to_address"]);
        assert_eq!(
            broken(&["mail CNAME h.example"], &["@ MX mail.example.com"], &RULES),
            ["mx_to_cname"]
        );
        assert_eq!(broken(&["mail A 192.0.2.1"], &["@ MX mail.example.com"], &RULES), [""; 0]);
    }

    #[test]
    fn a_part_that_is_handed_over_has_no_records_here() {
        assert_eq!(
            broken(&["sub A 192.0.2.1"], &["sub NS ns.example.net"], &RULES),
            ["delegation_beside_others"]
        );
    }

    #[test]
    fn judges_only_what_is_touched() {
        let broken_before =
            ["@ TXT v=spf1 -all", "@ TXT v=spf1 ~all", "www CNAME a.example", "www A 192.0.2.1"];
        assert_eq!(broken(&broken_before, &["blog A 192.0.2.2"], &RULES), [""; 0]);
    }
}
