//! What an action may ask of its host, as a fake: credentials, progress, secrets and documents.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use resto_core::{
    Began, BoxFuture, Call, Code, Connected, Credentials, Error, File, FileLink, Money, Observed,
    Records, Result, Scheme, SecretRef, Secrets,
};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Signs with the word `fake`.
pub(crate) struct FakeCredentials;

impl Credentials for FakeCredentials {
    fn sign(&self, scheme: &Scheme, request: &mut resto_core::HttpRequest) -> Result<()> {
        let names: Vec<&str> = match scheme {
            Scheme::Bearer(token) => vec![token],
            Scheme::Basic { user, password } => vec![user, password],
            Scheme::Headers(headers) => headers.iter().map(|(_, secret)| *secret).collect(),
        };
        let secrets: Secrets =
            names.into_iter().map(|name| (name.to_owned(), SecretString::from("fake"))).collect();
        scheme.sign(request, &secrets)
    }
}

/// A call whose reports, secrets and documents are kept in memory.
#[derive(Default)]
pub(crate) struct FakeCall {
    pub(crate) progress: Mutex<Vec<String>>,
    pub(crate) observed: Mutex<Vec<Observed>>,
    pub(crate) cancelled: CancellationToken,
    pub(crate) secrets: Mutex<BTreeMap<String, SecretString>>,
    pub(crate) records: FakeRecords,
    pub(crate) operation: AtomicU32,
    pub(crate) account: OnceLock<Connected>,
    pub(crate) spent: Mutex<Vec<Money>>,
    pub(crate) files: Mutex<Vec<Vec<u8>>>,
    pub(crate) reconciles: OnceLock<Began>,
    pub(crate) outsiders: AtomicBool,
    pub(crate) notes_nothing: AtomicBool,
}

impl Call for FakeCall {
    fn progress(&self, _done: u64, _total: Option<u64>, message: &str) {
        self.progress.lock().unwrap().push(message.to_owned());
    }

    fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    fn op_id(&self) -> Uuid {
        Uuid::from_u128(7 + u128::from(self.operation.load(Ordering::Relaxed)))
    }

    fn reconciles(&self) -> Option<Began> {
        self.reconciles.get().copied()
    }

    fn account(&self) -> Option<&Connected> {
        Some(
            self.account.get_or_init(|| Connected {
                id: "acct_1".to_owned(),
                mode: Some("test".to_owned()),
            }),
        )
    }

    fn observe(&self, observed: Observed) {
        self.observed.lock().unwrap().push(observed);
    }

    fn note_outsiders(&self) -> BoxFuture<'_, Result<()>> {
        self.outsiders.store(true, Ordering::Relaxed);
        let notes_nothing = self.notes_nothing.load(Ordering::Relaxed);
        Box::pin(async move {
            if notes_nothing {
                return Err(Error::new(Code::Internal, "It cannot be noted."));
            }
            Ok(())
        })
    }

    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<SecretString>> {
        Box::pin(async move {
            self.secrets.lock().unwrap().get(reference.name()).cloned().ok_or_else(|| {
                Error::new(
                    Code::ActionRequired,
                    format!("No secret is named `{}`.", reference.name()),
                )
            })
        })
    }

    fn store_secret<'a>(
        &'a self,
        name: &'a SecretRef,
        value: &'a SecretString,
    ) -> BoxFuture<'a, Result<SecretRef>> {
        Box::pin(async move {
            if name.name().is_empty() {
                return Err(Error::new(Code::InvalidInput, "The secret's name is empty."));
            }
            self.secrets.lock().unwrap().insert(name.name().to_owned(), value.clone());
            Ok(name.clone())
        })
    }

    fn spend<'a>(&'a self, price: &'a Money) -> BoxFuture<'a, Result<()>> {
        self.spent.lock().unwrap().push(price.clone());
        Box::pin(async { Ok(()) })
    }

    fn records(&self) -> &dyn Records {
        &self.records
    }

    fn hand_out<'a>(&'a self, file: &'a File) -> BoxFuture<'a, Result<FileLink>> {
        let mut files = self.files.lock().unwrap();
        files.push(file.bytes.clone());
        let link = FileLink {
            uri: format!("resto://files/{}", files.len()),
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            size: file.bytes.len() as u64,
        };
        Box::pin(async move { Ok(link) })
    }
}

/// Documents in memory, by a clock of their own that only a test moves.
#[derive(Default)]
pub(crate) struct FakeRecords {
    documents: Mutex<BTreeMap<(String, String), Document>>,
    now: Mutex<Duration>,
}

struct Document {
    value: Value,
    /// By the fake's clock.
    end: Option<Duration>,
}

impl FakeRecords {
    pub(crate) fn pass(&self, time: Duration) {
        let now = {
            let mut now = self.now.lock().unwrap();
            *now += time;
            *now
        };
        self.documents
            .lock()
            .unwrap()
            .retain(|_, document| document.end.is_none_or(|end| end > now));
    }

    fn document(&self, value: &Value, expires_in: Option<Duration>) -> Document {
        let now = *self.now.lock().unwrap();
        Document { value: value.clone(), end: expires_in.map(|rest| now + rest) }
    }
}

fn key(collection: &str, id: &str) -> (String, String) {
    (collection.to_owned(), id.to_owned())
}

impl Records for FakeRecords {
    fn put<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        let document = self.document(value, expires_in);
        self.documents.lock().unwrap().insert(key(collection, id), document);
        Box::pin(async { Ok(()) })
    }

    fn put_new<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
        value: &'a Value,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool>> {
        let document = self.document(value, expires_in);
        let mut documents = self.documents.lock().unwrap();
        let place = documents.entry(key(collection, id));
        let is_new = matches!(place, Entry::Vacant(_));
        place.or_insert(document);
        Box::pin(async move { Ok(is_new) })
    }

    fn get<'a>(&'a self, collection: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Value>>> {
        let documents = self.documents.lock().unwrap();
        let found = documents.get(&key(collection, id)).map(|document| document.value.clone());
        Box::pin(async { Ok(found) })
    }

    fn take<'a>(
        &'a self,
        collection: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>>> {
        let found = self.documents.lock().unwrap().remove(&key(collection, id));
        Box::pin(async { Ok(found.map(|document| document.value)) })
    }

    fn list<'a>(
        &'a self,
        collection: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, Value)>>> {
        let found = self
            .documents
            .lock()
            .unwrap()
            .iter()
            .filter(|((in_collection, id), _)| {
                in_collection == collection && after.is_none_or(|after| id.as_str() > after)
            })
            .take(limit as usize)
            .map(|((_, id), document)| (id.clone(), document.value.clone()))
            .collect();
        Box::pin(async { Ok(found) })
    }
}
