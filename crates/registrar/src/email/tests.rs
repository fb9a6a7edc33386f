use resto_core::Code;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{changes, fake};

#[tokio::test]
async fn sets_up_a_domain_without_mail() {
    let fake = fake(&["@ A 192.0.2.1"]).await;
    let arguments = json!({"domain": "acme.com", "service": "google_workspace", "dmarc_reports_to": "mail@acme.com",
        "dkim": [{"selector": "google", "value": "v=DKIM1; k=rsa; p=abc"}]});
    let done = fake.run::<SetUpEmailDns>(arguments).await.unwrap();
    assert_eq!(done["applied"], true);
    assert_eq!(
        changes(&fake).await,
        [
            "POST MX 1 smtp.google.com",
            "POST TXT v=spf1 include:_spf.google.com ~all",
            "POST google._domainkey TXT v=DKIM1; k=rsa; p=abc",
            "POST _dmarc TXT v=DMARC1; p=none; rua=mailto:mail@acme.com"
        ]
    );
}

#[tokio::test]
async fn adds_to_the_one_spf_record_and_leaves_the_policy() {
    let fake = fake(&[
        "@ TXT v=spf1 include:shop.example -all",
        "@ TXT v=spf1 mx ~all",
        "_dmarc TXT v=DMARC1; p=reject",
        "@ TXT other",
    ])
    .await;
    let arguments = json!({"domain": "acme.com", "service": "microsoft_365",
        "dkim": [{"selector": "selector1", "value": "selector1-acme-com._domainkey.acme.onmicrosoft.com"}]});
    fake.run::<SetUpEmailDns>(arguments).await.unwrap();
    assert_eq!(
        changes(&fake).await,
        [
            "PUT 1 TXT v=spf1 include:shop.example mx include:spf.protection.outlook.com -all",
            "DELETE 2",
            "POST MX 0 acme-com.mail.protection.outlook.com",
            "POST selector1._domainkey CNAME selector1-acme-com._domainkey.acme.onmicrosoft.com",
            "POST autodiscover CNAME autodiscover.outlook.com"
        ]
    );
}

#[tokio::test]
async fn another_mail_service_goes_only_when_asked() {
    let lines =
        ["@ MX 10 mx1.old.example", "@ MX 20 mx2.old.example", "k._domainkey TXT v=DKIM1; p=old"];
    let mut arguments = json!({"domain": "acme.com", "service": "fastmail", "dmarc_policy": "quarantine",
        "dkim": [{"selector": "k", "value": "v=DKIM1; p=new"}]});
    let kept = fake(&lines).await;
    let change = kept.run::<SetUpEmailDns>(arguments.clone()).await.unwrap();
    let rules: Vec<&Value> =
        change["conflicts"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert_eq!(rules, ["mx_clash", "two_dkim"]);
    assert_eq!(changes(&kept).await, [""; 0]);

    arguments["replace"] = true.into();
    let replaced = fake(&lines).await;
    replaced.run::<SetUpEmailDns>(arguments).await.unwrap();
    let made = changes(&replaced).await;
    assert_eq!(
        made[..3],
        [
            "PUT 1 MX 10 in1-smtp.messagingengine.com",
            "PUT 2 MX 20 in2-smtp.messagingengine.com",
            "PUT 3 k._domainkey TXT v=DKIM1; p=new"
        ]
    );
    assert!(
        made.contains(&"POST fm3._domainkey CNAME fm3.acme.com.dkim.fmhosted.com".to_owned()),
        "{made:?}"
    );
    assert!(made.contains(&"POST _dmarc TXT v=DMARC1; p=quarantine".to_owned()), "{made:?}");
}

#[tokio::test]
async fn closes_a_domain_that_has_no_mail() {
    let fake = fake(&["@ TXT v=spf1 include:old.example ~all", "@ MX 10 mx.old.example"]).await;
    let arguments = json!({"domain": "acme.com", "service": "no_mail", "replace": true});
    fake.run::<SetUpEmailDns>(arguments).await.unwrap();
    assert_eq!(
        changes(&fake).await,
        ["PUT 1 TXT v=spf1 -all", "PUT 2 MX 0 .", "POST _dmarc TXT v=DMARC1; p=reject"]
    );
}

#[tokio::test]
async fn another_service_is_described() {
    let fake = fake(&[]).await;
    let many: Vec<String> = (0..11).map(|number| format!("include:s{number}.example")).collect();
    let arguments = json!({"domain": "acme.com", "service": "other", "spf": many,
        "mail_servers": [{"host": "mx.mail.example", "priority": 5}]});
    let done = fake.run::<SetUpEmailDns>(arguments).await.unwrap();
    assert_eq!(changes(&fake).await[0], "POST MX 5 mx.mail.example");
    assert!(done["notes"][0].as_str().unwrap().contains("11 look-ups"));
    for wrong in [
        json!({"domain": "acme.com", "service": "other"}),
        json!({"domain": "acme.com", "service": "other", "spf": ["include:a include:b"]}),
        json!({"domain": "acme.com", "service": "fastmail", "dmarc_reports_to": "x; p=none"}),
        json!({"domain": "acme.com", "service": "fastmail", "dkim": [{"selector": "a b", "value": "p=x"}]}),
    ] {
        let error = fake.run::<SetUpEmailDns>(wrong.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput, "{wrong}");
    }
}
