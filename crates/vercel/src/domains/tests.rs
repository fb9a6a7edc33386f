use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::VERCEL;

const DOMAINS: &str = "/v10/projects/shop/domains";
pub(crate) const WWW: &str = "/v9/projects/shop/domains/www.example.com";
const VERIFY: &str = "/v9/projects/shop/domains/www.example.com/verify";

/// A domain as Vercel answers it, trimmed.
pub(crate) fn www(verified: bool) -> Value {
    let challenge = json!({"type": "TXT", "domain": "_vercel.example.com", "value": "vc-domain-verify=www.example.com,abc",
        "reason": "pending_domain_verification"});
    json!({"name": "www.example.com", "apexName": "example.com", "projectId": "prj_1", "redirect": null,
        "gitBranch": null, "createdAt": 0, "verified": verified,
        "verification": if verified { json!([]) } else { json!([challenge]) }})
}

fn asked() -> Value {
    json!({"project": "shop", "domain": "www.example.com"})
}

#[tokio::test]
async fn lists_domains() {
    let fake = FakeApi::new(&VERCEL).await.on(
        "GET",
        "/v9/projects/shop/domains",
        200,
        json!({"domains": [www(true)], "pagination": {"count": 1, "next": 1_612_264_332_000_i64, "prev": null}}),
    );
    let page =
        fake.run::<ListProjectDomains>(json!({"project": "shop", "limit": 1})).await.unwrap();
    assert_eq!(
        page,
        json!({"items": [{"name": "www.example.com", "apex": "example.com", "verified": true,
            "created_at": "1970-01-01T00:00:00Z"}], "next_cursor": "1612264332000"})
    );
}

#[tokio::test]
async fn adds_a_domain_and_tells_how_to_verify_it() {
    let fake = FakeApi::new(&VERCEL).await.on("POST", DOMAINS, 200, www(false));
    let added = fake.run::<AddProjectDomain>(asked()).await.unwrap();
    assert_eq!(
        added["verification"],
        json!([{"record_type": "TXT", "record_name": "_vercel.example.com", "value": "vc-domain-verify=www.example.com,abc"}])
    );
    assert_eq!(fake.requests().await[0].body, json!({"name": "www.example.com"}));
}

#[tokio::test]
async fn leads_one_domain_to_another() {
    for (redirect, status) in [(Value::Null, 308), (json!("temporary"), 307)] {
        let fake = FakeApi::new(&VERCEL).await.on("POST", DOMAINS, 200, www(true));
        let mut asked = asked();
        asked["redirect_to"] = "example.com".into();
        if !redirect.is_null() {
            asked["redirect"] = redirect;
        }
        fake.run::<AddProjectDomain>(asked).await.unwrap();
        assert_eq!(
            fake.requests().await[0].body,
            json!({"name": "www.example.com", "redirect": "example.com", "redirectStatusCode": status})
        );
    }
}

#[tokio::test]
async fn says_that_another_project_has_the_domain() {
    let body = json!({"error": {"code": "domain_already_in_use", "message": "Cannot add www.example.com since it's already in use by another account.", "projectId": "prj_2"}});
    let fake = FakeApi::new(&VERCEL).await.on("POST", DOMAINS, 409, body);
    let error = fake.run::<AddProjectDomain>(asked()).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("already in use"), "{error}");
}

#[tokio::test]
async fn verifies_a_domain_or_names_the_record_that_is_missing() {
    let missing = json!({"error": {"code": "missing_txt_record", "message": "Domain _vercel.example.com is missing required TXT Record"}});
    let fake = FakeApi::new(&VERCEL)
        .await
        .on("POST", VERIFY, 400, missing)
        .on("POST", VERIFY, 200, www(true))
        .on("GET", WWW, 200, www(false));
    let error = fake.run::<VerifyProjectDomain>(asked()).await.unwrap_err();
    assert_eq!(error.code(), Code::ActionRequired);
    assert!(
        error.message().contains("TXT _vercel.example.com with the value vc-domain-verify="),
        "{error}"
    );
    assert_eq!(fake.run::<VerifyProjectDomain>(asked()).await.unwrap()["verified"], true);
}

fn leading(to: &str) -> Value {
    let mut leading = www(true);
    leading["name"] = "old.example.com".into();
    leading["redirect"] = to.into();
    leading["redirectStatusCode"] = 307.into();
    leading
}

#[tokio::test]
async fn removes_a_domain_and_what_leads_to_it_and_tells_all_of_it() {
    let listed = |domains: Value, next: Value| json!({"domains": domains, "pagination": {"count": 1, "next": next, "prev": null}});
    let list = "/v9/projects/shop/domains";
    let mut was = www(true);
    was["gitBranch"] = "next".into();
    let fake = FakeApi::new(&VERCEL)
        .await
        .on("GET", WWW, 200, was)
        .on("GET", list, 200, listed(json!([leading("example.com"), www(true)]), 7.into()))
        .on("GET", list, 200, listed(json!([leading("www.example.com")]), Value::Null))
        .on("DELETE", WWW, 200, json!({}));
    let mut asked = asked();
    asked["remove_redirects"] = true.into();
    let removed = fake.run::<RemoveProjectDomain>(asked).await.unwrap();
    assert_eq!(
        (&removed["project"], &removed["domain"], &removed["was"]["git_branch"]),
        (&json!("shop"), &json!("www.example.com"), &json!("next"))
    );
    assert_eq!(
        removed["redirects"],
        json!([{"name": "old.example.com", "apex": "example.com", "verified": true, "redirect_to": "www.example.com",
            "redirect_status": 307, "created_at": "1970-01-01T00:00:00Z"}])
    );
    let requests = fake.requests().await;
    assert_eq!(requests[2].query["until"], "7");
    assert_eq!(requests[3].body, json!({"removeRedirects": true}));
}

#[tokio::test]
async fn looks_for_a_domain_whose_removal_was_not_answered() {
    let fake = FakeApi::new(&VERCEL)
        .await
        .on("GET", WWW, 200, www(true))
        .on("GET", WWW, 404, json!({"error": {"code": "not_found"}}))
        .on("DELETE", WWW, 502, json!({}));
    let removed = fake.run::<RemoveProjectDomain>(asked()).await.unwrap();
    assert_eq!(removed["domain"], "www.example.com");
}

#[tokio::test]
async fn removes_no_domain_that_it_could_not_tell() {
    let missing = json!({"error": {"code": "not_found", "message": "Domain not found"}});
    let fake = FakeApi::new(&VERCEL).await.on("GET", WWW, 404, missing);
    let error = fake.run::<RemoveProjectDomain>(asked()).await.unwrap_err();
    assert_eq!((error.code(), fake.requests().await.len()), (Code::NotFound, 1));
    let fake = FakeApi::new(&VERCEL).await.on("GET", WWW, 200, www(true)).on(
        "DELETE",
        WWW,
        200,
        json!({}),
    );
    let removed = fake.run::<RemoveProjectDomain>(asked()).await.unwrap();
    assert_eq!(removed["redirects"], json!([]));
    assert_eq!(fake.requests().await[1].body, json!({"removeRedirects": false}));
}
