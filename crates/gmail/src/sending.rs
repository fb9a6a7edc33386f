//! Sending, at most once: a message is first a draft, and a draft can be sent only once. When Gmail's
//! answer is lost, the mailbox tells what became of it.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::drafts::{create, delete, find, get};
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
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

    async fn run(self, api: &Api) -> Result<Sent> {
        send(api, Mail::of(api, self.letter)?, None).await
    }
}

/// Sends a draft as it is.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendDraft {
    /// Id of the draft.
    draft_id: String,
}

impl Action for SendDraft {
    const NAME: &'static str = "send_draft";
    const RISK: Risk = Risk::Outward;
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
            let _ = delete(api, &draft.id).await;
            Err(error)
        }
    }
}

/// At worst a draft was written that nobody receives.
fn harmless(mut error: Error) -> Error {
    let details = error.details_mut();
    details.code = Code::ProviderDown;
    details.message =
        "Google did not say whether it wrote the draft of the message. Nothing was sent, though a draft may be left. Try again later."
            .to_owned();
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
