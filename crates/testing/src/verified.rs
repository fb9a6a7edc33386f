//! How each action was verified, as the tests do it: `tests/run` names a file, collects what is noted there, and prints it.

use std::fs::OpenOptions;
use std::io::Write as _;

/// How an action ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is published.
    Published,
    /// Each of its requests was held against the provider's official description.
    Official,
    /// Some of its requests were: the description does not know the others.
    Partly,
    /// Against recorded shapes alone.
    Shapes,
    /// It asks its provider nothing.
    Alone,
    /// By sending such a request: to this provider, by this method, to a path of this template.
    Sending(String),
    /// On a stand-in that keeps state, of this name.
    StandIn(String),
}

/// Notes that a tool of an integration was verified in this way, where `tests/run` collects it.
pub fn note(integration: &str, tool: &str, way: &Way) {
    // The tools of this crate's own tests are none of the product's.
    if cfg!(test) {
        return;
    }
    let Some(file) = std::env::var_os("RESTO_VERIFIED") else { return };
    let way = match way {
        Way::Published => "published",
        Way::Official => "official",
        Way::Partly => "partly",
        Way::Shapes => "shapes",
        Way::Alone => "alone",
        Way::Sending(text) | Way::StandIn(text) => text,
    };
    // One write: tests of several processes append at the same time.
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{integration}\t{tool}\t{way}\n").as_bytes()).unwrap();
}
