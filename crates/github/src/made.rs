//! Finding what a change made whose answer was lost: by when it was made, and what it says.

use std::time::Duration;

use resto_core::Api;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// By how much GitHub's clock may be behind ours: no more, so that nothing from before the operation is taken for its own.
const SKEW: Duration = Duration::from_secs(5);

/// One of a list as `T`, where the connected account made it after the operation began, by the field `made_at`, and its text
/// is what was given.
pub(crate) fn found<T: DeserializeOwned>(
    api: &Api,
    one: Value,
    made_at: &str,
    text: Option<&str>,
) -> Option<T> {
    let field = |name: &str| one.get(name).and_then(Value::as_str);
    let is_it = is_since(api, field(made_at)?)
        && is_ours(api, one.get("user"))
        && is_same(field("body").unwrap_or_default(), text.unwrap_or_default());
    is_it.then(|| serde_json::from_value(one).ok())?
}

/// Whether this is the connected account.
pub(crate) fn is_ours(api: &Api, author: Option<&Value>) -> bool {
    let id = author.and_then(|author| author.get("id")?.as_u64()).map(|id| id.to_string());
    id.is_some() && id.as_deref() == api.account().map(|account| account.id.as_str())
}

/// Whether a text is the one that was given: GitHub keeps its own line ends.
pub(crate) fn is_same(text: &str, given: &str) -> bool {
    let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    plain(text) == plain(given)
}

/// When the operation began, or a little before.
fn start(api: &Api) -> OffsetDateTime {
    OffsetDateTime::from(api.began()).saturating_sub(SKEW.try_into().unwrap_or_default())
}

/// The same as a parameter `since`.
pub(crate) fn since(api: &Api) -> Option<String> {
    start(api).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// Whether this time is not before the operation began.
pub(crate) fn is_since(api: &Api, time: &str) -> bool {
    OffsetDateTime::parse(time, &Rfc3339).is_ok_and(|time| time >= start(api))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use resto_core::{Action, Code};
    use resto_testing::FakeApi;
    use serde_json::json;

    use crate::GITHUB;
    use crate::comments::CommentIssue;
    use crate::creation::CreateRepository;
    use crate::issues::CreateIssue;
    use crate::releases::PublishRelease;
    use crate::reviews::ReviewPullRequest;

    use super::*;

    const LATER: &str = "2999-01-01T00:00:00Z";
    const EARLIER: &str = "2020-01-01T00:00:00Z";

    /// Runs the action where GitHub's answer to `change` is lost, and where the same call is made again, with what GitHub
    /// then tells at `path`: it is found, and nothing more is sent, unless it is `None`.
    async fn found<A: Action>(
        input: &Value,
        (change, path): (&str, &str),
        shown: &Value,
        expected: Option<&str>,
    ) {
        for again in [false, true] {
            let mut fake = FakeApi::new(&GITHUB)
                .await
                .connected("1")
                .on("POST", change, 502, json!({"message": "Server Error"}))
                .on("GET", "/user", 200, json!({"login": "o"}))
                .on("GET", path, 200, shown.clone());
            if again {
                fake = fake.reconciling(Duration::from_mins(3));
            }
            let told = fake.run::<A>(input.clone()).await;
            match (told, expected) {
                (Ok(told), Some(expected)) => {
                    assert!(told.to_string().contains(expected), "{told}");
                }
                (Err(error), None) => assert_eq!(error.code(), Code::UnknownOutcome, "{error}"),
                (told, _) => panic!("{} {shown}: {told:?}", A::NAME),
            }
            let sent = fake.requests().await.iter().filter(|one| one.method == "POST").count();
            assert_eq!(sent, usize::from(!again), "{}", A::NAME);
        }
    }

    #[tokio::test]
    async fn finds_an_issue_by_its_title_and_text() {
        let issue = |more: Value| {
            let mut issue = crate::issues::tests::issue(8);
            issue["created_at"] = json!(LATER);
            issue.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            issue
        };
        let input = json!({"owner": "o", "repo": "r", "title": "Logo is blurred", "body": "See\nthe page."});
        let paths = ("/repos/o/r/issues", "/repos/o/r/issues");
        let ours = issue(
            json!({"body": "See\r\nthe page.\n", "html_url": "https://github.com/o/r/issues/8"}),
        );
        let shown = json!([issue(json!({"title": "Another"})), ours]);
        found::<CreateIssue>(&input, paths, &shown, Some("/issues/8")).await;
        for other in [
            json!({"body": "See the page."}),
            json!({"body": "See\nthe page.", "title": "Logo"}),
            json!({"body": "See\nthe page.", "created_at": EARLIER}),
            json!({"body": "See\nthe page.", "pull_request": {}}),
            json!({"body": "See\nthe page.", "user": {"login": "hubot", "id": 2}}),
        ] {
            found::<CreateIssue>(&input, paths, &json!([issue(other)]), None).await;
        }
    }

    #[tokio::test]
    async fn finds_a_comment_by_its_text() {
        let comment = |body: &str, at: &str| {
            json!([{"id": 5, "user": {"login": "o", "id": 1}, "body": body, "created_at": at, "updated_at": at,
                    "html_url": "https://github.com/o/r/issues/7#issuecomment-5"}])
        };
        let input = json!({"owner": "o", "repo": "r", "number": 7, "body": "Mine too."});
        let paths = ("/repos/o/r/issues/7/comments", "/repos/o/r/issues/7/comments");
        let ours = comment("Mine too.", LATER);
        found::<CommentIssue>(&input, paths, &ours, Some("Mine too.")).await;
        found::<CommentIssue>(&input, paths, &comment("Mine too.", EARLIER), None).await;
        found::<CommentIssue>(&input, paths, &comment("Mine.", LATER), None).await;
    }

    #[tokio::test]
    async fn finds_a_review_by_its_verdict_and_text() {
        let review = |state: &str, at: &str| {
            let mut review = crate::reviews::tests::review(5, state);
            review["submitted_at"] = json!(at);
            review["user"]["id"] = json!(1);
            json!([review])
        };
        let input =
            json!({"owner": "o", "repo": "r", "number": 3, "verdict": "approve", "body": "Fine."});
        let paths = ("/repos/o/r/pulls/3/reviews", "/repos/o/r/pulls/3/reviews");
        found::<ReviewPullRequest>(&input, paths, &review("APPROVED", LATER), Some("APPROVED"))
            .await;
        found::<ReviewPullRequest>(&input, paths, &review("APPROVED", EARLIER), None).await;
        found::<ReviewPullRequest>(&input, paths, &review("COMMENTED", LATER), None).await;
        let mut of_another = review("APPROVED", LATER);
        of_another[0]["user"]["id"] = json!(2);
        found::<ReviewPullRequest>(&input, paths, &of_another, None).await;
        let mut at_another = input.clone();
        at_another["commit_sha"] = json!("bbb222");
        found::<ReviewPullRequest>(&at_another, paths, &review("APPROVED", LATER), None).await;
    }

    #[tokio::test]
    async fn finds_a_release_by_its_tag() {
        let release = |at: Value| {
            json!({"id": 7, "tag_name": "v1", "draft": at.is_null(), "prerelease": false, "published_at": at,
                   "html_url": "https://github.com/o/r/releases/tag/v1"})
        };
        let input = json!({"owner": "o", "repo": "r", "tag": "v1"});
        let paths = ("/repos/o/r/releases", "/repos/o/r/releases/tags/v1");
        found::<PublishRelease>(&input, paths, &release(json!(LATER)), Some("v1")).await;
        found::<PublishRelease>(&input, paths, &release(json!(EARLIER)), None).await;
        found::<PublishRelease>(&input, paths, &release(Value::Null), None).await;
    }

    #[tokio::test]
    async fn finds_a_repository_by_its_name_unless_it_was_there_before() {
        let repository = |at: &str| {
            json!({"full_name": "o/shop", "private": true, "default_branch": "main", "created_at": at,
                   "html_url": "https://github.com/o/shop"})
        };
        let paths = ("/user/repos", "/repos/o/shop");
        let input = json!({"name": "shop"});
        found::<CreateRepository>(&input, paths, &repository(LATER), Some("o/shop")).await;
        found::<CreateRepository>(&input, paths, &repository(EARLIER), None).await;
    }
}
