mod dns;
mod orders;

use resto_core::{Code, Risk};
use resto_testing::FakeApi;
use serde_json::{Value, json};

use crate::domains::{GetDomain, ListDomains, SetAutoRenew, SetNameservers, SetPrivacy};
use crate::offers::{CheckAvailability, SearchDomains, SuggestDomains};
use crate::quotes::QuoteDomain;
use crate::records::ListDnsRecords;
use crate::{REGISTRAR, adapter};

const REGISTRATIONS: &str = "/accounts/acct_1/registrar/registrations";
const ACME: &str = "/accounts/acct_1/registrar/registrations/acme.com";
const STATUS: &str = "/accounts/acct_1/registrar/registrations/acme.com/registration-status";
const CHECK: &str = "/accounts/acct_1/registrar/domain-check";

async fn fake() -> FakeApi {
    FakeApi::of(&REGISTRAR, "cloudflare").await
}

fn ok(result: Value) -> Value {
    json!({"success": true, "errors": [], "messages": [], "result": result})
}

fn failed(code: u32, message: &str) -> Value {
    json!({"success": false, "errors": [{"code": code, "message": message}], "messages": [], "result": null})
}

fn free(name: &str, first: &str, later: &str) -> Value {
    json!({"name": name, "registrable": true, "tier": "standard",
           "pricing": {"currency": "USD", "registration_cost": first, "renewal_cost": later}})
}

fn checked(domains: &[Value]) -> Value {
    ok(json!({"domains": domains}))
}

fn workflow(state: &str, extra: Value) -> Value {
    let mut status = json!({"state": state, "completed": state == "succeeded", "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "links": {"self": "/x"}});
    status.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    ok(status)
}

fn registration() -> Value {
    json!({"domain_name": "acme.com", "status": "active", "created_at": "2026-01-01T00:00:00Z",
           "expires_at": "2027-01-01T00:00:00Z", "auto_renew": false, "privacy_mode": "redaction", "locked": true})
}

fn extension(required: &[&str], least: u8) -> Value {
    ok(json!({"metadata": {"name": "com", "tld": "com"}, "transfer_schema": {},
              "registration_schema": {"required": required, "properties": {"years": {"minimum": least}}}}))
}

/// A name that is free at this price, and its quote.
async fn quoted(fake: FakeApi) -> (FakeApi, Value) {
    let fake = fake.on("POST", CHECK, 200, checked(&[free("acme.com", "10.44", "11.00")])).on(
        "GET",
        "/accounts/acct_1/registrar/extensions/com",
        200,
        extension(&["domain_name"], 1),
    );
    let quote = fake.run::<QuoteDomain>(json!({"domain": "ACME.com"})).await.unwrap();
    (fake, quote)
}

async fn sent(fake: &FakeApi, method: &str, path: &str) -> usize {
    fake.requests().await.iter().filter(|r| r.method == method && r.path == path).count()
}

#[tokio::test]
async fn suggests_names_with_their_prices() {
    let taken = json!({"name": "acme.net", "registrable": false, "reason": "domain_unavailable"});
    let fake = fake().await.on(
        "GET",
        "/accounts/acct_1/registrar/domain-search",
        200,
        checked(&[free("acme.com", "10.44", "10.44"), taken]),
    );
    let ideas = json!({"words": "acme", "endings": [".com"], "limit": 5});
    let found = fake.run::<SuggestDomains>(ideas).await.unwrap();
    assert_eq!(
        found["offers"][0],
        json!({"domain": "acme.com", "available": true, "premium": false,
               "price": {"minor": 1044, "currency": "USD"}, "renewal_price": {"minor": 1044, "currency": "USD"}})
    );
    assert_eq!(found["offers"][1]["available"], false);
    let request = &fake.requests().await[0];
    assert_eq!(
        (request.query["q"].as_str(), request.query["extensions"].as_str()),
        ("acme", "com")
    );
}

#[tokio::test]
async fn searches_a_name_under_several_endings_in_their_order() {
    let premium = json!({"name": "acme.net", "registrable": false, "reason": "domain_premium", "tier": "premium"});
    let fake = fake().await.on(
        "POST",
        CHECK,
        200,
        checked(&[premium, free("acme.com", "10.44", "10.44")]),
    );
    let found = fake.run::<SearchDomains>(json!({"name": "acme"})).await.unwrap();
    let told: Vec<(&Value, &Value)> = found["offers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|offer| (&offer["domain"], &offer["premium"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("acme.com"), &json!(false)),
            (&json!("acme.net"), &json!(true)),
            (&json!("acme.org"), &json!(false))
        ]
    );
    assert!(found["offers"][2].get("available").is_none(), "what was not told is not known");
    assert_eq!(
        fake.requests().await[0].body,
        json!({"domains": ["acme.com", "acme.net", "acme.org"]})
    );
    for wrong in [
        json!({"name": "acme.com"}),
        json!({"name": "a", "endings": ["a/b"]}),
        json!({"name": "-"}),
    ] {
        let error = fake.run::<SearchDomains>(wrong).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
    }
    assert_eq!(fake.requests().await.len(), 1);
}

#[tokio::test]
async fn checks_names_that_people_write_in_their_own_letters() {
    let fake = fake().await.on(
        "POST",
        CHECK,
        200,
        checked(&[free("xn--bcher-kva.com", "10.44", "10.44")]),
    );
    let found = fake.run::<CheckAvailability>(json!({"domains": ["Bücher.com"]})).await.unwrap();
    assert_eq!(found["offers"][0]["domain"], "xn--bcher-kva.com");
    assert_eq!(found["offers"][0]["unicode"], "bücher.com");
    let error =
        fake.run::<CheckAvailability>(json!({"domains": ["http://acme.com/"]})).await.unwrap_err();
    assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 1));
}

#[tokio::test]
async fn lists_and_shows_the_accounts_domains() {
    let fake = fake()
        .await
        .on("GET", REGISTRATIONS, 200, json!({"success": true, "errors": [], "messages": [], "result": [registration()], "result_info": {"cursor": "next"}}))
        .on("GET", ACME, 200, ok(registration()))
        .on("GET", "/zones", 200, ok(json!([{"id": "z1", "name": "acme.com", "name_servers": ["bob.ns.cloudflare.com"]}])));
    let page = fake.run::<ListDomains>(json!({"limit": 1})).await.unwrap();
    assert_eq!(page["next_cursor"], "next");
    assert_eq!(
        page["items"][0],
        json!({"name": "acme.com", "status": "active", "created_on": "2026-01-01", "expires_on": "2027-01-01",
               "auto_renew": false, "privacy": true, "locked": true})
    );
    let domain = fake.run::<GetDomain>(json!({"domain": "acme.com"})).await.unwrap();
    assert_eq!(domain["nameservers"], json!(["bob.ns.cloudflare.com"]));
}

#[tokio::test]
async fn changes_the_settings_that_can_be_changed() {
    let fake = fake().await.on("PATCH", ACME, 200, workflow("succeeded", json!({}))).on(
        "PUT",
        "/accounts/acct_1/registrar/domains/acme.com",
        200,
        ok(json!({})),
    );
    let on = json!({"domain": "acme.com", "enabled": true});
    fake.run::<SetAutoRenew>(on.clone()).await.unwrap();
    assert!(fake.spent().is_empty(), "it tells no price");
    fake.run::<SetPrivacy>(on).await.unwrap();
    let bodies: Vec<Value> = fake.requests().await.into_iter().map(|r| r.body).collect();
    assert_eq!(bodies, [json!({"auto_renew": true}), json!({"privacy": true})]);
    let names =
        json!({"domain": "acme.com", "nameservers": ["ns1.example.net", "ns2.example.net"]});
    let fake = fake.on("GET", ACME, 200, ok(registration())).on(
        "GET",
        "/zones",
        200,
        ok(json!([{"id": "z1", "name_servers": ["bob.ns.cloudflare.com"]}])),
    );
    let error = fake.run::<SetNameservers>(names).await.unwrap_err();
    assert_eq!(error.code(), Code::ActionRequired);
    let requests = fake.requests().await;
    let changes = requests.iter().filter(|request| request.method != "GET");
    assert_eq!(changes.count(), 2, "only the settings");
}

#[tokio::test]
async fn reads_records_in_the_one_form() {
    let fake = fake()
        .await
        .on("GET", "/zones", 200, ok(json!([{"id": "z1"}])))
        .on("GET", "/zones/z1/dns_records", 200, ok(json!([
            {"id": "1", "type": "A", "name": "acme.com", "content": "192.0.2.1", "ttl": 1, "proxied": true},
            {"id": "2", "type": "TXT", "name": "acme.com", "content": "\"v=spf1 \" \"-all\"", "ttl": 300, "proxied": false},
            {"id": "3", "type": "SRV", "name": "_sip._tcp.acme.com", "content": "5 5060 sip.acme.com", "ttl": 60,
             "data": {"priority": 10, "weight": 5, "port": 5060, "target": "Sip.acme.com"}},
            {"id": "4", "type": "MX", "name": "acme.com", "content": "mx.example.net", "ttl": 1, "priority": 5},
        ])));
    let page = fake.run::<ListDnsRecords>(json!({"domain": "acme.com", "limit": 3})).await.unwrap();
    assert_eq!(
        page["items"],
        json!([
            {"name": "@", "type": "A", "content": "192.0.2.1", "proxied": true},
            {"name": "@", "type": "TXT", "content": "v=spf1 -all", "ttl_seconds": 300},
            {"name": "_sip._tcp", "type": "SRV", "content": "5 5060 sip.acme.com", "ttl_seconds": 60, "priority": 10},
        ])
    );
    let rest = json!({"domain": "acme.com", "limit": 3, "cursor": page["next_cursor"]});
    assert_eq!(fake.run::<ListDnsRecords>(rest).await.unwrap()["items"][0]["type"], "MX");
    let some = json!({"domain": "acme.com", "name": "acme.com", "type": "txt"});
    let page = fake.run::<ListDnsRecords>(some).await.unwrap();
    assert_eq!((page["items"].as_array().unwrap().len(), page.get("next_cursor")), (1, None));
    let request = &fake.requests().await[0];
    assert_eq!(
        (request.query["name"].as_str(), request.query["account.id"].as_str()),
        ("acme.com", "acct_1")
    );
}

#[tokio::test]
async fn learns_the_account_from_a_token_for_one() {
    for (verified, end) in [
        (
            json!({"id": "t1", "status": "active", "expires_on": "2027-01-31T09:00:00Z"}),
            Some(1_801_386_000),
        ),
        (json!({"id": "t1", "status": "active"}), None),
    ] {
        let one = fake()
            .await
            .on("GET", "/accounts", 200, ok(json!([{"id": "a1", "name": "Acme"}])))
            .on("GET", "/user/tokens/verify", 200, ok(verified));
        let account = adapter().identify(&one.api(Risk::Read)).await.unwrap();
        assert_eq!((account.id.as_str(), account.name.as_str()), ("a1", "Acme"));
        assert_eq!(account.ends_at, end);
    }
    let off = fake()
        .await
        .on("GET", "/accounts", 200, ok(json!([{"id": "a1", "name": "Acme"}])))
        .on("GET", "/user/tokens/verify", 200, ok(json!({"id": "t1", "status": "disabled"})));
    let off = adapter().identify(&off.api(Risk::Read)).await.unwrap_err();
    assert_eq!(off.code(), Code::AuthExpired);
    assert!(off.message().contains("disabled"), "{off}");
    for accounts in [json!([]), json!([{"id": "a1", "name": "A"}, {"id": "a2", "name": "B"}])] {
        let fake = fake().await.on("GET", "/accounts", 200, ok(accounts));
        let error = adapter().identify(&fake.api(Risk::Read)).await.unwrap_err();
        assert_eq!(error.code(), Code::ActionRequired);
    }
}

#[tokio::test]
async fn learns_the_account_of_a_token_that_belongs_to_it_from_its_zones() {
    let refused = json!({"success": false, "messages": [], "result": null,
        "errors": [{"code": 1001, "message": "List accounts endpoint does not support account owned tokens."}]});
    let zone = |account: &str| json!({"id": "z", "account": {"id": account, "name": "Acme"}});
    for (zones, expected) in [
        (json!([zone("a1"), zone("a1")]), Some("a1")),
        (json!([zone("a1"), zone("a2")]), None),
        (json!([]), None),
    ] {
        let fake = fake().await.on("GET", "/accounts", 400, refused.clone()).on(
            "GET",
            "/zones",
            200,
            ok(zones),
        );
        let verified =
            json!({"id": "t1", "status": "active", "expires_on": "2027-01-31T09:00:00Z"});
        let fake = fake.on("GET", "/accounts/a1/tokens/verify", 200, ok(verified));
        match (adapter().identify(&fake.api(Risk::Read)).await, expected) {
            (Ok(account), Some(id)) => {
                assert_eq!((account.id.as_str(), account.ends_at), (id, Some(1_801_386_000)));
            }
            (Err(error), None) => assert_eq!(error.code(), Code::ActionRequired),
            (found, _) => panic!("{found:?}"),
        }
    }
}
