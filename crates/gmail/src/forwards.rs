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
    message_id: String,
    /// Such as `Ada <ada@example.com>`.
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    bcc: Vec<String>,
    /// Goes before it.
    note: Option<String>,
    #[serde(default)]
    without_attachments: bool,
}

impl Action for ForwardMessage {
    const NAME: &'static str = "forward_message";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "forward an email",
        "pass a mail on to a colleague",
        "Mail weiterleiten",
        "transférer un mail",
        "reenviar correo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Sent;

    fn tells_outsiders(&self) -> bool {
        true
    }

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
        let Some(part) = message.payload.file(&one.id) else { continue };
        let is_plain = is_media_type(&one.media_type);
        files.push(File {
            name: defused(&one.name).replace(['/', '\\'], "_"),
            bytes: bytes(api, &message.id, part).await?,
            media_type: if is_plain { one.media_type } else { "application/octet-stream".into() },
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use mail_parser::MimeHeaders as _;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::messages::tests::from_ada;
    use crate::parts::BASE64;
    use crate::sending::tests::{message_of, obliging};

    const MESSAGE: &str = "/gmail/v1/users/me/messages/m1";
    const FILE: &str = "/gmail/v1/users/me/messages/m1/attachments/A1";

    /// A message from Ada with a file of this name, type and size.
    async fn fake(name: &str, kind: &str, size: u64) -> FakeApi {
        let mut message = from_ada("m1", &json!(["INBOX"]));
        let text =
            json!({"partId": "0", "mimeType": "text/plain", "body": message["payload"]["body"]});
        let file = json!({"partId": "1", "mimeType": kind, "filename": name, "body": {"attachmentId": "A1", "size": size}});
        message["payload"]["mimeType"] = "multipart/mixed".into();
        message["payload"]["body"] = json!({"size": 0});
        message["payload"]["parts"] = json!([text, file]);
        obliging().await.on("GET", MESSAGE, 200, message).on(
            "GET",
            FILE,
            200,
            json!({"size": 3, "data": BASE64.encode([0xff, 0xfe, 0xfd])}),
        )
    }

    fn arguments() -> Value {
        json!({"message_id": "m1", "to": ["cy@example.com"], "bcc": ["d@example.com"], "note": "See below."})
    }

    #[tokio::test]
    async fn sends_a_message_on_with_its_files_and_a_note() {
        let fake = fake("offer.pdf", "application/pdf", 3).await;
        let sent = fake.run::<ForwardMessage>(arguments()).await.unwrap();
        assert_eq!(sent["recipients"], json!(["cy@example.com", "d@example.com"]));
        let (message, thread) = message_of(&fake).await;
        assert_eq!((message.subject(), thread), (Some("Fwd: Offer"), Value::Null));
        assert_eq!(
            message.body_text(0).unwrap().replace("\r\n", "\n"),
            "See below.\n\n---------- Forwarded message ---------\nFrom: Ada <ada@example.com>\n\
             Date: Thu, 1 Jan 2026 00:00:00 +0000\nSubject: Offer\nTo: you@example.com\n\
             Cc: Bo <bo@example.com>, you@example.com\n\nIt's me & you, in full.\n"
        );
        let file = message.attachment(0).unwrap();
        assert_eq!(
            (file.attachment_name(), file.contents()),
            (Some("offer.pdf"), &[0xff_u8, 0xfe, 0xfd][..])
        );
        assert_eq!(file.content_type().unwrap().subtype(), Some("pdf"));
    }

    #[tokio::test]
    async fn forwards_without_the_files() {
        let fake = fake("offer.pdf", "application/pdf", 90_000_000).await;
        let mut arguments = arguments();
        arguments["without_attachments"] = true.into();
        fake.run::<ForwardMessage>(arguments).await.unwrap();
        assert_eq!(message_of(&fake).await.0.attachment_count(), 0);
    }

    #[tokio::test]
    async fn refuses_files_that_are_too_large_before_anything_is_sent() {
        let fake = fake("offer.pdf", "application/pdf", 3_500_001).await;
        let error = fake.run::<ForwardMessage>(arguments()).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("without_attachments"), "{error}");
        assert_eq!(fake.requests().await.len(), 1);
    }

    /// D3: a stranger chose the name and the type of the file.
    #[tokio::test]
    async fn a_strangers_file_brings_no_header() {
        let fake = fake("a\r\nBcc: evil@example.net/../x", "text/x\r\nBcc: evil@example.net", 3);
        let fake = fake.await;
        fake.run::<ForwardMessage>(arguments()).await.unwrap();
        let (message, _) = message_of(&fake).await;
        assert_eq!(message.headers().iter().filter(|header| header.name() == "Bcc").count(), 1);
        let file = message.attachment(0).unwrap();
        assert_eq!(file.attachment_name(), Some("a  Bcc: evil@example.net_.._x"));
        assert_eq!(file.content_type().unwrap().ctype(), "application");
        assert!(file.headers.iter().all(|header| header.name().starts_with("Content-")));
    }
}
