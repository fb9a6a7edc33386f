use resto_core::Code;
use serde_json::json;

use super::*;
use crate::fixtures::{changes, fake};

#[tokio::test]
async fn shows_what_would_come_and_go_and_changes_nothing() {
    let fake =
        fake(&["@ A 192.0.2.1", "@ A 192.0.2.2", "www CNAME old.example.net", "@ TXT keep"]).await;
    let plan = fake
        .run::<PlanDnsChange>(json!({"domain": "acme.com",
            "remove": [{"name": "www.acme.com", "type": "CNAME"}, {"name": "@", "type": "A", "content": "192.0.2.2"}],
            "add": [{"name": "www", "type": "CNAME", "content": "New.example.net."}, {"name": "@", "type": "TXT", "content": "keep"}]}))
        .await
        .unwrap();
    assert_eq!(plan["plan_id"], "acme.com-00000007");
    assert_eq!(
        (&plan["applied"], &plan["expires_in_seconds"], &plan["conflicts"]),
        (&json!(false), &json!(3600), &json!([]))
    );
    assert_eq!(plan["diff"]["create"], json!([]));
    assert_eq!(plan["diff"]["replace"][0]["before"]["content"], "old.example.net");
    assert_eq!(plan["diff"]["replace"][0]["after"]["content"], "new.example.net");
    assert_eq!(plan["diff"]["delete"][0]["content"], "192.0.2.2");
    assert_eq!(changes(&fake).await, [""; 0]);
}

#[tokio::test]
async fn a_conflict_cannot_be_applied() {
    let fake = fake(&["www A 192.0.2.1", "@ TXT v=spf1 -all"]).await;
    let plan = fake
        .run::<PlanDnsChange>(json!({"domain": "acme.com", "add": [
            {"name": "@", "type": "CNAME", "content": "host.example.net"},
            {"name": "www", "type": "CNAME", "content": "host.example.net"},
            {"name": "@", "type": "TXT", "content": "v=spf1 include:mail.example ~all"}]}))
        .await
        .unwrap();
    assert!(plan.get("plan_id").is_none());
    let rules: Vec<&str> = plan["conflicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["cname_at_apex", "two_spf", "cname_beside_others"]);
}

#[tokio::test]
async fn notes_what_may_not_be_meant() {
    let fake = fake(&["@ A 192.0.2.1"]).await;
    let change = json!({"domain": "acme.com", "add": [{"name": "@", "type": "A", "content": "192.0.2.2"}],
        "remove": [{"name": "old", "type": "TXT"}]});
    let plan = fake.run::<PlanDnsChange>(change).await.unwrap();
    let notes: Vec<&str> =
        plan["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert!(notes[0].contains("spread over both"), "{notes:?}");
    assert!(notes[1].contains("no `old TXT` record"), "{notes:?}");
    let same =
        json!({"domain": "acme.com", "add": [{"name": "@", "type": "A", "content": "192.0.2.1"}]});
    let plan = fake.run::<PlanDnsChange>(same).await.unwrap();
    assert!(plan.get("plan_id").is_none(), "nothing is to be done");
}

#[tokio::test]
async fn leaves_the_registrars_own_records_alone() {
    let fake = fake(&["@ NS ns1.name.com"]).await;
    for wrong in [
        json!({"domain": "acme.com", "remove": [{"name": "@", "type": "NS"}]}),
        json!({"domain": "acme.com", "add": [{"name": "@", "type": "NS", "content": "ns1.example.net"}]}),
        json!({"domain": "acme.com", "add": [{"name": "@", "type": "CAA", "content": "0 issue \"ca.example\""}]}),
    ] {
        assert_eq!(fake.run::<PlanDnsChange>(wrong).await.unwrap_err().code(), Code::InvalidInput);
    }
}
