//! A secret that would be noticed wherever it shows, in every form in which it could be written down.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// The ways in which a secret could show.
pub struct Canary(Vec<(&'static str, Vec<u8>)>);

impl Canary {
    /// Of a secret of at least 24 bytes. A cut at either end does not hide it.
    pub fn new(secret: &str) -> Self {
        let middle = &secret[8..secret.len() - 8];
        let quoted = |text: &str| {
            let json = serde_json::to_string(text).unwrap();
            json[1..json.len() - 1].to_owned()
        };
        let json = quoted(middle);
        let mut ways = Self::of_bytes(middle.as_bytes()).0;
        ways.extend([
            ("JSON in JSON", quoted(&json).into_bytes()),
            ("JSON", json.into_bytes()),
            ("HTML", middle.replace('&', "&amp;").replace('<', "&lt;").into_bytes()),
            ("URL", middle.bytes().map(|byte| escaped(byte, false)).collect::<String>().into()),
            ("URL", middle.bytes().map(|byte| escaped(byte, true)).collect::<String>().into()),
            (
                "escaped UTF-16",
                middle.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<String>().into(),
            ),
        ]);
        Self(ways)
    }

    /// Of a secret that is no text.
    pub fn of_bytes(secret: &[u8]) -> Self {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut ways = vec![
            ("raw", secret.to_vec()),
            ("hexadecimal", hex.to_uppercase().into_bytes()),
            ("hexadecimal", hex.into_bytes()),
            ("UTF-16", secret.iter().flat_map(|byte| [*byte, 0]).collect()),
            ("UTF-16", secret.iter().flat_map(|byte| [0, *byte]).collect()),
        ];
        // What stands before it shifts base64 by none, one or two bytes.
        for shift in 0..3 {
            let shifted = [&b"\0\0"[..shift], secret].concat();
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(&shifted);
                ways.push(("base64", text.as_bytes()[4..text.len() - 4].to_vec()));
            }
        }
        Self(ways)
    }

    /// All forms.
    pub fn forms(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|(_, form)| form.as_slice())
    }

    /// As what it is in there.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        self.0.iter().find(|(_, form)| memmem::find(bytes, form).is_some()).map(|(way, _)| *way)
    }

    /// Fails if the secret is in `place`.
    #[track_caller]
    pub fn is_not_in(&self, place: &str, bytes: &[u8]) {
        if let Some(way) = self.found_in(bytes) {
            panic!("the secret is in {place}, as {way}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

fn escaped(byte: u8, lower: bool) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else if lower {
        format!("%{byte:02x}")
    } else {
        format!("%{byte:02X}")
    }
}

#[test]
fn b3_a_canary_is_found_in_every_form() {
    let secret = "canary-of-a-test+7/of?the\"tests&long=enough%to<be>found";
    let canary = Canary::new(secret);
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for form in [
        format!("token={secret};").into_bytes(),
        STANDARD_NO_PAD.encode(format!("user:{secret}")).into_bytes(),
        URL_SAFE_NO_PAD.encode(format!("user1:{secret}")).into_bytes(),
        serde_json::to_vec(&[secret]).unwrap(),
        serde_json::to_vec(&serde_json::to_string(&[secret]).unwrap()).unwrap(),
        secret.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes(),
        utf16,
    ] {
        assert!(canary.found_in(&form).is_some(), "{}", String::from_utf8_lossy(&form));
    }
    assert_eq!(canary.found_in(b"canary-of-another"), None);
}
