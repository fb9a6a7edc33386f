//! The providers' official API descriptions, against which each recorded request is held. They are
//! not part of the project: `RESTO_SPECS` names their folder.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};

use crate::{Recorded, form};

/// Fails the test if the description of `integration` does not allow `request`.
pub(crate) fn check(integration: &str, request: &Recorded) {
    if let Some(description) = description(integration)
        && let Err(problem) = judge(description, request)
    {
        panic!("{} {} breaks the official description: {problem}", request.method, request.path);
    }
}

fn description(integration: &str) -> Option<&'static Value> {
    static READ: OnceLock<Mutex<HashMap<String, Option<&'static Value>>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap();
    *read.entry(integration.to_owned()).or_insert_with(|| {
        let folder = std::env::var_os("RESTO_SPECS").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specs")),
            PathBuf::from,
        );
        let file = folder.join(format!("{integration}.json"));
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
        .min_by_key(|(template, _)| template.matches('{').count())
        .map(|(_, item)| (item, &item[&method]))
        .ok_or("it lists no such operation")?;
    let parameters: Vec<&Value> = [item, operation]
        .iter()
        .filter_map(|place| place.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| resolve(description, parameter))
        .collect();
    // `created[gte]=1` is the parameter `created`, except where the description writes it so itself.
    let written = |name: &str| {
        parameters.iter().find(|parameter| parameter["in"] == "query" && parameter["name"] == name)
    };
    let (whole, nested): (Vec<_>, Vec<_>) = request
        .query
        .clone()
        .into_iter()
        .partition(|(name, _)| written(name).is_some() || !name.contains('['));
    let whole: Map<String, Value> =
        whole.into_iter().map(|(name, text)| (name, text.into())).collect();
    let nested = form::decode(nested);
    for (name, value) in whole.iter().chain(nested.as_object().into_iter().flatten()) {
        let parameter = written(name).ok_or_else(|| format!("no query parameter `{name}`"))?;
        let schema = resolve(description, &parameter["schema"]);
        typed(description, schema, value)
            .and_then(|value| fits(description, schema, &value))
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
    let form = body.pointer("/content/application~1x-www-form-urlencoded/schema");
    if request.is_form() {
        let schema = form.ok_or("it takes no form")?;
        return typed(description, schema, &request.body)
            .and_then(|value| fits(description, schema, &value));
    }
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
                if part == value
                    || (part.starts_with('{') && !value.is_empty())
                    || wildcard(part, value) => {}
            _ => return false,
        }
    }
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

/// Texts in the types that their schema wants.
fn typed(description: &Value, schema: &Value, value: &Value) -> Result<Value, String> {
    form::typed(
        schema,
        &|schema| resolve(description, schema).clone(),
        &|schema, value| fits(description, schema, value).is_ok(),
        value,
    )
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
