//! Schemas that others wrote, as every client digests them: a plain object of known keywords, no references, bounded. They
//! are looser than the originals, which the server that wrote them checks itself.

use resto_core::{clean_json, normalise_schema};
use serde_json::{Map, Value};

/// How deep a schema is kept; what lies below may be anything.
const DEPTH: usize = 12;

/// Schemas within one schema that are kept: references can multiply them.
const PARTS: usize = 1_000;

/// Keywords that stay as they are.
const PLAIN: [&str; 17] = [
    "type",
    "title",
    "description",
    "enum",
    "const",
    "default",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
];

/// A schema of arguments for our clients. Patterns are left out: to try one can take for ever.
pub(super) fn arguments(theirs: &Map<String, Value>) -> Map<String, Value> {
    let mut theirs = Value::Object(theirs.clone());
    clean_json(&mut theirs);
    let mut parts = PARTS;
    let mut ours = kept(&theirs, &theirs, 0, &mut parts);
    normalise_schema(&mut ours);
    split_types(&mut ours);
    let Value::Object(mut fields) = ours else { return Map::new() };
    // Some models refuse a whole list of tools for one of these at the root.
    for key in ["anyOf", "oneOf", "enum", "const", "title", "default"] {
        fields.remove(key);
    }
    fields.insert("type".into(), "object".into());
    fields.entry("properties").or_insert_with(|| Map::new().into());
    fields
}

/// What is kept of a schema, with what it refers to in the place of each reference.
fn kept(schema: &Value, root: &Value, depth: usize, parts: &mut usize) -> Value {
    let anything = || Value::Object(Map::new());
    let Value::Object(fields) = schema else { return anything() };
    if depth > DEPTH || *parts == 0 {
        return anything();
    }
    *parts -= 1;
    if let Some(Value::String(reference)) = fields.get("$ref") {
        let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let mut found = found.map_or_else(anything, |found| kept(found, root, depth + 1, parts));
        if let (Some(told), Some(into)) = (fields.get("description"), found.as_object_mut()) {
            into.insert("description".into(), told.clone());
        }
        return found;
    }
    let mut ours = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("type", Value::String(_) | Value::Array(_)) => value.clone(),
            ("type", _) => continue,
            (key, _) if PLAIN.contains(&key) => value.clone(),
            ("properties", Value::Object(properties)) => properties
                .iter()
                .map(|(name, inner)| (name.clone(), kept(inner, root, depth + 1, parts)))
                .collect::<Map<_, _>>()
                .into(),
            ("required", Value::Array(names)) => {
                names.iter().filter(|name| name.is_string()).cloned().collect()
            }
            ("additionalProperties", Value::Bool(_)) => value.clone(),
            ("items" | "additionalProperties", Value::Object(_)) => {
                kept(value, root, depth + 1, parts)
            }
            ("anyOf" | "oneOf", Value::Array(options)) => {
                options.iter().map(|option| kept(option, root, depth + 1, parts)).collect()
            }
            _ => continue,
        };
        ours.insert(key.clone(), value);
    }
    Value::Object(ours)
}

/// Says of what may be of several types that it is any of these: some clients know no lists of types.
fn split_types(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if let Some(Value::Array(types)) = fields.get("type") {
        let options: Vec<Value> =
            types.iter().map(|kind| serde_json::json!({ "type": kind })).collect();
        fields.remove("type");
        fields.entry("anyOf").or_insert(options.into());
    }
    for (key, inner) in fields {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(split_types);
            }
            ("items" | "additionalProperties", inner) => split_types(inner),
            ("anyOf" | "oneOf", Value::Array(options)) => options.iter_mut().for_each(split_types),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours(theirs: &Value) -> Value {
        Value::Object(arguments(theirs.as_object().unwrap()))
    }

    #[test]
    fn what_clients_choke_on_is_made_plain() {
        let theirs = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$defs": {"Sort": {"type": "string", "enum": ["up", "down"]}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "properties": {
                "sort": {"$ref": "#/$defs/Sort", "description": "Which\u{202e} way."},
                "name": {"type": ["string", "null"], "pattern": "(a+)+$"},
                "id": {"type": ["string", "integer"], "x-mcp-header": "Id"},
                "gone": {"$ref": "https://evil.example/schema"},
            },
            "required": ["id", 7],
        });
        assert_eq!(
            ours(&theirs),
            json!({
                "properties": {
                    "sort": {"type": "string", "enum": ["up", "down"], "description": "Which way."},
                    "name": {"type": "string"},
                    "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    "gone": {},
                },
                "required": ["id"],
                "type": "object",
            })
        );
    }

    #[test]
    fn a_schema_without_end_comes_to_one() {
        let endless = json!({"properties": {"child": {"$ref": "#"}, "other": {"$ref": "#"}}});
        assert!(ours(&endless).to_string().len() < 100_000);
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({"items": deep, "type": "array"});
        }
        let deep = ours(&json!({"properties": {"deep": deep}}));
        assert!(deep.to_string().len() < 1_000, "{deep}");
        assert_eq!(ours(&json!({"type": 7, "properties": 3}))["properties"], json!({}));
    }
}
