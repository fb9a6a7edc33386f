//! Health and metrics over HTTP. They tell nothing of any tenant.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use resto_core::{Code, Error, Result};
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::http::{Server, answer};

/// How long the database may take to answer whether it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often what was measured is summed up, so that it does not pile up where nobody asks for it.
const UPKEEP: Duration = Duration::from_secs(10);

/// Upper bounds of the durations of calls, in seconds: from a refusal at once to the longest that a provider may take.
const BUCKETS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// What was measured since the process began.
#[derive(Clone)]
struct Metrics(PrometheusHandle);

impl Metrics {
    /// Measures from now on.
    ///
    /// # Errors
    /// Something else of this process measures already.
    fn start(closing: CancellationToken) -> Result<Self> {
        let fault = |error: &dyn std::fmt::Display| {
            Error::new(Code::Internal, format!("Metrics cannot be collected: {error}"))
        };
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .map_err(|error| fault(&error))?
            .install_recorder()
            .map_err(|error| fault(&error))?;
        metrics::describe_counter!("resto_calls_total", "Calls of tools, by how they ended.");
        metrics::describe_gauge!("resto_calls_under_way", "Calls of tools that run now.");
        metrics::describe_histogram!(
            "resto_call_duration_seconds",
            "How long calls of tools took."
        );
        metrics::describe_counter!("resto_jobs_total", "Jobs that were done without being called.");
        let summed = handle.clone();
        tokio::spawn(async move {
            while closing.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
                summed.run_upkeep();
            }
        });
        Ok(Self(handle))
    }
}

/// `/healthz`: the process answers. `/readyz`: it takes calls, which it does not while it stops or without its database.
pub(crate) fn health(host: Arc<Host>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(host)
}

async fn ready(State(host): State<Arc<Host>>) -> impl IntoResponse {
    if host.closing.is_cancelled() || host.tasks.is_closed() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(PATIENCE, host.vault.answers()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

/// Serves metrics and health at an address of their own, which is not for the public.
///
/// # Errors
/// The address cannot be listened on, or the metrics cannot be collected.
pub(crate) async fn listen(host: Arc<Host>, address: SocketAddr) -> Result<SocketAddr> {
    let metrics = Metrics::start(host.closing.clone())?;
    let Server { listener, address } = Server::bind(address).await?;
    let render = async move || {
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, metrics.0.render())
    };
    let app = health(host.clone()).route("/metrics", get(render));
    tokio::spawn(answer(listener, app, host.closing.clone()));
    Ok(address)
}
