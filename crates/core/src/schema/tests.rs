//! Schemas as they are published and as they are shown.

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
                "cursor": {"description": "A `next_cursor`.", "type": "string"},
                "limit": {"description": "Default 30.", "type": "integer", "minimum": 1, "maximum": 100},
            },
            "required": ["name"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn shows_a_model_what_it_needs_to_fill_it_in() {
    /// A card.
    #[derive(Deserialize, JsonSchema)]
    struct Card {
        state: State,
        /// From the top.
        #[schemars(range(min = 2))]
        row: u8,
    }
    #[derive(Deserialize, JsonSchema)]
    struct Board {
        cards: Vec<Card>,
        /// Goes on ...
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        is_new: bool,
        #[serde(default = "three")]
        limit: u32,
        labels: std::collections::BTreeMap<String, u32>,
    }
    fn three() -> u32 {
        3
    }
    let (whole, _) = input::<Board>();
    assert_eq!(whole["properties"]["cards"]["items"]["additionalProperties"], false);
    assert_eq!(
        Value::Object(brief(&whole)),
        json!({
            "type": "object",
            "properties": {
                "cards": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "state": {"type": "string", "enum": ["open", "closed"]},
                        "row": {"description": "From the top", "type": "integer", "minimum": 2, "maximum": 255},
                    },
                    "required": ["state", "row"],
                }},
                "names": {"description": "Goes on ...", "type": "array", "items": {"type": "string"}},
                "is_new": {"type": "boolean"},
                "limit": {"type": "integer", "default": 3},
                "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
            "required": ["cards", "labels"],
        })
    );
    let _ = |board: Board| {
        let cards = board.cards.into_iter().map(|card| (card.state, card.row));
        (cards.count(), board.names, board.is_new, board.limit, board.labels)
    };
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
    let closed = |pointer: &str| schema.pointer(pointer).unwrap()["additionalProperties"].clone();
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
        (outer.one, outer.many, outer.changes, outer.labels, outer.mixed.flag, outer.mixed.change)
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
