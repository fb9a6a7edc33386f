//! Issues: listing, opening and changing them.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::changes::given;
use crate::labels::LabelName;
use crate::made::{found, since};
use crate::people::Login;
use crate::permissions::{ISSUES_READ, ISSUES_WRITE};
use crate::repos::Repo;
use crate::states::{Listed, State};

/// How many pages of newer issues are searched for one that was opened some time ago.
const SEARCHED: usize = 5;

/// An issue, or the conversation of a pull request.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Issue {
    /// Its number in the repository.
    pub number: u64,
    /// What it is about.
    pub title: String,
    /// `open` or `closed`.
    pub state: String,
    /// Why it is in that state: `completed`, `not_planned`, `duplicate` or `reopened`.
    #[serde(default)]
    pub state_reason: Option<String>,
    /// Whether it is a pull request.
    #[serde(default, rename(deserialize = "pull_request"), deserialize_with = "is_there")]
    pub is_pull_request: bool,
    /// Who opened it.
    #[serde(default, rename(deserialize = "user"))]
    pub author: Option<Login>,
    /// Its labels.
    #[serde(default)]
    pub labels: Vec<LabelName>,
    /// Who is to see to it.
    #[serde(default)]
    pub assignees: Vec<Login>,
    /// How many comments it has.
    #[serde(default, rename(deserialize = "comments"))]
    pub comment_count: u64,
    /// Its page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
    /// When it was opened.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// When it was closed.
    #[serde(default)]
    pub closed_at: Option<String>,
}

/// GitHub marks a pull request among issues by an object of links.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|links| links.is_some())
}

/// Lists a repository's issues without its pull requests, last changed first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListIssues {
    #[serde(flatten)]
    at: Repo,
    /// Default open.
    state: Option<Listed>,
    /// All of them.
    labels: Option<Vec<String>>,
    /// Login; `none` or `*` for nobody or anybody.
    assignee: Option<String>,
    /// Login.
    creator: Option<String>,
    /// Changed since, such as `2026-01-31T00:00:00Z`.
    since: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListIssues {
    const NAME: &'static str = "list_issues";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "open bugs",
        "ticket backlog",
        "issue tracker",
        "offene Tickets",
        "tickets ouverts",
        "incidencias abiertas",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_READ;
    type Output = Page<Issue>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<Issue>> {
        // https://docs.github.com/rest/issues/issues#list-repository-issues
        let page: Page<Issue> = api
            .get("/repos/{}/{}/issues", &[&self.at.owner, &self.at.repo])
            .query("state", self.state)
            .query("labels", self.labels)
            .query("assignee", self.assignee)
            .query("creator", self.creator)
            .query("since", self.since)
            .query("sort", "updated")
            .page(&self.page)
            .list()
            .await?;
        Ok(page.filter(|issue| !issue.is_pull_request))
    }
}

/// Opens an issue; its watchers are notified.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateIssue {
    #[serde(flatten)]
    at: Repo,
    title: String,
    /// Markdown.
    body: Option<String>,
    /// Like assignees and milestone, silently dropped if the account may not set them.
    labels: Option<Vec<String>>,
    /// Logins.
    assignees: Option<Vec<String>>,
    /// Its number.
    milestone: Option<u64>,
}

impl Action for CreateIssue {
    const NAME: &'static str = "create_issue";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "report a bug",
        "open a ticket",
        "file an issue",
        "request a feature",
        "Ticket anlegen",
        "Fehler melden",
        "créer un ticket",
        "signaler un bug",
        "crear una incidencia",
        "abrir ticket",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_WRITE;
    type Output = Issue;

    async fn run(self, api: &Api) -> Result<Issue> {
        // https://docs.github.com/rest/issues/issues#create-an-issue
        api.post("/repos/{}/{}/issues", &[&self.at.owner, &self.at.repo])
            .fields(json!({
                "title": self.title,
                "body": self.body,
                "labels": self.labels,
                "assignees": self.assignees,
                "milestone": self.milestone,
            }))
            .send_or_find(|| self.find(api))
            .await
    }
}

impl CreateIssue {
    /// The issue whose answer was lost.
    async fn find(&self, api: &Api) -> Result<Option<Issue>> {
        let mut page = PageRequest { cursor: None, limit: Some(100) };
        for _ in 0..SEARCHED {
            let newest: Page<Value> = api
                .get("/repos/{}/{}/issues", &[&self.at.owner, &self.at.repo])
                .query("state", "all")
                .query("sort", "created")
                .query("since", since(api))
                .page(&page)
                .list()
                .await?;
            let text = self.body.as_deref();
            let mut some =
                newest.items.into_iter().filter_map(|one| found(api, one, "created_at", text));
            let is_it = |issue: &Issue| issue.title == self.title.trim() && !issue.is_pull_request;
            if let Some(issue) = some.find(is_it) {
                return Ok(Some(issue));
            }
            page.cursor = newest.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        Ok(None)
    }
}

/// Why an issue is closed, or open again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Completed,
    NotPlanned,
    Duplicate,
    Reopened,
}

/// Changes, closes or reopens an issue; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateIssue {
    #[serde(flatten)]
    at: Repo,
    number: u64,
    title: Option<String>,
    /// Markdown.
    body: Option<String>,
    state: Option<State>,
    state_reason: Option<Reason>,
    /// Replaces all.
    labels: Option<Vec<String>>,
    /// Logins; replaces all.
    assignees: Option<Vec<String>>,
}

impl Action for UpdateIssue {
    const NAME: &'static str = "update_issue";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "close a ticket",
        "reopen a bug",
        "assign an issue to somebody",
        "change labels of an issue",
        "Ticket schließen",
        "fermer un ticket",
        "cerrar",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ISSUES_WRITE;
    type Output = Issue;

    /// The title may be a stranger's, unless it is the caller's own now.
    fn tells_outsiders(&self) -> bool {
        self.title.is_none()
    }

    async fn run(self, api: &Api) -> Result<Issue> {
        let changes = given(json!({
            "title": self.title,
            "body": self.body,
            "state": self.state,
            "state_reason": self.state_reason,
            "labels": self.labels,
            "assignees": self.assignees,
        }))?;
        // https://docs.github.com/rest/issues/issues#update-an-issue
        api.patch("/repos/{}/{}/issues/{}", &[&self.at.owner, &self.at.repo, &self.number])
            .fields(changes)
            .send()
            .await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    const ISSUES: &str = "/repos/octocat/hello/issues";

    /// An issue as GitHub answers it, trimmed.
    pub(crate) fn issue(number: u64) -> Value {
        json!({
            "id": 100 + number, "node_id": "x", "number": number, "title": "Logo is blurred", "state": "open",
            "state_reason": null, "body": "See the page.", "user": {"login": "octocat", "id": 1},
            "labels": [{"id": 1, "name": "bug", "color": "d73a4a"}], "assignees": [{"login": "hubot", "id": 2}],
            "milestone": null, "locked": false, "comments": 2,
            "html_url": format!("https://github.com/octocat/hello/issues/{number}"),
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z", "closed_at": null,
        })
    }

    /// The same for a pull request.
    pub(crate) fn pull(number: u64) -> Value {
        let mut pull = issue(number);
        pull["pull_request"] = json!({"html_url": "https://github.com/octocat/hello/pull/1"});
        pull
    }

    #[tokio::test]
    async fn lists_issues_without_pull_requests() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            ISSUES,
            200,
            json!([issue(1), pull(2), issue(3)]),
        );
        let page = fake
            .run::<ListIssues>(json!({
                "owner": "octocat", "repo": "hello", "state": "all", "labels": ["bug", "logo"],
                "assignee": "hubot", "since": "2026-01-01T00:00:00Z",
            }))
            .await
            .unwrap();
        let numbers: Vec<&Value> =
            page["items"].as_array().unwrap().iter().map(|issue| &issue["number"]).collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(
            page["items"][0],
            json!({
                "number": 1, "title": "Logo is blurred", "state": "open", "is_pull_request": false,
                "author": "octocat", "labels": ["bug"], "assignees": ["hubot"], "comment_count": 2,
                "url": "https://github.com/octocat/hello/issues/1",
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z",
            })
        );
        let query = &fake.requests().await[0].query;
        assert_eq!(
            (query["state"].as_str(), query["labels"].as_str(), query["sort"].as_str()),
            ("all", "bug,logo", "updated")
        );
        assert!(!query.contains_key("creator"));
    }

    #[tokio::test]
    async fn opens_an_issue() {
        let fake = FakeApi::new(&GITHUB).await.on("POST", ISSUES, 201, issue(7));
        let opened = fake
            .run::<CreateIssue>(
                json!({"owner": "octocat", "repo": "hello", "title": "Logo is blurred", "labels": ["bug"]}),
            )
            .await
            .unwrap();
        assert_eq!(opened["number"], 7);
        assert_eq!(
            fake.requests().await[0].body,
            json!({"title": "Logo is blurred", "labels": ["bug"]})
        );
    }

    #[tokio::test]
    async fn says_that_issues_are_switched_off() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "POST",
            ISSUES,
            410,
            json!({"message": "Issues has been disabled in this repository."}),
        );
        let error = fake
            .run::<CreateIssue>(json!({"owner": "octocat", "repo": "hello", "title": "x"}))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("switched off"), "{error}");
    }

    #[tokio::test]
    async fn changes_only_what_is_given() {
        let mut closed = issue(7);
        closed["state"] = "closed".into();
        closed["state_reason"] = "not_planned".into();
        let path = "/repos/octocat/hello/issues/7";
        let fake = FakeApi::new(&GITHUB).await.on("PATCH", path, 200, closed);
        let updated = fake
            .run::<UpdateIssue>(json!({
                "owner": "octocat", "repo": "hello", "number": 7, "state": "closed",
                "state_reason": "not_planned", "labels": [],
            }))
            .await
            .unwrap();
        assert_eq!(updated["state_reason"], "not_planned");
        assert_eq!(
            fake.requests().await[0].body,
            json!({"state": "closed", "state_reason": "not_planned", "labels": []})
        );
    }

    #[tokio::test]
    async fn refuses_an_update_that_changes_nothing() {
        let fake = FakeApi::new(&GITHUB).await;
        let error = fake
            .run::<UpdateIssue>(json!({"owner": "octocat", "repo": "hello", "number": 7}))
            .await
            .unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 0));
    }
}
