//! Alerts are delivered to the operator's webhook, signed by the Standard Webhooks scheme: at least once, in any order.
//! The receiver knows a repeated one by its id.

use std::path::PathBuf;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request};
use resto_core::{Code, Error, Result};
use resto_vault::{Delivery, Job, Next, TenantScope, crash_point};
use secrecy::ExposeSecret;
use serde_json::json;
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};
use time::OffsetDateTime;
use url::Url;

use super::jittered;
use crate::config::Config;
use crate::connect::read_secret;
use crate::host::{Host, told};

/// Between the first attempt and the second; twice that before the third, and so on, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// After so many attempts, some five days, it is given up.
const ATTEMPTS: i64 = 130;

/// How many bytes a key has at least.
const SHORTEST_KEY: usize = 24;

/// The operator's webhook.
pub(crate) struct Sink {
    url: Url,
    secret_file: PathBuf,
}

impl Sink {
    /// The webhook that the configuration names, if it names one.
    ///
    /// # Errors
    /// It is named by half, it is not where requests may go, or its secret is none.
    pub fn of(config: &Config) -> Result<Option<Self>> {
        let wrong = |why: &str| Error::new(Code::InvalidInput, format!("alerts: {why}"));
        let (url, secret_file) = match (&config.alerts.webhook, &config.alerts.secret_file) {
            (None, None) => return Ok(None),
            (Some(url), Some(file)) => (url, file.clone()),
            _ => return Err(wrong("webhook and secret_file belong together.")),
        };
        let url = Url::parse(url)
            .map_err(|error| wrong(&format!("the webhook's address cannot be read: {error}.")))?;
        if !resto_core::may_go_to(&url) {
            return Err(wrong(
                "the webhook must begin with https and be on the public internet (plain http only for a loopback address).",
            ));
        }
        let sink = Self { url, secret_file };
        sink.signer()?;
        Ok(Some(sink))
    }

    /// Reads the secret, which is kept nowhere else.
    fn signer(&self) -> Result<Webhook> {
        let wrong = || {
            let file = self.secret_file.display();
            Error::new(
                Code::InvalidInput,
                format!(
                    "The secret file {file} holds no secret of a webhook. It is `whsec_` and at least 24 random bytes in base64: echo whsec_$(openssl rand -base64 32)"
                ),
            )
        };
        let secret = read_secret("webhook", &self.secret_file)?;
        // EXPOSE: to sign with it.
        let secret = secret.expose_secret();
        let key = secret.strip_prefix("whsec_").ok_or_else(wrong)?;
        if key.len() * 3 / 4 < SHORTEST_KEY {
            return Err(wrong());
        }
        Webhook::new(secret).map_err(|_| wrong())
    }
}

impl Host {
    pub(super) async fn deliver(&self, scope: &TenantScope, job: &Job) -> Result<Next> {
        let found = match job.subject.parse() {
            Ok(id) => scope.alert(id).await.map_err(told)?,
            Err(_) => None,
        };
        let Some(alert) = found else { return Ok(Next::Never) };
        let tenant = match self.vault.tenant_of(scope).await {
            Ok(tenant) => Some(tenant.external_id),
            // It concerns the whole vault.
            Err(resto_vault::Error::UnknownTenant) => None,
            Err(error) => return Err(told(error)),
        };
        let told_of = self.tell(&*self.catalog_of(scope).await?, &alert)?;
        let id = told_of.id.clone();
        let body = json!({
            "type": format!("alert.{}", told_of.kind),
            "timestamp": told_of.raised_at,
            "data": {
                "id": told_of.id, "kind": told_of.kind, "subject": told_of.subject, "tenant": tenant,
                "message": told_of.message, "link": told_of.link,
            },
        });
        let delivery = match self.send(&id, body.to_string()).await {
            Ok(()) => Delivery::Done,
            Err(error) if job.attempts < ATTEMPTS => {
                tracing::warn!(%error, alert = id, attempts = job.attempts, "an alert could not be delivered yet");
                return Ok(Next::Retry(again_in(job.attempts)));
            }
            Err(error) => {
                tracing::error!(%error, alert = id, "an alert is not delivered any more: the webhook has refused it for days");
                Delivery::GivenUp
            }
        };
        // Where the hold was lost, somebody else delivers it once more.
        scope.finish_delivery(job, alert.id, delivery).await.map_err(told)?;
        Ok(Next::Done)
    }

    async fn send(&self, id: &str, body: String) -> Result<()> {
        let failed = |what: String| Error::new(Code::ProviderDown, format!("The webhook {what}."));
        // Another server of this database may have one.
        let sink = self.sink.as_ref();
        let sink = sink.ok_or_else(|| failed("is not in the configuration here".to_owned()))?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let signature = sink
            .signer()?
            .sign(id, now, body.as_bytes())
            .map_err(|error| failed(format!("cannot be signed for: {error}")))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(sink.url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, now)
            .header(HEADER_WEBHOOK_SIGNATURE, signature)
            .body(body.into_bytes())
            .map_err(|_| failed("has an address that cannot be used".to_owned()))?;
        let answer = self.http.exchange(request).await?;
        if answer.status().is_success() {
            crash_point("deliver.sent");
            return Ok(());
        }
        Err(failed(format!("answered {}", answer.status())))
    }
}

/// How long to wait after so many attempts.
fn again_in(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(16);
    jittered((FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Alerts;

    #[test]
    fn f8_a_sink_that_is_down_for_ten_minutes_is_met_again_soon_and_one_for_days_is_given_up() {
        let waits = |attempts: i64| (1..=attempts).map(again_in).sum::<Duration>();
        // Before and after ten minutes lies at most another ten.
        let (before, after) = (waits(6), waits(8));
        assert!(before < Duration::from_mins(10) && after < Duration::from_mins(25));
        assert!(again_in(1) < Duration::from_secs(6), "the second attempt is within the minute");
        let days = waits(ATTEMPTS).as_secs() / 86_400;
        assert!((4..=6).contains(&days), "{days}");
    }

    #[test]
    fn e2_a_webhook_is_public_and_its_secret_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let refusal = |webhook: &str, secret: &str| {
            fs::write(&file, secret).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            let alerts = Alerts { webhook: Some(webhook.into()), secret_file: Some(file.clone()) };
            let sink = Sink::of(&Config { alerts, ..Config::default() });
            sink.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let key = format!("whsec_{}", "QUJD".repeat(8));
        for inside in ["http://hooks.example.com/", "https://10.0.0.1/", "ftp://hooks.example.com/"]
        {
            assert!(refusal(inside, &key).contains("public internet"), "{inside}");
        }
        for none in ["QUJD", "whsec_QUJD", "whsec_not+base64*but+long+enough+for+a+key+of+24"] {
            assert!(refusal("https://hooks.example.com/", none).contains("openssl"), "{none}");
        }
        for fine in ["https://hooks.example.com/a?b=c", "http://127.0.0.1:9/"] {
            assert_eq!(refusal(fine, &key), "");
        }
        let half = Alerts { webhook: Some("https://hooks.example.com/".into()), secret_file: None };
        assert!(Sink::of(&Config { alerts: half, ..Config::default() }).is_err());
    }
}
