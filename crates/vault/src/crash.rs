//! Places at which the tests end the program as a crash would.

/// Aborts a debug build in which `RESTO_CRASH_AT` names this point, and does nothing otherwise. What has happened by
/// then, and what has not, is what a crash there would leave.
pub fn crash_point(name: &str) {
    if cfg!(debug_assertions) && std::env::var_os("RESTO_CRASH_AT").is_some_and(|at| at == name) {
        std::process::abort();
    }
}
