//! What Stripe tells by itself of our app. <https://docs.stripe.com/webhooks>

use std::time::Duration;

use resto_core::{Change, Delivery, News, Notice, Signature, Webhooks};
use serde_json::Value;

pub(crate) const NOTICES: Webhooks = Webhooks {
    signature: Signature::Timed { header: "stripe-signature", tolerance: Duration::from_mins(5) },
    delivery: Delivery::Body("/id"),
    read,
};

fn read(notice: &Notice<'_>) -> Option<News> {
    let change = match notice.text("/type") {
        "account.application.deauthorized" => Change::Ended,
        "account.application.authorized" => Change::Other,
        _ => return None,
    };
    let is_live = notice.body.get("livemode").and_then(Value::as_bool)?;
    Some(News {
        accounts: vec![notice.id("/account")?],
        mode: Some(if is_live { "live" } else { "test" }),
        change,
        at: notice.body.get("created").and_then(Value::as_i64),
    })
}

#[cfg(test)]
mod tests {
    use resto_testing::read_notice;
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_what_became_of_the_app() {
        let told = |kind: &str| {
            let body = json!({"id": "evt_1", "type": kind, "account": "acct_1", "livemode": true, "created": 7});
            read_notice(&NOTICES, &[], &body)
        };
        let ended = News {
            accounts: vec!["acct_1".into()],
            mode: Some("live"),
            change: Change::Ended,
            at: Some(7),
        };
        assert_eq!(told("account.application.deauthorized"), Some(ended));
        assert_eq!(told("account.application.authorized").unwrap().change, Change::Other);
        assert_eq!(told("invoice.paid"), None);
    }
}
