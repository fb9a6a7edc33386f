//! Logs, on standard error. `RUST_LOG` chooses what is shown, below a ceiling for libraries that
//! would write arguments, results or headers. Each event is one line, whatever is in it.

use std::fmt::Write as _;
use std::io::{self, Write};

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::observe::Exporter;

/// What our own crates are called. They log no secrets, and are the only ones without a ceiling.
const OURS: &str = "resto_";

/// It writes error data at WARN, and whole arguments and results below.
const TALKATIVE: &str = "rmcp";

/// Where it calls an error that the other side has gone: a session with a remote server that ended, which is told to whoever
/// called it, and a client that hung up before its answer. A task of it that panics is told where all panics are.
const GONE: [&str; 2] = ["rmcp::transport::worker", "rmcp::service"];

/// Logs from now on, and sends spans where the exporter is for.
pub(super) fn start(json: bool, exporter: Option<&Exporter>) {
    let chosen =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // Of libraries nothing leaves: their spans and events hold what ours leave out.
    let spans = exporter.map(|exporter| {
        tracing_opentelemetry::layer()
            .with_tracer(exporter.tracer())
            .with_filter(FilterFn::new(|metadata| metadata.is_span() && is_ours(metadata.target())))
    });
    let logged = tracing_subscriber::registry().with(spans).with(layer(io::stderr, chosen, json));
    // A second start, as in tests, keeps the first.
    let _ = logged.try_init();
}

fn layer<S, W>(writer: W, chosen: EnvFilter, json: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let ceiling = FilterFn::new(|metadata| within(metadata.target(), *metadata.level()));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(OneLine(writer))
        // In a coloured line, nobody could tell our colours from those in what is told.
        .with_ansi(false);
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    lines.with_filter(chosen.and(ceiling))
}

fn is_ours(target: &str) -> bool {
    target.starts_with(OURS)
}

fn within(target: &str, level: Level) -> bool {
    if is_ours(target) {
        return true;
    }
    if GONE.contains(&target) {
        return false;
    }
    let most = match target.strip_prefix(TALKATIVE) {
        Some(rest) if !rest.starts_with(char::is_alphanumeric) => Level::ERROR,
        _ => Level::WARN,
    };
    level <= most
}

/// Writes each event as one line: what somebody else chose the text of could end it, and begin one of its own.
struct OneLine<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLine<W> {
    /// Is given one whole event, with its line end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = String::with_capacity(text.len() + 1);
        for character in text.chars() {
            match character {
                '\u{2028}' | '\u{2029}' => {
                    let _ = write!(line, "{}", character.escape_unicode());
                }
                _ if character.is_control() => {
                    let _ = write!(line, "{}", character.escape_default());
                }
                _ => line.push(character),
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;

    /// What is logged under this `RUST_LOG`.
    fn logged(chosen: &str, tell: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(File::create(file.path()).unwrap());
        let layer = layer(writer, EnvFilter::new(chosen), false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), tell);
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn f5_libraries_stay_below_a_ceiling_that_the_environment_cannot_lift() {
        let log = logged("trace,rmcp=trace,hyper=trace,reqwest::connect=trace", || {
            tracing::warn!(target: "rmcp::handler", "of rmcp");
            tracing::error!(target: "rmcp::handler", "an error of rmcp");
            tracing::error!(target: "rmcp::service", "a client has gone");
            tracing::trace!(target: "resto_host::call", "of ours");
            for target in
                ["h2", "hyper_util", "reqwest", "rustls", "sqlx::query", "tower_http", "anything"]
            {
                // The macros want a constant target.
                assert!(!within(target, Level::INFO) && within(target, Level::WARN), "{target}");
            }
            tracing::info!(target: "hyper::proto", "of hyper");
            tracing::debug!(target: "reqwest::connect", "of reqwest");
            tracing::debug!(target: "resto", "of another resto");
            tracing::warn!(target: "hyper::proto", "a warning of hyper");
        });
        let told: Vec<&str> =
            log.lines().filter_map(|line| line.split_once(": ")).map(|(_, told)| told).collect();
        assert_eq!(told, ["an error of rmcp", "of ours", "a warning of hyper"], "{log}");
    }

    #[test]
    fn f7_an_event_is_one_line_whatever_is_in_it() {
        let forged = "x\r\n2026-01-01T00:00:00Z ERROR resto_host: forged\u{2028}a\u{2029}b\u{85}c\u{b}d\u{1b}[31me\0";
        let log = logged("info", || {
            tracing::warn!(target: "resto_host", forged, "told as {forged}");
            tracing::warn!(target: "resto_host", error = %forged, other = ?forged, "next");
        });
        assert_eq!(log.lines().count(), 2, "{log}");
        for sign in ["\r", "\u{2028}", "\u{2029}", "\u{85}", "\u{b}", "\u{1b}", "\0"] {
            assert!(!log.contains(sign), "{sign:?} in {log:?}");
        }
        assert!(log.contains("forged\\u{2028}a"), "{log}");
    }
}
