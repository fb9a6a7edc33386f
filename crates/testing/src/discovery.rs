//! Google's own descriptions of its APIs ("discovery documents"), in the words of `OpenAPI`, with the
//! scopes that each method takes.

use serde_json::{Map, Value, json};

/// Where a converted operation keeps the scopes of which it takes any one.
const SCOPES: &str = "x-scopes";

/// The beginnings of the names of the documents that describe the APIs at these addresses.
pub(crate) fn documents<'a>(addresses: impl Iterator<Item = &'a str>) -> Vec<String> {
    addresses
        .filter_map(|url| url.strip_prefix("https://")?.strip_suffix(".googleapis.com"))
        .map(|api| format!("{api}."))
        .collect()
}

/// A discovery document as an `OpenAPI` description.
pub(crate) fn converted(document: &Value) -> Value {
    let mut paths = Map::new();
    collect(document, &mut paths);
    let schemas: Map<String, Value> = document["schemas"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), converted_schema(schema)))
        .collect();
    json!({"paths": paths, "components": {"schemas": schemas}})
}

fn collect(resource: &Value, paths: &mut Map<String, Value>) {
    for method in resource["methods"].as_object().into_iter().flat_map(Map::values) {
        let path = method["flatPath"].as_str().or(method["path"].as_str()).unwrap_or_default();
        let verb = method["httpMethod"].as_str().unwrap_or_default().to_lowercase();
        let parameters: Vec<Value> = method["parameters"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, parameter)| {
                let required = &parameter["required"];
                json!({"name": name, "in": parameter["location"], "required": required,
                    "schema": converted_schema(parameter)})
            })
            .collect();
        let mut operation = json!({"parameters": parameters, SCOPES: method["scopes"]});
        if method["request"].is_object() {
            operation["requestBody"] = json!({"required": true, "content": {
                "application/json": {"schema": converted_schema(&method["request"])}}});
        }
        let item = paths.entry(format!("/{path}")).or_insert_with(|| json!({}));
        item[verb] = operation;
    }
    for inner in resource["resources"].as_object().into_iter().flat_map(Map::values) {
        collect(inner, paths);
    }
}

fn converted_schema(schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return json!({"$ref": format!("#/components/schemas/{name}")});
    }
    let mut fields = Map::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "type" if value == "any" => continue,
            "type" | "enum" => value.clone(),
            "items" | "additionalProperties" => converted_schema(value),
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                properties.map(|(name, inner)| (name.clone(), converted_schema(inner))).collect()
            }
            _ => continue,
        };
        fields.insert(key.clone(), value);
    }
    if fields.contains_key("properties") {
        fields.insert("additionalProperties".into(), false.into());
    }
    fields.into()
}

/// Whether each set of rights holds one of the scopes that an operation takes, where these are known.
pub(crate) fn suffices(operation: &Value, permissions: &[&[&str]]) -> Result<(), String> {
    let Some(scopes) = operation[SCOPES].as_array() else { return Ok(()) };
    let lacking =
        |set: &&&[&str]| !scopes.iter().any(|scope| set.iter().any(|right| scope == right));
    match permissions.iter().find(lacking) {
        None if !permissions.is_empty() => Ok(()),
        _ => Err(format!(
            "the action's PERMISSIONS {permissions:?} need one of {scopes:?} in each set"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recorded;
    use crate::official::{UNLISTED, judge};

    #[test]
    fn holds_a_request_against_a_discovery_document_and_its_scopes() {
        let document = json!({
            "schemas": {
                "Shelf": {"id": "Shelf", "type": "object", "properties": {
                    "name": {"type": "string"}, "of": {"$ref": "Shelf"}, "sizes": {"type": "array", "items": {"type": "integer"}}}},
            },
            "resources": {"rooms": {"resources": {"shelves": {"methods": {"create": {
                "flatPath": "v1/rooms/{room}/shelves", "path": "v1/{+parent}/shelves", "httpMethod": "POST",
                "parameters": {
                    "parent": {"location": "path", "required": true, "type": "string"},
                    "fields": {"location": "query", "type": "string", "repeated": true},
                    "validate": {"location": "query", "type": "boolean", "required": true}},
                "request": {"$ref": "Shelf"}, "scopes": ["library", "shelves"]}}}}}},
        });
        let description = converted(&document);
        let verdict = |target: &str, body: Value| {
            let url = url::Url::parse(&format!("https://library.example{target}")).unwrap();
            let request = Recorded {
                method: "POST".to_owned(),
                path: url.path().to_owned(),
                query: url.query_pairs().into_owned().collect(),
                headers: [].into(),
                body,
            };
            judge(&description, &request)
                .and_then(|operation| suffices(operation, &[&["shelves", "x"]]))
        };
        let target = "/v1/rooms/7/shelves?validate=true";
        assert_eq!(verdict(target, json!({"name": "n", "of": {"sizes": [1]}})), Ok(()));
        assert!(verdict("/v1/rooms/7/shelves", json!({})).unwrap_err().contains("`validate`"));
        assert!(verdict(target, json!({"nam": 1})).unwrap_err().contains("no field `nam`"));
        assert!(verdict(target, json!({"of": {"sizes": ["s"]}})).unwrap_err().contains("/of"));
        assert_eq!(verdict("/v1/shelves", json!({})).unwrap_err(), UNLISTED);
        let operation = json!({SCOPES: ["library", "shelves"]});
        for lacking in [&[] as &[&[&str]], &[&["library"], &["x"]]] {
            assert!(suffices(&operation, lacking).unwrap_err().contains("PERMISSIONS"));
        }
    }
}
