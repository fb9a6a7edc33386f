//! The adapter contract of Resto integrations: what an integration is, what an action is, and the
//! only HTTP client through which an action reaches its provider. No database, no MCP.

mod action;
mod adapter;
mod api;
mod auth;
mod call;
mod channel;
mod error;
mod exchange;
mod files;
mod find;
mod form;
mod http;
mod integration;
mod money;
mod page;
mod paging;
mod path;
mod question;
mod reply;
mod request;
mod revocation;
mod schema;
mod security_events;
mod send;
mod text;
mod view;
mod webhook;

pub use action::{Action, Risk};
pub use adapter::{Account, ActionSpec, Adapter, Lifecycle, Permissions, Proof, Run, Step, Steps};
pub use api::{Api, Draft, Endpoints};
pub use auth::{Auth, ClientAuth, KeyAuth, KeyField, OAuthConfig, Scheme};
pub use call::{
    Admission, Began, BoxFuture, Call, Connected, Credentials, Observed, RateLimit, Records,
    SecretRef, Secrets,
};
pub use channel::{Channel, Streamed, challenge};
pub use error::{Code, Details, Error, Result};
pub use files::{File, FileLink};
pub use http::{Bounds, Http, is_loopback, is_public, may_go_to};
pub use integration::{
    Category, Idempotency, Integration, Limits, Paging, Permission, Provider, RateHeaders, covers,
    least,
};
pub use money::Money;
pub use page::{Page, PageRequest};
pub use path::{GitRef, PathArg, PathSegments};
pub use question::{Answer, Question, Way};
pub use reply::Failure;
pub use request::{Request, Text};
pub use reqwest::{Method, Request as HttpRequest};
pub use revocation::{Revocation, Revoking, Signer};
pub use schema::{
    brief as brief_schema, input as input_schema, normalise as normalise_schema,
    output as output_schema,
};
pub use security_events::SECURITY_EVENTS;
pub use text::{clean, clean_json, quote};
pub use view::{Part, Shape};
pub use webhook::{Change, Delivery, News, Notice, Signature, Webhooks};
