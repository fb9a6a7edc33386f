//! A name.com that keeps its domains and orders, and writes its zones to a `PowerDNS` that shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::powerdns::{PowerDns, Record};
use crate::provider::{Provider, Reply};
use crate::walk::Seen;
use crate::wire::Message;

/// What a domain costs here, in dollars.
const PRICE: f64 = 12.5;

/// A registrar of a test's own, with nothing registered.
pub struct NameCom {
    pub provider: Provider,
    pub dns: Arc<PowerDns>,
    /// Who answered, in order.
    seen: Arc<Mutex<Vec<String>>>,
}

struct Registry {
    dns: Arc<PowerDns>,
    domains: BTreeMap<String, Value>,
    /// By domain and id.
    records: BTreeMap<(String, u64), Value>,
    /// How many ids were given.
    ids: u64,
}

impl NameCom {
    pub fn start() -> Self {
        let dns = Arc::new(PowerDns::start());
        let (domains, records) = (BTreeMap::new(), BTreeMap::new());
        let registry = Mutex::new(Registry { dns: Arc::clone(&dns), domains, records, ids: 0 });
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let by = Arc::clone(&seen);
        let provider = Provider::start(move |request| {
            if request.header("authorization") != Some("Basic YWNtZTp3b3Jk") {
                return Reply::json(401, &json!({"message": "Unauthenticated"}));
            }
            let (status, body) = registry.lock().unwrap().answer(request);
            let who = if request.what().contains("/records") { "PowerDNS" } else { "double" };
            by.lock().unwrap().push(who.to_owned());
            Reply::json(status, &body)
        });
        Self { provider, dns, seen }
    }

    /// The part of a configuration that leads here, and to the name server.
    pub fn configuration(&self) -> String {
        format!(
            "dns_servers = [\"{}\"]\n[integrations.registrar]\nbase_url = \"{}\"\n",
            self.dns.address, self.provider.url
        )
    }

    /// Who answered its requests, and what was asked of the name server.
    pub fn seen(&self) -> Seen<'_> {
        let counted = Mutex::new(0);
        Box::new(move || {
            let (mut seen, mut counted) = (self.seen.lock().unwrap(), counted.lock().unwrap());
            let questions = self.dns.questions();
            let new = questions - std::mem::replace(&mut *counted, questions);
            seen.extend(vec!["PowerDNS".to_owned(); new]);
            seen.clone()
        })
    }

    /// What it takes for its key: a user name and a token.
    pub fn key() -> &'static str {
        "acme\nword\n"
    }
}

impl Registry {
    /// All records of a domain, as a name server knows them.
    fn zone(&self, domain: &str) -> Vec<Record> {
        let of_it = self.records.iter().filter(|((of, _), _)| of == domain);
        of_it.map(|(_, record)| shown(domain, record)).collect()
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn answer(&mut self, request: &Message) -> (u16, Value) {
        let (method, path) = request.what().split_once(' ').unwrap();
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let path = path.strip_prefix("/core/v1/").unwrap_or_default();
        match (method, path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["hello"]) => (200, json!({"username": "acme", "serverName": "tests"})),
            ("POST", ["domains:checkAvailability"]) => {
                let names = body["domainNames"].as_array().unwrap();
                let found = names.iter().map(|name| self.offer(name.as_str().unwrap()));
                (200, json!({"results": found.collect::<Vec<_>>()}))
            }
            ("POST", ["domains:search"]) => {
                let word: String = body["keyword"].as_str().unwrap().replace(' ', "");
                (200, json!({"results": [self.offer(&format!("{word}.com"))]}))
            }
            ("GET", ["domaininfo", "requirements", _]) => (
                200,
                json!({"requirements": {"fields": {}}, "tldInfo": {"allowedRegistrationYears": [1, 2]}}),
            ),
            ("GET", ["orders", order]) => (200, json!({"id": order, "status": "success"})),
            ("GET", ["domains"]) => {
                let all: Vec<&Value> = self.domains.values().collect();
                (200, json!({"domains": all, "totalCount": all.len()}))
            }
            ("POST", ["domains"]) => self.register(&body),
            (method, ["domains", domain, rest @ ..]) => {
                let (domain, verb) = domain.split_once(':').unwrap_or((domain, ""));
                self.of_domain(method, domain, verb, rest, &body)
            }
            _ => (404, json!({"message": "Not Found"})),
        }
    }

    fn offer(&self, name: &str) -> Value {
        let free = !self.domains.contains_key(name);
        json!({"domainName": name, "purchasable": free, "purchaseType": "registration",
            "purchasePrice": PRICE, "renewalPrice": PRICE})
    }

    fn register(&mut self, body: &Value) -> (u16, Value) {
        if body["purchasePrice"] != json!(PRICE) {
            return (400, json!({"message": "The price is another"}));
        }
        let mut domain = body["domain"].clone();
        let name = domain["domainName"].as_str().unwrap().to_owned();
        if self.domains.contains_key(&name) {
            return (409, json!({"message": "Domain is not available"}));
        }
        domain["createDate"] = "2026-01-01T00:00:00Z".into();
        domain["expireDate"] = "2027-01-01T00:00:00Z".into();
        domain["locked"] = true.into();
        domain["nameservers"] = json!(["ns1.name.com", "ns2.name.com"]);
        self.dns.add(&name, &["ns1.name.com", "ns2.name.com"]);
        self.domains.insert(name, domain.clone());
        (200, json!({"domain": domain, "order": self.id(), "totalPaid": PRICE}))
    }

    fn of_domain(
        &mut self,
        method: &str,
        name: &str,
        verb: &str,
        rest: &[&str],
        body: &Value,
    ) -> (u16, Value) {
        if (method, verb) == ("GET", "getPricing") {
            return (200, json!({"premium": false, "purchasePrice": PRICE, "renewalPrice": PRICE}));
        }
        let id = self.id();
        let Some(domain) = self.domains.get_mut(name) else {
            return (404, json!({"message": "Not Found"}));
        };
        let of = |id: &str| (name.to_owned(), id.parse().unwrap());
        match (method, verb, rest) {
            ("GET", "", []) => {}
            ("PATCH", "", []) | ("POST", "setNameservers", []) => {
                for (field, value) in body.as_object().unwrap() {
                    domain[field] = value.clone();
                }
            }
            ("POST", "renew", []) => {
                domain["expireDate"] = "2028-01-01T00:00:00Z".into();
                return (200, json!({"domain": domain, "order": id, "totalPaid": PRICE}));
            }
            ("GET", "", ["records"]) => {
                let of_it = self.records.iter().filter(|((domain, _), _)| domain == name);
                return (
                    200,
                    json!({"records": of_it.map(|(_, record)| record).collect::<Vec<_>>()}),
                );
            }
            ("POST", "", ["records"]) => return self.put((name.to_owned(), id), Some(body)),
            ("PUT", "", ["records", id]) if self.records.contains_key(&of(id)) => {
                return self.put(of(id), Some(body));
            }
            ("DELETE", "", ["records", id]) if self.records.contains_key(&of(id)) => {
                return self.put(of(id), None);
            }
            _ => return (404, json!({"message": "Not Found"})),
        }
        (200, self.domains[name].clone())
    }

    /// Puts a record, or none, in the place of what is there, if the name server takes it.
    fn put(&mut self, at: (String, u64), body: Option<&Value>) -> (u16, Value) {
        let before = self.records.remove(&at);
        let record = body.map(|body| {
            let mut record = body.clone();
            record["id"] = at.1.into();
            record["domainName"] = at.0.clone().into();
            record
        });
        if let Some(record) = &record {
            self.records.insert(at.clone(), record.clone());
        }
        let changed = [&before, &record].into_iter().flatten().map(|record| shown(&at.0, record));
        let sets: BTreeSet<(String, String)> =
            changed.map(|(name, kind, _)| (name, kind)).collect();
        let sets: Vec<(String, String)> = sets.into_iter().collect();
        match self.dns.replace(&at.0, &sets, &self.zone(&at.0)) {
            Ok(()) => (200, record.unwrap_or(json!({}))),
            Err(why) => {
                self.records.remove(&at);
                self.records.extend(before.map(|before| (at, before)));
                (422, json!({"message": "Unprocessable Entity", "details": why}))
            }
        }
    }
}

/// A record as a name server knows it.
fn shown(domain: &str, record: &Value) -> Record {
    let text = |field: &str| record[field].as_str().unwrap_or("").to_owned();
    let host = text("host");
    let name = if host.is_empty() { domain.to_owned() } else { format!("{host}.{domain}") };
    let content = match record["priority"].as_u64() {
        Some(priority) => format!("{priority} {}", text("answer")),
        None => text("answer"),
    };
    (name, text("type"), content)
}
