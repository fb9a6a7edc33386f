use resto_core::{Code, Money, Permissions, Proof, Risk};
use resto_testing::FakeApi;
use serde_json::{Value, json};

use crate::changes::{ApplyDnsChange, RestoreDnsSnapshot};
use crate::domains::{GetDomain, ListDomains, SetAutoRenew, SetNameservers, SetPrivacy};
use crate::offers::{CheckAvailability, SuggestDomains};
use crate::orders::GetOrder;
use crate::plans::PlanDnsChange;
use crate::purchases::{PurchaseDomain, RenewDomain};
use crate::quotes::QuoteDomain;
use crate::{REGISTRAR, adapter};

const CHECK: &str = "/core/v1/domains:checkAvailability";
const ACME: &str = "/core/v1/domains/acme.com";
const PRICING: &str = "/core/v1/domains/acme.com:getPricing";
const RENEW: &str = "/core/v1/domains/acme.com:renew";
const RECORDS: &str = "/core/v1/domains/acme.com/records";

async fn fake() -> FakeApi {
    FakeApi::of(&REGISTRAR, "namecom").await
}

fn free(extra: Value) -> Value {
    let mut found = json!({"domainName": "acme.com", "sld": "acme", "tld": "com", "purchasable": true, "premium": false,
        "purchaseType": "registration", "purchasePrice": 12.99, "renewalPrice": 15.1});
    found.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"results": [found]})
}

fn pricing(buy: Value, renew: Value) -> Value {
    json!({"premium": false, "purchasePrice": buy, "renewalPrice": renew, "transferPrice": 9.99})
}

fn requirements(fields: Value, years: &[u8]) -> Value {
    json!({"requirements": {"fields": fields}, "contacts": {}, "tldInfo": {"allowedRegistrationYears": years}})
}

fn acme(expires: &str) -> Value {
    json!({"domainName": "acme.com", "createDate": "2026-01-01T00:00:00Z", "expireDate": expires, "autorenewEnabled": true,
        "privacyEnabled": true, "locked": true, "contacts": {}, "nameservers": ["ns1.name.com", "ns2.name.com"]})
}

/// A name that is free, and its quote for two years.
async fn quoted() -> (FakeApi, Value) {
    let fake = fake()
        .await
        .on("POST", CHECK, 200, free(json!({})))
        .on("GET", "/core/v1/domaininfo/requirements/com", 200, requirements(json!({}), &[1, 2, 5]))
        .on("GET", PRICING, 200, pricing(json!(28.09), json!(30.2)));
    let quote = fake.run::<QuoteDomain>(json!({"domain": "acme.com", "years": 2})).await.unwrap();
    (fake, quote)
}

async fn sent(fake: &FakeApi, method: &str, path: &str) -> Vec<Value> {
    let requests = fake.requests().await.into_iter();
    requests.filter(|r| r.method == method && r.path == path).map(|r| r.body).collect()
}

#[tokio::test]
async fn suggests_and_checks_first_hand_names_only() {
    let fake = fake().await.on("POST", "/core/v1/domains:search", 200, free(json!({}))).on(
        "POST",
        CHECK,
        200,
        free(json!({"purchaseType": "aftermarket_s", "purchasePrice": 2500})),
    );
    let ideas = json!({"words": "acme", "endings": ["com"], "limit": 1});
    let found = fake.run::<SuggestDomains>(ideas).await.unwrap();
    assert_eq!(found["offers"][0]["price"], json!({"minor": 1299, "currency": "USD"}));
    assert_eq!(
        fake.requests().await[0].body,
        json!({"keyword": "acme", "tldFilter": ["com"], "purchaseType": "registration", "timeout": 5000})
    );
    let found = fake.run::<CheckAvailability>(json!({"domains": ["acme.com"]})).await.unwrap();
    assert_eq!(found["offers"][0]["available"], false);
    assert!(found["offers"][0]["reason"].as_str().unwrap().contains("sold by an owner"));
}

#[tokio::test]
async fn quotes_the_whole_period() {
    let (fake, quote) = quoted().await;
    assert_eq!(
        (&quote["years"], &quote["total"]["minor"], &quote["renewal_total"]["minor"]),
        (&json!(2), &json!(2809), &json!(3020))
    );
    assert_eq!(fake.requests().await.last().unwrap().query["years"], "2");
    let error =
        fake.run::<QuoteDomain>(json!({"domain": "acme.com", "years": 3})).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("years"));
}

#[tokio::test]
async fn quotes_nothing_that_it_cannot_sell() {
    let plain = || requirements(json!({}), &[]);
    for (found, requirements, prices, code) in [
        (
            free(json!({"purchasable": false, "reason": "Registry maintenance"})),
            plain(),
            pricing(json!(1), json!(1)),
            Code::Conflict,
        ),
        (free(json!({"premium": true})), plain(), pricing(json!(1), json!(1)), Code::Conflict),
        (
            free(json!({})),
            requirements(json!({"nexus": {"type": "enum", "required": "true"}}), &[]),
            pricing(json!(1), json!(1)),
            Code::ActionRequired,
        ),
        (free(json!({})), plain(), pricing(Value::Null, json!(1)), Code::Conflict),
        (
            free(json!({})),
            plain(),
            json!({"premium": true, "purchasePrice": 1, "renewalPrice": 1, "transferPrice": 1}),
            Code::Conflict,
        ),
    ] {
        let fake = fake()
            .await
            .on("POST", CHECK, 200, found)
            .on("GET", "/core/v1/domaininfo/requirements/com", 200, requirements)
            .on("GET", PRICING, 200, prices);
        let error = fake.run::<QuoteDomain>(json!({"domain": "acme.com"})).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn names_its_price_and_tells_what_was_charged() {
    let (fake, quote) = quoted().await;
    let fake = fake
        .on(
            "POST",
            "/core/v1/domains",
            200,
            json!({"domain": acme("2028-01-01T00:00:00Z"), "order": 77, "totalPaid": 33.43}),
        )
        .on("GET", "/core/v1/orders/77", 200, json!({"id": 77, "status": "success"}));
    let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": true});
    let order = fake.run::<PurchaseDomain>(arguments.clone()).await.unwrap();
    assert_eq!(
        (&order["state"], &order["paid"]["minor"], &order["registrar_order"]),
        (&json!("succeeded"), &json!(3343), &json!("77"))
    );
    assert!(order["message"].as_str().unwrap().contains("more than the quoted 28.09 USD"));
    let request = fake.requests().await.into_iter().find(|r| r.path == "/core/v1/domains").unwrap();
    assert_eq!(
        request.body,
        json!({"domain": {"domainName": "acme.com", "privacyEnabled": true, "autorenewEnabled": true}, "years": 2,
               "purchaseType": "registration", "purchasePrice": 28.09})
    );
    assert!(request.headers["x-idempotency-key"].starts_with("resto-"));
    assert_eq!(request.headers["authorization"], "Basic ZmFrZTpmYWtl");
    fake.run::<PurchaseDomain>(arguments).await.unwrap();
    assert_eq!(sent(&fake, "POST", "/core/v1/domains").await.len(), 1);
}

#[tokio::test]
async fn a_refused_price_buys_nothing() {
    let (fake, quote) = quoted().await;
    let fake = fake
        .on("POST", "/core/v1/domains", 400, json!({"message": "Purchase price does not match"}))
        .on("GET", ACME, 404, json!({"message": "Not Found"}));
    let error = fake
        .run::<PurchaseDomain>(json!({"quote_id": quote["quote_id"], "auto_renew": false}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("Ask for a new quote"), "{error}");
    let order = fake.run::<GetOrder>(json!({"order_id": quote["quote_id"]})).await.unwrap();
    assert_eq!(order["state"], "failed");
}

#[tokio::test]
async fn finds_a_domain_that_was_bought_although_the_last_try_failed() {
    let (fake, quote) = quoted().await;
    let fake = fake
        .on("POST", "/core/v1/domains", 504, json!({"message": "Gateway Timeout"}))
        .on(
            "POST",
            "/core/v1/domains",
            429,
            json!({"message": "Rate Limit Exceeded", "details": ""}),
        )
        .on("GET", ACME, 200, acme("2028-01-01T00:00:00Z"));
    let order = fake
        .run::<PurchaseDomain>(json!({"quote_id": quote["quote_id"], "auto_renew": false}))
        .await
        .unwrap();
    assert_eq!(
        (&order["state"], &order["expires_on"]),
        (&json!("succeeded"), &json!("2028-01-01"))
    );
}

#[tokio::test]
async fn renews_once_at_the_quoted_price() {
    let fake = fake()
        .await
        .on("GET", ACME, 200, acme("2027-01-01T00:00:00Z"))
        .on("GET", PRICING, 200, pricing(json!(12.99), json!(15.1)))
        .on("POST", RENEW, 502, json!({"message": "Bad Gateway"}));
    let quote =
        fake.run::<QuoteDomain>(json!({"domain": "acme.com", "operation": "renew"})).await.unwrap();
    assert_eq!(quote["quote_id"], "acme.com-15.10USD-00000007");
    let error = fake.run::<RenewDomain>(json!({"quote_id": quote["quote_id"]})).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome, "the date has not changed");
    let again = fake.run::<RenewDomain>(json!({"quote_id": quote["quote_id"]})).await.unwrap_err();
    assert_eq!(again.code(), Code::UnknownOutcome, "{again}");
    assert!(again.message().contains("ask get_order for"), "{again}");
    assert_eq!(sent(&fake, "POST", RENEW).await, [json!({"years": 1, "purchasePrice": 15.10})]);
    let order = fake.run::<GetOrder>(json!({"order_id": quote["quote_id"]})).await.unwrap();
    assert_eq!(order["state"], "unknown");
}

#[tokio::test]
async fn lists_domains_and_changes_their_settings() {
    let fake = fake()
        .await
        .on("GET", "/core/v1/domains", 200, json!({"domains": [acme("2027-01-01T00:00:00Z")], "nextPage": 3, "from": 1, "to": 1, "totalCount": 9}))
        .on("GET", ACME, 200, acme("2027-01-01T00:00:00Z"))
        .on("PATCH", ACME, 200, acme("2027-01-01T00:00:00Z"))
        .on("POST", "/core/v1/domains/acme.com:setNameservers", 200, acme("2027-01-01T00:00:00Z"));
    let page = fake.run::<ListDomains>(json!({"limit": 1, "cursor": "2"})).await.unwrap();
    assert_eq!(
        (&page["next_cursor"], &page["items"][0]["name"]),
        (&json!("3"), &json!("acme.com"))
    );
    assert!(page["items"][0].get("nameservers").is_none());
    let domain = fake.run::<GetDomain>(json!({"domain": "acme.com"})).await.unwrap();
    assert_eq!(domain["nameservers"], json!(["ns1.name.com", "ns2.name.com"]));
    fake.run::<SetAutoRenew>(json!({"domain": "acme.com", "enabled": false})).await.unwrap();
    assert_eq!(fake.spent(), [Money::nothing()]);
    fake.run::<SetPrivacy>(json!({"domain": "acme.com", "enabled": true})).await.unwrap();
    assert_eq!(
        sent(&fake, "PATCH", ACME).await,
        [json!({"autorenewEnabled": false}), json!({"privacyEnabled": true})]
    );
    let names =
        json!({"domain": "acme.com", "nameservers": ["ns1.example.net", "ns2.example.net"]});
    let set = fake.run::<SetNameservers>(names).await.unwrap();
    assert_eq!(set["nameservers"], json!(["ns1.example.net", "ns2.example.net"]));
    assert_eq!(set["before"], json!(["ns1.name.com", "ns2.name.com"]));
}

#[tokio::test]
async fn d1_whoever_lets_a_domain_renew_by_itself_is_told_the_price_first() {
    for premium in [false, true] {
        let mut prices = pricing(json!(12.99), json!(15.1));
        prices["premium"] = premium.into();
        let fake = fake().await.on("GET", PRICING, 200, prices).on(
            "PATCH",
            ACME,
            200,
            acme("2027-01-01T00:00:00Z"),
        );
        fake.run::<SetAutoRenew>(json!({"domain": "acme.com", "enabled": true})).await.unwrap();
        assert_eq!(fake.spent(), [Money::cents(1510)]);
        let requests = fake.requests().await;
        let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths, [PRICING, ACME]);
    }
}

#[tokio::test]
async fn an_alias_is_an_aname_and_a_snapshot_brings_it_back() {
    let alias = json!({"id": 5, "domainName": "acme.com", "host": "", "fqdn": "acme.com.", "type": "ANAME", "answer": "old.example.net", "ttl": 300});
    let address = json!({"id": 6, "host": null, "type": "A", "answer": "192.0.2.1", "ttl": 3600});
    let zone = |records: Value| json!({"records": records, "from": 1, "to": 1, "totalCount": 1});
    let fake = fake()
        .await
        .on("GET", RECORDS, 200, zone(json!([alias])))
        .on("GET", RECORDS, 200, zone(json!([alias])))
        .on("GET", RECORDS, 200, zone(json!([address])))
        .on("DELETE", "/core/v1/domains/acme.com/records/5", 204, Value::Null)
        .on("DELETE", "/core/v1/domains/acme.com/records/6", 204, Value::Null)
        .on("POST", RECORDS, 200, address.clone());
    let change = json!({"domain": "acme.com", "remove": [{"name": "@", "type": "ALIAS"}],
        "add": [{"name": "@", "type": "A", "content": "192.0.2.1"}]});
    let plan = fake.run::<PlanDnsChange>(change).await.unwrap();
    assert_eq!(
        plan["diff"]["delete"][0],
        json!({"name": "@", "type": "ALIAS", "content": "old.example.net", "ttl_seconds": 300})
    );
    let done = fake.run::<ApplyDnsChange>(json!({"plan_id": plan["plan_id"]})).await.unwrap();
    fake.run::<RestoreDnsSnapshot>(json!({"snapshot_id": done["snapshot_id"]})).await.unwrap();
    assert_eq!(
        sent(&fake, "POST", RECORDS).await,
        [
            json!({"host": "", "type": "A", "answer": "192.0.2.1", "ttl": 3600}),
            json!({"host": "", "type": "ANAME", "answer": "old.example.net", "ttl": 300})
        ]
    );
    assert_eq!(sent(&fake, "DELETE", "/core/v1/domains/acme.com/records/6").await.len(), 1);
}

#[tokio::test]
async fn knows_the_account_and_who_has_to_revoke_the_key() {
    for (username, mode) in [("acme", "live"), ("acme-test", "test")] {
        let hello = json!({"motd": "", "serverName": "x", "serverTime": "2026-01-01T00:00:00Z", "username": username});
        let fake = fake().await.on("GET", "/core/v1/hello", 200, hello);
        let account = adapter().identify(&fake.api(Risk::Read)).await.unwrap();
        assert_eq!((account.id.as_str(), account.mode.as_deref()), (username, Some(mode)));
        assert_eq!(account.permissions, Permissions::Known(["account".to_owned()].into()));
    }
    for (provider, host) in [
        ("cloudflare", "dash.cloudflare.com"),
        ("porkbun", "porkbun.com"),
        ("namecom", "www.name.com"),
    ] {
        let fake = FakeApi::of(&REGISTRAR, provider).await;
        let Proof::PersonMust { url, .. } = adapter().revoke(&fake.api(Risk::Write)).await.unwrap()
        else {
            panic!("a program cannot revoke a key of {provider}");
        };
        assert!(url.contains(host), "{url}");
    }
}
