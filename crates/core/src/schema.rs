//! JSON schemas as every model provider and client accepts them: object at the root, no references,
//! no type arrays, no formats that only Rust knows, unknown input fields refused.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// The schema of what `T` reads, without its description, and the description.
#[must_use]
pub fn input<T: JsonSchema>() -> (Map<String, Value>, String) {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut root = root(settings.for_deserialize().into_generator().into_root_schema_for::<T>());
    close(&mut root);
    root.insert("additionalProperties".into(), false.into());
    let description = match root.remove("description") {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    (root, description)
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

/// The schema of what `T` writes.
#[must_use]
pub fn output<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut root = root(settings.for_serialize().into_generator().into_root_schema_for::<T>());
    root.remove("description");
    keep_shape(&mut root);
    root
}

/// What a reader of results does not need is not sent to every agent with every list.
fn keep_shape(schema: &mut Map<String, Value>) {
    schema.remove("default");
    schema.remove("readOnly");
    for (key, inner) in schema {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().filter_map(Value::as_object_mut).for_each(keep_shape);
            }
            ("items" | "additionalProperties", Value::Object(inner)) => keep_shape(inner),
            ("anyOf" | "oneOf" | "allOf", Value::Array(options)) => {
                options.iter_mut().filter_map(Value::as_object_mut).for_each(keep_shape);
            }
            _ => {}
        }
    }
}

fn root(schema: Schema) -> Map<String, Value> {
    let mut value = Value::from(schema);
    normalise(&mut value);
    let Value::Object(mut fields) = value else { return Map::new() };
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
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::PageRequest;

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum State {
        /// Being worked on.
        Open,
        /// Done.
        Closed,
    }

    /// Lists things,
    /// nicely.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Input {
        /// Which ones.
        state: Option<State>,
        count: Option<u32>,
        name: String,
        #[serde(flatten)]
        page: PageRequest,
    }

    #[test]
    fn publishes_plain_inputs() {
        let (schema, description) = input::<Input>();
        assert_eq!(description, "Lists things, nicely.");
        assert_eq!(
            Value::Object(schema),
            json!({
                "type": "object",
                "properties": {
                    "state": {"description": "Which ones.", "type": "string", "enum": ["open", "closed"]},
                    "count": {"type": "integer", "minimum": 0},
                    "name": {"type": "string"},
                    "cursor": {"description": "`next_cursor` of the page before.", "type": "string"},
                    "limit": {"description": "How many; 30 if left out.", "type": "integer", "minimum": 1, "maximum": 100},
                },
                "required": ["name"],
                "additionalProperties": false,
            })
        );
    }

    #[test]
    fn refuses_unknown_fields_at_every_depth() {
        #[derive(Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        enum Change {
            Add { name: String },
            Remove { name: String },
        }
        #[derive(Deserialize, JsonSchema)]
        struct Inner {
            flag: Option<bool>,
            #[serde(flatten)]
            change: Change,
        }
        #[derive(Deserialize, JsonSchema)]
        struct Outer {
            one: Option<PageRequest>,
            many: Vec<PageRequest>,
            changes: Vec<Change>,
            mixed: Inner,
            labels: std::collections::BTreeMap<String, String>,
        }
        let (schema, _) = input::<Outer>();
        let schema = Value::Object(schema);
        let closed =
            |pointer: &str| schema.pointer(pointer).unwrap()["additionalProperties"].clone();
        for pointer in ["", "/properties/one", "/properties/many/items"] {
            assert_eq!(closed(pointer), json!(false), "{pointer}");
        }
        for option in 0..2 {
            let option = format!("/properties/changes/items/oneOf/{option}");
            assert_eq!(closed(&option), json!(false), "{option}");
        }
        // An object with fields and options is left open: a field of the one is unknown to the other.
        assert_eq!(closed("/properties/mixed"), Value::Null);
        assert_eq!(closed("/properties/labels")["type"], "string");
        let _ = |change: Change| match change {
            Change::Add { name } | Change::Remove { name } => name,
        };
        let _ = |outer: Outer| {
            (
                outer.one,
                outer.many,
                outer.changes,
                outer.labels,
                outer.mixed.flag,
                outer.mixed.change,
            )
        };
    }

    #[test]
    fn publishes_optional_outputs_as_optional() {
        let schema = output::<Input>();
        assert_eq!(schema.get("required"), Some(&json!(["name"])));
        let mut value = json!({"state": null, "name": "n", "list": [{"x": null}]});
        drop_nulls(&mut value);
        assert_eq!(value, json!({"name": "n", "list": [{}]}));
    }
}
