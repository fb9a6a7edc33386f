//! Conversations: listed, read, and those in which the last word is not yours.

pub(crate) mod changes;

use futures::TryStreamExt as _;
use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bulk::each;
use crate::mailboxes::Mailbox;
use crate::messages::{Search, Whole, headers_only};
use crate::parts::Message;
use crate::permissions::MAIL_READ;
use crate::times::At;

/// Characters of the text of one message of a conversation.
const MAX_TEXT: usize = 4_000;

/// A conversation as Gmail writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Thread {
    pub id: String,
    #[serde(default)]
    pub messages: Vec<Message>,
}

impl Thread {
    /// Its messages without those that are still written.
    pub(crate) fn sent(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter().filter(|message| !message.has_label("DRAFT"))
    }
}

/// A conversation without its texts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Overview {
    /// Its id.
    pub thread_id: String,
    /// What it is about.
    pub subject: String,
    /// Who wrote in it.
    pub participants: Vec<Mailbox>,
    /// Messages in it.
    pub messages: usize,
    /// Whether any of them was not read so far.
    pub unread: bool,
    /// Whether somebody began an answer that was not sent.
    pub has_draft: bool,
    /// When the last message came or was sent.
    pub last_message_at: Option<At>,
    /// Who sent the last message.
    pub last_from: Option<Mailbox>,
    /// How the last message begins, as its sender wrote it.
    pub snippet: String,
    /// Ids of the labels of its messages.
    pub label_ids: Vec<String>,
}

impl From<Thread> for Overview {
    fn from(thread: Thread) -> Self {
        let mut participants: Vec<Mailbox> = Vec::new();
        let mut label_ids: Vec<String> = Vec::new();
        for message in &thread.messages {
            if let Some(from) = message.envelope().from
                && !participants.iter().any(|known| known.is(&from.email))
            {
                participants.push(from);
            }
            let new = message.label_ids.iter().filter(|id| !label_ids.contains(id));
            let new: Vec<String> = new.cloned().collect();
            label_ids.extend(new);
        }
        let first = thread.messages.first().map(Message::envelope).unwrap_or_default();
        let last = thread.sent().next_back().or(thread.messages.last());
        Self {
            subject: first.subject,
            participants,
            messages: thread.messages.len(),
            unread: label_ids.iter().any(|id| id == "UNREAD"),
            has_draft: label_ids.iter().any(|id| id == "DRAFT"),
            last_message_at: last.and_then(|last| last.internal_date.clone()).map(At::from),
            last_from: last.and_then(|last| last.envelope().from),
            snippet: last
                .map(|last| mail_parser::decoders::html::html_to_text(&last.snippet))
                .unwrap_or_default(),
            label_ids,
            thread_id: thread.id,
        }
    }
}

/// The conversations of one page, with the headers of their messages.
async fn find(api: &Api, search: &Search) -> Result<Page<Thread>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        // Gmail leaves out empty lists.
        #[serde(default)]
        threads: Vec<Thread>,
        next_page_token: Option<String>,
    }
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/list
    let request = api.get("/gmail/v1/users/me/threads", &[]);
    let found: Found = search.on(request).send().await?;
    let read = each(api, "Reading conversations", found.threads, |thread| async move {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/get
        let request = api.get("/gmail/v1/users/me/threads/{}", &[&thread.id]);
        headers_only(request).send_optional::<Thread>().await
    });
    let items = read.try_filter_map(|thread| async { Ok(thread) }).try_collect().await?;
    Ok(Page { items, next_cursor: found.next_page_token })
}

/// Lists conversations, newest first, at most 50 at a time; all but spam and trash, or those found.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListThreads {
    #[serde(flatten)]
    search: Search,
}

impl Action for ListThreads {
    const NAME: &'static str = "list_threads";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "inbox",
        "new emails",
        "unread mail",
        "latest conversations",
        "Posteingang",
        "ungelesene Mails",
        "boîte de réception",
        "bandeja de entrada",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = Page<Overview>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<Overview>> {
        Ok(find(api, &self.search).await?.map(Overview::from))
    }
}

/// Lists conversations of the inbox in which somebody waits for an answer; mail of machines is left out.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListUnansweredThreads {
    /// To look back; default 14.
    #[schemars(range(min = 1, max = 365))]
    days: Option<u32>,
    /// Narrows it, as in Gmail's search box: `-category:promotions`.
    query: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListUnansweredThreads {
    const NAME: &'static str = "list_unanswered_threads";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "emails I still have to answer",
        "who waits for my reply",
        "forgotten customers",
        "unbeantwortete Mails",
        "mails sans réponse",
        "correos sin responder",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = Page<Overview>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<Overview>> {
        let days = self.days.unwrap_or(14).clamp(1, 365);
        let more = self.query.map(|query| format!(" {query}")).unwrap_or_default();
        let search = Search {
            query: Some(format!("in:inbox newer_than:{days}d{more}")),
            include_spam_and_trash: false,
            page: self.page,
        };
        Ok(find(api, &search).await?.filter(waits).map(Overview::from))
    }
}

/// Whether the last message is of somebody else, and of a person.
fn waits(thread: &Thread) -> bool {
    thread.sent().next_back().is_some_and(|last| {
        let envelope = last.envelope();
        let silent = ["noreply", "no-reply", "donotreply", "do-not-reply"];
        let machine = envelope.bulk
            || envelope.from.is_none_or(|from| {
                let local = from.email.split('@').next().unwrap_or_default().to_ascii_lowercase();
                silent.iter().any(|name| local.starts_with(name))
            });
        !last.has_label("SENT") && !machine
    })
}

/// A conversation with its texts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Conversation {
    /// Its id.
    pub thread_id: String,
    /// Its messages, oldest first; texts are cut at 4,000 characters.
    pub messages: Vec<Whole>,
    /// Messages before these.
    pub earlier_messages: usize,
}

/// Reads a conversation: its latest messages with their texts.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetThread {
    thread_id: String,
    /// Latest messages; default 10.
    #[schemars(range(min = 1, max = 25))]
    latest: Option<u32>,
}

impl Action for GetThread {
    const NAME: &'static str = "get_thread";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["read a whole conversation", "email thread", "what was said in the exchange"];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_READ;
    type Output = Conversation;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Conversation> {
        let latest = self.latest.unwrap_or(10).clamp(1, 25) as usize;
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/get
        let request = api.get("/gmail/v1/users/me/threads/{}", &[&self.thread_id]);
        let thread: Thread = request.query("format", "full").send().await?;
        let earlier_messages = thread.messages.len().saturating_sub(latest);
        let shown = thread.messages.into_iter().skip(earlier_messages);
        Ok(Conversation {
            thread_id: thread.id,
            messages: shown.map(|message| Whole::of(message, MAX_TEXT)).collect(),
            earlier_messages,
        })
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GMAIL;
    use crate::messages::tests::from_ada;

    const THREADS: &str = "/gmail/v1/users/me/threads";

    /// An answer of the mailbox's owner.
    fn own(id: &str, label: &str) -> Value {
        let mut message = from_ada(id, &json!([label]));
        message["payload"]["headers"] = json!([{"name": "From", "value": "you@example.com"}]);
        message
    }

    fn from(id: &str, headers: &Value) -> Value {
        let mut message = from_ada(id, &json!(["INBOX"]));
        message["payload"]["headers"] = headers.clone();
        message
    }

    async fn fake(threads: &[Value]) -> FakeApi {
        let ids: Vec<Value> =
            (0..threads.len()).map(|n| json!({"id": format!("t{n}"), "snippet": "s"})).collect();
        let mut fake = FakeApi::new(&GMAIL).await.on(
            "GET",
            THREADS,
            200,
            json!({"threads": ids, "nextPageToken": "next"}),
        );
        for (n, messages) in threads.iter().enumerate() {
            let thread = json!({"id": format!("t{n}"), "historyId": "9", "messages": messages});
            fake = fake.on("GET", &format!("{THREADS}/t{n}"), 200, thread);
        }
        fake
    }

    #[tokio::test]
    async fn lists_conversations() {
        let fake =
            fake(&[json!([from_ada("m1", &json!(["INBOX", "UNREAD"])), own("m2", "SENT")])]).await;
        let page = fake.run::<ListThreads>(json!({"query": "label:work"})).await.unwrap();
        assert_eq!(
            page,
            json!({"items": [{"thread_id": "t0", "subject": "Offer",
                "participants": [{"name": "Ada", "email": "ada@example.com"}, {"email": "you@example.com"}],
                "messages": 2, "unread": true, "has_draft": false, "last_message_at": "2026-01-01T00:00:00Z",
                "last_from": {"email": "you@example.com"}, "snippet": "It's me & you",
                "label_ids": ["INBOX", "UNREAD", "SENT"]}], "next_cursor": "next"})
        );
        assert_eq!(fake.requests().await[0].query["q"], "label:work");
    }

    #[tokio::test]
    async fn finds_who_waits_for_an_answer() {
        let person = from_ada("m", &json!(["INBOX"]));
        let fake = fake(&[
            json!([person]),
            json!([person, own("m2", "SENT")]),
            json!([person, own("m3", "SENT"), person, own("m4", "DRAFT")]),
            json!([from("m5", &json!([{"name": "From", "value": "shop@example.com"}, {"name": "List-Unsubscribe", "value": "<x>"}]))]),
            json!([from("m6", &json!([{"name": "From", "value": "No-Reply@example.com"}]))]),
            json!([from("m7", &json!([{"name": "From", "value": "bo@example.com"}, {"name": "Auto-Submitted", "value": "auto-replied"}]))]),
        ])
        .await;
        let page = fake
            .run::<ListUnansweredThreads>(json!({"days": 3, "query": "from:example.com"}))
            .await
            .unwrap();
        let found: Vec<(&str, bool)> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["thread_id"].as_str().unwrap(), item["has_draft"] == true))
            .collect();
        assert_eq!(found, [("t0", false), ("t2", true)]);
        assert_eq!(page["next_cursor"], "next");
        assert_eq!(fake.requests().await[0].query["q"], "in:inbox newer_than:3d from:example.com");
    }

    #[tokio::test]
    async fn reads_the_latest_messages_of_a_conversation() {
        let messages: Vec<Value> =
            (0..5).map(|n| from_ada(&format!("m{n}"), &json!(["INBOX"]))).collect();
        let fake = fake(&[json!(messages)]).await;
        let thread = fake.run::<GetThread>(json!({"thread_id": "t0", "latest": 2})).await.unwrap();
        assert_eq!(thread["earlier_messages"], 3);
        let ids: Vec<&str> = thread["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["message_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["m3", "m4"]);
        assert_eq!(thread["messages"][0]["body"]["text"], "It's me & you, in full.");
    }
}
