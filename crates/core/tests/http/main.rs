//! The one HTTP client against providers that are slow, broken or hostile.
#![cfg(test)]

mod answers;
mod bounds;
mod exchange;
mod find;
mod headers;
mod provider;
mod redirects;
mod tls;
mod tries;
