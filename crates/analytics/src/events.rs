//! Events that a server sends itself, by the Measurement Protocol. It takes anything without a word, so
//! every event is checked first. Its secret goes from Google to Google: no agent gives or sees it.

use resto_core::{Action, Api, Code, Error, Page, Result, Risk, clean};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ids::Id;
use crate::permissions::CHANGE;
use crate::streams::StreamIn;
use crate::{ADMIN, COLLECT};

const SECRETS: &str = "/v1beta/properties/{}/dataStreams/{}/measurementProtocolSecrets";
const SECRET: &str = "/v1beta/properties/{}/dataStreams/{}/measurementProtocolSecrets/{}";
/// The secrets that we created, as documents of the tenant: where they are, never their values.
pub(crate) const CREATED: &str = "analytics_secrets";

/// A secret of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    #[serde(default)]
    name: Id,
    #[serde(default)]
    secret_value: SecretString,
}

/// The secret of a stream: the first that there is, or a new one.
async fn secret(api: &Api, at: &StreamIn) -> Result<SecretString> {
    let args: [&dyn resto_core::PathArg; 2] = [&at.property_id, &at.stream_id];
    // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.dataStreams.measurementProtocolSecrets
    let page: Page<Secret> =
        api.get(SECRETS, &args).at(ADMIN).list_in("measurementProtocolSecrets").await?;
    if let Some(secret) = page.items.into_iter().next() {
        return Ok(secret.secret_value);
    }
    let body = json!({"displayName": "Resto"});
    let created: Secret = api.post(SECRETS, &args).at(ADMIN).json(&body).send().await?;
    let place = json!({"at": at, "secret_id": created.name});
    let id = format!("{} {}", at.stream_id.as_str(), created.name.as_str());
    api.records().put(CREATED, &id, &place, None).await?;
    Ok(created.secret_value)
}

/// Deletes the secrets that we created.
pub(crate) async fn delete_secrets(api: &Api) -> Result<()> {
    #[derive(Deserialize)]
    struct Place {
        at: StreamIn,
        secret_id: Id,
    }
    let created = api.records().list(CREATED, None, 100).await?;
    for (id, place) in created {
        if let Ok(Place { at, secret_id }) = serde_json::from_value(place) {
            let args: [&dyn resto_core::PathArg; 3] = [&at.property_id, &at.stream_id, &secret_id];
            match api.delete(SECRET, &args).at(ADMIN).send_empty().await {
                Err(error) if error.code() != Code::NotFound => return Err(error),
                _ => {}
            }
        }
        api.records().take(CREATED, &id).await?;
    }
    Ok(())
}

/// What is wrong with an event.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Problem {
    /// Where, such as `events`.
    #[serde(default, rename(deserialize = "fieldPath"))]
    field: String,
    /// What, in Google's words.
    #[serde(default)]
    description: String,
    /// Such as `NAME_INVALID`.
    #[serde(default, rename(deserialize = "validationCode"))]
    code: String,
}

/// What became of an event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SentEvent {
    /// Whether it was sent. Google does not tell whether it counted it.
    sent: bool,
    /// The id of the stream's tag.
    measurement_id: String,
    /// What is wrong with it; nothing was sent then.
    problems: Vec<Problem>,
}

/// Sends an event from a server, checked first. It shows in reports for good, so test with `check_only`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendEvent {
    #[serde(flatten)]
    at: StreamIn,
    /// Such as `generate_lead`.
    #[schemars(length(min = 1, max = 40))]
    name: String,
    /// At most 25, nothing personal. Sessions need `session_id` and `engagement_time_msec`.
    #[serde(default)]
    params: Map<String, Value>,
    /// Made up for a browser or system, always the same, such as `555.777`.
    #[schemars(length(min = 1, max = 200))]
    client_id: String,
    /// The business's own, no mail address or name.
    user_id: Option<String>,
    /// Such as `2026-01-31T12:00:00Z`, at most 72 hours ago; default now.
    happened_at: Option<String>,
    /// Nothing is sent.
    check_only: Option<bool>,
}

impl Action for SendEvent {
    const NAME: &'static str = "send_event";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "record an offline sale",
        "server-side event",
        "Measurement Protocol",
        "send a test event",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = SentEvent;

    async fn run(self, api: &Api) -> Result<SentEvent> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Checked {
            #[serde(default)]
            validation_messages: Vec<Problem>,
        }
        let body = self.body()?;
        let stream = self.at.get(api).await?;
        let Some(measurement_id) = stream.measurement_id else {
            return Err(Error::invalid(
                "stream_id",
                "invalid input: this is the stream of an app; events are sent to websites' streams. Nothing was sent.",
            ));
        };
        let secret = secret(api, &self.at).await?;
        let to = |path: &'static str| {
            api.post(path, &[])
                .at(COLLECT)
                .unsigned()
                .query("measurement_id", &measurement_id)
                // EXPOSE: sent to Google, which it is from; the protocol takes it nowhere but in the query.
                .query("api_secret", secret.expose_secret())
                .json(&body)
        };
        // https://developers.google.com/analytics/devguides/collection/protocol/ga4/validating-events
        let checked: Checked = to("/debug/mp/collect").reads().send().await?;
        let problems = checked.validation_messages;
        let check_only = self.check_only == Some(true);
        if let Some(problem) = problems.first().filter(|_| !check_only) {
            return Err(told(problem));
        }
        if !check_only {
            // https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference
            to("/mp/collect").send_empty().await?;
        }
        Ok(SentEvent { sent: !check_only, measurement_id, problems })
    }
}

impl SendEvent {
    fn body(&self) -> Result<Value> {
        let mut body = Map::new();
        body.insert("client_id".to_owned(), self.client_id.as_str().into());
        if let Some(user) = &self.user_id {
            body.insert("user_id".to_owned(), user.as_str().into());
        }
        if let Some(text) = &self.happened_at {
            let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                Error::invalid(
                    "happened_at",
                    "invalid input: `happened_at` must be a time such as 2026-01-31T12:00:00Z. Nothing was sent.",
                )
            })?;
            let micros = at.unix_timestamp() * 1_000_000 + i64::from(at.microsecond());
            body.insert("timestamp_micros".to_owned(), micros.into());
        }
        body.insert("events".to_owned(), json!([{"name": self.name, "params": self.params}]));
        Ok(Value::Object(body))
    }
}

fn told(problem: &Problem) -> Error {
    let said: String = clean(&problem.description).chars().take(300).collect();
    let said = said.trim_end_matches('.');
    let mut error = Error::invalid(
        problem.field.clone(),
        format!("Google would not count the event: {said}. Nothing was sent."),
    );
    error.details_mut().provider = Some("Google".to_owned());
    error
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::streams::tests::web;
    use crate::{ANALYTICS, adapter};

    const STREAM: &str = "/v1beta/properties/123/dataStreams/456";
    const SECRETS: &str = "/v1beta/properties/123/dataStreams/456/measurementProtocolSecrets";
    const OURS: &str = "/v1beta/properties/123/dataStreams/456/measurementProtocolSecrets/3";

    fn secret() -> Value {
        json!({"name": OURS.trim_start_matches("/v1beta/"), "displayName": "Resto", "secretValue": "plainly fake words"})
    }

    fn lead(more: &Value) -> Value {
        let mut input = json!({"property_id": "123", "stream_id": "456", "name": "generate_lead", "client_id": "5.7",
            "params": {"value": 7, "currency": "EUR"}});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    }

    /// The stream is there, and has these secrets. The Measurement Protocol has no description.
    async fn google(secrets: Value) -> FakeApi {
        FakeApi::new(&ANALYTICS)
            .await
            .unofficial("POST", "/debug/mp/collect")
            .unofficial("POST", "/mp/collect")
            .on("GET", STREAM, 200, web())
            .on("GET", SECRETS, 200, secrets)
            .on("POST", SECRETS, 200, secret())
    }

    #[tokio::test]
    async fn checks_an_event_then_sends_it_and_never_shows_the_secret() {
        let fake = google(json!({"measurementProtocolSecrets": [secret()]}))
            .await
            .on("POST", "/debug/mp/collect", 200, json!({"validationMessages": []}))
            .on("POST", "/mp/collect", 204, Value::Null);
        let input = lead(&json!({"happened_at": "2026-01-31T00:00:00.5Z", "user_id": "u1"}));
        let sent = fake.run::<SendEvent>(input).await.unwrap();
        assert_eq!(sent, json!({"sent": true, "measurement_id": "G-FAKE", "problems": []}));
        let requests = fake.requests().await;
        let [_, _, checked, collected] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!(checked.body, collected.body);
        assert_eq!(
            collected.body,
            json!({"client_id": "5.7", "user_id": "u1", "timestamp_micros": 1_769_817_600_500_000_u64,
                "events": [{"name": "generate_lead", "params": {"value": 7, "currency": "EUR"}}]})
        );
        assert_eq!(collected.query["api_secret"], "plainly fake words");
        assert_eq!(collected.query["measurement_id"], "G-FAKE");
        // What signs in at the other parts of the API is of no use here.
        assert!(!collected.headers.contains_key("authorization"));
    }

    #[tokio::test]
    async fn sends_nothing_that_google_would_not_count() {
        let messages = json!({"validationMessages": [{"fieldPath": "events", "validationCode": "NAME_INVALID",
            "description": "Event at index: [0] has invalid name [a b]. Only alphanumeric characters and underscores are allowed."}]});
        let fake = google(json!({"measurementProtocolSecrets": [secret()]})).await.on(
            "POST",
            "/debug/mp/collect",
            200,
            messages,
        );
        let error = fake.run::<SendEvent>(lead(&json!({}))).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("has invalid name [a b]"), "{error}");
        let told = fake.run::<SendEvent>(lead(&json!({"check_only": true}))).await.unwrap();
        assert_eq!(
            (&told["sent"], &told["problems"][0]["code"]),
            (&json!(false), &json!("NAME_INVALID"))
        );
    }

    #[tokio::test]
    async fn a_stream_without_a_secret_gets_one_which_goes_with_the_connection() {
        let fake = google(json!({})).await.on("POST", "/debug/mp/collect", 200, json!({})).on(
            "DELETE",
            OURS,
            200,
            json!({}),
        );
        fake.run::<SendEvent>(lead(&json!({"check_only": true}))).await.unwrap();
        let api = fake.api(Risk::Write);
        let kept = api.records().list(CREATED, None, 10).await.unwrap();
        assert!(!format!("{kept:?}").contains("plainly fake words"), "{kept:?}");
        adapter().clean_up(&api).await.unwrap();
        let last = fake.requests().await.pop().unwrap();
        assert_eq!((last.method.as_str(), last.path.as_str()), ("DELETE", OURS));
        assert!(api.records().list(CREATED, None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn terms_that_nobody_accepted_are_told() {
        let words = "User data collection acknowledgement is required to create a measurement protocol secret.";
        let refused =
            json!({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": words}});
        let fake = FakeApi::new(&ANALYTICS)
            .await
            .on("GET", STREAM, 200, web())
            .on("GET", SECRETS, 200, json!({}))
            .on("POST", SECRETS, 400, refused);
        let error = fake.run::<SendEvent>(lead(&json!({}))).await.unwrap_err();
        assert!(error.message().contains("terms not accepted"), "{error}");
    }

    #[tokio::test]
    async fn an_app_and_a_time_that_is_none_are_refused() {
        let app = json!({"name": "properties/123/dataStreams/456", "type": "IOS_APP_DATA_STREAM",
            "iosAppStreamData": {"bundleId": "example.shop"}});
        let fake = FakeApi::new(&ANALYTICS).await.on("GET", STREAM, 200, app);
        let error = fake.run::<SendEvent>(lead(&json!({}))).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("stream_id"));
        let error = fake.run::<SendEvent>(lead(&json!({"happened_at": "noon"}))).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("happened_at"));
    }
}
