//! Search in the files of all reachable repositories.

use resto_core::{Action, Api, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::excerpts::Excerpt;
use crate::permissions::CONTENTS_READ;

/// Searches the code of the default branches for words; at most 10 searches a minute.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchCode {
    /// Words and qualifiers, such as `language:rust`, `path:src`.
    query: String,
    owner: Option<String>,
    repo: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

/// A file that holds the words.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CodeMatch {
    /// `owner/name` of the repository.
    pub repository: String,
    /// Path of the file.
    pub path: String,
    /// Its page.
    pub url: String,
    /// Parts of it with the words, at most 3.
    pub fragments: Vec<Excerpt<500>>,
}

#[derive(Deserialize)]
struct Found {
    path: String,
    html_url: String,
    repository: FoundIn,
    #[serde(default)]
    text_matches: Vec<TextMatch>,
}

#[derive(Deserialize)]
struct FoundIn {
    full_name: String,
}

#[derive(Deserialize)]
struct TextMatch {
    fragment: Excerpt<500>,
}

impl Action for SearchCode {
    const NAME: &'static str = "search_code";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["find a function in the code", "where is this used", "grep across repositories"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CONTENTS_READ;
    type Output = Page<CodeMatch>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<Page<CodeMatch>> {
        let query = match (&self.owner, &self.repo) {
            (Some(owner), Some(repo)) => format!("{} repo:{owner}/{repo}", self.query),
            (Some(owner), None) => format!("{} user:{owner}", self.query),
            (None, None) => self.query.clone(),
            (None, Some(_)) => {
                return Err(Error::invalid("owner", "invalid input: `repo` needs its `owner`."));
            }
        };
        // https://docs.github.com/rest/search/search#search-code
        let found: Page<Found> = api
            .get("/search/code", &[])
            .accept("application/vnd.github.text-match+json")
            .query("q", query)
            .page(&self.page)
            .list_in("items")
            .await?;
        // The words may hold qualifiers of their own, which name others.
        let is = |wanted: &Option<String>, name: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|one| name.is_some_and(|name| name.eq_ignore_ascii_case(one)))
        };
        let found = found.filter(|file| {
            let mut names = file.repository.full_name.split('/');
            is(&self.owner, names.next()) && is(&self.repo, names.next())
        });
        Ok(found.map(|file| CodeMatch {
            repository: file.repository.full_name,
            path: file.path,
            url: file.html_url,
            fragments: file.text_matches.into_iter().take(3).map(|m| m.fragment).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::GITHUB;

    #[tokio::test]
    async fn finds_files_in_one_repository() {
        let fake = FakeApi::new(&GITHUB).await.on("GET", "/search/code", 200, json!({"total_count": 1, "incomplete_results": false, "items": [{
            "name": "a.rs", "path": "src/a.rs", "sha": "s", "html_url": "https://github.com/o/r/blob/main/src/a.rs", "score": 1.0,
            "repository": {"full_name": "o/r"}, "text_matches": [{"fragment": "fn main() {}", "matches": []}]}]}));
        let arguments = json!({"query": "main language:rust", "owner": "o", "repo": "r"});
        let page = fake.run::<SearchCode>(arguments).await.unwrap();
        assert_eq!(
            page["items"][0],
            json!({"repository": "o/r", "path": "src/a.rs", "url": "https://github.com/o/r/blob/main/src/a.rs",
                   "fragments": [{"text": "fn main() {}", "truncated": false}]})
        );
        let request = &fake.requests().await[0];
        assert_eq!(request.query["q"], "main language:rust repo:o/r");
        assert_eq!(request.headers["accept"], "application/vnd.github.text-match+json");
    }

    #[tokio::test]
    async fn d7_qualifiers_in_the_words_lead_to_no_other_repository() {
        let found = |name: &str| {
            json!({
                "name": "a.rs", "path": "a.rs", "sha": "s", "html_url": "https://github.com/o/r", "score": 1.0,
                "repository": {"full_name": name}, "text_matches": [],
            })
        };
        let items = ["o/keys", "O/R", "other/r"].map(found);
        let answer = json!({"total_count": 3, "incomplete_results": false, "items": items});
        let fake = FakeApi::new(&GITHUB).await.on("GET", "/search/code", 200, answer);
        let arguments = json!({"query": "x repo:o/keys repo:other/r", "owner": "o", "repo": "r"});
        let page = fake.run::<SearchCode>(arguments).await.unwrap();
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
        assert_eq!(page["items"][0]["repository"], "O/R");
    }

    #[tokio::test]
    async fn a_repository_has_an_owner() {
        let fake = FakeApi::new(&GITHUB).await;
        let error = fake.run::<SearchCode>(json!({"query": "x", "repo": "r"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 0));
    }
}
