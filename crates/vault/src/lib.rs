//! Secrets at rest, and the audit trail. The only crate with a database in it.
//! It opens a credential for one request, and lets no action start before its audit entry is durable.

mod actions;
mod alarm;
mod alerts;
mod anchoring;
mod anchors;
mod append;
mod approvals;
mod audit;
mod batch;
mod budgets;
mod chain;
mod clock;
mod connections;
mod crash;
mod database;
mod envelope;
#[cfg(test)]
mod envelope_tests;
#[cfg(test)]
mod envelope_vectors;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod handles;
mod jobs;
mod keyring;
mod keys;
mod known;
mod lookup;
mod operations;
mod outbox;
mod records;
mod reminders;
mod renewal;
mod reveal;
mod roots;
mod rotation;
#[cfg(test)]
mod secret_types;
mod secrets;
mod spill;
mod statuses;
mod sweep;
mod tenants;
mod timestamp;
mod together;
mod tokens;
#[cfg(feature = "unaudited")]
mod unaudited;
mod vault;
mod verify;
mod writer;

pub use actions::{Begun, Intent, Needs, Outcome, ResultStatus, StoredOutcome, Ticket};
pub use alerts::{Alert, AlertKind};
pub use anchors::{Anchor, AnchorFile, Anchors};
pub use approvals::{CallPrint, Spending};
pub use audit::{AuditEntry, AuditEvent, AuditFilter};
pub use budgets::{Rate, Taken};
pub use connections::{Connected, Connection, NewConnection};
pub use crash::crash_point;
pub use error::{Error, Result};
pub use jobs::{Job, Next};
pub use keyring::{Cipher, KeySource, Keyring};
pub use keys::{KeyInfo, KeyState};
pub use outbox::Delivery;
pub use renewal::Renewal;
pub use reveal::{AuthType, Credential, Sealed};
pub use roots::{Rewrap, RootKeyInfo, RootRole};
pub use rotation::Rotation;
pub use spill::Spill;
pub use statuses::Status;
pub use tenants::{Principal, PrincipalId, Tenant, TenantId};
pub use tokens::{AccessToken, Caller};
#[cfg(feature = "unaudited")]
pub use unaudited::leave_out_the_audit;
pub use vault::{TenantScope, Vault};
pub use verify::{Problem, Verification};
