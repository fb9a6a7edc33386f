//! What GitHub tells by itself of our app. <https://docs.github.com/webhooks/webhook-events-and-payloads>

use resto_core::{Change, Delivery, News, Notice, Signature, Webhooks};

pub(crate) const NOTICES: Webhooks = Webhooks {
    signature: Signature::Sha256 { header: "x-hub-signature-256", prefix: "sha256=" },
    delivery: Delivery::Header("x-github-delivery"),
    read,
};

fn read(notice: &Notice<'_>) -> Option<News> {
    let change = match (notice.header("x-github-event"), notice.text("/action")) {
        ("github_app_authorization", "revoked") => Change::Ended,
        ("installation", "deleted" | "suspend") | ("installation_repositories", "removed") => {
            Change::Narrowed
        }
        ("installation", _) | ("installation_repositories", "added") => Change::Other,
        _ => return None,
    };
    // The person who did it, and the account in which the app is installed.
    let ids = [notice.id("/sender/id"), notice.id("/installation/account/id")];
    Some(News { accounts: ids.into_iter().flatten().collect(), mode: None, change, at: None })
}

#[cfg(test)]
mod tests {
    use resto_testing::read_notice;
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_what_became_of_the_app() {
        let installed = json!({"action": "suspend", "installation": {"id": 9, "account": {"id": 7}}, "sender": {"id": 1}});
        for (event, body, accounts, change) in [
            (
                "github_app_authorization",
                json!({"action": "revoked", "sender": {"id": 1}}),
                &["1"][..],
                Change::Ended,
            ),
            ("installation", installed, &["1", "7"], Change::Narrowed),
            (
                "installation_repositories",
                json!({"action": "added", "sender": {"id": 1}}),
                &["1"],
                Change::Other,
            ),
        ] {
            let news = read_notice(&NOTICES, &[("x-github-event", event)], &body).unwrap();
            assert_eq!(
                (&news.accounts[..], news.change),
                (&accounts.iter().map(ToString::to_string).collect::<Vec<_>>()[..], change)
            );
        }
        for event in ["push", "ping"] {
            assert_eq!(
                read_notice(&NOTICES, &[("x-github-event", event)], &json!({"action": "revoked"})),
                None
            );
        }
    }
}
