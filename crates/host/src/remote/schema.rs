//! Schemas that others wrote, as every client digests them: a plain object of known keywords, no references, bounded. They
//! are looser than the originals, which the server that wrote them checks itself.

use std::collections::BTreeSet;

use resto_core::{clean_json, normalise_schema};
use serde_json::{Map, Value};

/// How deep a schema is kept; what lies below may be anything.
const DEPTH: usize = 12;

/// Bytes of one schema that are kept: references can multiply what they refer to.
const BYTES: usize = 64 << 10;

/// What each schema within it counts at least.
const PART: usize = 32;

/// The types that there are.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Whether a keyword stays as it is, with this value: what no schema may hold would make the whole of it unusable.
fn is_plain(key: &str, value: &Value) -> bool {
    match key {
        "title" | "description" | "format" => value.is_string(),
        "const" | "default" => true,
        "enum" => value.as_array().is_some_and(|options| !options.is_empty()),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
        "multipleOf" => value.as_f64().is_some_and(|number| number > 0.0),
        "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
        "uniqueItems" => value.is_boolean(),
        _ => false,
    }
}

/// A schema of arguments for our clients. Patterns are left out: to try one can take for ever.
pub(super) fn arguments(theirs: &Map<String, Value>) -> Map<String, Value> {
    let mut theirs = Value::Object(theirs.clone());
    clean_json(&mut theirs);
    let mut left = BYTES;
    let mut ours = kept(&theirs, &theirs, 0, &mut left);
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

/// What is kept of a schema, with what it refers to in the place of each reference, as far as there are bytes left.
fn kept(schema: &Value, root: &Value, depth: usize, left: &mut usize) -> Value {
    let anything = || Value::Object(Map::new());
    let Value::Object(fields) = schema else { return anything() };
    if depth > DEPTH || !take(left, PART) {
        return anything();
    }
    if let Some(Value::String(reference)) = fields.get("$ref") {
        let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let mut found = found.map_or_else(anything, |found| kept(found, root, depth + 1, left));
        if let (Some(Value::String(told)), Some(into)) =
            (fields.get("description"), found.as_object_mut())
            && take(left, told.len())
        {
            into.insert("description".into(), told.as_str().into());
        }
        return found;
    }
    let mut ours = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("type", value) => match types(value) {
                Some(types) => types,
                None => continue,
            },
            (key, _) if is_plain(key, value) => {
                if !take(left, value.to_string().len()) {
                    continue;
                }
                value.clone()
            }
            ("properties", Value::Object(properties)) => {
                let mut known = Map::new();
                for (name, inner) in properties {
                    if take(left, name.len()) {
                        known.insert(name.clone(), kept(inner, root, depth + 1, left));
                    }
                }
                known.into()
            }
            ("required", Value::Array(names)) => {
                let names: BTreeSet<&str> = names.iter().filter_map(Value::as_str).collect();
                names.into_iter().filter(|name| take(left, name.len())).collect()
            }
            ("additionalProperties", Value::Bool(_)) => value.clone(),
            ("items" | "additionalProperties", Value::Object(_)) => {
                kept(value, root, depth + 1, left)
            }
            ("anyOf" | "oneOf", Value::Array(options)) if !options.is_empty() => {
                options.iter().map(|option| kept(option, root, depth + 1, left)).collect()
            }
            _ => continue,
        };
        ours.insert(key.clone(), value);
    }
    Value::Object(ours)
}

/// Takes so many bytes of those that are left, if there are so many; else there are none any more.
fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

/// The types that a value may be of, as far as there are such types.
fn types(told: &Value) -> Option<Value> {
    let is_type = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
    let Value::Array(kinds) = told else { return is_type(told).then(|| told.clone()) };
    let mut known: Vec<&Value> = Vec::new();
    for kind in kinds.iter().filter(|kind| is_type(kind)) {
        if !known.contains(&kind) {
            known.push(kind);
        }
    }
    (!known.is_empty()).then(|| known.into_iter().cloned().collect())
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
        // A long text that is referred to often stays one tool's worth.
        let properties: Map<String, Value> =
            (0..1_000).map(|n| (format!("p{n}"), json!({"$ref": "#/$defs/long"}))).collect();
        let long = json!({"$defs": {"long": {"description": "x".repeat(30_000)}}, "properties": properties});
        assert!(ours(&long).to_string().len() < 2 * BYTES);
        let wide: Vec<Value> = (0..1_000).map(|_| json!({"$ref": "#"})).collect();
        assert!(
            ours(&json!({"properties": {"one": {"anyOf": wide}}})).to_string().len() < 2 * BYTES
        );
    }

    #[test]
    fn a_keyword_that_no_schema_may_hold_costs_nobody_the_tool() {
        let broken = json!({
            "properties": {
                "any": {"type": "any", "minimum": "1", "enum": [], "anyOf": [], "title": 3},
                "many": {"type": ["string", "date", "string"], "multipleOf": 0, "maxLength": -1},
                "none": {"type": []},
            },
            "required": ["any", "any", {}],
        });
        let ours = ours(&broken);
        assert!(jsonschema::validator_for(&ours).unwrap().is_valid(&json!({"any": 1})), "{ours}");
        assert_eq!(ours["properties"]["any"], json!({}));
        assert_eq!(ours["required"], json!(["any"]));
    }
}
