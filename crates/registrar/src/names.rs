//! Names of domains and of records inside them, checked and brought to the one form in which
//! registrars, name servers and comparisons know them.

use resto_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A domain that can be registered, such as `example.com`: lower case, in Punycode.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl DomainName {
    /// Checks and normalises a name as people write it.
    ///
    /// # Errors
    /// No registrar has such a name; the sentence says why.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(
                "domain",
                format!(
                    "invalid input: `{text}` is not a domain name: {why}. Write it as `example.com`. Nothing was sent."
                ),
            )
        };
        let trimmed = text.trim();
        let ascii = idna::domain_to_ascii_strict(trimmed.strip_suffix('.').unwrap_or(trimmed))
            .map_err(|_| wrong("it has characters or lengths that domain names cannot have"))?;
        let Some((name, ending)) = ascii.split_once('.') else {
            return Err(wrong("its ending is missing"));
        };
        if ascii.len() > 253 || name.is_empty() || ending.split('.').any(str::is_empty) {
            return Err(wrong("it is too long, or a part of it is empty"));
        }
        if ending.rsplit('.').next().is_none_or(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Err(wrong("it is an address"));
        }
        Ok(Self(ascii))
    }

    /// In Punycode, lower case.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the first dot.
    pub(crate) fn ending(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, ending)| ending)
    }

    /// As people read it, where that differs.
    pub(crate) fn unicode(&self) -> Option<String> {
        Some(idna::domain_to_unicode(&self.0).0).filter(|text| *text != self.0)
    }

    /// The name of a record relative to this domain: `@` for the domain itself. A full name that
    /// ends with the domain is taken too.
    ///
    /// # Errors
    /// No record can have this name.
    pub(crate) fn relative(&self, text: &str) -> Result<String> {
        let lower = text.trim().trim_end_matches('.').to_lowercase();
        if lower.is_empty() || lower == "@" {
            return Ok("@".to_owned());
        }
        let name = host(&lower).ok_or_else(|| {
            Error::invalid(
                "name",
                format!("invalid input: `{text}` cannot be the name of a record. Write `www`, `_dmarc`, `*` or `@` for the domain itself."),
            )
        })?;
        if name == self.0 {
            return Ok("@".to_owned());
        }
        let below = name.strip_suffix(&self.0).and_then(|rest| rest.strip_suffix('.'));
        Ok(below.unwrap_or(&name).to_owned())
    }

    /// The full name of a record.
    pub(crate) fn full(&self, relative: &str) -> String {
        if relative == "@" { self.0.clone() } else { format!("{relative}.{}", self.0) }
    }
}

impl TryFrom<String> for DomainName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0
    }
}

impl std::fmt::Display for DomainName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host name in lower case and Punycode, without the final dot; labels may hold `_`, and the first
/// may be `*`. `None` where it cannot be one.
pub(crate) fn host(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('.').to_lowercase();
    let mut labels = Vec::new();
    for (index, label) in text.split('.').enumerate() {
        let ascii = if label.is_ascii() {
            label.to_owned()
        } else {
            idna::domain_to_ascii_strict(label).ok()?
        };
        let fits = (index == 0 && ascii == "*")
            || (!ascii.is_empty()
                && ascii.len() <= 63
                && !ascii.starts_with('-')
                && !ascii.ends_with('-')
                && ascii.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        if !fits {
            return None;
        }
        labels.push(ascii);
    }
    let name = labels.join(".");
    (name.len() <= 253).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brings_domain_names_to_one_form() {
        for (text, name) in [
            ("Example.COM", "example.com"),
            (" shop.example.co.uk. ", "shop.example.co.uk"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("例え.jp", "xn--r8jz45g.jp"),
        ] {
            assert_eq!(DomainName::new(text).unwrap().as_str(), name);
        }
        let name = DomainName::new("BÜCHER.example").unwrap();
        assert_eq!(name.unicode().as_deref(), Some("bücher.example"));
        assert_eq!(DomainName::new("a.example").unwrap().unicode(), None);
        assert_eq!(DomainName::new("a.co.uk").unwrap().ending(), "co.uk");
    }

    #[test]
    fn refuses_what_is_no_domain_name() {
        let long = format!("{}.com", "a".repeat(64));
        for text in [
            "",
            ".",
            "com",
            ".com",
            "a..com",
            "a_b.com",
            "-a.com",
            "a-.com",
            "a b.com",
            "http://a.com",
            "a.com/x",
            "a.com:80",
            "10.0.0.1",
            "a@b.com",
            "a.com?x",
            "a\u{202e}.com",
            "%2e.com",
            &long,
        ] {
            assert!(DomainName::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_records_relative_to_their_domain() {
        let domain = DomainName::new("example.com").unwrap();
        for (text, name) in [
            ("", "@"),
            ("@", "@"),
            ("example.com.", "@"),
            ("WWW", "www"),
            ("www.example.com", "www"),
            ("_dmarc", "_dmarc"),
            ("s1._domainkey.Example.com", "s1._domainkey"),
            ("*", "*"),
            ("*.app", "*.app"),
            ("notexample.com", "notexample.com"),
            ("grün", "xn--grn-ioa"),
        ] {
            assert_eq!(domain.relative(text).unwrap(), name, "{text}");
        }
        for bad in ["a b", "a..b", "www.*", "-a", "a/b"] {
            assert!(domain.relative(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            (domain.full("@").as_str(), domain.full("www").as_str()),
            ("example.com", "www.example.com")
        );
    }
}
