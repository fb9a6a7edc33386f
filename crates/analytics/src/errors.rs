//! Google's errors, told apart: a quota has several windows, and a refusal several reasons.
//! <https://developers.google.com/analytics/devguides/reporting/data/v1/errors>

use resto_core::{Code, Error, Failure};

use crate::permissions::lacking;

const ACCESS: &str = "https://support.google.com/analytics/answer/9305788";

pub(crate) fn classify(failure: &Failure<'_>) -> Option<Error> {
    let status = failure.text("/error/status").unwrap_or_default();
    match (failure.status, status) {
        // What a token is for is asked elsewhere, and refused in other words.
        (400, _) if failure.text("/error") == Some("invalid_token") => Some(failure.error(
            Code::AuthExpired,
            "no longer takes the sign-in",
            "Access was withdrawn or has expired. Reconnect.",
        )),
        (401, _) => Some(failure.error(
            Code::AuthExpired,
            "no longer takes the sign-in",
            "Access was withdrawn or has expired. Reconnect.",
        )),
        (429, _) | (_, "RESOURCE_EXHAUSTED") => Some(limited(failure)),
        (403, _) => Some(forbidden(failure)),
        (404, _) => Some(failure.error(
            Code::NotFound,
            "did not find it",
            "The number may be wrong, or this Google account has no access to it.",
        )),
        (409, _) => Some(failure.error(
            Code::Conflict,
            "reports a conflict",
            "It may exist already. Read the current state, then decide.",
        )),
        (400, "FAILED_PRECONDITION") => Some(failure.error(
            Code::InvalidInput,
            "cannot do it as things stand",
            "A limit may be reached, or terms not accepted: a person sees to it in Google Analytics.",
        )),
        (400, _) => Some(invalid(failure)),
        _ => None,
    }
}

/// The machine-readable reason, in both forms that Google writes.
fn reason<'a>(failure: &'a Failure<'_>) -> &'a str {
    let lists = ["/error/details", "/error/errors"];
    let mut told = lists.iter().filter_map(|list| failure.body.pointer(list)?.as_array()).flatten();
    told.find_map(|detail| detail.get("reason")?.as_str()).unwrap_or_default()
}

fn forbidden(failure: &Failure<'_>) -> Error {
    match reason(failure) {
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => {
            let scope = lacking(failure.is_unsafe);
            failure
                .error(
                    Code::PermissionDenied,
                    "says that this was not consented to",
                    "Reconnect, and leave every box of the consent ticked.",
                )
                .missing(scope)
        }
        "SERVICE_DISABLED" | "CONSUMER_INVALID" | "API_KEY_SERVICE_BLOCKED" => failure.error(
            Code::ProviderMisconfigured,
            "does not let this product use its API",
            "Whoever operates it enables the Google Analytics Data and Admin APIs in its Google Cloud project.",
        ),
        "RATE_LIMIT_EXCEEDED" | "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded" => {
            limited(failure)
        }
        _ => failure
            .error(
                Code::PermissionDenied,
                "refused permission",
                "The connected Google account needs a role at this property: Viewer to read, Editor to change. Its administrator grants it.",
            )
            .url(ACCESS),
    }
}

/// Google says in words how long the window of a quota is.
fn limited(failure: &Failure<'_>) -> Error {
    let words = failure.quote().to_lowercase();
    let (seconds, advice) = if words.contains("concurrent") {
        (5, "Wait for the other reports to end.")
    } else if words.contains("per day") || words.contains("daily") {
        (
            6 * 3600,
            "It returns at midnight in California. Ask for less: fewer days, columns or rows.",
        )
    } else if words.contains("hour") {
        (1800, "It returns within the hour. Ask for less: fewer days, columns or rows.")
    } else {
        return failure.rate_limited();
    };
    failure.error(Code::RateLimited, "says that a quota is used up", advice).retry_after(seconds)
}

/// The words name the wrong field; how to find the right one is ours to say.
fn invalid(failure: &Failure<'_>) -> Error {
    let words = failure.quote().to_lowercase();
    let advice = if words.contains("incompatible") {
        "`check_compatibility` tells what can be asked together."
    } else if words.contains("dimension") || words.contains("metric") {
        "`list_metrics_and_dimensions` tells the names."
    } else {
        "Correct the input."
    };
    failure.error(Code::InvalidInput, "refused the request", advice)
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::ANALYTICS;

    /// A body as Google writes it.
    fn body(code: u16, status: &str, message: &str, reason: Option<&str>) -> Value {
        let details: Vec<Value> = reason
            .iter()
            .map(|reason| {
                json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                    "domain": "googleapis.com", "metadata": {"service": "analyticsdata.googleapis.com"}})
            })
            .collect();
        json!({"error": {"code": code, "message": message, "status": status, "details": details}})
    }

    async fn error(status: u16, body: Value) -> Error {
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", "/x", status, body);
        let api = fake.api(Risk::Read);
        api.post("/x", &[]).reads().send::<Value>().await.unwrap_err()
    }

    #[tokio::test]
    async fn a_dead_sign_in_is_to_be_renewed() {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
        let error =
            error(401, body(401, "UNAUTHENTICATED", message, Some("ACCESS_TOKEN_EXPIRED"))).await;
        assert_eq!(error.code(), Code::AuthExpired);
        assert!(error.message().ends_with("Reconnect."), "{error}");
    }

    #[tokio::test]
    async fn tells_a_missing_consent_from_a_missing_role_and_from_our_own_fault() {
        let scopes = "Request had insufficient authentication scopes.";
        let consent = error(
            403,
            body(403, "PERMISSION_DENIED", scopes, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
        )
        .await;
        assert_eq!(consent.code(), Code::PermissionDenied);
        let missing = consent.details().missing_permission.as_deref();
        assert_eq!(missing, Some("https://www.googleapis.com/auth/analytics.readonly"));

        let role = "User does not have sufficient permissions for this property. To learn more about Property ID, see https://developers.google.com/analytics/devguides/reporting/data/v1/property-id.";
        let role = error(403, body(403, "PERMISSION_DENIED", role, None)).await;
        assert_eq!(role.code(), Code::PermissionDenied);
        assert!(role.message().contains("Editor to change"), "{role}");
        assert_eq!(role.details().missing_permission, None);

        let disabled =
            "Google Analytics Data API has not been used in project 123 before or it is disabled.";
        let disabled =
            error(403, body(403, "PERMISSION_DENIED", disabled, Some("SERVICE_DISABLED"))).await;
        assert_eq!(disabled.code(), Code::ProviderMisconfigured);
    }

    #[tokio::test]
    async fn says_when_each_quota_returns() {
        for (message, seconds) in [
            (
                "Exhausted property tokens for a project per hour. These quota tokens will return in under an hour. To learn more, see https://developers.google.com/analytics/devguides/reporting/data/v1/quotas",
                1800,
            ),
            (
                "Exhausted property tokens per day. These quota tokens will return after midnight.",
                21_600,
            ),
            (
                "Exhausted potentially thresholded requests quota. This quota will refresh in under an hour.",
                1800,
            ),
            ("Resource has been exhausted (e.g. check quota).", 60),
        ] {
            let error = error(429, body(429, "RESOURCE_EXHAUSTED", message, None)).await;
            assert_eq!(error.code(), Code::RateLimited, "{message}");
            assert_eq!(error.details().retry_after_s, Some(seconds), "{message}");
        }
    }

    #[tokio::test]
    async fn too_many_reports_at_once_wait_only_a_moment() {
        let words = "Exhausted concurrent requests quota. Please return some in-progress requests.";
        let body = body(429, "RESOURCE_EXHAUSTED", words, None);
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", "/x", 429, body);
        let error = fake.api(Risk::Write).post("/x", &[]).send::<Value>().await.unwrap_err();
        assert_eq!(error.details().retry_after_s, Some(5));
    }

    #[tokio::test]
    async fn says_how_to_find_the_right_names() {
        for (message, advice) in [
            (
                "Field visits is not a valid metric. For a list of valid dimensions and metrics, see https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema",
                "`list_metrics_and_dimensions`",
            ),
            (
                "Please remove sessionSource to make the request compatible. The request's dimensions & metrics are incompatible.",
                "`check_compatibility`",
            ),
            ("Invalid value at 'date_ranges[0]'", "Correct the input."),
        ] {
            let error = error(400, body(400, "INVALID_ARGUMENT", message, None)).await;
            assert_eq!(error.code(), Code::InvalidInput, "{message}");
            assert!(error.message().contains(advice), "{error}");
        }
    }

    #[tokio::test]
    async fn tells_the_other_states_apart() {
        for (status, word, code) in [
            (404, "NOT_FOUND", Code::NotFound),
            (409, "ALREADY_EXISTS", Code::Conflict),
            (409, "ABORTED", Code::Conflict),
            (400, "FAILED_PRECONDITION", Code::InvalidInput),
            (503, "UNAVAILABLE", Code::ProviderDown),
            (500, "INTERNAL", Code::ProviderDown),
        ] {
            let error = error(status, body(status, word, "Words of Google's.", None)).await;
            assert_eq!(error.code(), code, "{word}");
        }
    }

    #[tokio::test]
    async fn tells_every_kind_of_refusal_apart() {
        let scopes = Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT");
        for (status, word, reason, code) in [
            (401, "UNAUTHENTICATED", None, Code::AuthExpired),
            (403, "PERMISSION_DENIED", None, Code::PermissionDenied),
            (403, "PERMISSION_DENIED", scopes, Code::PermissionDenied),
            (404, "NOT_FOUND", None, Code::NotFound),
            (400, "INVALID_ARGUMENT", None, Code::InvalidInput),
            (400, "FAILED_PRECONDITION", None, Code::InvalidInput),
            (409, "ALREADY_EXISTS", None, Code::Conflict),
            (412, "ABORTED", None, Code::Conflict),
            (429, "RESOURCE_EXHAUSTED", None, Code::RateLimited),
            (403, "PERMISSION_DENIED", Some("RATE_LIMIT_EXCEEDED"), Code::RateLimited),
            (500, "INTERNAL", None, Code::ProviderDown),
            (503, "UNAVAILABLE", None, Code::ProviderDown),
        ] {
            let error = error(status, body(status, word, "Words of Google's.", reason)).await;
            assert_eq!(error.code(), code, "{status} {word} {reason:?}");
        }
        // As its older APIs write it.
        for reason in ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"] {
            let body = json!({"error": {"code": 403, "message": "Quota exceeded.", "errors": [{"domain": "usageLimits", "reason": reason}]}});
            assert_eq!(error(403, body).await.code(), Code::RateLimited, "{reason}");
        }
    }
}
