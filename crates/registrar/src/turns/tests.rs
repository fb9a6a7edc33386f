use resto_core::{Money, Risk};
use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::REGISTRAR;
use crate::orders::GetOrder;
use crate::purchases::{PurchaseDomain, RenewDomain};
use crate::quotes::QuoteDomain;

const OLD: &str = "2027-01-01T00:00:00Z";
const NEW: &str = "2028-01-01T00:00:00Z";
const MINUTE: Duration = Duration::from_mins(1);

fn path(domain: &str, verb: &str) -> String {
    format!("/core/v1/domains/{domain}{verb}")
}

fn domain(name: &str, ends: &str) -> Value {
    json!({"domainName": name, "createDate": "2026-01-01T00:00:00Z", "expireDate": ends, "autorenewEnabled": false,
        "privacyEnabled": true, "locked": true, "contacts": {}, "nameservers": ["ns1.name.com", "ns2.name.com"]})
}

fn renewed(name: &str) -> Value {
    json!({"domain": domain(name, NEW), "order": 77, "totalPaid": 15.1})
}

/// name.com with these domains, whose dates it moves only after a while.
async fn slow(names: &[&str]) -> FakeApi {
    let mut fake = FakeApi::of(&REGISTRAR, "namecom").await;
    let prices = json!({"premium": false, "purchasePrice": 12.99, "renewalPrice": 15.1, "transferPrice": 9.99});
    for name in names {
        fake = fake.on("GET", &path(name, ""), 200, domain(name, OLD)).on(
            "GET",
            &path(name, ":getPricing"),
            200,
            prices.clone(),
        );
    }
    fake
}

/// A quote to renew, in an operation of its own as each call is.
async fn quote(fake: &FakeApi, name: &str) -> Value {
    fake.another_operation();
    let asked = json!({"domain": name, "operation": "renew"});
    fake.run::<QuoteDomain>(asked).await.unwrap()["quote_id"].clone()
}

async fn renew(fake: &FakeApi, quote: &Value) -> Result<Value> {
    fake.run::<RenewDomain>(json!({"quote_id": quote})).await
}

async fn sent(fake: &FakeApi, path: &str) -> usize {
    fake.requests().await.iter().filter(|r| r.method == "POST" && r.path == path).count()
}

#[tokio::test]
async fn d1_two_quotes_renew_a_domain_once() {
    let fake = slow(&["acme.com"]).await;
    let renewal = path("acme.com", ":renew");
    let fake = fake.on("POST", &renewal, 200, renewed("acme.com")).on(
        "GET",
        "/core/v1/orders/77",
        200,
        json!({"id": 77, "status": "success"}),
    );
    let (first, second) = (quote(&fake, "acme.com").await, quote(&fake, "acme.com").await);
    assert_ne!(first, second);
    assert_eq!(renew(&fake, &first).await.unwrap()["state"], "succeeded");
    let late = quote(&fake, "acme.com").await;
    for other in [&second, &late] {
        let error = renew(&fake, other).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        let told = format!("already, under the quote `{}`", first.as_str().unwrap());
        assert!(error.message().contains(&told), "{error}");
        assert!(error.message().contains("Nothing was sent now. Ask get_order"), "{error}");
    }
    let order = fake.run::<GetOrder>(json!({"order_id": first})).await.unwrap();
    assert_eq!(order["state"], "succeeded");
    assert_eq!(renew(&fake, &first).await.unwrap()["state"], "succeeded", "its own is told");
    assert_eq!(sent(&fake, &renewal).await, 1);
}

#[tokio::test]
async fn d1_of_two_quotes_that_renew_at_once_one_is_sent() {
    let fake = slow(&["acme.com"]).await;
    let renewal = path("acme.com", ":renew");
    let fake = fake.on("POST", &renewal, 200, renewed("acme.com"));
    let (first, second) = (quote(&fake, "acme.com").await, quote(&fake, "acme.com").await);
    let (one, other) = tokio::join!(renew(&fake, &first), renew(&fake, &second));
    let errors: Vec<Error> = [one, other].into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.iter().map(Error::code).collect::<Vec<_>>(), [Code::Conflict]);
    assert_eq!(sent(&fake, &renewal).await, 1);
}

#[tokio::test]
async fn d1_two_quotes_buy_a_domain_once() {
    let found = json!({"domainName": "acme.com", "sld": "acme", "tld": "com", "purchasable": true, "premium": false,
        "purchaseType": "registration", "purchasePrice": 12.99, "renewalPrice": 15.1});
    let fake = slow(&["acme.com"])
        .await
        .on("POST", "/core/v1/domains:checkAvailability", 200, json!({"results": [found]}))
        .on("GET", "/core/v1/domaininfo/requirements/com", 200, json!({"requirements": {"fields": {}}, "contacts": {}, "tldInfo": {"allowedRegistrationYears": [1]}}))
        .on("POST", "/core/v1/domains", 200, renewed("acme.com"));
    let mut quotes = Vec::new();
    for _ in 0..2 {
        fake.another_operation();
        let quote = fake.run::<QuoteDomain>(json!({"domain": "acme.com"})).await.unwrap();
        quotes.push(json!({"quote_id": quote["quote_id"], "auto_renew": false}));
    }
    fake.run::<PurchaseDomain>(quotes[0].clone()).await.unwrap();
    let error = fake.run::<PurchaseDomain>(quotes[1].clone()).await.unwrap_err();
    assert!(error.message().starts_with("acme.com was ordered already"), "{error}");
    assert_eq!(sent(&fake, "/core/v1/domains").await, 1);
}

#[tokio::test]
async fn a_renewal_that_failed_leaves_the_turn_to_another_quote() {
    let fake = slow(&["acme.com"]).await;
    let renewal = path("acme.com", ":renew");
    let fake = fake.on("POST", &renewal, 402, json!({"message": "Payment failed"})).on(
        "POST",
        &renewal,
        200,
        renewed("acme.com"),
    );
    let (first, second) = (quote(&fake, "acme.com").await, quote(&fake, "acme.com").await);
    let error = renew(&fake, &first).await.unwrap_err();
    assert_eq!(error.code(), Code::PaymentRequired);
    assert_eq!(renew(&fake, &second).await.unwrap()["state"], "succeeded");
    // The one that failed is told again, and takes the turn from nobody.
    assert_eq!(renew(&fake, &first).await.unwrap()["state"], "failed");
    let third = quote(&fake, "acme.com").await;
    assert_eq!(renew(&fake, &third).await.unwrap_err().code(), Code::Conflict);
    assert_eq!(sent(&fake, &renewal).await, 2);
}

#[tokio::test]
async fn a_renewal_of_unknown_outcome_keeps_its_turn() {
    let fake = slow(&["acme.com", "acme.net"]).await;
    let renewal = path("acme.com", ":renew");
    let fake = fake.on("POST", &renewal, 502, json!({"message": "Bad Gateway"})).on(
        "POST",
        &path("acme.net", ":renew"),
        200,
        renewed("acme.net"),
    );
    let (first, second) = (quote(&fake, "acme.com").await, quote(&fake, "acme.com").await);
    assert_eq!(renew(&fake, &first).await.unwrap_err().code(), Code::UnknownOutcome);
    assert_eq!(renew(&fake, &second).await.unwrap_err().code(), Code::Conflict);
    assert_eq!(sent(&fake, &renewal).await, 1);
    let other = quote(&fake, "acme.net").await;
    assert_eq!(renew(&fake, &other).await.unwrap()["state"], "succeeded", "another domain's");
}

#[tokio::test]
async fn a_turn_whose_order_was_never_noted_ends_within_an_hour() {
    let fake = slow(&["acme.com"]).await;
    let renewal = path("acme.com", ":renew");
    let fake = fake.on("POST", &renewal, 200, renewed("acme.com"));
    let purchase = Purchase {
        operation: Operation::Renew,
        domain: crate::DomainName::new("acme.com").unwrap(),
        years: 1,
        total: Money::cents(1510),
        expires_on: Some("2027-01-01".to_owned()),
        auto_renew: false,
        privacy: true,
    };
    // As when the server is killed right after.
    claim(&fake.api(Risk::Spend), &purchase, "of-the-dead").await.unwrap();
    let refused = quote(&fake, "acme.com").await;
    let error = renew(&fake, &refused).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("was interrupted before"), "{error}");
    assert!(error.message().contains("Ask get_order for `of-the-dead` in a minute"), "{error}");
    let order = fake.run::<GetOrder>(json!({"order_id": "of-the-dead"})).await.unwrap_err();
    assert_eq!(order.code(), Code::NotFound);
    fake.pass(MINUTE * 59);
    let refused = quote(&fake, "acme.com").await;
    assert_eq!(renew(&fake, &refused).await.unwrap_err().code(), Code::Conflict);
    fake.pass(MINUTE);
    let quote = quote(&fake, "acme.com").await;
    assert_eq!(renew(&fake, &quote).await.unwrap()["state"], "succeeded");
    assert_eq!(sent(&fake, &renewal).await, 1);
}

#[tokio::test]
async fn d1_a_quote_from_before_a_renewal_is_refused() {
    let fake = slow(&["acme.com"]).await;
    let fake = fake.on("GET", &path("acme.com", ""), 200, domain("acme.com", NEW)).on(
        "POST",
        &path("acme.com", ":renew"),
        200,
        renewed("acme.com"),
    );
    let quote = quote(&fake, "acme.com").await;
    let error = renew(&fake, &quote).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("ends on 2028-01-01 now, and on 2027-01-01 when"), "{error}");
    assert_eq!(sent(&fake, &path("acme.com", ":renew")).await, 0);
    assert!(fake.spent().is_empty());
}

#[tokio::test]
async fn d1_a_quote_older_than_five_minutes_is_refused() {
    let fake = slow(&["acme.com"]).await;
    let renewal = path("acme.com", ":renew");
    let fake = fake.on("POST", &renewal, 200, renewed("acme.com"));
    let old = quote(&fake, "acme.com").await;
    fake.pass(MINUTE * 5);
    let error = renew(&fake, &old).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("has expired or was used. Nothing was bought"), "{error}");
    assert_eq!((sent(&fake, &renewal).await, fake.spent().len()), (0, 0));
    let fresh = quote(&fake, "acme.com").await;
    fake.pass(Duration::from_millis(5 * 60_000 - 1));
    assert_eq!(renew(&fake, &fresh).await.unwrap()["state"], "succeeded");
}
