//! Changing a draft: Gmail replaces the whole message, so what stays is read first.

use base64::Engine as _;
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Draft, Written, body, find};
use crate::bodies::readable;
use crate::letters::{File, Mail, NewAttachment, files, is_media_type, mailboxes, message_id};
use crate::mailboxes::{Mailbox, defused};
use crate::parts::{BASE64, Message, ids};
use crate::permissions::DRAFTS_WRITE;

/// Changes a draft; what is left out stays. New text and new HTML each replace the text in both forms.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateDraft {
    /// Id of the draft.
    draft_id: String,
    /// All recipients.
    to: Option<Vec<String>>,
    /// All recipients of a copy.
    cc: Option<Vec<String>>,
    /// All recipients of a hidden copy.
    bcc: Option<Vec<String>>,
    /// What it is about.
    subject: Option<String>,
    /// Its text.
    text: Option<String>,
    /// The same as HTML.
    html: Option<String>,
    /// All its files.
    attachments: Option<Vec<NewAttachment>>,
}

impl Action for UpdateDraft {
    const NAME: &'static str = "update_draft";
    const RISK: Risk = Risk::Write;
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_WRITE;
    type Output = Written;

    async fn run(self, api: &Api) -> Result<Written> {
        let draft = find(api, &self.draft_id, "raw").await?;
        let mut mail = read(api, &draft.message)?;
        if let Some(to) = &self.to {
            mail.to = mailboxes("to", to)?;
        }
        if let Some(cc) = &self.cc {
            mail.cc = mailboxes("cc", cc)?;
        }
        if let Some(bcc) = &self.bcc {
            mail.bcc = mailboxes("bcc", bcc)?;
        }
        if let Some(subject) = self.subject {
            mail.subject = subject;
        }
        // One form alone would say something else than the other.
        if self.text.is_some() || self.html.is_some() {
            let spoken = || self.html.as_deref().map(readable).unwrap_or_default();
            mail.text = self.text.unwrap_or_else(spoken);
            mail.html = self.html;
        }
        if let Some(attachments) = self.attachments {
            mail.files = files(attachments)?;
        }
        let thread = Some(draft.message.thread_id.as_str()).filter(|id| !id.is_empty());
        let raw = mail.raw()?;
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/update
        let request = api.put("/gmail/v1/users/me/drafts/{}", &[&self.draft_id]);
        request.json(&body(&raw, thread)).send().await.map(|draft: Draft| draft.into())
    }
}

/// The message of a draft, which a person or another program may have written.
fn read(api: &Api, message: &Message) -> Result<Mail> {
    let unreadable = || {
        Error::new(
            Code::ProviderDown,
            "Google sent a draft that cannot be read. Nothing was changed. Edit it in Gmail.",
        )
    };
    let bytes = BASE64.decode(message.raw.as_deref().unwrap_or_default());
    let bytes = bytes.map_err(|_| unreadable())?;
    let parsed = MessageParser::default().parse(&bytes).ok_or_else(unreadable)?;
    let people = |list| Mailbox::list(list).iter().filter_map(Mailbox::trusted).collect();
    let texts = parsed.text_bodies().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        PartType::Html(html) => Some(readable(html)),
        _ => None,
    });
    let is_formatted = parsed.html_bodies().any(|part| matches!(part.body, PartType::Html(_)));
    let html = parsed.html_bodies().enumerate().filter_map(|(n, _)| parsed.body_html(n));
    let files = parsed.attachments().map(|part| {
        let kind = part
            .content_type()
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")));
        let media_type = kind.filter(|kind| is_media_type(kind));
        File {
            name: defused(part.attachment_name().unwrap_or("unnamed")).replace(['/', '\\'], "_"),
            media_type: media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            bytes: part.contents().to_vec(),
        }
    });
    let mut references = ids(parsed.references());
    if references.is_empty() {
        references = ids(parsed.in_reply_to());
    }
    Ok(Mail {
        message_id: message_id(api),
        to: people(parsed.to()),
        cc: people(parsed.cc()),
        bcc: people(parsed.bcc()),
        subject: defused(parsed.subject().unwrap_or_default()),
        text: texts.collect::<Vec<_>>().join("\n\n"),
        html: is_formatted.then(|| html.collect()),
        files: files.collect(),
        references,
    })
}
