//! The vacation reply, which answers mail while its owner is away.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bodies::{Body, readable};
use crate::mailboxes::plain;
use crate::permissions::SETTINGS_WRITE;
use crate::times::{At, milliseconds};

/// Characters of its text.
const MAX_TEXT: usize = 10_000;
const PATH: &str = "/gmail/v1/users/me/settings/vacation";

/// The vacation reply as it is now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VacationReply {
    /// Whether mail is answered.
    pub enabled: bool,
    /// What stands before the subject of an answer.
    pub subject: String,
    /// Its text.
    pub body: Body,
    /// When it begins; at once if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<At>,
    /// When it ends; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<At>,
    /// Whether only contacts are answered.
    pub only_contacts: bool,
    /// Whether only people of the same organisation are answered.
    pub only_organization: bool,
}

/// The settings as Gmail writes them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    enable_auto_reply: bool,
    response_subject: String,
    response_body_plain_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    response_body_html: String,
    restrict_to_contacts: bool,
    restrict_to_domain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
}

impl From<Settings> for VacationReply {
    fn from(settings: Settings) -> Self {
        // Where there is HTML, it is what Gmail sends.
        let text = match settings.response_body_html.as_str() {
            "" => settings.response_body_plain_text,
            html => readable(html),
        };
        Self {
            enabled: settings.enable_auto_reply,
            subject: settings.response_subject,
            body: Body::cut(&text, MAX_TEXT),
            starts_at: settings.start_time.map(At::from),
            ends_at: settings.end_time.map(At::from),
            only_contacts: settings.restrict_to_contacts,
            only_organization: settings.restrict_to_domain,
        }
    }
}

/// Turns the automatic answer of an absence on or off; what is left out stays. Whoever writes meanwhile receives it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetVacationReply {
    enabled: bool,
    /// Goes before that of an answer.
    subject: Option<String>,
    /// Plain text.
    text: Option<String>,
    /// RFC 3339; default at once.
    starts_at: Option<String>,
    /// RFC 3339; default never.
    ends_at: Option<String>,
    only_contacts: Option<bool>,
    only_organization: Option<bool>,
}

impl Action for SetVacationReply {
    const NAME: &'static str = "set_vacation_reply";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "out of office",
        "autoresponder",
        "holiday notice",
        "away message",
        "Abwesenheitsnotiz",
        "réponse automatique d'absence",
        "respuesta automática vacaciones",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS_WRITE;
    type Output = VacationReply;

    async fn run(self, api: &Api) -> Result<VacationReply> {
        let start_time = time("starts_at", self.starts_at.as_deref())?;
        let end_time = time("ends_at", self.ends_at.as_deref())?;
        if let (Some(start), Some(end)) = (start_time, end_time)
            && end <= start
        {
            return Err(Error::invalid(
                "ends_at",
                "invalid input: `ends_at` is not after `starts_at`. Nothing was changed.",
            ));
        }
        if let Some(subject) = &self.subject {
            plain("subject", subject)?;
        }
        if self.text.as_deref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
            return Err(Error::invalid(
                "text",
                format!(
                    "invalid input: `text` is longer than {MAX_TEXT} characters. Nothing was changed."
                ),
            ));
        }
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings/getVacation
        let mut settings: Settings = api.get(PATH, &[]).send().await?;
        if let Some(text) = self.text {
            settings.response_body_plain_text = text;
            // It would be sent in place of the text.
            settings.response_body_html = String::new();
        }
        settings.enable_auto_reply = self.enabled;
        settings.response_subject = self.subject.unwrap_or(settings.response_subject);
        settings.restrict_to_contacts = self.only_contacts.unwrap_or(settings.restrict_to_contacts);
        settings.restrict_to_domain = self.only_organization.unwrap_or(settings.restrict_to_domain);
        settings.start_time = start_time.map(|at| at.to_string());
        settings.end_time = end_time.map(|at| at.to_string());
        let is_empty = settings.response_subject.trim().is_empty()
            && settings.response_body_plain_text.trim().is_empty()
            && settings.response_body_html.is_empty();
        if self.enabled && is_empty {
            return Err(Error::invalid(
                "text",
                "invalid input: there is no text to answer with so far. Nothing was changed. Give `text`.",
            ));
        }
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings/updateVacation
        let request = api.put(PATH, &[]).json(&json!(settings));
        request.send().await.map(|settings: Settings| settings.into())
    }
}

/// A time of the input, in milliseconds since 1970.
fn time(field: &str, given: Option<&str>) -> Result<Option<i128>> {
    given
        .map(|text| {
            milliseconds(text).ok_or_else(|| {
                Error::invalid(
                    field,
                    format!("invalid input: `{field}` is no time such as `2026-07-01T08:00:00+02:00`. Nothing was changed."),
                )
            })
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GMAIL;

    async fn fake(now: Value) -> FakeApi {
        let answer = json!({"enableAutoReply": true, "responseSubject": "Away", "responseBodyPlainText": "Back soon",
            "restrictToContacts": true, "startTime": "1767225600000"});
        FakeApi::new(&GMAIL).await.on("GET", PATH, 200, now).on("PUT", PATH, 200, answer)
    }

    #[tokio::test]
    async fn answers_mail_during_an_absence() {
        let fake = fake(
            json!({"responseBodyHtml": "<b>old</b>", "endTime": "9", "restrictToDomain": true}),
        )
        .await;
        let arguments = json!({"enabled": true, "subject": "Away", "text": "Back soon", "only_contacts": true,
            "starts_at": "2026-01-01T01:00:00+01:00"});
        let reply = fake.run::<SetVacationReply>(arguments).await.unwrap();
        assert_eq!(
            reply,
            json!({"enabled": true, "subject": "Away", "body": {"text": "Back soon", "truncated": false},
                "starts_at": "2026-01-01T00:00:00Z", "only_contacts": true, "only_organization": false})
        );
        assert_eq!(
            fake.requests().await[1].body,
            json!({"enableAutoReply": true, "responseSubject": "Away", "responseBodyPlainText": "Back soon",
                "restrictToContacts": true, "restrictToDomain": true, "startTime": "1767225600000"})
        );
    }

    #[tokio::test]
    async fn keeps_the_text_when_it_is_turned_off() {
        let fake = fake(
            json!({"enableAutoReply": true, "responseSubject": "Away", "responseBodyHtml": "<b>old</b>"}),
        )
        .await;
        fake.run::<SetVacationReply>(json!({"enabled": false})).await.unwrap();
        let body = &fake.requests().await[1].body;
        assert_eq!(
            (&body["enableAutoReply"], &body["responseBodyHtml"], &body["responseSubject"]),
            (&json!(false), &json!("<b>old</b>"), &json!("Away"))
        );
    }

    #[test]
    fn tells_the_text_that_gmail_sends() {
        let html = Settings {
            response_body_plain_text: "old".to_owned(),
            response_body_html: "<p>Brand new</p>".to_owned(),
            ..Settings::default()
        };
        assert_eq!(VacationReply::from(html).body.text, "Brand new");
    }

    #[tokio::test]
    async fn changes_nothing_where_the_wish_is_unclear() {
        for (arguments, field) in [
            (json!({"enabled": true}), "text"),
            (json!({"enabled": true, "text": "x".repeat(MAX_TEXT + 1)}), "text"),
            (
                json!({"enabled": true, "text": "x", "subject": "x\r\nBcc: evil@example.net"}),
                "subject",
            ),
            (json!({"enabled": true, "text": "x", "starts_at": "tomorrow"}), "starts_at"),
            (
                json!({"enabled": true, "text": "x", "starts_at": "2026-07-01T08:00:00Z", "ends_at": "2026-07-01T10:00:00+02:00"}),
                "ends_at",
            ),
        ] {
            let fake = fake(json!({"enableAutoReply": false})).await;
            let error = fake.run::<SetVacationReply>(arguments).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field), "{error}");
            assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
        }
    }
}
