//! What those who run this server see of it: one span for each call, with neither arguments nor results, and counts of
//! calls and of jobs.

mod door;
mod export;

use std::collections::HashMap;
use std::time::Instant;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use resto_core::Code;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::call::Failed;

pub(crate) use door::{health, listen};
pub(crate) use export::Exporter;

/// Which trace a call belongs to, as its caller says (W3C Trace Context, in `_meta`).
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// `traceparent`.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
}

/// A call while it is looked at.
pub(crate) struct Watched {
    /// The span in which it runs.
    pub span: Span,
    tool: String,
    integration: &'static str,
    began: Instant,
}

impl Watched {
    /// A tool that there is not is counted as `unknown`, whatever its name: strangers choose that.
    pub fn begin(tool: Option<&str>, integration: &'static str, trace: &Trace) -> Self {
        let tool = tool.unwrap_or("unknown").to_owned();
        let span = tracing::info_span!(
            "call",
            tool,
            integration,
            status = tracing::field::Empty,
            otel.kind = "server",
            otel.status_code = tracing::field::Empty
        );
        if let Some(parent) = &trace.parent {
            let mut carrier = HashMap::from([("traceparent".to_owned(), parent.clone())]);
            carrier.extend(trace.state.clone().map(|state| ("tracestate".to_owned(), state)));
            // Without an exporter nobody is interested.
            let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
        }
        metrics::gauge!("resto_calls_under_way").increment(1);
        Self { span, tool, integration, began: Instant::now() }
    }

    pub fn end<T>(self, called: &Result<T, Failed>, is_repeated: impl FnOnce(&T) -> bool) {
        let status = match called {
            Ok(called) if is_repeated(called) => "repeated".to_owned(),
            Ok(_) => "success".to_owned(),
            Err(Failed::UnknownTool) => "unknown_tool".to_owned(),
            Err(Failed::Approval(_)) => "approval".to_owned(),
            Err(Failed::Secret(_)) => "secret".to_owned(),
            Err(Failed::Tool(error)) => error.code().to_string(),
        };
        self.span.record("status", status.as_str());
        let is_fault = matches!(called, Err(Failed::Tool(error)) if error.code() == Code::Internal);
        if is_fault {
            self.span.record("otel.status_code", "ERROR");
        }
        let Self { tool, integration, began, .. } = self;
        metrics::gauge!("resto_calls_under_way").decrement(1);
        metrics::counter!("resto_calls_total", "tool" => tool, "integration" => integration, "status" => status)
            .increment(1);
        metrics::histogram!("resto_call_duration_seconds", "integration" => integration)
            .record(began.elapsed());
    }
}

/// Counts a job that was done.
pub(crate) fn job(kind: &str, succeeded: bool) {
    let outcome = if succeeded { "success" } else { "error" };
    metrics::counter!("resto_jobs_total", "kind" => kind.to_owned(), "outcome" => outcome)
        .increment(1);
}
