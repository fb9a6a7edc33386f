//! Webhooks: Stripe tells an address of the business what happens. The secret that signs what it
//! sends is born at Stripe and goes straight to the tenant's secrets.

use resto_core::{Action, Api, Error, Result, Risk, SecretRef};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mode::{InMode, in_mode};
use crate::permissions::WEBHOOK_WRITE;

/// An address to which Stripe sends events.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WebhookEndpoint {
    /// Its id, `we_...`.
    id: String,
    /// The address.
    url: String,
    /// `enabled` or `disabled`.
    status: String,
    /// What is sent there.
    events: Vec<String>,
    /// Name of the stored secret with which the receiver checks that an event is from Stripe.
    signing_secret: SecretRef,
}

#[derive(Deserialize)]
struct Created {
    id: String,
    url: String,
    status: String,
    enabled_events: Vec<String>,
    secret: SecretString,
}

/// Has Stripe send events to an address; the secret that signs them is stored, and the result tells its name.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateWebhookEndpoint {
    /// With https.
    url: String,
    /// Such as `invoice.paid`; `*` is everything.
    #[schemars(length(min = 1, max = 100))]
    events: Vec<String>,
    /// For the business.
    description: Option<String>,
    /// Name to store it under.
    signing_secret: Option<SecretRef>,
}

impl Action for CreateWebhookEndpoint {
    const NAME: &'static str = "create_webhook_endpoint";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["notify my server of payments", "webhook for events", "callback URL"];
    const PERMISSIONS: &'static [&'static [&'static str]] = WEBHOOK_WRITE;
    type Output = InMode<WebhookEndpoint>;

    async fn run(self, api: &Api) -> Result<InMode<WebhookEndpoint>> {
        if !self.url.starts_with("https://") {
            return Err(Error::invalid(
                "url",
                "invalid input: `url` must begin with https://. Nothing was sent.",
            ));
        }
        // https://docs.stripe.com/api/webhook_endpoints/create
        let created: Created = api
            .post("/v1/webhook_endpoints", &[])
            .form(&json!({
                "url": self.url,
                "enabled_events": self.events,
                "description": self.description,
            }))
            .send()
            .await?;
        let Created { id, url, status, enabled_events, secret } = created;
        let name = self.signing_secret.unwrap_or_else(|| SecretRef::new(format!("stripe_{id}")));
        let signing_secret = match api.store_secret(&name, &secret).await {
            Ok(name) => name,
            Err(error) => return Err(taken_back(api, &id, error).await),
        };
        let endpoint = WebhookEndpoint { id, url, status, events: enabled_events, signing_secret };
        Ok(in_mode(api, endpoint))
    }
}

/// Stripe tells the secret only once: without it the endpoint is of no use.
async fn taken_back(api: &Api, id: &str, mut error: Error) -> Error {
    // https://docs.stripe.com/api/webhook_endpoints/delete
    let deleted = api.delete("/v1/webhook_endpoints/{}", &[&id]).send_empty().await;
    let left = match deleted {
        Ok(()) => "The endpoint was deleted again.".to_owned(),
        Err(_) => format!("The endpoint {id} is left at Stripe: a person deletes it there."),
    };
    let details = error.details_mut();
    details.message = format!("The signing secret was not stored: {} {left}", details.message);
    error
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    const PATH: &str = "/v1/webhook_endpoints";

    fn endpoint() -> Value {
        json!({
            "id": "we_1", "object": "webhook_endpoint", "api_version": null, "created": 1_769_817_600, "description": null,
            "enabled_events": ["invoice.paid"], "livemode": false, "metadata": {}, "secret": "signing words", "status": "enabled",
            "url": "https://shop.example/stripe",
        })
    }

    #[tokio::test]
    async fn stores_the_signing_secret_and_tells_its_name_only() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 200, endpoint());
        let input = json!({"url": "https://shop.example/stripe", "events": ["invoice.paid"]});
        let told = fake.run::<CreateWebhookEndpoint>(input).await.unwrap();
        assert_eq!(
            told,
            json!({
                "mode": "test", "id": "we_1", "url": "https://shop.example/stripe", "status": "enabled",
                "events": ["invoice.paid"], "signing_secret": "stripe_we_1",
            })
        );
        assert_eq!(fake.secret("stripe_we_1").as_deref(), Some("signing words"));
        assert_eq!(
            fake.requests().await[0].body,
            json!({"url": "https://shop.example/stripe", "enabled_events": ["invoice.paid"]})
        );
    }

    #[tokio::test]
    async fn stores_it_under_a_name_of_choice() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 200, endpoint());
        fake.run::<CreateWebhookEndpoint>(json!({
            "url": "https://shop.example/stripe", "events": ["invoice.paid"], "signing_secret": "shop-events",
        }))
        .await
        .unwrap();
        assert!(fake.secret("shop-events").is_some());
    }

    #[tokio::test]
    async fn an_endpoint_whose_secret_cannot_be_stored_is_deleted() {
        let fake = FakeApi::new(&STRIPE).await.on("POST", PATH, 200, endpoint()).on(
            "DELETE",
            "/v1/webhook_endpoints/we_1",
            200,
            json!({"id": "we_1", "deleted": true}),
        );
        let error = fake
            .run::<CreateWebhookEndpoint>(
                json!({"url": "https://shop.example/stripe", "events": ["*"], "signing_secret": ""}),
            )
            .await
            .unwrap_err();
        assert!(error.message().ends_with("The endpoint was deleted again."), "{error}");
        assert!(!error.message().contains("signing words"), "{error}");
    }

    #[tokio::test]
    async fn refuses_an_address_without_https() {
        let fake = FakeApi::new(&STRIPE).await;
        let error = fake
            .run::<CreateWebhookEndpoint>(json!({"url": "http://shop.example", "events": ["*"]}))
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("url"));
    }
}
