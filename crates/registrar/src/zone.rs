//! DNS records in one form, whichever provider they come from, so that they can be compared.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use resto_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{DomainName, host};

/// The longest content of a record, in bytes.
const MAX_CONTENT: usize = 4096;

/// A DNS record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsRecord {
    /// Relative to the domain; `@` is the domain itself.
    pub name: String,
    /// Such as `A`, `MX` or `TXT`; `ALIAS` points the domain itself to another name.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says: an address, a name, a text.
    pub content: String,
    /// How long others may remember it; absent where the provider decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// Of MX and SRV records; the lowest is tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Whether visitors reach it through Cloudflare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxied: Option<bool>,
}

impl DnsRecord {
    /// Whether both say the same, however long it is remembered.
    pub fn says(&self, other: &Self) -> bool {
        self.name == other.name
            && self.kind == other.kind
            && self.content == other.content
            && self.priority.unwrap_or(0) == other.priority.unwrap_or(0)
    }

    /// Whether this one, wanted, asks for what the other lacks. What it leaves open fits.
    pub fn differs_from(&self, other: &Self) -> bool {
        let differs = |wanted: Option<u32>, found: Option<u32>| wanted.is_some() && wanted != found;
        differs(self.ttl_seconds, other.ttl_seconds)
            || differs(self.proxied.map(u32::from), other.proxied.map(u32::from))
    }

    /// Whether the registrar itself keeps it.
    pub fn is_kept_by_registrar(&self) -> bool {
        self.kind == "SOA" || (self.kind == "NS" && self.name == "@")
    }

    /// The record in one line, for sentences.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.name, self.kind, self.content)
    }
}

/// A record and the id under which its provider knows it.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub id: String,
    pub record: DnsRecord,
}

/// What a provider's DNS can do.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Whether a CNAME may stand at the domain itself, because the provider resolves it.
    pub flattens: bool,
    /// The kinds of records that can be written.
    pub kinds: &'static [&'static str],
    /// The least that `ttl_seconds` may be.
    pub min_ttl: u32,
    /// Taken where none is given; `None` leaves it to the provider.
    pub default_ttl: Option<u32>,
}

/// The kinds of records that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name for the domain itself.
    Alias,
    /// Another name.
    Cname,
    /// A mail server.
    Mx,
    /// A text.
    Txt,
    /// A name server of a part.
    Ns,
    /// A service: `weight port target`.
    Srv,
    /// Who may issue certificates: `0 issue "example.org"`.
    Caa,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Alias => "ALIAS",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Ns => "NS",
            Self::Srv => "SRV",
            Self::Caa => "CAA",
        }
    }
}

/// A record that is asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct NewRecord {
    /// Such as `www`; `@`: the domain itself.
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    /// Of SRV `weight port target`, of CAA `0 issue "ca.example"`.
    content: String,
    /// Of MX and SRV; lowest first.
    priority: Option<u16>,
    #[schemars(range(min = 60, max = 86400))]
    ttl_seconds: Option<u32>,
}

impl NewRecord {
    /// A record that we ask for ourselves.
    pub(crate) fn new(name: &str, kind: Kind, content: &str, priority: Option<u16>) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            content: content.to_owned(),
            priority,
            ttl_seconds: None,
        }
    }

    /// Checks it, and brings it to the one form.
    ///
    /// # Errors
    /// It cannot be such a record, or not at this provider.
    pub(crate) fn check(&self, domain: &DomainName, rules: &Rules) -> Result<DnsRecord> {
        let name = domain.relative(&self.name)?;
        let mut kind = self.kind.as_str();
        let wrong = |why: &str| {
            Error::invalid(
                "content",
                format!(
                    "invalid input: `{}` cannot be the content of the {kind} record `{name}`: {why}. Nothing was changed.",
                    self.content
                ),
            )
        };
        let content = checked(kind, &self.content).map_err(wrong)?;
        if self.kind == Kind::Ns && name == "@" {
            return Err(Error::invalid(
                "type",
                "invalid input: the name servers of the domain itself are set with set_nameservers. Nothing was changed.",
            ));
        }
        if matches!(self.kind, Kind::Mx | Kind::Srv) != self.priority.is_some() {
            return Err(Error::invalid(
                "priority",
                format!(
                    "invalid input: MX and SRV records have a `priority`, others have none; see `{name} {kind}`. Nothing was changed."
                ),
            ));
        }
        if self.kind == Kind::Alias && rules.flattens {
            kind = Kind::Cname.as_str();
        }
        if !rules.kinds.contains(&kind) {
            return Err(Error::invalid(
                "type",
                format!(
                    "invalid input: the DNS of this registrar has no {kind} records; it has {}. Nothing was changed.",
                    rules.kinds.join(", ")
                ),
            ));
        }
        Ok(DnsRecord {
            name,
            kind: kind.to_owned(),
            content,
            ttl_seconds: self.ttl_seconds.map(|ttl| ttl.max(rules.min_ttl)),
            priority: self.priority,
            proxied: None,
        })
    }
}

/// Content that is asked for, in its one form.
fn checked(kind: &str, content: &str) -> Result<String, &'static str> {
    let content = content.trim();
    if content.is_empty() || content.len() > MAX_CONTENT || content.chars().any(char::is_control) {
        return Err("it is empty, too long, or has control characters");
    }
    let name = |text: &str| host(text).filter(|name| !name.starts_with('*'));
    let fits = match kind {
        "A" => content.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => content.parse::<Ipv6Addr>().is_ok(),
        // A single dot says that there is none (RFC 7505).
        "MX" if content == "." => true,
        "ALIAS" | "CNAME" | "MX" | "NS" => name(content).is_some(),
        "SRV" => {
            let parts: Vec<&str> = content.split_whitespace().collect();
            matches!(parts.as_slice(), [weight, port, target]
                if weight.parse::<u16>().is_ok() && port.parse::<u16>().is_ok()
                    && (*target == "." || name(target).is_some()))
        }
        "CAA" => {
            let parts: Vec<&str> = content.splitn(3, ' ').collect();
            matches!(parts.as_slice(), [flags, tag, _]
                if flags.parse::<u8>().is_ok() && tag.bytes().all(|b| b.is_ascii_alphanumeric()))
        }
        _ => true,
    };
    if fits {
        Ok(canonical(kind, content))
    } else {
        Err("it is not of the form that this kind has")
    }
}

/// Content in its one form: addresses and names as the standards write them, texts without quotes.
pub(crate) fn canonical(kind: &str, content: &str) -> String {
    let content = content.trim();
    let name = |text: &str| host(text).unwrap_or_else(|| text.to_lowercase());
    match kind {
        "A" | "AAAA" => {
            content.parse::<IpAddr>().map_or_else(|_| content.to_owned(), |ip| ip.to_string())
        }
        "MX" if content.is_empty() => ".".to_owned(),
        "ALIAS" | "CNAME" | "MX" | "NS" | "PTR" => name(content),
        "SRV" => content.split_whitespace().map(name).collect::<Vec<_>>().join(" "),
        "CAA" => {
            let mut parts = content.splitn(3, ' ');
            let (flags, tag) = (parts.next().unwrap_or("0"), parts.next().unwrap_or_default());
            let value = parts.next().unwrap_or_default().trim().trim_matches('"');
            format!("{flags} {} \"{value}\"", tag.to_lowercase())
        }
        "TXT" => unquoted(content),
        _ => content.to_owned(),
    }
}

/// A text without the quotes around its parts, as zone files write it (RFC 1035, section 5.1).
fn unquoted(content: &str) -> String {
    if !(content.len() > 1 && content.starts_with('"') && content.ends_with('"')) {
        return content.to_owned();
    }
    let mut text = String::with_capacity(content.len());
    let (mut inside, mut escaped) = (false, false);
    for c in content.chars() {
        match c {
            _ if escaped => {
                text.push(c);
                escaped = false;
            }
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ if inside => text.push(c),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const RULES: Rules = Rules {
        flattens: false,
        kinds: &["A", "AAAA", "ALIAS", "CNAME", "MX", "NS", "SRV", "TXT"],
        min_ttl: 300,
        default_ttl: Some(3600),
    };

    fn check(record: Value, rules: &Rules) -> Result<DnsRecord> {
        let record: NewRecord = serde_json::from_value(record).unwrap();
        record.check(&DomainName::new("example.com").unwrap(), rules)
    }

    #[test]
    fn brings_contents_to_one_form() {
        for (kind, content, form) in [
            ("AAAA", "2001:0DB8:0::1", "2001:db8::1"),
            ("CNAME", "Target.Example.NET.", "target.example.net"),
            ("MX", ".", "."),
            ("MX", "", "."),
            ("SRV", "5  5060 Sip.Example.com.", "5 5060 sip.example.com"),
            ("CAA", "0 Issue letsencrypt.org", "0 issue \"letsencrypt.org\""),
            ("CAA", "0 issue \"letsencrypt.org\"", "0 issue \"letsencrypt.org\""),
            ("TXT", "\"v=spf1 \" \"-all\"", "v=spf1 -all"),
            ("TXT", r#""say \"hi\"""#, "say \"hi\""),
            ("TXT", "Plain; Text", "Plain; Text"),
            ("TLSA", "3 1 1 AB", "3 1 1 AB"),
        ] {
            assert_eq!(canonical(kind, content), form, "{kind} {content}");
        }
    }

    #[test]
    fn refuses_contents_of_another_kind() {
        for (kind, content) in [
            ("A", "2001:db8::1"),
            ("A", "example.com"),
            ("AAAA", "10.0.0.1"),
            ("CNAME", "https://example.com/"),
            ("CNAME", "*.example.com"),
            ("TXT", ""),
            ("TXT", "a\u{0}b"),
        ] {
            let error =
                check(json!({"name": "x", "type": kind, "content": content}), &RULES).unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("content"), "{kind} {content}");
        }
        for record in [
            json!({"name": "x", "type": "SRV", "content": "sip.example.com", "priority": 1}),
            json!({"name": "x", "type": "MX", "content": "mx.example.com"}),
            json!({"name": "x", "type": "A", "content": "192.0.2.1", "priority": 1}),
            json!({"name": "@", "type": "NS", "content": "ns1.example.net"}),
            json!({"name": "x", "type": "CAA", "content": "0 issue \"a.example\""}),
            json!({"name": "a b", "type": "A", "content": "192.0.2.1"}),
        ] {
            assert!(check(record.clone(), &RULES).is_err(), "{record}");
        }
    }

    #[test]
    fn an_alias_is_a_cname_where_the_provider_resolves_it() {
        let alias = json!({"name": "@", "type": "ALIAS", "content": "host.example.net"});
        let flattening = Rules { flattens: true, ..RULES };
        assert_eq!(check(alias.clone(), &flattening).unwrap().kind, "CNAME");
        assert_eq!(check(alias, &RULES).unwrap().kind, "ALIAS");
    }

    #[test]
    fn keeps_to_the_least_time_of_the_provider() {
        let record = json!({"name": "x", "type": "A", "content": "192.0.2.1", "ttl_seconds": 60});
        assert_eq!(check(record, &RULES).unwrap().ttl_seconds, Some(300));
    }
}
