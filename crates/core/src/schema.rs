//! JSON schemas as every model provider and client accepts them: object at the root, no references,
//! no type arrays, no formats that only Rust knows, unknown input fields refused.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of what `T` reads, without its description, and the description.
#[must_use]
pub fn input<T: JsonSchema>() -> (Map<String, Value>, String) {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = Value::from(settings.into_generator().into_root_schema_for::<T>());
    if let Some(Value::Object(mut types)) =
        schema.as_object_mut().and_then(|root| root.remove("$defs"))
    {
        inline(&mut schema, &mut types);
    }
    let mut root = root(schema);
    close(&mut root);
    root.insert("additionalProperties".into(), false.into());
    let description = match root.remove("description") {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    (root, description)
}

/// Puts types in the place of references to them, without their descriptions: what a type is, the sources say to their
/// readers; what a field is for, the field says. A type within itself stays a reference.
fn inline(schema: &mut Value, types: &mut Map<String, Value>) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, types)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|inner| inline(inner, types));
            let reference = fields.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|path| path.strip_prefix("#/$defs/")).map(str::to_owned);
            let Some((name, whole)) = name.and_then(|name| types.remove_entry(&name)) else {
                return;
            };
            let mut meant = whole.clone();
            inline(&mut meant, types);
            types.insert(name, whole);
            fields.remove("$ref");
            for (key, value) in meant.as_object_mut().map(std::mem::take).into_iter().flatten() {
                if key != "description" {
                    fields.entry(key).or_insert(value);
                }
            }
        }
        _ => {}
    }
}

/// Has every object refuse fields that it does not list: a misspelt one would be left out silently.
fn close(schema: &mut Map<String, Value>) {
    let composed = ["anyOf", "oneOf", "allOf"].iter().any(|key| schema.contains_key(*key));
    if schema.contains_key("properties") && !composed {
        schema.entry("additionalProperties").or_insert(false.into());
    }
    let shared = schema.contains_key("properties");
    for (key, inner) in schema {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().filter_map(Value::as_object_mut).for_each(close);
            }
            ("items" | "additionalProperties", Value::Object(inner)) => close(inner),
            // Beside fields of their own parent, options cannot tell which fields are unknown.
            ("anyOf" | "oneOf", Value::Array(options)) if !shared => {
                options.iter_mut().filter_map(Value::as_object_mut).for_each(close);
            }
            _ => {}
        }
    }
}

/// Does something to each schema right within this one.
fn each_inner(schema: &mut Map<String, Value>, act: &mut dyn FnMut(&mut Map<String, Value>)) {
    for (key, inner) in schema {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().filter_map(Value::as_object_mut).for_each(&mut *act);
            }
            ("items" | "additionalProperties", Value::Object(inner)) => act(inner),
            ("anyOf" | "oneOf" | "allOf", Value::Array(options)) => {
                options.iter_mut().filter_map(Value::as_object_mut).for_each(&mut *act);
            }
            _ => {}
        }
    }
}

/// A schema of arguments as a model is shown it. Arguments are held against the whole one, so what is left out is only
/// told when it matters: that unknown fields are refused, that a count is not negative, and a default that is nothing.
#[must_use]
pub fn brief(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut schema = schema.clone();
    shorten(&mut schema);
    schema
}

fn shorten(schema: &mut Map<String, Value>) {
    schema.retain(|key, value| match (key.as_str(), &*value) {
        ("additionalProperties", value) => value.is_object(),
        ("minimum", value) => !matches!(value.as_u64(), Some(0 | 1)),
        ("default", Value::Bool(is_set)) => *is_set,
        ("default", Value::String(text)) => !text.is_empty(),
        ("default", Value::Array(items)) => !items.is_empty(),
        ("default", Value::Object(fields)) => !fields.is_empty(),
        _ => true,
    });
    if let Some(Value::String(text)) = schema.get_mut("description")
        && text.ends_with('.')
        && !text.ends_with("..")
    {
        text.pop();
    }
    each_inner(schema, &mut shorten);
}

/// The schema of what `T` writes.
#[must_use]
pub fn output<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let schema = settings.for_serialize().into_generator().into_root_schema_for::<T>();
    let mut root = root(schema.into());
    root.remove("description");
    keep_shape(&mut root);
    root
}

/// What a reader of results does not need is not sent to every agent with every list.
fn keep_shape(schema: &mut Map<String, Value>) {
    schema.remove("default");
    schema.remove("readOnly");
    each_inner(schema, &mut keep_shape);
}

fn root(mut schema: Value) -> Map<String, Value> {
    normalise(&mut schema);
    let Value::Object(mut fields) = schema else { return Map::new() };
    fields.remove("$schema");
    fields.remove("title");
    fields.entry("type").or_insert_with(|| "object".into());
    if fields.get("type") == Some(&"object".into()) {
        fields.entry("properties").or_insert_with(|| Map::new().into());
    }
    fields
}

/// Normalises a schema in place; returns whether it allowed `null`, which it no longer does.
pub fn normalise(schema: &mut Value) -> bool {
    let Value::Object(fields) = schema else { return false };
    let mut nullable = false;

    if let Some(Value::Array(types)) = fields.get_mut("type") {
        let before = types.len();
        types.retain(|kind| kind != "null");
        nullable |= types.len() < before;
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".into(), only);
        }
    }
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(options)) = fields.get_mut(key) else { continue };
        let before = options.len();
        options.retain(|option| option.get("type") != Some(&"null".into()));
        nullable |= options.len() < before;
        for option in options.iter_mut() {
            normalise(option);
        }
        if let [Value::Object(only)] = options.as_slice() {
            let only = only.clone();
            fields.remove(key);
            for (name, value) in only {
                fields.entry(name).or_insert(value);
            }
        } else if let Some(values) = words(options) {
            // An enum whose variants have descriptions: one list of words is what clients show.
            fields.remove(key);
            fields.insert("type".into(), "string".into());
            fields.insert("enum".into(), values.into());
        }
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        let before = values.len();
        values.retain(|value| !value.is_null());
        nullable |= values.len() < before;
    }
    if fields.get("default") == Some(&Value::Null) {
        fields.remove("default");
    }
    // Formats of JSON Schema stay; widths of Rust integers mean nothing to a client.
    if let Some(Value::String(format)) = fields.get("format")
        && !matches!(format.as_str(), "date-time" | "date" | "uri" | "email" | "uuid")
    {
        fields.remove("format");
    }
    if let Some(Value::String(text)) = fields.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }

    let mut optional = Vec::new();
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for (name, property) in properties {
            if normalise(property) {
                optional.push(name.clone());
            }
        }
    }
    if let Some(Value::Array(required)) = fields.get_mut("required") {
        required
            .retain(|name| name.as_str().is_none_or(|name| !optional.iter().any(|o| o == name)));
        if required.is_empty() {
            fields.remove("required");
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            normalise(inner);
        }
    }
    if fields.get("type") == Some(&"object".into()) && fields.contains_key("properties") {
        fields.remove("title");
    }
    nullable
}

/// The words of an enum whose variants are options of their own, because they have descriptions.
fn words(options: &[Value]) -> Option<Vec<Value>> {
    let mut words = Vec::new();
    for option in options {
        match (option.get("const"), option.get("enum")) {
            (Some(word @ Value::String(_)), _) => words.push(word.clone()),
            (None, Some(Value::Array(more))) => words.extend(more.iter().cloned()),
            _ => return None,
        }
    }
    Some(words)
}

/// Removes `null` fields, which the published schema does not allow.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
