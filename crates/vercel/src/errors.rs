//! Vercel's errors, told apart: a token that is dead answers 403, as a missing right does, and a
//! conflict may be a 400, 403 or 409. <https://vercel.com/docs/rest-api/errors>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use resto_core::{Code, Error, Failure};
use serde_json::Value;

const TOKENS: &str = "https://vercel.com/account/tokens";

pub(crate) fn classify(failure: &Failure<'_>) -> Option<Error> {
    let code = failure.text("/error/code").or_else(|| failure.text("/code")).unwrap_or_default();
    let code = code.to_ascii_lowercase();
    match failure.status {
        400 | 403 | 409 if code.contains("already") || code.contains("conflict") => {
            Some(failure.error(
                Code::Conflict,
                "reports a conflict",
                "Read the current state, then decide.",
            ))
        }
        403 => Some(forbidden(failure, &code)),
        404 | 410 => Some(failure.error(
            Code::NotFound,
            "did not find it",
            "The name may be wrong, or it belongs to another team: then give `team`.",
        )),
        429 => Some(limited(failure)),
        _ => None,
    }
}

fn forbidden(failure: &Failure<'_>, code: &str) -> Error {
    let says = |name: &str| {
        failure.body.pointer(&format!("/error/{name}")).is_some_and(|value| match value {
            Value::Bool(says) => *says,
            other => !other.is_null(),
        })
    };
    if says("invalidToken") {
        return failure
            .error(
                Code::AuthExpired,
                "no longer takes the token",
                "It expired or was deleted. Reconnect.",
            )
            .url(TOKENS);
    }
    if code == "integration_configuration_disabled" {
        return failure.error(
            Code::AuthExpired,
            "switched the integration off",
            "Whoever installed it may have left the team. Reconnect.",
        );
    }
    if says("saml") {
        return failure.error(
            Code::PermissionDenied,
            "wants single sign-on for this team",
            "A person signs in to the team and creates a token for it.",
        );
    }
    failure.error(
        Code::PermissionDenied,
        "refused permission",
        "The token may not reach this team (then give another `team`), or its owner's role lacks the right.",
    )
}

/// Where no header tells the end of the period, the body does.
fn limited(failure: &Failure<'_>) -> Error {
    let by_header = ["retry-after", failure.provider.rate_headers.reset]
        .iter()
        .any(|name| failure.header(name).is_some());
    let reset = failure.body.pointer("/error/limit/reset").and_then(Value::as_u64);
    let Some(reset) = reset.filter(|_| !by_header) else { return failure.rate_limited() };
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(reset));
    let wait = at.and_then(|at| at.duration_since(SystemTime::now()).ok()).unwrap_or_default();
    let seconds = wait.as_secs() + 1;
    failure
        .error(
            Code::RateLimited,
            "limits the rate of requests",
            &format!("Try again in {seconds} seconds."),
        )
        .retry_after(seconds)
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::VERCEL;

    async fn error(status: u16, body: Value) -> Error {
        let fake = FakeApi::new(&VERCEL).await.on("PATCH", "/x", status, body);
        fake.api(Risk::Write).patch("/x", &[]).send::<Value>().await.unwrap_err()
    }

    #[tokio::test]
    async fn tells_a_dead_token_from_a_missing_right() {
        let dead = json!({"error": {"code": "forbidden", "message": "Not authorized", "invalidToken": true}});
        let dead = error(403, dead).await;
        assert_eq!(dead.code(), Code::AuthExpired);
        assert_eq!(
            dead.message(),
            "Vercel no longer takes the token: Not authorized. It expired or was deleted. Reconnect."
        );
        let left =
            json!({"error": {"code": "integration_configuration_disabled", "message": "Disabled"}});
        assert_eq!(error(403, left).await.code(), Code::AuthExpired);
        let right = json!({"error": {"code": "forbidden", "message": "Not authorized"}});
        let right = error(403, right).await;
        assert_eq!(right.code(), Code::PermissionDenied);
        assert!(right.message().contains("give another `team`"), "{right}");
        let saml = json!({"error": {"code": "forbidden", "message": "Not authorized", "saml": true, "scope": "acme"}});
        let saml = error(403, saml).await;
        assert_eq!(saml.code(), Code::PermissionDenied);
        assert!(saml.message().contains("single sign-on"), "{saml}");
    }

    #[tokio::test]
    async fn finds_conflicts_behind_several_statuses() {
        for (status, code) in [
            (400, "domain_already_exists"),
            (403, "ENV_ALREADY_EXISTS"),
            (409, "conflict"),
            (409, "domain_already_in_use"),
        ] {
            let body = json!({"error": {"code": code, "message": "It is there."}});
            assert_eq!(error(status, body).await.code(), Code::Conflict, "{code}");
        }
        let wrong = json!({"error": {"code": "bad_request", "message": "Invalid request: `name` is missing."}});
        let wrong = error(400, wrong).await;
        assert_eq!(wrong.code(), Code::InvalidInput);
        assert!(wrong.message().contains("`name` is missing"), "{wrong}");
    }

    #[tokio::test]
    async fn says_that_another_team_may_own_it() {
        let body =
            json!({"error": {"code": "not_found", "message": "Could not find the RESOURCE: ID"}});
        let error = error(404, body).await;
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("give `team`"), "{error}");
    }

    #[tokio::test]
    async fn reads_from_the_body_when_a_quota_returns() {
        let body = |reset: u64| {
            json!({"error": {"code": "rate_limited", "message": "The rate limit of 6 exceeded.",
                "limit": {"remaining": 0, "reset": reset, "total": 6}}})
        };
        let past = error(429, body(1)).await;
        assert_eq!((past.code(), past.details().retry_after_s), (Code::RateLimited, Some(1)));
        let future = error(429, body(4_102_444_800)).await;
        assert!(future.details().retry_after_s.unwrap() > 86_400, "{future:?}");
        let untold = error(429, json!({"error": {"code": "rate_limited"}})).await;
        assert_eq!(untold.details().retry_after_s, Some(60));
    }

    #[tokio::test]
    async fn plan_limits_ask_for_payment() {
        let body = json!({"error": {"code": "payment_required", "message": "Upgrade to Pro"}});
        assert_eq!(error(402, body).await.code(), Code::PaymentRequired);
    }

    #[tokio::test]
    async fn tells_every_kind_of_refusal_apart() {
        for (status, code, more, kind) in [
            (403, "forbidden", Some("invalidToken"), Code::AuthExpired),
            (401, "unauthorized", None, Code::AuthExpired),
            (403, "integration_configuration_disabled", None, Code::AuthExpired),
            (403, "forbidden", None, Code::PermissionDenied),
            (403, "not_authorized", None, Code::PermissionDenied),
            (404, "not_found", None, Code::NotFound),
            (410, "gone", None, Code::NotFound),
            (400, "bad_request", None, Code::InvalidInput),
            (422, "unprocessable_entity", None, Code::InvalidInput),
            (428, "precondition_required", None, Code::InvalidInput),
            (409, "project_exists", None, Code::Conflict),
            (429, "too_many_requests", None, Code::RateLimited),
            (402, "payment_required", None, Code::PaymentRequired),
            (500, "internal_server_error", None, Code::ProviderDown),
            (503, "service_unavailable", None, Code::ProviderDown),
        ] {
            let mut body = json!({"error": {"code": code, "message": "As it says."}});
            if let Some(more) = more {
                body["error"][more] = true.into();
            }
            let fake = FakeApi::new(&VERCEL).await.on("GET", "/x", status, body);
            let error = fake.api(Risk::Read).get("/x", &[]).send::<Value>().await.unwrap_err();
            assert_eq!(error.code(), kind, "{status} {code} {more:?}");
        }
    }
}
