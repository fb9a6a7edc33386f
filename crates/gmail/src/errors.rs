//! Google's errors, told apart: a 403 may be a used-up quota, a scope that was not granted, or an
//! API that nobody switched on. <https://developers.google.com/workspace/gmail/api/guides/handle-errors>

use std::time::SystemTime;

use resto_core::{Code, Error, Failure};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::permissions::ALL;

/// Reasons that mean a quota, whatever the status.
const QUOTAS: [&str; 5] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
];

pub(crate) fn classify(failure: &Failure<'_>) -> Option<Error> {
    let is = |reason: &str| reasons(failure).any(|said| said == reason);
    let status = failure.text("/error/status").unwrap_or_default();
    match failure.status {
        400 if failure.text("/error") == Some("invalid_token") => Some(expired(failure)),
        400 if is("failedPrecondition") || status == "FAILED_PRECONDITION" => {
            Some(precondition(failure))
        }
        401 => Some(expired(failure)),
        403 | 429 if QUOTAS.iter().any(|quota| is(quota)) => Some(limited(failure)),
        429 => Some(limited(failure)),
        403 if is("accessNotConfigured") || is("SERVICE_DISABLED") => Some(failure.error(
            Code::ProviderMisconfigured,
            "has this API switched off for this server",
            "Whoever operates the server enables it in its Google Cloud project.",
        )),
        403 if is("domainPolicy") => Some(failure.error(
            Code::PermissionDenied,
            "says that the account's organisation does not allow it",
            "Ask its administrator.",
        )),
        403 if is("insufficientPermissions") || is("ACCESS_TOKEN_SCOPE_INSUFFICIENT") => {
            Some(unscoped(failure))
        }
        _ => None,
    }
}

/// The reasons in both forms that Google writes.
fn reasons<'a>(failure: &'a Failure<'_>) -> impl Iterator<Item = &'a str> {
    ["/error/errors", "/error/details"]
        .into_iter()
        .filter_map(|list| failure.body.pointer(list)?.as_array())
        .flatten()
        .filter_map(|item| item.get("reason").and_then(Value::as_str))
}

fn expired(failure: &Failure<'_>) -> Error {
    failure.error(
        Code::AuthExpired,
        "no longer takes the credential",
        "It expired, was revoked, or the password changed. Reconnect.",
    )
}

fn precondition(failure: &Failure<'_>) -> Error {
    if failure.quote().contains("Mail service not enabled") {
        return failure.error(
            Code::PermissionDenied,
            "says that this account has no mailbox",
            "Connect an account that uses Gmail.",
        );
    }
    if failure.quote().contains("etag") {
        let advice = "Read the current state, then decide.";
        return failure.error(Code::Conflict, "reports a conflict", advice);
    }
    failure.error(
        Code::InvalidInput,
        "cannot do it as things stand",
        "A limit of the mailbox may be reached: a person sees to it in its settings.",
    )
}

/// Names the narrowest of the scopes that would have allowed it, as a header lists them.
fn unscoped(failure: &Failure<'_>) -> Error {
    let scopes = failure.header("www-authenticate").and_then(|header| {
        let (_, list) = header.split_once("scope=\"")?;
        list.split('"').next()
    });
    let wanted = |id: &str| scopes.is_some_and(|list| list.split(' ').any(|scope| scope == id));
    let error = failure.error(
        Code::PermissionDenied,
        "was not allowed this when the account was connected",
        "Connect it again and leave every box of the consent ticked.",
    );
    match ALL.iter().find(|permission| wanted(permission.id)) {
        Some(permission) => error.missing(permission.id),
        None => error,
    }
}

/// No header tells the end of the period; the sentence does in some cases.
fn limited(failure: &Failure<'_>) -> Error {
    let quote = failure.quote();
    let wait = quote
        .split_once("Retry after ")
        .and_then(|(_, at)| OffsetDateTime::parse(at.split_whitespace().next()?, &Rfc3339).ok())
        .map(|at| SystemTime::from(at).duration_since(SystemTime::now()).unwrap_or_default())
        .map(|wait| wait.as_secs() + 1);
    let Some(seconds) = wait.filter(|_| failure.header("retry-after").is_none()) else {
        return failure.rate_limited();
    };
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
    use crate::GMAIL;

    async fn told(status: u16, headers: &[(&str, &str)], body: Value) -> Error {
        let fake = FakeApi::new(&GMAIL).await.on_with("POST", "/x", status, headers, body);
        fake.api(Risk::Write).post("/x", &[]).send::<Value>().await.unwrap_err()
    }

    async fn error(status: u16, reason: &str, message: &str) -> Error {
        let body = json!({"error": {"code": status, "message": message, "errors": [
            {"message": message, "domain": "global", "reason": reason}]}});
        told(status, &[], body).await
    }

    #[tokio::test]
    async fn finds_a_quota_behind_403_and_429() {
        for (status, reason) in [
            (403, "rateLimitExceeded"),
            (403, "userRateLimitExceeded"),
            (403, "quotaExceeded"),
            (403, "dailyLimitExceeded"),
            (429, "rateLimitExceeded"),
            (429, "tooManyConcurrentRequests"),
        ] {
            let error = error(status, reason, "Quota exceeded for quota metric 'Queries'").await;
            assert_eq!(error.code(), Code::RateLimited, "{status} {reason}");
            assert_eq!(error.details().retry_after_s, Some(60), "{status} {reason}");
        }
    }

    #[tokio::test]
    async fn reads_in_the_sentence_when_a_quota_returns() {
        let past = "User-rate limit exceeded.  Retry after 2020-11-23T10:00:00.000Z";
        assert_eq!(error(429, "rateLimitExceeded", past).await.details().retry_after_s, Some(1));
        let unread = "User-rate limit exceeded.  Retry after a while";
        assert_eq!(error(429, "rateLimitExceeded", unread).await.details().retry_after_s, Some(60));
        let far = "User-rate limit exceeded.  Retry after 2199-11-23T10:00:00.000Z (Mail sending)";
        let far = error(403, "userRateLimitExceeded", far).await;
        assert!(far.details().retry_after_s.unwrap() > 86_400, "{far:?}");
    }

    #[tokio::test]
    async fn a_dead_token_asks_to_reconnect() {
        let body = json!({"error": {"code": 401, "message": "Request had invalid authentication credentials.",
            "status": "UNAUTHENTICATED", "errors": [{"reason": "authError", "domain": "global"}]}});
        let error = told(401, &[], body).await;
        assert_eq!(error.code(), Code::AuthExpired);
        assert!(error.message().ends_with("Reconnect."), "{error}");
        let asked = json!({"error": "invalid_token", "error_description": "Invalid Value"});
        assert_eq!(told(400, &[], asked).await.code(), Code::AuthExpired);
    }

    #[tokio::test]
    async fn names_the_narrowest_scope_that_was_not_granted() {
        let body = json!({"error": {"code": 403, "message": "Request had insufficient authentication scopes.",
            "status": "PERMISSION_DENIED",
            "errors": [{"message": "Insufficient Permission", "domain": "global", "reason": "insufficientPermissions"}],
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com", "metadata": {"service": "gmail.googleapis.com"}}]}});
        let header = "Bearer realm=\"https://accounts.google.com/\", error=\"insufficient_scope\", scope=\"https://mail.google.com/ https://www.googleapis.com/auth/gmail.modify https://www.googleapis.com/auth/gmail.readonly\"";
        let error = told(403, &[("www-authenticate", header)], body.clone()).await;
        assert_eq!(error.code(), Code::PermissionDenied);
        assert_eq!(
            error.details().missing_permission.as_deref(),
            Some("https://www.googleapis.com/auth/gmail.readonly")
        );
        assert!(error.message().contains("Connect it again"), "{error}");
        let untold = told(403, &[], body).await;
        assert_eq!(
            (untold.code(), untold.details().missing_permission.clone()),
            (Code::PermissionDenied, None)
        );
    }

    #[tokio::test]
    async fn an_api_that_is_switched_off_is_our_own_fault() {
        let message = "Gmail API has not been used in project 7 before or it is disabled.";
        let error = error(403, "accessNotConfigured", message).await;
        assert_eq!(error.code(), Code::ProviderMisconfigured);
        let new = json!({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED",
            "details": [{"reason": "SERVICE_DISABLED", "domain": "googleapis.com"}]}});
        assert_eq!(told(403, &[], new).await.code(), Code::ProviderMisconfigured);
    }

    #[tokio::test]
    async fn tells_the_other_refusals_apart() {
        for (status, reason, message, code) in [
            (
                403,
                "domainPolicy",
                "The domain administrators have disabled Gmail apps.",
                Code::PermissionDenied,
            ),
            (403, "forbidden", "Delegation denied", Code::PermissionDenied),
            (400, "failedPrecondition", "Mail service not enabled", Code::PermissionDenied),
            (
                400,
                "failedPrecondition",
                "Request person.etag is different than the current person.etag.",
                Code::Conflict,
            ),
            (400, "invalidArgument", "Invalid To header", Code::InvalidInput),
            (404, "notFound", "Requested entity was not found.", Code::NotFound),
            (409, "aborted", "Label name exists or conflicts", Code::Conflict),
            (503, "backendError", "Backend Error", Code::UnknownOutcome),
        ] {
            let error = error(status, reason, message).await;
            assert_eq!(error.code(), code, "{status} {reason}: {error}");
        }
    }

    #[tokio::test]
    async fn tells_every_kind_of_refusal_apart() {
        for (status, reason, message, code) in [
            (401, "authError", "Invalid Credentials", Code::AuthExpired),
            (403, "forbidden", "Forbidden", Code::PermissionDenied),
            (
                403,
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "Request had insufficient authentication scopes.",
                Code::PermissionDenied,
            ),
            (404, "notFound", "Requested entity was not found.", Code::NotFound),
            (400, "invalidArgument", "Invalid label: X", Code::InvalidInput),
            (400, "failedPrecondition", "Precondition check failed.", Code::InvalidInput),
            (409, "aborted", "Label name exists or conflicts", Code::Conflict),
            (412, "conditionNotMet", "Precondition Failed", Code::Conflict),
            (
                400,
                "failedPrecondition",
                "Request person.etag is different than the current person.etag.",
                Code::Conflict,
            ),
            (429, "rateLimitExceeded", "Too many concurrent requests", Code::RateLimited),
            (403, "rateLimitExceeded", "Rate Limit Exceeded", Code::RateLimited),
            (403, "userRateLimitExceeded", "User Rate Limit Exceeded", Code::RateLimited),
            (403, "quotaExceeded", "The user's quota was exceeded", Code::RateLimited),
            (500, "backendError", "Backend Error", Code::ProviderDown),
            (503, "backendError", "The service is currently unavailable.", Code::ProviderDown),
        ] {
            let body = json!({"error": {"code": status, "message": message, "errors": [
                {"message": message, "domain": "global", "reason": reason}]}});
            let fake = FakeApi::new(&GMAIL).await.on("GET", "/x", status, body);
            let error = fake.api(Risk::Read).get("/x", &[]).send::<Value>().await.unwrap_err();
            assert_eq!(error.code(), code, "{status} {reason}");
        }
    }
}
