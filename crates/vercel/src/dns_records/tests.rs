use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::VERCEL;

const LIST: &str = "/v5/domains/example.com/records";
const CREATE: &str = "/v2/domains/example.com/records";
const DELETE: &str = "/v2/domains/example.com/records/rec_1";

/// A list of one record as Vercel answers it.
fn listed(value: &str) -> Value {
    json!({
        "records": [{"id": "rec_1", "slug": "s", "name": "", "type": "MX", "value": value, "mxPriority": 10, "priority": 10,
            "creator": "u1", "ttl": 60, "created": 0, "createdAt": 0, "updated": null, "updatedAt": null}],
        "pagination": {"count": 1, "next": 1_612_264_332_000_i64, "prev": null},
    })
}

async fn fake() -> FakeApi {
    FakeApi::new(&VERCEL).await.formerly(LIST, "/v4/domains/example.com/records")
}

#[tokio::test]
async fn lists_records_page_by_page() {
    let fake = fake().await.on("GET", LIST, 200, listed("mail.example.net."));
    let asked = json!({"domain": "example.com", "cursor": "1612264333000", "team": "acme"});
    let page = fake.run::<ListDnsRecords>(asked).await.unwrap();
    assert_eq!(
        page,
        json!({
            "items": [{"id": "rec_1", "name": "", "type": "MX", "value": "mail.example.net.", "ttl_seconds": 60,
                "priority": 10, "created_at": "1970-01-01T00:00:00Z"}],
            "next_cursor": "1612264332000",
        })
    );
    let query = &fake.requests().await[0].query;
    assert_eq!((query["until"].as_str(), query["slug"].as_str()), ("1612264333000", "acme"));
}

async fn sends(fake: FakeApi, given: Value, sent: Value) {
    let fake = fake.on("POST", CREATE, 200, json!({"uid": "rec_1", "updated": 1}));
    let mut asked = given;
    asked["domain"] = "example.com".into();
    let created = fake.run::<CreateDnsRecord>(asked).await.unwrap();
    assert_eq!(created, json!({"id": "rec_1", "domain": "example.com", "name": sent["name"]}));
    assert_eq!(fake.requests().await[0].body, sent);
}

#[tokio::test]
async fn creates_records() {
    for (given, sent) in [
        (
            json!({"name": "www", "type": "CNAME", "value": "shop.example.net", "ttl_seconds": 300}),
            json!({"name": "www", "type": "CNAME", "ttl": 300, "value": "shop.example.net"}),
        ),
        (
            json!({"name": "@", "type": "AAAA", "value": "2001:db8::1", "comment": "Office"}),
            json!({"name": "", "type": "AAAA", "comment": "Office", "value": "2001:db8::1"}),
        ),
        (
            json!({"name": "@", "type": "MX", "value": "mail.example.net", "priority": 10}),
            json!({"name": "", "type": "MX", "value": "mail.example.net", "mxPriority": 10}),
        ),
    ] {
        sends(FakeApi::new(&VERCEL).await, given, sent).await;
    }
}

/// The official description asks for `name` here and allows none, so that nothing can satisfy it.
#[tokio::test]
async fn creates_the_records_that_the_description_forgot() {
    for (given, sent) in [
        (
            json!({"name": "_sip._tcp", "type": "SRV", "value": "sip.example.net", "priority": 10, "weight": 0, "port": 5060}),
            json!({"name": "_sip._tcp", "type": "SRV", "srv": {"priority": 10, "weight": 0, "port": 5060, "target": "sip.example.net"}}),
        ),
        (
            json!({"name": "@", "type": "HTTPS", "value": "shop.example.net", "priority": 1, "params": "alpn=h2"}),
            json!({"name": "", "type": "HTTPS", "https": {"priority": 1, "target": "shop.example.net", "params": "alpn=h2"}}),
        ),
        (
            json!({"name": "@", "type": "TXT", "value": "v=spf1 -all"}),
            json!({"name": "", "type": "TXT", "value": "v=spf1 -all"}),
        ),
    ] {
        sends(FakeApi::new(&VERCEL).await.unofficial("POST", CREATE), given, sent).await;
    }
}

#[tokio::test]
async fn says_what_a_type_needs() {
    let fake = FakeApi::new(&VERCEL).await;
    for (record_type, missing) in [("MX", "priority"), ("SRV", "weight"), ("HTTPS", "priority")] {
        let mut asked =
            json!({"domain": "example.com", "name": "x", "type": record_type, "value": "y"});
        if record_type == "SRV" {
            asked["priority"] = 1.into();
        }
        let error = fake.run::<CreateDnsRecord>(asked).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some(missing));
    }
    assert!(fake.requests().await.is_empty());
}

#[tokio::test]
async fn looks_whether_the_record_is_there_when_the_answer_was_lost() {
    for (found, succeeds) in [("mail.example.net.", true), ("other.example.net.", false)] {
        let fake =
            fake().await.on("POST", CREATE, 502, json!({})).on("GET", LIST, 200, listed(found));
        let asked = json!({"domain": "example.com", "name": "@", "type": "MX", "value": "mail.example.net", "priority": 10});
        match fake.run::<CreateDnsRecord>(asked).await {
            Ok(created) => assert!(succeeds && created["id"] == "rec_1"),
            Err(error) => assert!(!succeeds && error.code() == Code::UnknownOutcome),
        }
        assert_eq!(fake.requests().await.iter().filter(|r| r.method == "POST").count(), 1);
    }
}

#[tokio::test]
async fn looks_for_a_record_whose_deletion_was_not_answered() {
    let none = json!({"records": [], "pagination": {"count": 0, "next": null, "prev": null}});
    let fake = fake()
        .await
        .on("GET", LIST, 200, listed("mail.example.net."))
        .on("GET", LIST, 200, none)
        .on("DELETE", DELETE, 502, json!({}));
    let asked = json!({"domain": "example.com", "record_id": "rec_1"});
    let gone = fake.run::<DeleteDnsRecord>(asked).await.unwrap();
    assert_eq!(gone["record"]["value"], "mail.example.net.");
}

#[tokio::test]
async fn deletes_a_record_and_tells_what_it_was() {
    let fake = fake().await.on("GET", LIST, 200, listed("mail.example.net.")).on(
        "DELETE",
        DELETE,
        200,
        json!({}),
    );
    let asked = json!({"domain": "example.com", "record_id": "rec_1"});
    let gone = fake.run::<DeleteDnsRecord>(asked).await.unwrap();
    assert_eq!(
        gone,
        json!({"record_id": "rec_1", "record": {"id": "rec_1", "name": "", "type": "MX", "value": "mail.example.net.",
            "ttl_seconds": 60, "priority": 10, "created_at": "1970-01-01T00:00:00Z"}})
    );
    assert_eq!(fake.requests().await[1].method, "DELETE");
    // What it returned makes it again.
    let mut again = gone["record"].clone();
    for field in ["id", "created_at"] {
        again.as_object_mut().unwrap().remove(field);
    }
    let sent = json!({"name": "", "type": "MX", "ttl": 60, "value": "mail.example.net.", "mxPriority": 10});
    sends(FakeApi::new(&VERCEL).await, again, sent).await;
}

#[tokio::test]
async fn deletes_no_record_that_it_could_not_tell() {
    let last = json!({"records": [], "pagination": {"count": 0, "next": null, "prev": null}});
    for (status, second, found) in [
        (200, listed("mail.example.net."), true),
        (200, last, false),
        (500, json!({"error": {"code": "internal_error", "message": "No."}}), false),
    ] {
        // The first page is of newer records.
        let mut newer = listed("mail.example.net.");
        newer["records"][0]["id"] = "rec_2".into();
        let fake = fake().await.on("GET", LIST, 200, newer).on("GET", LIST, status, second).on(
            "DELETE",
            DELETE,
            200,
            json!({}),
        );
        let asked = json!({"domain": "example.com", "record_id": "rec_1"});
        let gone = fake.run::<DeleteDnsRecord>(asked).await;
        assert_eq!(gone.is_ok(), found, "{gone:?}");
        let deletions = fake.requests().await.iter().filter(|r| r.method == "DELETE").count();
        assert_eq!(deletions, usize::from(found));
    }
}
