use serde_json::{Value, json};

use super::*;
use crate::fixtures::{RECORDS, changes, fake, zone};
use crate::plans::PlanDnsChange;

/// `www` becomes a CNAME, the other addresses change.
fn move_away() -> Value {
    json!({"domain": "acme.com",
        "remove": [{"name": "@", "type": "A"}, {"name": "www", "type": "A"}],
        "add": [{"name": "@", "type": "A", "content": "198.51.100.1"}, {"name": "www", "type": "CNAME", "content": "host.example.net"}]})
}

const BEFORE: [&str; 3] = ["@ A 192.0.2.1", "www A 192.0.2.1", "@ TXT keep"];

async fn planned(fake: &resto_testing::FakeApi) -> Value {
    let plan = fake.run::<PlanDnsChange>(move_away()).await.unwrap();
    json!({"plan_id": plan["plan_id"]})
}

#[tokio::test]
async fn applies_a_plan_once_making_room_before_it_adds() {
    let fake = fake(&BEFORE).await;
    let plan = planned(&fake).await;
    let done = fake.run::<ApplyDnsChange>(plan.clone()).await.unwrap();
    assert_eq!(
        (&done["applied"], &done["snapshot_id"]),
        (&json!(true), &json!("acme.com-00000007"))
    );
    let made = ["PUT 1 A 198.51.100.1", "DELETE 2", "POST www CNAME host.example.net"];
    assert_eq!(changes(&fake).await, made);
    assert_eq!(fake.progress().len(), 3);
    let error = fake.run::<ApplyDnsChange>(plan).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert_eq!(changes(&fake).await, made, "a plan serves once");
}

#[tokio::test]
async fn applies_only_what_was_planned_for_this_zone() {
    for now in [
        &["@ A 192.0.2.9", "www A 192.0.2.1"][..],
        &["@ A 192.0.2.1", "www A 192.0.2.1", "www TXT new"],
    ] {
        let fake = fake(&BEFORE).await.on("GET", RECORDS, 200, zone(now));
        let plan = planned(&fake).await;
        let error = fake.run::<ApplyDnsChange>(plan).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("was changed since"), "{error}");
        assert_eq!(changes(&fake).await, [""; 0]);
    }
    let fake = fake(&BEFORE).await;
    let error = fake.run::<ApplyDnsChange>(json!({"plan_id": "acme.com-1"})).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
}

#[tokio::test]
async fn says_where_it_stopped_and_how_to_go_back() {
    let fake = fake(&BEFORE).await;
    let plan = planned(&fake).await;
    let fake =
        fake.on("DELETE", &format!("{RECORDS}/2"), 403, json!({"message": "Permission denied"}));
    let _ = fake
        .api(Risk::Write)
        .delete("/core/v1/domains/acme.com/records/2", &[])
        .once()
        .send_empty()
        .await;
    let error = fake.run::<ApplyDnsChange>(plan).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(error.message().contains("step 2 of 3 (www A 192.0.2.1 goes)"), "{error}");
    assert!(error.message().contains("restore_dns_snapshot with `acme.com-00000007`"), "{error}");
    assert_eq!(changes(&fake).await.len(), 3, "the stopped change sends nothing more");

    let now = zone(&["@ A 198.51.100.1", "www A 192.0.2.1", "@ TXT keep"]);
    let fake = fake.on("GET", RECORDS, 200, now);
    let _ =
        fake.api(Risk::Read).get("/core/v1/domains/acme.com/records", &[]).send::<Value>().await;
    let back =
        fake.run::<RestoreDnsSnapshot>(json!({"snapshot_id": "acme.com-00000007"})).await.unwrap();
    assert_eq!(back["diff"]["replace"][0]["after"]["content"], "192.0.2.1");
    assert_eq!(changes(&fake).await.last().unwrap(), "PUT 1 A 192.0.2.1");
}

#[tokio::test]
async fn looks_whether_a_step_was_made_when_its_answer_was_lost() {
    let change = json!({"domain": "acme.com", "add": [{"name": "new", "type": "A", "content": "192.0.2.7"}]});
    for (after, made) in
        [(&["@ A 192.0.2.1", "new A 192.0.2.7"][..], true), (&["@ A 192.0.2.1"], false)]
    {
        let fake = resto_testing::FakeApi::of(&crate::REGISTRAR, "namecom")
            .await
            .on("GET", RECORDS, 200, zone(&["@ A 192.0.2.1"]))
            .on("GET", RECORDS, 200, zone(&["@ A 192.0.2.1"]))
            .on("GET", RECORDS, 200, zone(after))
            .on("POST", RECORDS, 504, json!({"message": "Gateway Timeout"}));
        let plan = fake.run::<PlanDnsChange>(change.clone()).await.unwrap();
        let done = fake.run::<ApplyDnsChange>(json!({"plan_id": plan["plan_id"]})).await;
        assert_eq!(done.is_ok(), made);
        assert_eq!(changes(&fake).await.len(), 1, "it is not sent again");
    }
}

#[tokio::test]
async fn a_snapshot_is_only_good_for_what_is_there() {
    let fake = fake(&BEFORE).await;
    let error = fake.run::<RestoreDnsSnapshot>(json!({"snapshot_id": "none"})).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let plan = planned(&fake).await;
    fake.run::<ApplyDnsChange>(plan).await.unwrap();
    // The fake's zone has not changed, so that there is nothing to bring back.
    let sent = changes(&fake).await.len();
    let back =
        fake.run::<RestoreDnsSnapshot>(json!({"snapshot_id": "acme.com-00000007"})).await.unwrap();
    assert_eq!((&back["applied"], back.get("snapshot_id")), (&json!(true), None));
    assert_eq!(changes(&fake).await.len(), sent);
}
