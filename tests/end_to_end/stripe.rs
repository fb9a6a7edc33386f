//! Every action of Stripe at its stand-in: what is sold, to whom, and what comes in.

use serde_json::json;

use crate::product::Product;
use crate::standin::Emulated;
use crate::walk::{Step, Walk, at};
use crate::wire::{Message, send};

/// Has the stand-in do something, past the product.
fn post(stripe: &Emulated, path: &str, form: &str) -> Message {
    let authorization = format!("Bearer {}", Emulated::stripe_key());
    let key = format!("{path} {form}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("stripe-version", "2026-10-28.endive"),
        ("idempotency-key", &key),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    send("POST", &format!("{}{path}", stripe.url), &headers, form)
}

/// A payment that a customer made, or whose card was declined for this reason; its id.
fn pay(stripe: &Emulated, amount: u64, declined: Option<&str>) -> String {
    let card = declined.map_or("pm_card_visa".to_owned(), |why| {
        format!("pm_card_chargeCustomerFail&metadata[declined]={why}")
    });
    let form = format!("amount={amount}&currency=eur&payment_method={card}");
    let made = post(stripe, "/v1/payment_intents", &form);
    assert_eq!(made.status(), 200, "{made:?}");
    let payment = made.json()["id"].as_str().unwrap().to_owned();
    let paid = post(stripe, &format!("/v1/payment_intents/{payment}/confirm"), "");
    assert_eq!(paid.status(), if declined.is_some() { 402 } else { 200 }, "{paid:?}");
    payment
}

fn catalogue() -> Vec<Step> {
    vec![
        (
            "stripe_get_account",
            json!({}),
            json!({"id": "acct_1", "name": "Acme", "mode": "test"}),
            "",
        ),
        (
            "stripe_create_product",
            json!({"name": "Tea", "description": "Green"}),
            json!({"name": "Tea", "active": true, "mode": "test"}),
            "tea=/id",
        ),
        (
            "stripe_create_price",
            json!({"product": "$tea", "unit_amount": 900, "currency": "EUR", "nickname": "tin"}),
            json!({"product": "$tea", "unit_amount": 900, "currency": "eur", "nickname": "tin"}),
            "tin=/id",
        ),
        (
            "stripe_update_product",
            json!({"product": "$tea", "name": "Green tea", "default_price": "$tin"}),
            json!({"name": "Green tea", "default_price": "$tin"}),
            "",
        ),
        (
            "stripe_create_offer",
            json!({"name": "Tea every month", "unit_amount": 2000, "currency": "EUR", "recurring": {"every": "month"}}),
            json!({"price": {"unit_amount": 2000, "recurring": {"interval": "month", "interval_count": 1}}}),
            "monthly=/price/id",
        ),
        ("stripe_list_prices", json!({"product": "$tea"}), json!({"items": [{"id": "$tin"}]}), ""),
        (
            "stripe_list_products",
            json!({"active": true}),
            json!({"items": [{"name": "Tea every month"}, {"id": "$tea", "name": "Green tea"}]}),
            "",
        ),
        ("stripe_archive_product", json!({"product": "$tea"}), json!({"active": false}), ""),
        (
            "stripe_list_products",
            json!({"active": false}),
            json!({"items": [{"id": "$tea", "active": false}]}),
            "",
        ),
        (
            "stripe_create_payment_link",
            json!({"items": [{"price": "$monthly", "quantity": 1}], "success_url": "https://acme.shop/thanks"}),
            json!({"active": true, "mode": "test"}),
            "",
        ),
        (
            "stripe_create_coupon",
            json!({"percent_off": 25.0, "duration": "once", "id": "SPRING"}),
            json!({"id": "SPRING", "percent_off": 25.0, "valid": true}),
            "",
        ),
        ("stripe_list_coupons", json!({}), json!({"items": [{"id": "SPRING"}]}), ""),
        ("stripe_delete_coupon", json!({"coupon": "SPRING"}), json!({"valid": false}), ""),
        ("stripe_list_coupons", json!({}), json!({"items": []}), ""),
    ]
}

fn customers() -> Vec<Step> {
    vec![
        (
            "stripe_create_customer",
            json!({"name": "Bob", "email": "bob@example.org", "phone": "+49 30 1"}),
            json!({"name": "Bob", "phone": "+49 30 1"}),
            "bob=/id",
        ),
        (
            "stripe_update_customer",
            json!({"customer": "$bob", "name": "Bob B."}),
            json!({"name": "Bob B.", "email": "bob@example.org"}),
            "",
        ),
        ("stripe_get_customer", json!({"customer": "$bob"}), json!({"name": "Bob B."}), ""),
        (
            "stripe_search_customers",
            json!({"email": "bob@example.org"}),
            json!({"items": [{"id": "$bob"}]}),
            "",
        ),
        (
            "stripe_search_customers",
            json!({"text": "bob b"}),
            json!({"items": [{"id": "$bob"}]}),
            "",
        ),
        (
            "stripe_create_checkout_session",
            json!({"purpose": "subscription", "items": [{"price": "$monthly"}], "customer": "$bob", "success_url": "https://acme.shop/thanks"}),
            json!({"status": "open", "customer": "$bob"}),
            "",
        ),
        (
            "stripe_create_billing_portal_session",
            json!({"customer": "$bob"}),
            json!({"customer": "$bob"}),
            "",
        ),
    ]
}

fn subscriptions() -> Vec<Step> {
    vec![
        (
            "stripe_create_subscription",
            json!({"customer": "$bob", "items": [{"price": "$monthly"}], "payment": "charge_saved"}),
            json!({"status": "active", "invoice": {"status": "paid", "amount_due": 2000}}),
            "subscription=/id",
        ),
        (
            "stripe_list_subscriptions",
            json!({"customer": "$bob"}),
            json!({"items": [{"id": "$subscription"}]}),
            "",
        ),
        (
            "stripe_preview_subscription_change",
            json!({"subscription": "$subscription", "quantity": 3}),
            json!({"difference": 4000, "currency": "eur"}),
            "computed=/computed_at",
        ),
        (
            "stripe_change_subscription",
            json!({
                "subscription": "$subscription", "quantity": 3, "max_amount_due": 10_000, "computed_at": "$computed",
            }),
            json!({"cost": {"difference": 4000}, "subscription": {"items": [{"quantity": 3}]}}),
            "",
        ),
        (
            "stripe_get_subscription",
            json!({"subscription": "$subscription"}),
            json!({"items": [{"quantity": 3}], "cancel_at_period_end": false}),
            "",
        ),
        (
            "stripe_get_subscription_metrics",
            json!({"from": "2026-01-01", "until": "2026-02-01"}),
            json!({"mode": "test"}),
            "",
        ),
        (
            "stripe_cancel_subscription",
            json!({"subscription": "$subscription"}),
            json!({"status": "active", "cancel_at_period_end": true}),
            "",
        ),
        (
            "stripe_cancel_subscription",
            json!({"subscription": "$subscription", "when": "now"}),
            json!({"status": "canceled"}),
            "",
        ),
    ]
}

fn invoices() -> Vec<Step> {
    vec![
        (
            "stripe_create_invoice",
            json!({"customer": "$bob", "currency": "EUR", "days_until_due": 14,
                "lines": [{"price": "$tin", "quantity": 2}, {"unit_amount": -500, "description": "Voucher"}]}),
            json!({"status": "draft", "total": 1300, "customer_email": "bob@example.org"}),
            "invoice=/id",
        ),
        ("stripe_send_invoice", json!({"invoice": "$invoice"}), json!({"status": "open"}), ""),
        (
            "stripe_list_invoices",
            json!({"customer": "$bob", "status": "paid"}),
            json!({"items": [{"amount_paid": 2000}]}),
            "",
        ),
        (
            "stripe_list_invoices",
            json!({"customer": "$bob", "status": "open"}),
            json!({"items": [{"id": "$invoice", "amount_due": 1300}]}),
            "",
        ),
        ("stripe_void_invoice", json!({"invoice": "$invoice"}), json!({"status": "void"}), ""),
        (
            "stripe_list_invoices",
            json!({"status": "void"}),
            json!({"items": [{"id": "$invoice"}]}),
            "",
        ),
    ]
}

#[test]
fn every_action_of_stripe_runs_at_its_stand_in() {
    let stripe = Emulated::stripe();
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.stripe]\nbase_url = \"{}\"\n", stripe.url));
    product.must(&["connect", "stripe", "--key-stdin"], &Emulated::stripe_key());
    let server = product.serve();
    let mut walk = Walk::start(&server, vec![("stripe", at(&stripe.url))]);

    let nothing = walk.refused("stripe_delete_coupon", &json!({"coupon": "WINTER"}));
    assert!(nothing.contains("not_found"), "{nothing}");
    walk.through(catalogue());
    walk.through(customers());
    let bob = walk.kept("bob");
    let card = "invoice_settings[default_payment_method]=pm_card_visa";
    let saved = post(&stripe, &format!("/v1/customers/{}", bob.as_str().unwrap()), card);
    assert_eq!(saved.status(), 200, "{saved:?}");
    walk.through(subscriptions());
    walk.through(invoices());

    let (paid, declined) = (pay(&stripe, 5000, None), pay(&stripe, 700, Some("expired_card")));
    walk.through([
        (
            "stripe_list_payments",
            json!({}),
            json!({"items": [{"id": declined, "status": "requires_payment_method"}, {"id": paid, "amount_received": 5000}, {"customer": bob, "amount_received": 2000}]}),
            "paid_at=/items/1/created_at",
        ),
        (
            "stripe_explain_failed_payment",
            json!({"payment": declined}),
            json!({"failed": true, "decline_code": "expired_card"}),
            "",
        ),
        (
            "stripe_refund_payment",
            json!({"payment": paid, "amount": 2000, "currency": "eur"}),
            json!({"payment": paid, "amount": 2000, "status": "succeeded"}),
            "",
        ),
        (
            "stripe_get_balance",
            json!({}),
            json!({"pending": [{"amount": 4940, "currency": "eur"}]}),
            "",
        ),
        ("stripe_list_disputes", json!({}), json!({"items": [{"reason": "fraudulent"}]}), ""),
        ("stripe_list_payouts", json!({"status": "paid"}), json!({"items": [{"amount": 4200}]}), ""),
    ]);
    let refused = walk.refused(
        "stripe_refund_payment",
        &json!({"payment": paid, "amount": 4000, "currency": "eur"}),
    );
    assert!(refused.contains("not so much to refund"), "{refused}");
    let year: u32 = walk.kept("paid_at").as_str().unwrap()[..4].parse().unwrap();
    let [from, until] = [year, year + 1].map(|year| format!("{year}-01-01"));
    let revenue = json!({"from": from, "until": until, "by": "month"});
    let told = walk.call("stripe_get_revenue", &revenue);
    let sum = |field: &str| -> i64 {
        let periods = told["periods"].as_array().unwrap().iter();
        periods.map(|period| period[field].as_i64().unwrap_or_default()).sum()
    };
    assert_eq!((sum("gross"), sum("fees")), (7000, 60), "{told}");

    let endpoint = walk.call(
        "stripe_create_webhook_endpoint",
        &json!({"url": "https://acme.shop/stripe", "events": ["invoice.paid"], "signing_secret": "stripe_events"}),
    );
    assert_eq!(endpoint["signing_secret"], "stripe_events");
    assert!(!endpoint.to_string().contains("plainly the words"), "{endpoint}");
    let deleted = walk.call("stripe_delete_customer", &json!({"customer": bob}));
    assert_eq!(deleted["name"], "Bob B.");
    let gone = walk.refused("stripe_get_customer", &json!({"customer": bob}));
    assert!(gone.contains("not_found"), "{gone}");

    walk.assert_left_out("stripe", &[]);
    let approved = walk.approved();
    for tool in ["delete_coupon", "create_subscription", "refund_payment", "delete_customer"] {
        assert!(approved.contains(&format!("stripe_{tool}").as_str()), "{approved:?}");
    }
    // Whoever approves is told what will be charged.
    for (tool, price) in
        [("create_subscription", "It costs 20.00 EUR."), ("change_subscription", "It costs ")]
    {
        let told = walk.asked.iter().find(|(asked, _)| *asked == format!("stripe_{tool}")).unwrap();
        assert!(told.1.contains(price), "{told:?}");
    }
    product.must(&["audit", "--verify"], "");
}
