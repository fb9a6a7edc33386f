//! GitHub, Google and Stripe at one address, which give tokens and renew them in the ways of each, and fail as a test says.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::browser::{Browser, field};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

/// What a person comes back with, and our client's secret.
pub const CODE: &str = "canary-code";
const SECRET: &str = "canary-client-secret";
/// The path at which tokens are given.
pub const TOKEN: &str = "POST /token";
/// Where what was allowed to our client is taken back.
const GRANT: &str = "DELETE /applications/github/grant";

/// What becomes of one request for new tokens.
pub enum Fault {
    /// New tokens are made, and the answer does not arrive.
    Lost,
    /// Nothing is done.
    Unavailable,
    /// Nothing is ever answered.
    Silent,
    /// The answer says this, and leaves out what is null.
    Says(Value),
    /// This happens before the answer.
    While(Box<dyn FnOnce() + Send>),
}

/// What it knows.
pub struct State {
    /// Whether a refresh token is spent by its use.
    pub rotates: bool,
    /// Whether the one before is taken as well.
    pub grace: bool,
    /// In how many seconds the next access ends.
    pub life: i64,
    /// Whose account it is.
    pub account: u64,
    /// Whether it is down for whoever revokes.
    pub cannot_revoke: bool,
    /// What the next requests for new tokens come to.
    pub faults: VecDeque<Fault>,
    /// The refresh tokens that were sent.
    pub sent: Vec<String>,
    /// How many of them were refused.
    pub refused: usize,
    given: usize,
    refresh: [String; 2],
    alive: Vec<String>,
}

impl State {
    /// Makes new tokens in place of a refresh token; the answer with them.
    fn give(&mut self, sent: String) -> Value {
        self.given += 1;
        let access = format!("canary-access-{}", self.given);
        let mut answer =
            json!({"access_token": access, "token_type": "bearer", "expires_in": self.life});
        if self.rotates {
            // GitHub ends the former access at once.
            self.alive.clear();
        }
        if self.rotates || self.refresh[0].is_empty() {
            let next = format!("canary-refresh-{}", self.given);
            self.refresh = [next.clone(), sent];
            answer["refresh_token"] = next.into();
        }
        self.alive.push(access);
        answer
    }

    /// No access works any more; it can be renewed.
    pub fn end_access(&mut self) {
        self.alive.clear();
    }

    /// Whether any access works.
    pub fn takes_any(&self) -> bool {
        !self.alive.is_empty()
    }

    /// Nothing works any more.
    pub fn revoke(&mut self) {
        self.alive.clear();
        self.refresh = [String::from("none"), String::from("none")];
    }
}

/// The provider, and what it knows.
pub struct Issuer {
    pub provider: Provider,
    state: Arc<Mutex<State>>,
}

impl Issuer {
    /// One that hands out a new refresh token at each use, and takes none a second time.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            rotates: true,
            grace: false,
            life: 3600,
            account: 1,
            cannot_revoke: false,
            faults: VecDeque::new(),
            sent: Vec::new(),
            refused: 0,
            given: 0,
            refresh: Default::default(),
            alive: Vec::new(),
        }));
        let known = Arc::clone(&state);
        Self { provider: Provider::start(move |request| answer(&known, request)), state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How many new tokens were asked for until now.
    pub fn renewals(&self) -> usize {
        self.state().sent.len()
    }

    /// From now on an access lives so long; how many were renewed until now.
    pub fn live_from_now(&self, life: i64) -> usize {
        let mut state = self.state();
        state.life = life;
        state.sent.len()
    }

    /// Keeps the next who ask for tokens waiting: what tells that somebody asks, and what lets the answer go.
    pub fn hold_next(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((asks, is_asked), (lets_go, may_go)) = (mpsc::channel(), mpsc::channel());
        self.state().faults.push_back(Fault::While(Box::new(move || {
            asks.send(()).unwrap();
            // The other end is dropped where nobody waits for the answer.
            may_go.recv().ok();
        })));
        (is_asked, lets_go)
    }

    /// Whether the last request with an access was with the newest one.
    pub fn was_last_called_with_the_newest(&self) -> bool {
        let newest = format!("Bearer {}", self.state().alive.last().unwrap());
        self.provider.requests().last().unwrap().header("authorization") == Some(&newest)
    }

    /// The configuration that leads to it.
    pub fn configure(&self, product: &Product) {
        let file = product.path("client-secret");
        std::fs::write(&file, SECRET).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (url, file) = (&self.provider.url, file.display());
        let section = |name: &str| {
            format!(
                "[integrations.{name}]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/authorize\"\ntoken_url = \"{url}/token\"\n\
                 client_id = \"{name}\"\nclient_secret_file = \"{file}\"\n"
            )
        };
        let sections = ["github", "gmail", "stripe"].map(section).concat();
        // Many calls of one account, which are not about how many there may be.
        let limits = "[integrations.github.limits]\nrequests = 100000000\nconcurrent = 100\n";
        product.configure(&format!("{sections}{limits}"));
    }

    /// Connects an account in a browser, as a person does.
    pub fn connect(&self, product: &Product, server: &Server<'_>, integration: &str) {
        // A consent of its own.
        self.state().refresh = Default::default();
        let browser = Browser::of(product, server, "local");
        let state = browser.consent(integration).state();
        let back = browser.back(integration, &[("code", CODE), ("state", &state)]);
        assert_eq!(back.status(), 303, "{back:?}");
    }

    /// Connects an account whose access has ended when this returns; no server runs then.
    pub fn connect_ended(&self, product: &Product, integration: &str) {
        self.configure(product);
        self.live_from_now(0);
        let mut server = product.serve();
        self.connect(product, &server, integration);
        server.process.terminate();
    }
}

fn answer(state: &Mutex<State>, request: &Message) -> Reply {
    if request.what() == TOKEN {
        return tokens(state, request);
    }
    let bearer = request.header("authorization").and_then(|all| all.strip_prefix("Bearer "));
    let mut state = state.lock().unwrap();
    if request.what() == GRANT {
        let token = request.json()["access_token"].as_str().unwrap().to_owned();
        return match (state.cannot_revoke, state.alive.contains(&token)) {
            (true, _) => Reply::json(503, &json!({})),
            (_, false) => Reply::json(422, &json!({"message": "Validation Failed"})),
            _ => {
                state.revoke();
                Reply(204, Vec::new(), String::new())
            }
        };
    }
    if !state.alive.iter().any(|alive| Some(alive.as_str()) == bearer) {
        return Reply::json(401, &json!({"message": "Bad credentials"}));
    }
    let (account, email) = (state.account, format!("ada{}@example.com", state.account));
    drop(state);
    let body = match request.what() {
        "GET /user" => json!({"id": account, "login": "octocat", "type": "User", "html_url": "u"}),
        "POST /tokeninfo" => json!({"email": email, "scope": SCOPES.join(" ")}),
        "GET /gmail/v1/users/me/profile" => json!({"emailAddress": email}),
        "GET /v1/account" => json!({"id": format!("acct_{account}"), "object": "account"}),
        "GET /v1/balance" => json!({"livemode": false, "available": []}),
        _ => return repository(request),
    };
    Reply::json(200, &body)
}

/// What Gmail is asked for.
pub const SCOPES: [&str; 5] = [
    "openid",
    "email",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.settings.basic",
    "https://www.googleapis.com/auth/contacts",
];

fn tokens(state: &Mutex<State>, request: &Message) -> Reply {
    let is = |name: &str| field(&request.body, name);
    let basic = format!("Basic {}", STANDARD.encode(format!("{SECRET}:")));
    // Stripe takes the secret as a user, the others take it in the form.
    let client = is("client_id").filter(|_| is("client_secret").as_deref() == Some(SECRET));
    let is_stripe = request.header("authorization") == Some(&basic);
    if client.is_none() && !is_stripe {
        return Reply::json(401, &json!({"error": "invalid_client"}));
    }
    let mut known = state.lock().unwrap();
    if is("grant_type").as_deref() != Some("refresh_token") {
        assert_eq!(is("code").as_deref(), Some(CODE), "{request:?}");
        let answer = known.give(String::new());
        let happens = known.faults.pop_front();
        drop(known);
        if let Some(Fault::While(happens)) = happens {
            happens();
        }
        return Reply::json(200, &answer);
    }
    let sent = is("refresh_token").unwrap();
    known.sent.push(sent.clone());
    let taken = sent == known.refresh[0] || (known.grace && sent == known.refresh[1]);
    let fault = known.faults.pop_front();
    match fault {
        Some(Fault::Unavailable) => return Reply::json(503, &json!({"error": "server_error"})),
        Some(Fault::Silent) => {
            drop(known);
            loop {
                thread::park();
            }
        }
        _ => {}
    }
    if !taken {
        known.refused += 1;
        // GitHub answers 200 whatever it says.
        return if client.as_deref() == Some("github") {
            Reply::json(200, &json!({"error": "bad_refresh_token", "error_description": sent}))
        } else {
            Reply::json(400, &json!({"error": "invalid_grant", "error_description": sent}))
        };
    }
    let mut answer = known.give(sent);
    drop(known);
    match fault {
        // No HTTP.
        Some(Fault::Lost) => return Reply(0, Vec::new(), String::new()),
        Some(Fault::Says(more)) => {
            answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        Some(Fault::While(happens)) => happens(),
        _ => {}
    }
    Reply::json(200, &answer)
}
