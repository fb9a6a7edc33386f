//! Messages that providers send by themselves: `POST /webhooks/{integration}`. What a rightly signed one says of a
//! connection stops it, or has its provider asked at once.

use std::collections::BTreeMap;
use std::path::Path as File;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::Algorithm;
use resto_core::{
    Adapter, Change, Delivery, Http, Integration, News, Notice, Provider, Result, Signature,
    Webhooks,
};
use resto_vault::{AlertKind, Intent, Needs, Outcome, ResultStatus, Status, TenantScope};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use time::OffsetDateTime;

use crate::config::Overrides;
use crate::connect::{OAuthClient, read_secret};
use crate::host::{Host, told};
use crate::identity::Publisher;
use crate::maintain::Kind;

/// The collection of deliveries that changed something, and how long one is known when it comes again: far longer than
/// any provider repeats.
const HEARD: &str = "webhook.delivery";
const KEPT: Duration = Duration::from_hours(90 * 24);

pub(crate) fn router(host: Arc<Host>) -> Router {
    Router::new().route("/webhooks/{integration}", post(receive)).with_state(host)
}

/// Who signs messages with keys of its own, by the integration.
pub(crate) type Senders = BTreeMap<String, Publisher>;

/// The senders of the integrations at which we have a client.
///
/// # Errors
/// The configuration of one is not whole.
pub(crate) fn senders<'a>(
    adapters: impl Iterator<Item = &'a Adapter>,
    overrides: &BTreeMap<String, Overrides>,
    http: &Http,
) -> Result<Senders> {
    let mut senders = Senders::new();
    for integration in adapters.map(|adapter| adapter.integration) {
        let Some((_, webhooks)) = webhooks_of(integration) else { continue };
        let Some(named) = overrides.get(integration.id) else { continue };
        if !matches!(webhooks.signature, Signature::Published) {
            continue;
        }
        let client = OAuthClient::of(integration, named)?;
        if let Some(issuer) = client.and_then(|client| client.issuer) {
            // Google signs with a slash at the end of its name, and signs people in without.
            let issuer = format!("{}/", issuer.trim_end_matches('/'));
            let sender = Publisher::new(issuer, "risc-configuration", http.clone());
            senders.insert(integration.id.to_owned(), sender);
        }
    }
    Ok(senders)
}

/// What an integration sends, and which of its providers does.
fn webhooks_of(integration: &Integration) -> Option<(&'static Provider, &'static Webhooks)> {
    let sends = |provider: &'static Provider| Some((provider, provider.webhooks.as_ref()?));
    integration.providers.iter().find_map(sends)
}

/// A message that was signed by whom it is from.
struct Signed {
    provider: &'static Provider,
    webhooks: &'static Webhooks,
    body: Value,
    /// The integrations for which it is meant.
    of: Vec<&'static Integration>,
}

/// A stranger learns no more than that the signature is wrong.
async fn receive(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (taken, refused) = if host.senders.contains_key(&id) {
        // As RFC 8935 has it.
        let why =
            json!({ "err": "authentication_failed", "description": "Not signed for this server." });
        (StatusCode::ACCEPTED, (StatusCode::BAD_REQUEST, Json(why)).into_response())
    } else {
        (StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED.into_response())
    };
    let signed = match host.signed(&id, &headers, &body).await {
        Ok(Some(signed)) => signed,
        Ok(None) => return refused,
        Err(status) => return status.into_response(),
    };
    // In a task of its own: a provider that goes away does not cut it in half.
    let ours = Arc::clone(&host);
    let hearing = host.tasks.spawn(async move { ours.hear(signed, &headers).await });
    let heard = match hearing.await {
        Ok(Ok(())) => taken,
        // The provider sends it again.
        Ok(Err(error)) => {
            tracing::error!(%error, integration = id, "a webhook was not heeded");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    heard.into_response()
}

impl Host {
    /// The message, where it is signed by whom it is from.
    ///
    /// # Errors
    /// The status to answer where that cannot be told: there is nobody of that name, or it cannot be checked now.
    async fn signed(
        &self,
        id: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<Signed>, StatusCode> {
        let unknown = StatusCode::NOT_FOUND;
        let integration = self.catalog.adapter(id).ok_or(unknown)?.integration;
        let (provider, webhooks) = webhooks_of(integration).ok_or(unknown)?;
        let unchecked = |error: resto_core::Error| {
            tracing::error!(%error, integration = id, "a webhook could not be checked");
            StatusCode::SERVICE_UNAVAILABLE
        };
        if matches!(webhooks.signature, Signature::Published) {
            let sender = self.senders.get(id).ok_or(unknown)?;
            let read = self.read_token(provider, sender, body).await.map_err(unchecked)?;
            return Ok(read.map(|(body, of)| Signed { provider, webhooks, body, of }));
        }
        let named = self.overrides.get(id);
        let file: &File =
            named.and_then(|named| named.webhook_secret_file.as_deref()).ok_or(unknown)?;
        let secret = read_secret("webhook", file).map_err(unchecked)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if !is_signed(&webhooks.signature, &secret, headers, body, now) {
            return Ok(None);
        }
        let body = serde_json::from_slice(body).unwrap_or_default();
        Ok(Some(Signed { provider, webhooks, body, of: vec![integration] }))
    }

    /// What a security event token says, and the integrations whose clients it names; none where it is not from the sender,
    /// or for no client of ours.
    async fn read_token(
        &self,
        provider: &Provider,
        sender: &Publisher,
        body: &[u8],
    ) -> Result<Option<(Value, Vec<&'static Integration>)>> {
        let Ok(token) = str::from_utf8(body) else { return Ok(None) };
        // One company may send what concerns several integrations to one address.
        let clients: Vec<(&'static Integration, &str)> = self
            .catalog
            .adapters()
            .iter()
            .map(|adapter| adapter.integration)
            .filter(|one| one.providers.iter().any(|its| its.id == provider.id))
            .filter_map(|one| Some((one, self.overrides.get(one.id)?.client_id.as_deref()?)))
            .collect();
        let ids: Vec<&str> = clients.iter().map(|(_, id)| *id).collect();
        let rule = |rules: &mut jsonwebtoken::Validation| {
            rules.set_audience(&ids);
            // What happened stays so.
            rules.validate_exp = false;
            rules.set_required_spec_claims(&["iss", "aud"]);
        };
        let read: Option<Value> = sender.read(token.trim(), &[Algorithm::RS256], rule).await?;
        Ok(read.filter(|claims| claims.get("events").is_some_and(Value::is_object)).map(|claims| {
            let is_named = |id: &str| match claims.get("aud") {
                Some(Value::Array(named)) => named.iter().any(|named| named == id),
                Some(named) => named == id,
                None => false,
            };
            let of = clients.iter().filter(|(_, id)| is_named(id)).map(|(one, _)| *one).collect();
            (claims, of)
        }))
    }

    async fn hear(&self, signed: Signed, headers: &HeaderMap) -> Result<()> {
        let Signed { provider, webhooks, body, of } = signed;
        let notice = Notice { headers, body: &body };
        let Some(news) = (webhooks.read)(&notice) else { return Ok(()) };
        let delivery = match webhooks.delivery {
            Delivery::Header(name) => notice.header(name),
            Delivery::Body(place) => notice.text(place),
        };
        for account in &news.accounts {
            let consents = self.vault.consents_of_account(provider.id, account).await;
            for (scope, id) in consents.map_err(told)? {
                if let Some(integration) = of.iter().find(|one| one.id == id) {
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
        let outcome = Outcome::of(ResultStatus::Success);
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
        Signature::Published => false,
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
