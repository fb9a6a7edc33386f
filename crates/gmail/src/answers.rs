//! Answering a conversation.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::letters::{Mail, NewAttachment, files, mailboxes, message_id, own_address};
use crate::mailboxes::{Mailbox, defused};
use crate::messages::headers_only;
use crate::parts::Envelope;
use crate::permissions::MAIL_SEND;
use crate::sending::{Sent, send};
use crate::threads::Thread;

/// Ids of earlier messages that an answer names at most.
const MAX_REFERENCES: usize = 20;

/// The last message of a conversation, which an answer goes to.
pub(crate) struct Answered {
    envelope: Envelope,
    is_own: bool,
}

impl Answered {
    pub(crate) async fn find(api: &Api, thread_id: &str) -> Result<Self> {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/get
        let request = api.get("/gmail/v1/users/me/threads/{}", &[&thread_id]);
        let thread: Thread = headers_only(request).send().await?;
        let last = thread.sent().next_back().ok_or_else(|| {
            Error::new(Code::Conflict, "Nothing was said in this conversation so far.")
        })?;
        Ok(Self { envelope: last.envelope(), is_own: last.has_label("SENT") })
    }

    /// Whom an answer goes to: whoever sent it, or whom the owner wrote to before.
    pub(crate) fn to(&self) -> Result<Vec<Mailbox>> {
        let envelope = &self.envelope;
        let to: Vec<Mailbox> = if self.is_own {
            envelope.to.iter().filter_map(Mailbox::trusted).collect()
        } else if envelope.reply_to.is_empty() {
            envelope.from.iter().filter_map(Mailbox::trusted).collect()
        } else {
            envelope.reply_to.iter().filter_map(Mailbox::trusted).collect()
        };
        if to.is_empty() {
            return Err(Error::new(
                Code::InvalidInput,
                "The last message has no address that an answer can go to. Nothing was sent. Use gmail_send_message.",
            ));
        }
        Ok(to)
    }

    /// Everybody else who received it.
    fn others(&self, own: &str, to: &[Mailbox]) -> Vec<Mailbox> {
        let all = self.envelope.to.iter().chain(&self.envelope.cc);
        let mut others: Vec<Mailbox> = Vec::new();
        for one in all.filter_map(Mailbox::trusted) {
            if !one.is(own) && !to.iter().chain(&others).any(|known| known.is(&one.email)) {
                others.push(one);
            }
        }
        others
    }

    /// Makes a message part of the conversation: Gmail wants its subject and both headers.
    pub(crate) fn thread(&self, mail: &mut Mail) {
        mail.subject = prefixed("Re: ", &self.envelope.subject);
        let mut references = self.envelope.references.clone();
        references.extend(self.envelope.message_id.clone());
        if references.len() > MAX_REFERENCES {
            // The first one and the latest are what programs look at.
            references.drain(1..=references.len() - MAX_REFERENCES);
        }
        mail.references = references;
    }
}

/// A subject with its prefix, once.
pub(crate) fn prefixed(prefix: &str, subject: &str) -> String {
    let subject = defused(subject);
    let has = subject
        .get(..prefix.len() - 1)
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.trim_end()));
    if has { subject } else { format!("{prefix}{subject}") }
}

/// Answers the last message of a conversation, and sends the answer.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReplyToThread {
    thread_id: String,
    /// Plain text.
    text: String,
    /// The same, formatted.
    html: Option<String>,
    #[serde(default)]
    reply_all: bool,
    /// Besides.
    #[serde(default)]
    cc: Vec<String>,
    /// At most about 3.5 MB together.
    #[serde(default)]
    attachments: Vec<NewAttachment>,
}

impl Action for ReplyToThread {
    const NAME: &'static str = "reply_to_thread";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "reply to an email",
        "answer a customer's mail",
        "respond to a message",
        "auf Mail antworten",
        "répondre à un mail",
        "responder correo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Sent> {
        let mut cc = mailboxes("cc", &self.cc)?;
        let files = files(self.attachments)?;
        let answered = Answered::find(api, &self.thread_id).await?;
        let to = answered.to()?;
        if self.reply_all {
            let known: Vec<Mailbox> = to.iter().chain(&cc).cloned().collect();
            cc.extend(answered.others(own_address(api), &known));
        }
        let mut mail = Mail {
            message_id: message_id(api),
            to,
            cc,
            text: self.text,
            html: self.html,
            files,
            ..Mail::default()
        };
        answered.thread(&mut mail);
        send(api, mail, Some(&self.thread_id)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::messages::tests::from_ada;
    use crate::sending::tests::{message_of, obliging};

    const THREAD: &str = "/gmail/v1/users/me/threads/t1";

    /// Answers a conversation of these messages; what arrived and how it was put into a conversation.
    async fn answer(
        messages: Value,
        arguments: Value,
    ) -> Result<(mail_parser::Message<'static>, Value)> {
        let thread = json!({"id": "t1", "messages": messages});
        let fake = obliging().await.on("GET", THREAD, 200, thread);
        fake.run::<ReplyToThread>(arguments).await?;
        Ok(message_of(&fake).await)
    }

    fn with(headers: &Value) -> Value {
        let mut message = from_ada("m1", &json!(["INBOX"]));
        message["payload"]["headers"] = headers.clone();
        message
    }

    fn people(list: Option<&mail_parser::Address<'_>>) -> Vec<String> {
        Mailbox::list(list).iter().map(Mailbox::shown).collect()
    }

    #[tokio::test]
    async fn answers_whoever_wrote_last() {
        let draft = json!({"id": "m2", "threadId": "t1", "labelIds": ["DRAFT"]});
        let messages = json!([from_ada("m1", &json!(["INBOX"])), draft]);
        let arguments = json!({"thread_id": "t1", "text": "Yes", "cc": ["cy@example.com"]});
        let (message, thread) = answer(messages, arguments).await.unwrap();
        assert_eq!(thread, "t1");
        assert_eq!(message.subject(), Some("Re: Offer"));
        assert_eq!(people(message.to()), ["Ada <ada@example.com>"]);
        assert_eq!(people(message.cc()), ["cy@example.com"]);
        assert_eq!(message.in_reply_to().as_text(), Some("m1@example.com"));
        assert_eq!(
            crate::parts::ids(message.references()),
            ["first@example.com", "m1@example.com"]
        );
    }

    #[tokio::test]
    async fn answers_everybody_but_the_owner_once() {
        let messages = json!([from_ada("m1", &json!(["INBOX"]))]);
        let arguments =
            json!({"thread_id": "t1", "text": "Yes", "reply_all": true, "cc": ["BO@example.com"]});
        let (message, _) = answer(messages, arguments).await.unwrap();
        assert_eq!(people(message.to()), ["Ada <ada@example.com>"]);
        assert_eq!(people(message.cc()), ["BO@example.com"]);
    }

    #[tokio::test]
    async fn goes_on_with_those_whom_the_owner_wrote_to() {
        let mut own = from_ada("m1", &json!(["SENT"]));
        own["payload"]["headers"] = json!([{"name": "From", "value": "you@example.com"},
            {"name": "To", "value": "ada@example.com"}, {"name": "Subject", "value": "RE: Offer"}]);
        let (message, _) =
            answer(json!([own]), json!({"thread_id": "t1", "text": "And?"})).await.unwrap();
        assert_eq!(people(message.to()), ["ada@example.com"]);
        assert_eq!(message.subject(), Some("RE: Offer"));
    }

    #[tokio::test]
    async fn heeds_where_answers_are_wanted() {
        let message = with(&json!([{"name": "From", "value": "shop@example.com"},
            {"name": "Reply-To", "value": "Help <help@example.com>"}]));
        let (message, _) =
            answer(json!([message]), json!({"thread_id": "t1", "text": "x"})).await.unwrap();
        assert_eq!(people(message.to()), ["Help <help@example.com>"]);
    }

    /// D3: what a stranger wrote into headers becomes no header of the answer.
    #[tokio::test]
    async fn takes_over_no_header_of_a_stranger() {
        let message = with(&json!([
            {"name": "From", "value": "=?utf-8?B?QWRhDQpCY2M6IGV2aWxAZXhhbXBsZS5uZXQ=?= <ada@example.com>"},
            {"name": "Subject", "value": "=?utf-8?B?eA0KQmNjOiBldmlsQGV4YW1wbGUubmV0?="},
            {"name": "Message-ID", "value": "<a@x>\r\nBcc: evil@example.net"}]));
        let (message, _) =
            answer(json!([message]), json!({"thread_id": "t1", "text": "x"})).await.unwrap();
        assert!(message.bcc().is_none() && message.header("Bcc").is_none(), "{message:?}");
        assert_eq!(Mailbox::list(message.to())[0].email, "ada@example.com");
    }

    #[tokio::test]
    async fn a_long_conversation_keeps_its_first_and_latest_references() {
        let ids: Vec<String> = (0..60).map(|n| format!("<{n}@x>")).collect();
        let message = with(&json!([{"name": "From", "value": "ada@example.com"},
            {"name": "References", "value": ids.join(" ")}, {"name": "Message-ID", "value": "<last@x>"}]));
        let (message, _) =
            answer(json!([message]), json!({"thread_id": "t1", "text": "x"})).await.unwrap();
        let kept = crate::parts::ids(message.references());
        assert_eq!((kept.len(), kept[0].as_str(), kept[1].as_str()), (20, "0@x", "42@x"));
        assert_eq!(kept[19], "last@x");
    }

    #[tokio::test]
    async fn explains_a_conversation_that_cannot_be_answered() {
        for (messages, code) in [
            (json!([{"id": "m1", "threadId": "t1", "labelIds": ["DRAFT"]}]), Code::Conflict),
            (json!([with(&json!([{"name": "From", "value": "undisclosed"}]))]), Code::InvalidInput),
        ] {
            let error =
                answer(messages, json!({"thread_id": "t1", "text": "x"})).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
    }
}
