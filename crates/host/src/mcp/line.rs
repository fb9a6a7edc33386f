//! What connects a call with the client that waits for it.

use resto_core::{Code, Error, Result};
use rmcp::model::ProgressNotificationParam;
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;

use super::{is_modern, questions};
use crate::around::Line;
use crate::call::OP_ID;
use crate::observe::Trace;
use crate::policy::Calls;

/// Refuses a call whose client names its operation in a way that would not protect it from running twice.
///
/// # Errors
/// `invalid_input`.
pub(super) fn check_op_id(context: &RequestContext<RoleServer>) -> Result<()> {
    match context.meta.get(OP_ID) {
        None => Ok(()),
        Some(Value::String(own)) if !own.is_empty() => Ok(()),
        Some(_) => Err(Error::new(
            Code::InvalidInput,
            format!("`_meta[\"{OP_ID}\"]` must be a text that is not empty. Nothing was done."),
        )),
    }
}

pub(super) fn line(context: &RequestContext<RoleServer>) -> Line {
    let mut line = Line::new(Calls::Agent);
    line.cancelled = context.ct.clone();
    if !is_modern(context) {
        line.ask = questions::at_once(context);
    }
    let op_id = context.meta.get(OP_ID).and_then(Value::as_str);
    line.op_id = op_id.map(str::to_owned);
    let text = |name: &str| context.meta.get(name).and_then(Value::as_str).map(str::to_owned);
    line.trace = Trace { parent: text("traceparent"), state: text("tracestate") };
    if let Some(token) = context.meta.get_progress_token() {
        let peer = context.peer.clone();
        line.progress = Box::new(move |done, total, message| {
            #[expect(clippy::cast_precision_loss, reason = "the protocol counts in floats")]
            let mut update =
                ProgressNotificationParam::new(token.clone(), done as f64).with_message(message);
            #[expect(clippy::cast_precision_loss, reason = "the protocol counts in floats")]
            if let Some(total) = total {
                update = update.with_total(total as f64);
            }
            let peer = peer.clone();
            // Progress is a courtesy: nobody waits for it, and its loss harms nothing.
            tokio::spawn(async move {
                let _ = peer.notify_progress(update).await;
            });
        });
    }
    line
}
