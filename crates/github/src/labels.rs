//! Labels of issues and pull requests.

use resto_core::{Action, Api, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::{ISSUES_READ, ISSUES_WRITE};
use crate::repos::Repo;

/// Name of a label on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OnIssue")]
pub struct LabelName(String);

/// GitHub writes the labels of an issue in two ways.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OnIssue {
    Name(String),
    Label { name: String },
}

impl From<OnIssue> for LabelName {
    fn from(label: OnIssue) -> Self {
        match label {
            OnIssue::Name(name) | OnIssue::Label { name } => Self(name),
        }
    }
}

/// A label of a repository.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Six hexadecimal digits, without `#`.
    pub color: String,
    /// What it means.
    #[serde(default)]
    pub description: Option<String>,
}

/// Lists the labels that a repository's issues and pull requests can have.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListLabels {
    #[serde(flatten)]
    at: Repo,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListLabels {
    const NAME: &'static str = "list_labels";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["available issue tags", "labels of a repo", "tags for tickets"];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_READ;
    type Output = Page<Label>;

    async fn run(self, api: &Api) -> Result<Page<Label>> {
        self.at.note_outsiders(api).await?;
        // https://docs.github.com/rest/issues/labels#list-labels-for-a-repository
        api.get("/repos/{}/{}/labels", &[&self.at.owner, &self.at.repo])
            .page(&self.page)
            .list()
            .await
    }
}

/// Creates a label in a repository.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateLabel {
    #[serde(flatten)]
    at: Repo,
    name: String,
    /// Six hexadecimal digits, such as `d73a4a`.
    color: Option<String>,
    /// At most 100 characters.
    description: Option<String>,
}

impl Action for CreateLabel {
    const NAME: &'static str = "create_label";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["add an issue tag", "new label for tickets", "tag for bugs", "category for issues"];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_WRITE;
    type Output = Label;

    async fn run(self, api: &Api) -> Result<Label> {
        let color = self.color.as_deref().map(|color| color.trim_start_matches('#'));
        if color.is_some_and(|digits| {
            digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        }) {
            return Err(Error::invalid(
                "color",
                "invalid input: `color` must be six hexadecimal digits. Nothing was sent.",
            ));
        }
        // https://docs.github.com/rest/issues/labels#create-a-label
        api.post("/repos/{}/{}/labels", &[&self.at.owner, &self.at.repo])
            .fields(json!({"name": self.name, "color": color, "description": self.description}))
            .send()
            .await
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;
    use crate::standing::tests::own;

    const LABELS: &str = "/repos/octocat/hello/labels";

    fn bug() -> Value {
        json!({"id": 1, "node_id": "x", "name": "bug", "color": "d73a4a", "description": null, "default": true})
    }

    #[tokio::test]
    async fn lists_labels() {
        let fake = own().await.on("GET", "/repos/o/r/labels", 200, json!([bug()]));
        let page =
            fake.run::<ListLabels>(json!({"owner": "o", "repo": "r", "limit": 5})).await.unwrap();
        assert_eq!(page, json!({"items": [{"name": "bug", "color": "d73a4a"}]}));
        assert_eq!(fake.requests().await[1].query["per_page"], "5");
    }

    #[tokio::test]
    async fn creates_a_label_with_or_without_the_hash() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", LABELS, 201, bug());
        let label = fake
            .run::<CreateLabel>(
                json!({"owner": "octocat", "repo": "hello", "name": "bug", "color": "#d73a4a"}),
            )
            .await
            .unwrap();
        assert_eq!(label["name"], "bug");
        assert_eq!(fake.requests().await[0].body, json!({"name": "bug", "color": "d73a4a"}));
    }

    #[tokio::test]
    async fn refuses_a_color_that_is_none() {
        let fake = FakeApi::new(&GITHUB).await;
        let error = fake
            .run::<CreateLabel>(
                json!({"owner": "octocat", "repo": "hello", "name": "bug", "color": "red"}),
            )
            .await
            .unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("color"));
        assert!(fake.requests().await.is_empty());
    }

    #[tokio::test]
    async fn says_that_a_label_exists_already() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "POST",
            LABELS,
            422,
            json!({"message": "Validation Failed", "errors": [{"resource": "Label", "code": "already_exists", "field": "name"}]}),
        );
        let error = fake
            .run::<CreateLabel>(json!({"owner": "octocat", "repo": "hello", "name": "bug"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert!(error.message().contains("name already_exists"), "{error}");
    }

    #[test]
    fn reads_both_ways_of_writing_a_label() {
        let labels: Vec<LabelName> =
            serde_json::from_value(json!(["bug", {"name": "urgent", "color": "000000"}])).unwrap();
        assert_eq!(labels, [LabelName("bug".into()), LabelName("urgent".into())]);
    }
}
