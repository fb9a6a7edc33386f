//! What Vercel tells by itself of our integration. <https://vercel.com/docs/webhooks/webhooks-api>

use resto_core::{Change, Delivery, News, Notice, Signature, Webhooks};
use serde_json::Value;

pub(crate) const NOTICES: Webhooks = Webhooks {
    signature: Signature::Sha1 { header: "x-vercel-signature" },
    delivery: Delivery::Body("/id"),
    read,
};

fn read(notice: &Notice<'_>) -> Option<News> {
    let change = match notice.text("/type").strip_prefix("integration-configuration.")? {
        "removed" => Change::Ended,
        _ => Change::Other,
    };
    // Where it is installed in a team, it is not the person's own account.
    let account = notice.id("/payload/team/id").or_else(|| notice.id("/payload/user/id"))?;
    let at = notice.body.get("createdAt").and_then(Value::as_i64).map(|at| at / 1000);
    Some(News { accounts: vec![account], mode: None, change, at })
}

#[cfg(test)]
mod tests {
    use resto_testing::read_notice;
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_what_became_of_the_integration() {
        let told = |kind: &str, payload: Value| {
            let body = json!({"id": "1", "type": kind, "createdAt": 1_700_000_000_123_i64, "payload": payload});
            read_notice(&NOTICES, &[], &body)
        };
        let both = json!({"team": {"id": "team_1"}, "user": {"id": "u"}});
        let removed = told("integration-configuration.removed", both.clone()).unwrap();
        assert_eq!((removed.accounts, removed.change), (vec!["team_1".to_owned()], Change::Ended));
        assert_eq!(removed.at, Some(1_700_000_000));
        let own = json!({"team": null, "user": {"id": "u"}});
        let upgraded = told("integration-configuration.permission-upgraded", own).unwrap();
        assert_eq!((upgraded.accounts, upgraded.change), (vec!["u".to_owned()], Change::Other));
        assert_eq!(told("deployment.created", both), None);
    }
}
