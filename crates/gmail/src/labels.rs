//! Labels: Gmail's own, such as the inbox, and those that people make.

use resto_core::{Action, Api, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::pages::page;
use crate::permissions::{LABELS_READ, LABELS_WRITE};

/// A label.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    /// Its id, such as `INBOX` or `Label_7`.
    #[serde(rename(serialize = "label_id"))]
    pub id: String,
    /// Its name; `/` separates it from the one above it.
    #[serde(default)]
    pub name: String,
    /// `system` if it is Gmail's own, `user` if somebody made it.
    #[serde(rename(deserialize = "type"), default)]
    pub kind: String,
}

/// Lists labels, Gmail's own too.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListLabels {
    /// In any case.
    name_contains: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListLabels {
    const NAME: &'static str = "list_labels";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["mail folders", "labels of my mailbox", "categories of mail"];
    const PERMISSIONS: &'static [&'static [&'static str]] = LABELS_READ;
    type Output = Page<Label>;

    async fn run(self, api: &Api) -> Result<Page<Label>> {
        let mut labels = all(api).await?;
        if let Some(part) = self.name_contains.map(|part| part.to_lowercase()) {
            labels.retain(|label| label.name.to_lowercase().contains(&part));
        }
        page(labels, &self.page)
    }
}

async fn all(api: &Api) -> Result<Vec<Label>> {
    // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/list
    let page = api.get("/gmail/v1/users/me/labels", &[]).list_in("labels").await?;
    Ok(page.items)
}

/// The ids of labels that are given by name or id, in this field of the input.
pub(crate) async fn ids(api: &Api, fields: &[(&str, &[String])]) -> Result<Vec<Vec<String>>> {
    if fields.iter().all(|(_, given)| given.is_empty()) {
        return Ok(vec![Vec::new(); fields.len()]);
    }
    let labels = all(api).await?;
    let id = |field: &str, given: &String| {
        let same = |label: &&Label| label.id == *given;
        let named = |label: &&Label| label.name.to_lowercase() == given.to_lowercase();
        let found = labels.iter().find(same).or_else(|| labels.iter().find(named));
        found.map(|label| label.id.clone()).ok_or_else(|| {
            let shown: String = given.chars().take(100).collect();
            Error::invalid(
                field,
                format!(
                    "invalid input: there is no label `{shown}`. Nothing was changed. gmail_list_labels lists them, gmail_create_label makes one."
                ),
            )
        })
    };
    fields
        .iter()
        .map(|(field, given)| given.iter().map(|label| id(field, label)).collect())
        .collect()
}

/// Creates a label.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateLabel {
    /// `Customers/Acme` is below `Customers`.
    name: String,
}

impl Action for CreateLabel {
    const NAME: &'static str = "create_label";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["new mail folder", "make a label for emails", "Ordner anlegen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = LABELS_WRITE;
    type Output = Label;

    async fn run(self, api: &Api) -> Result<Label> {
        let name = self.name.trim();
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/create
        let request = api.post("/gmail/v1/users/me/labels", &[]);
        let body = json!({"name": name, "labelListVisibility": "labelShow", "messageListVisibility": "show"});
        // A name belongs to one label only.
        let find = async || Ok(all(api).await?.into_iter().find(|label| label.name == name));
        request.json(&body).send_or_find(find).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::GMAIL;

    pub const LABELS: &str = "/gmail/v1/users/me/labels";

    /// A mailbox's labels.
    pub fn labels() -> Value {
        json!({"labels": [
            {"id": "INBOX", "name": "INBOX", "type": "system", "messageListVisibility": "hide"},
            {"id": "Label_7", "name": "Customers/Acme", "type": "user"},
            {"id": "Label_8", "name": "Done", "type": "user"}]})
    }

    async fn fake() -> FakeApi {
        FakeApi::new(&GMAIL).await.on("GET", LABELS, 200, labels())
    }

    #[tokio::test]
    async fn lists_labels_by_a_part_of_their_name() {
        let found = fake().await.run::<ListLabels>(json!({"name_contains": "acme"})).await.unwrap();
        assert_eq!(
            found,
            json!({"items": [{"label_id": "Label_7", "name": "Customers/Acme", "kind": "user"}]})
        );
        let first = fake().await.run::<ListLabels>(json!({"limit": 2})).await.unwrap();
        assert_eq!(first["next_cursor"], "2");
    }

    #[tokio::test]
    async fn creates_a_label() {
        let fake = fake().await.on(
            "POST",
            LABELS,
            200,
            json!({"id": "Label_9", "name": "Leads", "labelListVisibility": "labelShow"}),
        );
        let label = fake.run::<CreateLabel>(json!({"name": " Leads "})).await.unwrap();
        assert_eq!(label["label_id"], "Label_9");
        let [request] = &fake.requests().await[..] else { panic!("more than the label") };
        assert_eq!(request.body["name"], "Leads");
    }

    #[tokio::test]
    async fn finds_the_label_when_the_answer_is_lost() {
        let fault = json!({"error": {"code": 503, "message": "Backend Error"}});
        let fake = fake().await.on("POST", LABELS, 503, fault);
        let label = fake.run::<CreateLabel>(json!({"name": "Done"})).await.unwrap();
        assert_eq!(label["label_id"], "Label_8");
        let error = fake.run::<CreateLabel>(json!({"name": "Leads"})).await.unwrap_err();
        assert_eq!(error.code(), Code::UnknownOutcome);
    }

    #[tokio::test]
    async fn explains_a_name_that_is_taken() {
        let taken = json!({"error": {"code": 409, "message": "Label name exists or conflicts",
            "errors": [{"reason": "aborted"}]}});
        let fake = fake().await.on("POST", LABELS, 409, taken);
        let error = fake.run::<CreateLabel>(json!({"name": "Done"})).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("Label name exists"), "{error}");
    }
}
