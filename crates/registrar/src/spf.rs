//! SPF records (RFC 7208): a domain has one, so that services are added to the one that is there.

/// The most look-ups that receivers make (RFC 7208, section 4.6.4).
pub(crate) const MAX_LOOKUPS: usize = 10;

/// One record that allows what the existing ones allow, and these terms too. Its end is that of the
/// first existing record that has one; `~all` if none has.
pub(crate) fn merged(existing: &[&str], terms: &[&str]) -> String {
    let mut allowed: Vec<&str> = Vec::new();
    let mut end = None;
    let given = existing.iter().flat_map(|record| record.split_whitespace().skip(1));
    for term in given.chain(terms.iter().copied()) {
        if is_end(term) {
            end = end.or(Some(term));
        } else if !allowed.iter().any(|other| other.eq_ignore_ascii_case(term)) {
            allowed.push(term);
        }
    }
    let mut parts = vec!["v=spf1"];
    parts.extend(allowed);
    parts.push(end.unwrap_or("~all"));
    parts.join(" ")
}

/// How many look-ups the record itself asks for; what it includes may ask for more.
pub(crate) fn lookups(record: &str) -> usize {
    record
        .split_whitespace()
        .filter(|term| {
            let bare = term.trim_start_matches(['+', '-', '~', '?']).to_ascii_lowercase();
            let name = bare.split([':', '/', '=']).next().unwrap_or_default();
            matches!(name, "include" | "a" | "mx" | "ptr" | "exists" | "redirect")
        })
        .count()
}

/// Whether a term decides about everybody else.
fn is_end(term: &str) -> bool {
    let lower = term.to_ascii_lowercase();
    lower.trim_start_matches(['+', '-', '~', '?']) == "all" || lower.starts_with("redirect=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_a_service_to_the_record_that_is_there() {
        let google = ["include:_spf.google.com"];
        assert_eq!(merged(&[], &google), "v=spf1 include:_spf.google.com ~all");
        assert_eq!(
            merged(&["v=spf1 ip4:192.0.2.1 include:mail.example -all"], &google),
            "v=spf1 ip4:192.0.2.1 include:mail.example include:_spf.google.com -all"
        );
        assert_eq!(
            merged(&["v=spf1 include:_SPF.google.com ~all"], &google),
            "v=spf1 include:_SPF.google.com ~all"
        );
    }

    #[test]
    fn makes_one_record_of_several() {
        assert_eq!(
            merged(&["v=spf1 mx ~all", "v=spf1 a mx -all"], &["include:x.example"]),
            "v=spf1 mx a include:x.example ~all"
        );
        assert_eq!(
            merged(&["v=spf1 redirect=_spf.example"], &["include:x.example"]),
            "v=spf1 include:x.example redirect=_spf.example"
        );
        assert_eq!(merged(&[], &["-all"]), "v=spf1 -all");
    }

    #[test]
    fn counts_what_receivers_look_up() {
        assert_eq!(
            lookups("v=spf1 a mx:x.example/24 +include:y ip4:192.0.2.1 exists:z ?ptr -all"),
            5
        );
        assert_eq!(lookups("v=spf1 ip6:2001:db8::/32 redirect=_spf.example"), 1);
    }
}
