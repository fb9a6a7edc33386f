//! References to other objects: Stripe answers an id, or the object itself where it was expanded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The id of another object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Reference", into = "String")]
pub struct Id(pub(crate) String);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl From<Reference> for Id {
    fn from(reference: Reference) -> Self {
        match reference {
            Reference::Id(id) | Reference::Object { id } => Self(id),
        }
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_an_id_or_the_object_itself() {
        let ids: Vec<Id> =
            serde_json::from_value(json!(["cus_1", {"id": "cus_2", "object": "customer"}]))
                .unwrap();
        assert_eq!(serde_json::to_value(ids).unwrap(), json!(["cus_1", "cus_2"]));
    }
}
