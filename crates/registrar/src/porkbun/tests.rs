use resto_core::{Code, Money, Risk};
use resto_testing::FakeApi;
use serde_json::{Value, json};

use crate::changes::ApplyDnsChange;
use crate::domains::{GetDomain, ListDomains, SetAutoRenew, SetNameservers, SetPrivacy};
use crate::offers::{CheckAvailability, SuggestDomains};
use crate::orders::GetOrder;
use crate::plans::PlanDnsChange;
use crate::purchases::{PurchaseDomain, RenewDomain};
use crate::quotes::QuoteDomain;
use crate::records::ListDnsRecords;
use crate::{REGISTRAR, adapter};

/// Porkbun's description is not among the official ones that the tests are given.
async fn fake() -> FakeApi {
    FakeApi::of(&REGISTRAR, "porkbun").await.undescribed()
}

fn ok(mut fields: Value) -> Value {
    fields["status"] = "SUCCESS".into();
    fields
}

fn refused(code: &str, message: &str) -> Value {
    json!({"status": "ERROR", "code": code, "message": message})
}

fn check(available: &str, premium: &str) -> Value {
    ok(
        json!({"response": {"avail": available, "premium": premium, "price": "8.51", "firstYearPromo": "yes",
        "minDuration": 1, "additional": {"renewal": {"price": "11.08"}}}}),
    )
}

fn rehearsal(operation: &str, cost: u64, funds: bool) -> Value {
    ok(
        json!({"dryRun": true, "wouldSucceed": funds, "operation": operation, "domain": "acme.com", "premium": false,
        "duration": 1, "cost": cost, "balance": 5000, "sufficientFunds": funds, "withinMonthlySpendLimit": true}),
    )
}

fn acme(expires: &str) -> Value {
    ok(
        json!({"domain": {"domain": "acme.com", "status": "ACTIVE", "createDate": "2026-01-01 10:00:00",
        "expireDate": expires, "autoRenew": "1", "whoisPrivacy": 1, "securityLock": 0, "apiAccess": 1}}),
    )
}

/// A name that is free, its quote, and how orders for it are answered.
async fn quoted(orders: &[(u16, Value)]) -> (FakeApi, Value) {
    let mut fake = fake()
        .await
        .on("POST", "/domain/checkDomain/acme.com", 200, check("yes", "no"))
        .on("GET", "/domain/getRegistrationRequirements/com", 200, ok(json!({"tld": "com", "apiRegisterable": true, "registrationDurationYears": 1, "registryRequirements": null})))
        .on("POST", "/domain/create/acme.com", 200, rehearsal("registration", 851, true));
    for (status, body) in orders {
        fake = fake.on("POST", "/domain/create/acme.com", *status, body.clone());
    }
    let quote = fake.run::<QuoteDomain>(json!({"domain": "acme.com"})).await.unwrap();
    (fake, quote)
}

async fn posts(fake: &FakeApi, path: &str) -> Vec<resto_testing::Recorded> {
    fake.requests().await.into_iter().filter(|r| r.method == "POST" && r.path == path).collect()
}

#[tokio::test]
async fn makes_suggestions_with_the_usual_prices_of_their_endings() {
    let prices = json!({"pricing": {"com": {"registration": "11.08", "renewal": "11.08"}, "shop": {"registration": "1.96", "renewal": "32.90"}}});
    let fake = fake().await.on("GET", "/pricing/get", 200, ok(prices));
    let ideas = json!({"words": "acme tools", "endings": ["shop", "nope"], "limit": 4});
    let found = fake.run::<SuggestDomains>(ideas).await.unwrap();
    assert_eq!(
        found["offers"][0],
        json!({"domain": "acmetools.shop", "premium": false, "price": {"minor": 196, "currency": "USD"},
               "renewal_price": {"minor": 3290, "currency": "USD"}})
    );
    assert!(
        found["offers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|offer| offer["domain"].as_str().unwrap().contains(".shop"))
    );
}

#[tokio::test]
async fn keeps_what_it_learnt_before_the_limit() {
    let fake = fake().await.on("POST", "/domain/checkDomain/acme.com", 200, check("no", "no")).on(
        "POST",
        "/domain/checkDomain/acme.net",
        503,
        refused("RATE_LIMIT_EXCEEDED", "1 out of 1 checks within 10 seconds used."),
    );
    let found =
        fake.run::<CheckAvailability>(json!({"domains": ["acme.com", "acme.net"]})).await.unwrap();
    assert_eq!(found["offers"][0]["available"], false);
    assert!(found["offers"][1].get("available").is_none());
    assert!(found["offers"][1]["reason"].as_str().unwrap().contains("ten seconds"));
    let error = fake.run::<CheckAvailability>(json!({"domains": ["acme.net"]})).await.unwrap_err();
    assert_eq!(error.code(), Code::RateLimited);
    let many = json!({"domains": ["a.com", "b.com", "c.com", "d.com"]});
    assert_eq!(fake.run::<CheckAvailability>(many).await.unwrap_err().code(), Code::InvalidInput);
}

#[tokio::test]
async fn quotes_by_a_rehearsal_that_spends_nothing() {
    let (fake, quote) = quoted(&[]).await;
    assert_eq!(
        (&quote["total"]["minor"], &quote["renewal_total"]["minor"]),
        (&json!(851), &json!(1108))
    );
    let rehearsed = &posts(&fake, "/domain/create/acme.com").await[0];
    assert_eq!(rehearsed.body["dryRun"], true);
    assert_eq!(
        (rehearsed.headers["x-api-key"].as_str(), rehearsed.headers["x-secret-api-key"].as_str()),
        ("fake", "fake")
    );
    assert!(!rehearsed.headers.contains_key("idempotency-key"));
    let error =
        fake.run::<QuoteDomain>(json!({"domain": "acme.com", "years": 3})).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("years"));
}

#[tokio::test]
async fn quotes_nothing_that_a_program_cannot_buy() {
    let requirements = |registerable: bool, more: Value| {
        ok(json!({"apiRegisterable": registerable, "registryRequirements": more}))
    };
    for (checked, requirements, code) in [
        (check("no", "no"), requirements(true, Value::Null), Code::Conflict),
        (check("yes", "yes"), requirements(true, Value::Null), Code::Conflict),
        (check("yes", "no"), requirements(false, Value::Null), Code::ActionRequired),
        (
            check("yes", "no"),
            requirements(true, json!({"required": ["nexus"]})),
            Code::ActionRequired,
        ),
    ] {
        let fake = fake().await.on("POST", "/domain/checkDomain/acme.us", 200, checked).on(
            "GET",
            "/domain/getRegistrationRequirements/us",
            200,
            requirements,
        );
        let error = fake.run::<QuoteDomain>(json!({"domain": "acme.us"})).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn names_its_price_to_the_cent_and_buys_once() {
    let bought = ok(json!({"domain": "acme.com", "cost": 851, "orderId": 123, "balance": 4149}));
    let (fake, quote) = quoted(&[(502, Value::Null), (200, bought)]).await;
    let fake = fake.on(
        "POST",
        "/domain/updateAutoRenew/acme.com",
        200,
        ok(json!({"results": {"acme.com": {"status": "SUCCESS"}}})),
    );
    let before = posts(&fake, "/domain/create/acme.com").await.len();
    let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": true, "privacy": false});
    let order = fake.run::<PurchaseDomain>(arguments.clone()).await.unwrap();
    assert_eq!(
        (&order["state"], &order["paid"]["minor"], &order["registrar_order"]),
        (&json!("succeeded"), &json!(851), &json!("123"))
    );
    let tries = posts(&fake, "/domain/create/acme.com").await.split_off(before);
    assert_eq!(tries.len(), 2, "the lost answer is asked for again");
    assert_eq!(tries[0].headers["idempotency-key"], tries[1].headers["idempotency-key"]);
    assert_eq!(tries[1].body, json!({"cost": 851, "agreeToTerms": "yes", "whoisPrivacy": false}));
    assert_eq!(
        posts(&fake, "/domain/updateAutoRenew/acme.com").await[0].body,
        json!({"status": "on"})
    );
    fake.run::<PurchaseDomain>(arguments).await.unwrap();
    assert_eq!(posts(&fake, "/domain/create/acme.com").await.len(), before + 2);
}

#[tokio::test]
async fn tells_a_refusal_that_comes_with_success() {
    for (code, message, expected) in [
        ("COST_MISMATCH", "Cost does not match.", Code::Conflict),
        ("INSUFFICIENT_FUNDS", "Not enough credit.", Code::PaymentRequired),
        ("SOMETHING_NEW", "No.", Code::InvalidInput),
    ] {
        let (fake, quote) = quoted(&[(200, refused(code, message))]).await;
        let fake = fake.on(
            "GET",
            "/domain/get/acme.com",
            404,
            refused("DOMAIN_NOT_FOUND", "Domain not found in your account."),
        );
        let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": false});
        let error = fake.run::<PurchaseDomain>(arguments).await.unwrap_err();
        assert_eq!(error.code(), expected);
        assert!(error.message().contains(message.trim_end_matches('.')), "{error}");
        let order = fake.run::<GetOrder>(json!({"order_id": quote["quote_id"]})).await.unwrap();
        assert_eq!(order["state"], "failed");
    }
}

#[tokio::test]
async fn renews_once_and_looks_at_the_date_when_the_answer_is_lost() {
    for (after, state) in
        [("2028-01-01 10:00:00", Some("succeeded")), ("2027-01-01 10:00:00", None)]
    {
        let fake = fake()
            .await
            // For the quote, and right before the order.
            .on("GET", "/domain/get/acme.com", 200, acme("2027-01-01 10:00:00"))
            .on("GET", "/domain/get/acme.com", 200, acme("2027-01-01 10:00:00"))
            .on("GET", "/domain/get/acme.com", 200, acme(after))
            .on("POST", "/domain/renew/acme.com", 200, rehearsal("renewal", 1108, false))
            .on("POST", "/domain/renew/acme.com", 504, Value::Null);
        let quote = fake
            .run::<QuoteDomain>(json!({"domain": "acme.com", "operation": "renew"}))
            .await
            .unwrap();
        assert_eq!(
            (&quote["total"]["minor"], &quote["renewal_total"]["minor"]),
            (&json!(1108), &json!(1108))
        );
        assert!(quote["notes"][0].as_str().unwrap().contains("lacks credit"));
        let renewed = fake.run::<RenewDomain>(json!({"quote_id": quote["quote_id"]})).await;
        match state {
            Some(state) => {
                let order = renewed.unwrap();
                assert_eq!(
                    (&order["state"], &order["expires_on"]),
                    (&json!(state), &json!("2028-01-01"))
                );
            }
            None => assert_eq!(renewed.unwrap_err().code(), Code::UnknownOutcome),
        }
        let sent = posts(&fake, "/domain/renew/acme.com").await;
        assert_eq!(sent.len(), 4, "a rehearsal, and three tries of one order");
        for order in &sent[1..] {
            assert_eq!(order.body, json!({"cost": 1108}));
            assert_eq!(order.headers["idempotency-key"], sent[1].headers["idempotency-key"]);
        }
    }
}

#[tokio::test]
async fn lists_domains_in_pages_of_its_own() {
    let all: Vec<Value> = ["a.com", "b.com", "c.com"]
        .iter()
        .map(|name| json!({"domain": name, "autoRenew": "0"}))
        .collect();
    let fake = fake().await.on("GET", "/domain/listAll", 200, ok(json!({"domains": all})));
    let page = fake.run::<ListDomains>(json!({"limit": 2, "cursor": "4"})).await.unwrap();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (2, &json!("6")));
    assert_eq!(page["items"][0], json!({"name": "a.com", "auto_renew": false}));
    assert_eq!(fake.requests().await[0].query["start"], "4");
    let error = fake.run::<ListDomains>(json!({"cursor": "x"})).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("cursor"));
}

#[tokio::test]
async fn changes_the_settings_that_can_be_changed() {
    let fake = fake()
        .await
        .on("GET", "/domain/get/acme.com", 200, acme("2027-01-01 10:00:00"))
        .on("GET", "/domain/getNs/acme.com", 200, ok(json!({"ns": ["curitiba.ns.porkbun.com"]})))
        .on("POST", "/domain/updateNs/acme.com", 200, ok(json!({})))
        .on(
            "POST",
            "/domain/updateAutoRenew/acme.com",
            200,
            ok(json!({"results": {"acme.com": {"status": "ERROR", "message": "Locked."}}})),
        );
    let domain = fake.run::<GetDomain>(json!({"domain": "acme.com"})).await.unwrap();
    assert_eq!(
        (&domain["privacy"], &domain["locked"], &domain["expires_on"]),
        (&json!(true), &json!(false), &json!("2027-01-01"))
    );
    let names = json!({"domain": "acme.com", "nameservers": ["NS1.example.net.", "ns2.example.net", "ns1.example.net"]});
    let set = fake.run::<SetNameservers>(names).await.unwrap();
    assert_eq!(set["before"], json!(["curitiba.ns.porkbun.com"]));
    assert_eq!(
        posts(&fake, "/domain/updateNs/acme.com").await[0].body,
        json!({"ns": ["ns1.example.net", "ns2.example.net"]})
    );
    let one = json!({"domain": "acme.com", "nameservers": ["ns1.example.net", "ns1.example.net."]});
    assert_eq!(fake.run::<SetNameservers>(one).await.unwrap_err().code(), Code::InvalidInput);
    let setting = json!({"domain": "acme.com", "enabled": false});
    let error = fake.run::<SetAutoRenew>(setting.clone()).await.unwrap_err();
    assert!(error.message().contains("Locked."), "{error}");
    assert_eq!(fake.spent(), [Money::nothing()]);
    let error = fake.run::<SetPrivacy>(setting).await.unwrap_err();
    assert_eq!(error.code(), Code::ActionRequired);
}

#[tokio::test]
async fn d1_whoever_lets_a_domain_renew_by_itself_is_told_the_price_first() {
    let fake = fake()
        .await
        .on("POST", "/domain/renew/acme.com", 200, rehearsal("renewal", 1108, false))
        .on(
            "POST",
            "/domain/updateAutoRenew/acme.com",
            200,
            ok(json!({"results": {"acme.com": {"status": "SUCCESS"}}})),
        );
    fake.run::<SetAutoRenew>(json!({"domain": "acme.com", "enabled": true})).await.unwrap();
    assert_eq!(fake.spent(), [Money::cents(1108)]);
    assert_eq!(
        posts(&fake, "/domain/renew/acme.com").await[0].body,
        json!({"cost": 0, "dryRun": true})
    );
    let set = &posts(&fake, "/domain/updateAutoRenew/acme.com").await[0];
    assert_eq!(set.body, json!({"status": "on"}));
}

#[tokio::test]
async fn writes_records_with_the_part_before_the_domain() {
    let parking = json!({"id": "1", "name": "acme.com", "type": "ALIAS", "content": "pixie.porkbun.com", "ttl": "600", "prio": "0"});
    let mail = json!({"id": 2, "name": "acme.com", "type": "MX", "content": "mx.example.net", "ttl": 600, "prio": "10"});
    let fake = fake()
        .await
        .on("GET", "/dns/retrieve/acme.com", 200, ok(json!({"records": [parking, mail]})))
        .on("POST", "/dns/delete/acme.com/1", 200, ok(json!({})))
        .on("POST", "/dns/create/acme.com", 200, ok(json!({"id": "3"})))
        .on("POST", "/dns/create/acme.com", 400, refused("DUPLICATE_RECORD", "It exists."));
    let found = fake.run::<ListDnsRecords>(json!({"domain": "acme.com"})).await.unwrap();
    assert_eq!(
        found["items"][1],
        json!({"name": "@", "type": "MX", "content": "mx.example.net", "ttl_seconds": 600, "priority": 10})
    );
    let change = json!({"domain": "acme.com", "remove": [{"name": "@", "type": "ALIAS"}], "add": [
        {"name": "@", "type": "A", "content": "192.0.2.1", "ttl_seconds": 60},
        {"name": "www", "type": "CNAME", "content": "acme.com."}]});
    let plan = fake.run::<PlanDnsChange>(change).await.unwrap();
    let done = fake.run::<ApplyDnsChange>(json!({"plan_id": plan["plan_id"]})).await.unwrap();
    assert_eq!(done["applied"], true);
    let bodies: Vec<Value> =
        posts(&fake, "/dns/create/acme.com").await.into_iter().map(|r| r.body).collect();
    assert_eq!(
        bodies,
        [
            json!({"name": "", "type": "A", "content": "192.0.2.1", "ttl": 600}),
            json!({"name": "www", "type": "CNAME", "content": "acme.com", "ttl": 600})
        ]
    );
    assert_eq!(posts(&fake, "/dns/delete/acme.com/1").await.len(), 1);
}

#[tokio::test]
async fn tells_a_sandbox_from_real_money() {
    let sandbox = fake().await.on(
        "GET",
        "/account/balance",
        200,
        ok(json!({"balance": 100_000, "sandbox": true})),
    );
    let account = adapter().identify(&sandbox.api(Risk::Read)).await.unwrap();
    assert_eq!(account.mode.as_deref(), Some("sandbox"));
    let live = fake().await.on("GET", "/account/balance", 200, ok(json!({"balance": 0})));
    assert_eq!(
        adapter().identify(&live.api(Risk::Read)).await.unwrap().mode.as_deref(),
        Some("live")
    );
    for (status, body) in [
        (403, refused("INVALID_API_KEYS_001", "Invalid keys.")),
        (200, refused("INVALID_API_KEYS_001", "Invalid keys.")),
    ] {
        let fake = fake().await.on("GET", "/account/balance", status, body);
        assert_eq!(
            adapter().identify(&fake.api(Risk::Read)).await.unwrap_err().code(),
            Code::AuthExpired
        );
    }
}
