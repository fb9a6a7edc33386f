//! Messages of ours: what an agent gives, checked, and built as MIME. No value can become a header
//! that was not meant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use resto_core::{Api, Code, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mailboxes::{Mailbox, plain};
use crate::parts::BASE64;

/// The largest message that fits into a request, in bytes.
pub(crate) const MAX_MESSAGE: usize = 5_000_000;
/// The most who receive one message.
const MAX_RECIPIENTS: usize = 100;

/// A file to send.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct NewAttachment {
    /// Such as `offer.pdf`.
    name: String,
    media_type: Option<String>,
    /// If it is text; else `data_base64`.
    text: Option<String>,
    data_base64: Option<String>,
}

/// What a message says and to whom. Actions flatten it into their input.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Letter {
    /// Such as `Ada <ada@example.com>`.
    #[serde(default)]
    pub to: Vec<String>,
    #[serde(default)]
    pub cc: Vec<String>,
    #[serde(default)]
    pub bcc: Vec<String>,
    #[serde(default)]
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same, formatted.
    pub html: Option<String>,
    /// At most about 3.5 MB together.
    #[serde(default)]
    pub attachments: Vec<NewAttachment>,
}

/// A file of a message.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub name: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// A message that can be built.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    pub message_id: String,
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub bcc: Vec<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub files: Vec<File>,
    /// The ids of the messages that it answers, the last one directly.
    pub references: Vec<String>,
}

/// The id of the message of this operation: the same when the same call is made again, so that it is
/// found if it was sent before.
pub(crate) fn message_id(api: &Api) -> String {
    format!("{}@{}", api.op_id(), own_address(api).split('@').nth(1).unwrap_or("gmail.com"))
}

/// The address of the mailbox.
pub(crate) fn own_address(api: &Api) -> &str {
    api.account().map(|account| account.id.as_str()).unwrap_or_default()
}

/// The addresses of one field.
pub(crate) fn mailboxes(field: &str, texts: &[String]) -> Result<Vec<Mailbox>> {
    texts.iter().map(|text| Mailbox::read(field, text)).collect()
}

/// The files of the field `attachments`.
pub(crate) fn files(given: Vec<NewAttachment>) -> Result<Vec<File>> {
    given.into_iter().map(NewAttachment::file).collect()
}

fn wrong(what: &str) -> Error {
    Error::invalid("attachments", format!("invalid input: {what}. Nothing was sent."))
}

impl NewAttachment {
    fn file(self) -> Result<File> {
        let (bytes, kind) = match (self.text, self.data_base64) {
            (Some(text), None) => (text.into_bytes(), "text/plain"),
            (None, Some(data)) => {
                let bytes = STANDARD.decode(data.trim());
                let bytes =
                    bytes.map_err(|_| wrong("an attachment's `data_base64` is not base64"))?;
                (bytes, "application/octet-stream")
            }
            _ => return Err(wrong("an attachment needs `text` or `data_base64`, and not both")),
        };
        let media_type = self.media_type.unwrap_or_else(|| kind.to_owned());
        if !is_media_type(&media_type) {
            return Err(wrong("an attachment's `media_type` is none, such as `application/pdf`"));
        }
        plain("attachments", &self.name)?;
        if self.name.is_empty() || self.name.len() > 255 || self.name.contains(['/', '\\']) {
            return Err(wrong("an attachment's `name` is no file name"));
        }
        Ok(File { name: self.name, media_type, bytes })
    }
}

/// Whether it is a type and a subtype, without parameters (RFC 6838), and of a file.
pub(crate) fn is_media_type(text: &str) -> bool {
    let Some((kind, sub)) = text.split_once('/') else { return false };
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() < 128
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c))
    };
    // Whole messages and parts of parts must not be in base64.
    is_name(kind)
        && is_name(sub)
        && !["multipart", "message"].iter().any(|other| kind.eq_ignore_ascii_case(other))
}

impl Mail {
    /// A message of this operation.
    pub(crate) fn of(api: &Api, letter: Letter) -> Result<Self> {
        Ok(Self {
            message_id: message_id(api),
            to: mailboxes("to", &letter.to)?,
            cc: mailboxes("cc", &letter.cc)?,
            bcc: mailboxes("bcc", &letter.bcc)?,
            subject: letter.subject,
            text: letter.text,
            html: letter.html,
            files: files(letter.attachments)?,
            references: Vec::new(),
        })
    }

    /// Whoever receives it.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = &Mailbox> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    /// As MIME (RFC 5322), in the base64url that Gmail takes.
    ///
    /// # Errors
    /// The subject could not stand in a header, or it is too large, or has too many recipients.
    pub(crate) fn raw(self) -> Result<String> {
        plain("subject", &self.subject)?;
        if self.recipients().count() > MAX_RECIPIENTS {
            return Err(Error::invalid(
                "to",
                format!("invalid input: more than {MAX_RECIPIENTS} recipients. Nothing was sent."),
            ));
        }
        let bytes = self.build()?;
        if bytes.len() > MAX_MESSAGE {
            return Err(wrong(&format!(
                "the message would have {} bytes, and at most {MAX_MESSAGE} are sent",
                bytes.len()
            )));
        }
        Ok(BASE64.encode(bytes))
    }

    fn build(self) -> Result<Vec<u8>> {
        // `From` is left to Gmail, which writes the mailbox's own.
        let mut mail = MessageBuilder::new().message_id(self.message_id);
        for (name, people) in [("To", self.to), ("Cc", self.cc), ("Bcc", self.bcc)] {
            if !people.is_empty() {
                let people =
                    people.into_iter().map(|one| Address::new_address(one.name, one.email));
                mail = mail.header(name, Address::new_list(people.collect()));
            }
        }
        mail = mail.subject(self.subject).text_body(self.text);
        if let Some(direct) = self.references.last() {
            mail = mail.in_reply_to(direct.clone()).references(self.references);
        }
        if let Some(html) = self.html {
            mail = mail.html_body(html);
        }
        // Text without a character set is ASCII for some programs.
        for file in self.files {
            let mut kind = ContentType::new(file.media_type);
            if kind.c_type.starts_with("text/")
                && !file.bytes.is_ascii()
                && str::from_utf8(&file.bytes).is_ok()
            {
                kind = kind.attribute("charset", "utf-8");
            }
            mail = mail.attachment(kind, file.name, file.bytes);
        }
        mail.write_to_vec().map_err(|error| {
            Error::new(Code::Internal, format!("The message could not be written: {error}"))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use mail_parser::{HeaderValue, Message, MessageParser, MimeHeaders as _};
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GMAIL;

    /// The message of a request's `raw`.
    pub fn parsed(raw: &Value) -> Message<'static> {
        let bytes = BASE64.decode(raw.as_str().unwrap()).unwrap();
        MessageParser::default().parse(&bytes).unwrap().into_owned()
    }

    /// The names of its headers, in order.
    pub fn header_names(message: &Message<'_>) -> Vec<String> {
        message.headers().iter().map(|header| header.name().to_owned()).collect()
    }

    /// The mailbox of you@example.com.
    async fn api() -> Api {
        FakeApi::new(&GMAIL).await.connected("you@example.com").api(Risk::Write)
    }

    fn built(api: &Api, letter: Value) -> Result<Message<'static>> {
        let mail = Mail::of(api, serde_json::from_value(letter).unwrap())?;
        Ok(parsed(&mail.raw()?.into()))
    }

    #[tokio::test]
    async fn a_message_has_exactly_the_headers_that_were_meant() {
        let api = api().await;
        let message = built(&api, json!({"to": ["Ada <ada@example.com>", "bo@example.com"], "subject": "Grüße, \"Ada\": 1 < 2",
            "text": "Hello\nBcc: evil@example.net\n\n.\n", "html": "<b>Hello</b>"}))
        .unwrap();
        assert_eq!(
            header_names(&message),
            ["Message-ID", "To", "Subject", "Date", "MIME-Version", "Content-Type"]
        );
        assert_eq!(message.message_id(), Some("00000000-0000-0000-0000-000000000007@example.com"));
        assert_eq!(message.subject(), Some("Grüße, \"Ada\": 1 < 2"));
        let to = Mailbox::list(message.to());
        let to: Vec<String> = to.iter().map(Mailbox::shown).collect();
        assert_eq!(to, ["Ada <ada@example.com>", "bo@example.com"]);
        let text = message.body_text(0).unwrap();
        assert!(text.starts_with("Hello") && text.contains("evil@example.net"), "{text}");
        assert_eq!(message.body_html(0).unwrap(), "<b>Hello</b>");
    }

    /// D3: whatever an agent was talked into, it does not become a header.
    #[tokio::test]
    async fn line_breaks_and_encoded_words_are_refused_in_every_header() {
        let api = api().await;
        let evil = [
            "x\r\nBcc: evil@example.net",
            "x\nBcc: evil@example.net",
            "x\rBcc: evil@example.net",
            "x\r\n\r\nbody",
            "x\r\n Bcc: evil@example.net",
            "x\0y",
            "x\u{85}Bcc: evil@example.net",
            "x\u{2028}Bcc: evil@example.net",
            "=?utf-8?B?eA0KQmNjOiBldmlsQGV4YW1wbGUubmV0?=",
            "=?utf-8?Q?x=0D=0ABcc:_evil@example.net?=",
        ];
        for text in evil {
            let address = format!("{text} <ada@example.com>");
            let file =
                |name: &str, kind: &str| json!([{"name": name, "media_type": kind, "text": "x"}]);
            for (field, letter) in [
                ("to", json!({"to": [address], "text": "x"})),
                ("to", json!({"to": [format!("ada@example.com{text}")], "text": "x"})),
                ("cc", json!({"cc": [address], "text": "x"})),
                ("bcc", json!({"bcc": [address], "text": "x"})),
                ("subject", json!({"subject": text, "text": "x"})),
                ("attachments", json!({"text": "x", "attachments": file(text, "text/plain")})),
                (
                    "attachments",
                    json!({"text": "x", "attachments": file("x", &format!("text/{text}"))}),
                ),
            ] {
                let error = built(&api, letter).unwrap_err();
                assert_eq!(error.code(), Code::InvalidInput, "{field} {text:?}");
                assert_eq!(error.details().field.as_deref(), Some(field), "{text:?}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn odd_but_harmless_values_arrive_as_they_were_given() {
        let api = api().await;
        let names = [
            "a\"; filename=\"evil.exe",
            "Übersicht €.pdf",
            "a;b=c.txt",
            "x.pdf\u{202e}",
            "%0d%0a.txt",
            "a'b''c.txt",
        ];
        for name in names {
            let message = built(&api, json!({"to": ["\"Evil: x; y, z\" <ada@example.com>"], "subject": "Re: a; b=\"c\" (d) <e@f> ?= x",
                "text": "see", "attachments": [{"name": name, "data_base64": "AAEC"}]}))
            .unwrap();
            assert_eq!(
                header_names(&message),
                ["Message-ID", "To", "Subject", "Date", "MIME-Version", "Content-Type"],
                "{name}"
            );
            assert_eq!(message.subject(), Some("Re: a; b=\"c\" (d) <e@f> ?= x"));
            let to = Mailbox::list(message.to());
            assert_eq!(
                (to.len(), to[0].email.as_str(), to[0].name.as_deref()),
                (1, "ada@example.com", Some("Evil: x; y, z"))
            );
            let file = message.attachment(0).unwrap();
            assert_eq!(
                (message.attachment_count(), file.attachment_name()),
                (1, Some(name)),
                "{name}"
            );
            assert_eq!(file.contents(), [0, 1, 2]);
            let mut names: Vec<&str> = file.headers.iter().map(mail_parser::Header::name).collect();
            names.sort_unstable();
            let meant = ["Content-Disposition", "Content-Transfer-Encoding", "Content-Type"];
            assert_eq!(names, meant, "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_of_text_says_its_character_set() {
        let api = api().await;
        for (data, charset) in [("R3LDvMOfZQ==", Some("utf-8")), ("R3L83w==", None)] {
            let file = json!([{"name": "a.csv", "media_type": "text/csv", "data_base64": data}]);
            let message = built(&api, json!({"text": "see", "attachments": file})).unwrap();
            let kind = message.attachment(0).unwrap().content_type().unwrap();
            assert_eq!(kind.attribute("charset"), charset);
        }
    }

    #[tokio::test]
    async fn answers_name_what_they_answer() {
        let fake = FakeApi::new(&GMAIL).await;
        let letter = serde_json::from_value(json!({"text": "yes"})).unwrap();
        let mut mail = Mail::of(&fake.api(Risk::Write), letter).unwrap();
        mail.references = vec!["a@x".into(), "b@x".into()];
        let message = parsed(&mail.raw().unwrap().into());
        assert_eq!(message.in_reply_to().as_text(), Some("b@x"));
        let HeaderValue::TextList(references) = message.references() else { panic!("no list") };
        assert_eq!(references, &["a@x", "b@x"]);
        // Without an address of its own the host is Gmail's.
        assert!(message.message_id().unwrap().ends_with("@gmail.com"));
    }

    #[tokio::test]
    async fn refuses_attachments_that_are_none_and_messages_that_are_too_large() {
        let api = api().await;
        for (file, why) in [
            (json!({"name": "a.txt"}), "needs `text` or `data_base64`"),
            (json!({"name": "a.txt", "text": "x", "data_base64": "eA=="}), "not both"),
            (json!({"name": "a.txt", "data_base64": "%%%"}), "not base64"),
            (json!({"name": "", "text": "x"}), "no file name"),
            (json!({"name": "../a", "text": "x"}), "no file name"),
            (json!({"name": "a", "text": "x", "media_type": "text"}), "media_type"),
            (json!({"name": "a", "text": "x", "media_type": "multipart/mixed"}), "media_type"),
            (json!({"name": "a", "text": "x", "media_type": "text/plain; name=x"}), "media_type"),
            (json!({"name": "a", "text": "x".repeat(MAX_MESSAGE)}), "at most 5000000"),
        ] {
            let error = built(&api, json!({"text": "x", "attachments": [file]})).unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
        let many: Vec<String> = (0..=MAX_RECIPIENTS).map(|n| format!("a{n}@example.com")).collect();
        let error = built(&api, json!({"bcc": many, "text": "x"})).unwrap_err();
        assert!(error.message().contains("more than 100 recipients"), "{error}");
    }
}
