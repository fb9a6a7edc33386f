//! Messages that are not sent so far.

pub(crate) mod changes;

use futures::TryStreamExt as _;
use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answers::Answered;
use crate::bulk::each;
use crate::letters::{Letter, Mail};
use crate::mailboxes::Mailbox;
use crate::parts::Message;
use crate::permissions::{DRAFTS_READ, DRAFTS_WRITE, MAIL_SEND};

/// A draft as Gmail writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    pub id: String,
    #[serde(default)]
    pub message: Message,
}

/// A draft without its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DraftSummary {
    /// Its id.
    pub draft_id: String,
    /// The conversation that it belongs to.
    pub thread_id: String,
    /// Who is to receive it.
    pub to: Vec<Mailbox>,
    /// What it is about.
    pub subject: String,
    /// How its text begins.
    pub snippet: String,
}

impl From<Draft> for DraftSummary {
    fn from(draft: Draft) -> Self {
        let envelope = draft.message.envelope();
        Self {
            draft_id: draft.id,
            to: envelope.to,
            subject: envelope.subject,
            snippet: mail_parser::decoders::html::html_to_text(&draft.message.snippet),
            thread_id: draft.message.thread_id,
        }
    }
}

/// A draft that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    /// Its id.
    pub draft_id: String,
    /// The conversation that it belongs to.
    pub thread_id: String,
}

impl From<Draft> for Written {
    fn from(draft: Draft) -> Self {
        Self { draft_id: draft.id, thread_id: draft.message.thread_id }
    }
}

/// The body of a request that writes a draft.
fn body(raw: &str, thread: Option<&str>) -> Value {
    match thread {
        Some(thread) => json!({"message": {"raw": raw, "threadId": thread}}),
        None => json!({"message": {"raw": raw}}),
    }
}

/// Writes a new draft, in this conversation if one is given.
pub(crate) async fn create(api: &Api, mail: Mail, thread: Option<&str>) -> Result<Draft> {
    let raw = mail.raw()?;
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/create
    api.post("/gmail/v1/users/me/drafts", &[]).json(&body(&raw, thread)).send().await
}

/// Writes a draft. Nobody receives it before it is sent.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateDraft {
    #[serde(flatten)]
    letter: Letter,
    /// To answer there: subject and, without `to`, recipients follow from it.
    thread_id: Option<String>,
}

impl Action for CreateDraft {
    const NAME: &'static str = "create_draft";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "prepare a mail without sending",
        "write a draft email",
        "Entwurf schreiben",
        "brouillon",
        "borrador",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Written;

    fn tells_outsiders(&self) -> bool {
        self.thread_id.is_some()
    }

    async fn run(self, api: &Api) -> Result<Written> {
        let mut mail = Mail::of(api, self.letter)?;
        if let Some(thread_id) = &self.thread_id {
            let answered = Answered::find(api, thread_id).await?;
            if mail.to.is_empty() {
                mail.to = answered.to()?;
            }
            answered.thread(&mut mail);
        }
        create(api, mail, self.thread_id.as_deref()).await.map(Written::from)
    }
}

/// Lists drafts, newest first, at most 50 at a time.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDrafts {
    /// As in Gmail's search box: `to:ada@example.com subject:offer`.
    query: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDrafts {
    const NAME: &'static str = "list_drafts";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["my unsent emails", "which drafts are there", "Entwürfe", "brouillons", "borradores"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_READ;
    type Output = Page<DraftSummary>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<DraftSummary>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Found {
            // Gmail leaves out empty lists.
            #[serde(default)]
            drafts: Vec<Draft>,
            next_page_token: Option<String>,
        }
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/list
        let request = api.get("/gmail/v1/users/me/drafts", &[]).query("q", &self.query);
        let found: Found = request.page(&self.page).send().await?;
        let read = each(api, "Reading drafts", found.drafts, |draft| async move {
            get(api, &draft.id, "metadata").await
        });
        let there = read.try_filter_map(|draft| async { Ok(draft.map(DraftSummary::from)) });
        let items = there.try_collect().await?;
        Ok(Page { items, next_cursor: found.next_page_token })
    }
}

/// A draft in one of Gmail's formats; `None` where there is none.
pub(crate) async fn get(api: &Api, id: &str, format: &str) -> Result<Option<Draft>> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/get
    let request = api.get("/gmail/v1/users/me/drafts/{}", &[&id]);
    request.query("format", format).send_optional().await
}

/// A draft that has to be there.
pub(crate) async fn find(api: &Api, id: &str, format: &str) -> Result<Draft> {
    get(api, id, format).await?.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            "There is no such draft: it was sent or deleted, or the id is wrong. gmail_list_drafts lists them.",
        )
    })
}

/// Which draft is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Its id.
    pub draft_id: String,
}

/// Deletes a draft for ever.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteDraft {
    draft_id: String,
}

impl Action for DeleteDraft {
    const NAME: &'static str = "delete_draft";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["discard an unsent email", "throw a draft away", "Entwurf löschen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_WRITE;
    type Output = Deleted;

    async fn run(self, api: &Api) -> Result<Deleted> {
        delete(api, &self.draft_id).await?;
        Ok(Deleted { draft_id: self.draft_id })
    }
}

async fn delete(api: &Api, id: &str) -> Result<()> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/delete
    let path = "/gmail/v1/users/me/drafts/{}";
    let look = || api.get(path, &[&id]).query("format", "minimal").send_empty();
    api.delete(path, &[&id]).send_or_gone(look).await
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;

    use super::*;
    use crate::GMAIL;
    use crate::letters::tests::{header_names, parsed};
    use crate::messages::tests::from_ada;

    pub const DRAFTS: &str = "/gmail/v1/users/me/drafts";
    pub const DRAFT: &str = "/gmail/v1/users/me/drafts/r1";
    const THREAD: &str = "/gmail/v1/users/me/threads/t1";

    /// A draft as Gmail answers when it wrote it.
    pub fn written() -> Value {
        json!({"id": "r1", "message": {"id": "m9", "threadId": "t1", "labelIds": ["DRAFT"]}})
    }

    async fn fake() -> FakeApi {
        let messages = json!([from_ada("m1", &json!(["INBOX"]))]);
        FakeApi::new(&GMAIL)
            .await
            .connected("you@example.com")
            .on("POST", DRAFTS, 200, written())
            .on("GET", THREAD, 200, json!({"id": "t1", "messages": messages}))
    }

    #[tokio::test]
    async fn writes_a_draft_that_nobody_receives() {
        let fake = fake().await;
        let letter = json!({"to": ["ada@example.com"], "bcc": ["bo@example.com"], "subject": "Offer", "text": "Hello"});
        let draft = fake.run::<CreateDraft>(letter).await.unwrap();
        assert_eq!(draft, json!({"draft_id": "r1", "thread_id": "t1"}));
        let [request] = &fake.requests().await[..] else { panic!("more than the draft") };
        let message = parsed(&request.body["message"]["raw"]);
        assert_eq!(message.subject(), Some("Offer"));
        assert!(header_names(&message).contains(&"Bcc".to_owned()));
        assert!(request.body["message"].get("threadId").is_none());
    }

    #[tokio::test]
    async fn a_draft_in_a_conversation_answers_it() {
        let fake = fake().await;
        fake.run::<CreateDraft>(json!({"thread_id": "t1", "text": "Yes", "subject": "Other"}))
            .await
            .unwrap();
        let body = &fake.requests().await[1].body["message"];
        assert_eq!(body["threadId"], "t1");
        let message = parsed(&body["raw"]);
        // Gmail would begin another conversation under another subject.
        assert_eq!(message.subject(), Some("Re: Offer"));
        assert_eq!(message.in_reply_to().as_text(), Some("m1@example.com"));
        assert_eq!(Mailbox::list(message.to())[0].email, "ada@example.com");
    }

    #[tokio::test]
    async fn recipients_of_an_answer_may_be_others() {
        let fake = fake().await;
        let letter = json!({"thread_id": "t1", "to": ["cy@example.com"], "text": "Yes"});
        fake.run::<CreateDraft>(letter).await.unwrap();
        let message = parsed(&fake.requests().await[1].body["message"]["raw"]);
        let to = Mailbox::list(message.to());
        assert_eq!((to.len(), to[0].email.as_str()), (1, "cy@example.com"));
    }

    #[tokio::test]
    async fn lists_drafts_and_leaves_out_those_sent_meanwhile() {
        let draft = json!({"id": "r1", "message": from_ada("m9", &json!(["DRAFT"]))});
        let fake = FakeApi::new(&GMAIL)
            .await
            .on("GET", DRAFTS, 200, json!({"drafts": [{"id": "r1", "message": {"id": "m9", "threadId": "t1"}}, {"id": "r2"}], "nextPageToken": "next"}))
            .on("GET", DRAFT, 200, draft)
            .on("GET", "/gmail/v1/users/me/drafts/r2", 404, json!({"error": {"code": 404}}));
        let page = fake.run::<ListDrafts>(json!({"query": "subject:offer"})).await.unwrap();
        assert_eq!(
            page,
            json!({"items": [{"draft_id": "r1", "thread_id": "t1", "to": [{"email": "you@example.com"}],
                "subject": "Offer", "snippet": "It's me & you"}], "next_cursor": "next"})
        );
        assert_eq!(fake.requests().await[0].query["q"], "subject:offer");
    }

    #[tokio::test]
    async fn lists_no_drafts_without_a_fault() {
        let fake =
            FakeApi::new(&GMAIL).await.on("GET", DRAFTS, 200, json!({"resultSizeEstimate": 0}));
        assert_eq!(fake.run::<ListDrafts>(json!({})).await.unwrap(), json!({"items": []}));
    }

    #[tokio::test]
    async fn deletes_a_draft() {
        let fake = FakeApi::new(&GMAIL).await.on("DELETE", DRAFT, 204, Value::Null);
        let gone = fake.run::<DeleteDraft>(json!({"draft_id": "r1"})).await.unwrap();
        assert_eq!(gone, json!({"draft_id": "r1"}));
        // Where the answer is lost, the draft is looked for.
        let fake = FakeApi::new(&GMAIL).await.on("DELETE", DRAFT, 502, json!({})).on(
            "GET",
            DRAFT,
            404,
            json!({"error": {"code": 404}}),
        );
        assert_eq!(fake.run::<DeleteDraft>(json!({"draft_id": "r1"})).await.unwrap(), gone);
    }

    #[tokio::test]
    async fn explains_a_missing_draft() {
        let gone = json!({"error": {"code": 404, "message": "Requested entity was not found."}});
        let fake = FakeApi::new(&GMAIL).await.on("DELETE", DRAFT, 404, gone);
        let error = fake.run::<DeleteDraft>(json!({"draft_id": "r1"})).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
}
