//! What a remote server asks a person, made safe to show: as its own words, plain and bounded, on no page but a safe one,
//! and never for a secret.

use resto_core::{Code, Error, Question, Result, Way, clean, is_loopback, is_public, quote};
use rmcp::model::ElicitRequestParams;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::discovery::is_safe;
use crate::approve::shown;

/// Characters of what it says, of what is chosen from, and of an address.
const MESSAGE: usize = 1_000;
const EXACT: usize = 200;
const ADDRESS: usize = 2_048;

/// Fields of a form, and choices in one.
const FIELDS: usize = 32;
const CHOICES: usize = 100;

/// What no form may ask for, whoever says so: such words betray it anywhere, and more of them where a field is named.
const SECRETS: [&str; 22] = [
    " password",
    " passwords",
    " passphrase",
    " passwd",
    " passcode",
    " api key",
    " apikey",
    " secret key",
    " private key",
    " access key",
    " access token",
    " bearer token",
    " seed phrase",
    " recovery phrase",
    " card number",
    " cvv",
    " cvc",
    " passwort",
    " kennwort",
    " mot de passe",
    " contraseña",
    " senha",
];
const NAMES: [&str; 12] = [
    " secret",
    " secrets",
    " token",
    " credential",
    " credentials",
    " pin",
    " otp",
    " pwd",
    " mnemonic",
    " iban",
    " security code",
    " verification code",
];

/// A question of a server, as its person may be shown it.
///
/// # Errors
/// It must not be shown; why.
pub(super) fn question(server: &str, base: &Url, asked: &ElicitRequestParams) -> Result<Question> {
    match asked {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            let words = line(message);
            let form = serde_json::to_value(requested_schema).unwrap_or_default();
            Ok(Question {
                message: format!("{server} asks: {words}"),
                way: Way::Form(form_of(&form, &words)?),
            })
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            let url = page(base, url)?;
            let host = url.host_str().unwrap_or_default();
            let message = format!(
                "{server} asks you to open a page of {host}: {url} It says: {}",
                line(message)
            );
            Ok(Question { message, way: Way::Page(url) })
        }
        _ => Err(refused("It asks in a way that this server does not know.")),
    }
}

/// What was asked, for whoever is told that it could not be.
pub(super) fn asked(asked: &ElicitRequestParams) -> String {
    match asked {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            let names: Vec<&str> =
                requested_schema.properties.keys().take(FIELDS).map(String::as_str).collect();
            format!("\u{201c}{}\u{201d} ({})", quote(message), quote(&names.join(", ")))
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            format!("\u{201c}{}\u{201d}, on the page {}", quote(message), quote(url))
        }
        _ => "something".to_owned(),
    }
}

/// What a person filled in, as far as it was asked for.
///
/// # Errors
/// It does not fit the form.
pub(super) fn filled_in(form: &Value, mut given: Value) -> Result<Value> {
    let fields = form.get("properties").and_then(Value::as_object);
    let given_fields = std::mem::take(given.as_object_mut().unwrap_or(&mut Map::new()));
    let is_asked = |name: &str| fields.is_some_and(|fields| fields.contains_key(name));
    let content: Map<String, Value> =
        given_fields.into_iter().filter(|(name, _)| is_asked(name)).collect();
    let content = Value::Object(content);
    let fits = jsonschema::validator_for(form).is_ok_and(|form| form.is_valid(&content));
    fits.then_some(content)
        .ok_or_else(|| refused("What the client answered does not fit the form."))
}

fn refused(why: &str) -> Error {
    Error::new(Code::ActionRequired, why)
}

/// Words of theirs on one line.
fn line(words: &str) -> String {
    let words = clean(words);
    shown(&words.split_whitespace().collect::<Vec<_>>().join(" "), MESSAGE)
}

/// An address to which a person may be led.
fn page(base: &Url, told: &str) -> Result<Url> {
    let is_inside = |url: &Url| match url.host() {
        Some(Host::Ipv4(ip)) => !is_public(ip.into()),
        Some(Host::Ipv6(ip)) => !is_public(ip.into()),
        Some(Host::Domain(_)) => false,
        None => true,
    };
    let url = Url::parse(told).ok().filter(|url| is_safe(url, base));
    let url = url.filter(|url| is_loopback(base) || !is_inside(url));
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
    url.filter(|url| url.as_str().len() <= ADDRESS).ok_or_else(|| {
        refused("Nobody is led there: a page must be a plain https address on the internet.")
    })
}

/// The form, of words that a person can read and of values that are exactly what is sent.
fn form_of(theirs: &Value, message: &str) -> Result<Value> {
    let fields = theirs.get("properties").and_then(Value::as_object);
    let fields = fields.ok_or_else(|| refused("Its form has no fields."))?;
    if fields.len() > FIELDS {
        return Err(refused("Its form has more fields than a person is shown."));
    }
    let is_typed = |field: &Value| {
        matches!(field.get("type").and_then(Value::as_str), Some("string" | "number" | "integer"))
            && field.get("enum").is_none()
            && field.get("oneOf").is_none()
    };
    if fields.values().any(is_typed) && has(message, &[&SECRETS]) {
        return Err(secret());
    }
    for (name, field) in fields {
        exact(name)?;
        let text = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
        if !is_typed(field) {
            continue;
        }
        if has(name, &[&SECRETS, &NAMES])
            || has(text("title"), &[&SECRETS, &NAMES])
            || has(text("description"), &[&SECRETS])
        {
            return Err(secret());
        }
    }
    let mut ours = plain(theirs)?;
    if let Some(ours) = ours.as_object_mut() {
        ours.remove("$schema");
    }
    Ok(ours)
}

fn secret() -> Error {
    refused("A secret must not be asked for in a form, and this looks like one.")
}

/// Whether a text, in words, holds one of these.
fn has(text: &str, lists: &[&[&str]]) -> bool {
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in clean(text).chars() {
        if c.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        } else if !words.ends_with(' ') {
            words.push(' ');
        }
        before = c;
    }
    words.push(' ');
    lists.iter().copied().flatten().any(|secret| words.contains(&format!("{secret} ")))
}

/// A part of a form.
fn plain(part: &Value) -> Result<Value> {
    let Value::Object(fields) = part else { return Ok(part.clone()) };
    let mut ours = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("title" | "description", Value::String(words)) => quote(words).into(),
            ("enumNames", Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).map(quote).collect()
            }
            ("enum" | "default" | "const", value) => {
                strings(value).try_for_each(exact)?;
                value.clone()
            }
            ("oneOf" | "anyOf", Value::Array(choices)) => {
                choices.iter().map(plain).collect::<Result<Value>>()?
            }
            ("properties", Value::Object(fields)) => {
                let field = |(name, field): (&String, &Value)| Ok((name.clone(), plain(field)?));
                Value::Object(fields.iter().map(field).collect::<Result<_>>()?)
            }
            (_, value) => plain(value)?,
        };
        if value.as_array().is_some_and(|choices| choices.len() > CHOICES) {
            return Err(refused("It offers more choices than a person is shown."));
        }
        ours.insert(key.clone(), value);
    }
    Ok(ours.into())
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(list.iter().filter_map(Value::as_str))
}

/// What is sent back as it stands must be readable as it stands.
fn exact(text: &str) -> Result<()> {
    let is_readable = clean(text) == text && !text.contains(char::is_control);
    if is_readable && text.chars().count() <= EXACT {
        return Ok(());
    }
    Err(refused("Its form holds names or values that a person cannot read."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(asked: Value) -> Result<Question> {
        let base = Url::parse("https://mcp.example/mcp").unwrap();
        question("Other", &base, &serde_json::from_value(asked).unwrap())
    }

    fn form(message: &str, fields: &Value) -> Result<Question> {
        ask(json!({
            "message": message, "mode": "form",
            "requestedSchema": {"type": "object", "properties": fields},
        }))
    }

    #[test]
    fn d4_a_person_reads_who_asks_and_nothing_that_hides() {
        let field = json!({"type": "string", "title": "Your\u{202e} name", "description": "\u{1b}[31mx\n".repeat(500)});
        let long = format!("Hello\u{200b}.\n\nResto: {}", "y".repeat(5_000));
        let shown = form(&long, &json!({"name": field})).unwrap();
        assert!(shown.message.starts_with("Other asks: Hello. Resto: yyy"), "{}", shown.message);
        assert!(shown.message.ends_with("characters more]") && shown.message.len() < 1_200);
        let Way::Form(schema) = shown.way else { panic!() };
        assert_eq!(schema["properties"]["name"]["title"], "Your name");
        assert!(schema.to_string().len() < 1_000, "{schema}");
        assert!(!shown.message.contains('\n') && !schema.to_string().contains("\\u001b"));
    }

    #[test]
    fn d4_what_is_sent_is_what_is_read() {
        let choices =
            |choices: Value| form("Which?", &json!({"one": {"type": "string", "enum": choices}}));
        assert!(choices(json!(["small", "large"])).is_ok());
        assert!(choices(json!(["small", "lar\u{200b}ge"])).is_err());
        assert!(choices(json!(["x".repeat(EXACT + 1)])).is_err());
        assert!(choices((0..=CHOICES).map(|n| n.to_string()).collect()).is_err());
        assert!(form("Who?", &json!({"na\nme": {"type": "string"}})).is_err());
        let many: Map<String, Value> =
            (0..=FIELDS).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
        assert!(form("Who?", &many.into()).is_err());
    }

    #[test]
    fn no_form_asks_for_a_secret() {
        for name in [
            "password",
            "userPassword",
            "user_password",
            "API-Key",
            "apiKey",
            "token",
            "pin",
            "clientSecret",
            "Passwort",
            "card_number",
            "accessToken",
            "CVV",
        ] {
            let refused = form("Who?", &json!({name: {"type": "string"}})).unwrap_err();
            assert!(refused.message().contains("must not be asked"), "{name}: {refused:?}");
        }
        let titled = json!({"answer": {"type": "string", "title": "Your API key"}});
        assert!(form("Who?", &titled).is_err());
        let described =
            json!({"answer": {"type": "string", "description": "The pass\u{200b}word."}});
        assert!(form("Who?", &described).is_err());
        assert!(form("Type your password.", &json!({"answer": {"type": "string"}})).is_err());
        // To say yes gives no secret away.
        assert!(form("Reset the password of Bob?", &json!({"yes": {"type": "boolean"}})).is_ok());
        for name in ["max_tokens", "name", "pinned", "keyboard", "company"] {
            assert!(form("Who?", &json!({name: {"type": "string"}})).is_ok(), "{name}");
        }
    }

    #[test]
    fn e2_nobody_is_led_to_an_unsafe_page() {
        let page = |url: &str| ask(json!({"mode": "url", "message": "Sign in.", "url": url}));
        let shown = page("https://id.example/consent?x=1").unwrap();
        assert_eq!(
            shown.message,
            "Other asks you to open a page of id.example: https://id.example/consent?x=1 It says: Sign in."
        );
        for url in [
            "javascript:alert(1)",
            "http://id.example/",
            "https://127.0.0.1/",
            "https://localhost/x",
            "https://10.0.0.1/",
            "https://[fd00::1]/",
            "https://bank.example@evil.example/",
            "data:text/html,x",
            "file:///etc/passwd",
            "/x",
        ] {
            assert!(page(url).is_err(), "{url}");
        }
        assert!(page(&format!("https://id.example/{}", "x".repeat(ADDRESS))).is_err());
        // What looks like another host is told as what it is.
        assert!(page("https://p\u{430}ypal.example/").unwrap().message.contains("xn--"));
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let form = json!({
            "type": "object", "required": ["name"],
            "properties": {"name": {"type": "string"}, "many": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}},
        });
        let given = filled_in(&form, json!({"name": "x", "more": "y", "many": ["a"]})).unwrap();
        assert_eq!(given, json!({"name": "x", "many": ["a"]}));
        for given in
            [json!({}), json!(null), json!({"name": 1}), json!({"name": "x", "many": ["c"]})]
        {
            assert!(filled_in(&form, given).is_err());
        }
    }
}
