//! Sending, at most once: a message is first a draft, and a draft can be sent only once. When Gmail's
//! answer is lost, the mailbox tells what became of it.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::drafts::{create, find, get};
use crate::letters::{Letter, Mail};
use crate::parts::Message;
use crate::permissions::MAIL_SEND;

/// A message that was sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sent {
    /// Its id.
    pub message_id: String,
    /// The conversation that it belongs to.
    pub thread_id: String,
    /// The addresses that it went to.
    pub recipients: Vec<String>,
}

impl Sent {
    fn of(message: Message, recipients: Vec<String>) -> Self {
        Self { message_id: message.id, thread_id: message.thread_id, recipients }
    }
}

/// Sends a message.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendMessage {
    #[serde(flatten)]
    letter: Letter,
}

impl Action for SendMessage {
    const NAME: &'static str = "send_message";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "send an email",
        "write to somebody",
        "mail a customer",
        "compose a new message",
        "E-Mail schicken",
        "Mail senden",
        "envoyer un mail",
        "enviar un correo",
        "email a report or a file to somebody",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

    async fn run(self, api: &Api) -> Result<Sent> {
        send(api, Mail::of(api, self.letter)?, None).await
    }
}

/// Sends a draft as it is.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendDraft {
    draft_id: String,
}

impl Action for SendDraft {
    const NAME: &'static str = "send_draft";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["send a prepared email", "send the draft", "Entwurf abschicken", "envoyer le brouillon"];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

    async fn run(self, api: &Api) -> Result<Sent> {
        let draft = find(api, &self.draft_id, "metadata").await?;
        let envelope = draft.message.envelope();
        let all = envelope.to.iter().chain(&envelope.cc).chain(&envelope.bcc);
        let recipients: Vec<String> = all.map(|one| one.email.clone()).collect();
        if recipients.is_empty() {
            return Err(nobody("draft_id"));
        }
        let message = dispatch(api, &self.draft_id, envelope.message_id.as_deref()).await?;
        Ok(Sent::of(message, recipients))
    }
}

fn nobody(field: &str) -> Error {
    Error::invalid(field, "invalid input: the message has no recipient. Nothing was sent.")
}

/// Sends a message of this operation, unless it was sent before.
pub(crate) async fn send(api: &Api, mail: Mail, thread: Option<&str>) -> Result<Sent> {
    let recipients: Vec<String> = mail.recipients().map(|one| one.email.clone()).collect();
    if recipients.is_empty() {
        return Err(nobody("to"));
    }
    let id = mail.message_id.clone();
    // Made again, the same call has the same id.
    if let Some(message) = sent(api, &id).await? {
        return Ok(Sent::of(message, recipients));
    }
    let draft = create(api, mail, thread).await.map_err(|error| match error.code() {
        Code::UnknownOutcome => harmless(error),
        _ => error,
    })?;
    match dispatch(api, &draft.id, Some(&id)).await {
        Ok(message) => Ok(Sent::of(message, recipients)),
        Err(error) if error.code() == Code::UnknownOutcome => Err(error),
        Err(error) => {
            // It was refused, and nobody asked for a draft; a left one would do no harm.
            let path = "/gmail/v1/users/me/drafts/{}";
            let _ = api.delete(path, &[&draft.id]).send_empty().await;
            Err(error)
        }
    }
}

/// At worst a draft was written that nobody receives.
fn harmless(mut error: Error) -> Error {
    let details = error.details_mut();
    details.code = Code::ProviderDown;
    "Google did not say whether it wrote the draft of the message. Nothing was sent, though a draft may be left. Try again later."
        .clone_into(&mut details.message);
    error
}

/// Sends a draft. The id is that of its message, by which it is found afterwards.
async fn dispatch(api: &Api, draft_id: &str, id: Option<&str>) -> Result<Message> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/send
    let request = api.post("/gmail/v1/users/me/drafts/send", &[]).json(&json!({"id": draft_id}));
    let lost = match request.send().await {
        Err(error) if error.code() == Code::UnknownOutcome => error,
        answered => return answered,
    };
    let (found, what) = match get(api, draft_id, "minimal").await {
        Ok(Some(_)) => (
            None,
            format!(
                "So far it was not sent: it is still the draft `{draft_id}`. Look again with gmail_list_drafts; gmail_send_draft sends it, never twice."
            ),
        ),
        Ok(None) => {
            let found = match id {
                Some(id) => sent(api, id).await.unwrap_or_default(),
                None => None,
            };
            let what = "The draft is gone, so it was most likely sent. Look for it with gmail_search_messages, query `in:sent`, before sending again.";
            (found, what.to_owned())
        }
        Err(_) => (
            None,
            format!(
                "If it was not sent, it is still the draft `{draft_id}`: gmail_send_draft sends it, never twice."
            ),
        ),
    };
    found.ok_or_else(|| {
        let mut error = lost;
        error.details_mut().message =
            format!("Google did not say whether it sent the message. {what}");
        error
    })
}

/// The message of this id, if it was sent.
async fn sent(api: &Api, id: &str) -> Result<Option<Message>> {
    #[derive(Deserialize)]
    struct Found {
        // Gmail leaves out empty lists.
        #[serde(default)]
        messages: Vec<Message>,
    }
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list
    let request = api.get("/gmail/v1/users/me/messages", &[]);
    let request = request.query("q", format!("rfc822msgid:{id}")).query("labelIds", "SENT");
    let found: Found = request.query("maxResults", 1).send().await?;
    Ok(found.messages.into_iter().next())
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GMAIL;
    use crate::drafts::tests::{DRAFT, DRAFTS, written};
    use crate::letters::tests::parsed;
    use crate::messages::tests::{MESSAGES, from_ada};

    const SEND: &str = "/gmail/v1/users/me/drafts/send";

    pub fn sent() -> Value {
        json!({"id": "m9", "threadId": "t1", "labelIds": ["SENT"]})
    }

    fn found() -> Value {
        json!({"messages": [{"id": "m9", "threadId": "t1"}], "resultSizeEstimate": 1})
    }

    fn none() -> Value {
        json!({"resultSizeEstimate": 0})
    }

    fn gone() -> Value {
        json!({"error": {"code": 404, "message": "Requested entity was not found."}})
    }

    fn fault() -> Value {
        json!({"error": {"code": 503, "message": "Backend Error"}})
    }

    /// A mailbox that takes a draft; what it answers to sending it is up to the test.
    async fn mailbox() -> FakeApi {
        FakeApi::new(&GMAIL).await.connected("you@example.com").on("GET", MESSAGES, 200, none()).on(
            "POST",
            DRAFTS,
            200,
            written(),
        )
    }

    /// A mailbox that takes and sends every message.
    pub async fn obliging() -> FakeApi {
        mailbox().await.on("POST", SEND, 200, sent())
    }

    /// The message that was sent, with the conversation that it was put into.
    pub async fn message_of(fake: &FakeApi) -> (mail_parser::Message<'static>, Value) {
        let requests = fake.requests().await;
        let draft = requests.iter().find(|request| request.path == DRAFTS).unwrap();
        assert_eq!(requests.last().unwrap().path, SEND);
        let message = &draft.body["message"];
        (parsed(&message["raw"]), message["threadId"].clone())
    }

    fn letter() -> Value {
        json!({"to": ["Ada <ada@example.com>"], "bcc": ["bo@example.com"], "subject": "Offer", "text": "Hello"})
    }

    async fn error(fake: &FakeApi) -> Error {
        fake.run::<SendMessage>(letter()).await.unwrap_err()
    }

    #[tokio::test]
    async fn sends_a_message_by_way_of_a_draft() {
        let fake = obliging().await;
        let result = fake.run::<SendMessage>(letter()).await.unwrap();
        assert_eq!(
            result,
            json!({"message_id": "m9", "thread_id": "t1", "recipients": ["ada@example.com", "bo@example.com"]})
        );
        let (message, thread) = message_of(&fake).await;
        assert_eq!((message.subject(), thread), (Some("Offer"), Value::Null));
        let requests = fake.requests().await;
        let id = message.message_id().unwrap();
        assert_eq!(requests[0].query["q"], format!("rfc822msgid:{id}"));
        assert_eq!(requests[2].body, json!({"id": "r1"}));
    }

    #[tokio::test]
    async fn sends_nothing_twice() {
        let fake = FakeApi::new(&GMAIL).await.on("GET", MESSAGES, 200, found());
        let result = fake.run::<SendMessage>(letter()).await.unwrap();
        assert_eq!(result["message_id"], "m9");
        assert_eq!(fake.requests().await.len(), 1);
    }

    #[tokio::test]
    async fn finds_the_message_when_the_answer_is_lost() {
        let fake = mailbox()
            .await
            .on("GET", MESSAGES, 200, found())
            .on("POST", SEND, 503, fault())
            .on("GET", DRAFT, 404, gone());
        let result = fake.run::<SendMessage>(letter()).await.unwrap();
        assert_eq!(result["message_id"], "m9");
        let requests = fake.requests().await;
        assert_eq!(requests.iter().filter(|request| request.path == SEND).count(), 1);
    }

    #[tokio::test]
    async fn says_what_to_do_when_it_cannot_tell() {
        let fake = mailbox().await.on("POST", SEND, 503, fault()).on("GET", DRAFT, 200, written());
        let still = error(&fake).await;
        assert!(still.message().contains("it is still the draft `r1`"), "{still}");

        let fake = mailbox().await.on("POST", SEND, 503, fault()).on("GET", DRAFT, 404, gone());
        let likely = error(&fake).await;
        assert!(likely.message().contains("most likely sent"), "{likely}");

        let fake = mailbox().await.on("POST", SEND, 503, fault()).on("GET", DRAFT, 503, fault());
        let unknown = error(&fake).await;
        assert!(unknown.message().contains("If it was not sent"), "{unknown}");

        for error in [still, likely, unknown] {
            assert_eq!(error.code(), Code::UnknownOutcome, "{error}");
        }
    }

    #[tokio::test]
    async fn a_message_that_is_refused_leaves_no_draft() {
        let refused = json!({"error": {"code": 400, "message": "Recipient address required",
            "errors": [{"reason": "invalidArgument"}]}});
        let fake =
            mailbox().await.on("POST", SEND, 400, refused).on("DELETE", DRAFT, 204, Value::Null);
        let error = error(&fake).await;
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message().contains("Recipient address required"), "{error}");
        assert_eq!(fake.requests().await.last().unwrap().method, "DELETE");
    }

    #[tokio::test]
    async fn a_draft_whose_answer_is_lost_was_not_sent() {
        let fake = FakeApi::new(&GMAIL).await.on("GET", MESSAGES, 200, none()).on(
            "POST",
            DRAFTS,
            503,
            fault(),
        );
        let error = error(&fake).await;
        assert_eq!(error.code(), Code::ProviderDown);
        assert!(error.message().contains("Nothing was sent"), "{error}");
    }

    #[tokio::test]
    async fn refuses_a_message_to_nobody() {
        let fake = FakeApi::new(&GMAIL).await;
        let error = fake.run::<SendMessage>(json!({"text": "Hello"})).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("to"), "{error}");
        assert!(fake.requests().await.is_empty());
    }

    #[tokio::test]
    async fn sends_a_draft_as_it_is() {
        let draft = json!({"id": "r1", "message": from_ada("m9", &json!(["DRAFT"]))});
        let fake =
            FakeApi::new(&GMAIL).await.on("GET", DRAFT, 200, draft).on("POST", SEND, 200, sent());
        let result = fake.run::<SendDraft>(json!({"draft_id": "r1"})).await.unwrap();
        assert_eq!(
            result["recipients"],
            json!(["you@example.com", "bo@example.com", "you@example.com"])
        );
        assert_eq!(fake.requests().await[1].body, json!({"id": "r1"}));
    }

    #[tokio::test]
    async fn sends_no_draft_that_is_missing_or_to_nobody() {
        let fake = FakeApi::new(&GMAIL).await.on("GET", DRAFT, 404, gone()).on(
            "GET",
            DRAFT,
            200,
            written(),
        );
        let missing = fake.run::<SendDraft>(json!({"draft_id": "r1"})).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        let nobody = fake.run::<SendDraft>(json!({"draft_id": "r1"})).await.unwrap_err();
        assert!(nobody.message().contains("no recipient"), "{nobody}");
    }
}
