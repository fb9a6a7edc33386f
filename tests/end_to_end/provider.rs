//! A provider of a test's own: it keeps each request, and answers what the test tells it to.

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::wire::{Message, write};

/// A provider on loopback.
pub struct Provider {
    pub url: String,
    requests: Arc<Mutex<Vec<Message>>>,
}

/// What it answers: status, headers, body.
pub struct Reply(pub u16, pub Vec<(&'static str, String)>, pub String);

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self(status, vec![("content-type", "application/json".into())], body.to_string())
    }
}

impl Provider {
    /// One that answers each request, in a thread of its own, with what `reply` makes of it.
    pub fn start(reply: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Message>>>::default();
        let (kept, reply) = (Arc::clone(&requests), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, reply) = (Arc::clone(&kept), Arc::clone(&reply));
                thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while let Ok(Some(request)) = Message::read(&mut reader) {
                        kept.lock().unwrap().push(request.clone());
                        send(&stream, reply(&request));
                    }
                });
            }
        });
        Self { url, requests }
    }

    /// A GitHub that knows whose every token is, and leaves all other requests to `reply`.
    pub fn github(reply: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |request| match request.what() {
            "GET /user" => Reply::json(
                200,
                &json!({"id": 1, "login": "octocat", "type": "User", "html_url": "https://github.com/octocat"}),
            ),
            _ => reply(request),
        })
    }

    /// All requests until now.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests there were until now.
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A repository as GitHub describes it, named as the request asks.
pub fn repository(request: &Message) -> Reply {
    let name = request.what().rsplit('/').next().unwrap();
    Reply::json(
        200,
        &json!({
            "full_name": format!("octocat/{name}"), "private": false, "default_branch": "main", "permissions": {"push": true},
            "html_url": format!("https://github.com/octocat/{name}"),
        }),
    )
}

/// What Vercel says of whose token it is, and of a deployment that is in this state.
pub fn deployment(request: &Message, state: &str) -> Reply {
    Reply::json(
        200,
        &match request.what() {
            "GET /v2/user" => json!({"user": {"id": "u", "username": "ada"}}),
            "GET /v5/user/tokens/current" => json!({"token": {"scopes": [{"type": "user"}]}}),
            _ => json!({
                "id": "dpl_1", "uid": "dpl_1", "name": "shop", "readyState": state, "status": state,
                "url": "shop-abc.vercel.app", "createdAt": 1_767_225_600_000_i64,
            }),
        },
    )
}

fn send(mut stream: &TcpStream, Reply(status, headers, body): Reply) {
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Whoever asked may be gone.
    write(&mut stream, &format!("HTTP/1.1 {status} As told"), &headers, &body).ok();
}
