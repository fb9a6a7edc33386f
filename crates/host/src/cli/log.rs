//! Logs, on standard error. `RUST_LOG` chooses what is shown, below a ceiling for libraries that
//! would write arguments, results or headers.

use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries and the most that they may log.
const CEILINGS: &[(&str, Level)] = &[
    // Writes whole arguments and results at DEBUG, and error data at WARN.
    ("rmcp", Level::ERROR),
    ("hyper", Level::WARN),
    ("reqwest", Level::WARN),
    ("rustls", Level::WARN),
    ("sqlx", Level::WARN),
    ("tower", Level::WARN),
    ("axum", Level::WARN),
    ("h2", Level::WARN),
];

pub(super) fn start() {
    let chosen =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let ceiling = FilterFn::new(|metadata| within(metadata.target(), *metadata.level()));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_filter(chosen.and(ceiling));
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

fn within(target: &str, level: Level) -> bool {
    CEILINGS
        .iter()
        .find(|(library, _)| {
            target
                .strip_prefix(library)
                .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
        .is_none_or(|(_, most)| level <= *most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_below_their_ceiling() {
        assert!(!within("rmcp::service", Level::WARN));
        assert!(within("rmcp::service", Level::ERROR));
        assert!(!within("sqlx::query", Level::INFO) && !within("tower_http::trace", Level::DEBUG));
        assert!(within("resto_host::call", Level::TRACE));
        assert!(within("hyperbole", Level::TRACE));
    }
}
