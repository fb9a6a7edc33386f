//! A browser of a person: it keeps its cookie, and sends the forms that pages hold.

use serde_json::Value;

use crate::product::{Product, Server};
use crate::wire::{Message, send};

/// A browser at one server.
pub struct Browser {
    /// The server's origin.
    pub origin: String,
    pub cookie: Option<String>,
}

impl Browser {
    /// One in which nobody is signed in.
    pub fn new(server: &Server<'_>) -> Self {
        Self { origin: server.url.trim_end_matches("/mcp").to_owned(), cookie: None }
    }

    /// One in which the owner of a tenant is signed in, with a link from the terminal.
    pub fn of(product: &Product, server: &Server<'_>, tenant: &str) -> Self {
        let mut browser = Self::new(server);
        let signed_in = browser.sign_in(&sign_in_code(product, tenant));
        assert_eq!(signed_in.status(), 303, "{signed_in:?}");
        browser
    }

    /// Sends the form of a sign-in page, and keeps the cookie.
    pub fn sign_in(&mut self, code: &str) -> Message {
        let answer = self.send("POST", "/sign-in", &[], &form(&[("code", code)]));
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }

    pub fn get(&self, path: &str) -> Message {
        self.send("GET", path, &[], "")
    }

    /// Sends a form as a page of this session holds it, with these fields.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Message {
        let csrf = self.csrf();
        let fields = [&[("csrf", csrf.as_str())], fields].concat();
        self.send("POST", path, &[("sec-fetch-site", "same-origin")], &form(&fields))
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Message {
        let mut headers = headers.to_vec();
        if let Some(cookie) = &self.cookie {
            headers.push(("cookie", cookie));
        }
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        send(method, &format!("{}{path}", self.origin), &headers, body)
    }

    /// What shows that a form is from a page of this session.
    pub fn csrf(&self) -> String {
        let page = self.get("/connect");
        between(&page.body, "name=\"csrf\" value=\"", "\"").to_owned()
    }

    /// Begins to consent, and tells where the browser is sent.
    pub fn consent(&self, integration: &str) -> Consent {
        let page = self.post(&format!("/connect/{integration}/oauth"), &[]);
        assert_eq!(page.status(), 200, "{page:?}");
        Consent(between(&page.body, "content=\"0; url=", "\"").replace("&amp;", "&"))
    }

    /// Comes back to the callback of an integration with this query.
    pub fn back(&self, integration: &str, query: &[(&str, &str)]) -> Message {
        self.get(&format!("/oauth/callback/{integration}?{}", form(query)))
    }
}

/// The address of a provider's page of consent.
pub struct Consent(pub String);

impl Consent {
    /// A parameter of its query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.0.split_once('?').unwrap().1;
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(decoded(value))
    }

    pub fn state(&self) -> String {
        self.parameter("state").expect("a state")
    }
}

/// The code of a sign-in link.
pub fn sign_in_code(product: &Product, tenant: &str) -> String {
    let printed: Value = product.json(&["--tenant", tenant, "sign-in", "--json"]);
    printed["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// Fields as a form and as a query.
pub fn form(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let escaped = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        });
        escaped.collect::<String>()
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

/// The value of a field of a form that was sent.
pub fn field(body: &str, name: &str) -> Option<String> {
    body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(decoded)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
pub fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} after {start} in {text}")).0
}
