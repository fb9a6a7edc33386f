//! The host: the catalog of all adapters, the life of a call, and the doors through which people and
//! agents come in. The only crate with MCP and a web server.

mod approve;
mod around;
mod asking;
mod call;
mod catalog;
mod checks;
pub mod cli;
mod config;
mod connect;
mod console;
mod dumps;
mod grants;
mod host;
mod http;
mod limits;
mod maintain;
mod mcp;
mod observe;
mod origin;
mod place;
mod plan;
mod policy;
mod provider_keys;
mod redact;
mod remote;
mod root_keys;
mod sessions;
mod tools;

pub use approve::{Caps, Wanted};
pub use around::{AskSecret, Confirm, Line, Progress};
pub use call::{Called, Failed};
pub use catalog::{Catalog, Entry};
pub use config::{Config, Keys, Overrides};
pub use connect::{Receipt, Report};
pub use grants::{Grants, Standing};
pub use host::{Caller, Host, LOCAL_TENANT};
pub use http::{Server, serve};
pub use limits::LimitOverrides;
pub use mcp::{Mcp, tool};
pub use observe::Trace;
pub use origin::Origin;
pub use policy::{Calls, Decision, Rule};
pub use provider_keys::key_auth;
pub use remote::{RemoteServer, SignIn};
pub use tools::OwnTool;
