//! JSON values as the text of queries and forms.

use serde_json::Value;

/// The fields of a form, nested ones by their path: `a[b]`, `a[0]`. `null` is left out.
pub(crate) fn flatten(path: String, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}[{key}]") };
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, member) in members {
                flatten(below(key), member, fields);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(below(&index.to_string()), item, fields);
            }
        }
        Value::String(text) => fields.push((path, text.clone())),
        other => fields.push((path, other.to_string())),
    }
}

/// A value as the text of one parameter; lists are joined by commas.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(plain).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}
