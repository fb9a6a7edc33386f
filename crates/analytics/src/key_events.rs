//! Key events: the events that matter most to the business, which reports count as such.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ADMIN;
use crate::ids::Id;
use crate::permissions::{CHANGE, SETTINGS};

/// What an occurrence is worth where the event does not say.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Worth {
    /// Amount in whole units of the currency, with decimals.
    #[serde(default, rename(deserialize = "numericValue"))]
    amount: f64,
    /// Such as `EUR`.
    #[serde(default)]
    currency_code: String,
}

/// A key event.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct KeyEvent {
    /// Its number.
    #[serde(rename(deserialize = "name"))]
    pub id: Id,
    /// Name of the event.
    #[serde(default)]
    pub event_name: String,
    /// `ONCE_PER_EVENT` or `ONCE_PER_SESSION`.
    #[serde(default)]
    pub counting_method: String,
    /// What an occurrence is worth where the event does not say.
    #[serde(default)]
    pub default_value: Option<Worth>,
    /// Whether it can be deleted.
    #[serde(default)]
    pub deletable: bool,
    /// When it was marked.
    #[serde(default, rename(deserialize = "createTime"))]
    pub created_at: Option<String>,
}

/// Lists the events that are marked as key events.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListKeyEvents {
    /// From `list_properties`.
    property_id: Id,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListKeyEvents {
    const NAME: &'static str = "list_key_events";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which conversions are tracked", "goals", "what counts as a conversion"];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS;
    type Output = Page<KeyEvent>;

    async fn run(self, api: &Api) -> Result<Page<KeyEvent>> {
        list(api, &self.property_id, &self.page).await
    }
}

async fn list(api: &Api, property: &Id, page: &PageRequest) -> Result<Page<KeyEvent>> {
    // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.keyEvents/list
    api.get("/v1beta/properties/{}/keyEvents", &[property])
        .at(ADMIN)
        .page(page)
        .list_in("keyEvents")
        .await
}

/// How occurrences are counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Counting {
    /// Each one.
    OncePerEvent,
    /// At most one in each visit.
    OncePerSession,
}

/// Marks an event as a key event (once called conversion); it counts as one from now on.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateKeyEvent {
    /// From `list_properties`.
    property_id: Id,
    /// Such as `generate_lead`, which need not have happened.
    #[schemars(length(min = 1, max = 40))]
    event_name: String,
    /// Default `once_per_event`.
    counting: Option<Counting>,
    /// Where the event says none: whole units, with decimals.
    default_amount: Option<f64>,
    /// Such as `EUR`.
    default_currency: Option<String>,
}

impl Action for CreateKeyEvent {
    const NAME: &'static str = "create_key_event";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "track a conversion",
        "define a goal",
        "count signups or purchases as conversions",
        "Conversion anlegen",
        "objectif de conversion",
        "objetivo de conversión",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = KeyEvent;

    async fn run(self, api: &Api) -> Result<KeyEvent> {
        let worth = match (self.default_amount, &self.default_currency) {
            (None, None) => None,
            (Some(amount), Some(currency)) => {
                Some(json!({"numericValue": amount, "currencyCode": currency}))
            }
            _ => {
                return Err(resto_core::Error::invalid(
                    "default_amount",
                    "invalid input: `default_amount` and `default_currency` go together. Nothing was sent.",
                ));
            }
        };
        let counting = match self.counting {
            Some(Counting::OncePerSession) => "ONCE_PER_SESSION",
            _ => "ONCE_PER_EVENT",
        };
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.keyEvents/create
        api.post("/v1beta/properties/{}/keyEvents", &[&self.property_id])
            .at(ADMIN)
            .fields(json!({
                "eventName": self.event_name,
                "countingMethod": counting,
                "defaultValue": worth,
            }))
            .send_or_find(async || {
                // A property has at most fifty, each of another name.
                let all = PageRequest { cursor: None, limit: Some(100) };
                let page = list(api, &self.property_id, &all).await?;
                Ok(page.items.into_iter().find(|event| event.event_name == self.event_name))
            })
            .await
    }
}

/// Takes the mark of a key event off; the event goes on. What it returns can be marked again, counting anew.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteKeyEvent {
    /// From `list_properties`.
    property_id: Id,
    /// From `list_key_events`.
    key_event_id: Id,
}

impl Action for DeleteKeyEvent {
    const NAME: &'static str = "delete_key_event";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "stop counting an event as a conversion",
        "remove a goal",
        "unmark",
        "should not count as a conversion any more",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = KeyEvent;

    async fn run(self, api: &Api) -> Result<KeyEvent> {
        let path = "/v1beta/properties/{}/keyEvents/{}";
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.keyEvents/delete
        let read = || api.get(path, &[&self.property_id, &self.key_event_id]).at(ADMIN).send();
        let event: KeyEvent = read().await?;
        api.delete(path, &[&self.property_id, &self.key_event_id])
            .at(ADMIN)
            .send_or_gone(read)
            .await?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::ANALYTICS;

    const EVENTS: &str = "/v1beta/properties/123/keyEvents";
    const EVENT: &str = "/v1beta/properties/123/keyEvents/9";

    fn purchase() -> Value {
        json!({"name": "properties/123/keyEvents/9", "eventName": "purchase", "countingMethod": "ONCE_PER_EVENT",
            "createTime": "2026-01-01T10:00:00Z", "deletable": true, "custom": true,
            "defaultValue": {"numericValue": 5.5, "currencyCode": "EUR"}})
    }

    fn told() -> Value {
        json!({"id": "9", "event_name": "purchase", "counting_method": "ONCE_PER_EVENT", "deletable": true,
            "default_value": {"amount": 5.5, "currency_code": "EUR"}, "created_at": "2026-01-01T10:00:00Z"})
    }

    #[tokio::test]
    async fn lists_key_events() {
        let fake = FakeApi::new(&ANALYTICS).await.on(
            "GET",
            EVENTS,
            200,
            json!({"keyEvents": [purchase()]}),
        );
        let page = fake.run::<ListKeyEvents>(json!({"property_id": "123"})).await.unwrap();
        assert_eq!(page, json!({"items": [told()]}));
    }

    #[tokio::test]
    async fn marks_an_event_with_its_worth() {
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", EVENTS, 200, purchase());
        let input = json!({"property_id": "123", "event_name": "purchase", "counting": "once_per_session",
            "default_amount": 5.5, "default_currency": "EUR"});
        assert_eq!(fake.run::<CreateKeyEvent>(input).await.unwrap(), told());
        assert_eq!(
            fake.requests().await[0].body,
            json!({"eventName": "purchase", "countingMethod": "ONCE_PER_SESSION",
                "defaultValue": {"numericValue": 5.5, "currencyCode": "EUR"}})
        );
    }

    #[tokio::test]
    async fn a_worth_has_a_currency() {
        let fake = FakeApi::new(&ANALYTICS).await;
        let input = json!({"property_id": "123", "event_name": "purchase", "default_amount": 5});
        let error = fake.run::<CreateKeyEvent>(input).await.unwrap_err();
        assert!(error.message().contains("go together"), "{error}");
    }

    #[tokio::test]
    async fn finds_out_whether_an_event_is_marked_when_the_answer_is_lost() {
        for (listed, found) in
            [(json!({"keyEvents": [purchase()]}), true), (json!({"keyEvents": []}), false)]
        {
            let fake = FakeApi::new(&ANALYTICS)
                .await
                .on("POST", EVENTS, 502, Value::Null)
                .on("GET", EVENTS, 200, listed);
            let input = json!({"property_id": "123", "event_name": "purchase"});
            match fake.run::<CreateKeyEvent>(input).await {
                Ok(event) => assert!(found && event == told()),
                Err(error) => assert!(!found && error.code() == Code::UnknownOutcome, "{error}"),
            }
        }
    }

    #[tokio::test]
    async fn looks_for_a_key_event_whose_deletion_was_not_answered() {
        let fake = FakeApi::new(&ANALYTICS)
            .await
            .on("GET", EVENT, 200, purchase())
            .on("GET", EVENT, 404, json!({"error": {"code": 404, "status": "NOT_FOUND"}}))
            .on("DELETE", EVENT, 502, json!({}));
        let input = json!({"property_id": "123", "key_event_id": "9"});
        assert_eq!(fake.run::<DeleteKeyEvent>(input).await.unwrap(), told());
    }

    #[tokio::test]
    async fn returns_the_key_event_that_it_deleted() {
        let fake = FakeApi::new(&ANALYTICS).await.on("GET", EVENT, 200, purchase()).on(
            "DELETE",
            EVENT,
            200,
            json!({}),
        );
        let input = json!({"property_id": "123", "key_event_id": "9"});
        let gone = fake.run::<DeleteKeyEvent>(input).await.unwrap();
        assert_eq!(gone, told());
        assert_eq!(fake.requests().await[1].method, "DELETE");
        // What it returned marks it again.
        let fake = fake.on("POST", EVENTS, 200, purchase());
        let again = json!({"property_id": "123", "event_name": gone["event_name"],
            "counting": gone["counting_method"].as_str().unwrap().to_lowercase(),
            "default_amount": gone["default_value"]["amount"],
            "default_currency": gone["default_value"]["currency_code"]});
        assert_eq!(fake.run::<CreateKeyEvent>(again).await.unwrap(), told());
        assert_eq!(
            fake.requests().await[2].body,
            json!({"eventName": "purchase", "countingMethod": "ONCE_PER_EVENT",
                "defaultValue": {"numericValue": 5.5, "currencyCode": "EUR"}})
        );
    }
}
