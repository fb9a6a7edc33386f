//! Messages that providers send by themselves: `POST /webhooks/{integration}`. What a rightly signed one says of a
//! connection stops it, or has its provider asked at once.

use std::path::Path as File;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use resto_core::{
    Change, Delivery, Integration, News, Notice, Provider, Result, Signature, Webhooks,
};
use resto_vault::{AlertKind, Intent, Needs, Outcome, ResultStatus, Status, TenantScope};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use time::OffsetDateTime;

use crate::connect::read_secret;
use crate::host::{Host, told};
use crate::maintain::Kind;

/// The most that a message may hold.
const MAX_BODY: usize = 1 << 20;

/// The collection of deliveries that changed something, and how long one is known when it comes again: far longer than
/// any provider repeats.
const HEARD: &str = "webhook.delivery";
const KEPT: Duration = Duration::from_hours(90 * 24);

pub(crate) fn router(host: Arc<Host>) -> Router {
    Router::new()
        .route("/webhooks/{integration}", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(host)
}

/// A stranger learns no more than that the signature is wrong.
async fn receive(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some((integration, provider, webhooks, file)) = host.webhook(&id) else {
        return StatusCode::NOT_FOUND;
    };
    let secret = match read_secret("webhook", file) {
        Ok(secret) => secret,
        Err(error) => {
            tracing::error!(%error, integration = id, "a webhook could not be checked");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    if !is_signed(&webhooks.signature, &secret, &headers, &body, now) {
        return StatusCode::UNAUTHORIZED;
    }
    // In a task of its own: a provider that goes away does not cut it in half.
    let ours = Arc::clone(&host);
    let hearing = host
        .tasks
        .spawn(async move { ours.hear(integration, (provider, webhooks), &headers, &body).await });
    match hearing.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        // The provider sends it again.
        Ok(Err(error)) => {
            tracing::error!(%error, integration = id, "a webhook was not heeded");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Host {
    /// The integration of this id, where it sends messages and the configuration names the secret for them.
    fn webhook(
        &self,
        id: &str,
    ) -> Option<(&'static Integration, &'static Provider, &'static Webhooks, &File)> {
        let integration = self.catalog.adapter(id)?.integration;
        let sends = |provider: &'static Provider| Some((provider, provider.webhooks.as_ref()?));
        let (provider, webhooks) = integration.providers.iter().find_map(sends)?;
        let file = self.overrides.get(id)?.webhook_secret_file.as_deref()?;
        Some((integration, provider, webhooks, file))
    }

    async fn hear(
        &self,
        integration: &'static Integration,
        (provider, webhooks): (&'static Provider, &'static Webhooks),
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<()> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let notice = Notice { headers, body: &body };
        let Some(news) = (webhooks.read)(&notice) else { return Ok(()) };
        let delivery = match webhooks.delivery {
            Delivery::Header(name) => notice.header(name),
            Delivery::Body(place) => notice.text(place),
        };
        for account in &news.accounts {
            let consents = self.vault.consents_of_account(provider.id, account).await;
            for (scope, id) in consents.map_err(told)? {
                if id == integration.id {
                    self.heed(scope, integration, provider, &news, delivery).await?;
                }
            }
        }
        Ok(())
    }

    /// Heeds the news of one connection, once.
    async fn heed(
        &self,
        scope: TenantScope,
        integration: &'static Integration,
        provider: &Provider,
        news: &News,
        delivery: &str,
    ) -> Result<()> {
        let known = format!("{} {}", integration.id, delivery.get(..200).unwrap_or(delivery));
        if scope.record(HEARD, &known).await.map_err(told)?.is_some() {
            return Ok(());
        }
        let connection = scope.connection(integration.id).await.map_err(told)?;
        let Some(connection) = connection else { return Ok(()) };
        if news.mode.is_some_and(|mode| connection.mode.as_deref() != Some(mode)) {
            return Ok(());
        }
        // What was withdrawn may have been allowed again since, and the message is late.
        let is_of_before = news.at.is_some_and(|at| at < connection.connected_at.unix_timestamp());
        let ends = news.change == Change::Ended && !is_of_before;
        if ends && connection.status == Status::Active {
            let stopped =
                scope.set_status(integration.id, connection.generation, Status::NeedsReauth).await;
            if stopped.map_err(told)? {
                scope.raise(AlertKind::ConnectionFailed, integration.id).await;
            }
        }
        if news.change == Change::Narrowed {
            scope.raise(AlertKind::PermissionsChanged, integration.id).await;
        }
        if !ends {
            self.confirmed.forget(&connection);
            let asked = scope.schedule_job(Kind::Probe.word(), integration.id, Duration::ZERO);
            asked.await.map_err(told)?;
        }
        let mut caller = self.maintainer(scope).await?;
        caller.actor = format!("{} (webhook)", provider.name);
        let action = match news.change {
            Change::Ended => "access_ended",
            Change::Narrowed => "access_narrowed",
            Change::Other => "access_changed",
        };
        let params = json!({ "delivery": delivery });
        let intent = Intent {
            integration_id: integration.id,
            action,
            params: &params,
            actor: &caller.actor,
            op_id: None,
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let outcome = Outcome {
            status: ResultStatus::Success,
            error_message: None,
            output: None,
            permissions: None,
            rate_limits: None,
        };
        caller.scope.record_event(intent, outcome).await.map_err(told)?;
        let kept = caller.scope.put_record(HEARD, &known, &Value::Null, Some(KEPT));
        kept.await.map_err(told)
    }
}

/// Whether whoever sent it knows the secret. Compared in constant time.
fn is_signed(
    signature: &Signature,
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> bool {
    // EXPOSE: it checks the signature.
    let secret = secret.expose_secret().as_bytes();
    let header = |name: &str| headers.get(name)?.to_str().ok();
    match signature {
        Signature::Sha256 { header: name, prefix } => header(name)
            .and_then(|value| value.strip_prefix(prefix))
            .is_some_and(|digits| agrees::<Hmac<Sha256>>(secret, &[body], digits)),
        Signature::Sha1 { header: name } => {
            header(name).is_some_and(|digits| agrees::<Hmac<Sha1>>(secret, &[body], digits))
        }
        Signature::Timed { header: name, tolerance } => {
            let Some(value) = header(name) else { return false };
            let parts = || value.split(',').filter_map(|part| part.trim().split_once('='));
            let Some((_, time)) = parts().find(|(name, _)| *name == "t") else { return false };
            let is_now =
                time.parse::<i64>().is_ok_and(|time| now.abs_diff(time) <= tolerance.as_secs());
            let signed = [time.as_bytes(), b".", body];
            is_now
                && parts()
                    .filter(|(name, _)| *name == "v1")
                    .any(|(_, digits)| agrees::<Hmac<Sha256>>(secret, &signed, digits))
        }
    }
}

fn agrees<M: Mac + KeyInit>(secret: &[u8], signed: &[&[u8]], digits: &str) -> bool {
    let (Some(told), Ok(mut mac)) = (bytes(digits), M::new_from_slice(secret)) else {
        return false;
    };
    for part in signed {
        mac.update(part);
    }
    mac.verify_slice(&told).is_ok()
}

/// Hexadecimal digits as bytes.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own example: <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>.
    #[test]
    fn takes_the_signature_that_github_gives_as_an_example() {
        let headers = |value: &str| {
            HeaderMap::from_iter([("x-hub-signature-256".parse().unwrap(), value.parse().unwrap())])
        };
        let signature = &resto_github::GITHUB.providers[0].webhooks.as_ref().unwrap().signature;
        let secret = SecretString::from("It's a Secret to Everybody");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let takes =
            |value: &str, body: &[u8]| is_signed(signature, &secret, &headers(value), body, 0);
        assert!(takes(right, b"Hello, World!"));
        assert!(!takes(right, b"Hello, World"));
        let (short, bare) = (&right[..right.len() - 1], &right[7..]);
        for wrong in ["", "sha256=", short, bare, &right.replace("757", "857"), "sha256=zz"] {
            assert!(!takes(wrong, b"Hello, World!"), "{wrong}");
        }
        assert!(!is_signed(signature, &secret, &HeaderMap::new(), b"Hello, World!", 0));
    }

    #[test]
    fn a_time_that_is_far_from_ours_is_refused_and_one_of_several_signatures_is_enough() {
        let signature = &resto_stripe::STRIPE.providers[0].webhooks.as_ref().unwrap().signature;
        let secret = SecretString::from("plainly fake");
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"plainly fake").unwrap();
        mac.update(b"1000.{}");
        let digits: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let takes = |value: &str, now: i64| {
            let headers = HeaderMap::from_iter([(
                "stripe-signature".parse().unwrap(),
                value.parse().unwrap(),
            )]);
            is_signed(signature, &secret, &headers, b"{}", now)
        };
        let right = format!("t=1000,v1={},v1={digits},v0=00", "0".repeat(64));
        assert!(takes(&right, 1000) && takes(&right, 1300) && takes(&right, 700));
        assert!(!takes(&right, 1301) && !takes(&right, 699));
        assert!(!takes(&right.replace("t=1000", "t=1001"), 1000), "the time is signed too");
        assert!(!takes(&format!("t=1000,v0={digits}"), 1000));
        assert!(!takes(&format!("v1={digits}"), 1000));
    }
}
