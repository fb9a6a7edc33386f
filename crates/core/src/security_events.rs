//! Messages about an account's safety, which companies send each other in one form: the events of `OpenID` RISC.

use serde_json::Value;

use crate::{Change, Delivery, News, Notice, Signature, Webhooks};

/// How an issuer of security event tokens (RFC 8417) sends them.
/// <https://openid.net/specs/openid-risc-event-types-1_0.html>, <https://developers.google.com/identity/protocols/risc>
pub const SECURITY_EVENTS: Webhooks =
    Webhooks { signature: Signature::Published, delivery: Delivery::Body("/jti"), read };

/// What all of their names begin with.
const EVENTS: &str = "https://schemas.openid.net/secevent/";

fn read(notice: &Notice<'_>) -> Option<News> {
    let events = notice.body.get("events")?.as_object()?;
    let read = events.iter().filter_map(|(name, event)| Some((change(name)?, subject(event)?)));
    // One token tells one event, by its profile. Of several the worst counts.
    let (change, account) = read.min_by_key(|(change, _)| *change == Change::Other)?;
    let at = notice.body.get("iat").and_then(Value::as_i64);
    Some(News { accounts: vec![account], mode: None, change, at })
}

/// What an event means for what our client was allowed; none where nothing, as with the verification of the stream.
fn change(name: &str) -> Option<Change> {
    match name.strip_prefix(EVENTS)? {
        "oauth/event-type/tokens-revoked"
        | "risc/event-type/account-disabled"
        | "risc/event-type/account-purged" => Some(Change::Ended),
        "oauth/event-type/token-revoked"
        | "risc/event-type/sessions-revoked"
        | "risc/event-type/account-credential-change-required"
        | "risc/event-type/account-enabled" => Some(Change::Other),
        _ => None,
    }
}

/// The account that an event is about. A token that was revoked is named by its hash alone, which tells no account.
fn subject(event: &Value) -> Option<String> {
    event.pointer("/subject/sub").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn told(events: &Value) -> Option<News> {
        let body = json!({"iss": "https://accounts.google.com/", "iat": 1_800_000_000, "jti": "1", "events": events});
        read(&Notice { headers: &HeaderMap::new(), body: &body })
    }

    #[test]
    fn reads_what_became_of_an_account_and_leaves_what_says_nothing_of_one() {
        let subject =
            json!({"subject_type": "iss-sub", "iss": "https://accounts.google.com/", "sub": "77"});
        for (name, change) in [
            ("oauth/event-type/tokens-revoked", Change::Ended),
            ("risc/event-type/account-disabled", Change::Ended),
            ("risc/event-type/account-purged", Change::Ended),
            ("oauth/event-type/token-revoked", Change::Other),
            ("risc/event-type/sessions-revoked", Change::Other),
            ("risc/event-type/account-credential-change-required", Change::Other),
            ("risc/event-type/account-enabled", Change::Other),
        ] {
            let news = told(&json!({format!("{EVENTS}{name}"): {"subject": subject}})).unwrap();
            let expected = News {
                accounts: vec!["77".to_owned()],
                mode: None,
                change,
                at: Some(1_800_000_000),
            };
            assert_eq!(news, expected, "{name}");
        }
        let both = json!({
            format!("{EVENTS}risc/event-type/sessions-revoked"): {"subject": subject},
            format!("{EVENTS}risc/event-type/account-disabled"): {"subject": subject, "reason": "hijacking"},
        });
        assert_eq!(told(&both).unwrap().change, Change::Ended);
        for nothing in [
            json!({format!("{EVENTS}risc/event-type/verification"): {"state": "hello"}}),
            json!({format!("{EVENTS}oauth/event-type/token-revoked"): {"subject": {"subject_type": "oauth_token", "token": "hash"}}}),
            json!({"https://example.com/tokens-revoked": {"subject": subject}}),
            json!({}),
            json!(null),
        ] {
            assert_eq!(told(&nothing), None, "{nothing}");
        }
    }
}
