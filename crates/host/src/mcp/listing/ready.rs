//! Lists as they go over the wire: made once for each tool, because rmcp writes every schema anew for each request, which is
//! most of what a list costs.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use rmcp::service::{RequestContext, RoleServer};

use crate::mcp::is_modern;

/// Where the tools begin in an answer. Nothing that a client says comes before them with its quotes as they are.
const TOOLS: &[u8] = b"\"tools\":[";

/// Tools that wait for the answer which they belong to.
#[derive(Clone, Default)]
pub(in crate::mcp) struct Ready(Arc<OnceLock<Vec<u8>>>);

impl Ready {
    /// For an answer that goes out in one piece. One of a session goes through its stream.
    pub(in crate::mcp) fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        let ready = context.extensions.get::<Parts>()?.extensions.get()?;
        is_modern(context).then_some(ready)
    }

    /// Leaves the tools, each as it goes over the wire, with commas between them.
    pub(super) fn leave(&self, tools: Vec<u8>) {
        // A list is answered once.
        let _ = self.0.set(tools);
    }
}

/// Puts the tools that were left for an answer into it. Not for a door where the answer goes another way than the request came.
pub(crate) async fn with_ready_list(mut request: Request, next: Next) -> Response {
    if request.headers().get("mcp-method").is_none_or(|method| method != "tools/list") {
        return next.run(request).await;
    }
    let ready = Ready::default();
    request.extensions_mut().insert(ready.clone());
    let answer = next.run(request).await;
    let Some(tools) = ready.0.get() else { return answer };
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    match spliced(&body, tools) {
        Some(body) => Response::from_parts(parts, Body::from(body)),
        None => {
            tracing::error!("the answer to tools/list has no room for the tools");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The answer with these tools before those that it has.
fn spliced(answer: &[u8], tools: &[u8]) -> Option<Vec<u8>> {
    let at = answer.windows(TOOLS.len()).position(|part| part == TOOLS)? + TOOLS.len();
    let (before, after) = answer.split_at_checked(at)?;
    let comma: &[u8] = if tools.is_empty() || after.starts_with(b"]") { b"" } else { b"," };
    Some([before, tools, comma, after].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spliced_into(answer: &Value, tools: &str) -> Value {
        let spliced = spliced(answer.to_string().as_bytes(), tools.as_bytes()).unwrap();
        serde_json::from_slice(&spliced).unwrap()
    }

    #[test]
    fn the_tools_are_where_an_answer_has_them() {
        // What a client chose as the id of its request.
        let id = r#"x","tools":["#;
        let answer =
            |tools: Value| json!({"id": id, "result": {"cacheScope": "private", "tools": tools}});
        let (one, two) = (json!({"name": "one"}), json!({"name": "two", "tools": []}));
        let both = format!("{one},{two}");
        assert_eq!(spliced_into(&answer(json!([])), ""), answer(json!([])));
        assert_eq!(spliced_into(&answer(json!([])), &both), answer(json!([one, two])));
        assert_eq!(spliced_into(&answer(json!([two])), &both), answer(json!([one, two, two])));
        assert_eq!(spliced_into(&answer(json!([two])), ""), answer(json!([two])));
        assert!(spliced(br#"{"id":1,"error":{}}"#, b"{}").is_none());
    }
}
