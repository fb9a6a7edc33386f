//! Fields that no provider has, planted in every answer of the fake one: what a tool shows of them it shows of
//! anything that the provider adds one day.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use resto_core::Result;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::FakeApi;

const NAME: &str = "resto_canary";
const TEXT: &str = "canary-of-an-unlisted-field";

impl FakeApi {
    /// Plants no canary in this field of what is answered at this path, nor below it: its names are free, and the
    /// action is meant to pass on all of them. To be said before the answers.
    #[must_use]
    pub fn passes_on(mut self, path: &str, field: &str) -> Self {
        self.passed_on.push((path.to_owned(), field.to_owned()));
        self
    }

    /// An answer at this path with a canary in every object, at any depth.
    pub(crate) fn planted(&self, path: &str, mut answer: Value) -> Value {
        let of_path = self.passed_on.iter().filter(|(at, _)| at == path);
        let passed_on: Vec<&str> = of_path.map(|(_, field)| field.as_str()).collect();
        plant(&mut answer, &passed_on);
        answer
    }
}

fn plant(value: &mut Value, passed_on: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, passed_on)),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if !passed_on.contains(&name.as_str()) {
                    plant(field, passed_on);
                }
            }
            fields.insert(NAME.to_owned(), TEXT.into());
        }
        _ => {}
    }
}

/// Fails if the tool shows a canary, or what a person or an action stored under a name.
pub(crate) fn assert_unseen(
    tool: &str,
    result: &Result<Value>,
    secrets: &BTreeMap<String, SecretString>,
) {
    let (what, shown) = match result {
        Ok(output) => ("result", output.clone()),
        Err(error) => ("error", json!(error.details())),
    };
    if let Some(place) = place(&shown, &[NAME, TEXT]) {
        panic!(
            "the {what} of {tool} has a field of the provider's answer that it does not list: {place}\n{shown:#}"
        );
    }
    let told = secrets.iter().map(|(name, secret)| (name, secret.expose_secret()));
    for (name, secret) in told.filter(|(_, secret)| !secret.is_empty()) {
        if let Some(place) = place(&shown, &[secret]) {
            panic!("the {what} of {tool} shows the secret {name}: {place}\n{shown:#}");
        }
    }
}

/// The JSON pointer of the first name or text that holds one of these.
fn place(shown: &Value, wanted: &[&str]) -> Option<String> {
    let holds = |text: &str| wanted.iter().any(|wanted| text.contains(wanted));
    match shown {
        Value::String(text) => holds(text).then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| place(item, wanted).map(|rest| format!("/{index}{rest}"))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let rest = if holds(name) { Some(String::new()) } else { place(field, wanted) };
            rest.map(|rest| format!("/{name}{rest}"))
        }),
        _ => None,
    }
}
