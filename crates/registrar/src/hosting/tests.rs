use serde_json::json;

use super::*;
use crate::fixtures::{changes, fake};

#[tokio::test]
async fn points_a_new_domain_to_its_host() {
    let fake = fake(&["@ TXT keep"]).await;
    let records = json!([
        {"name": "@", "type": "A", "content": "192.0.2.10"},
        {"name": "www", "type": "CNAME", "content": "cname.host.example"},
        {"name": "_host", "type": "TXT", "content": "verify=1"},
    ]);
    let done = fake
        .run::<SetUpHostingDns>(json!({"domain": "acme.com", "records": records}))
        .await
        .unwrap();
    assert_eq!(done["applied"], true);
    assert_eq!(
        changes(&fake).await,
        ["POST A 192.0.2.10", "POST www CNAME cname.host.example", "POST _host TXT verify=1"]
    );
}

#[tokio::test]
async fn asks_before_it_takes_another_website_down() {
    let fake = fake(&[
        "@ A 192.0.2.1",
        "@ AAAA 2001:db8::1",
        "www CNAME old.example",
        "@ MX 5 mx.example.net",
        "blog A 192.0.2.1",
    ])
    .await;
    let arguments = json!({"domain": "acme.com", "records": [
        {"name": "@", "type": "A", "content": "192.0.2.10"}, {"name": "www", "type": "CNAME", "content": "new.example"}]});
    let error = fake.run::<SetUpHostingDns>(arguments.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(
        error.message().contains("@ A 192.0.2.1; @ AAAA 2001:db8::1; www CNAME old.example"),
        "{error}"
    );
    assert_eq!(changes(&fake).await, [""; 0]);
    let mut arguments = arguments;
    arguments["replace"] = true.into();
    fake.run::<SetUpHostingDns>(arguments).await.unwrap();
    assert_eq!(
        changes(&fake).await,
        ["PUT 1 A 192.0.2.10", "PUT 3 www CNAME new.example", "DELETE 2"]
    );
}

#[tokio::test]
async fn never_takes_mail_away_for_a_website() {
    let fake = fake(&["shop MX 5 mx.example.net", "shop A 192.0.2.1"]).await;
    let arguments = json!({"domain": "acme.com", "replace": true,
        "records": [{"name": "shop", "type": "CNAME", "content": "host.example"}]});
    let change = fake.run::<SetUpHostingDns>(arguments).await.unwrap();
    assert_eq!(
        (&change["applied"], &change["conflicts"][0]["rule"]),
        (&json!(false), &json!("cname_beside_others"))
    );
    assert_eq!(changes(&fake).await, [""; 0]);
    let nothing = json!({"domain": "acme.com", "records": []});
    assert_eq!(fake.run::<SetUpHostingDns>(nothing).await.unwrap_err().code(), Code::InvalidInput);
}
