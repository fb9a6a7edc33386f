//! Addresses of people: read from headers that anybody may have written, and checked before they
//! stand in a header of ours.

use mail_parser::{Address, MessageParser};
use resto_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mailbox {
    /// Name, as its owner or the sender wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Such as `ada@example.com`.
    pub email: String,
}

impl Mailbox {
    /// The mailboxes of a parsed header, those of groups included.
    pub(crate) fn list(address: Option<&Address<'_>>) -> Vec<Self> {
        let all = address.into_iter().flat_map(Address::iter);
        all.filter_map(|one| {
            let name = one.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
            let email = one.address.as_deref()?.trim().to_owned();
            Some(Self { name: name.map(str::to_owned), email })
        })
        .collect()
    }

    /// Reads one of ours: `ada@example.com`, or `Ada <ada@example.com>`.
    pub(crate) fn read(field: &str, text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            Error::invalid(
                field,
                format!("invalid input: `{field}` holds `{shown}`, which {why}. Nothing was sent."),
            )
        };
        plain(field, text)?;
        let header = format!("To: {text}\r\n\r\n");
        let parsed = MessageParser::default().parse_headers(header.as_bytes());
        let found = Self::list(parsed.as_ref().and_then(|message| message.to()));
        match <[Self; 1]>::try_from(found) {
            Ok([one]) if is_address(&one.email) => Ok(one),
            Ok(_) => {
                Err(wrong("is no address such as `ada@example.com` or `Ada <ada@example.com>`"))
            }
            Err(_) => Err(wrong("is not exactly one address; give each its own entry")),
        }
    }

    /// As somebody else wrote it, without what has no place in a header of ours; `None` where it is
    /// no address at all.
    pub(crate) fn trusted(&self) -> Option<Self> {
        is_address(&self.email).then(|| Self {
            name: self.name.as_deref().map(defused).filter(|name| !name.is_empty()),
            email: self.email.clone(),
        })
    }

    pub(crate) fn is(&self, email: &str) -> bool {
        self.email.eq_ignore_ascii_case(email)
    }

    /// As people write it.
    pub(crate) fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} <{}>", self.email),
            None => self.email.clone(),
        }
    }
}

/// Whether it is an address that can stand between `<` and `>`: a plain local part and a host name
/// (RFC 5321, without quoted and international forms, which Gmail does not send to).
fn is_address(email: &str) -> bool {
    let Some((local, host)) = email.split_once('@') else { return false };
    let dotted = |text: &str, allowed: fn(u8) -> bool| {
        text.split('.').all(|part| !part.is_empty() && part.bytes().all(allowed))
    };
    email.len() <= 254
        && dotted(local, |c| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c))
        && dotted(host, |c| c.is_ascii_alphanumeric() || c == b'-')
}

/// Refuses what could become another header, or read as one after decoding.
///
/// # Errors
/// The text of this field holds a control character or the beginning of an encoded word.
pub(crate) fn plain(field: &str, text: &str) -> Result<()> {
    let why = if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        "holds a line break or another control character"
    } else if text.contains("=?") {
        "holds `=?`, which begins an encoded word; write the characters themselves"
    } else if text.len() > 998 {
        "is longer than 998 bytes"
    } else {
        return Ok(());
    };
    Err(Error::invalid(field, format!("invalid input: `{field}` {why}. Nothing was sent.")))
}

/// Somebody else's text, so that [`plain`] accepts it.
pub(crate) fn defused(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .take(240)
        .collect();
    spaced.replace("=?", "= ?").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_address_with_and_without_a_name() {
        for (text, name, email) in [
            ("ada@example.com", None, "ada@example.com"),
            ("<ada@example.com>", None, "ada@example.com"),
            ("Ada <ada@example.com>", Some("Ada"), "ada@example.com"),
            (
                "\"Lovelace, Ada\" <ada+x@mail.example.com>",
                Some("Lovelace, Ada"),
                "ada+x@mail.example.com",
            ),
            ("Adá Łovelace <ada@example.com>", Some("Adá Łovelace"), "ada@example.com"),
        ] {
            let read = Mailbox::read("to", text).unwrap();
            assert_eq!((read.name.as_deref(), read.email.as_str()), (name, email), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_exactly_one_address() {
        for text in [
            "",
            "Ada",
            "ada@",
            "@example.com",
            "ada@exa mple.com",
            "ada@example..com",
            "ada@@example.com",
            "ada@exämple.com",
            "a@example.com, b@example.com",
            "a@example.com; b@example.com",
            "x <evil@example.net>, Ada <ada@example.com>",
            "friends: a@example.com, b@example.com;",
            "\"ada lovelace\"@example.com",
            "Ada <ada@example.com> <evil@example.net>",
        ] {
            let error = Mailbox::read("to", text).unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("to"), "{text}: {error}");
        }
    }

    #[test]
    fn refuses_line_breaks_control_characters_and_encoded_words() {
        for text in [
            "ada@example.com\r\nBcc: evil@example.net",
            "ada@example.com\nBcc: evil@example.net",
            "ada@example.com\rBcc: evil@example.net",
            "Ada\0 <ada@example.com>",
            "Ada\u{2028}Bcc: evil@example.net <ada@example.com>",
            "=?utf-8?B?DQpCY2M6IGV2aWxAZXhhbXBsZS5uZXQ=?= <ada@example.com>",
        ] {
            assert!(Mailbox::read("to", text).is_err(), "{text:?}");
            assert!(plain("subject", text).is_err(), "{text:?}");
            assert!(plain("subject", &defused(text)).is_ok(), "{text:?}");
        }
        assert!(plain("subject", &"x".repeat(999)).is_err());
    }

    #[test]
    fn keeps_of_a_strangers_address_what_can_stand_in_a_header() {
        let evil = Mailbox { name: Some("Ada\r\nBcc: x".into()), email: "ada@example.com".into() };
        assert_eq!(evil.trusted().unwrap().name.unwrap(), "Ada  Bcc: x");
        let none = Mailbox { name: None, email: "ada@example.com>, <evil@example.net".into() };
        assert_eq!(none.trusted(), None);
    }
}
