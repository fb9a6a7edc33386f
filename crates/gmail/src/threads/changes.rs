//! Keeping conversations in order. All of it can be undone.

use futures::StreamExt as _;
use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Thread;
use crate::bulk::each;
use crate::labels::ids;
use crate::permissions::MAIL_MODIFY;

/// Conversations that are changed by one call.
const MAX_THREADS: usize = 50;

/// A conversation as it is now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Organized {
    /// Its id.
    pub thread_id: String,
    /// Ids of the labels of its messages, as far as Gmail told them.
    pub label_ids: Vec<String>,
}

impl From<Thread> for Organized {
    fn from(thread: Thread) -> Self {
        let mut label_ids: Vec<String> =
            thread.messages.into_iter().flat_map(|message| message.label_ids).collect();
        label_ids.sort_unstable();
        label_ids.dedup();
        Self { thread_id: thread.id, label_ids }
    }
}

/// A conversation that was not changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unchanged {
    /// Its id.
    pub thread_id: String,
    /// Why, such as `not_found`.
    pub code: String,
    /// Why, in words.
    pub reason: String,
}

/// What became of several conversations.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Outcome {
    /// Ids of those that were changed.
    pub changed: Vec<String>,
    /// Those that were not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<Unchanged>,
}

/// Labels, archives, stars, or marks up to 50 conversations as read or unread.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OrganizeThreads {
    #[schemars(length(min = 1, max = 50))]
    thread_ids: Vec<String>,
    /// Names or ids.
    #[serde(default)]
    #[schemars(length(max = 20))]
    add_labels: Vec<String>,
    /// Names or ids.
    #[serde(default)]
    #[schemars(length(max = 20))]
    remove_labels: Vec<String>,
    /// False: back to the inbox.
    archived: Option<bool>,
    read: Option<bool>,
    starred: Option<bool>,
}

impl Action for OrganizeThreads {
    const NAME: &'static str = "organize_threads";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "archive emails",
        "mark as read",
        "mark unread",
        "star a mail",
        "label conversations",
        "clean up the inbox",
        "move to a folder",
        "put a label on mails",
        "put mails into a folder",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_MODIFY;
    type Output = Outcome;

    async fn run(self, api: &Api) -> Result<Outcome> {
        if self.thread_ids.is_empty() || self.thread_ids.len() > MAX_THREADS {
            return Err(Error::invalid(
                "thread_ids",
                format!(
                    "invalid input: `thread_ids` must be 1 to {MAX_THREADS}. Nothing was changed."
                ),
            ));
        }
        let fields =
            [("add_labels", &self.add_labels[..]), ("remove_labels", &self.remove_labels[..])];
        let mut labels = ids(api, &fields).await?.into_iter();
        let (mut add, mut remove) =
            (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
        for (wanted, label, adds) in [
            (self.archived, "INBOX", false),
            (self.read, "UNREAD", false),
            (self.starred, "STARRED", true),
        ] {
            match wanted {
                Some(wanted) if wanted == adds => add.push(label.to_owned()),
                Some(_) => remove.push(label.to_owned()),
                None => {}
            }
        }
        if let Some(both) = add.iter().find(|id| remove.contains(id)) {
            return Err(Error::invalid(
                "remove_labels",
                format!("invalid input: `{both}` would be added and removed. Nothing was changed."),
            ));
        }
        if add.is_empty() && remove.is_empty() {
            return Err(Error::invalid(
                "thread_ids",
                "invalid input: nothing to change was given, such as `archived`. Nothing was changed.",
            ));
        }
        organize(api, self.thread_ids, &json!({"addLabelIds": add, "removeLabelIds": remove})).await
    }
}

/// Changes each conversation; one that fails does not keep the others from it.
async fn organize(api: &Api, threads: Vec<String>, change: &serde_json::Value) -> Result<Outcome> {
    let changes = each(api, "Changing conversations", threads, |id| async move {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/modify
        let request = api.post("/gmail/v1/users/me/threads/{}/modify", &[&id]);
        let result = request.json(change).send_empty().await;
        (id, result)
    });
    let results: Vec<(String, Result<()>)> = changes.collect().await;
    let mut outcome = Outcome::default();
    let mut first = None;
    for (thread_id, result) in results {
        let Err(error) = result else {
            outcome.changed.push(thread_id);
            continue;
        };
        // The same change once more does no harm.
        let advice = if error.code() == Code::UnknownOutcome { " Repeat it." } else { "" };
        outcome.unchanged.push(Unchanged {
            thread_id,
            code: error.code().as_str().to_owned(),
            reason: format!("{}{advice}", error.message()),
        });
        first.get_or_insert(error);
    }
    match first {
        Some(error) if outcome.changed.is_empty() => Err(error),
        _ => Ok(outcome),
    }
}

/// Puts a conversation into the trash, which Gmail empties after 30 days.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TrashThread {
    thread_id: String,
}

impl Action for TrashThread {
    const NAME: &'static str = "trash_thread";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "delete an email",
        "throw a mail away",
        "move a conversation to the bin",
        "Mail löschen",
        "supprimer un mail",
        "borrar correo",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_MODIFY;
    type Output = Organized;

    async fn run(self, api: &Api) -> Result<Organized> {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/trash
        let request = api.post("/gmail/v1/users/me/threads/{}/trash", &[&self.thread_id]);
        request.send().await.map(|thread: Thread| thread.into())
    }
}

/// Takes a conversation out of the trash. Its labels tell whether it is in the inbox again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RestoreThread {
    thread_id: String,
}

impl Action for RestoreThread {
    const NAME: &'static str = "restore_thread";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["undelete an email", "get a mail back from the trash", "recover a deleted conversation"];
    const PERMISSIONS: &'static [&'static [&'static str]] = MAIL_MODIFY;
    type Output = Organized;

    async fn run(self, api: &Api) -> Result<Organized> {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/untrash
        let request = api.post("/gmail/v1/users/me/threads/{}/untrash", &[&self.thread_id]);
        request.send().await.map(|thread: Thread| thread.into())
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GMAIL;
    use crate::labels::tests::{LABELS, labels};

    const FIRST: &str = "/gmail/v1/users/me/threads/t1/modify";
    const SECOND: &str = "/gmail/v1/users/me/threads/t2/modify";

    fn thread(labels: &[&str]) -> Value {
        json!({"id": "t1", "historyId": "9", "messages": [
            {"id": "m1", "threadId": "t1", "labelIds": labels},
            {"id": "m2", "threadId": "t1", "labelIds": labels}]})
    }

    fn gone() -> Value {
        json!({"error": {"code": 404, "message": "Requested entity was not found."}})
    }

    async fn fake() -> FakeApi {
        FakeApi::new(&GMAIL)
            .await
            .on("GET", LABELS, 200, labels())
            .on("POST", FIRST, 200, thread(&[]))
            .on("POST", SECOND, 404, gone())
    }

    #[tokio::test]
    async fn labels_archives_stars_and_marks_conversations() {
        for (change, add, remove) in [
            (
                json!({"add_labels": ["customers/acme"], "remove_labels": ["Label_8"]}),
                json!(["Label_7"]),
                json!(["Label_8"]),
            ),
            (json!({"archived": true, "read": true}), json!([]), json!(["INBOX", "UNREAD"])),
            (json!({"archived": false, "read": false}), json!(["INBOX", "UNREAD"]), json!([])),
            (json!({"starred": true}), json!(["STARRED"]), json!([])),
            (json!({"starred": false}), json!([]), json!(["STARRED"])),
        ] {
            let fake = fake().await;
            let mut arguments = change;
            arguments["thread_ids"] = json!(["t1"]);
            let outcome = fake.run::<OrganizeThreads>(arguments.clone()).await.unwrap();
            assert_eq!(outcome, json!({"changed": ["t1"]}));
            let requests = fake.requests().await;
            let sent = json!({"addLabelIds": add, "removeLabelIds": remove});
            assert_eq!(requests.last().unwrap().body, sent, "{arguments}");
        }
    }

    #[tokio::test]
    async fn one_that_fails_does_not_keep_the_others() {
        let fake = fake().await;
        let arguments = json!({"thread_ids": ["t2", "t1"], "archived": true});
        let outcome = fake.run::<OrganizeThreads>(arguments).await.unwrap();
        assert_eq!(outcome["changed"], json!(["t1"]));
        assert_eq!(fake.progress(), ["Changing conversations"; 2]);
        let unchanged = &outcome["unchanged"];
        assert_eq!(
            (&unchanged[0]["thread_id"], &unchanged[0]["code"]),
            (&json!("t2"), &json!("not_found"))
        );
        // No label was named, so none was looked up.
        assert!(fake.requests().await.iter().all(|request| request.method == "POST"));

        let arguments = json!({"thread_ids": ["t2"], "archived": true});
        let error = fake.run::<OrganizeThreads>(arguments).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }

    #[tokio::test]
    async fn a_lost_answer_may_be_asked_for_again() {
        let fake = fake().await.on("POST", "/gmail/v1/users/me/threads/t3/modify", 503, json!({}));
        let arguments = json!({"thread_ids": ["t1", "t3"], "read": true});
        let outcome = fake.run::<OrganizeThreads>(arguments).await.unwrap();
        assert_eq!(outcome["unchanged"][0]["code"], "unknown_outcome");
        assert!(outcome["unchanged"][0]["reason"].as_str().unwrap().ends_with("Repeat it."));
    }

    #[tokio::test]
    async fn changes_nothing_where_the_wish_is_unclear() {
        for (arguments, why) in [
            (json!({"thread_ids": ["t1"]}), "nothing to change"),
            (json!({"thread_ids": ["t1"], "add_labels": ["Nobody"]}), "no label `Nobody`"),
            (
                json!({"thread_ids": ["t1"], "add_labels": ["inbox"], "archived": true}),
                "added and removed",
            ),
        ] {
            let fake = fake().await;
            let error = fake.run::<OrganizeThreads>(arguments).await.unwrap_err();
            assert!(error.message().contains(why), "{error}");
            assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
        }
    }

    #[tokio::test]
    async fn trashes_a_conversation_and_restores_it() {
        let fake = FakeApi::new(&GMAIL)
            .await
            .on("POST", "/gmail/v1/users/me/threads/t1/trash", 200, thread(&["TRASH"]))
            .on("POST", "/gmail/v1/users/me/threads/t1/untrash", 200, json!({"id": "t1"}));
        let arguments = json!({"thread_id": "t1"});
        let trashed = fake.run::<TrashThread>(arguments.clone()).await.unwrap();
        assert_eq!(trashed, json!({"thread_id": "t1", "label_ids": ["TRASH"]}));
        let restored = fake.run::<RestoreThread>(arguments).await.unwrap();
        assert_eq!(restored, json!({"thread_id": "t1", "label_ids": []}));
        let paths: Vec<String> = fake.requests().await.into_iter().map(|one| one.path).collect();
        assert!(paths[0].ends_with("/t1/trash") && paths[1].ends_with("/t1/untrash"), "{paths:?}");
    }

    #[tokio::test]
    async fn explains_a_missing_conversation() {
        let fake = FakeApi::new(&GMAIL).await.on(
            "POST",
            "/gmail/v1/users/me/threads/t1/trash",
            404,
            gone(),
        );
        let error = fake.run::<TrashThread>(json!({"thread_id": "t1"})).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
}
