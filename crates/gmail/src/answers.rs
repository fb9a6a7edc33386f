//! Answering a conversation, and forwarding a message.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::attachments::bytes;
use crate::bodies::Body;
use crate::letters::{
    File, MAX_MESSAGE, Mail, NewAttachment, files, is_media_type, mailboxes, message_id,
    own_address,
};
use crate::mailboxes::{Mailbox, defused};
use crate::messages::{headers_only, whole};
use crate::parts::{Envelope, Message};
use crate::permissions::MAIL_SEND;
use crate::sending::{Sent, send};
use crate::threads::Thread;

/// Ids of earlier messages that an answer names at most.
const MAX_REFERENCES: usize = 20;
/// Characters of a text that is forwarded.
const MAX_TEXT: usize = 500_000;

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
fn prefixed(prefix: &str, subject: &str) -> String {
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

/// Sends a message on to others: its text and its files, with a note before it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ForwardMessage {
    /// Id of the message.
    message_id: String,
    /// Recipients, each such as `ada@example.com` or `Ada <ada@example.com>`.
    to: Vec<String>,
    /// Recipients of a copy.
    #[serde(default)]
    cc: Vec<String>,
    /// Recipients of a hidden copy.
    #[serde(default)]
    bcc: Vec<String>,
    /// What you say before it.
    note: Option<String>,
    /// Whether to leave out its files.
    #[serde(default)]
    without_attachments: bool,
}

impl Action for ForwardMessage {
    const NAME: &'static str = "forward_message";
    const RISK: Risk = Risk::Outward;
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

    async fn run(self, api: &Api) -> Result<Sent> {
        let (to, cc, bcc) =
            (mailboxes("to", &self.to)?, mailboxes("cc", &self.cc)?, mailboxes("bcc", &self.bcc)?);
        let message = whole(api, &self.message_id).await?;
        let files =
            if self.without_attachments { Vec::new() } else { fetch(api, &message).await? };
        let mail = Mail {
            message_id: message_id(api),
            to,
            cc,
            bcc,
            subject: prefixed("Fwd: ", &message.envelope().subject),
            text: forwarded(self.note.as_deref(), &message),
            files,
            ..Mail::default()
        };
        send(api, mail, None).await
    }
}

/// The text of a forwarded message under the headers that people look for.
fn forwarded(note: Option<&str>, message: &Message) -> String {
    let envelope = message.envelope();
    let list =
        |people: &[Mailbox]| people.iter().map(Mailbox::shown).collect::<Vec<_>>().join(", ");
    let lines = [
        ("From", envelope.from.as_ref().map(Mailbox::shown).unwrap_or_default()),
        ("Date", envelope.date.unwrap_or_default()),
        ("Subject", envelope.subject),
        ("To", list(&envelope.to)),
        ("Cc", list(&envelope.cc)),
    ];
    let head: String = lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let note = note.map(|note| format!("{note}\n\n")).unwrap_or_default();
    let body = Body::cut(&message.contents().0, MAX_TEXT).text;
    format!("{note}---------- Forwarded message ---------\n{head}\n{body}\n")
}

/// The files of a message.
async fn fetch(api: &Api, message: &Message) -> Result<Vec<File>> {
    let listed = message.contents().1;
    let size: u64 = listed.iter().map(|file| file.size).sum();
    // In a message they are a third larger.
    let most = MAX_MESSAGE as u64 * 7 / 10;
    if size > most {
        return Err(Error::invalid(
            "without_attachments",
            format!(
                "invalid input: the files of the message have {size} bytes, and at most {most} are forwarded. Set `without_attachments`, or forward it in Gmail. Nothing was sent."
            ),
        ));
    }
    let mut files = Vec::new();
    for one in listed {
        let Some(part) = message.payload.file(&one.attachment_id) else { continue };
        let is_plain = is_media_type(&one.media_type);
        files.push(File {
            name: defused(&one.name).replace(['/', '\\'], "_"),
            bytes: bytes(api, &message.id, part).await?,
            media_type: if is_plain { one.media_type } else { "application/octet-stream".into() },
        });
    }
    Ok(files)
}
