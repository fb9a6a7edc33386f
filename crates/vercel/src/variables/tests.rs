use resto_testing::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::VERCEL;

const ENV: &str = "/v10/projects/shop/env";
const PLAIN: &str = "a plain value for a test";

/// A variable as Vercel answers it, with its value.
fn variable(kind: &str, target: &Value) -> Value {
    json!({"id": "env_1", "key": "API_KEY", "value": PLAIN, "type": kind, "target": target, "configurationId": null,
        "updatedAt": 1_767_225_600_000_i64, "createdBy": "u1"})
}

async fn fake(status: u16, answer: Value) -> FakeApi {
    FakeApi::new(&VERCEL).await.on("POST", ENV, status, answer).with_secret("shop-key", PLAIN)
}

fn created() -> Value {
    json!({"created": variable("sensitive", &json!(["production", "preview"])), "failed": []})
}

fn secret(environments: &Value) -> Value {
    json!({"project": "shop", "name": "API_KEY", "value_from": "shop-key", "environments": environments})
}

#[tokio::test]
async fn lists_names_and_no_values() {
    let plain = variable("plain", &json!("preview"));
    let fake = FakeApi::new(&VERCEL).await.on("GET", ENV, 200, json!({"envs": [plain]}));
    let asked = json!({"project": "shop", "git_branch": "logo"});
    let page = fake.run::<ListEnvironmentVariables>(asked).await.unwrap();
    assert_eq!(
        page,
        json!({"items": [{"id": "env_1", "name": "API_KEY", "kind": "plain", "environments": ["preview"],
            "updated_at": "2026-01-01T00:00:00Z"}]})
    );
    assert_eq!(fake.requests().await[0].query["gitBranch"], "logo");
}

#[tokio::test]
async fn sets_an_ordinary_value_that_people_can_read_again() {
    let fake = fake(201, created()).await;
    let asked = json!({"project": "shop", "name": "REGION", "value": "eu", "git_branch": "logo", "comment": "Where"});
    fake.run::<SetEnvironmentVariable>(asked).await.unwrap();
    let request = &fake.requests().await[0];
    assert_eq!(
        request.body,
        json!({"key": "REGION", "value": "eu", "type": "encrypted", "target": ["preview"], "gitBranch": "logo", "comment": "Where"})
    );
    assert_eq!(request.query["upsert"], "true");
}

#[tokio::test]
async fn sends_a_secret_and_tells_only_its_name() {
    let fake = fake(201, created()).await;
    let asked = json!({"project": "shop", "name": "API_KEY", "value_from": "shop-key"});
    let told = fake.run::<SetEnvironmentVariable>(asked).await.unwrap();
    let body = &fake.requests().await[0].body;
    assert_eq!(
        *body,
        json!({"key": "API_KEY", "value": PLAIN, "type": "sensitive", "target": ["production", "preview"]})
    );
    assert_eq!(told["name"], "API_KEY");
    assert!(!told.to_string().contains(PLAIN), "{told}");
}

#[tokio::test]
async fn a_secret_for_development_is_set_apart() {
    let fake = fake(201, created()).await;
    let mixed = secret(&json!(["production", "development"]));
    let error = fake.run::<SetEnvironmentVariable>(mixed).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("environments"));
    assert!(fake.requests().await.is_empty());
    fake.run::<SetEnvironmentVariable>(secret(&json!(["development"]))).await.unwrap();
    assert_eq!(fake.requests().await[0].body["type"], "encrypted");
}

#[tokio::test]
async fn a_failure_inside_a_success_is_a_failure() {
    for (code, kind) in [
        ("ENV_CONFLICT", Code::Conflict),
        ("ENV_ALREADY_EXISTS", Code::Conflict),
        ("BAD_REQUEST", Code::InvalidInput),
        ("FORBIDDEN", Code::PermissionDenied),
    ] {
        let failed = json!({"error": {"code": code, "message": "It is there.", "envVarKey": "REGION", "value": "eu"}});
        let fake = fake(201, json!({"created": [], "failed": [failed]})).await;
        let asked = json!({"project": "shop", "name": "REGION", "value": "eu"});
        let error = fake.run::<SetEnvironmentVariable>(asked).await.unwrap_err();
        assert_eq!(error.code(), kind);
        assert_eq!(error.message(), "Vercel did not set `REGION`: It is there.");
    }
}

#[tokio::test]
async fn no_error_repeats_a_secret() {
    let words = format!("The value `{PLAIN}` is not right.");
    let failed =
        json!({"created": [], "failed": [{"error": {"code": "BAD_REQUEST", "message": words}}]});
    let refused = json!({"error": {"code": "bad_request", "message": words}});
    for (status, answer) in [(201, failed), (400, refused)] {
        let fake = fake(status, answer).await;
        let asked = secret(&json!(["production"]));
        let error = fake.run::<SetEnvironmentVariable>(asked).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(!format!("{error:?}").contains(PLAIN), "{error}");
    }
}

#[tokio::test]
async fn wants_one_value_and_a_stored_secret() {
    let fake = FakeApi::new(&VERCEL).await;
    for more in [json!({}), json!({"value": "eu", "value_from": "shop-key"})] {
        let mut asked = json!({"project": "shop", "name": "REGION"});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = fake.run::<SetEnvironmentVariable>(asked).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
    }
    let asked = secret(&json!(["production"]));
    let error = fake.run::<SetEnvironmentVariable>(asked).await.unwrap_err();
    assert_eq!(error.code(), Code::ActionRequired);
    assert!(fake.requests().await.is_empty());
}

#[tokio::test]
async fn an_answer_that_says_nothing_leaves_the_outcome_open() {
    let fake = fake(201, json!({"created": [], "failed": []})).await;
    let asked = json!({"project": "shop", "name": "REGION", "value": "eu"});
    let error = fake.run::<SetEnvironmentVariable>(asked).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownOutcome);
}

const VARIABLE: &str = "/v9/projects/shop/env/env_1";

/// The variables of the project, with the one that is removed.
fn there() -> Value {
    json!({"envs": [other(), variable("sensitive", &json!(["production"]))]})
}

fn other() -> Value {
    let mut other = variable("plain", &json!("preview"));
    other["id"] = json!("env_2");
    other
}

async fn remove(fake: &FakeApi) -> Result<Value> {
    fake.run::<RemoveEnvironmentVariable>(json!({"project": "shop", "variable_id": "env_1"})).await
}

#[tokio::test]
async fn removes_a_variable_and_tells_which() {
    let fake = FakeApi::new(&VERCEL).await.on("GET", ENV, 200, there());
    let fake = fake.on("DELETE", VARIABLE, 200, variable("sensitive", &json!(["production"])));
    assert_eq!(
        remove(&fake).await.unwrap(),
        json!({"id": "env_1", "name": "API_KEY", "kind": "sensitive", "environments": ["production"],
            "updated_at": "2026-01-01T00:00:00Z"})
    );
}

#[tokio::test]
async fn removes_no_variable_that_it_is_not_shown() {
    for listed in [json!({"envs": [other()]}), part()] {
        let fake = FakeApi::new(&VERCEL).await.on("GET", ENV, 200, listed);
        let error = remove(&fake).await.unwrap_err();
        assert!(matches!(error.code(), Code::NotFound | Code::ProviderDown), "{error}");
        assert_eq!(fake.requests().await.len(), 1);
    }
}

fn part() -> Value {
    json!({"envs": [other()], "pagination": {"count": 1, "next": 7, "prev": null}})
}

#[tokio::test]
async fn looks_whether_a_variable_was_removed_where_the_answer_is_lost() {
    let left = json!({"envs": [other()]});
    for (status, listed, is_gone) in
        [(200, left, true), (200, there(), false), (200, part(), false), (403, json!({}), false)]
    {
        let fake = FakeApi::new(&VERCEL)
            .await
            .on("GET", ENV, 200, there())
            .on("GET", ENV, status, listed)
            .on("DELETE", VARIABLE, 502, json!({}));
        match remove(&fake).await {
            Ok(told) => assert!(is_gone && told["name"] == "API_KEY", "{told}"),
            Err(error) => assert!(!is_gone && error.code() == Code::UnknownOutcome, "{error}"),
        }
        let sent = fake.requests().await.iter().filter(|one| one.method == "DELETE").count();
        assert_eq!(sent, 1);
    }
}
