//! Sends spans to an OpenTelemetry collector, through the one guarded HTTP client.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use resto_core::{Bounds, Code, Error, Http, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use url::Url;

/// How long the last spans may take to leave when the process ends.
const LAST: Duration = Duration::from_secs(3);

/// What sends spans, in a thread of its own.
pub(crate) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Sends to the collector at this address, such as `http://127.0.0.1:4318`. It belongs to the present runtime.
    ///
    /// # Errors
    /// It is no address.
    pub fn start(collector: &str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| {
            Error::new(Code::InvalidInput, format!("telemetry.otlp: {error}"))
        };
        let mut traces = Url::parse(collector).map_err(|error| wrong(&error))?;
        traces
            .path_segments_mut()
            .map_err(|()| wrong(&"no HTTP address"))?
            .pop_if_empty()
            .extend(["v1", "traces"]);
        let client = Client { http: Http::new(Bounds::default())?, runtime: Handle::current() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(traces.as_str())
            .with_protocol(Protocol::HttpJson)
            .build()
            .map_err(|error| wrong(&error))?;
        let resource = Resource::builder_empty()
            .with_attribute(opentelemetry::KeyValue::new("service.name", "resto"))
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("resto")
    }

    /// Sends what is left.
    pub async fn close(self) {
        let Self(provider) = self;
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
        if let Ok(Err(error)) = closing.await {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// The guarded client, for a thread outside the runtime.
#[derive(Debug)]
struct Client {
    http: Http,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Bytes>, HttpError> {
        let (sender, answer) = oneshot::channel();
        let (http, request) = (self.http.clone(), request.map(|body| body.to_vec()));
        self.runtime.spawn(async move {
            // Whoever waited may have given up.
            let _ = sender.send(http.exchange(request).await);
        });
        Ok(answer.await??.map(Bytes::from))
    }
}
