//! What a client is told of a call that ended.

use resto_core::{Code, Details, Error};
use rmcp::model::{CallToolResult, ContentBlock, MetaObject};

use super::watching;
use crate::call::{Called, OP_ID};

/// The result as structured content, and as text for clients that know no other; marked as text
/// from elsewhere.
pub(super) fn success(called: Called) -> CallToolResult {
    let mut meta = MetaObject::new();
    meta.insert("dev.resto/untrusted_content_from".to_owned(), called.origin.into());
    let mut result = CallToolResult::structured(called.output);
    result.content.extend(called.files.iter().map(watching::resource_link));
    if called.is_repeated {
        meta.insert("dev.resto/repeated".to_owned(), true.into());
        result.content.push(ContentBlock::text(format!(
            "The same call was made just before: this is its result, and nothing was done again. To do it again on purpose, call two minutes later, or send a new `_meta[\"{OP_ID}\"]`."
        )));
    }
    result.meta = Some(meta);
    result
}

/// An error as text only: clients hold structured content against the schema of success.
pub(super) fn failure(error: &Error) -> CallToolResult {
    let details: &Details = error.details();
    let value = serde_json::to_value(details).unwrap_or_default();
    let mut meta = MetaObject::new();
    meta.insert("dev.resto/error".to_owned(), value.clone());
    let mut result = CallToolResult::error(vec![ContentBlock::text(value.to_string())]);
    result.meta = Some(meta);
    if error.code() == Code::Internal {
        tracing::error!(message = error.message(), "a call failed inside this server");
    }
    result
}
