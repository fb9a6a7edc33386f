//! What every published tool must keep, whoever wrote its adapter.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::Path;

use resto_core::{ActionSpec, Adapter, Part, Shape, brief_schema, covers};
use serde_json::{Value, json};

use crate::{Way, note};

/// Checks every rule and returns the tools as they are published, for a snapshot.
#[must_use]
pub fn checked_tools(adapter: &Adapter) -> Value {
    let mut seen = BTreeSet::new();
    for action in adapter.actions() {
        let problems = problems(adapter, action);
        assert!(problems.is_empty(), "{}: {}", action.tool, problems.join("; "));
        assert!(seen.insert(&action.tool), "{} is published twice", action.tool);
        note(adapter.integration.id, &action.tool, &Way::Published);
    }
    for permission in adapter.integration.permissions {
        assert!(
            adapter.actions().iter().any(|action| action
                .permissions
                .iter()
                .flat_map(|set| set.iter())
                .any(|needed| *needed == permission.id)),
            "no action needs the permission {}",
            permission.id
        );
    }
    adapter
        .actions()
        .iter()
        .map(|action| {
            let mut published = json!({
                "tool": action.tool,
                "title": action.title,
                "description": action.description,
                "risk": action.risk,
                "permissions": action.permissions,
                "input": brief_schema(&action.input_schema),
                "output": (action.output_schema)(),
            });
            if !action.view.is_empty() {
                published["view"] = json!(action.view);
            }
            if let Some(when) = outsiders(action) {
                published["outsiders"] = when.into();
            }
            published
        })
        .collect()
}

/// Whether what an action tells is marked as that of outsiders: always, never, or by what it is asked for.
fn outsiders(action: &ActionSpec) -> Option<&'static str> {
    let schema = Value::Object(action.input_schema.clone());
    match [false, true].map(|whole| (action.outsiders)(&sample(&schema, whole))) {
        [true, true] => Some("always"),
        [false, false] => None,
        _ => Some("by arguments"),
    }
}

/// The least that a schema takes, or a value for each of its fields; a git reference is one to a pull request, or to a fork.
fn sample(schema: &Value, whole: bool) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields
                .filter(|(name, _)| whole || required.contains(&json!(name)))
                .map(|(name, field)| match name.as_str() {
                    "ref" => (name.clone(), "pull/1/head".into()),
                    "head" if whole => (name.clone(), "mallory:fix".into()),
                    _ => (name.clone(), sample(field, whole)),
                })
                .collect()
        }
        Some("array") => json!([sample(&schema["items"], whole)]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(1.into()),
        Some("boolean") => json!(true),
        _ => json!("acme.com"),
    }
}

/// The actions whose struct no test in the sources below this folder runs: `run::<Name>(` is looked for.
#[must_use]
pub fn untested_actions(adapter: &Adapter, sources: &Path) -> Vec<String> {
    let sources = read_below(sources);
    adapter
        .actions()
        .iter()
        .filter(|action| {
            let name: String = action.title.split(' ').map(capitalised).collect();
            !sources.contains(&format!("run::<{name}>("))
        })
        .map(|action| action.tool.clone())
        .collect()
}

fn read_below(folder: &Path) -> String {
    let entries = read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { read_below(&path) } else { read_to_string(path).unwrap() })
        .collect()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
        .unwrap_or_default()
}

/// The schema to which a path leads from another one; `None` where there is no such field.
fn at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(schema, |schema, name| {
        schema["properties"].get(name).or_else(|| schema.get("additionalProperties"))
    })
}

/// What a part shows that the result does not have.
fn missing(output: &Value, part: &Part) -> Option<String> {
    let Some(rows) = at(output, part.rows) else { return Some(part.rows.to_owned()) };
    let row = rows.get("items").unwrap_or(rows);
    let own = ["title", "kind", "rows"];
    let own = own.iter().filter(|_| part.shape == Shape::Cards);
    let lacking = own.clone().find(|name| at(row, name).is_none());
    let row = if part.shape == Shape::Cards { &row["properties"]["rows"]["items"] } else { row };
    let fields = part.columns.iter().chain(part.drawn).chain(part.amounts);
    lacking
        .or_else(|| fields.clone().find(|path| at(row, path).is_none()))
        .map(|path| (*path).to_owned())
}

/// Whether each object that lists its fields refuses others.
fn closed(schema: &Value) -> bool {
    match schema {
        Value::Array(items) => items.iter().all(closed),
        Value::Object(fields) => {
            let lists = fields.get("properties").is_some_and(Value::is_object);
            (!lists || fields.contains_key("additionalProperties")) && fields.values().all(closed)
        }
        _ => true,
    }
}

/// Whether a description tells a model more than the name of what it describes.
fn says_more(name: &str, description: &str) -> bool {
    let words = description.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).any(|word| {
        let word = word.to_lowercase();
        !["a", "an", "its", "of", "the", "this", "new"].contains(&word.as_str())
            && !name.contains(&word)
    })
}

fn problems(adapter: &Adapter, action: &ActionSpec) -> Vec<String> {
    let mut problems = Vec::new();
    let mut require = |holds: bool, rule: &str| {
        if !holds {
            problems.push(rule.to_owned());
        }
    };
    require(action.tool.len() <= 40, "the name is longer than 40 characters");
    require(
        action.tool.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
        "the name is not of [a-z0-9_]",
    );
    require(!action.description.is_empty(), "it has no description");
    require(action.description.len() <= 400, "the description is longer than 400 bytes");
    let known: BTreeSet<&str> =
        adapter.integration.permissions.iter().map(|permission| permission.id).collect();
    require(
        action
            .permissions
            .iter()
            .flat_map(|set| set.iter())
            .all(|needed| known.iter().any(|known| covers(known, needed))),
        "it needs a permission that the integration does not list",
    );
    let output_schema = (action.output_schema)();
    for (what, schema) in [("input", &action.input_schema), ("output", &output_schema)] {
        require(schema.get("type") == Some(&"object".into()), &format!("the {what} is no object"));
        require(
            !["oneOf", "anyOf", "allOf"].iter().any(|key| schema.contains_key(*key)),
            &format!("the {what} is a union, which some model providers refuse"),
        );
        let text = Value::Object(schema.clone()).to_string();
        require(!text.contains("\"$ref\""), &format!("the {what} has references"));
        require(!text.contains("\"type\":["), &format!("the {what} has a list of types"));
        require(
            jsonschema::validator_for(&Value::Object(schema.clone())).is_ok(),
            &format!("the {what} schema does not compile"),
        );
    }
    require(
        closed(&Value::Object(action.input_schema.clone())),
        "an object of the input lets a misspelt field pass",
    );
    let output = Value::Object(output_schema);
    for lacking in action.view.iter().filter_map(|part| missing(&output, part)) {
        require(false, &format!("its view shows `{lacking}`, which the result does not have"));
    }
    let properties = action.input_schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let description = property.get("description").and_then(Value::as_str);
        require(
            description.is_none_or(|description| says_more(name, description)),
            &format!("the description of the input `{name}` says only its name"),
        );
        require(
            !["password", "token", "api_key", "secret_value", "private_key"]
                .contains(&name.as_str()),
            &format!("the input `{name}` would carry a secret through the agent"),
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_description_that_says_only_a_name() {
        for (name, description) in
            [("branch", "The branch."), ("run_id", "Id of the run."), ("x", "")]
        {
            assert!(!says_more(name, description), "{description}");
        }
        assert!(says_more("branch", "The default branch if left out."));
    }

    #[test]
    fn tells_what_a_view_shows_that_the_result_does_not_have() {
        let row = json!({"properties": {
            "name": {"type": "string"}, "numbers": {"additionalProperties": {"type": "number"}},
        }});
        let card = json!({"properties": {
            "title": {}, "kind": {}, "rows": {"items": row},
        }});
        let output = json!({"properties": {
            "items": {"items": row}, "total": row, "note": {"type": "string"}, "cards": {"items": card}, "other": {"items": row},
        }});
        for part in [
            Part::table("", "items", &["name", "numbers", "numbers.any"]),
            Part::scorecard("", "", &["total.name"]),
            Part::line("", "items", &["name", "numbers"], &["numbers"]).amounts(&["numbers"]),
            Part::cards("cards", &["name"]),
            Part::notes("note"),
        ] {
            assert_eq!(missing(&output, &part), None, "{part:?}");
        }
        for (part, lacking) in [
            (Part::table("", "item", &["name"]), "item"),
            (Part::table("", "items", &["name", "colour"]), "colour"),
            (Part::bar("", "items", &["name"], &["number"]), "number"),
            (Part::table("", "items", &["name"]).amounts(&["price"]), "price"),
            (Part::cards("cards", &["colour"]), "colour"),
            (Part::cards("other", &["name"]), "title"),
            (Part::notes("notes"), "notes"),
        ] {
            assert_eq!(missing(&output, &part).as_deref(), Some(lacking), "{part:?}");
        }
    }
}
