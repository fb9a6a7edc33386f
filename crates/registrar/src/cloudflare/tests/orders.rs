use resto_core::Code;
use serde_json::json;

use super::*;
use crate::orders::GetOrder;
use crate::purchases::{PurchaseDomain, RenewDomain};
use crate::quotes::QuoteDomain;

#[tokio::test]
async fn quotes_the_whole_period_and_what_renewing_costs() {
    let fake = fake()
        .await
        .on("POST", CHECK, 200, checked(&[free("acme.ai", "70.00", "80.50")]))
        .on("GET", "/accounts/acct_1/registrar/extensions/ai", 200, extension(&[], 2));
    let quote = fake.run::<QuoteDomain>(json!({"domain": "acme.ai"})).await.unwrap();
    assert_eq!(
        (&quote["years"], &quote["total"]["minor"], &quote["renewal_total"]["minor"]),
        (&json!(2), &json!(15050), &json!(16100))
    );
    assert_eq!(quote["quote_id"], "acme.ai-150.50USD-00000007");
    assert_eq!(quote["expires_in_seconds"], 300);
    assert!(
        quote["agreements"][0]["url"].as_str().unwrap().starts_with("https://www.cloudflare.com/")
    );
    let error =
        fake.run::<QuoteDomain>(json!({"domain": "acme.ai", "years": 1})).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("years"));
}

#[tokio::test]
async fn quotes_nothing_that_it_cannot_sell() {
    for (answer, extension, code) in [
        (
            json!({"name": "acme.com", "registrable": false, "reason": "domain_unavailable"}),
            extension(&[], 1),
            Code::Conflict,
        ),
        (
            json!({"name": "acme.com", "registrable": true, "tier": "premium", "pricing": {"currency": "USD", "registration_cost": "1", "renewal_cost": "1"}}),
            extension(&[], 1),
            Code::Conflict,
        ),
        (
            free("acme.com", "10.44", "10.44"),
            extension(&["domain_name", "contact_extensions"], 1),
            Code::ActionRequired,
        ),
        (free("acme.com", "about ten", "10.44"), extension(&[], 1), Code::ProviderDown),
    ] {
        let fake = fake().await.on("POST", CHECK, 200, checked(&[answer])).on(
            "GET",
            "/accounts/acct_1/registrar/extensions/com",
            200,
            extension,
        );
        let error = fake.run::<QuoteDomain>(json!({"domain": "acme.com"})).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let error = fake()
        .await
        .run::<QuoteDomain>(json!({"domain": "acme.com", "operation": "renew"}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::ActionRequired);
    assert_eq!(
        error.details().url.as_deref(),
        Some("https://dash.cloudflare.com/acct_1/domains/registrations")
    );
}

#[tokio::test]
async fn buys_a_quoted_domain_once() {
    let (fake, quote) = quoted(fake().await).await;
    let fake = fake.on("POST", REGISTRATIONS, 202, workflow("in_progress", json!({}))).on(
        "GET",
        STATUS,
        200,
        workflow("succeeded", json!({"context": {"registration": registration()}})),
    );
    let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": false});
    let order = fake.run::<PurchaseDomain>(arguments.clone()).await.unwrap();
    assert_eq!((&order["state"], &order["total"]["minor"]), (&json!("pending"), &json!(1044)));
    let request = fake.requests().await.into_iter().find(|r| r.path == REGISTRATIONS).unwrap();
    assert_eq!(
        request.body,
        json!({"domain_name": "acme.com", "years": 1, "auto_renew": false, "privacy_mode": "redaction"})
    );
    assert_eq!(request.headers["authorization"], "Bearer fake");
    assert_eq!(request.headers["prefer"], "respond-async");

    // Asked again, it looks and buys nothing.
    let again = fake.run::<PurchaseDomain>(arguments).await.unwrap();
    assert_eq!(
        (&again["state"], &again["expires_on"]),
        (&json!("succeeded"), &json!("2027-01-01"))
    );
    let order = fake.run::<GetOrder>(json!({"order_id": quote["quote_id"]})).await.unwrap();
    assert_eq!(order["state"], "succeeded");
    assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 1);
}

#[tokio::test]
async fn buys_once_when_asked_twice_at_the_same_time() {
    let (fake, quote) = quoted(fake().await).await;
    let fake = fake.on("POST", REGISTRATIONS, 202, workflow("in_progress", json!({}))).on(
        "GET",
        STATUS,
        200,
        workflow("in_progress", json!({})),
    );
    let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": false});
    let (one, other) = tokio::join!(
        fake.run::<PurchaseDomain>(arguments.clone()),
        fake.run::<PurchaseDomain>(arguments.clone())
    );
    assert_eq!(
        (one.unwrap()["state"].clone(), other.unwrap()["state"].clone()),
        (json!("pending"), json!("pending"))
    );
    assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 1);
}

#[tokio::test]
async fn never_pays_more_than_was_quoted() {
    let (fake, quote) = quoted(fake().await).await;
    let fake = fake
        .on("POST", CHECK, 200, checked(&[free("acme.com", "10.45", "11.00")]))
        .on("GET", STATUS, 404, failed(1001, "not found"))
        .on("GET", ACME, 404, failed(1001, "not found"));
    // The quote itself was answered by the first prepared check, which is used up by asking again.
    let _ = fake.run::<CheckAvailability>(json!({"domains": ["acme.com"]})).await;
    let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": true});
    let error = fake.run::<PurchaseDomain>(arguments.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("10.45 USD now, more than the quoted 10.44 USD"), "{error}");
    assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 0);
    let order = fake.run::<PurchaseDomain>(arguments).await.unwrap();
    assert_eq!(order["state"], "failed", "the quote is spent");
    assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 0);
}

#[tokio::test]
async fn looks_what_became_of_an_order_whose_answer_was_lost() {
    for (status, state) in [
        (workflow("action_required", json!({})), "action_required"),
        (workflow("succeeded", json!({})), "succeeded"),
    ] {
        let (fake, quote) = quoted(fake().await).await;
        let fake = fake
            .on("POST", REGISTRATIONS, 502, failed(1000, "bad gateway"))
            .on("GET", STATUS, 200, status);
        let order = fake
            .run::<PurchaseDomain>(json!({"quote_id": quote["quote_id"], "auto_renew": false}))
            .await
            .unwrap();
        assert_eq!(order["state"], state);
        assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 1);
    }
}

#[tokio::test]
async fn says_that_it_may_have_bought_when_nobody_knows() {
    let (fake, quote) = quoted(fake().await).await;
    let fake = fake
        .on("POST", REGISTRATIONS, 502, failed(1000, "bad gateway"))
        .on("GET", STATUS, 404, failed(1001, "not found"))
        .on("GET", ACME, 404, failed(1001, "not found"))
        .on("GET", ACME, 200, ok(registration()));
    let arguments = json!({"quote_id": quote["quote_id"], "auto_renew": false});
    let error = fake.run::<PurchaseDomain>(arguments).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
    assert!(error.message().contains("ask get_order"), "{error}");
    let order = fake.run::<GetOrder>(json!({"order_id": quote["quote_id"]})).await.unwrap();
    assert_eq!(
        (&order["state"], &order["expires_on"]),
        (&json!("succeeded"), &json!("2027-01-01"))
    );
    assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 1);
}

#[tokio::test]
async fn tells_why_an_order_failed() {
    let (fake, quote) = quoted(fake().await).await;
    let error = json!({"error": {"code": "registry_error", "message": "The card was declined."}});
    let fake = fake.on("POST", REGISTRATIONS, 201, workflow("failed", error));
    let order = fake
        .run::<PurchaseDomain>(json!({"quote_id": quote["quote_id"], "auto_renew": false}))
        .await
        .unwrap();
    assert_eq!(
        (&order["state"], &order["message"]),
        (&json!("failed"), &json!("The card was declined."))
    );
}

#[tokio::test]
async fn buys_nothing_without_a_quote_of_this_kind() {
    let (fake, quote) = quoted(fake().await).await;
    let id = &quote["quote_id"];
    let error = fake.run::<RenewDomain>(json!({"quote_id": id})).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("quote_id"));
    let error = fake
        .run::<PurchaseDomain>(json!({"quote_id": "acme.com-1.00USD-0", "auto_renew": false}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    let error = fake.run::<GetOrder>(json!({"order_id": id})).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(sent(&fake, "POST", REGISTRATIONS).await, 0);
}
