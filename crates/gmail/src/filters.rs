//! Filters: what Gmail does with mail as it comes in.

use resto_core::{Action, Api, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::labels::ids;
use crate::pages::page;
use crate::permissions::{FILTERS_READ, FILTERS_WRITE, SETTINGS_WRITE};

/// Which mail a filter takes. All that is given has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Criteria {
    /// Name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// As in Gmail's search box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "negatedQuery")]
    pub not_query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "hasAttachment")]
    pub has_attachment: Option<bool>,
}

/// A filter.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Filter {
    /// Its id.
    #[serde(rename = "filter_id")]
    pub id: String,
    /// Which mail it takes.
    pub criteria: Criteria,
    /// What it says of the size of a message in bytes, such as `larger 1000000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Ids of the labels that it adds; `TRASH` deletes.
    pub add_label_ids: Vec<String>,
    /// Ids of the labels that it takes off; `INBOX` archives, `UNREAD` marks as read.
    pub remove_label_ids: Vec<String>,
    /// Where it forwards mail to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwards_to: Option<String>,
}

/// A filter as Gmail writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    id: String,
    criteria: RawCriteria,
    action: RawAction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawCriteria {
    #[serde(flatten)]
    common: Criteria,
    size: Option<u64>,
    #[serde(rename = "sizeComparison")]
    comparison: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAction {
    add_label_ids: Vec<String>,
    remove_label_ids: Vec<String>,
    forward: Option<String>,
}

impl From<Raw> for Filter {
    fn from(raw: Raw) -> Self {
        let comparison = raw.criteria.comparison.unwrap_or_else(|| "exactly".to_owned());
        Self {
            id: raw.id,
            criteria: raw.criteria.common,
            size: raw.criteria.size.map(|bytes| format!("{comparison} {bytes}")),
            add_label_ids: raw.action.add_label_ids,
            remove_label_ids: raw.action.remove_label_ids,
            forwards_to: raw.action.forward,
        }
    }
}

/// Lists filters: what happens to mail as it comes in.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListFilters {
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListFilters {
    const NAME: &'static str = "list_filters";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which mail rules exist", "email filters", "how is incoming mail sorted"];
    const PERMISSIONS: &'static [&'static [&'static str]] = FILTERS_READ;
    type Output = Page<Filter>;

    async fn run(self, api: &Api) -> Result<Page<Filter>> {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/list
        let request = api.get("/gmail/v1/users/me/settings/filters", &[]);
        let all: Page<Raw> = request.list_in("filter").await?;
        Ok(page(all.items, &self.page)?.map(Filter::from))
    }
}

/// Creates a filter for mail that comes in from now on.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateFilter {
    /// At least one.
    criteria: Criteria,
    /// Name or id to add; Gmail takes one per filter.
    label: Option<String>,
    #[serde(default)]
    #[schemars(length(max = 7))]
    actions: Vec<Deed>,
}

/// What a filter does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Archive,
    MarkRead,
    Star,
    MarkImportant,
    NeverImportant,
    NeverSpam,
    Trash,
}

impl Deed {
    /// The label that it adds, or takes off.
    fn label(self) -> (&'static str, bool) {
        // https://developers.google.com/workspace/gmail/api/guides/filter_settings
        match self {
            Self::Star => ("STARRED", true),
            Self::MarkImportant => ("IMPORTANT", true),
            Self::Trash => ("TRASH", true),
            Self::Archive => ("INBOX", false),
            Self::MarkRead => ("UNREAD", false),
            Self::NeverImportant => ("IMPORTANT", false),
            Self::NeverSpam => ("SPAM", false),
        }
    }
}

impl Action for CreateFilter {
    const NAME: &'static str = "create_filter";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "automatic rule for incoming mail",
        "sort newsletters automatically",
        "auto-label or auto-archive emails",
        "Filterregel",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = FILTERS_WRITE;
    type Output = Filter;

    async fn run(self, api: &Api) -> Result<Filter> {
        let criteria = &self.criteria;
        let texts =
            [&criteria.from, &criteria.to, &criteria.subject, &criteria.query, &criteria.not_query];
        let says = |text: &&Option<String>| {
            text.as_deref().is_some_and(|text| text.chars().any(char::is_alphanumeric))
        };
        if !texts.iter().any(says) && criteria.has_attachment.is_none() {
            return Err(Error::invalid(
                "criteria",
                "invalid input: `criteria` would take all mail. Nothing was changed. Say which mail, such as by `from`.",
            ));
        }
        let labels = |adds: bool| -> Vec<String> {
            let all = self.actions.iter().map(|deed| deed.label());
            all.filter(|(_, added)| *added == adds).map(|(id, _)| id.to_owned()).collect()
        };
        let (mut add, remove) = (labels(true), labels(false));
        let label: Vec<String> = self.label.into_iter().collect();
        if add.is_empty() && remove.is_empty() && label.is_empty() {
            return Err(Error::invalid(
                "label",
                "invalid input: the filter would do nothing. Nothing was changed. Give a `label`, or `actions` such as `archive`.",
            ));
        }
        add.extend(ids(api, &[("label", &label)]).await?.into_iter().flatten());
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/create
        let request = api.post("/gmail/v1/users/me/settings/filters", &[]);
        let body = json!({"criteria": written(criteria), "action": {"addLabelIds": add, "removeLabelIds": remove}});
        request.json(&body).send().await.map(|raw: Raw| raw.into())
    }
}

/// Criteria as Gmail takes them.
fn written(criteria: &Criteria) -> Value {
    let mut body = json!({"from": criteria.from, "to": criteria.to, "subject": criteria.subject, "query": criteria.query,
        "negatedQuery": criteria.not_query, "hasAttachment": criteria.has_attachment});
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

/// Which filter is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Its id.
    pub filter_id: String,
}

/// Deletes a filter for ever; mail that it sorted stays where it is.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteFilter {
    filter_id: String,
}

impl Action for DeleteFilter {
    const NAME: &'static str = "delete_filter";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] = &[
        "remove a mail rule",
        "stop sorting mail automatically",
        "mails should no longer be filtered",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS_WRITE;
    type Output = Deleted;

    async fn run(self, api: &Api) -> Result<Deleted> {
        // https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/delete
        let path = "/gmail/v1/users/me/settings/filters/{}";
        let look = || api.get(path, &[&self.filter_id]).send_empty();
        api.delete(path, &[&self.filter_id]).send_or_gone(look).await?;
        Ok(Deleted { filter_id: self.filter_id })
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;

    use super::*;
    use crate::GMAIL;
    use crate::labels::tests::{LABELS, labels};

    const FILTERS: &str = "/gmail/v1/users/me/settings/filters";
    const FILTER: &str = "/gmail/v1/users/me/settings/filters/ANe1Bmj";

    fn filter() -> Value {
        json!({"id": "ANe1Bmj", "criteria": {"from": "news@example.com", "negatedQuery": "offer", "hasAttachment": true,
            "size": 1000, "sizeComparison": "larger"},
            "action": {"addLabelIds": ["Label_8"], "removeLabelIds": ["INBOX"], "forward": "bo@example.com"}})
    }

    async fn fake() -> FakeApi {
        FakeApi::new(&GMAIL).await.on("GET", LABELS, 200, labels()).on(
            "POST",
            FILTERS,
            200,
            filter(),
        )
    }

    #[tokio::test]
    async fn lists_filters() {
        let fake = FakeApi::new(&GMAIL).await.on(
            "GET",
            FILTERS,
            200,
            json!({"filter": [filter(), {"id": "b"}]}),
        );
        let found = fake.run::<ListFilters>(json!({"limit": 1})).await.unwrap();
        assert_eq!(
            found,
            json!({"items": [{"filter_id": "ANe1Bmj", "criteria": {"from": "news@example.com", "not_query": "offer",
                "has_attachment": true}, "size": "larger 1000", "add_label_ids": ["Label_8"],
                "remove_label_ids": ["INBOX"], "forwards_to": "bo@example.com"}], "next_cursor": "1"})
        );
    }

    #[tokio::test]
    async fn lists_no_filters_without_a_fault() {
        let fake = FakeApi::new(&GMAIL).await.on("GET", FILTERS, 200, json!({}));
        assert_eq!(fake.run::<ListFilters>(json!({})).await.unwrap(), json!({"items": []}));
    }

    #[tokio::test]
    async fn creates_a_filter() {
        let fake = fake().await;
        let arguments = json!({"criteria": {"from": "news@example.com", "not_query": "offer"}, "label": "done",
            "actions": ["archive", "mark_read", "star", "never_important", "never_spam"]});
        let created = fake.run::<CreateFilter>(arguments).await.unwrap();
        assert_eq!(created["filter_id"], "ANe1Bmj");
        assert_eq!(
            fake.requests().await[1].body,
            json!({"criteria": {"from": "news@example.com", "negatedQuery": "offer"},
                "action": {"addLabelIds": ["STARRED", "Label_8"], "removeLabelIds": ["INBOX", "UNREAD", "IMPORTANT", "SPAM"]}})
        );
    }

    #[tokio::test]
    async fn a_filter_without_a_label_looks_none_up() {
        let fake = fake().await;
        let arguments =
            json!({"criteria": {"has_attachment": true}, "actions": ["mark_important", "trash"]});
        fake.run::<CreateFilter>(arguments).await.unwrap();
        let [request] = &fake.requests().await[..] else { panic!("more than the filter") };
        assert_eq!(
            request.body["action"],
            json!({"addLabelIds": ["IMPORTANT", "TRASH"], "removeLabelIds": []})
        );
    }

    #[tokio::test]
    async fn creates_no_filter_of_all_mail_or_without_an_effect() {
        let fake = fake().await;
        for (arguments, field) in [
            (json!({"criteria": {}, "actions": ["archive"]}), "criteria"),
            (json!({"criteria": {"query": " * "}, "actions": ["archive"]}), "criteria"),
            (json!({"criteria": {"from": "news@example.com"}}), "label"),
            (json!({"criteria": {"from": "news@example.com"}, "label": "Nobody"}), "label"),
        ] {
            let error = fake.run::<CreateFilter>(arguments).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field), "{error}");
        }
        assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
    }

    #[tokio::test]
    async fn deletes_a_filter() {
        let fake = FakeApi::new(&GMAIL).await.on("DELETE", FILTER, 204, Value::Null).on(
            "DELETE",
            FILTER,
            404,
            json!({"error": {"code": 404, "message": "Requested entity was not found."}}),
        );
        let arguments = json!({"filter_id": "ANe1Bmj"});
        let gone = fake.run::<DeleteFilter>(arguments.clone()).await.unwrap();
        assert_eq!(gone, arguments);
        let error = fake.run::<DeleteFilter>(arguments.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        // Where the answer is lost, the filter is looked for.
        let fake = FakeApi::new(&GMAIL).await.on("DELETE", FILTER, 502, json!({})).on(
            "GET",
            FILTER,
            404,
            json!({"error": {"code": 404}}),
        );
        assert_eq!(fake.run::<DeleteFilter>(arguments.clone()).await.unwrap(), arguments);
    }
}
