//! A name.com that keeps its domains, orders and zones, and the name server that shows the zones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use resto_testing::DnsServer;
use serde_json::{Value, json};

use crate::provider::{Provider, Reply};
use crate::walk::Seen;
use crate::wire::Message;

/// What a domain costs here, in dollars.
const PRICE: f64 = 12.5;

/// A registrar of a test's own, with nothing registered.
pub struct NameCom {
    pub provider: Provider,
    pub dns: DnsServer,
}

#[derive(Default)]
struct Registry {
    domains: BTreeMap<String, Value>,
    /// By domain and id.
    records: BTreeMap<(String, u64), Value>,
    /// How many ids were given.
    ids: u64,
}

impl NameCom {
    pub fn start() -> Self {
        let registry = Arc::<Mutex<Registry>>::default();
        let shown = Arc::clone(&registry);
        let dns = DnsServer::showing(move || shown.lock().unwrap().zone());
        let provider = Provider::start(move |request| {
            if request.header("authorization") != Some("Basic YWNtZTp3b3Jk") {
                return Reply::json(401, &json!({"message": "Unauthenticated"}));
            }
            let (status, body) = registry.lock().unwrap().answer(request);
            Reply::json(status, &body)
        });
        Self { provider, dns }
    }

    /// The part of a configuration that leads here, and to the name server.
    pub fn configuration(&self) -> String {
        format!(
            "dns_servers = [\"{}\"]\n[integrations.registrar]\nbase_url = \"{}\"\n",
            self.dns.address, self.provider.url
        )
    }

    /// Who answered its requests: it keeps all by itself.
    pub fn seen(&self) -> Seen<'_> {
        Box::new(|| vec!["double".to_owned(); self.provider.count()])
    }

    /// What it takes for its key: a user name and a token.
    pub fn key() -> &'static str {
        "acme\nword\n"
    }
}

impl Registry {
    /// All records, as a name server knows them.
    fn zone(&self) -> Vec<(String, String, String)> {
        let text = |record: &Value, field: &str| record[field].as_str().unwrap_or("").to_owned();
        let shown = self.records.iter().map(|((domain, _), record)| {
            let host = text(record, "host");
            let name = if host.is_empty() { domain.clone() } else { format!("{host}.{domain}") };
            let content = match record["priority"].as_u64() {
                Some(priority) => format!("{priority} {}", text(record, "answer")),
                None => text(record, "answer"),
            };
            (name, text(record, "type"), content)
        });
        shown.collect()
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
            ("POST", "", ["records"]) => return (200, self.put((name.to_owned(), id), body)),
            ("PUT", "", ["records", id]) if self.records.contains_key(&of(id)) => {
                return (200, self.put(of(id), body));
            }
            ("DELETE", "", ["records", id]) if self.records.remove(&of(id)).is_some() => {
                return (200, json!({}));
            }
            _ => return (404, json!({"message": "Not Found"})),
        }
        (200, self.domains[name].clone())
    }

    fn put(&mut self, at: (String, u64), body: &Value) -> Value {
        let mut record = body.clone();
        record["id"] = at.1.into();
        record["domainName"] = at.0.clone().into();
        self.records.insert(at, record.clone());
        record
    }
}
