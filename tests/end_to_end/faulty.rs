//! A GitHub and a Stripe that do what they are asked, and tell the truth of seven in ten.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::provider::{Provider, Reply};
use crate::wire::Message;

/// Longer than a client waits that goes away in the middle of its call.
const LATE: Duration = Duration::from_millis(32);

/// Longer than the product waits for an answer.
const SILENCE: Duration = Duration::from_secs(11);

/// The same for the same numbers, and otherwise without order.
pub fn dice(n: usize, salt: usize) -> usize {
    let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (salt as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
    usize::try_from((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40).unwrap()
}

/// What these services did and were asked.
#[derive(Default)]
pub struct World {
    /// How often each thing was done, by its name.
    done: Mutex<HashMap<String, usize>>,
    /// The issues, as GitHub tells them.
    issues: Mutex<Vec<Value>>,
    /// Stripe's answers by idempotency key, with what was asked.
    keys: Mutex<HashMap<String, (String, Value)>>,
    /// How often each change was asked for.
    tries: Mutex<HashMap<String, usize>>,
    /// Whether they tell the truth, always.
    pub calm: AtomicBool,
}

/// What becomes of an answer.
enum Fault {
    /// Nothing is done.
    Nothing(Reply),
    /// It is done, and this is told.
    Lost(Reply),
    /// It is done and told, perhaps late.
    Told,
}

impl World {
    /// Forgets everything.
    pub fn clear(&self) {
        self.done.lock().unwrap().clear();
        self.issues.lock().unwrap().clear();
        self.keys.lock().unwrap().clear();
        self.tries.lock().unwrap().clear();
    }

    /// How often each thing was done.
    pub fn done(&self) -> HashMap<String, usize> {
        self.done.lock().unwrap().clone()
    }

    fn count(&self, name: &str) {
        *self.done.lock().unwrap().entry(name.to_owned()).or_default() += 1;
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// What becomes of this try of a change.
    fn fault(&self, name: &str) -> Fault {
        let attempt = {
            let mut tries = self.tries.lock().unwrap();
            let tries = tries.entry(name.to_owned()).or_default();
            *tries += 1;
            *tries
        };
        if self.is_calm() {
            return Fault::Told;
        }
        let n: usize = name.rsplit([' ', '_']).next().unwrap().parse().unwrap();
        if attempt == 1 && dice(n, 4).is_multiple_of(400) {
            thread::sleep(SILENCE);
        }
        // One that is sent again has bad luck again, more often than not.
        match if dice(n, 7 + attempt).is_multiple_of(3) { 9 } else { dice(n, 1) % 20 } {
            0 => Fault::Nothing(Reply::json(503, &json!({"message": "not now"}))),
            1 => Fault::Nothing(Reply(429, vec![("retry-after", "0".into())], "{}".into())),
            // No HTTP: the answer is lost.
            2 | 3 => Fault::Lost(Reply(0, Vec::new(), String::new())),
            4 => Fault::Lost(Reply::json(502, &json!({"message": "bad gateway"}))),
            5 => Fault::Lost(Reply(201, Vec::new(), "{\"number\": 1, \"ti".into())),
            6..=8 => {
                thread::sleep(LATE);
                Fault::Told
            }
            _ => Fault::Told,
        }
    }

    fn create_issue(&self, request: &Message) -> Reply {
        let title = request.json()["title"].as_str().unwrap().to_owned();
        let told = match self.fault(&title) {
            Fault::Nothing(told) => return told,
            Fault::Lost(told) => Some(told),
            Fault::Told => None,
        };
        self.count(&title);
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
        let issue = json!({
            "number": 7, "title": title, "state": "open", "comments": 0, "user": {"login": "octocat", "id": 1},
            "html_url": "https://github.com/octocat/hello-world/issues/7", "created_at": now, "updated_at": now,
        });
        self.issues.lock().unwrap().insert(0, issue.clone());
        told.unwrap_or_else(|| Reply::json(201, &issue))
    }

    /// The newest issues; in the storm, every other list is older than what was just done.
    fn issues(&self, request: &Message) -> Reply {
        let issues = self.issues.lock().unwrap();
        if !self.is_calm() && issues.len().is_multiple_of(2) {
            return Reply::json(200, &json!([]));
        }
        let page = request.first.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("page="));
        let page: usize = page.map_or(1, |page| page.parse().unwrap());
        let some: Vec<&Value> = issues.iter().skip(100 * (page - 1)).take(100).collect();
        let mut reply = Reply::json(200, &json!(some));
        if issues.len() > 100 * page {
            let next = format!("</issues?page={}>; rel=\"next\"", page + 1);
            reply.1.push(("link", next));
        }
        reply
    }

    fn refund(&self, request: &Message) -> Reply {
        let key = request.header("idempotency-key").unwrap().to_owned();
        let payment = request.body.split(['=', '&']).find(|part| part.starts_with("pi_")).unwrap();
        let told = match self.fault(payment) {
            Fault::Nothing(told) => return told,
            Fault::Lost(told) => Some(told),
            Fault::Told => None,
        };
        let mut keys = self.keys.lock().unwrap();
        let (asked, refund) = keys.entry(key).or_insert_with(|| {
            self.count(payment);
            let refund = json!({
                "id": format!("re_{payment}"), "object": "refund", "payment_intent": payment, "amount": 100,
                "currency": "eur", "status": "succeeded", "created": 1_767_225_600,
            });
            (request.body.clone(), refund)
        });
        assert_eq!(*asked, request.body, "one key for two requests");
        let refund = Reply::json(200, refund);
        told.unwrap_or(refund)
    }
}

/// Both at one address.
pub fn services(world: Arc<World>) -> Provider {
    Provider::github(move |request| match request.what() {
        "GET /v1/account" => Reply::json(200, &json!({"id": "acct_1", "object": "account"})),
        "GET /v1/balance" => Reply::json(
            200,
            &json!({"object": "balance", "livemode": false, "available": [], "pending": []}),
        ),
        "POST /v1/refunds" => world.refund(request),
        what if what.starts_with("GET /v1/payment_intents/") => Reply::json(
            200,
            &json!({
                "id": what.rsplit('/').next().unwrap(), "object": "payment_intent", "status": "succeeded",
                "amount": 100, "amount_received": 100, "currency": "eur", "created": 1_767_225_600,
            }),
        ),
        what if what.starts_with("GET ") && what.ends_with("/issues") => world.issues(request),
        what if what.ends_with("/issues") => world.create_issue(request),
        _ => crate::provider::repository(request),
    })
}
