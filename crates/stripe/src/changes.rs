//! What an update sends: the fields that were given, at least one.

use resto_core::{Code, Error, Result};
use serde_json::Value;

/// The fields that are not `null`.
///
/// # Errors
/// There is none, so that nothing would change.
pub(crate) fn given(mut changes: Value) -> Result<Value> {
    if let Value::Object(fields) = &mut changes {
        fields.retain(|_, value| !value.is_null());
        if fields.is_empty() {
            return Err(Error::new(
                Code::InvalidInput,
                "invalid input: no field to change was given. Nothing was sent.",
            ));
        }
    }
    Ok(changes)
}
