//! The providers' official API descriptions, against which each recorded request is held. They are
//! not part of the project: `RESTO_SPECS` names their folder.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use resto_core::{Integration, Provider};
use serde_json::{Map, Value, json};

use crate::Recorded;

/// What a request that no description lists is told.
const UNLISTED: &str = "it lists no such operation";

/// The descriptions that a provider's requests are held against: the integration's own, or where it
/// has several providers the one named after both, and the provider's others.
pub(crate) fn names(integration: &Integration, provider: &Provider) -> Vec<String> {
    if integration.providers.len() == 1 {
        return vec![integration.id.to_owned()];
    }
    let others = format!("{}-", provider.id);
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .into_iter()
        .flatten()
        .filter_map(|file| {
            file.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)
        })
        .filter(|name| name.starts_with(&others))
        .collect();
    names.insert(0, format!("{}-{}", integration.id, provider.id));
    names
}

/// Fails the test if none of these descriptions allows `request`.
pub(crate) fn check(names: &[String], request: &Recorded) {
    let descriptions: Vec<&Value> = names.iter().filter_map(|name| description(name)).collect();
    let problem = descriptions
        .iter()
        .map(|description| judge(description, request))
        .find(|judged| judged.as_ref().err().is_none_or(|problem| problem != UNLISTED))
        .unwrap_or_else(|| Err(UNLISTED.to_owned()));
    if let (Err(problem), false) = (problem, descriptions.is_empty()) {
        panic!("{} {} breaks the official description: {problem}", request.method, request.path);
    }
}

fn folder() -> PathBuf {
    std::env::var_os("RESTO_SPECS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specs")),
        PathBuf::from,
    )
}

fn description(name: &str) -> Option<&'static Value> {
    static READ: OnceLock<Mutex<HashMap<String, Option<&'static Value>>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap();
    *read.entry(name.to_owned()).or_insert_with(|| {
        let file = folder().join(format!("{name}.json"));
        if let Ok(text) = std::fs::read_to_string(&file) {
            let mut value: Value = serde_json::from_str(&text).expect("a description in JSON");
            modernise(&mut value);
            return Some(Box::leak(Box::new(value)));
        }
        let message = format!(
            "NOT CHECKED: the official description {} is absent; RESTO_SPECS names its folder",
            file.display()
        );
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("{message}");
        None
    })
}

/// `OpenAPI` 3.0's `nullable` in the words of JSON Schema.
fn modernise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(modernise),
        Value::Object(fields) => {
            fields.values_mut().for_each(modernise);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                if let Some(kind @ Value::String(_)) = fields.get("type").cloned() {
                    fields.insert("type".into(), json!([kind, "null"]));
                }
                if let Some(Value::Array(words)) = fields.get_mut("enum") {
                    words.push(Value::Null);
                }
            }
            fields.remove("example");
            fields.remove("examples");
        }
        _ => {}
    }
}

fn judge(description: &Value, request: &Recorded) -> Result<(), String> {
    let paths = description["paths"].as_object().ok_or("it has no paths")?;
    let method = request.method.to_lowercase();
    let (item, operation) = paths
        .iter()
        .filter(|(template, item)| item.get(&method).is_some() && matches(template, &request.path))
        // `/domains/{name}:renew` says more than `/domains/{name}`.
        .min_by_key(|(template, _)| (template.matches('{').count(), !template.contains("}:")))
        .map(|(_, item)| (item, &item[&method]))
        .ok_or(UNLISTED)?;
    let parameters: Vec<&Value> = [item, operation]
        .iter()
        .filter_map(|place| place.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| resolve(description, parameter))
        .collect();
    for (name, value) in &request.query {
        let parameter = parameters
            .iter()
            .find(|parameter| parameter["in"] == "query" && parameter["name"] == name.as_str())
            .ok_or_else(|| format!("no query parameter `{name}`"))?;
        let schema = resolve(description, &parameter["schema"]);
        fits(description, schema, &typed(description, schema, value))
            .map_err(|why| format!("query `{name}`: {why}"))?;
    }
    for parameter in &parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        if parameter["in"] == "query"
            && parameter["required"] == true
            && !request.query.contains_key(name)
        {
            return Err(format!("the query parameter `{name}` is missing"));
        }
    }
    let body = resolve(description, &operation["requestBody"]);
    match body.pointer("/content/application~1json/schema") {
        None if request.body.is_null() => Ok(()),
        None => Err("it takes no JSON body".to_owned()),
        Some(_) if request.body.is_null() && body["required"] != true => Ok(()),
        Some(schema) => {
            let mut names = BTreeSet::new();
            property_names(description, schema, &mut names);
            if let (Some(sent), false) = (request.body.as_object(), names.is_empty())
                && let Some(unknown) = sent.keys().find(|name| !names.contains(name.as_str()))
            {
                return Err(format!("the body has no field `{unknown}`"));
            }
            fits(description, schema, &request.body)
        }
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            // The last parameter of a few operations is a path of its own.
            (Some("{path}" | "{ref}"), Some(_)) if template.clone().next().is_none() => {
                return true;
            }
            (Some(part), Some(value))
                if part == value || fills(part, value) || wildcard(part, value) => {}
            _ => return false,
        }
    }
}

/// `{name}`, or `{name}:verb` where the value ends so too.
fn fills(part: &str, value: &str) -> bool {
    part.strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .filter(|(_, verb)| !verb.contains('{'))
        .and_then(|(_, verb)| value.strip_suffix(verb))
        .is_some_and(|value| !value.is_empty())
}

/// `{base}...{head}` and the like.
fn wildcard(part: &str, value: &str) -> bool {
    part.split_once("}...{").is_some() && value.contains("...")
}

fn resolve<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
    {
        Some(pointer) => resolve(description, description.pointer(pointer).unwrap_or(&Value::Null)),
        None => value,
    }
}

fn property_names(description: &Value, schema: &Value, names: &mut BTreeSet<String>) {
    let schema = resolve(description, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        names.extend(properties.keys().cloned());
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for option in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            property_names(description, option, names);
        }
    }
}

/// A query value in the type that its schema wants.
fn typed(description: &Value, schema: &Value, text: &str) -> Value {
    let inherited = resolve(description, &schema["allOf"][0]);
    match schema["type"].as_str().or(inherited["type"].as_str()) {
        Some("integer" | "number") => text.parse::<i64>().map_or(Value::from(text), Value::from),
        Some("boolean") => text.parse::<bool>().map_or(Value::from(text), Value::from),
        Some("array") => text.split(',').collect(),
        _ => Value::from(text),
    }
}

fn fits(description: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let mut root = Map::new();
    root.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    root.insert("allOf".into(), json!([schema]));
    root.insert("components".into(), description["components"].clone());
    let validator =
        jsonschema::validator_for(&Value::Object(root)).map_err(|error| error.to_string())?;
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at `{}`", error, error.instance_path()))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}
