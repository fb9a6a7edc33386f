//! Sending a message on to others.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::answers::prefixed;
use crate::attachments::bytes;
use crate::bodies::Body;
use crate::letters::{File, MAX_MESSAGE, Mail, is_media_type, mailboxes, message_id};
use crate::mailboxes::{Mailbox, defused};
use crate::messages::whole;
use crate::parts::Message;
use crate::permissions::MAIL_SEND;
use crate::sending::{Sent, send};

/// Characters of a text that is forwarded.
const MAX_TEXT: usize = 500_000;

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
