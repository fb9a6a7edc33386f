use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::VERCEL;
use crate::projects::tests::shop;

pub(crate) const DPL: &str = "/v13/deployments/dpl_1";

/// A deployment as Vercel answers it, trimmed.
pub(crate) fn deployment(state: &str) -> Value {
    json!({
        "id": "dpl_1", "uid": "dpl_1", "name": "shop", "projectId": "prj_1", "readyState": state, "status": state,
        "target": "production", "url": "shop-abc.vercel.app", "alias": ["shop.example.com"],
        "inspectorUrl": "https://vercel.com/acme/shop/1", "aliasAssigned": true, "customEnvironment": null,
        "meta": {"githubCommitRef": "main", "githubCommitSha": "aaa111", "githubCommitMessage": "Sharpen\n\nlogo"},
        "env": ["SECRET_NAME"], "createdAt": 1_767_225_600_000_i64, "ready": 1_767_225_660_000_i64,
    })
}

#[tokio::test]
async fn lists_deployments() {
    let fake = FakeApi::new(&VERCEL).await.formerly("/v7/deployments", "/v6/deployments").on(
        "GET",
        "/v7/deployments",
        200,
        json!({
            "deployments": [{"uid": "dpl_2", "name": "shop", "url": null, "created": 1, "createdAt": 0,
                "state": "BLOCKED", "readyState": "BLOCKED", "type": "LAMBDAS", "inspectorUrl": null, "target": null,
                "projectId": "prj_1", "creator": {"uid": "u1"}, "meta": {"gitlabCommitRef": "logo"}}],
            "pagination": {"count": 1, "next": 1_540_095_775_951_i64, "prev": null},
        }),
    );
    let page = fake
        .run::<ListDeployments>(json!({
            "project": "shop", "environment": "preview", "state": "BLOCKED", "branch": "logo",
            "commit_sha": "aaa111", "cursor": "1540095775999", "team": "team_2",
        }))
        .await
        .unwrap();
    assert_eq!(page["next_cursor"], "1540095775951");
    assert_eq!(
        page["items"],
        json!([{"id": "dpl_2", "project": "shop", "state": "BLOCKED", "environment": "preview", "branch": "logo",
            "created_at": "1970-01-01T00:00:00Z"}])
    );
    let query = &fake.requests().await[0].query;
    for (name, value) in [
        ("projectId", "shop"),
        ("target", "preview"),
        ("state", "BLOCKED"),
        ("branch", "logo"),
        ("sha", "aaa111"),
        ("until", "1540095775999"),
        ("limit", "30"),
        ("teamId", "team_2"),
    ] {
        assert_eq!(query[name], value);
    }
}

#[tokio::test]
async fn tells_where_a_deployment_is_reached_and_what_it_is_of() {
    let fake = FakeApi::new(&VERCEL).await.on("GET", DPL, 200, deployment("READY"));
    let found = fake.run::<GetDeployment>(json!({"deployment": "dpl_1"})).await.unwrap();
    assert_eq!(
        found,
        json!({
            "id": "dpl_1", "project": "shop", "state": "READY", "environment": "production",
            "url": "https://shop-abc.vercel.app", "domains": ["shop.example.com"],
            "inspector_url": "https://vercel.com/acme/shop/1", "branch": "main", "commit_sha": "aaa111",
            "commit_message": "Sharpen", "created_at": "2026-01-01T00:00:00Z", "ready_at": "2026-01-01T00:01:00Z",
        })
    );
}

#[test]
fn d7_nothing_is_left_that_the_author_of_its_commit_could_write() {
    let read = |target: Value| -> Deployment {
        let mut answer = deployment("ERROR");
        answer["target"] = target;
        answer["errorCode"] = json!("BUILD_FAILED");
        answer["errorMessage"] = json!("Command \"say no more\" exited with 1");
        serde_json::from_value(answer).unwrap()
    };
    let preview = json!(read(Value::Null).without_words());
    assert_eq!(
        preview,
        json!({
            "id": "dpl_1", "project": "shop", "state": "ERROR", "stage": null, "environment": "preview",
            "url": "https://shop-abc.vercel.app", "inspector_url": "https://vercel.com/acme/shop/1", "branch": null,
            "commit_sha": "aaa111", "commit_message": null, "error_code": "BUILD_FAILED", "error_message": null,
            "created_at": "2026-01-01T00:00:00Z", "ready_at": "2026-01-01T00:01:00Z",
        })
    );
    let mut live = preview;
    live["environment"] = json!("production");
    live["domains"] = json!(["shop.example.com"]);
    assert_eq!(json!(read(json!("production")).without_words()), live);
}

#[tokio::test]
async fn a_state_that_is_not_known_is_told_as_it_is() {
    let mut answer = deployment("HIBERNATING");
    answer["customEnvironment"] = json!({"id": "env_1", "slug": "staging"});
    let fake = FakeApi::new(&VERCEL).await.on("GET", DPL, 200, answer);
    let found = fake.run::<GetDeployment>(json!({"deployment": "dpl_1"})).await.unwrap();
    assert_eq!(
        (&found["state"], &found["environment"]),
        (&json!("HIBERNATING"), &json!("staging"))
    );
}

#[tokio::test]
async fn cancels_only_what_has_not_ended() {
    let cancel = "/v12/deployments/dpl_1/cancel";
    let fake = FakeApi::new(&VERCEL)
        .await
        .on("GET", "/v13/deployments/shop-abc.vercel.app", 200, deployment("BUILDING"))
        .on("GET", DPL, 200, deployment("READY"))
        .on("PATCH", cancel, 200, deployment("CANCELED"));
    let asked = json!({"deployment": "shop-abc.vercel.app"});
    assert_eq!(fake.run::<CancelDeployment>(asked).await.unwrap()["state"], "CANCELED");
    let error = fake.run::<CancelDeployment>(json!({"deployment": "dpl_1"})).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("it is READY"), "{error}");
    assert_eq!(fake.requests().await.iter().filter(|r| r.method == "PATCH").count(), 1);
}

#[tokio::test]
async fn deletes_a_deployment() {
    let gone = json!({"uid": "dpl_1", "state": "DELETED"});
    let fake = FakeApi::new(&VERCEL)
        .await
        .on("GET", DPL, 200, deployment("READY"))
        .on("DELETE", DPL, 200, gone);
    let told = fake.run::<DeleteDeployment>(json!({"deployment_id": "dpl_1"})).await.unwrap();
    assert_eq!(told, json!({"deployment_id": "dpl_1"}));
    assert_eq!(fake.requests().await[1].method, "DELETE");
}

#[tokio::test]
async fn looks_whether_a_deployment_was_deleted_where_the_answer_is_lost() {
    let hidden = json!({"error": {"code": "not_found"}});
    for (shown, project, is_gone) in [
        ((404, hidden.clone()), (200, shop()), true),
        ((200, deployment("DELETED")), (200, shop()), true),
        ((200, deployment("READY")), (200, shop()), false),
        ((404, hidden.clone()), (404, hidden.clone()), false),
        ((404, hidden.clone()), (403, json!({})), false),
    ] {
        let fake = FakeApi::new(&VERCEL)
            .await
            .on("GET", DPL, 200, deployment("READY"))
            .on("GET", DPL, shown.0, shown.1)
            .on("GET", "/v9/projects/prj_1", project.0, project.1)
            .on("DELETE", DPL, 502, json!({}));
        match fake.run::<DeleteDeployment>(json!({"deployment_id": "dpl_1"})).await {
            Ok(told) => assert!(is_gone && told == json!({"deployment_id": "dpl_1"}), "{told}"),
            Err(error) => assert!(!is_gone && error.code() == Code::UnknownOutcome, "{error}"),
        }
        let sent = fake.requests().await.iter().filter(|one| one.method == "DELETE").count();
        assert_eq!(sent, 1);
    }
}

#[tokio::test]
async fn deletes_no_deployment_that_it_is_not_shown() {
    let fake =
        FakeApi::new(&VERCEL).await.on("GET", DPL, 404, json!({"error": {"code": "not_found"}}));
    let error = fake.run::<DeleteDeployment>(json!({"deployment_id": "dpl_1"})).await.unwrap_err();
    assert_eq!((error.code(), fake.requests().await.len()), (Code::NotFound, 1));
}

#[tokio::test]
async fn deletes_no_deployment_to_which_only_a_domain_leads() {
    let path = "/v13/deployments/shop.example.com";
    let fake = FakeApi::new(&VERCEL).await.on("GET", path, 200, deployment("READY"));
    let asked = json!({"deployment_id": "shop.example.com"});
    let error = fake.run::<DeleteDeployment>(asked).await.unwrap_err();
    assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 1));
    assert!(error.message().contains("dpl_1"), "{error}");
}
