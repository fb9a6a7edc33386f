//! A provider on loopback that answers what a test prepared.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use resto_core::{
    Account, Action, Adapter, Api, Began, Bounds, Connected, Endpoints, Http, Integration,
    Lifecycle, Money, Observed, Permissions, Proof, Provider, Result, Risk,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::call::{FakeCall, FakeCredentials};
use crate::recorded::{Recorded, recorded};
use crate::sent::Sent;
use crate::{Way, canary, note, official};

/// The prepared answers by method and path.
type Answers = Arc<Mutex<HashMap<(String, String), VecDeque<ResponseTemplate>>>>;

/// Requests for which none was prepared.
type Unprepared = Arc<Mutex<Vec<String>>>;

/// A fake provider, and the [`Api`] that reaches it.
pub struct FakeApi {
    integration: &'static Integration,
    provider: &'static Provider,
    server: MockServer,
    answers: Answers,
    unprepared: Unprepared,
    call: Arc<FakeCall>,
    unofficial: Unofficial,
    /// Paths, and those under which the description has them.
    former: Vec<(String, String)>,
    /// Paths, and fields of what is answered there that get no canary.
    pub(crate) passed_on: Vec<(String, String)>,
}

/// Which requests the official description does not know.
enum Unofficial {
    /// Those with this method and path: everything else is held against it.
    Some(Vec<(String, String)>),
    /// There is no description.
    All,
}

impl FakeApi {
    /// A fake of the integration's first provider.
    pub async fn new(integration: &'static Integration) -> Self {
        Self::of(integration, integration.providers[0].id).await
    }

    /// A fake of the integration's provider of this id.
    pub async fn of(integration: &'static Integration, provider: &str) -> Self {
        let provider = integration.providers.iter().find(|one| one.id == provider).unwrap();
        let server = MockServer::start().await;
        let (answers, unprepared) = (Answers::default(), Unprepared::default());
        Mock::given(wiremock::matchers::any())
            .respond_with(Prepared(answers.clone(), unprepared.clone()))
            .mount(&server)
            .await;
        Self {
            integration,
            provider,
            server,
            answers,
            unprepared,
            call: Arc::default(),
            unofficial: Unofficial::Some(Vec::new()),
            former: Vec::new(),
            passed_on: Vec::new(),
        }
    }

    /// Holds no request against the official description: the provider has none.
    #[must_use]
    pub fn undescribed(mut self) -> Self {
        self.unofficial = Unofficial::All;
        self
    }

    /// Does not hold this request against the official description, which is older than it. A description that allows
    /// it all the same fails the test.
    #[must_use]
    pub fn unofficial(mut self, method: &str, path: &str) -> Self {
        if let Unofficial::Some(requests) = &mut self.unofficial {
            requests.push((method.to_owned(), path.to_owned()));
        }
        self
    }

    /// Holds requests to this path against the official description of an older version of it.
    #[must_use]
    pub fn formerly(mut self, path: &str, former: &str) -> Self {
        self.former.push((path.to_owned(), former.to_owned()));
        self
    }

    /// Prepares an answer. Several for one path are given in order, the last one for ever.
    /// `path` is percent-encoded and has no query.
    #[must_use]
    pub fn on(self, method: &str, path: &str, status: u16, body: impl Into<Value>) -> Self {
        let body = body.into();
        let answer = ResponseTemplate::new(status);
        let answer =
            if body.is_null() { answer } else { answer.set_body_json(self.planted(path, body)) };
        self.on_answer(method, path, answer)
    }

    /// As [`FakeApi::on`], with headers.
    #[must_use]
    pub fn on_with(
        self,
        method: &str,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<Value>,
    ) -> Self {
        let mut answer =
            ResponseTemplate::new(status).set_body_json(self.planted(path, body.into()));
        for (name, value) in headers {
            answer = answer.insert_header(*name, *value);
        }
        self.on_answer(method, path, answer)
    }

    /// As [`FakeApi::on`], with any answer, such as text.
    #[must_use]
    pub fn on_answer(self, method: &str, path: &str, answer: ResponseTemplate) -> Self {
        self.answers
            .lock()
            .unwrap()
            .entry((method.to_owned(), path.to_owned()))
            .or_default()
            .push_back(answer);
        self
    }

    /// Stores a named secret, as a person would.
    #[must_use]
    pub fn with_secret(self, name: &str, value: &str) -> Self {
        self.call.secrets.lock().unwrap().insert(name.to_owned(), value.to_owned().into());
        self
    }

    /// The account that is operated, instead of `acct_1`.
    #[must_use]
    pub fn connected(self, id: &str) -> Self {
        let _ = self.call.account.set(Connected { id: id.to_owned(), mode: None });
        self
    }

    /// Lets nothing be noted of outsiders.
    #[must_use]
    pub fn that_notes_nothing(self) -> Self {
        self.call.notes_nothing.store(true, Ordering::Relaxed);
        self
    }

    /// Lets actions only find out what came of the same operation before, which began so long ago.
    #[must_use]
    pub fn reconciling(self, ago: Duration) -> Self {
        let began = Began { at: SystemTime::now() - ago, ago: Some(ago) };
        let _ = self.call.reconciles.set(began);
        self
    }

    /// The value of a named secret, as an action stored it.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<String> {
        let secrets = self.call.secrets.lock().unwrap();
        secrets.get(name).map(|value| value.expose_secret().to_owned())
    }

    /// The provider's address.
    #[must_use]
    pub fn uri(&self) -> String {
        self.server.uri()
    }

    /// A client for an action of this risk.
    #[must_use]
    pub fn api(&self, risk: Risk) -> Api {
        let provider = self.provider;
        let endpoints = Endpoints::new(provider, Some(&self.server.uri())).unwrap();
        let bounds = Bounds {
            first_byte: Duration::from_secs(5),
            total: Duration::from_secs(20),
            retry_pause: Duration::from_millis(1),
            ..Bounds::default()
        };
        Api::new(
            Http::new(bounds).unwrap(),
            provider,
            provider.auth[0].scheme(),
            endpoints,
            Arc::new(FakeCredentials),
            self.call.clone(),
            risk,
        )
    }

    /// Runs an action as a host does: arguments held against the input schema, the result against
    /// the output schema, and each request against the provider's official description.
    ///
    /// # Errors
    /// What the action reports.
    pub async fn run<A: Action>(&self, arguments: impl Into<Value>) -> Result<Value> {
        let adapter = Adapter::new::<NoLifecycle>(self.integration).action::<A>();
        let spec = &adapter.actions()[0];
        let arguments = arguments.into();
        fits(&spec.input_schema, &arguments, "arguments");
        let before = self.requests().await.len();
        let api = self.api(spec.risk);
        let sent = Sent::default();
        let observed = Registry::default().with(sent.clone());
        let result = api.found_out(spec.run(arguments, &api).with_subscriber(observed).await);
        for request in sent.0.lock().unwrap().iter() {
            let way = Way::Sending(format!("{} {request}", self.provider.id));
            note(self.integration.id, &spec.tool, &way);
        }
        // Its refusal would look like one that the test expects.
        let unprepared = self.unprepared.lock().unwrap().clone();
        assert!(unprepared.is_empty(), "the test prepared no answer for {unprepared:?}");
        if let Ok(output) = &result {
            fits(&(spec.output_schema)(), output, "result");
        }
        canary::assert_unseen(&spec.tool, &result, &self.call.secrets.lock().unwrap());
        let requests = self.requests().await;
        let held = self.hold(&requests[before..], spec.permissions);
        if result.is_ok() {
            let way = match (held.iter().filter(|held| **held).count(), held.len()) {
                (_, 0) => Way::Alone,
                (0, _) => Way::Shapes,
                (some, all) if some < all => Way::Partly,
                _ => Way::Official,
            };
            note(self.integration.id, &spec.tool, &way);
        }
        result
    }

    /// For each request, whether it was held against the official description, which it must fit then.
    fn hold(&self, requests: &[Recorded], permissions: &[&[&str]]) -> Vec<bool> {
        let Unofficial::Some(unofficial) = &self.unofficial else {
            return vec![false; requests.len()];
        };
        let descriptions = official::names(self.integration, self.provider);
        let held = |request: &Recorded| {
            let is_unofficial = unofficial
                .iter()
                .any(|(method, path)| *method == request.method && *path == request.path);
            let mut described = request.clone();
            if let Some((_, former)) = self.former.iter().find(|(now, _)| *now == request.path) {
                described.path.clone_from(former);
            }
            match official::problem(&descriptions, permissions, &described) {
                None => false,
                Some(Err(_)) if is_unofficial => false,
                Some(judged) => {
                    let Recorded { method, path, .. } = request;
                    assert!(!is_unofficial, "{method} {path} is official after all");
                    if let Err(problem) = judged {
                        panic!("{method} {path} breaks the official description: {problem}");
                    }
                    true
                }
            }
        };
        requests.iter().map(held).collect()
    }

    /// The requests so far, in order.
    pub async fn requests(&self) -> Vec<Recorded> {
        self.server.received_requests().await.unwrap_or_default().iter().map(recorded).collect()
    }

    /// What was spent so far.
    #[must_use]
    pub fn spent(&self) -> Vec<Money> {
        self.call.spent.lock().unwrap().clone()
    }

    /// Lets the calls from now on be another operation than those before.
    pub fn another_operation(&self) {
        self.call.operation.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets so much time pass for what actions keep: documents whose end it is are gone.
    pub fn pass(&self, time: Duration) {
        self.call.records.pass(time);
    }

    /// Whether an action said that it reads what outsiders may have written.
    #[must_use]
    pub fn noted_outsiders(&self) -> bool {
        self.call.outsiders.load(Ordering::Relaxed)
    }

    /// The messages of the progress reports so far.
    #[must_use]
    pub fn progress(&self) -> Vec<String> {
        self.call.progress.lock().unwrap().clone()
    }

    /// What the answers so far told about quotas and rights.
    #[must_use]
    pub fn observed(&self) -> Vec<Observed> {
        self.call.observed.lock().unwrap().clone()
    }

    /// What the files hold that actions handed out, in order.
    #[must_use]
    pub fn files(&self) -> Vec<Vec<u8>> {
        self.call.files.lock().unwrap().clone()
    }

    /// Cancels the call.
    pub fn cancel(&self) {
        self.call.cancelled.cancel();
    }
}

fn fits(schema: &serde_json::Map<String, Value>, value: &Value, what: &str) {
    let schema = Value::Object(schema.clone());
    let validator = jsonschema::validator_for(&schema).expect("a schema that compiles");
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "the {what} break the schema: {errors:?}\n{value:#}");
}

struct Prepared(Answers, Unprepared);

impl Respond for Prepared {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let key = (request.method.to_string(), request.url.path().to_owned());
        let mut answers = self.0.lock().unwrap();
        match answers.get_mut(&key) {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
            Some(queue) => queue[0].clone(),
            None => {
                let request = format!("{} {}", key.0, key.1);
                let message = format!("the test prepared no answer for {request}");
                self.1.lock().unwrap().push(request);
                ResponseTemplate::new(400).set_body_json(serde_json::json!({"message": message}))
            }
        }
    }
}

struct NoLifecycle;

impl Lifecycle for NoLifecycle {
    async fn identify(_: &Api) -> Result<Account> {
        Ok(Account {
            id: String::new(),
            name: String::new(),
            mode: None,
            permissions: Permissions::Known(BTreeSet::new()),
            ends_at: None,
        })
    }

    async fn revoke(_: &Api) -> Result<Proof> {
        Ok(Proof::Revoked)
    }
}
