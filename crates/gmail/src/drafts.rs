//! Messages that are not sent so far.

use base64::Engine as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answers::Answered;
use crate::letters::{
    File, Letter, Mail, NewAttachment, files, is_media_type, mailboxes, message_id,
};
use crate::mailboxes::{Mailbox, defused};
use crate::messages::AT_ONCE;
use crate::parts::{BASE64, Message, ids};
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
    /// Conversation that it answers; recipients and subject then follow from it where left out.
    thread_id: Option<String>,
}

impl Action for CreateDraft {
    const NAME: &'static str = "create_draft";
    const RISK: Risk = Risk::Write;
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_SEND;
    type Output = Written;

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
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_READ;
    type Output = Page<DraftSummary>;

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
        let items = stream::iter(found.drafts)
            .map(|draft| async move { get(api, &draft.id, "metadata").await })
            .buffered(AT_ONCE)
            .try_filter_map(|draft| async { Ok(draft.map(DraftSummary::from)) })
            .try_collect()
            .await?;
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

/// Changes a draft; what is left out stays as it is. New text without new HTML drops the HTML.
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
        if let Some(text) = self.text {
            mail.text = text;
            mail.html = None;
        }
        mail.html = self.html.or(mail.html);
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
    let text = parsed.text_bodies().find_map(|part| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        _ => None,
    });
    let html = parsed.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) => Some(html.to_string()),
        _ => None,
    });
    let readable = html.as_deref().map(crate::bodies::readable);
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
        text: text.or(readable).unwrap_or_default(),
        html,
        files: files.collect(),
        references,
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
    /// Id of the draft.
    draft_id: String,
}

impl Action for DeleteDraft {
    const NAME: &'static str = "delete_draft";
    const RISK: Risk = Risk::Irreversible;
    const PERMISSIONS: &'static [&'static [&'static str]] = DRAFTS_WRITE;
    type Output = Deleted;

    async fn run(self, api: &Api) -> Result<Deleted> {
        delete(api, &self.draft_id).await?;
        Ok(Deleted { draft_id: self.draft_id })
    }
}

pub(crate) async fn delete(api: &Api, id: &str) -> Result<()> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/delete
    api.delete("/gmail/v1/users/me/drafts/{}", &[&id]).send_empty().await
}
