//! What the tests of adapters need: a fake provider that records and checks each request against
//! the provider's official description, and the contract that every published tool must keep.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a test helper fails by panicking"
)]

mod call;
mod canary;
mod contract;
mod discovery;
mod dns;
mod fake;
mod form;
mod notice;
mod official;
mod recorded;
mod sent;
mod verified;

pub use contract::{checked_tools, untested_actions};
pub use dns::DnsServer;
pub use fake::FakeApi;
pub use notice::read_notice;
pub use recorded::Recorded;
pub use verified::{Way, note};
