use serde_json::{Value, json};

use super::*;
use crate::changes::{ApplyDnsChange, RestoreDnsSnapshot};
use crate::plans::PlanDnsChange;

const RECORDS: &str = "/zones/z1/dns_records";

fn web() -> Value {
    json!([
        {"id": "1", "type": "A", "name": "acme.com", "content": "192.0.2.1", "ttl": 1, "proxied": true},
        {"id": "2", "type": "CNAME", "name": "old.acme.com", "content": "gone.example", "ttl": 300, "proxied": false},
    ])
}

async fn with_zone() -> FakeApi {
    fake()
        .await
        .on("GET", "/zones", 200, ok(json!([{"id": "z1"}])))
        .on("GET", RECORDS, 200, ok(web()))
        .on("POST", RECORDS, 200, ok(json!({"id": "9"})))
        .on("PATCH", "/zones/z1/dns_records/1", 200, ok(json!({"id": "1"})))
        .on("DELETE", "/zones/z1/dns_records/2", 200, ok(json!({"id": "2"})))
}

async fn apply(fake: &FakeApi, change: Value) -> Value {
    let plan = fake.run::<PlanDnsChange>(change).await.unwrap();
    fake.run::<ApplyDnsChange>(json!({"plan_id": plan["plan_id"]})).await.unwrap()
}

async fn bodies(fake: &FakeApi, method: &str) -> Vec<Value> {
    let requests = fake.requests().await.into_iter();
    requests.filter(|request| request.method == method).map(|request| request.body).collect()
}

#[tokio::test]
async fn writes_whole_names_and_sends_visitors_to_the_host_directly() {
    let fake = with_zone().await;
    apply(
        &fake,
        json!({"domain": "acme.com",
            "remove": [{"name": "@", "type": "A"}, {"name": "old", "type": "CNAME"}],
            "add": [
                {"name": "@", "type": "A", "content": "198.51.100.1"},
                {"name": "www", "type": "ALIAS", "content": "host.example", "ttl_seconds": 600},
                {"name": "@", "type": "MX", "content": "mx.mail.example", "priority": 10},
                {"name": "@", "type": "TXT", "content": "verify=1"}]}),
    )
    .await;
    let changed = json!({"type": "A", "name": "acme.com", "ttl": 1, "content": "198.51.100.1", "proxied": false});
    assert_eq!(bodies(&fake, "PATCH").await, [changed]);
    assert_eq!(
        bodies(&fake, "POST").await,
        [
            json!({"type": "CNAME", "name": "www.acme.com", "ttl": 600, "content": "host.example", "proxied": false}),
            json!({"type": "MX", "name": "acme.com", "ttl": 1, "content": "mx.mail.example", "priority": 10}),
            json!({"type": "TXT", "name": "acme.com", "ttl": 1, "content": "verify=1"}),
        ]
    );
    assert_eq!(bodies(&fake, "DELETE").await.len(), 1);
}

#[tokio::test]
async fn writes_services_and_certificate_rules_in_parts() {
    // The description is older than the parts of these two kinds.
    let fake = with_zone().await.unofficial("POST", RECORDS);
    let records = json!([
        {"name": "_sip._tcp", "type": "SRV", "content": "5 5060 sip.acme.com", "priority": 10},
        {"name": "@", "type": "CAA", "content": "0 issue \"ca.example\""}]);
    apply(&fake, json!({"domain": "acme.com", "add": records})).await;
    assert_eq!(
        bodies(&fake, "POST").await,
        [
            json!({"type": "SRV", "name": "_sip._tcp.acme.com", "ttl": 1,
                   "data": {"priority": 10, "weight": 5, "port": 5060, "target": "sip.acme.com"}}),
            json!({"type": "CAA", "name": "acme.com", "ttl": 1, "data": {"flags": 0, "tag": "issue", "value": "ca.example"}}),
        ]
    );
}

#[tokio::test]
async fn a_snapshot_brings_the_proxy_back() {
    let moved = json!([{"id": "1", "type": "A", "name": "acme.com", "content": "198.51.100.1", "ttl": 1, "proxied": false}]);
    let fake = with_zone().await;
    let fake = fake.on("GET", RECORDS, 200, ok(web())).on("GET", RECORDS, 200, ok(moved));
    let change = json!({"domain": "acme.com", "remove": [{"name": "@", "type": "A"}],
        "add": [{"name": "@", "type": "A", "content": "198.51.100.1"}]});
    let done = apply(&fake, change).await;
    fake.run::<RestoreDnsSnapshot>(json!({"snapshot_id": done["snapshot_id"]})).await.unwrap();
    let patched = bodies(&fake, "PATCH").await;
    assert_eq!(
        patched[1],
        json!({"type": "A", "name": "acme.com", "ttl": 1, "content": "192.0.2.1", "proxied": true})
    );
    assert_eq!(bodies(&fake, "POST").await[0]["name"], "old.acme.com");
}
