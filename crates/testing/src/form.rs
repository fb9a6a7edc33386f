//! Form bodies and queries with nested names, `a[b][0]=c`, as JSON: first as texts, then in the
//! types that the provider's official description gives them.

use serde_json::{Map, Value};

/// The fields of a form as nested JSON, every value a text.
pub(crate) fn decode(fields: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, text) in fields {
        let mut place = &mut root;
        for key in keys(&name) {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let members = place.as_object_mut().unwrap();
            // `a[]` is one more item of a list.
            let key = if key.is_empty() { members.len().to_string() } else { key };
            place = members.entry(key).or_insert(Value::Null);
        }
        *place = text.into();
    }
    lists(&mut root);
    root
}

/// `a[b][0]` as `a`, `b`, `0`.
fn keys(name: &str) -> Vec<String> {
    name.split('[').map(|key| key.strip_suffix(']').unwrap_or(key).to_owned()).collect()
}

/// Turns objects whose names count from zero into lists.
fn lists(value: &mut Value) {
    let Value::Object(members) = value else { return };
    members.values_mut().for_each(lists);
    let counts = members.keys().enumerate().all(|(index, key)| *key == index.to_string());
    if counts && !members.is_empty() {
        *value = members.values_mut().map(Value::take).collect();
    }
}

/// The texts of a decoded form in the types of its schema.
///
/// # Errors
/// A field that the schema does not have.
pub(crate) fn typed(
    schema: &Value,
    resolve: &dyn Fn(&Value) -> Value,
    fits: &dyn Fn(&Value, &Value) -> bool,
    value: &Value,
) -> Result<Value, String> {
    let schema = resolve(schema);
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema.get(key).and_then(Value::as_array) {
            let mut refused = Ok(value.clone());
            for option in options {
                match typed(option, resolve, fits, value) {
                    Ok(typed) if fits(option, &typed) => return Ok(typed),
                    Ok(_) => {}
                    Err(why) => refused = Err(why),
                }
            }
            return refused;
        }
    }
    match value {
        Value::String(text) => {
            // Some descriptions inherit the type from another schema.
            let inherited = || schema.pointer("/allOf/0").map(resolve);
            let schema =
                if schema.get("type").is_none() { inherited() } else { None }.unwrap_or(schema);
            Ok(scalar(&schema, text))
        }
        Value::Array(items) => items
            .iter()
            .map(|item| typed(schema.get("items").unwrap_or(&Value::Null), resolve, fits, item))
            .collect(),
        Value::Object(members) => {
            let mut fields = Map::new();
            for (name, member) in members {
                let known = schema.pointer(&format!("/properties/{name}"));
                let other = schema.get("additionalProperties").filter(|other| other.is_object());
                let free = schema.get("properties").is_none();
                let inner = match known.or(other) {
                    Some(inner) => inner,
                    None if free => &Value::Null,
                    None => return Err(format!("it has no field `{name}`")),
                };
                let typed = typed(inner, resolve, fits, member)
                    .map_err(|why| format!("`{name}`: {why}"))?;
                fields.insert(name.clone(), typed);
            }
            Ok(fields.into())
        }
        other => Ok(other.clone()),
    }
}

/// A text in the type that its schema wants; the text itself where it cannot be read so.
fn scalar(schema: &Value, text: &str) -> Value {
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    let read = match kind {
        Some("integer") => text.parse::<i64>().ok().map(Value::from),
        Some("number") => text.parse::<f64>().ok().map(Value::from),
        Some("boolean") => text.parse::<bool>().ok().map(Value::from),
        Some("array") => Some(text.split(',').collect()),
        _ => None,
    };
    read.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(text: &str) -> Value {
        decode(url::form_urlencoded::parse(text.as_bytes()).into_owned())
    }

    #[test]
    fn reads_nested_names() {
        assert_eq!(
            form(
                "a=1&b[c]=x+y&items[0][price]=p&items[0][quantity]=2&items[1][price]=q&e[]=f&e[]=g"
            ),
            json!({"a": "1", "b": {"c": "x y"}, "items": [{"price": "p", "quantity": "2"}, {"price": "q"}], "e": ["f", "g"]})
        );
    }

    #[test]
    fn types_texts_by_the_schema_and_refuses_unknown_fields_at_any_depth() {
        let schema = json!({"properties": {
            "amount": {"type": "integer"}, "rate": {"type": "number"}, "name": {"type": "string"}, "on": {"type": "boolean"},
            "created": {"anyOf": [{"type": "object", "properties": {"gte": {"type": "integer"}}}, {"type": "integer"}]},
            "page": {"allOf": [{"type": "integer"}], "maximum": 9}, "names": {"type": "array", "items": {"type": "string"}},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        let fits = |schema: &Value, value: &Value| {
            jsonschema::validator_for(schema).is_ok_and(|validator| validator.is_valid(value))
        };
        let typed = |text: &str| typed(&schema, &Value::clone, &fits, &form(text));
        assert_eq!(
            typed("amount=5&rate=2.5&name=7&on=true&created[gte]=9&metadata[x]=1"),
            Ok(
                json!({"amount": 5, "rate": 2.5, "name": "7", "on": true, "created": {"gte": 9}, "metadata": {"x": "1"}})
            )
        );
        assert_eq!(typed("page=2&names=a,b"), Ok(json!({"page": 2, "names": ["a", "b"]})));
        assert_eq!(typed("created=9&amount=five"), Ok(json!({"created": 9, "amount": "five"})));
        assert_eq!(typed("created[until]=9"), Err("`created`: it has no field `until`".to_owned()));
        assert!(typed("colour=red").is_err());
    }
}
