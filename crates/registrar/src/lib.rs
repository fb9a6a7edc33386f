//! Domain registrars: finding, buying and renewing domains, and their DNS.

mod conflicts;
mod diff;
mod money;
mod names;
mod zone;
