//! The tests of collaborators.

use std::time::Duration;

use resto_testing::FakeApi;
use serde_json::Value;

use super::*;
use crate::GITHUB;

fn mona(more: Value) -> Value {
    let mut arguments = json!({"owner": "acme", "repo": "shop", "login": "mona"});
    if let Value::Object(more) = more {
        arguments.as_object_mut().unwrap().extend(more);
    }
    arguments
}

fn invitation() -> Value {
    json!({"id": 42, "html_url": "https://github.com/acme/shop/invitations", "permissions": "triage",
        "invitee": {"login": "Mona"}})
}

#[tokio::test]
async fn lists_collaborators_with_their_roles() {
    let fake = FakeApi::new(&GITHUB).await.on(
        "GET",
        "/repos/acme/shop/collaborators",
        200,
        json!([{"login": "mona", "role_name": "maintain", "html_url": "https://github.com/mona", "id": 1}]),
    );
    let page =
        fake.run::<ListCollaborators>(json!({"owner": "acme", "repo": "shop"})).await.unwrap();
    assert_eq!(
        page["items"],
        json!([{"login": "mona", "role": "maintain", "url": "https://github.com/mona"}])
    );
}

#[tokio::test]
async fn invites_a_person_in_a_role() {
    let fake = FakeApi::new(&GITHUB).await.on(
        "PUT",
        "/repos/acme/shop/collaborators/mona",
        201,
        invitation(),
    );
    let invited = fake.run::<InviteCollaborator>(mona(json!({"role": "write"}))).await.unwrap();
    assert_eq!(
        invited,
        json!({"login": "mona", "pending": true, "invitation_id": 42, "url": "https://github.com/acme/shop/invitations"})
    );
    assert_eq!(fake.requests().await[0].body, json!({"permission": "push"}));
}

#[tokio::test]
async fn a_member_needs_no_invitation() {
    let fake = FakeApi::new(&GITHUB).await.on(
        "PUT",
        "/repos/acme/shop/collaborators/mona",
        204,
        Value::Null,
    );
    let invited = fake.run::<InviteCollaborator>(mona(json!({}))).await.unwrap();
    assert_eq!(invited, json!({"login": "mona", "pending": false}));
    assert_eq!(fake.requests().await[0].body, json!({}));
}

#[tokio::test]
async fn removes_a_person_and_withdraws_the_invitation() {
    let fake = FakeApi::new(&GITHUB)
        .await
        .on("GET", "/repos/acme/shop/invitations", 200, json!([invitation()]))
        .on("GET", "/repos/acme/shop/invitations", 200, json!([]))
        .on(
            "GET",
            "/repos/acme/shop/collaborators/mona/permission",
            404,
            json!({"message": "mona is not a user"}),
        )
        .on(
            "GET",
            "/repos/acme/shop/collaborators/mona/permission",
            200,
            json!({"permission": "write", "role_name": "maintain", "user": {"login": "mona"}}),
        )
        .on("DELETE", "/repos/acme/shop/invitations/42", 204, Value::Null)
        .on("DELETE", "/repos/acme/shop/collaborators/mona", 204, Value::Null);
    for (withdrawn, role) in [(true, "triage"), (false, "maintain")] {
        let removed = fake.run::<RemoveCollaborator>(mona(json!({}))).await.unwrap();
        assert_eq!(
            removed,
            json!({"login": "mona", "role": role, "invitation_withdrawn": withdrawn})
        );
    }
    let deleted: Vec<String> = fake
        .requests()
        .await
        .into_iter()
        .filter(|request| request.method == "DELETE")
        .map(|request| request.path)
        .collect();
    assert_eq!(
        deleted,
        [
            "/repos/acme/shop/invitations/42",
            "/repos/acme/shop/collaborators/mona",
            "/repos/acme/shop/collaborators/mona"
        ]
    );
}

#[tokio::test]
async fn looks_whether_a_person_was_removed_where_the_answer_is_lost() {
    const MONA: &str = "/repos/acme/shop/collaborators/mona";
    let hidden = json!({"message": "Not Found"});
    let nobody = || (200, json!([]));
    for (invited, me, collaborator, is_gone) in [
        (nobody(), 204, 404, true),
        (nobody(), 204, 204, false),
        (nobody(), 204, 403, false),
        ((200, json!([invitation()])), 204, 404, false),
        // Without a right nothing is told by what is not found.
        (nobody(), 404, 404, false),
        ((404, hidden), 204, 404, false),
    ] {
        for again in [false, true] {
            let mut fake = FakeApi::new(&GITHUB).await;
            fake = if again {
                fake.reconciling(Duration::from_mins(3))
            } else {
                fake.on("GET", "/repos/acme/shop/invitations", 200, json!([]))
            };
            fake = fake
                .on("GET", "/repos/acme/shop/invitations", invited.0, invited.1.clone())
                .on("GET", &format!("{MONA}/permission"), 200, json!({"role_name": "write"}))
                .on("GET", "/user", 200, json!({"login": "boss"}))
                .on("GET", "/repos/acme/shop/collaborators/boss", me, Value::Null)
                .on("GET", MONA, collaborator, Value::Null)
                .on("DELETE", MONA, 502, json!({"message": "Server Error"}));
            match fake.run::<RemoveCollaborator>(mona(json!({}))).await {
                Ok(told) => assert!(is_gone && told == json!({"login": "mona"}), "{told}"),
                Err(error) => {
                    assert!(!is_gone && error.code() == Code::UnknownOutcome, "{error}");
                }
            }
            let sent = fake.requests().await.iter().filter(|r| r.method == "DELETE").count();
            assert_eq!(sent, usize::from(!again));
        }
    }
}
