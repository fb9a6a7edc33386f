//! The providers' official API descriptions, against which each recorded request is held. They are
//! not part of the project: `tests/run` installs what registries offer, `RESTO_SPECS` names the folder of the others.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use resto_core::{Integration, Provider};
use serde_json::{Map, Value, json};

use crate::{Recorded, discovery, form};

/// What a request that no description lists is told.
pub(crate) const UNLISTED: &str = "it lists no such operation";

/// The descriptions that a provider's requests are held against: Google's own of its APIs, or the one
/// that is named after the integration; where that has several providers the one named after both,
/// and the provider's others.
pub(crate) fn names(integration: &Integration, provider: &Provider) -> Vec<String> {
    let addresses = [provider.base_url].into_iter().chain(provider.other_urls.iter().copied());
    let google = discovery::documents(addresses);
    if !google.is_empty() {
        let mut names: Vec<String> = beginning(&google, "discovery/");
        if names.is_empty() {
            names.push(format!("discovery/{}*", google.join("*, ")));
        }
        return names;
    }
    if integration.providers.len() == 1 {
        return vec![integration.id.to_owned()];
    }
    let mut names = beginning(&[format!("{}-", provider.id)], "");
    names.insert(0, format!("{}-{}", integration.id, provider.id));
    names
}

/// The descriptions below a folder whose names begin with one of these.
fn beginning(wanted: &[String], below: &str) -> Vec<String> {
    folders()
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder.join(below)).ok())
        .flatten()
        .filter_map(|file| {
            file.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)
        })
        .filter(|name| wanted.iter().any(|start| name.starts_with(start)))
        .map(|name| format!("{below}{name}"))
        .collect()
}

/// Why none of these descriptions allows `request`, or one of the sets of rights that its action
/// asks for would not do; `None` where the descriptions are not at hand.
pub(crate) fn problem(
    names: &[String],
    permissions: &[&[&str]],
    request: &Recorded,
) -> Option<Result<(), String>> {
    let descriptions: Vec<&Value> = names.iter().filter_map(|name| description(name)).collect();
    if descriptions.is_empty() {
        return None;
    }
    let judged = descriptions
        .iter()
        .map(|description| {
            let operation = judge(description, request)?;
            discovery::suffices(operation, permissions)
        })
        .find(|judged| judged.as_ref().err().is_none_or(|problem| problem != UNLISTED))
        .unwrap_or_else(|| Err(UNLISTED.to_owned()));
    Some(judged)
}

/// Where descriptions are: those that `tests/run tools` installs, then those of `RESTO_SPECS`.
fn folders() -> [PathBuf; 2] {
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let named =
        std::env::var_os("RESTO_SPECS").map_or_else(|| top.join("../shared/specs"), PathBuf::from);
    [top.join(".tools/specs"), named]
}

fn description(name: &str) -> Option<&'static Value> {
    static READ: OnceLock<Mutex<HashMap<String, Option<&'static Value>>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap();
    *read.entry(name.to_owned()).or_insert_with(|| {
        let file = format!("{name}.json");
        let [installed, named] = folders();
        for folder in [&installed, &named] {
            if let Ok(text) = std::fs::read_to_string(folder.join(&file)) {
                let mut value: Value = serde_json::from_str(&text).expect("a description in JSON");
                if value["discoveryVersion"].is_string() {
                    value = discovery::converted(&value);
                }
                modernise(&mut value);
                return Some(Box::leak(Box::new(value)));
            }
        }
        let message = format!(
            "NOT CHECKED: the official description {file} is neither among those that `tests/run tools` installs nor in {}, the folder that RESTO_SPECS names",
            named.display()
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

/// Holds a request against a description; returns the operation that allows it.
pub(crate) fn judge<'a>(description: &'a Value, request: &Recorded) -> Result<&'a Value, String> {
    let paths = description["paths"].as_object().ok_or("it has no paths")?;
    let method = request.method.to_lowercase();
    let (operation, parameters) = paths
        .iter()
        .filter_map(|(template, item)| {
            let operation = item.get(&method)?;
            let parameters = parameters(description, item, operation);
            matches(template, &request.path, &wide(&parameters, &method))
                .then_some((template, operation, parameters))
        })
        // The most literal one: `/commits/{ref}/status` before `/commits/{ref}`.
        .min_by_key(|(template, ..)| (template.matches('{').count(), Reverse(template.len())))
        .map(|(_, operation, parameters)| (operation, parameters))
        .ok_or(UNLISTED)?;
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
            .and_then(|value| fits(description, schema, &value))
            .map(|()| operation);
    }
    match body.pointer("/content/application~1json/schema") {
        None if request.body.is_null() => Ok(operation),
        None => Err("it takes no JSON body".to_owned()),
        Some(_) if request.body.is_null() && body["required"] != true => Ok(operation),
        Some(schema) => {
            let mut names = BTreeSet::new();
            property_names(description, schema, &mut names);
            if let (Some(sent), false) = (request.body.as_object(), names.is_empty())
                && let Some(unknown) = sent.keys().find(|name| !names.contains(name.as_str()))
            {
                return Err(format!("the body has no field `{unknown}`"));
            }
            fits(description, schema, &request.body).map(|()| operation)
        }
    }
}

fn parameters<'a>(description: &'a Value, item: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    [item, operation]
        .iter()
        .filter_map(|place| place.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| resolve(description, parameter))
        .collect()
}

/// The path parameter that may hold slashes, as GitHub marks it, and whether it may be left out.
#[derive(Default)]
struct Wide<'a> {
    part: Option<&'a str>,
    optional: bool,
}

fn wide<'a>(parameters: &[&'a Value], method: &str) -> Wide<'a> {
    let name = parameters
        .iter()
        .find(|parameter| parameter["in"] == "path" && parameter["x-multi-segment"] == true)
        .and_then(|parameter| parameter["name"].as_str());
    // Whoever reads the top folder of a repository leaves `{path}` out.
    Wide { part: name, optional: name == Some("path") && method == "get" }
}

fn matches(template: &str, path: &str, wide: &Wide<'_>) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == path };
    let Some((name, rest)) = rest.split_once('}') else { return false };
    let is_wide = wide.part == Some(name);
    if is_wide && wide.optional && rest.is_empty() && path == literal.trim_end_matches('/') {
        return true;
    }
    let Some(path) = path.strip_prefix(literal) else { return false };
    let end = if is_wide { path.len() } else { path.find('/').unwrap_or(path.len()) };
    let least = usize::from(!(is_wide && wide.optional));
    (least..=end).any(|taken| matches(rest, &path[taken..], wide))
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
    let mut root = json!({"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [schema]});
    let mut wanted = references(schema);
    // Only what the schema leads to: a whole description has thousands of components.
    while let Some(pointer) = wanted.pop() {
        let names: Vec<&str> = pointer.split('/').skip(1).collect();
        if let (None, Some(component)) = (root.pointer(pointer), description.pointer(pointer)) {
            wanted.extend(references(component));
            names.iter().fold(&mut root, |place, name| &mut place[*name]).clone_from(component);
        }
    }
    let validator = jsonschema::validator_for(&root).map_err(|error| error.to_string())?;
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at `{}`", error, error.instance_path()))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}

/// The pointers to the components that a schema names.
fn references(schema: &Value) -> Vec<&str> {
    match schema {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => {
            let named = fields.get("$ref").and_then(Value::as_str);
            let pointer = named.and_then(|named| named.strip_prefix('#'));
            pointer.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        _ => Vec::new(),
    }
}
