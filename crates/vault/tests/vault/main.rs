//! The vault as the host uses it. Every story runs on SQLite and on PostgreSQL.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod anchors;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audit_storage;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod children;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod handles;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reminders;
#[cfg(test)]
mod renewals;
#[cfg(test)]
mod roots;
#[cfg(test)]
mod spending;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod writing;
