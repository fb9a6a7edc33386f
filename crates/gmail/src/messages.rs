//! Messages: found, and read.

use futures::TryStreamExt as _;
use resto_core::{Action, Api, Page, PageRequest, Request, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bodies::Body;
use crate::bulk::each;
use crate::mailboxes::Mailbox;
use crate::parts::{Attachment, ENVELOPE, Message};
use crate::permissions::MAIL_READ;
use crate::times::At;

/// Characters of the text of one message.
const MAX_TEXT: usize = 20_000;

/// A message without its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// Its id.
    pub message_id: String,
    /// The conversation that it belongs to.
    pub thread_id: String,
    /// Who sent it.
    pub from: Option<Mailbox>,
    /// Who received it.
    pub to: Vec<Mailbox>,
    /// What it is about.
    pub subject: String,
    /// How its text begins, as its sender wrote it.
    pub snippet: String,
    /// When Gmail received it.
    pub received_at: Option<At>,
    /// Whether it was not read so far.
    pub unread: bool,
    /// Ids of its labels, such as `INBOX` and `STARRED`.
    pub label_ids: Vec<String>,
}

impl From<Message> for Summary {
    fn from(message: Message) -> Self {
        let envelope = message.envelope();
        Self {
            from: envelope.from,
            to: envelope.to,
            subject: envelope.subject,
            // Gmail writes it for HTML.
            snippet: mail_parser::decoders::html::html_to_text(&message.snippet),
            unread: message.has_label("UNREAD"),
            received_at: message.internal_date.map(At::from),
            message_id: message.id,
            thread_id: message.thread_id,
            label_ids: message.label_ids,
        }
    }
}

/// A message with its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    #[serde(flatten)]
    pub summary: Summary,
    /// Who received a copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Mailbox>,
    /// Who received a hidden copy; only in what you sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<Mailbox>,
    /// Where answers go, if not to the sender.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<Mailbox>,
    /// Its text.
    pub body: Body,
    /// Its files, without their contents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

impl Whole {
    /// A message with at most so many characters of its text.
    pub(crate) fn of(message: Message, most: usize) -> Self {
        let (text, attachments) = message.contents();
        let envelope = message.envelope();
        Self {
            cc: envelope.cc,
            bcc: envelope.bcc,
            reply_to: envelope.reply_to,
            body: Body::cut(&text, most),
            attachments,
            summary: message.into(),
        }
    }
}

/// Asks for the headers of an envelope only.
pub(crate) fn headers_only(request: Request<'_>) -> Request<'_> {
    let request = request.query("format", "metadata");
    ENVELOPE.iter().fold(request, |request, name| request.query("metadataHeaders", name))
}

/// What to look for. Actions flatten it into their input.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(crate) struct Search {
    /// As in Gmail's search box: `from:ada@example.com newer_than:7d is:unread`.
    pub query: Option<String>,
    #[serde(default)]
    pub include_spam_and_trash: bool,
    #[serde(flatten)]
    pub page: PageRequest,
}

impl Search {
    pub(crate) fn on<'a>(&self, request: Request<'a>) -> Request<'a> {
        request
            .query("q", &self.query)
            .query("includeSpamTrash", self.include_spam_and_trash.then_some(true))
            .page(&self.page)
    }
}

/// Searches mail and lists the messages found, newest first, at most 50 at a time.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchMessages {
    #[serde(flatten)]
    search: Search,
}

impl Action for SearchMessages {
    const NAME: &'static str = "search_messages";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "find an email",
        "search mail from a sender",
        "look for a mail about something",
        "Mails suchen",
        "chercher un mail",
        "buscar correos",
        "search the inbox",
        "find invoices in my mail",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = Page<Summary>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<Summary>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Found {
            // Gmail leaves out empty lists.
            #[serde(default)]
            messages: Vec<Message>,
            next_page_token: Option<String>,
        }
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list
        let request = api.get("/gmail/v1/users/me/messages", &[]);
        let found: Found = self.search.on(request).send().await?;
        let read = each(api, "Reading messages", found.messages, |message| async move {
            // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/get
            let request = api.get("/gmail/v1/users/me/messages/{}", &[&message.id]);
            headers_only(request).send_optional::<Message>().await
        });
        // Deleted since it was found.
        let there = read.try_filter_map(|message| async { Ok(message.map(Summary::from)) });
        let items = there.try_collect().await?;
        Ok(Page { items, next_cursor: found.next_page_token })
    }
}

/// Reads a message: its text without formatting, and which files it carries.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetMessage {
    message_id: String,
}

impl Action for GetMessage {
    const NAME: &'static str = "get_message";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "read one email",
        "open a mail",
        "what does the message say",
        "Mail lesen",
        "lire le mail",
        "leer correo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = Whole;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Whole> {
        Ok(Whole::of(whole(api, &self.message_id).await?, MAX_TEXT))
    }
}

/// A message with all its parts; big ones hold an id in place of their contents.
pub(crate) async fn whole(api: &Api, message_id: &str) -> Result<Message> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/get
    api.get("/gmail/v1/users/me/messages/{}", &[&message_id]).query("format", "full").send().await
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine as _;
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GMAIL;
    use crate::parts::BASE64;

    pub const MESSAGES: &str = "/gmail/v1/users/me/messages";

    /// A message from Ada to you, as Gmail writes it.
    pub fn from_ada(id: &str, labels: &Value) -> Value {
        json!({"id": id, "threadId": "t1", "labelIds": labels, "snippet": "It&#39;s me &amp; you", "historyId": "9",
            "internalDate": "1767225600000", "sizeEstimate": 900,
            "payload": {"partId": "", "mimeType": "text/plain", "filename": "",
                "headers": [
                    {"name": "From", "value": "Ada <ada@example.com>"},
                    {"name": "To", "value": "you@example.com"},
                    {"name": "Cc", "value": "Bo <bo@example.com>, you@example.com"},
                    {"name": "Subject", "value": "Offer"},
                    {"name": "Date", "value": "Thu, 1 Jan 2026 00:00:00 +0000"},
                    {"name": "Message-ID", "value": format!("<{id}@example.com>")},
                    {"name": "References", "value": "<first@example.com>"}],
                "body": {"size": 12, "data": BASE64.encode("It's me & you, in full.")}}})
    }

    #[tokio::test]
    async fn searches_as_the_search_box_does() {
        let fake = FakeApi::new(&GMAIL)
            .await
            .on(
                "GET",
                MESSAGES,
                200,
                json!({"messages": [{"id": "m1", "threadId": "t1"}, {"id": "m2", "threadId": "t2"}],
                "nextPageToken": "next", "resultSizeEstimate": 201}),
            )
            .on(
                "GET",
                "/gmail/v1/users/me/messages/m1",
                200,
                from_ada("m1", &json!(["INBOX", "UNREAD"])),
            )
            .on(
                "GET",
                "/gmail/v1/users/me/messages/m2",
                404,
                json!({"error": {"code": 404, "message": "gone"}}),
            );
        let page = fake
            .run::<SearchMessages>(
                json!({"query": "from:ada is:unread", "limit": 2, "cursor": "here"}),
            )
            .await
            .unwrap();
        assert_eq!(
            page,
            json!({"items": [{"message_id": "m1", "thread_id": "t1", "from": {"name": "Ada", "email": "ada@example.com"},
                "to": [{"email": "you@example.com"}], "subject": "Offer", "snippet": "It's me & you",
                "received_at": "2026-01-01T00:00:00Z", "unread": true, "label_ids": ["INBOX", "UNREAD"]}],
                "next_cursor": "next"})
        );
        let asked = &fake.requests().await[0].query;
        assert_eq!(
            (asked["q"].as_str(), asked["maxResults"].as_str(), asked["pageToken"].as_str()),
            ("from:ada is:unread", "2", "here")
        );
        assert!(!asked.contains_key("includeSpamTrash"));
        assert_eq!(fake.requests().await[1].query["format"], "metadata");
    }

    #[tokio::test]
    async fn finds_nothing_without_a_fault() {
        let fake =
            FakeApi::new(&GMAIL).await.on("GET", MESSAGES, 200, json!({"resultSizeEstimate": 0}));
        let page = fake
            .run::<SearchMessages>(json!({"include_spam_and_trash": true, "limit": 100}))
            .await
            .unwrap();
        assert_eq!(page, json!({"items": []}));
        let asked = &fake.requests().await[0].query;
        assert_eq!(
            (asked["includeSpamTrash"].as_str(), asked["maxResults"].as_str()),
            ("true", "50")
        );
    }

    #[tokio::test]
    async fn reads_a_message() {
        let fake = FakeApi::new(&GMAIL).await.on(
            "GET",
            "/gmail/v1/users/me/messages/m1",
            200,
            from_ada("m1", &json!(["INBOX"])),
        );
        let message = fake.run::<GetMessage>(json!({"message_id": "m1"})).await.unwrap();
        assert_eq!(message["body"], json!({"text": "It's me & you, in full.", "truncated": false}));
        assert_eq!(message["cc"][0], json!({"name": "Bo", "email": "bo@example.com"}));
        assert_eq!(message["unread"], false);
        assert!(message.get("attachments").is_none());
        assert_eq!(fake.requests().await[0].query["format"], "full");
    }

    #[tokio::test]
    async fn cuts_a_long_text_and_says_so() {
        let mut long = from_ada("m1", &json!([]));
        long["payload"]["body"]["data"] = BASE64.encode("x".repeat(MAX_TEXT + 1)).into();
        let fake =
            FakeApi::new(&GMAIL).await.on("GET", "/gmail/v1/users/me/messages/m1", 200, long);
        let message = fake.run::<GetMessage>(json!({"message_id": "m1"})).await.unwrap();
        assert_eq!(message["body"]["truncated"], true);
        assert_eq!(message["body"]["text"].as_str().unwrap().len(), MAX_TEXT);
    }

    #[tokio::test]
    async fn explains_a_missing_message() {
        let fake = FakeApi::new(&GMAIL).await.on(
            "GET",
            "/gmail/v1/users/me/messages/m1",
            404,
            json!({"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}}),
        );
        let error = fake.run::<GetMessage>(json!({"message_id": "m1"})).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
}
