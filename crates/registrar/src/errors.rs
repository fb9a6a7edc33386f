//! The errors of the three registrars, told apart.

use resto_core::{Code, Error, Failure};

use crate::porkbun::meaning;

/// Cloudflare: numbers in a list. <https://developers.cloudflare.com/fundamentals/api/reference/error-codes/>
pub(crate) fn cloudflare(failure: &Failure<'_>) -> Option<Error> {
    let number = failure.body.pointer("/errors/0/code").and_then(serde_json::Value::as_u64);
    // A dead token is told with 403 too, under the number of rights that lack.
    let dead = number == Some(9109) && failure.quote().starts_with("Invalid access token");
    let refused =
        || failure.error(Code::AuthExpired, "refused the credential", "Reconnect the account.");
    Some(match (failure.status, number) {
        (401, _) | (400, Some(6003 | 6111 | 9106)) => refused(),
        (403, _) if dead => refused(),
        (403, _) => failure.error(
            Code::PermissionDenied,
            "refused permission",
            "Edit the token at https://dash.cloudflare.com/profile/api-tokens: it needs Registrar for domains, Zone and DNS for records.",
        ),
        // A record that is there already, under several numbers.
        (_, Some(81_053 | 81_057 | 81_058)) | (409, _) => {
            failure.error(Code::Conflict, "reports a conflict", "Read the current state, then decide.")
        }
        _ => return None,
    })
}

/// Porkbun: words, and a meaning for most of them.
pub(crate) fn porkbun(failure: &Failure<'_>) -> Option<Error> {
    // A quota, as its words say.
    if failure.status == 503 && failure.quote().to_lowercase().contains("rate limit") {
        return Some(failure.rate_limited());
    }
    let (code, did, advice) = meaning(failure.text("/code")?)?;
    // Porkbun tells the wait in the body.
    let wait = failure.body.get("ttlRemaining").and_then(serde_json::Value::as_u64);
    match (code, wait) {
        (Code::RateLimited, Some(wait)) => {
            let advice = format!("Try again in {wait} seconds.");
            Some(failure.error(code, did, &advice).retry_after(wait))
        }
        (Code::RateLimited, None) => Some(failure.rate_limited()),
        // A read that is repeated does no harm.
        (Code::UnknownOutcome, _) if !failure.is_unsafe => {
            Some(failure.error(Code::ProviderDown, did, "Try again later."))
        }
        _ => Some(failure.error(code, did, advice)),
    }
}

/// name.com: a sentence, and details that say what the sentence leaves out.
pub(crate) fn namecom(failure: &Failure<'_>) -> Option<Error> {
    let details = failure.text("/details").unwrap_or_default().trim_end_matches('.');
    let with = |advice: &str| match details {
        "" => advice.to_owned(),
        details => format!("{details}. {advice}").trim_end().to_owned(),
    };
    let words = failure.quote().to_lowercase();
    Some(match failure.status {
        400 if words.contains("purchase price") => failure.error(
            Code::Conflict,
            "changed the price",
            &with("Nothing was bought. Ask for a new quote."),
        ),
        402 => failure.error(
            Code::PaymentRequired,
            "could not charge the account",
            &with("A person sees to the payment at https://www.name.com/account."),
        ),
        409 => failure.error(
            Code::Conflict,
            "reports a conflict",
            &with("Read the current state, then decide."),
        ),
        422 if words.contains("pricing unavailable") => failure.error(
            Code::ProviderDown,
            "has no price for it at present",
            &with("Try again later."),
        ),
        451 => failure.error(Code::PermissionDenied, "may not do it for legal reasons", &with("")),
        400 | 404 | 415 | 422 if !details.is_empty() => {
            let code = if failure.status == 404 { Code::NotFound } else { Code::InvalidInput };
            failure.error(code, "refused the request", &with(""))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::REGISTRAR;

    async fn error(provider: &str, status: u16, body: Value) -> Error {
        let fake = FakeApi::of(&REGISTRAR, provider).await.on("POST", "/x", status, body);
        fake.api(Risk::Write).post("/x", &[]).once().send::<Value>().await.unwrap_err()
    }

    #[tokio::test]
    async fn tells_cloudflares_numbers_apart() {
        for (status, number, message, code) in [
            (401, 10000, "Authentication error", Code::AuthExpired),
            (400, 6003, "Invalid request headers", Code::AuthExpired),
            (401, 1000, "Invalid API Token", Code::AuthExpired),
            (403, 9109, "Invalid access token", Code::AuthExpired),
            (403, 9109, "Unauthorized to access requested resource", Code::PermissionDenied),
            (403, 10000, "Authentication error", Code::PermissionDenied),
            (429, 971, "Please wait and consider throttling your request speed", Code::RateLimited),
            (
                400,
                81053,
                "An A, AAAA, or CNAME record with that host already exists.",
                Code::Conflict,
            ),
            (400, 81057, "An identical record already exists.", Code::Conflict),
            (400, 1004, "DNS Validation Error", Code::InvalidInput),
            (404, 1001, "Zone not found", Code::NotFound),
        ] {
            let body = json!({"success": false, "errors": [{"code": number, "message": message}], "messages": [], "result": null});
            let error = error("cloudflare", status, body).await;
            assert_eq!(error.code(), code, "{message}");
            assert!(error.message().contains(message.trim_end_matches('.')), "{error}");
        }
    }

    #[tokio::test]
    async fn tells_porkbuns_words_apart() {
        for (word, code) in [
            ("INVALID_API_KEYS_001", Code::AuthExpired),
            ("COST_MISMATCH", Code::Conflict),
            ("INSUFFICIENT_FUNDS", Code::PaymentRequired),
            ("PREMIUM_DOMAIN_NOT_SUPPORTED", Code::InvalidInput),
            ("DOMAIN_IS_NOT_OPTED_IN_TO_API_ACCESS_X", Code::PermissionDenied),
            ("DOMAIN_NOT_ALLOWED", Code::PermissionDenied),
            ("RATE_LIMIT_EXCEEDED", Code::RateLimited),
            ("IDEMPOTENCY_KEY_IN_USE", Code::UnknownOutcome),
            ("INVALID_API_KEYS_002", Code::AuthExpired),
            ("MISSING_SECRETAPIKEY", Code::AuthExpired),
            ("INVALID_USER", Code::AuthExpired),
            ("IP_NOT_ALLOWED", Code::PermissionDenied),
            ("INVALID_DOMAIN", Code::NotFound),
            ("DOMAIN_NOT_FOUND", Code::NotFound),
            ("INVALID_RECORD_ID", Code::NotFound),
            ("DOMAIN_NOT_AVAILABLE", Code::Conflict),
            ("RENEWAL_TOO_SOON", Code::Conflict),
            ("DUPLICATE_RECORD", Code::Conflict),
            ("SOMETHING_NEW", Code::InvalidInput),
        ] {
            let body = json!({"status": "ERROR", "code": word, "message": "As it says."});
            let error = error("porkbun", 400, body).await;
            assert_eq!(error.code(), code, "{word}");
            assert!(error.message().starts_with("Porkbun "), "{error}");
        }
    }

    #[tokio::test]
    async fn waits_as_long_as_the_provider_says() {
        let porkbun = json!({"status": "ERROR", "code": "RATE_LIMIT_EXCEEDED",
            "message": "Rate limit exceeded. Please try again later.", "ttlRemaining": 47});
        let namecom = json!({"message": "Too Many Requests"});
        for (provider, body, header, wait) in [
            ("porkbun", porkbun, ("x-ratelimit-limit", "1"), 47..=47),
            ("namecom", namecom.clone(), ("x-ratelimit-reset", "4102444800"), 1_000_000..=u64::MAX),
            ("cloudflare", namecom, ("retry-after", "47"), 47..=47),
        ] {
            let fake = FakeApi::of(&REGISTRAR, provider).await;
            let fake = fake.on_with("GET", "/x", 429, &[header], body);
            let error = fake.api(Risk::Read).get("/x", &[]).send::<Value>().await.unwrap_err();
            assert_eq!(error.code(), Code::RateLimited);
            let told = error.details().retry_after_s.unwrap();
            assert!(wait.contains(&told), "{error}");
            assert_eq!(fake.requests().await.len(), 1, "too long to wait for");
        }
    }

    #[tokio::test]
    async fn tells_namecoms_sentences_apart() {
        for (status, body, code, told) in [
            (
                402,
                json!({"message": "Payment failed", "details": "Insufficient Funds"}),
                Code::PaymentRequired,
                "Insufficient Funds",
            ),
            (400, json!({"message": "Purchase price does not match"}), Code::Conflict, "new quote"),
            (
                400,
                json!({"message": "Bad Request", "details": "'domainName' cannot be null"}),
                Code::InvalidInput,
                "'domainName' cannot be null",
            ),
            (401, json!({"message": "Unauthorized"}), Code::AuthExpired, "Reconnect"),
            (
                403,
                json!({"message": "Permission denied", "details": "Failed authentication"}),
                Code::PermissionDenied,
                "Permission denied",
            ),
            (404, json!({"message": "Not Found"}), Code::NotFound, "Not Found"),
            (
                451,
                json!({"message": "Unavailable for Legal Reasons"}),
                Code::PermissionDenied,
                "legal reasons",
            ),
        ] {
            let error = error("namecom", status, body).await;
            assert_eq!(error.code(), code);
            assert!(error.message().contains(told), "{error}");
        }
    }

    #[tokio::test]
    async fn tells_every_kind_of_refusal_apart() {
        let cloudflare = |number: u32, words: &str| json!({"success": false, "errors": [{"code": number, "message": words}], "messages": [], "result": null});
        let porkbun =
            |word: &str| json!({"status": "ERROR", "code": word, "message": "It says no more."});
        let words = |words: &str| json!({ "message": words });
        for (provider, status, body, code) in [
            ("cloudflare", 401, cloudflare(10_000, "Authentication error"), Code::AuthExpired),
            ("cloudflare", 403, cloudflare(9109, "Invalid access token"), Code::AuthExpired),
            // The token is good, and lacks a right.
            ("cloudflare", 403, cloudflare(10_000, "Authentication error"), Code::PermissionDenied),
            ("cloudflare", 404, cloudflare(1001, "Zone not found"), Code::NotFound),
            ("cloudflare", 400, cloudflare(1004, "DNS Validation Error"), Code::InvalidInput),
            ("cloudflare", 409, cloudflare(1000, "It is under way."), Code::Conflict),
            (
                "cloudflare",
                400,
                cloudflare(81_057, "An identical record already exists."),
                Code::Conflict,
            ),
            ("cloudflare", 429, cloudflare(971, "Please wait"), Code::RateLimited),
            ("cloudflare", 500, cloudflare(1000, "Internal error"), Code::ProviderDown),
            ("cloudflare", 520, Value::Null, Code::ProviderDown),
            ("cloudflare", 527, Value::Null, Code::ProviderDown),
            ("porkbun", 400, porkbun("INVALID_API_KEYS_001"), Code::AuthExpired),
            ("porkbun", 400, porkbun("DOMAIN_NOT_ALLOWED"), Code::PermissionDenied),
            (
                "porkbun",
                400,
                porkbun("DOMAIN_IS_NOT_OPTED_IN_TO_API_ACCESS_X"),
                Code::PermissionDenied,
            ),
            ("porkbun", 400, porkbun("SOMETHING_ELSE"), Code::InvalidInput),
            ("porkbun", 400, json!({"status": "ERROR", "message": "No more."}), Code::InvalidInput),
            ("porkbun", 400, porkbun("COST_MISMATCH"), Code::Conflict),
            ("porkbun", 400, porkbun("DUPLICATE_RECORD"), Code::Conflict),
            ("porkbun", 429, porkbun("RATE_LIMIT_EXCEEDED"), Code::RateLimited),
            (
                "porkbun",
                503,
                words("Rate limit exceeded. Please try again later."),
                Code::RateLimited,
            ),
            ("porkbun", 400, porkbun("INSUFFICIENT_FUNDS"), Code::PaymentRequired),
            ("porkbun", 500, Value::Null, Code::ProviderDown),
            ("porkbun", 503, Value::Null, Code::ProviderDown),
            ("namecom", 401, words("Unauthorized"), Code::AuthExpired),
            ("namecom", 403, words("Permission Denied"), Code::PermissionDenied),
            ("namecom", 404, words("Not Found"), Code::NotFound),
            ("namecom", 400, words("Invalid argument"), Code::InvalidInput),
            ("namecom", 415, words("Unsupported Media Type"), Code::InvalidInput),
            ("namecom", 422, words("Unprocessable Entity"), Code::InvalidInput),
            ("namecom", 409, words("Domain is not available"), Code::Conflict),
            ("namecom", 429, words("Too Many Requests"), Code::RateLimited),
            ("namecom", 402, words("Payment failed"), Code::PaymentRequired),
            ("namecom", 500, words("Internal Server Error"), Code::ProviderDown),
        ] {
            let fake =
                FakeApi::of(&REGISTRAR, provider).await.on("GET", "/x", status, body.clone());
            let error = fake.api(Risk::Read).get("/x", &[]).send::<Value>().await.unwrap_err();
            assert_eq!(error.code(), code, "{provider} {status} {body}");
        }
    }
}
