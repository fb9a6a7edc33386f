//! Stripe's errors, told apart by status, type and code.
//! <https://docs.stripe.com/error-handling>, <https://docs.stripe.com/error-codes>

use resto_core::{Code, Error, Failure};

use crate::declines;

/// Where a person sees and edits the keys of the account.
const KEYS: &str = "https://dashboard.stripe.com";

pub(crate) fn classify(failure: &Failure<'_>) -> Option<Error> {
    let code = failure.text("/error/code").unwrap_or_default();
    let kind = failure.text("/error/type").unwrap_or_default();
    match failure.status {
        // A key that was replaced or an access that was renewed: whatever the status is.
        _ if ["api_key_expired", "platform_api_key_expired"].contains(&code) => Some(expired(failure)),
        401 => Some(expired(failure)),
        403 => Some(forbidden(failure)),
        _ if code == "account_invalid" => Some(forbidden(failure)),
        402 => Some(declined(failure)),
        400 if code == "rate_limit" => Some(limited(failure, code)),
        409 | 429 if code == "lock_timeout" => Some(limited(failure, code)),
        429 => Some(limited(failure, code)),
        // The first try of this change is still running: it may yet succeed or fail.
        409 if code == "idempotency_key_in_use" => Some(told(
            failure,
            Code::UnknownOutcome,
            "Stripe is still working on this change: it may have happened. Look before trying again."
                .to_owned(),
        )),
        400 | 409 if kind == "idempotency_error" => Some(failure.error(
            Code::Conflict,
            "saw another request under the same key",
            "Read the current state, then decide.",
        )),
        404 => Some(missing(failure)),
        400 if code == "resource_missing" => Some(missing(failure)),
        400 | 409 if is_state(code) => Some(about(failure, failure.error(
            Code::Conflict,
            "cannot do this now",
            "Read its current state, then decide.",
        ))),
        400 | 422 => Some(about(
            failure,
            failure.error(Code::InvalidInput, "refused the request", "Correct the input."),
        )),
        424 if failure.is_unsafe => Some(failure.error(
            Code::UnknownOutcome,
            "could not reach another company for this change, which may have happened",
            "Look before trying again.",
        )),
        424 => Some(failure.error(
            Code::ProviderDown,
            "could not reach another company",
            "Try again later.",
        )),
        _ => None,
    }
}

fn expired(failure: &Failure<'_>) -> Error {
    let told_so =
        "Stripe refused the key: it is wrong, expired or deleted. Reconnect with a new one.";
    told(failure, Code::AuthExpired, told_so.to_owned())
}

/// An error in our own words: Stripe's would quote the key, if in part.
fn told(failure: &Failure<'_>, code: Code, message: String) -> Error {
    let mut error = failure.error(code, "", "");
    error.details_mut().message = message;
    error
}

/// Adds the parameter at fault, and Stripe's page about it.
fn about(failure: &Failure<'_>, mut error: Error) -> Error {
    error.details_mut().field = failure.text("/error/param").map(str::to_owned);
    match failure.text("/error/doc_url") {
        Some(url) => error.url(url),
        None => error,
    }
}

fn missing(failure: &Failure<'_>) -> Error {
    about(
        failure,
        failure.error(
            Code::NotFound,
            "did not find it",
            "The id may be wrong, or belong to the other mode: test and live are separate.",
        ),
    )
}

/// The code says that the object is in the wrong state.
fn is_state(code: &str) -> bool {
    [
        "already",
        "_unexpected_state",
        "_not_editable",
        "invoice_no_customer_line_items",
        "charge_disputed",
        "coupon_expired",
        "customer_max_subscriptions",
        "status_transition_invalid",
        "balance_insufficient",
        "_in_use",
    ]
    .iter()
    .any(|part| code.contains(part))
}

/// The words of a text that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &'static str) -> impl Iterator<Item = &'a str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(move |word| word.starts_with(prefix) && word.len() > prefix.len())
}

/// Stripe names what is missing, such as `rak_charge_read`, by the names that are listed with `rak_`.
fn forbidden(failure: &Failure<'_>) -> Error {
    let said = failure.text("/error/message").unwrap_or_default();
    let missing: Vec<&str> =
        words(said, "rak_").filter_map(|word| word.strip_prefix("rak_")).collect();
    let missing = missing.join(" or ");
    let mode = mode(said);
    let page = match (words(said, "acct_").next(), mode) {
        (Some(account), Some(mode)) => keys_page(account, mode),
        _ => format!("{KEYS}/apikeys"),
    };
    if missing.is_empty() {
        return told(
            failure,
            Code::PermissionDenied,
            format!("Stripe refused permission: this key may not do it. Edit the key at {page}, or ask the owner of the account."),
        )
        .url(page);
    }
    told(
        failure,
        Code::PermissionDenied,
        format!("Stripe refused permission: the key lacks {missing}. Edit the key at {page}"),
    )
    .missing(missing)
    .url(page)
}

fn mode(said: &str) -> Option<&'static str> {
    match (said.contains("_test_"), said.contains("_live_")) {
        (true, false) => Some("test"),
        (false, true) => Some("live"),
        _ => None,
    }
}

fn keys_page(account: &str, mode: &str) -> String {
    let mode = if mode == "live" { "" } else { "/test" };
    format!("{KEYS}/{account}{mode}/apikeys")
}

/// The account and the mode of a refused key, from the page that the refusal names.
pub(crate) fn refused_key(error: &Error) -> Option<(String, &'static str)> {
    if error.code() != Code::PermissionDenied {
        return None;
    }
    let page = error.details().url.as_deref()?;
    let account = words(page, "acct_").next()?;
    let mode = ["test", "live"].into_iter().find(|mode| keys_page(account, mode) == page)?;
    Some((account.to_owned(), mode))
}

/// Stripe rarely says how long to wait, so a change is repeated after our own pauses, except where
/// Stripe says that it would be in vain.
fn limited(failure: &Failure<'_>, code: &str) -> Error {
    if code == "lock_timeout" {
        return told(
            failure,
            Code::RateLimited,
            "Stripe is busy with another change of the same object. Try again in a moment."
                .to_owned(),
        );
    }
    if failure.header("retry-after").is_some() {
        return failure.rate_limited();
    }
    let error =
        failure.error(Code::RateLimited, "limits the rate of requests", "Try again in a minute.");
    match failure.header("stripe-should-retry") {
        Some("false") => error.retry_after(60),
        _ => error,
    }
}

fn declined(failure: &Failure<'_>) -> Error {
    let code = ["/error/decline_code", "/error/code"].iter().find_map(|at| failure.text(at));
    about(
        failure,
        failure.error(
            Code::PaymentRequired,
            "could not take the payment",
            declines::advice(code.unwrap_or_default()),
        ),
    )
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    async fn error(status: u16, headers: &[(&str, &str)], body: Value) -> Error {
        let fake = FakeApi::new(&STRIPE).await.on_with(
            "POST",
            "/v1/refunds",
            status,
            headers,
            json!({"error": body}),
        );
        fake.api(Risk::Spend).post("/v1/refunds", &[]).send::<Value>().await.unwrap_err()
    }

    #[tokio::test]
    async fn names_the_missing_permission_and_the_page_but_not_the_key() {
        let key = format!("rk_test_{}qs8Kgd", "*".repeat(40));
        let error = error(
            403,
            &[("request-id", "req_1")],
            json!({"type": "invalid_request_error", "message": format!("The provided key '{key}' does not have the required permissions for this endpoint on account 'acct_1PJ'. Having the 'rak_charge_write' permission would allow this request to continue.")}),
        )
        .await;
        assert_eq!(error.code(), Code::PermissionDenied);
        assert_eq!(
            error.message(),
            "Stripe refused permission: the key lacks charge_write. Edit the key at https://dashboard.stripe.com/acct_1PJ/test/apikeys"
        );
        let details = error.details();
        assert_eq!(
            (details.missing_permission.as_deref(), details.request_id.as_deref()),
            (Some("charge_write"), Some("req_1"))
        );
        assert_eq!(refused_key(&error), Some(("acct_1PJ".to_owned(), "test")));
    }

    #[tokio::test]
    async fn a_refused_key_is_not_quoted() {
        let error = error(
            401,
            &[],
            json!({"type": "invalid_request_error", "message": "Invalid API Key provided: rk_live_x"}),
        )
        .await;
        assert_eq!(error.code(), Code::AuthExpired);
        assert!(!error.message().contains("rk_live"), "{error}");
    }

    #[tokio::test]
    async fn names_the_parameter_that_is_wrong() {
        let error = error(400, &[], json!({"type": "invalid_request_error", "code": "parameter_invalid_integer", "param": "amount", "message": "Invalid integer: abc", "doc_url": "https://stripe.com/docs/error-codes/parameter-invalid-integer"})).await;
        assert_eq!(
            (error.code(), error.details().field.as_deref()),
            (Code::InvalidInput, Some("amount"))
        );
        assert!(error.details().url.as_deref().unwrap().contains("parameter-invalid-integer"));
    }

    #[tokio::test]
    async fn tells_states_and_missing_objects_from_wrong_values() {
        let refunded = error(400, &[], json!({"type": "invalid_request_error", "code": "charge_already_refunded", "message": "Charge ch_1 has already been refunded."})).await;
        assert_eq!(refunded.code(), Code::Conflict);
        for status in [400, 404] {
            let missing = error(status, &[], json!({"type": "invalid_request_error", "code": "resource_missing", "param": "charge", "message": "No such charge: 'ch_1'"})).await;
            assert_eq!(missing.code(), Code::NotFound);
            assert!(missing.message().contains("test and live are separate"), "{missing}");
        }
        let reused = error(400, &[], json!({"type": "idempotency_error", "message": "Keys for idempotent requests can only be used with the same parameters"})).await;
        assert_eq!(reused.code(), Code::Conflict);
    }

    #[tokio::test]
    async fn a_declined_card_comes_with_advice() {
        let error = error(402, &[], json!({"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "Your card has insufficient funds."})).await;
        assert_eq!(error.code(), Code::PaymentRequired);
        assert!(error.message().contains("another card"), "{error}");
    }

    #[tokio::test]
    async fn a_change_is_repeated_under_the_same_key_when_stripe_is_busy() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .on(
                "POST",
                "/v1/refunds",
                429,
                json!({"error": {"code": "lock_timeout", "message": "busy"}}),
            )
            .on(
                "POST",
                "/v1/refunds",
                409,
                json!({"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "in use"}}),
            )
            .on("POST", "/v1/refunds", 200, json!({"id": "re_1"}));
        let answer: Value = fake.api(Risk::Spend).post("/v1/refunds", &[]).send().await.unwrap();
        assert_eq!(answer["id"], "re_1");
        let requests = fake.requests().await;
        let keys: Vec<&str> =
            requests.iter().map(|request| request.headers["idempotency-key"].as_str()).collect();
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[tokio::test]
    async fn is_not_repeated_when_stripe_says_that_it_is_in_vain() {
        let error = error(
            429,
            &[("stripe-should-retry", "false")],
            json!({"type": "invalid_request_error", "message": "Too many requests"}),
        )
        .await;
        assert_eq!((error.code(), error.details().retry_after_s), (Code::RateLimited, Some(60)));
    }

    #[tokio::test]
    async fn a_fault_during_a_change_is_an_unknown_outcome() {
        for status in [424, 500] {
            let error = error(status, &[], json!({"type": "api_error", "message": "Sorry"})).await;
            assert_eq!(error.code(), Code::UnknownOutcome);
        }
    }

    #[tokio::test]
    async fn tells_every_kind_of_refusal_apart() {
        let invalid = "invalid_request_error";
        for (status, kind, code, told) in [
            (401, invalid, "", Code::AuthExpired),
            (401, invalid, "platform_api_key_expired", Code::AuthExpired),
            (403, invalid, "api_key_expired", Code::AuthExpired),
            (403, invalid, "", Code::PermissionDenied),
            (400, invalid, "account_invalid", Code::PermissionDenied),
            (404, invalid, "resource_missing", Code::NotFound),
            (400, invalid, "parameter_missing", Code::InvalidInput),
            (409, invalid, "", Code::Conflict),
            (400, "idempotency_error", "", Code::Conflict),
            (409, "idempotency_error", "", Code::Conflict),
            (400, invalid, "resource_already_exists", Code::Conflict),
            // It passes by itself, as a quota does: the request is repeated.
            (429, invalid, "lock_timeout", Code::RateLimited),
            (429, invalid, "", Code::RateLimited),
            (400, invalid, "rate_limit", Code::RateLimited),
            (402, "card_error", "card_declined", Code::PaymentRequired),
            (402, "card_error", "expired_card", Code::PaymentRequired),
            (500, "api_error", "", Code::ProviderDown),
            (503, "api_error", "", Code::ProviderDown),
            (424, "api_error", "", Code::ProviderDown),
        ] {
            let body =
                json!({"error": {"type": kind, "code": code, "message": "What Stripe says."}});
            let fake = FakeApi::new(&STRIPE).await.on("GET", "/v1/x", status, body);
            let error = fake.api(Risk::Read).get("/v1/x", &[]).send::<Value>().await.unwrap_err();
            assert_eq!(error.code(), told, "{status} {kind} {code}");
        }
    }
}
