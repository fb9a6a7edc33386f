//! Porkbun's answers: a failure may come with HTTP 200, and a yes in half a dozen spellings.

use resto_core::{Code, Error, Request, Result, clean};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Sends a request and reads what is inside Porkbun's envelope.
pub(super) trait Answered {
    async fn answered<T: DeserializeOwned>(self) -> Result<T>;
}

impl Answered for Request<'_> {
    async fn answered<T: DeserializeOwned>(self) -> Result<T> {
        self.send::<Envelope<T>>().await.and_then(|Envelope(inside)| inside)
    }
}

/// The answer, or the failure that it tells.
struct Envelope<T>(Result<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Value::deserialize(deserializer)?;
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        match text("status") {
            Some("SUCCESS") => T::deserialize(body)
                .map(|inside| Self(Ok(inside)))
                .map_err(serde::de::Error::custom),
            Some(_) => {
                let (code, did, advice) = meaning(text("code").unwrap_or_default()).unwrap_or((
                    Code::InvalidInput,
                    "refused the request",
                    "Correct the input.",
                ));
                let said = clean(text("message").unwrap_or("it says no more"))
                    .trim_end_matches('.')
                    .to_owned();
                let mut error = Error::new(code, format!("Porkbun {did}: {said}. {advice}"));
                error.details_mut().provider = Some("Porkbun".to_owned());
                if code == Code::RateLimited {
                    let wait = body.get("ttlRemaining").and_then(Value::as_u64).unwrap_or(60);
                    error.details_mut().retry_after_s = Some(wait);
                }
                Ok(Self(Err(error)))
            }
            None => Err(serde::de::Error::custom("it has no `status`")),
        }
    }
}

/// What one of Porkbun's error codes means, and what to do.
pub(crate) fn meaning(code: &str) -> Option<(Code, &'static str, &'static str)> {
    Some(match code {
        "COST_MISMATCH" => {
            (Code::Conflict, "changed the price", "Nothing was bought. Ask for a new quote.")
        }
        "DOMAIN_NOT_AVAILABLE" => {
            (Code::Conflict, "does not have the name", "Choose another name.")
        }
        "DUPLICATE_RECORD" => (Code::Conflict, "has this record already", ""),
        // The first try is still under way, so it may yet happen.
        "IDEMPOTENCY_KEY_IN_USE" => {
            (Code::UnknownOutcome, "is still at it", "Look before trying again.")
        }
        "INSUFFICIENT_FUNDS" | "MONTHLY_SPEND_LIMIT_EXCEEDED" | "TOPUP_LIMIT_EXCEEDED" => (
            Code::PaymentRequired,
            "lacks credit or allowance for it",
            "A person adds credit, or raises the limit, at https://porkbun.com/account/api.",
        ),
        "VERIFICATION_REQUIRED" => (
            Code::ActionRequired,
            "wants the account verified first",
            "A person verifies e-mail and phone at https://porkbun.com/account.",
        ),
        "API_REGISTRATION_NOT_SUPPORTED" => (
            Code::ActionRequired,
            "sells this ending on its website only",
            "A person buys it there.",
        ),
        "API_ACCESS_DISABLED" | "IP_NOT_ALLOWED" | "DOMAIN_NOT_ALLOWED" => (
            Code::PermissionDenied,
            "does not let this key do it",
            "A person widens the key at https://porkbun.com/account/api.",
        ),
        "RENEWAL_TOO_SOON" => {
            (Code::Conflict, "renews a domain only once in 30 days", "Nothing was charged.")
        }
        "INVALID_TOKEN" | "INVALID_USER" => {
            (Code::AuthExpired, "refused the credential", "Reconnect the account.")
        }
        // Told of names that are none, too.
        "INVALID_DOMAIN" | "INVALID_RECORD_ID" => {
            (Code::NotFound, "did not find it", "The name may be wrong, or not in this account.")
        }
        "RATE_LIMIT_EXCEEDED" => {
            (Code::RateLimited, "limits the rate of requests", "Try again in a minute.")
        }
        _ if code.contains("NOT_OPTED_IN") => (
            Code::PermissionDenied,
            "does not let keys touch this domain yet",
            "A person switches on API Access in the domain's details at https://porkbun.com/account/domainsSpeedy.",
        ),
        _ if code.contains("PREMIUM") => {
            (Code::InvalidInput, "has this name at a special price only", "Choose another name.")
        }
        _ if code.contains("API_KEY") || code.contains("APIKEY") => {
            (Code::AuthExpired, "refused the credential", "Reconnect the account.")
        }
        _ if code.contains("NOT_FOUND") => {
            (Code::NotFound, "did not find it", "The name may be wrong, or not in this account.")
        }
        _ => return None,
    })
}

/// A yes or no, written `yes`, `1`, `"1"`, `true` or otherwise.
#[derive(Clone, Copy, Default)]
pub(super) struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Bool(flag) => flag,
            Value::Number(number) => number.as_u64() == Some(1),
            Value::String(text) => matches!(text.as_str(), "1" | "yes" | "on" | "true"),
            _ => false,
        }))
    }
}

/// A number, written as one or as text.
pub(super) fn loose<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// An id, written as text or as a number.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(serde::de::Error::custom("an id is neither a text nor a number")),
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::REGISTRAR;

    #[tokio::test]
    async fn a_failure_that_comes_as_a_success_is_told_like_any_other() {
        for (word, code, wait) in [
            ("INVALID_API_KEYS_001", Code::AuthExpired, None),
            ("DOMAIN_NOT_ALLOWED", Code::PermissionDenied, None),
            ("DOMAIN_IS_NOT_OPTED_IN_TO_API_ACCESS_X", Code::PermissionDenied, None),
            ("INVALID_DOMAIN", Code::NotFound, None),
            ("SOMETHING_ELSE", Code::InvalidInput, None),
            ("COST_MISMATCH", Code::Conflict, None),
            ("DUPLICATE_RECORD", Code::Conflict, None),
            ("IDEMPOTENCY_KEY_IN_USE", Code::UnknownOutcome, None),
            ("RATE_LIMIT_EXCEEDED", Code::RateLimited, Some(47)),
            ("INSUFFICIENT_FUNDS", Code::PaymentRequired, None),
        ] {
            let body = json!({"status": "ERROR", "code": word, "message": "As it says.", "ttlRemaining": 47});
            let fake = FakeApi::of(&REGISTRAR, "porkbun").await.on("POST", "/x", 200, body);
            let api = fake.api(Risk::Write);
            let error = api.post("/x", &[]).once().answered::<Value>().await.unwrap_err();
            assert_eq!((error.code(), error.details().retry_after_s), (code, wait), "{word}");
            assert!(error.message().contains("As it says"), "{error}");
        }
    }
}
