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
    /// Id of the conversation.
    thread_id: String,
    /// Text of the answer.
    text: String,
    /// The same as HTML, for formatting.
    html: Option<String>,
    /// Whether everybody who received the last message receives a copy.
    #[serde(default)]
    reply_all: bool,
    /// Further recipients of a copy.
    #[serde(default)]
    cc: Vec<String>,
    /// Files, at most about 3.5 MB together.
    #[serde(default)]
    attachments: Vec<NewAttachment>,
}

impl Action for ReplyToThread {
    const NAME: &'static str = "reply_to_thread";
    const RISK: Risk = Risk::Outward;
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

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
