//! What a running action may ask of the server around it. The host implements these traits.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Answer, Code, Error, File, FileLink, Money, Question, Result, Scheme};

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The secret parts of a credential by field name, such as `token`.
pub type Secrets = BTreeMap<String, SecretString>;

/// Opens the connection's credential for one request.
pub trait Credentials: Send + Sync {
    /// Opens the credential, signs `request` by `scheme`, and drops the plaintext. It is not
    /// `async`, so that no plaintext can live across a suspension.
    ///
    /// # Errors
    /// The credential cannot be opened, or does not belong to the host that the request goes to.
    fn sign(&self, scheme: &Scheme, request: &mut reqwest::Request) -> Result<()>;

    /// Takes the credential out of what the provider repeats of it.
    fn redact(&self, value: Value) -> Value {
        value
    }
}

/// A place among the requests that may be under way; dropping it frees it.
pub type Admission = Box<dyn Any + Send + Sync>;

/// The call in which an action runs.
pub trait Call: Send + Sync {
    /// Tells the caller how far it is: `done` of `total` steps, and what happens now.
    fn progress(&self, done: u64, total: Option<u64>, message: &str);

    /// Cancelled when the caller gave up. Only reads may stop because of it.
    fn cancelled(&self) -> CancellationToken;

    /// The id of this operation: the same when the same unsafe call is made again.
    fn op_id(&self) -> Uuid;

    /// Where this operation began before and what came of it is not known: this call only finds that out, and sends no
    /// change that could be made twice.
    fn reconciles(&self) -> Option<Began> {
        None
    }

    /// The account that is operated; `None` while it is being connected.
    fn account(&self) -> Option<&Connected>;

    /// Waits until a request may be sent, before each; what it returns is kept until the answer has come.
    ///
    /// # Errors
    /// `rate_limited`: too many were sent of late. Nothing was sent.
    fn admit(&self) -> BoxFuture<'_, Result<Admission>> {
        Box::pin(async { Ok(Box::new(()) as Admission) })
    }

    /// Told after each answer of the provider.
    fn observe(&self, observed: Observed);

    /// Told, before it is read, that what follows may hold what people outside the business wrote. It is for what only the
    /// provider knows; what the arguments tell, [`Action::tells_outsiders`](crate::Action::tells_outsiders) says.
    ///
    /// # Errors
    /// It cannot be noted: the action must not read on.
    fn note_outsiders(&self) -> BoxFuture<'_, Result<()>>;

    /// Told whether the provider works, whenever it answered or did not: one that refuses works. Nothing is told of a request
    /// that was not sent.
    fn tried(&self, _works: bool) {}

    /// The value of a named secret of the tenant, or what a person enters for it.
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<SecretString>>;

    /// Whether there is a person who could be asked something in the middle of the call.
    fn can_ask(&self) -> bool {
        false
    }

    /// Asks the caller's person, and waits a few minutes for the answer.
    ///
    /// # Errors
    /// `action_required`: whoever called has nobody who could be asked so. It says why.
    fn ask<'a>(&'a self, _question: &'a Question) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async {
            Err(Error::new(Code::ActionRequired, "Nobody is here who could be asked."))
        })
    }

    /// Stores a secret that was born at the provider under a name, or where that is taken under the
    /// name with a number. Returns the name it has.
    fn store_secret<'a>(
        &'a self,
        name: &'a SecretRef,
        value: &'a SecretString,
    ) -> BoxFuture<'a, Result<SecretRef>>;

    /// Told what the next change costs, before it is sent.
    ///
    /// # Errors
    /// It is more than may be spent; the change must not be sent.
    fn spend<'a>(&'a self, price: &'a Money) -> BoxFuture<'a, Result<()>>;

    /// The tenant's documents.
    fn records(&self) -> &dyn Records;

    /// The resolvers that the operator wants asked in place of those that the public uses; mostly none.
    fn dns_servers(&self) -> &[SocketAddr] {
        &[]
    }

    /// Keeps a file for the caller for a short while, and tells where it is read.
    fn hand_out<'a>(&'a self, file: &'a File) -> BoxFuture<'a, Result<FileLink>>;
}

/// When an operation began whose outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// By the clock by which the host goes.
    pub at: SystemTime,
    /// How long ago that is by the same clock; none where it says that it is still to come.
    pub ago: Option<Duration>,
}

/// The account that a call operates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The provider's id of it.
    pub id: String,
    /// Such as `test` or `live`.
    pub mode: Option<String>,
}

/// The tenant's own JSON documents, such as quotes and snapshots, by collection and id.
pub trait Records: Send + Sync {
    /// Writes a document, replacing what was there.
    fn put<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>>;

    /// Writes a document where there is none that has not expired, and tells whether it did: of many
    /// who write at once exactly one does.
    fn put_new<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Reads a document that has not expired.
    fn get<'a>(&'a self, collection: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Value>>>;

    /// Reads and removes a document in one step: of many takers exactly one gets it.
    fn take<'a>(&'a self, collection: &'a str, id: &'a str)
    -> BoxFuture<'a, Result<Option<Value>>>;

    /// Documents of a collection in order of id, after `after`, at most `limit`.
    fn list<'a>(
        &'a self,
        collection: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, Value)>>>;
}

/// The name of a secret that a person stores; never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretRef(String);

impl SecretRef {
    /// A reference by name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// What an answer told about quotas and rights, whatever else it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The quota that the request was charged to.
    pub rate_limit: Option<RateLimit>,
    /// The rights that the credential has, where the provider says so with each answer.
    pub granted: Option<Vec<String>>,
    /// When the credential stops working, in the provider's words, where it says so with each answer.
    pub end: Option<String>,
    /// The rights that the request needed and the credential lacks.
    pub lacking: Option<String>,
    /// The provider wants no request for so many seconds.
    pub pause_s: Option<u64>,
}

/// A provider's quota as its headers tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Which quota, in the provider's words; `default` where it has one only.
    pub resource: String,
    /// Requests in a period.
    pub limit: Option<u64>,
    /// Requests left in this period.
    pub remaining: u64,
    /// When the period ends, in seconds since 1970.
    pub reset_at: Option<u64>,
}
