//! A message as Gmail writes it: its headers, its parts, and what of them is text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use mail_parser::{HeaderValue, MessageParser};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bodies::{decoded, readable};
use crate::mailboxes::Mailbox;

/// Gmail writes base64url, with padding or without.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The id of the whole message among its parts, where it is an attachment itself.
const WHOLE: &str = "whole";

/// A message. Which fields are there depends on the format that was asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Message {
    pub id: String,
    pub thread_id: String,
    pub label_ids: Vec<String>,
    pub snippet: String,
    pub internal_date: Option<String>,
    pub payload: Part,
    pub raw: Option<String>,
}

/// A part of a message; the first one is the whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Part {
    #[serde(rename = "partId")]
    pub id: String,
    pub mime_type: String,
    pub filename: String,
    pub headers: Vec<Header>,
    pub body: Content,
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Header {
    pub name: String,
    pub value: String,
}

/// What a part holds: here, or to be fetched by its id.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Content {
    pub attachment_id: Option<String>,
    pub size: u64,
    pub data: Option<String>,
}

/// A file in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attachment {
    /// Its id within the message.
    #[serde(rename = "attachment_id")]
    pub id: String,
    /// Its file name, as its sender chose it.
    pub name: String,
    /// Such as `application/pdf`, as its sender says.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// The headers that say who wrote to whom about what.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub from: Option<Mailbox>,
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub bcc: Vec<Mailbox>,
    pub reply_to: Vec<Mailbox>,
    pub subject: String,
    pub date: Option<String>,
    pub message_id: Option<String>,
    pub references: Vec<String>,
    /// Whether a machine sent it to many.
    pub bulk: bool,
}

/// The headers of an [`Envelope`].
pub(crate) const ENVELOPE: [&str; 13] = [
    "From",
    "To",
    "Cc",
    "Bcc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "References",
    "List-Id",
    "List-Unsubscribe",
    "Auto-Submitted",
    "Precedence",
];

impl Message {
    pub(crate) fn has_label(&self, label: &str) -> bool {
        self.label_ids.iter().any(|id| id == label)
    }

    pub(crate) fn envelope(&self) -> Envelope {
        let mut block = String::new();
        for header in &self.payload.headers {
            if ENVELOPE.iter().any(|name| name.eq_ignore_ascii_case(&header.name)) {
                // Whatever ends a line in a value is not the end of the header.
                let value = header.value.replace(['\r', '\n'], " ");
                let _ = write!(block, "{}: {value}\r\n", header.name);
            }
        }
        block.push_str("\r\n");
        // `None` without any header; the library's empty message cannot be asked.
        let Some(parsed) = MessageParser::default().parse_headers(block.as_bytes()) else {
            return Envelope::default();
        };
        let auto = parsed.header("Auto-Submitted").and_then(HeaderValue::as_text);
        let precedence = parsed.header("Precedence").and_then(HeaderValue::as_text);
        Envelope {
            from: Mailbox::list(parsed.from()).into_iter().next(),
            to: Mailbox::list(parsed.to()),
            cc: Mailbox::list(parsed.cc()),
            bcc: Mailbox::list(parsed.bcc()),
            reply_to: Mailbox::list(parsed.reply_to()),
            subject: parsed.subject().unwrap_or_default().to_owned(),
            date: self.payload.header("Date").map(str::to_owned),
            message_id: parsed.message_id().and_then(id),
            references: ids(parsed.references()),
            bulk: parsed.header("List-Id").is_some()
                || parsed.header("List-Unsubscribe").is_some()
                || auto.is_some_and(|auto| !auto.eq_ignore_ascii_case("no"))
                || precedence.is_some_and(|how| ["bulk", "list", "junk"].contains(&how)),
        }
    }

    /// The text for people, and the files.
    pub(crate) fn contents(&self) -> (String, Vec<Attachment>) {
        let mut files = Vec::new();
        let text = self.payload.text(&mut files).map(|(text, _)| text).unwrap_or_default();
        (text, files)
    }
}

/// The ids of messages in a header.
pub(crate) fn ids(header: &HeaderValue<'_>) -> Vec<String> {
    match header {
        HeaderValue::Text(one) => id(one).into_iter().collect(),
        HeaderValue::TextList(all) => all.iter().filter_map(|one| id(one)).collect(),
        _ => Vec::new(),
    }
}

/// An id that can stand between `<` and `>`.
fn id(text: &str) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= 250
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>');
    fits.then(|| text.to_owned())
}

impl Part {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.as_str())
    }

    pub(crate) fn charset(&self) -> Option<&str> {
        let (_, rest) = self.header("Content-Type")?.split_once("charset=")?;
        rest.trim_start_matches('"').split(['"', ';', ' ']).next()
    }

    fn is_file(&self) -> bool {
        let disposition = self.header("Content-Disposition").unwrap_or_default();
        !self.filename.is_empty()
            || self.body.attachment_id.is_some()
            || disposition.to_ascii_lowercase().starts_with("attachment")
    }

    /// The text of this part and of those in it, with whether it was plain; files are put aside.
    fn text(&self, files: &mut Vec<Attachment>) -> Option<(String, bool)> {
        if self.mime_type.starts_with("multipart/") {
            let texts: Vec<(String, bool)> =
                self.parts.iter().filter_map(|part| part.text(files)).collect();
            if self.mime_type == "multipart/alternative" {
                // The same in several forms, the plainest first.
                let plain = texts.iter().position(|(_, plain)| *plain);
                return texts.into_iter().nth(plain.unwrap_or_default());
            }
            let plain = texts.iter().all(|(_, plain)| *plain);
            let joined: Vec<String> = texts.into_iter().map(|(text, _)| text).collect();
            return (!joined.is_empty()).then(|| (joined.join("\n\n"), plain));
        }
        if self.is_file() || !self.mime_type.starts_with("text/") {
            if self.is_file() || self.body.size > 0 {
                files.push(self.attachment());
            }
            return None;
        }
        let text = decoded(self.data()?, self.charset());
        let is_html = self.mime_type == "text/html";
        let text = if is_html { readable(&text) } else { text };
        (!text.trim().is_empty()).then_some((text, !is_html))
    }

    fn data(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.body.data.as_deref()?).ok()
    }

    fn attachment(&self) -> Attachment {
        let id = if self.id.is_empty() { WHOLE } else { &self.id };
        let name = if self.filename.is_empty() { "unnamed" } else { &self.filename };
        Attachment {
            id: id.to_owned(),
            name: name.to_owned(),
            media_type: self.mime_type.clone(),
            size: self.body.size,
        }
    }

    /// The part of an [`Attachment`].
    pub(crate) fn file(&self, attachment_id: &str) -> Option<&Self> {
        if self.is_file() && self.attachment().id == attachment_id {
            return Some(self);
        }
        self.parts.iter().find_map(|part| part.file(attachment_id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn data(text: &str) -> Value {
        json!({"size": text.len(), "data": BASE64.encode(text)})
    }

    fn message(payload: &Value) -> Message {
        serde_json::from_value(json!({"id": "m1", "threadId": "t1", "payload": payload})).unwrap()
    }

    fn text(kind: &str, text: &str) -> Value {
        json!({"partId": "0", "mimeType": kind, "body": data(text)})
    }

    #[test]
    fn prefers_plain_text_and_puts_files_aside() {
        let (found, files) = message(&json!({"mimeType": "multipart/mixed", "parts": [
            {"partId": "0", "mimeType": "multipart/alternative", "parts": [
                text("text/html", "<b>Hello</b>"), text("text/plain", "Hello there")]},
            {"partId": "1", "mimeType": "application/pdf", "filename": "offer.pdf", "body": {"attachmentId": "A", "size": 9}},
            {"partId": "2", "mimeType": "text/plain", "filename": "notes.txt", "body": data("not the body")},
            {"partId": "3", "mimeType": "image/png", "body": {"attachmentId": "B", "size": 3}},
        ]}))
        .contents();
        assert_eq!(found, "Hello there");
        let names: Vec<(&str, &str)> =
            files.iter().map(|file| (file.id.as_str(), file.name.as_str())).collect();
        assert_eq!(names, [("1", "offer.pdf"), ("2", "notes.txt"), ("3", "unnamed")]);
    }

    #[test]
    fn reads_html_where_the_plain_text_is_empty() {
        let (found, _) = message(&json!({"mimeType": "multipart/alternative", "parts": [
            text("text/plain", " \r\n"), text("text/html", "<p>Only&nbsp;here</p>")]}))
        .contents();
        assert_eq!(found.replace('\u{a0}', " "), "Only here");
    }

    #[test]
    fn reads_the_charset_that_the_header_names() {
        let part = json!({"mimeType": "text/plain", "headers": [{"name": "content-type", "value": "text/plain; charset=\"iso-8859-1\"; format=flowed"}],
            "body": {"size": 4, "data": BASE64.encode(b"gr\xfcn")}});
        assert_eq!(message(&part).contents().0, "grün");
    }

    #[test]
    fn finds_the_part_of_a_file() {
        let whole = message(
            &json!({"mimeType": "application/pdf", "filename": "a.pdf", "body": {"attachmentId": "A", "size": 1}}),
        );
        assert_eq!(whole.contents().1[0].id, WHOLE);
        assert_eq!(whole.payload.file(WHOLE).unwrap().filename, "a.pdf");
        assert!(whole.payload.file("0").is_none());
    }

    #[test]
    fn reads_headers_as_anybody_may_have_written_them() {
        let headers = json!({"headers": [
            {"name": "From", "value": "=?utf-8?Q?Ad=C3=A1?= <ada@example.com>"},
            {"name": "TO", "value": "Bö <bo@example.com>, \"C, D\" <cd@example.com>"},
            {"name": "Subject", "value": "Grüße\r\nBcc: evil@example.net"},
            {"name": "Message-Id", "value": "<1@example.com>"},
            {"name": "References", "value": "<a@x> <b@x>"},
            {"name": "X-Other", "value": "7"},
        ]});
        let envelope = message(&headers).envelope();
        assert_eq!(envelope.from.unwrap().shown(), "Adá <ada@example.com>");
        let to: Vec<String> = envelope.to.iter().map(Mailbox::shown).collect();
        assert_eq!(to, ["Bö <bo@example.com>", "C, D <cd@example.com>"]);
        assert_eq!(envelope.subject, "Grüße  Bcc: evil@example.net");
        assert!(envelope.bcc.is_empty() && !envelope.bulk);
        assert_eq!(envelope.message_id.as_deref(), Some("1@example.com"));
        assert_eq!(envelope.references, ["a@x", "b@x"]);
    }

    #[test]
    fn a_message_may_have_no_header_at_all() {
        for headers in [json!([]), json!([{"name": "X-Other", "value": "7"}])] {
            let envelope = message(&json!({"headers": headers})).envelope();
            assert!(envelope.from.is_none() && envelope.subject.is_empty(), "{envelope:?}");
        }
    }

    #[test]
    fn knows_mail_that_a_machine_sent() {
        for (name, value, bulk) in [
            ("List-Unsubscribe", "<https://example.com>", true),
            ("List-Id", "<news.example.com>", true),
            ("Auto-Submitted", "auto-replied", true),
            ("Auto-Submitted", "no", false),
            ("Precedence", "bulk", true),
            ("Subject", "bulk", false),
        ] {
            let envelope =
                message(&json!({"headers": [{"name": name, "value": value}]})).envelope();
            assert_eq!(envelope.bulk, bulk, "{name}: {value}");
        }
    }
}
