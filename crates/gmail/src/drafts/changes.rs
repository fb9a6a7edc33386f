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
    draft_id: String,
    /// Replaces all, as do the other lists.
    to: Option<Vec<String>>,
    cc: Option<Vec<String>>,
    bcc: Option<Vec<String>>,
    subject: Option<String>,
    /// Plain text.
    text: Option<String>,
    /// The same, formatted.
    html: Option<String>,
    attachments: Option<Vec<NewAttachment>>,
}

impl Action for UpdateDraft {
    const NAME: &'static str = "update_draft";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["edit an unsent email", "change the subject or recipients of a draft", "Entwurf ändern"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_WRITE;
    type Output = Written;

    fn tells_outsiders(&self) -> bool {
        true
    }

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

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GMAIL;
    use crate::drafts::tests::{DRAFT, written};
    use crate::letters::tests::parsed;

    /// A draft as a mail program leaves it: formatted, with a file, in a conversation.
    const KEPT: &str = "From: you@example.com\r\nTo: Ada <ada@example.com>\r\nCc: bo@example.com\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\
        Message-ID: <old@example.com>\r\nIn-Reply-To: <b@x>\r\nReferences: <a@x> <b@x>\r\nX-Other: 7\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
        --a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nOld text\r\n\
        --a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>Old text</b>\r\n--a--\r\n\
        --m\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"offer.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--m--\r\n";

    async fn fake(source: &str) -> FakeApi {
        let raw = BASE64.encode(source);
        let draft = json!({"id": "r1", "message": {"id": "m9", "threadId": "t1", "raw": raw}});
        FakeApi::new(&GMAIL).await.connected("you@example.com").on("GET", DRAFT, 200, draft).on(
            "PUT",
            DRAFT,
            200,
            written(),
        )
    }

    async fn changed(source: &str, change: Value) -> mail_parser::Message<'static> {
        let fake = fake(source).await;
        let result = fake.run::<UpdateDraft>(change).await.unwrap();
        assert_eq!(result, json!({"draft_id": "r1", "thread_id": "t1"}));
        let requests = fake.requests().await;
        assert_eq!(requests[0].query["format"], "raw");
        assert_eq!(requests[1].body["message"]["threadId"], "t1");
        parsed(&requests[1].body["message"]["raw"])
    }

    #[tokio::test]
    async fn what_is_left_out_stays() {
        let message = changed(KEPT, json!({"draft_id": "r1", "cc": []})).await;
        let to = Mailbox::list(message.to());
        assert_eq!(to[0].shown(), "Ada <ada@example.com>");
        assert!(message.cc().is_none());
        assert_eq!(message.subject(), Some("Grüße"));
        assert_eq!(message.body_text(0).unwrap().trim(), "Old text");
        assert_eq!(message.body_html(0).unwrap().trim(), "<b>Old text</b>");
        let file = message.attachment(0).unwrap();
        assert_eq!(
            (file.attachment_name(), file.contents()),
            (Some("offer.pdf"), &[0_u8, 1, 2][..])
        );
        assert_eq!(ids(message.references()), ["a@x", "b@x"]);
        assert_eq!(message.in_reply_to().as_text(), Some("b@x"));
    }

    #[tokio::test]
    async fn new_text_leaves_no_old_html() {
        let message = changed(KEPT, json!({"draft_id": "r1", "text": "New", "to": ["cy@example.com"], "subject": "Other", "bcc": ["d@example.com"], "attachments": []})).await;
        assert_eq!(message.body_text(0).unwrap().trim(), "New");
        assert!(
            !message.html_bodies().any(|part| matches!(part.body, PartType::Html(_))),
            "{message:?}"
        );
        assert_eq!(Mailbox::list(message.to())[0].email, "cy@example.com");
        assert_eq!(Mailbox::list(message.bcc())[0].email, "d@example.com");
        assert_eq!((message.subject(), message.attachment_count()), (Some("Other"), 0));
    }

    #[tokio::test]
    async fn new_html_says_the_same_as_text() {
        let message = changed(KEPT, json!({"draft_id": "r1", "html": "<p>Brand new</p>"})).await;
        assert_eq!(message.body_text(0).unwrap().trim(), "Brand new");
        assert_eq!(message.body_html(0).unwrap().trim(), "<p>Brand new</p>");
    }

    #[tokio::test]
    async fn every_part_of_a_text_stays() {
        let source = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n\
            --m\r\nContent-Type: text/plain\r\n\r\nBefore\r\n--m\r\nContent-Type: text/html\r\n\r\n<i>After</i>\r\n--m--\r\n";
        let message = changed(source, json!({"draft_id": "r1", "subject": "y"})).await;
        let text = message.body_text(0).unwrap().into_owned();
        assert!(text.contains("Before") && text.contains("After"), "{text}");
        let html = message.body_html(0).unwrap().into_owned();
        assert!(html.contains("Before") && html.contains("<i>After</i>"), "{html}");
    }

    #[tokio::test]
    async fn explains_a_missing_draft() {
        let gone = json!({"error": {"code": 404, "message": "Requested entity was not found."}});
        let fake = FakeApi::new(&GMAIL).await.on("GET", DRAFT, 404, gone);
        let error = fake.run::<UpdateDraft>(json!({"draft_id": "r1"})).await.unwrap_err();
        assert!(error.message().contains("gmail_list_drafts"), "{error}");
    }

    #[tokio::test]
    async fn changes_nothing_that_it_cannot_read() {
        let draft = json!({"id": "r1", "message": {"id": "m9", "raw": "%%%"}});
        let fake = FakeApi::new(&GMAIL).await.on("GET", DRAFT, 200, draft);
        let error = fake.run::<UpdateDraft>(json!({"draft_id": "r1"})).await.unwrap_err();
        assert!(error.message().contains("Nothing was changed"), "{error}");
    }
}
