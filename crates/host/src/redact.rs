//! Takes a credential out of what its provider repeats of it, and every other known secret out of what the provider
//! tells, so that neither an agent nor the audit trail gets it.

mod known;

use std::borrow::Cow;

use resto_core::{Error, Result, Secrets, clean};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use self::known::{without_known, without_known_or_cut};

/// What stands in its place.
const MARK: &str = "[credential]";

/// Less of it than this many bytes is chance: a prefix that all keys have, or a short user name.
const MIN_RUN: usize = 16;

/// A result without the credential and other secrets.
pub(crate) fn redact(secrets: &Secrets, result: Result<Value>) -> Result<Value> {
    result.map_err(|error| redact_error(secrets, error)).map(|mut value| {
        redact_value(secrets, &mut value);
        value
    })
}

/// A name that the provider gave, on one line, cleaned and without the credential and other secrets.
pub(crate) fn redact_name(secrets: &Secrets, name: &str) -> String {
    let mut name = clean(name).replace(char::is_control, " ");
    redact_text(secrets, &mut name);
    name
}

/// An error without the credential and other secrets.
pub(crate) fn redact_error(secrets: &Secrets, mut error: Error) -> Error {
    let details = error.details_mut();
    let optional = [
        &mut details.field,
        &mut details.missing_permission,
        &mut details.request_id,
        &mut details.url,
        &mut details.said,
    ];
    for text in optional.into_iter().flatten().chain([&mut details.message]) {
        redact_text(secrets, text);
        replace(text, without_known_or_cut);
    }
    error
}

fn redact_value(secrets: &Secrets, value: &mut Value) {
    match value {
        Value::String(text) => redact_text(secrets, text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(secrets, item)),
        Value::Object(fields) => {
            if fields.keys().any(|name| matches!(redacted(secrets, name), Cow::Owned(_))) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(name, field)| (redacted(secrets, &name).into_owned(), field))
                    .collect();
            }
            fields.values_mut().for_each(|field| redact_value(secrets, field));
        }
        _ => {}
    }
}

fn redact_text(secrets: &Secrets, text: &mut String) {
    replace(text, |text| redacted(secrets, text));
}

/// The text as it is where nothing is in it.
fn redacted<'a>(secrets: &Secrets, text: &'a str) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets.values().filter(|secret| length(secret) >= MIN_RUN) {
        // EXPOSE: it is looked for, to be taken out.
        if let Cow::Owned(without) = without(&text, secret.expose_secret()) {
            text = Cow::Owned(without);
        }
    }
    match without_known(&text) {
        Cow::Owned(without) => Cow::Owned(without),
        Cow::Borrowed(_) => text,
    }
}

fn replace(text: &mut String, without: impl FnOnce(&str) -> Cow<'_, str>) {
    if let Cow::Owned(without) = without(text) {
        *text = without;
    }
}

fn length(secret: &SecretString) -> usize {
    // EXPOSE: only its length is used.
    secret.expose_secret().len()
}

/// The text without the secret, also where a quote was cut in the middle of it.
fn without<'a>(text: &'a str, secret: &str) -> Cow<'a, str> {
    let Some(start) = secret.get(..MIN_RUN) else { return Cow::Borrowed(text) };
    if !text.contains(start) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, found)) = rest.split_once(start) {
        out.push_str(before);
        out.push_str(MARK);
        let tail = secret.get(MIN_RUN..).unwrap_or_default();
        let run: usize = found
            .chars()
            .zip(tail.chars())
            .take_while(|(one, other)| one == other)
            .map(|(one, _)| one.len_utf8())
            .sum();
        rest = found.get(run..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use serde_json::json;

    use super::*;

    const KEY: &str = "github_pat_that_was_given_to_us";

    fn secrets() -> Secrets {
        [("token".to_owned(), KEY.into()), ("user".to_owned(), "octocat".into())].into()
    }

    #[test]
    fn takes_a_credential_out_wherever_it_stands() {
        let output = json!({"files": [{"text": format!("a {KEY}, b {KEY}")}], "owner": "octocat", "size": 7});
        assert_eq!(
            redact(&secrets(), Ok(output)).unwrap(),
            json!({"files": [{"text": "a [credential], b [credential]"}], "owner": "octocat", "size": 7})
        );
        let named = redact(&secrets(), Ok(json!({"by_key": {KEY: 1}}))).unwrap();
        assert_eq!(named, json!({"by_key": {"[credential]": 1}}));
        let cut = Error::new(Code::NotFound, format!("No access with {}", &KEY[..20])).url(KEY);
        let told = redact(&secrets(), Err(cut)).unwrap_err();
        assert_eq!(told.message(), "No access with [credential]");
        assert_eq!(told.details().url.as_deref(), Some("[credential]"));
    }

    #[test]
    fn d5_takes_known_secrets_of_others_out_of_results_errors_and_names() {
        let other = ["ghp", "_"].concat() + &"aZ3bY4cX5dW6eV7f".repeat(3);
        let output = json!({"env": {&other: 1}, "files": [{"text": format!("{KEY} {other}")}]});
        let told = json!({
            "env": {"[secret: GitHub token]": 1},
            "files": [{"text": "[credential] [secret: GitHub token]"}],
        });
        assert_eq!(redact(&secrets(), Ok(output)).unwrap(), told);
        let cut = &other[..30];
        let mut error = Error::new(Code::NotFound, format!("GitHub said: {cut}. Ask.")).url(cut);
        error.details_mut().said = Some(cut.to_owned());
        let error = redact(&Secrets::default(), Err(error)).unwrap_err();
        assert_eq!(error.message(), "GitHub said: [secret: GitHub token]. Ask.");
        assert_eq!(error.details().said.as_deref(), Some("[secret: GitHub token]"));
        assert_eq!(error.details().url.as_deref(), Some("[secret: GitHub token]"));
        assert_eq!(redact_name(&secrets(), &format!("of\n{other}")), "of [secret: GitHub token]");
    }

    #[test]
    fn a_name_is_one_plain_line_without_the_credential() {
        let name = format!("\u{1b}[31mocto\u{202e}cat\n {}\u{200b}{}", &KEY[..9], &KEY[9..]);
        assert_eq!(redact_name(&secrets(), &name), "octocat  [credential]");
    }

    #[test]
    fn leaves_other_keys_as_they_are() {
        let other = json!("github_pat_of_another, github_pat_tha");
        assert_eq!(redact(&secrets(), Ok(other.clone())).unwrap(), other);
    }
}
