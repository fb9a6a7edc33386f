//! Which requests an action sends, as the spans of the core tell them.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer};

/// Methods with the templates of paths, such as `GET /repos/{}/{}`.
#[derive(Clone, Default)]
pub(crate) struct Sent(pub(crate) Arc<Mutex<BTreeSet<String>>>);

impl<S: Subscriber> Layer<S> for Sent {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        attributes.record(&mut self.clone());
    }
}

impl Visit for Sent {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "otel.name" {
            self.0.lock().unwrap().insert(format!("{value:?}"));
        }
    }
}
