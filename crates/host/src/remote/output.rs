//! What tools of remote servers answer, in one shape.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Map, Value, json};

/// What each tool answers with: what servers say of their own answers is not relied on.
pub(super) fn schema() -> Map<String, Value> {
    let schema = json!({
        "type": "object",
        "properties": {
            "text": {"type": "array", "items": {"type": "string"}, "description": "What the server says."},
            "structured": {"type": "object", "description": "The same as data, where the server has it."},
            "files": {
                "type": "array",
                "description": "What the server has besides; the bytes of images and the like are left out.",
                "items": {
                    "type": "object",
                    "properties": {
                        "kind": {"type": "string"},
                        "uri": {"type": "string"},
                        "name": {"type": "string"},
                        "mime_type": {"type": "string"},
                        "text": {"type": "string"},
                        "base64_length": {"type": "integer"}
                    },
                    "required": ["kind"]
                }
            }
        }
    });
    match schema {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What a tool answered.
pub(super) fn of(result: &CallToolResult) -> Value {
    let structured = result.structured_content.as_ref().filter(|value| value.is_object());
    let (mut text, mut files) = (Vec::new(), Vec::new());
    for block in &result.content {
        match block {
            // The same as text, for clients that know no other.
            ContentBlock::Text(told)
                if structured.is_some()
                    && serde_json::from_str(&told.text).ok().as_ref() == structured => {}
            ContentBlock::Text(told) => text.push(Value::from(told.text.as_str())),
            other => files.push(file(other)),
        }
    }
    let mut output = Map::new();
    if let Some(structured) = structured {
        output.insert("structured".into(), structured.clone());
    } else if let Some(other) = &result.structured_content
        && text.is_empty()
    {
        text.push(other.to_string().into());
    }
    for (name, list) in [("text", text), ("files", files)] {
        if !list.is_empty() {
            output.insert(name.into(), list.into());
        }
    }
    output.into()
}

fn file(block: &ContentBlock) -> Value {
    let mut file = match block {
        ContentBlock::Image(image) => {
            json!({"kind": "image", "mime_type": image.mime_type, "base64_length": image.data.len()})
        }
        ContentBlock::Audio(audio) => {
            json!({"kind": "audio", "mime_type": audio.mime_type, "base64_length": audio.data.len()})
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, mime_type, text, .. } => {
                json!({"kind": "text", "uri": uri, "mime_type": mime_type, "text": text})
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                json!({"kind": "bytes", "uri": uri, "mime_type": mime_type, "base64_length": blob.len()})
            }
            _ => json!({"kind": "unknown"}),
        },
        ContentBlock::ResourceLink(link) => {
            json!({"kind": "link", "uri": link.uri, "name": link.name, "mime_type": link.mime_type})
        }
        _ => json!({"kind": "unknown"}),
    };
    if let Some(fields) = file.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    file
}
